"""Checks of a base model before its weights are loaded: whether Tiebreak can train and judge with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import torch
from torch import nn

from tiebreak.errors import ModelError, RecipeError
from tiebreak.library_logging import quiet_model_loading
from tiebreak.models.attention import ATTENTION
from tiebreak.models.hub import load_config
from tiebreak.models.precision import Precision
from tiebreak.models.probe import ProbeResult, probe
from tiebreak.models.text_classifier import ATTENTION_DROPOUT, decoder_layers, text_body

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

_QUANTIZED: Final = ("nf4", "int8", "fp8")
_MIN_QUANTIZED_SHARE: Final = 0.9
"""The least share of the decoder's weights that a quantized precision must apply to."""

_ALIBI: Final = {"bloom", "mpt"}
"""Model types with ALiBi whose configuration does not say so."""

_KNOWN_LAYERS: Final = {"full_attention", "sliding_attention", "chunked_attention"}
_ADVICE: Final = "Use a decoder with full or sliding-window attention, such as Gemma, Llama, Qwen3, Mistral or Phi."


def check_base(name: str, revision: str | None, *, precision: Precision, max_length: int) -> list[str]:
    """Check that a base model gives right results over packs, in this precision, up to this length.

    The configuration is read, and nothing else of the checkpoint.

    Returns:
        Notes on what training does differently from the configuration.

    Raises:
        ModelError: the model cannot be used, with the reason and what to do.
        RecipeError: the model was made for shorter texts than `max_length`.
    """
    config = load_config(name, revision)
    text = config.get_text_config(decoder=True)
    if getattr(config, "quantization_config", None) is not None or getattr(text, "quantization_config", None):
        raise ModelError(
            f"{name} was saved quantized. Use the original checkpoint: model.precision={precision} quantizes it while "
            "loading."
        )
    if config.is_encoder_decoder:
        raise ModelError(f"{name} is an encoder-decoder ({config.model_type}), and a judge needs a decoder. {_ADVICE}")
    _check_context_length(name, text, max_length)
    if text is not config:
        _check_composite(name, config)
    limit = _length_limit(text)
    if limit is not None and max_length > limit[1]:
        raise ModelError(_too_long(name, limit, max_length))
    result = probe(text, max_length)
    if not result.passed:
        raise ModelError(_reason(name, text, result))
    if precision in _QUANTIZED:
        _check_quantized_share(name, text, precision)
    return [
        f"{key}={getattr(text, key)} of {name} is not applied: attention over packs has no dropout."
        for key in ATTENTION_DROPOUT
        if getattr(text, key, None)
    ]


def longest_usable_text(config: PreTrainedConfig) -> int | None:
    """The number of tokens that texts may have at most; None if the configuration has no limit."""
    text = config.get_text_config(decoder=True)
    limit = _length_limit(text)
    lengths = [getattr(text, "max_position_embeddings", None), None if limit is None else limit[1]]
    return min((length for length in lengths if isinstance(length, int)), default=None)


def _check_composite(name: str, config: PreTrainedConfig) -> None:
    """Check that the text model of a model that also reads images or sound can be taken out of it."""
    from transformers import AutoModel

    try:
        with quiet_model_loading(), torch.device("meta"):
            text_body(AutoModel.from_config(config, attn_implementation=ATTENTION))
    except Exception as error:  # any failure of a model that is not known
        raise ModelError(
            f"{name} reads more than text ({config.model_type}), and Tiebreak does not find its text model: "
            f"{type(error).__name__}: {error}. Use a text model."
        ) from error


def _check_context_length(name: str, config: Any, max_length: int) -> None:
    """Check that the model was trained on positions up to `max_length`."""
    context = getattr(config, "max_position_embeddings", None)
    if isinstance(context, int) and max_length > context:
        raise RecipeError(
            f"text.max_length is {max_length:,} tokens, and {name} was made for {context:,}: set text.max_length="
            f"{context} or less."
        )


