"""Every family of base models that is tested, as a tiny configuration of its real class, and what becomes of it.

`python -m tests.unit.models.families` prints the table of docs/how-to/base-models.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

SIZES: dict[str, Any] = {
    "vocab_size": 128,
    "hidden_size": 64,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "max_position_embeddings": 256,
    "attention_dropout": 0.0,
}
GPT2_SIZES: dict[str, Any] = {"vocab_size": 128, "n_embd": 64, "n_layer": 4, "n_head": 4, "n_positions": 256}
GPT2_NO_DROPOUT: dict[str, Any] = {"resid_pdrop": 0.0, "embd_pdrop": 0.0}
VISION: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 28,
    "patch_size": 14,
}  # fmt: skip
LLAMA3_ROPE: dict[str, Any] = {
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64, "rope_theta": 10000.0,
}  # fmt: skip
LONGROPE: dict[str, Any] = {
    "rope_type": "longrope", "short_factor": [1.0] * 8, "long_factor": [4.0] * 8,
    "original_max_position_embeddings": 100, "rope_theta": 10000.0,
}  # fmt: skip
PHI3_LONG: dict[str, Any] = {"rope_scaling": LONGROPE, "original_max_position_embeddings": 100}
DYNAMIC_ROPE: dict[str, Any] = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}


@dataclass(frozen=True)
class Family:
    """A family, or an option of one."""

    title: str
    """Its name in the table."""
    config: Callable[[], Any]
    max_length: int = 100
    refused: str = ""
    """A part of the message, if it is refused."""
    exported: bool = True
    """Whether transformers has a sequence classifier for it."""


def text(model_type: str, **options: Any) -> Callable[[], Any]:
    """The configuration of a text model."""

    def make() -> Any:
        from transformers import CONFIG_MAPPING

        return CONFIG_MAPPING[model_type](**{**SIZES, **options})

    return make


def wrapped(model_type: str, text_type: str, vision: dict[str, Any] | None, **options: Any) -> Callable[[], Any]:
    """The configuration of a model that reads images too."""

    def make() -> Any:
        from transformers import CONFIG_MAPPING

        parts = {} if vision is None else {"vision_config": vision}
        return CONFIG_MAPPING[model_type](text_config={**SIZES, **options, "model_type": text_type}, **parts)

    return make


def gpt2(model_type: str, **options: Any) -> Callable[[], Any]:
    """The configuration of a model with GPT-2's names."""

    def make() -> Any:
        from transformers import CONFIG_MAPPING

        return CONFIG_MAPPING[model_type](**{**GPT2_SIZES, **options})

    return make


MOE: dict[str, Any] = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
GEMMA3: dict[str, Any] = {"head_dim": 16, "sliding_window": 7}
GEMMA3N: dict[str, Any] = {
    **GEMMA3, "hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": 128, "num_kv_shared_layers": 2,
    "laurel_rank": 8, "intermediate_size": [48] * 4, "activation_sparsity_pattern": [0.0] * 4,
    "layer_types": ["sliding_attention", "full_attention"] * 2,
}  # fmt: skip
GEMMA4: dict[str, Any] = {
    **GEMMA3, "hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": 128, "global_head_dim": 16,
    "num_kv_shared_layers": 0,
}  # fmt: skip
QWEN3_5: dict[str, Any] = {
    "head_dim": 16, "linear_num_key_heads": 2, "linear_num_value_heads": 2, "linear_key_head_dim": 16,
    "linear_value_head_dim": 16,
}  # fmt: skip
DEEPSEEK: dict[str, Any] = {
    "q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 16,
    "n_routed_experts": 4, "n_group": 1, "topk_group": 1, "num_experts_per_tok": 2, "moe_intermediate_size": 16,
    "n_shared_experts": 1, "first_k_dense_replace": 1, "num_key_value_heads": 4,
}  # fmt: skip
QWEN2_MOE: dict[str, Any] = {**MOE, "shared_expert_intermediate_size": 16}
LLAMA4: dict[str, Any] = {
    "num_local_experts": 2, "intermediate_size_mlp": 48, "head_dim": 16, "interleave_moe_layer_step": 2,
}  # fmt: skip

