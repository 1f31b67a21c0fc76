"""The trainable part: LoRA matrices in the base model, and the head beside them, as PEFT keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import torch

from tiebreak.errors import ModelError
from tiebreak.models.precision import HEAD

if TYPE_CHECKING:
    from peft import LoraConfig, PeftModel
    from transformers import PreTrainedModel

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

    Both the task type and the head's name are given: either one missing is how the field loses its heads.
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


def add_adapter(model: PreTrainedModel, config: LoraConfig) -> PeftModel:
    """The model with fresh LoRA matrices in it; only these and the head are left to train, both in float32.

    Raises:
        ModelError: the adapter names a layer the model does not have.
    """
    from peft import get_peft_model

    asked = [] if isinstance(config.target_modules, str) else config.target_modules or []
    unknown = sorted(name for name in asked if not _adapted_layers(model, [name]))
    if unknown:  # PEFT minds only if none of the names is found
        names = ", ".join(sorted({layer.rpartition(".")[2] for layer in _linear_layers(model)}))
        raise ModelError(f"lora.target_modules names {', '.join(unknown)}; the model's linear layers are {names}.")
    return _trained_in_float32(cast("PeftModel", get_peft_model(model, config)))


def _trained_in_float32(model: PeftModel) -> PeftModel:
    """PEFT sees to LoRA's matrices; biases of a bfloat16 model that are trained too would stay what they are."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return model


def load_trainable_adapter(model: PreTrainedModel, folder: Path, config: LoraConfig) -> PeftModel:
    """The model with an earlier run's adapter and head in it, ready to be trained further.

    Args:
        model: the same base model the earlier run had.
        folder: the earlier run's `model` folder.
        config: the adapter this run's recipe asks for, which must be the earlier one's.

    Raises:
        ModelError: the adapter's shape differs from the recipe's.
    """
    from peft import LoraConfig, PeftModel

    earlier = LoraConfig.from_pretrained(str(folder))
    for key in ("r", "lora_alpha", "bias", "use_rslora", "layers_to_transform"):
        was, asked = getattr(earlier, key), getattr(config, key)
        if was != asked:
            raise ModelError(f"The adapter in {folder} has {key} = {was}, the recipe asks for {asked}: set lora.{key}.")
    was, asked = (_adapted_layers(model, c.target_modules) for c in (earlier, config))
    if was != asked:
        names = ", ".join(sorted({name.rpartition(".")[2] for name in was}))
        raise ModelError(
            f"The adapter in {folder} is on other layers than the recipe's: set lora.target_modules=[{names}]."
        )
    return _trained_in_float32(PeftModel.from_pretrained(model, str(folder), is_trainable=True, config=config))


def _linear_layers(model: torch.nn.Module) -> set[str]:
    """Full names of a model's linear layers, head left out: what `all-linear` stands for."""
    return {name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear) and name != HEAD}


def _adapted_layers(model: torch.nn.Module, target: set[str] | list[str] | str | None) -> set[str]:
    """Full names of the layers that LoRA's `target_modules`, last parts or full names, stand for."""
    layers = _linear_layers(model)
    if target == "all-linear":
        return layers
    return {layer for layer in layers if any(layer == name or layer.endswith(f".{name}") for name in target or ())}


def save_adapter(model: PeftModel, folder: Path) -> None:
    """Adapter and head as safetensors, in PEFT's own format.

    Embeddings are never saved: PEFT would ask the hub whether their size changed, on every checkpoint.
    """
    model.save_pretrained(str(folder), save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)  # PEFT's empty model card
