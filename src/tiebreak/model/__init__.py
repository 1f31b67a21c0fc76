"""Packs in, logits out: loading, adapting, quantising and running the model, and saving what was trained."""

from tiebreak.model.adapter import add_adapter, continue_adapter, lora_config, save_adapter
from tiebreak.model.attention import ATTENTION
from tiebreak.model.base import NANO, load_base, load_config, load_tokenizer, refuse_unsupported, reset_head
from tiebreak.model.checkpoint import JudgeCard, load_trained, merge_trained, read_card, save_trained
from tiebreak.model.fusion import checkpoint_layers, fuse, is_fused, layer_count
from tiebreak.model.memory import TokenBudget
from tiebreak.model.network import pack_logits, predict_logits
from tiebreak.model.precision import Precision, default_device, quantization_config, resolve_compute_dtype

__all__ = [
    "ATTENTION",
    "NANO",
    "JudgeCard",
    "Precision",
    "TokenBudget",
    "add_adapter",
    "checkpoint_layers",
    "continue_adapter",
    "default_device",
    "fuse",
    "is_fused",
    "layer_count",
    "load_base",
    "load_config",
    "load_tokenizer",
    "load_trained",
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
]
