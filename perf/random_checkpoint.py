"""A checkpoint of Gemma 2's shape with random weights, to measure time and memory where the real one is not available.

python perf/random_checkpoint.py FOLDER --shape 9b --tokenizer FOLDER
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, Gemma2Config, Gemma2ForCausalLM

SHAPES: dict[str, dict[str, Any]] = {
    "2b": {"hidden_size": 2304, "num_hidden_layers": 26, "intermediate_size": 9216, "num_attention_heads": 8,
           "num_key_value_heads": 4, "head_dim": 256, "query_pre_attn_scalar": 256},
    "9b": {"hidden_size": 3584, "num_hidden_layers": 42, "intermediate_size": 14336, "num_attention_heads": 16,
           "num_key_value_heads": 8, "head_dim": 256, "query_pre_attn_scalar": 256},
    "tiny": {"hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 128, "num_attention_heads": 4,
             "num_key_value_heads": 2, "head_dim": 16, "query_pre_attn_scalar": 16},
}  # fmt: skip


def make_checkpoint(folder: Path, shape: str, tokenizer: Path) -> None:
    """Save a random Gemma 2 in bfloat16 with this tokenizer."""
    pieces = AutoTokenizer.from_pretrained(str(tokenizer))
    config = Gemma2Config(
        **SHAPES[shape], vocab_size=256_000, bos_token_id=2, eos_token_id=1, pad_token_id=0, sliding_window=4096
    )
    torch.manual_seed(0)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = Gemma2ForCausalLM._from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(str(folder))
    pieces.save_pretrained(str(folder))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shape", choices=SHAPES, default="9b")
    parser.add_argument("--tokenizer", type=Path, required=True)
    given = parser.parse_args()
    make_checkpoint(given.folder, given.shape, given.tokenizer)
