"""Loading a judge from a run folder, or from a published model."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, get_args

from tiebreak._deprecation import renamed_argument
from tiebreak.errors import ModelError
from tiebreak.extras import require_extra
from tiebreak.judges.baseline import BaselineJudge
from tiebreak.judges.ensemble import EnsembleJudge, read_blend
from tiebreak.judges.inference import HeadInference
from tiebreak.judges.judge import Judge
from tiebreak.judges.pairwise import PairwiseJudge
from tiebreak.judges.reward_model import RewardModelJudge
from tiebreak.library_logging import quiet_model_loading
from tiebreak.runs import RunFolder

if TYPE_CHECKING:
    import torch
    from torch import nn

    from tiebreak.models import JudgeCard, Precision

logger = logging.getLogger(__name__)

Merge = Literal["bf16", "fp8"]
"""The type of the weights after the adapter is merged into them."""

GPU_TOKENS: Final = 16384
"""Tokens per pass on a GPU. Inference keeps nothing for a backward pass; the number is halved if memory runs out."""


@renamed_argument("tell", "log")
def load_judge(
    run: str | Path,
    *,
    base_model: str | None = None,
    device: str | None = None,
    tokens_per_pass: int | None = None,
    merge: Merge | None = None,
    calibrate: bool = True,
    log: Callable[[str], None] | None = None,
) -> Judge:
    """Load a judge from a run folder, or a published one.

    A published judge is a sequence classifier in transformers' format with one label (a reward model), or with the
    labels model_a, model_b and tie. It reads conversations in its own chat template. A reward model alone gives ties a
    probability of 0; `tiebreak calibrate` fits a tie model to votes.

    Args:
        run: the folder made by `tiebreak train`, `blend` or `soup`; or the folder or hub name of a published judge.
        base_model: where the base model is now, if it is not where it was in training.
        device: `cpu`, `cuda`, `cuda:1`; by default a GPU where there is one.
        tokens_per_pass: tokens that go through the model at once; by default what training used, on a GPU more.
        merge: merge the adapter into the full-precision base and round the weights to bfloat16 or FP8. Faster for many
            comparisons; the probabilities differ a little from those of the judge that was trained.
        calibrate: apply the run's calibration, if it has one. Rewards are never calibrated. A blend applies its own
            calibration; without it, probabilities are the weighted mean of its members' probabilities.
        log: called with a sentence when tokens per pass are halved because memory ran out.

    Raises:
        ValueError: `merge` or `tokens_per_pass` is not a possible value.
        RunError: the folder holds no trained model.
        ModelError: the base model cannot be loaded, or the device does not exist.
    """
    if merge is not None and merge not in get_args(Merge):
        raise ValueError(f"merge is {merge!r}: it must be one of {', '.join(map(repr, get_args(Merge)))}, or None")
    if tokens_per_pass is not None and tokens_per_pass < 1:
        raise ValueError(f"tokens_per_pass is {tokens_per_pass}: it must be at least 1, or None")
    folder = RunFolder(run)
    folder.check_trained()
    if folder.holds_a_blend or folder.holds_a_baseline:
        _check_model_options(folder, base_model=base_model, merge=merge)
    if folder.holds_a_blend:
        return _load_blend(folder, device=device, tokens_per_pass=tokens_per_pass, calibrate=calibrate, log=log)
    if folder.holds_a_baseline:
        return _load_baseline(folder, calibrate=calibrate)
    return _load_language_model(
        folder, base_model=base_model, device=device, tokens_per_pass=tokens_per_pass, merge=merge,
        calibrate=calibrate, log=log,
    )  # fmt: skip


def _load_blend(
    folder: RunFolder, *, device: str | None, tokens_per_pass: int | None, calibrate: bool,
    log: Callable[[str], None] | None,
) -> EnsembleJudge:  # fmt: skip
    card = read_blend(folder.model)
    members = [
        load_judge(
            folder.path / member.run, device=device, tokens_per_pass=tokens_per_pass, calibrate=False, log=log
        ).recalibrated(member.calibration)
        for member in card.members
    ]
    return EnsembleJudge(members, [member.weight for member in card.members], card.calibration if calibrate else None)


def _load_baseline(folder: RunFolder, *, calibrate: bool) -> BaselineJudge:
    from tiebreak.baselines import load_baseline

    stored = load_baseline(folder.model)
    return BaselineJudge(stored.baseline, stored.card.calibration if calibrate else None)


def _load_language_model(
    folder: RunFolder, *, base_model: str | None, device: str | None, tokens_per_pass: int | None, merge: Merge | None,
    calibrate: bool, log: Callable[[str], None] | None,
) -> PairwiseJudge | RewardModelJudge:  # fmt: skip
    require_extra("train", "judging with a language model")
    from tiebreak.models import (
        TokenBudget,
        card_encoder,
        emulation_note,
        load_text_config,
        load_tokenizer,
        published_judge,
        read_card,
        use_fused_layers,
    )
    from tiebreak.text import check_vocabulary

    on_device = _device(device)
    with quiet_model_loading():
        if folder.names_a_model:
            card, tokenizer = published_judge(folder.path.as_posix(), on_device)
        else:
            card, tokenizer = read_card(folder.model), load_tokenizer(str(folder.model))
        encoder = card_encoder(card, tokenizer)  # may fail, and the weights take minutes
        check_vocabulary(tokenizer, load_text_config(base_model or card.base_model, card.revision).vocab_size)
        adapter = folder.model if card.adapter else None
        model, compute_dtype = _load_weights(adapter, card, base_model=base_model, merge=merge, device=on_device)
    emulated = emulation_note(merge or card.precision, compute_dtype, on_device)
    if emulated is not None:
        (logger.warning if log is None else log)(emulated)
    use_fused_layers(model, compute_dtype)
    default_tokens = max(card.tokens_per_pass, GPU_TOKENS) if on_device.type == "cuda" else card.tokens_per_pass
    budget = TokenBudget(max(tokens_per_pass or default_tokens, card.max_length), log)
    calibration = card.calibration if calibrate else None
    if card.rewards is None:
        return PairwiseJudge(HeadInference(model, encoder, compute_dtype, budget), calibration)
    return RewardModelJudge(HeadInference(model, encoder, compute_dtype, budget), card.rewards, calibration)


def _load_weights(
    adapter: Path | None, card: JudgeCard, *, base_model: str | None, merge: Merge | None, device: torch.device
) -> tuple[nn.Module, torch.dtype]:
    """The base model with an adapter and head, in place or merged, and its compute type.

    Args:
        adapter: the folder of adapter and head; None for a published judge, which has its own head.
        card: of the judge.
        base_model: as in `load_judge`.
        merge: as in `load_judge`.
        device: the device of the model.
    """
    import torch

    from tiebreak.models import check_supported, load_trained, load_trained_base, merge_adapter, resolve_compute_dtype

    if merge is None:
        compute_dtype = resolve_compute_dtype(card.compute_dtype, card.precision, device)
        base = load_trained_base(card, base_model, card.precision, card.compute_dtype, device)
        return (base.eval() if adapter is None else load_trained(base, adapter)), compute_dtype
    compute_dtype = resolve_compute_dtype("auto", merge, device)
    check_supported(merge, compute_dtype, device)
    if adapter is None:
        return load_trained_base(card, base_model, merge, "auto", device).eval(), compute_dtype
    precision: Precision = "bf16" if device.type == "cuda" or merge == "bf16" else "fp32"
    base = load_trained_base(card, base_model, precision, "auto", torch.device("cpu"))
    return merge_adapter(base, adapter, merge, device), compute_dtype


def _check_model_options(folder: RunFolder, *, base_model: str | None, merge: Merge | None) -> None:
    """Raise ModelError if an option is given that only a judge with a base model has."""
    if base_model is not None or merge is not None:
        option = "--base-model" if base_model is not None else "--merge"
        raise ModelError(f"{option} needs a run with a base model, and {folder} has none. Leave the option out.")


def _device(name: str | None) -> torch.device:
    import torch

    from tiebreak.models import default_device

    if name is None:
        return default_device()
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"Device {name!r} is not available ({str(error).partition(chr(10))[0]}). Try cpu.") from error
    return device
