"""A run's `model` folder: adapter, head, tokenizer, and the card with every setting that its outputs depend on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from torch import nn

from tiebreak.calibration import Calibration
from tiebreak.errors import RunError
from tiebreak.models.base_support import check_base
from tiebreak.models.fp8 import quantize_to_fp8
from tiebreak.models.heads import HeadKind
from tiebreak.models.loading import load_base
from tiebreak.models.lora import save_adapter
from tiebreak.models.precision import HEAD, ComputeDtype, Precision
from tiebreak.ranking import TieModel
from tiebreak.runs import RunFolder, translate_write_errors, write_folder_atomically, write_text
from tiebreak.text import AddedTokens

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import PreTrainedTokenizerFast

    from tiebreak.models.text_classifier import TextClassifier


class RewardScale(BaseModel):
    """The tie model and the scale of a reward model's rewards."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tie_model: TieModel
    tie_parameter: float
    """As learned; an argument of `tiebreak.ranking.outcome_logits`."""
    mean: float
    """Of the rewards of the validation rows' answers, in nats."""
    deviation: float
    """Their standard deviation, in nats."""


class JudgeCard(BaseModel):
    """`tiebreak.json`: the settings that a judge's outputs depend on, besides weights and tokenizer."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    format: Literal[1] = 1
    base_model: str
    revision: str | None
    head: HeadKind
    precision: Precision
    compute_dtype: ComputeDtype
    template: str
    """With its slots; `chat` for the chat template of the tokenizer in this folder."""
    max_length: int
    tokens_per_pass: int
    added_tokens: AddedTokens | None = None
    """Special tokens around every text, as in training. Runs of Tiebreak 0.1 have none here: a BOS at most."""
    rewards: RewardScale | None = None
    """For a pointwise head only."""
    calibration: Calibration | None = None
    """The calibration of its probabilities; None if it was not calibrated."""
    adapter: bool = True
    """Whether adapter and head are in this folder; otherwise the base model is a published judge with its own head."""

    @model_validator(mode="after")
    def _rewards_of_a_pointwise_head(self) -> JudgeCard:
        if (self.rewards is not None) != (self.head == "pointwise"):
            raise ValueError("`rewards` must be present for a pointwise head, and only for one")
        return self


def load_trained_base(
    card: JudgeCard, name: str | None, precision: Precision, compute_dtype: ComputeDtype, device: torch.device
) -> TextClassifier:
    """Load the base model for a run's adapter and head.

    Args:
        card: the card of the run.
        name: where the base model is, if it is not where it was in training.
        precision: the type of the stored body weights.
        compute_dtype: the type of matrix products.
        device: the device of the model.

    Raises:
        ModelError: as in `load_base`.
    """
    check_base(name or card.base_model, card.revision, precision=precision, max_length=card.max_length)
    return load_base(
        name or card.base_model,
        revision=card.revision,
        precision=precision,
        compute_dtype=compute_dtype,
        device=device,
        head=card.head,
        tie_model="davidson" if card.rewards is None else card.rewards.tie_model,
        new_head=card.adapter,
    )


def load_trained(base: TextClassifier, folder: Path) -> PeftModel:
    """Load a run's adapter and head into the base model, for inference.

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
        raise RunError(
            f"The adapter in {folder} cannot be loaded: {first}. Copy the run again, or train it again."
        ) from error
    if absent:
        raise RunError(
            f"The adapter in {folder} lacks {len(absent)} weights (the first is {min(absent)}); they would be random. "
            "Copy the run again, or train it again."
        )
    return model


def merge_adapter(base: TextClassifier, folder: Path, into: Literal["bf16", "fp8"], device: torch.device) -> nn.Module:
    """Merge a run's adapter into the base model's weights, so that inference computes no LoRA products.

    Args:
        base: on the CPU, with weights in an unquantized floating-point type.
        folder: the run's `model` folder.
        into: the type of the merged weights.
        device: the device of the merged model.

    Raises:
        RunError: the folder holds no trained model, or a damaged one.
    """
    merger: Any = load_trained(base, folder)
    model: nn.Module = merger.merge_and_unload()
    if into == "fp8":
        quantize_to_fp8(model, device, skip=HEAD)
    return model.to(device).eval()


def save_trained(folder: Path, model: PeftModel, tokenizer: PreTrainedTokenizerFast, card: JudgeCard) -> None:
    """Write a run's `model` folder atomically.

    Raises:
        RunError: the disk is full, or the folder cannot be written to.
    """
    with write_folder_atomically(folder, replace=True) as draft:
        with translate_write_errors(folder):
            save_adapter(model, draft)
            tokenizer.save_pretrained(str(draft))
        write_card(draft, card)


def write_card(folder: Path, card: JudgeCard) -> None:
    """Write the card of a run's `model` folder atomically.

    Raises:
        RunError: the disk is full, or the folder cannot be written to.
    """
    write_text(folder / "tiebreak.json", card.model_dump_json(indent=2) + "\n")


def read_card(folder: Path) -> JudgeCard:
    """Read the card of a run's `model` folder.

    Raises:
        RunError: the folder holds no trained model, or this version cannot read its card.
    """
    path = folder / "tiebreak.json"
    if not path.is_file():
        run = folder.parent
        if RunFolder(run).names_a_model:
            raise RunError(f"{run} is a published model, and this needs a run. Make one: tiebreak calibrate, or train.")
        RunFolder(run).check_has_language_model("This needs a fine-tuned model")
        checkpoints = any((run / "checkpoints").glob("checkpoint-*"))
        remedy = (
            f"Its training is not finished. Continue it: tiebreak train {run / 'recipe.yaml'} --resume"
            if checkpoints
            else "Give the folder of a finished run (runs/NAME), as `tiebreak train` and `tiebreak demo` make it."
        )
        raise RunError(f"{run} holds no trained model ({path} is missing). {remedy}")
    return read_card_file(path)


def read_adapter_card(folder: Path) -> JudgeCard:
    """Read the card of a run's `model` folder, which must hold an adapter.

    Raises:
        RunError: as in `read_card`, or this is a published model, or the run refers to a published judge.
    """
    model = folder.parent
    if not (folder / "tiebreak.json").is_file() and RunFolder(model).names_a_model:
        # A calibrated judge has no adapter either, so calibrating, the remedy of `read_card`, would not help here.
        raise RunError(
            f"{model} is a published model, not a run, and has no adapter. Train one: "
            f"tiebreak train RECIPE model.name={model}."
        )
    card = read_card(folder)
    if not card.adapter:
        raise RunError(
            f"{folder.parent} refers to the published judge {card.base_model} and has no adapter. Train one: "
            f"tiebreak train RECIPE model.name={card.base_model} model.head={card.head} text.template=chat."
        )
    return card


def read_card_file(path: Path) -> JudgeCard:
    """Read a card.

    Raises:
        RunError: this version cannot read it.
    """
    try:
        return JudgeCard.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise RunError(f"{path} cannot be read by this version of Tiebreak: {error}") from error
