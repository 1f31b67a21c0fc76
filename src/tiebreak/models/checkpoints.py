"""A run's `model` folder: adapter, head, tokenizer, and the card that makes its numbers come out the same again."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from torch import nn

from tiebreak.calibration import Calibration
from tiebreak.errors import RunError
from tiebreak.models.fp8 import quantize_to_fp8
from tiebreak.models.heads import HeadKind
from tiebreak.models.loading import load_base
from tiebreak.models.lora import save_adapter
from tiebreak.models.precision import HEAD, ComputeDtype, Precision
from tiebreak.ranking import TieModel
from tiebreak.runs import RunFolder, translate_write_errors, write_text

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerFast


class RewardScale(BaseModel):
    """What a pointwise judge's rewards mean."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tie_model: TieModel
    tie_parameter: float
    """As learned; `tiebreak.ranking.outcome_logits` takes it."""
    mean: float
    """Of the rewards of the validation rows' answers, in nats."""
    deviation: float
    """Their standard deviation, in nats."""


class JudgeCard(BaseModel):
    """`tiebreak.json`: what, beside weights and tokenizer, makes the numbers come out the same again."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    format: Literal[1] = 1
    base_model: str
    revision: str | None
    head: HeadKind
    precision: Precision
    compute_dtype: ComputeDtype
    template: str
    max_length: int
    tokens_per_pass: int
    rewards: RewardScale | None = None
    """Of a pointwise judge, and of no other."""
    calibration: Calibration | None = None
    """What mends its probabilities; None if it was never calibrated."""

    @model_validator(mode="after")
    def _rewards_of_a_pointwise_head(self) -> JudgeCard:
        if (self.rewards is not None) != (self.head == "pointwise"):
            raise ValueError("a pointwise head has rewards, and no other")
        return self


def load_trained_base(
    card: JudgeCard, name: str | None, precision: Precision, compute_dtype: ComputeDtype, device: torch.device
) -> PreTrainedModel:
    """The base model that a run's adapter and head go into.

    Args:
        card: of the run.
        name: where the base model is, if not where it was in training.
        precision: how its body is to be held.
        compute_dtype: what it is to compute in.
        device: where it goes.

    Raises:
        ModelError: as in `load_base`.
    """
    return load_base(
        name or card.base_model,
        revision=card.revision,
        precision=precision,
        compute_dtype=compute_dtype,
        device=device,
        head=card.head,
        tie_model="davidson" if card.rewards is None else card.rewards.tie_model,
    )


def load_trained(base: PreTrainedModel, folder: Path) -> PeftModel:
    """The base model with a run's adapter and head in it, ready to judge.

    Raises:
        RunError: the folder holds no trained model, or a damaged one.
    """
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors import safe_open

    read_card(folder)
    try:
        model = PeftModel.from_pretrained(base, str(folder)).eval()
        with safe_open(folder / "adapter_model.safetensors", framework="pt") as saved:
            absent = get_peft_model_state_dict(model, save_embedding_layers=False).keys() - set(saved.keys())
    except Exception as error:
        first = str(error).strip().partition("\n")[0]
        raise RunError(f"The adapter in {folder} cannot be loaded: {first}. Copy or train the run anew.") from error
    if absent:
        raise RunError(
            f"The adapter in {folder} lacks {len(absent)} weights, {min(absent)} among them: they would be random. "
            "Copy or train the run anew."
        )
    return model


def merge_adapter(base: PreTrainedModel, folder: Path, into: Literal["bf16", "fp8"], device: torch.device) -> nn.Module:
    """The base model with a run's adapter merged into its weights: nothing beside the products is left to compute.

    Args:
        base: on the CPU, its weights in a plain floating-point type.
        folder: the run's `model` folder.
        into: what the merged weights are rounded to.
        device: where the model goes.

    Raises:
        RunError: the folder holds no trained model, or a damaged one.
    """
    merger: Any = load_trained(base, folder)
    model: nn.Module = merger.merge_and_unload()
    if into == "fp8":
        quantize_to_fp8(model, device, skip=HEAD)
    return model.to(device).eval()


def save_trained(folder: Path, model: PeftModel, tokenizer: PreTrainedTokenizerFast, card: JudgeCard) -> None:
    """Write a run's `model` folder, whole or not at all.

    Raises:
        RunError: the disk is full, or the folder cannot be written.
    """
    draft = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        with translate_write_errors(folder):
            save_adapter(model, draft)
            tokenizer.save_pretrained(str(draft))
            write_card(draft, card)
            if folder.exists():
                shutil.rmtree(folder)
            draft.replace(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def write_card(folder: Path, card: JudgeCard) -> None:
    """Write what a run's `model` folder says of itself, whole or not at all.

    Raises:
        RunError: the disk is full, or the folder cannot be written to.
    """
    write_text(folder / "tiebreak.json", card.model_dump_json(indent=2) + "\n")


def read_card(folder: Path) -> JudgeCard:
    """What a run's `model` folder says of itself.

    Raises:
        RunError: there is no trained model in it, or one this version cannot read.
    """
    path = folder / "tiebreak.json"
    if not path.is_file():
        run = folder.parent
        RunFolder(run).check_has_language_model("This needs a fine-tuned model")
        checkpoints = any((run / "checkpoints").glob("checkpoint-*"))
        remedy = (
            f"Its training did not come to an end: tiebreak train {run / 'recipe.yaml'} --resume goes on with it."
            if checkpoints
            else "Name the folder of a finished run (runs/NAME), as `tiebreak train` and `tiebreak demo` make it."
        )
        raise RunError(f"{run} holds no trained model ({path} is missing). {remedy}")
    try:
        return JudgeCard.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise RunError(f"{path} cannot be read by this version of Tiebreak: {error}") from error
