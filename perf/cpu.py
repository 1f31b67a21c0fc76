"""What packing is worth, on any CPU and in a minute: the built-in nano Gemma 2, packed against padded rows.

The same weights, the same comparisons, the same LoRA: padded rows of eight through Hugging Face's eager attention, as a
data collator makes them, and Tiebreak's packs. Ratios carry over between machines, rates do not.

    python perf/cpu.py [--out cpu.json]
"""

from __future__ import annotations

import argparse
import datetime
import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch.nn.functional import cross_entropy
from transformers import AutoModelForSequenceClassification

from tiebreak.data import arithmetic_comparisons
from tiebreak.models import (
    NANO,
    TokenBudget,
    add_adapter,
    load_base,
    load_tokenizer,
    lora_config,
    pack_logits,
    predict_logits,
)
from tiebreak.text import SEED_TEMPLATE, Encoder, pack

CPU = torch.device("cpu")
ROWS, REPEATS, TOKENS_PER_PASS = 8, 3, 2048
Ids = np.ndarray


def padded(sequences: Sequence[Ids], rows: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Batches of padded ids with their masks."""
    batches = []
    for first in range(0, len(sequences), rows):
        batch = [torch.from_numpy(s).long() for s in sequences[first : first + rows]]
        ids = torch.nn.utils.rnn.pad_sequence(batch, batch_first=True)
        mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(s) for s in batch], batch_first=True)
        batches.append((ids, mask))
    return batches


def train_padded(model: Any, sequences: Sequence[Ids]) -> None:
    """Forward and backward passes over padded rows."""
    model.train()
    for ids, mask in padded(sequences, ROWS):
        logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
        cross_entropy(logits, torch.zeros(len(ids), dtype=torch.long)).backward()


def train_packed(model: Any, sequences: Sequence[Ids]) -> None:
    """The same over packs."""
    model.train()
    for item in pack(sequences, tokens_per_pass=TOKENS_PER_PASS):
        logits = pack_logits(model, item, torch.float32)
        cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long)).backward()


@torch.no_grad()
def score_padded(model: Any, sequences: Sequence[Ids]) -> np.ndarray:
    """Logits of padded rows."""
    model.eval()
    batches = padded(sequences, ROWS)
    return torch.cat([model(input_ids=i, attention_mask=m, use_cache=False).logits for i, m in batches]).numpy()


def score_packed(model: Any, sequences: Sequence[Ids]) -> np.ndarray:
    """Logits of packs."""
    return predict_logits(model, sequences, compute_dtype=torch.float32, budget=TokenBudget(TOKENS_PER_PASS))


def seconds(work: Callable[[], Any]) -> float:
    """The least of a few tries, after one that does not count."""
    work()
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=256, help="comparisons")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()

    # Chained questions make the lengths differ as those of real votes do: a few long rows among many short ones.
    short = arithmetic_comparisons(8 * given.rows, seed=0, split="train")
    encoder = Encoder(load_tokenizer(NANO), SEED_TEMPLATE, 4096)
    ids = [encoded.ids for encoded in encoder.encode(short)]
    lengths = np.clip(np.exp(np.random.default_rng(0).normal(0.3, 0.6, given.rows)), 1, 8).astype(int)
    starts = np.concatenate([[0], np.cumsum(lengths)])[:-1] % (7 * given.rows)
    sequences = [np.concatenate(ids[s : s + n]) for s, n in zip(starts, lengths, strict=True)]
    tokens = sum(map(len, sequences))

    models = {}
    for name in ("eager", "packed"):
        base = load_base(NANO, precision="fp32", device=CPU)
        if name == "eager":
            eager = AutoModelForSequenceClassification.from_config(base.config, attn_implementation="eager")
            eager.load_state_dict(base.state_dict())
            base = eager
        config = lora_config(r=16, lora_alpha=16, lora_dropout=0.0, target_modules="all-linear")
        models[name] = add_adapter(base, config)
    difference = np.abs(score_padded(models["eager"], sequences) - score_packed(models["packed"], sequences)).max()

    work: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
        "train": (
            partial(train_padded, models["eager"], sequences),
            partial(train_packed, models["packed"], sequences),
        ),
        "score": (
            partial(score_padded, models["eager"], sequences),
            partial(score_packed, models["packed"], sequences),
        ),
    }
    slots = sum(ids.numel() for ids, _ in padded(sequences, ROWS))
    table = Table(
        title=f"nano, {len(sequences)} rows, {tokens:,} tokens, {1 - tokens / slots:.0%} of a padded batch empty"
    )
    for column in ("", "padded, eager", "packed", "ratio"):
        table.add_column(column, justify="right")
    record: dict[str, Any] = {
        "date": datetime.date.today().isoformat(), "threads": torch.get_num_threads(), "rows": len(sequences),
        "tokens": tokens, "padding": 1 - tokens / slots, "largest_difference_of_logits": float(difference),
    }  # fmt: skip
    for name, (peer, own) in work.items():
        theirs, ours = tokens / seconds(peer), tokens / seconds(own)
        record[name] = {"padded": round(theirs, 1), "packed": round(ours, 1), "ratio": round(ours / theirs, 2)}
        table.add_row(f"{name}, tokens/s", f"{theirs:,.0f}", f"{ours:,.0f}", f"{ours / theirs:.2f}")
    Console().print(table)
    print(f"Largest difference between their logits: {difference:.1e}")
    if given.out:
        given.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
