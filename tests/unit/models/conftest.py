"""Tiny decoder-only classifiers with random weights, in float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import (
    Gemma2Config,
    Gemma2ForSequenceClassification,
    LlamaConfig,
    LlamaForSequenceClassification,
    MistralConfig,
    MistralForSequenceClassification,
    Qwen2Config,
    Qwen2ForSequenceClassification,
    Qwen3Config,
    Qwen3ForSequenceClassification,
)

from tiebreak.models import ATTENTION

SHAPE: dict[str, Any] = {
    "vocab_size": 97,
    "hidden_size": 64,  # heads of 16, the least the kernels take
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_labels": 3,
    "pad_token_id": 0,
    "attention_dropout": 0.0,
}

MODELS: dict[str, tuple[type, type, dict[str, Any]]] = {
    # A window of 7 and a soft cap of 5 both bite on the sequences of the tests.
    "gemma2": (
        Gemma2Config,
        Gemma2ForSequenceClassification,
        {"head_dim": 16, "sliding_window": 7, "attn_logit_softcapping": 5.0, "query_pre_attn_scalar": 2},
    ),
    "llama": (LlamaConfig, LlamaForSequenceClassification, {}),
    "qwen2": (Qwen2Config, Qwen2ForSequenceClassification, {}),
    "qwen2-window": (
        Qwen2Config,
        Qwen2ForSequenceClassification,
        {"use_sliding_window": True, "sliding_window": 6, "max_window_layers": 2},
    ),
    "qwen3": (Qwen3Config, Qwen3ForSequenceClassification, {"head_dim": 16}),
    "mistral": (MistralConfig, MistralForSequenceClassification, {"sliding_window": 5}),
}

Pair = tuple[torch.nn.Module, torch.nn.Module]


@pytest.fixture(params=list(MODELS))
def eager_and_packed(request: pytest.FixtureRequest) -> Pair:
    """The same random weights twice: with Hugging Face's eager attention, and with Tiebreak's."""
    return make_pair(request.param)


def make_pair(name: str, **changes: Any) -> Pair:
    config_class: Any
    model_class: Any
    config_class, model_class, extra = MODELS[name]
    make: Callable[[str], torch.nn.Module] = lambda attention: model_class._from_config(  # noqa: E731
        config_class(**SHAPE | extra | changes), attn_implementation=attention
    )
    torch.manual_seed(0)
    eager, packed = make("eager"), make(ATTENTION)
    for parameter in eager.parameters():  # larger than the default, so that attention is far from uniform
        torch.nn.init.normal_(parameter, std=0.2)
    packed.load_state_dict(eager.state_dict())
    return eager.eval(), packed.eval()


def padded_logits(model: torch.nn.Module, sequences: list[Any], side: str = "right") -> torch.Tensor:
    """Plain Hugging Face: a padded batch, the model's own pooling and head."""
    longest = max(len(s) for s in sequences)
    ids = torch.zeros(len(sequences), longest, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for i, s in enumerate(sequences):
        where = slice(0, len(s)) if side == "right" else slice(longest - len(s), longest)
        ids[i, where] = torch.as_tensor(s, dtype=torch.long)
        mask[i, where] = 1
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    logits: torch.Tensor = model(input_ids=ids, attention_mask=mask, position_ids=positions).logits
    return logits
