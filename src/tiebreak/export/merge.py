"""Merging a run's adapter and head into the full-precision base: a plain transformers classifier."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import torch
from torch import nn

from tiebreak.errors import ModelError
from tiebreak.export.result import ExportDtype
from tiebreak.models import JudgeCard, Precision, is_gguf, judge_head, load_config, load_trained, load_trained_base
from tiebreak.models.precision import HEAD

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from tiebreak.models import TextClassifier

_DTYPES: Final = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_PRECISIONS: Final[dict[torch.dtype, Precision]] = {
    torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16",
}  # fmt: skip


def check_adapter(folder: Path) -> None:
    """Check that the weights of a run's adapter are finite, before a base model is loaded.

    Raises:
        ModelError: they are not finite.
    """
    from safetensors import safe_open

    with safe_open(folder / "adapter_model.safetensors", framework="pt") as saved:
        broken = sorted(name for name in saved.keys() if not saved.get_tensor(name).isfinite().all())  # noqa: SIM118
    if broken:
        raise ModelError(
            f"{len(broken)} of the adapter's weights in {folder} are not finite (the first is {broken[0]}): its "
            "training diverged. Nothing was exported. Train again with a lower training.learning_rate."
        )


def check_family(card: JudgeCard, base_model: str | None, *, adapter_only: bool) -> None:
    """Check that transformers has a class that loads the export.

    Raises:
        ModelError: it has none.
    """
    from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING

    name = base_model or card.base_model
    config = load_config(name, card.revision)
    text = config.get_text_config(decoder=True)
    if type(text) not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING:
        raise ModelError(
            f"transformers has no sequence classifier for {name} ({text.model_type}), so it could not load an export. "
            "Use the run itself: tiebreak serve, tiebreak judge, load_judge."
        )
    if adapter_only and is_gguf(name):
        raise ModelError(
            f"{name} is a GGUF file, and PEFT cannot put an adapter on one. Export the merged weights: leave out "
            "--adapter-only."
        )
    if adapter_only and text is not config:
        raise ModelError(
            f"{name} is more than a text model ({config.model_type}), and the adapter is for its text model alone, so "
            "PEFT could not load it. Export the merged weights: leave out --adapter-only."
        )


def as_transformers_classifier(model: TextClassifier) -> PreTrainedModel:
    """The same weights in transformers' own sequence classifier, which knows how to save them."""
    from transformers import AutoModelForSequenceClassification

    with torch.device("meta"):
        classifier: Any = AutoModelForSequenceClassification.from_config(model.text_config)
    classifier.load_state_dict(model.state_dict(), assign=True, strict=True)
    return cast("PreTrainedModel", classifier)


def merged_classifier(
    card: JudgeCard, folder: Path, *, base_model: str | None, dtype: ExportDtype
) -> TextClassifier:  # fmt: skip
    """The run's judge as a classifier without parts of PEFT or Tiebreak.

    The base is loaded in the type of its checkpoint, whatever its precision in training was. Each layer is merged in
    float32 and rounded once, to the requested type. A model of 9 billion weights, stored and exported in 16 bits, takes
    19 GB of memory; stored or exported in 32 bits it takes 37 GB. The head stays in float32.

    Args:
        card: the run's card.
        folder: the run's `model` folder.
        base_model: where the base model is, if it is not where it was in training.
        dtype: of the merged weights.

    Raises:
        ModelError: the base cannot be loaded, or merged weights are too large for `dtype`.
        RunError: the folder holds no trained model, or a damaged one.
    """
    stored = _stored_dtype(card, base_model)
    wanted = stored if dtype == "auto" else _DTYPES[dtype]
    loaded = torch.float32 if wanted == torch.float32 else stored
    base = load_trained_base(card, base_model, _PRECISIONS[loaded], "auto", torch.device("cpu"))
    model = _merged(load_trained(base, folder), wanted)
    _set_plain_head(model)
    broken = [name for name, parameter in model.named_parameters() if not parameter.isfinite().all()]
    if broken:
        raise ModelError(
            f"{len(broken)} merged weights are not finite in {str(wanted).removeprefix('torch.')} (the first is "
            f"{broken[0]}). Export in another type: --dtype bfloat16 or float32."
        )
    return model


def _stored_dtype(card: JudgeCard, base_model: str | None) -> torch.dtype:
    stored = load_config(base_model or card.base_model, card.revision).dtype
    dtype = _DTYPES.get(str(stored).removeprefix("torch."))
    return torch.float32 if dtype is None else dtype


@torch.no_grad()
def _merged(trained: nn.Module, dtype: torch.dtype) -> TextClassifier:
    from peft.tuners.lora import LoraLayer

    for layer in trained.modules():
        if isinstance(layer, LoraLayer):
            weight = cast(Any, layer).get_base_layer().weight
            weight.data = weight.data.float()
            cast(Any, layer).merge()
            weight.data = weight.data.to(dtype)
    model: TextClassifier = cast(Any, trained).unload()
    for name, parameter in model.named_parameters():
        if not name.startswith(f"{HEAD}."):
            parameter.data = parameter.data.to(dtype)
    return model


def _set_plain_head(model: TextClassifier) -> None:
    """Replace the head by a plain one: transformers' classes have no tie parameter."""
    trained = judge_head(model)
    plain = nn.Linear(trained.in_features, trained.out_features, bias=trained.bias is not None)
    plain.load_state_dict({name: value for name, value in trained.state_dict().items() if name in ("weight", "bias")})
    setattr(model, HEAD, plain)
