"""A run's folder -> a judge."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, get_args

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

    from tiebreak.models import Precision

Merge = Literal["bf16", "fp8"]
"""In what the weights are held once the adapter is merged into them."""

GPU_TOKENS: Final = 16384
"""Tokens a pass on a GPU: with nothing kept for a backward pass it takes little memory, and is halved if need be."""


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
    """Load a judge from a run folder.

    Args:
        run: the folder `tiebreak train` made.
        base_model: where the base model is now, if not where it was in training.
        device: `cpu`, `cuda`, `cuda:1`; by default a GPU where there is one.
        tokens_per_pass: tokens that go through the model at once; by default what training used, on a GPU more.
        merge: round the weights with the adapter in them to bfloat16 or FP8, from the full-precision base: faster for
            many comparisons, and not quite the judge that was trained (on a base in 4 bits, say).
        calibrate: have probabilities go through the run's calibration, if it has one; otherwise they are as the model
            gives them. It changes no reward. Of a blend it is the blend's own calibration, and without it probabilities
            are the mean that the weights were found for.
        tell: called with a sentence when tokens a pass are halved because memory ran out.

    Raises:
        ValueError: `merge` or `tokens_per_pass` is none that there is.
        RunError: the folder holds no trained model.
        ModelError: the base model cannot be had, or the device is not there.
    """
    if merge is not None and merge not in get_args(Merge):
        raise ValueError(f"merge is {merge!r}: it is one of {', '.join(map(repr, get_args(Merge)))}, or None")
    if tokens_per_pass is not None and tokens_per_pass < 1:
        raise ValueError(f"tokens_per_pass is {tokens_per_pass}: give a number of tokens, or None")
    folder = RunFolder(run)
    folder.check_trained()
    if folder.holds_a_blend:
        _check_model_options(folder, base_model=base_model, merge=merge)
        blended = read_blend(folder.model)
        judges = [
            load_judge(
                folder.path / member.run, device=device, tokens_per_pass=tokens_per_pass, calibrate=False, log=log
            ).recalibrated(member.calibration)
            for member in blended.members
        ]
        weights = [member.weight for member in blended.members]
        return EnsembleJudge(judges, weights, blended.calibration if calibrate else None)
    if folder.holds_a_baseline:
        _check_model_options(folder, base_model=base_model, merge=merge)
        from tiebreak.baselines import load_baseline

        stored = load_baseline(folder.model)
        return BaselineJudge(stored.judge, stored.card.calibration if calibrate else None)
    require_extra("train", "judging with a language model")
    import torch

    from tiebreak.models import (
        TokenBudget,
        check_supported,
        load_tokenizer,
        load_trained,
        load_trained_base,
        merge_adapter,
        read_card,
        resolve_compute_dtype,
        use_fused_layers,
    )
    from tiebreak.text import Encoder, Template, template_of

    card = read_card(folder.model)
    place = _device(device)
    with quiet_model_loading():
        model: nn.Module
        if merge is None:
            compute_dtype = resolve_compute_dtype(card.compute_dtype, card.precision, place)
            base = load_trained_base(card, base_model, card.precision, card.compute_dtype, place)
            model = load_trained(base, folder.model)
        else:
            compute_dtype = resolve_compute_dtype("auto", merge, place)
            check_supported(merge, compute_dtype, place)
            held: Precision = "bf16" if place.type == "cuda" or merge == "bf16" else "fp32"
            base = load_trained_base(card, base_model, held, "auto", torch.device("cpu"))
            model = merge_adapter(base, folder.model, merge, place)
    use_fused_layers(model, compute_dtype)
    tokenizer = load_tokenizer(str(folder.model))
    usual = max(card.tokens_per_pass, GPU_TOKENS) if place.type == "cuda" else card.tokens_per_pass
    budget = TokenBudget(max(tokens_per_pass or usual, card.max_length), log)
    template = template_of(card.template, card.head)
    calibration = card.calibration if calibrate else None
    if isinstance(template, Template):
        pairs = Encoder(tokenizer, template, card.max_length)
        return PairwiseJudge(HeadInference(model, pairs, compute_dtype, budget), calibration)
    assert card.rewards is not None  # the card says so of every pointwise head
    sides = Encoder(tokenizer, template, card.max_length)
    return RewardModelJudge(HeadInference(model, sides, compute_dtype, budget), card.rewards, calibration)


def _check_model_options(folder: RunFolder, *, base_model: str | None, merge: Merge | None) -> None:
    """What a judge without a model of its own cannot be told.

    Raises:
        ModelError: one of these is given.
    """
    if base_model is not None or merge is not None:
        what = "--base-model" if base_model is not None else "--merge"
        raise ModelError(f"{what} goes with a run that has a base model, and {folder} has none of its own.")


def _device(name: str | None) -> torch.device:
    import torch

    from tiebreak.models import default_device

    if name is None:
        return default_device()
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"There is no device {name!r} here ({str(error).partition(chr(10))[0]}). Try cpu.") from error
    return device
