"""Real votes, judged by a Gemma 2 of 40 million weights that has read nothing but those votes' texts.

Trains a tokenizer and a language model from scratch on the texts of the training votes, fine-tunes it into a judge
through the command line in a few settings, keeps the one that is best on a split of the training votes, and then, once,
scores the development files.

    python perf/human_votes.py --votes human3way_train.parquet
        --dev human3way_dev.parquet lmsys_sample_dev.parquet --work FOLDER --out human_votes.json
"""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import Gemma2Config, Gemma2ForCausalLM, PreTrainedTokenizerFast

from tiebreak import Judge, load_judge
from tiebreak.data import load_comparisons
from tiebreak.judges import Swap
from tiebreak.metrics import preference_metrics
from tiebreak.text import SEED_TEMPLATE, Encoder
from tiebreak.types import TIE

SHAPES: dict[str, dict[str, Any]] = {
    "small": {"hidden_size": 512, "num_hidden_layers": 8, "intermediate_size": 1536, "num_attention_heads": 8,
              "num_key_value_heads": 4, "head_dim": 64, "query_pre_attn_scalar": 64},
    "tiny": {"hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 64, "num_attention_heads": 2,
             "num_key_value_heads": 1, "head_dim": 16, "query_pre_attn_scalar": 16},
}  # fmt: skip
CONTEXT = 1024
ROWS = 32


def make_tokenizer(texts: list[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """Byte-level BPE that adds BOS, learned from the texts."""
    pieces = Tokenizer(models.BPE())
    pieces.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    pieces.decoder = decoders.ByteLevel()
    special = ["<pad>", "<bos>", "<eos>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    pieces.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=vocabulary, special_tokens=special, initial_alphabet=alphabet)
    )
    pieces.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=pieces, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>")


def batches(stream: np.ndarray, seed: int) -> Iterator[torch.Tensor]:
    """Rows of CONTEXT + 1 tokens from random places of the stream, for ever."""
    rng = np.random.default_rng(seed)
    while True:
        starts = rng.integers(0, len(stream) - CONTEXT - 1, size=ROWS)
        yield torch.from_numpy(np.stack([stream[s : s + CONTEXT + 1] for s in starts]).astype(np.int64))


def pretrain(folder: Path, votes: Path, shape: str, seconds: float, vocabulary: int) -> dict[str, Any]:
    """Train a language model on the texts for so many seconds and save it with its tokenizer."""
    comparisons = load_comparisons(votes, votes="required", problem_rows="skip", on_note=print)
    texts = [part for c in comparisons for part in (*c.prompt, *c.answer_a, *c.answer_b)]
    tokenizer = make_tokenizer(texts, vocabulary)
    encoder = Encoder(tokenizer, SEED_TEMPLATE, 4096)
    stream = np.concatenate([np.append(e.ids, tokenizer.eos_token_id) for e in encoder.encode(comparisons)])
    device = "cuda" if torch.cuda.is_available() else "cpu"
    config = Gemma2Config(
        **SHAPES[shape], vocab_size=len(tokenizer), bos_token_id=1, eos_token_id=2, pad_token_id=0, sliding_window=4096
    )
    torch.manual_seed(0)
    model = Gemma2ForCausalLM._from_config(config, attn_implementation="eager").to(device)
    run = torch.compile(model) if device == "cuda" else model
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1)
    losses: list[float] = []
    source = batches(stream, seed=0)
    began = time.monotonic()
    while (passed := (time.monotonic() - began) / seconds) < 1:
        for group in optimizer.param_groups:  # warm up over 3 % of the time, then a cosine down to a tenth
            group["lr"] = 1e-3 * min(1.0, passed / 0.03 + 0.01) * (0.55 + 0.45 * float(np.cos(np.pi * passed)))
        rows = next(source).to(device)
        with torch.autocast(device, dtype=torch.bfloat16):
            logits = run(input_ids=rows[:, :-1]).logits
        loss = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), rows[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
    model.save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "seconds": time.monotonic() - began,
        "steps": len(losses),
        "tokens_seen": len(losses) * ROWS * CONTEXT,
        "tokens_in_corpus": len(stream),
        "first_loss": losses[0],
        "last_loss": float(np.mean(losses[-50:])),
    }