FAMILIES: dict[str, Family] = {
    "gemma": Family("Gemma 1", text("gemma", head_dim=16)),
    "gemma2": Family("Gemma 2", text("gemma2", **GEMMA3)),
    "gemma3-text": Family("Gemma 3, text", text("gemma3_text", **GEMMA3)),
    "gemma3": Family("Gemma 3 with images", wrapped("gemma3", "gemma3_text", VISION, **GEMMA3)),
    "embedding-gemma": Family(
        "Gemma 3 with attention in both directions (EmbeddingGemma)",
        text("gemma3_text", use_bidirectional_attention=True, **GEMMA3),
        refused="its tokens attend to later ones",
    ),
    "gemma3n": Family("Gemma 3n, text", text("gemma3n_text", **GEMMA3N), exported=False),
    "gemma4": Family("Gemma 4, text", text("gemma4_text", **GEMMA4), exported=False),
    "llama": Family("Llama 1 and 2", text("llama")),
    "llama3": Family("Llama 3.x", text("llama", rope_scaling=LLAMA3_ROPE)),
    "llama-dynamic": Family("Llama with dynamic rope, in its length", text("llama", rope_scaling=DYNAMIC_ROPE)),
    "llama4": Family(
        "Llama 4, text, up to its chunk",
        text("llama4_text", attention_chunk_size=40, floor_scale=41, **LLAMA4),
        max_length=40,
        exported=False,
    ),
    "llama4-long": Family(
        "Llama 4, text, beyond its chunk",
        text("llama4_text", attention_chunk_size=8, **LLAMA4),
        refused="Set text.max_length=8",
    ),
    "mistral": Family("Mistral", text("mistral", sliding_window=7)),
    "mistral3": Family("Mistral 3 with images", wrapped("mistral3", "mistral", {**VISION, "model_type": "pixtral"})),
    "mixtral": Family("Mixtral", text("mixtral", num_local_experts=4, sliding_window=None)),
    "qwen2": Family("Qwen2, Qwen2.5", text("qwen2")),
    "qwen2-window": Family(
        "Qwen2 with a window", text("qwen2", use_sliding_window=True, sliding_window=6, max_window_layers=2)
    ),
    "qwen2-moe": Family("Qwen2-MoE", text("qwen2_moe", **QWEN2_MOE)),
    "qwen2-moe-window": Family(
        "Qwen2-MoE with a window",
        text("qwen2_moe", use_sliding_window=True, sliding_window=6, max_window_layers=2, **QWEN2_MOE),
        refused="attention mask",
    ),
    "qwen3": Family("Qwen3", text("qwen3", head_dim=16)),
    "qwen3-moe": Family("Qwen3-MoE", text("qwen3_moe", head_dim=16, **MOE)),
    "qwen3.5": Family(
        "Qwen3.5", wrapped("qwen3_5", "qwen3_5_text", None, **QWEN3_5), refused="layers (linear_attention)"
    ),
    "phi": Family("Phi-1, Phi-2", text("phi", resid_pdrop=0.0)),
    "phi3": Family("Phi-3, Phi-4", text("phi3")),
    "phi3-longrope": Family("Phi-3 with longrope, up to its length", text("phi3", **PHI3_LONG)),
    "phi3-longrope-long": Family(
        "Phi-3 with longrope, beyond its length",
        text("phi3", **PHI3_LONG),
        max_length=101,
        refused="Set text.max_length=100",
    ),
    "phimoe": Family("Phi-3.5-MoE", text("phimoe", num_local_experts=4)),
    "olmo": Family("OLMo", text("olmo")),
    "olmo2": Family("OLMo 2", text("olmo2")),
    "olmo3": Family("OLMo 3", text("olmo3", sliding_window=7)),
    "smollm3": Family("SmolLM3", text("smollm3")),
    "granite": Family("Granite", text("granite"), exported=False),
    "glm": Family("GLM", text("glm", head_dim=16)),
    "glm4": Family("GLM-4", text("glm4", head_dim=16)),
    "cohere": Family("Cohere", text("cohere"), exported=False),
    "cohere2": Family("Cohere 2", text("cohere2", sliding_window=7, head_dim=16), exported=False),
    "exaone4": Family("EXAONE 4", text("exaone4", sliding_window=7)),
    "starcoder2": Family("StarCoder2", text("starcoder2", sliding_window=7, residual_dropout=0.0)),
    "deepseek-v3": Family("DeepSeek-V3", text("deepseek_v3", **DEEPSEEK)),
    "gpt-oss": Family("GPT-OSS", text("gpt_oss", num_local_experts=4, head_dim=16, sliding_window=8)),
    "gpt2": Family("GPT-2", gpt2("gpt2", **GPT2_NO_DROPOUT)),
    "gpt-neox": Family("GPT-NeoX, Pythia", text("gpt_neox")),
    "gpt-bigcode": Family("GPT-BigCode", gpt2("gpt_bigcode", **GPT2_NO_DROPOUT)),
    "opt": Family("OPT", text("opt", ffn_dim=48, word_embed_proj_dim=64, dropout=0.0)),
    "gptj": Family("GPT-J", gpt2("gptj", rotary_dim=8), refused="cannot be run over packs"),
    "falcon": Family(
        "Falcon", text("falcon", alibi=False, new_decoder_architecture=True, num_kv_heads=2),
        refused="cannot be run over packs",
    ),
    "falcon-alibi": Family("Falcon with ALiBi", text("falcon", alibi=True), refused="has ALiBi"),
    "bloom": Family("BLOOM", gpt2("bloom"), refused="has ALiBi"),
    "stablelm": Family("StableLM", text("stablelm"), refused="cannot be run over packs"),
    "nemotron": Family("Nemotron", text("nemotron"), refused="cannot be run over packs"),
    "doge": Family("Doge", text("doge", head_dim=16), refused="attention mask"),
    "openai-gpt": Family("GPT-1", gpt2("openai-gpt"), refused="attention mask"),
    "mamba": Family("Mamba", text("mamba"), refused="layers (linear_attention)"),
    "bert": Family("BERT", text("bert"), refused="is an encoder"),
    "deberta": Family("DeBERTa", text("deberta-v2"), refused="is an encoder"),
    "modernbert": Family("ModernBERT", text("modernbert"), refused="is an encoder"),
    "t5": Family(
        "T5", lambda: __import__("transformers").T5Config(vocab_size=128, d_model=64, d_ff=48, num_layers=2),
        refused="is an encoder-decoder",
    ),
}  # fmt: skip


def save_checkpoint(family: Family, folder: Path) -> Any:
    """Write a random checkpoint of the family's language model, and return its configuration."""
    from transformers import AutoModel

    config = family.config()
    torch.manual_seed(0)
    model = AutoModel.from_config(config, dtype=torch.float32)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(folder)
    return config


def table() -> str:
    """The table of the documentation, in Markdown."""
    rows = [
        f"| {family.title} | {'no: ' + family.refused if family.refused else 'yes'} | "
        f"{'' if family.refused else 'yes' if family.exported else 'no'} |"
        for family in FAMILIES.values()
    ]
    return "\n".join(["| Base model | Trains and judges | Exports |", "|---|---|---|", *rows]) + "\n"


if __name__ == "__main__":
    print(table(), end="")
