"""Packs in, logits out: loading, adapting, quantising and running the model, and saving what was trained."""

from tiebreak.model.adapter import add_adapter, continue_adapter, lora_config, save_adapter
from tiebreak.model.attention import ATTENTION
from tiebreak.model.base import NANO, load_base, load_config, load_tokenizer, refuse_unsupported, reset_head
from tiebreak.model.checkpoint import (
    JudgeCard,
    RewardScale,
    load_trained,
    load_trained_base,
    merge_trained,
    read_card,
    save_trained,
    write_card,
)
from tiebreak.model.fusion import checkpoint_layers, fuse, is_fused, layer_count
from tiebreak.model.heads import LABELS, HeadKind, RewardHead, classifier_of, head_of, texts_a_vote, vote_logits
from tiebreak.model.memory import TokenBudget
from tiebreak.model.network import pack_logits, predict_logits
from tiebreak.model.precision import Precision, default_device, quantization_config, resolve_compute_dtype

__all__ = [
    "ATTENTION",
    "LABELS",
    "NANO",
    "HeadKind",
    "JudgeCard",
    "Precision",
    "RewardHead",
    "RewardScale",
    "TokenBudget",
    "add_adapter",
    "checkpoint_layers",
    "classifier_of",
    "continue_adapter",
    "default_device",
    "fuse",
    "head_of",
    "is_fused",
    "layer_count",
    "load_base",
    "load_config",
    "load_tokenizer",
    "load_trained",
    "load_trained_base",
    "lora_config",
    "merge_trained",
    "pack_logits",
    "predict_logits",
    "quantization_config",
    "read_card",
    "refuse_unsupported",
    "reset_head",
    "resolve_compute_dtype",
    "save_adapter",
    "save_trained",
    "texts_a_vote",
    "vote_logits",
    "write_card",
]
