"""The classification head that a checkpoint brings along."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor

from tiebreak.errors import ModelError
from tiebreak.models.heads import LABELS, HeadKind
from tiebreak.models.hub import model_location, translate_load_errors
from tiebreak.models.precision import HEAD

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

_CLASSIFIER: Final = "ForSequenceClassification"
"""The end of the class name of transformers' sequence classifiers."""

_FILES: Final = ("model.safetensors", "pytorch_model.bin")


def is_sequence_classifier(config: PreTrainedConfig) -> bool:
    """Whether a checkpoint was saved as a sequence classifier of transformers."""
    return str((config.architectures or [""])[0]).endswith(_CLASSIFIER)


def read_head(
    name: str, revision: str | None, config: PreTrainedConfig, head: HeadKind
) -> dict[str, Tensor] | None:  # fmt: skip
    """Weight and bias, if any, of the head of a sequence classifier of transformers, in float32.

    Returns:
        None if the checkpoint has no head, or one for other labels than `head` has.

    Raises:
        ModelError: the checkpoint is a sequence classifier by its configuration, and its head is missing or of another
            shape.
    """
    if not is_sequence_classifier(config):
        return None
    # Three classes can be any three: only our own labels show that the head is a judge's.
    if config.label2id != LABELS[head] if head == "pairwise" else config.num_labels != 1:
        return None
    with translate_load_errors(name):
        saved = {part: _tensor(name, revision, f"{HEAD}.{part}") for part in ("weight", "bias")}
    weight = saved["weight"]
    expected = (len(LABELS[head]), config.get_text_config(decoder=True).hidden_size)
    if weight is None or tuple(weight.shape) != expected:
        state = "missing" if weight is None else f"of shape {tuple(weight.shape)} instead of {expected}"
        raise ModelError(
            f"{name} is a sequence classifier by its config.json ({config.architectures}), but its head "
            f"{HEAD}.weight is {state}. Tiebreak reads heads of one linear layer with this name. Use a checkpoint that "
            "has one, or the base model."
        )
    return {part: tensor.float() for part, tensor in saved.items() if tensor is not None}


def _tensor(name: str, revision: str | None, key: str) -> Tensor | None:
    """One tensor of a checkpoint; None if it has no such tensor."""
    for file in _FILES:
        path = _file_with(name, revision, file, key)
        if path is None:
            continue
        if file.endswith(".safetensors"):
            from safetensors import safe_open

            with safe_open(path, framework="pt") as tensors:
                return tensors.get_tensor(key) if key in tensors.keys() else None  # noqa: SIM118
        tensor: Tensor | None = torch.load(path, map_location="cpu", weights_only=True, mmap=True).get(key)
        return tensor
    return None


def _file_with(name: str, revision: str | None, file: str, key: str) -> str | None:
    """The path of the weights file, or of the shard that has the tensor; None if there is neither."""
    index = checkpoint_file(name, revision, f"{file}.index.json")
    if index is None:
        return checkpoint_file(name, revision, file)
    shard = json.loads(Path(index).read_text(encoding="utf-8"))["weight_map"].get(key)
    return None if shard is None else checkpoint_file(name, revision, shard)


def checkpoint_file(name: str, revision: str | None, file: str) -> str | None:
    """The path of a checkpoint's file, downloaded if necessary; None if it has no such file."""
    from transformers.utils.hub import cached_file

    path: str | None = cached_file(
        model_location(name),
        file,
        revision=revision,
        _raise_exceptions_for_missing_entries=False,
    )
    return path