def score(judge: Judge, dev: Path, swap: Swap) -> dict[str, float]:
    """How good the judge is on a file it has never seen."""
    comparisons = load_comparisons(dev, votes="required", problem_rows="keep", on_note=print)
    verdicts = judge.compare_many(comparisons, swap=swap)
    return preference_metrics([(v.model_a, v.model_b, v.tie) for v in verdicts], [c.vote or TIE for c in comparisons])


def tiebreak(*arguments: object) -> dict[str, Any]:
    """The command line, its JSON."""
    command = [sys.executable, "-m", "tiebreak", *map(str, arguments), "--json"]
    shown: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return shown


def main() -> None:
    """Pretrain, fine-tune, choose, score; the record is written after every stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--votes", type=Path, required=True)
    parser.add_argument("--dev", type=Path, nargs="+", required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--shape", choices=SHAPES, default="small")
    parser.add_argument("--vocabulary", type=int, default=16_000)
    parser.add_argument("--pretraining-seconds", type=float, default=60)
    parser.add_argument("--learning-rates", type=float, nargs="+", default=[5e-4])
    parser.add_argument("--heads", choices=("pairwise", "pointwise"), nargs="+", default=["pairwise", "pointwise"])
    parser.add_argument("overrides", nargs="*", help="recipe overrides for the fine-tuning")
    given = parser.parse_args()
    record: dict[str, Any] = {
        "date": datetime.date.today().isoformat(),
        "hardware": torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU",
        "arguments": sys.argv[1:],
    }

    def keep(**more: Any) -> None:
        record.update(more)
        given.out.write_text(json.dumps(record, indent=2) + "\n")

    keep(
        pretraining=pretrain(given.work / "base", given.votes, given.shape, given.pretraining_seconds, given.vocabulary)
    )
    settings = [
        f"model.name={given.work / 'base'}", "model.precision=fp32", "model.compute_dtype=bfloat16",
        f"data.train={given.votes}", "data.problem_rows=skip", "data.validation_rows=600", "text.max_length=2048",
        "lora.r=128", "lora.lora_alpha=128", "training.batch_size=32", "training.tokens_per_pass=32768",
        "training.num_train_epochs=2", "training.max_steps=-1",
        "training.warmup_steps=0.05",
        "training.lr_scheduler_type=cosine", "training.logging_steps=20", "training.save_steps=0.1",
        "training.eval_steps=0.1", "training.gradient_checkpointing=false", *given.overrides,
    ]  # fmt: skip
    own = {"pairwise": "training.both_orders=true", "pointwise": "training.both_orders=false"}
    tried: dict[str, Any] = {}
    for head, rate in ((head, rate) for head in given.heads for rate in given.learning_rates):
        began = time.monotonic()
        run = given.work / f"{head}-{rate}"
        shown = tiebreak(
            "train", "demo", *settings, f"model.head={head}", own[head], f"training.learning_rate={rate}",
            f"output={run}",
        )  # fmt: skip
        history = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
        tried[str(run)] = {
            "head": head,
            "learning_rate": rate,
            "seconds": time.monotonic() - began,
            "validation": shown["metrics"],
            "curve": [[line["step"], line["eval_loss"]] for line in history if "eval_loss" in line],
        }
        keep(fine_tuning=list(tried.values()))
    chosen: dict[str, float] = {}
    scores: dict[str, dict[str, float]] = {}
    for head in given.heads:
        best = min((r for r in tried if tried[r]["head"] == head), key=lambda r: tried[r]["validation"]["loss"])
        chosen[head] = tried[best]["learning_rate"]
        judge = load_judge(best)
        for dev in given.dev:
            for swap in ("none", "average") if head == "pairwise" else ("none",):
                scores[f"{head} {dev.stem} swap={swap}"] = score(judge, dev, swap)
        keep(chosen=chosen, scores=scores)
    print(json.dumps({k: (v["loss"], v["accuracy"]) for k, v in scores.items()}, indent=2))


if __name__ == "__main__":
    main()
