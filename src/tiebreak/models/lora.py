"""The trained part of a judge: LoRA matrices in the base model and the head, in PEFT's format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, cast

import torch

from tiebreak.errors import ModelError
from tiebreak.models.precision import HEAD

if TYPE_CHECKING:
    from peft import LoraConfig, PeftModel

    from tiebreak.models.text_classifier import TextClassifier

Bias = Literal["none", "all", "lora_only"]


def lora_config(
    *,
    r: int,
    lora_alpha: int,
    lora_dropout: float,
    target_modules: Sequence[str] | str,
    bias: Bias = "none",
    use_rslora: bool = False,
    layers_to_transform: Sequence[int] | None = None,
) -> LoraConfig:
    """LoRA (Hu et al. 2021) for a sequence classifier.

    The task type and the head's name are both set: without either one, PEFT does not save the head.
    """
    from peft import LoraConfig, TaskType

    return LoraConfig(
        task_type=TaskType.SEQ_CLS,
        r=r,
        lora_alpha=lora_alpha,
        lora_dropout=lora_dropout,
        target_modules=target_modules if isinstance(target_modules, str) else list(target_modules),
        bias=bias,
        use_rslora=use_rslora,
        layers_to_transform=None if layers_to_transform is None else list(layers_to_transform),
        modules_to_save=[HEAD],
    )


def add_adapter(model: TextClassifier, config: LoraConfig) -> PeftModel:
    """Add new LoRA matrices to the model; they and the head are trainable, in float32, and nothing else is.

    Raises:
        ModelError: the adapter names a layer that the model does not have.
    """
    from peft import get_peft_model

    if config.target_modules == "all-linear":
        config.target_modules = sorted(_linear_layers(model))
    names = [] if isinstance(config.target_modules, str) else config.target_modules or []
    unknown = sorted(name for name in names if not _adapted_layers(model, [name]))
    if unknown:  # PEFT raises only if none of the names is found
        layers = ", ".join(sorted({layer.rpartition(".")[2] for layer in _linear_layers(model)}))
        raise ModelError(
            f"lora.target_modules has {', '.join(unknown)}, which the model does not have. Its linear layers are "
            f"{layers}."
        )
    return _trained_in_float32(cast("PeftModel", get_peft_model(cast(Any, model), config)))


def _trained_in_float32(model: PeftModel) -> PeftModel:
    """Convert all trainable parameters to float32. PEFT converts LoRA matrices, but not trained biases."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return model


def load_trainable_adapter(model: TextClassifier, folder: Path, config: LoraConfig) -> PeftModel:
    """Load an earlier run's adapter and head into the model, to continue training.

    Args:
        model: the base model of the earlier run.
        folder: the earlier run's `model` folder.
        config: the adapter of this run's recipe; it must match the earlier one.

    Raises:
        ModelError: the adapter's shape differs from the recipe's.
    """
    from peft import LoraConfig, PeftModel

    earlier = LoraConfig.from_pretrained(str(folder))
    for key in ("r", "lora_alpha", "bias", "use_rslora", "layers_to_transform"):
        saved, wanted = getattr(earlier, key), getattr(config, key)
        if saved != wanted:
            raise ModelError(
                f"The adapter in {folder} has {key}={saved}, the recipe {wanted}. Set lora.{key}={saved}, or start "
                "without model.start_from."
            )
    saved_layers, wanted_layers = (_adapted_layers(model, c.target_modules) for c in (earlier, config))
    if saved_layers != wanted_layers:
        names = ", ".join(sorted({name.rpartition(".")[2] for name in saved_layers}))
        raise ModelError(
            f"The adapter in {folder} is on other layers than the recipe's. Set lora.target_modules=[{names}]."
        )
    return _trained_in_float32(PeftModel.from_pretrained(model, str(folder), is_trainable=True, config=config))


_ROUTERS: Final = {"router", "modality_router", "shared_expert_gate", "correction_coefs", "prediction_coefs"}
"""Linear layers with few outputs, which choose and weight other layers: `all-linear` leaves them out."""


def _linear_layers(model: torch.nn.Module) -> set[str]:
    """Full names of a model's linear layers without the head and routers: the meaning of `all-linear`.

    The experts of a mixture are no linear layers: transformers keeps the matrices of all experts in one parameter.
    """
    from transformers.pytorch_utils import Conv1D  # GPT-2's name for a linear layer

    return {
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D) and name != HEAD and name.rpartition(".")[2] not in _ROUTERS
    }


def _adapted_layers(model: torch.nn.Module, target: set[str] | list[str] | str | None) -> set[str]:
    """Full names of the layers that match LoRA's `target_modules`, given as last parts or full names."""
    layers = _linear_layers(model)
    if target == "all-linear":
        return layers
    return {layer for layer in layers if any(layer == name or layer.endswith(f".{name}") for name in target or ())}


def save_adapter(model: PeftModel, folder: Path) -> None:
    """Save adapter and head as safetensors, in PEFT's format.

    Embeddings are not saved: PEFT would query the hub on every checkpoint to see if their size changed.
    """
    model.save_pretrained(str(folder), save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)  # PEFT's empty model card
