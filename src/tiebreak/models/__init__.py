"""Packs in, logits out: loading, adapting, quantising and running the model, and saving what was trained."""

from tiebreak.models.attention import ATTENTION
from tiebreak.models.base_support import check_base
from tiebreak.models.card_encoder import card_encoder
from tiebreak.models.checkpoint_head import head_note
from tiebreak.models.checkpoints import (
    JudgeCard,
    RewardScale,
    load_trained,
    load_trained_base,
    merge_adapter,
    read_adapter_card,
    read_card,
    save_trained,
    write_card,
)
from tiebreak.models.forward import pack_logits, predict_logits
from tiebreak.models.fused.patch import use_fused_layers
from tiebreak.models.gguf import is_gguf
from tiebreak.models.heads import (
    LABELS,
    HeadKind,
    RewardHead,
    classifier_module,
    judge_head,
    texts_per_vote,
    vote_logits,
)
from tiebreak.models.hub import NANO, load_config, load_text_config, load_tokenizer
from tiebreak.models.layer_stack import layer_stack
from tiebreak.models.loading import check_supported, emulation_note, load_base, reset_head
from tiebreak.models.lora import add_adapter, load_trainable_adapter, lora_config, save_adapter
from tiebreak.models.precision import Precision, default_device, quantization_config, resolve_compute_dtype
from tiebreak.models.published import (
    CONVERSATION_TEMPLATE,
    exported_card,
    load_published_tokenizer,
    published_head,
    published_judge,
    write_published_tokens,
)
from tiebreak.models.text_classifier import TextClassifier
from tiebreak.models.token_budget import TokenBudget

__all__ = [
    "ATTENTION",
    "CONVERSATION_TEMPLATE",
    "LABELS",
    "NANO",
    "HeadKind",
    "JudgeCard",
    "Precision",
    "RewardHead",
    "RewardScale",
    "TextClassifier",
    "TokenBudget",
    "add_adapter",
    "card_encoder",
    "check_base",
    "check_supported",
    "classifier_module",
    "default_device",
    "emulation_note",
    "exported_card",
    "head_note",
    "is_gguf",
    "judge_head",
    "layer_stack",
    "load_base",
    "load_config",
    "load_published_tokenizer",
    "load_text_config",
    "load_tokenizer",
    "load_trainable_adapter",
    "load_trained",
    "load_trained_base",
    "lora_config",
    "merge_adapter",
    "pack_logits",
    "predict_logits",
    "published_head",
    "published_judge",
    "quantization_config",
    "read_adapter_card",
    "read_card",
    "reset_head",
    "resolve_compute_dtype",
    "save_adapter",
    "save_trained",
    "texts_per_vote",
    "use_fused_layers",
    "vote_logits",
    "write_card",
    "write_published_tokens",
]
