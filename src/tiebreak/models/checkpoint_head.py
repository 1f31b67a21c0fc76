"""The classification head that a checkpoint brings along."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import torch
from torch import Tensor

from tiebreak.errors import ModelError
from tiebreak.models.heads import LABELS, HeadKind
from tiebreak.models.hub import load_config, model_location, translate_load_errors
from tiebreak.models.precision import HEAD

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

_CLASSIFIER: Final = "ForSequenceClassification"
"""The end of the class name of transformers' sequence classifiers."""

_FILES: Final = ("model.safetensors", "pytorch_model.bin")


def is_sequence_classifier(config: PreTrainedConfig) -> bool:
    """Whether a checkpoint was saved as a sequence classifier of transformers."""
    return str((config.architectures or [""])[0]).endswith(_CLASSIFIER)


def has_labels(config: PreTrainedConfig, head: HeadKind) -> bool:
    """Whether a sequence classifier has the labels of this head: any single one, or exactly those of votes.

    Three classes can be any three: only our own labels, in our order, show that the head is a judge's. transformers
    names outputs by `id2label`; `label2id` may be absent.
    """
    if head == "pointwise":
        return bool(config.num_labels == 1)
    ids = LABELS[head]
    return config.id2label == {index: label for label, index in ids.items()} and config.label2id in (None, {}, ids)


def head_note(name: str, revision: str | None, head: HeadKind, *, reset: bool) -> str | None:
    """A sentence on what becomes of the head that a checkpoint brings along; None if it has none.

    Args:
        name: a hub name, a local folder or a GGUF file.
        revision: on the hub.
        head: what is trained.
        reset: whether a new head was asked for.
    """
    config = load_config(name, revision)
    if not is_sequence_classifier(config):
        return None
    if reset:
        return f"{name} is a classifier; its head is not used (model.reset_head=true)."
    if has_labels(config, head):
        return f"{name} is a classifier; its head is kept."
    labels = ", ".join(label for _, label in sorted(cast("dict[int, str]", config.id2label).items())[:5])
    return f"{name} is a classifier with other labels ({labels}) than model.head={head} has, so the head is new."


def read_head(name: str, revision: str | None, config: PreTrainedConfig, head: HeadKind) -> Tensor | None:
    """The weight of the head of a sequence classifier of transformers, in float32.

    Returns:
        None if the checkpoint has no head, or one for other labels than `head` has.

    Raises:
        ModelError: the checkpoint is a sequence classifier by its configuration, and its head is missing, of another
            shape, or has a bias.
    """
    if not is_sequence_classifier(config) or not has_labels(config, head):
        return None
    with translate_load_errors(name):
        weight, bias = (_tensor(name, revision, f"{HEAD}.{part}") for part in ("weight", "bias"))
    expected = (len(LABELS[head]), config.get_text_config(decoder=True).hidden_size)
    if weight is None or tuple(weight.shape) != expected:
        state = "missing" if weight is None else f"of shape {tuple(weight.shape)} instead of {expected}"
        raise ModelError(
            f"{name} is a sequence classifier by its config.json ({config.architectures}), but its head "
            f"{HEAD}.weight is {state}. Tiebreak reads heads of one linear layer with this name. Use a checkpoint that "
            "has one, or the base model."
        )
    if bias is not None:
        raise ModelError(
            f"The head of {name} has a bias ({HEAD}.bias), which sequence classifiers of transformers do not have and "
            "leave out. Use a checkpoint that was saved by transformers, or the base model."
        )
    return weight.float()


def _tensor(name: str, revision: str | None, key: str) -> Tensor | None:
    """One tensor of a checkpoint; None if it has no such tensor."""
    path = _weights_file(name, revision, key)
    if path is None:
        return None
    if path.endswith(".safetensors"):
        from safetensors import safe_open

        with safe_open(path, framework="pt") as tensors:
            return tensors.get_tensor(key) if key in tensors.keys() else None  # noqa: SIM118
    tensor: Tensor | None = torch.load(path, map_location="cpu", weights_only=True, mmap=True).get(key)
    return tensor


def _weights_file(name: str, revision: str | None, key: str) -> str | None:
    """The path of the weights file, or of the shard that has the tensor; None if no shard has it.

    Where a checkpoint has several, it is the one that transformers reads: the body comes from there.

    Raises:
        ModelError: a file is missing.
    """
    for file in _FILES:
        path = checkpoint_file(name, revision, file)
        if path is not None:
            return path
        index = checkpoint_file(name, revision, f"{file}.index.json")
        if index is None:
            continue
        shard = json.loads(Path(index).read_text(encoding="utf-8"))["weight_map"].get(key)
        path = None if shard is None else checkpoint_file(name, revision, shard)
        if shard is not None and path is None:
            raise ModelError(f"{name} lacks {shard}, which {file}.index.json names. Download it again.")
        return path
    raise ModelError(
        f"{name} has no weights ({' or '.join(_FILES)}, or the index of their shards). Download it again, or use a "
        "checkpoint in transformers' format."
    )


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