def _too_long(name: str, limit: tuple[str, int], max_length: int) -> str:
    why, length = limit
    return f"{name} {why}. Set text.max_length={length} or less (it is {max_length:,})."


def _reason(name: str, config: Any, result: ProbeResult) -> str:
    """Why the probe failed, as far as the configuration tells, and what to do."""
    kinds = sorted(set(getattr(config, "layer_types", None) or ()) - _KNOWN_LAYERS)
    if kinds:
        reason = f"has layers ({', '.join(kinds)}) in which the sequences of one pass would affect each other"
    elif result.reads_ahead:
        reason = f"is an encoder ({config.model_type}): its tokens attend to later ones"
    elif getattr(config, "alibi", False) or config.model_type in _ALIBI:
        reason = f"has ALiBi ({config.model_type}), which packs do not have"
    elif result.failure is not None:
        reason = f"({config.model_type}) cannot be run over packs: {result.failure.rstrip('.')}"
    else:
        reason = (
            f"({config.model_type}) gives other outputs over packs than transformers gives for each text: those of a "
            f"random model of this architecture differ by {result.deviation:.1%}. Its attention mask or its layers are "
            "of a kind that Tiebreak does not know"
        )
    return f"{name} {reason}. {_ADVICE}"


def _length_limit(config: Any) -> tuple[str, int] | None:
    """Why texts may only have a limited length, and that length; None if there is no such limit."""
    rope = _varying_rope(config)
    if rope is not None:
        kind, length = rope
        why = (
            f"uses other rotary factors ({kind} rope) in every pass with a text of more than {length:,} tokens, so "
            "texts would affect each other"
        )
        return why, length
    chunk = getattr(config, "attention_chunk_size", None)
    scaled = getattr(config, "floor_scale", None) if getattr(config, "attn_temperature_tuning", False) else None
    lengths = [length for length in (chunk, scaled and scaled - 1) if length]
    if not lengths:
        return None
    longest = min(lengths)
    why = f"attends in another way to texts of more than {longest:,} tokens (in chunks, or scaled), which packs do not"
    return why, longest


def _varying_rope(config: Any) -> tuple[str, int] | None:
    """The kind of rotary embedding whose factors depend on the longest text, and the length where they change."""
    rope = getattr(config, "rope_parameters", None) or {}
    for parameters in (rope, *(value for value in rope.values() if isinstance(value, dict))):
        kind = parameters.get("rope_type")
        if kind == "longrope":
            return kind, int(parameters["original_max_position_embeddings"])
        if kind == "dynamic":
            return kind, int(config.max_position_embeddings)
    return None


def _check_quantized_share(name: str, config: PreTrainedConfig, precision: Precision) -> None:
    """Check that quantization reaches the weights: experts that are not linear layers stay in 16 bits."""
    share = _linear_share(config)
    if share < _MIN_QUANTIZED_SHARE:
        raise ModelError(
            f"{name} is a mixture of experts, and model.precision={precision} reaches only {share:.0%} of its "
            "decoder's weights: the experts are no linear layers and would stay in 16 bits. Use model.precision=bf16 "
            "where memory allows, or a dense base model."
        )


def _linear_share(config: PreTrainedConfig) -> float:
    """Share of the decoder layers' matrix weights that are in linear layers."""
    from transformers import AutoModel

    with quiet_model_loading(), torch.device("meta"):
        model = AutoModel.from_config(config)
    linear = total = 0
    for module in decoder_layers(model).modules():
        for parameter in module.parameters(recurse=False):
            if parameter.ndim > 1:
                total += parameter.numel()
                linear += parameter.numel() * _is_linear(module)
    return linear / total if total else 1.0


def _is_linear(module: nn.Module) -> bool:
    from transformers.pytorch_utils import Conv1D

    return isinstance(module, nn.Linear | Conv1D)
