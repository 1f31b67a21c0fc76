"""Checks of a base model before its weights are loaded: whether Tiebreak can train and judge with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import torch
from torch import nn

from tiebreak.errors import ModelError, RecipeError
from tiebreak.library_logging import quiet_model_loading
from tiebreak.models.hub import load_config
from tiebreak.models.precision import Precision
from tiebreak.models.probe import ProbeResult, probe
from tiebreak.models.text_classifier import decoder_layers

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

_QUANTIZED: Final = ("nf4", "int8", "fp8")
_MIN_QUANTIZED_SHARE: Final = 0.9
"""The least share of the decoder's weights that a quantized precision must apply to."""

_ATTENTION_DROPOUT: Final = ("attention_dropout", "attn_pdrop", "attention_probs_dropout_prob")
_KNOWN_LAYERS: Final = {"full_attention", "sliding_attention", "chunked_attention"}
_ADVICE: Final = "Use a decoder with full or sliding-window attention: Gemma, Llama, Qwen3, Mistral or Phi, for example."


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
    result = probe(text, max_length)
    if not result.passed:
        raise ModelError(_reason(name, text, max_length, result))
    if precision in _QUANTIZED:
        _check_quantized_share(name, text, precision)
    return [
        f"{key}={getattr(text, key)} of {name} is not applied: attention over packs has no dropout."
        for key in _ATTENTION_DROPOUT
        if getattr(text, key, None)
    ]


def without_attention_dropout(config: PreTrainedConfig) -> None:
    """Set the attention dropout of a text configuration to 0."""
    for key in _ATTENTION_DROPOUT:
        if getattr(config, key, None):
            setattr(config, key, 0.0)


def _check_context_length(name: str, config: Any, max_length: int) -> None:
    """Check that the model was trained on positions up to `max_length`."""
    context = getattr(config, "max_position_embeddings", None)
    if isinstance(context, int) and max_length > context:
        raise RecipeError(
            f"text.max_length is {max_length:,} tokens, and {name} was made for {context:,}: set text.max_length="
            f"{context} or less."
        )


def _reason(name: str, config: Any, max_length: int, result: ProbeResult) -> str:
    """Why the probe failed, as far as the configuration tells, and what to do."""
    kinds = sorted(set(getattr(config, "layer_types", None) or ()) - _KNOWN_LAYERS)
    if kinds:
        return (
            f"{name} has layers ({', '.join(kinds)}) in which the sequences of one pass would affect each other. "
            f"{_ADVICE}"
        )
    rope = _varying_rope(config)
    if rope is not None and max_length > rope[1]:
        kind, length = rope
        return (
            f"{name} uses other rotary factors ({kind} rope) in every pass with a text of more than {length:,} tokens, "
            f"so texts would affect each other. Set text.max_length={length} or less (it is {max_length:,})."
        )
    chunk = getattr(config, "attention_chunk_size", None)
    if chunk and max_length > chunk:
        return (
            f"{name} attends within chunks of {chunk:,} tokens, which packs do not have. Set text.max_length={chunk} "
            f"or less (it is {max_length:,})."
        )
    if result.reads_ahead:
        return f"{name} is an encoder ({config.model_type}): its tokens attend to later ones. {_ADVICE}"
    if getattr(config, "alibi", False) or config.model_type in ("bloom", "mpt"):
        return f"{name} has ALiBi ({config.model_type}), which packs do not have. {_ADVICE}"
    if result.failure is not None:
        return f"{name} ({config.model_type}) cannot be run over packs: {result.failure}. {_ADVICE}"
    return (
        f"{name} ({config.model_type}) gives other outputs over packs than transformers gives for each text: a random "
        f"model of this architecture differs by {result.deviation:.1%}. Its attention mask or its layers are of a kind "
        f"that Tiebreak does not know. {_ADVICE}"
    )


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
