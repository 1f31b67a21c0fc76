"""A reward model at Gemma 2's shapes: the prompt once for both answers, the prompt twice, and TRL's RewardTrainer.

Random weights and tokens; pairs of answers to a prompt in four mixes of lengths. Rates count the tokens of both whole
texts, prompt and answer, so that computing a prompt once shows as a higher rate. TRL trains as it comes (padded rows
of chosen and rejected, gradient checkpointing, bf16), on the same NF4 base with the same adapter, with eager attention,
the one that transformers has for Gemma 2's soft cap without FlashAttention.

    python perf/rewards.py lengths --votes lmsys.parquet --tokenizer FOLDER --out lengths.json
    python perf/rewards.py measure --lengths lengths.json --out rewards.json [--shape 9b]
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import PeftModel
from torch import nn

from perf.random_checkpoint import SHAPES
from perf.speed import DEVICE, DTYPE, _free, adapted, base_model, timed, use_attention
from tiebreak.models import (
    RewardHead,
    TokenBudget,
    judge_head,
    pack_logits,
    predict_logits,
    use_fused_layers,
    vote_logits,
)
from tiebreak.models.attention import ATTENTION
from tiebreak.text import pack

TOKENS_PER_PASS = 16_384
Pair = tuple[np.ndarray, np.ndarray]


def read_lengths(votes: Path, tokenizer: Path, out: Path) -> None:
    """Tokens of prompt, answer A and answer B of every comparison in a file, cut to 2,048 a text."""
    from tiebreak.data import load_comparisons
    from tiebreak.models import load_tokenizer

    pieces = load_tokenizer(str(tokenizer))
    rows = []
    for c in load_comparisons(votes, votes="optional", problem_rows="keep"):
        prompt, a, b = (
            len(pieces("\n\n".join(texts), add_special_tokens=False)["input_ids"])
            for texts in (c.prompt, c.answer_a, c.answer_b)
        )
        prompt = min(prompt, 1024)
        rows.append([max(prompt, 4), *(int(np.clip(n, 4, 2048 - prompt)) for n in (a, b))])
    out.write_text(json.dumps(rows) + "\n")


def mixes(given: argparse.Namespace) -> dict[str, list[list[int]]]:
    """For each mix the tokens of prompt, A and B of its comparisons."""
    scale = 16 if given.shape == "tiny" else 1
    fixed = {f"{p}/{a}": [[p // scale, a // scale, a // scale]] * given.rows for p, a in
             ((512, 512), (1024, 1024), (2048, 256))}  # fmt: skip
    real = [[max(2, n // scale) for n in row] for row in json.loads(given.lengths.read_text())]
    return fixed | {"lmsys": real[: 2 * given.rows]}


def pairs(rows: list[list[int]], vocabulary: int) -> list[Pair]:
    """Random token ids: two texts that begin with the same prompt."""
    rng = np.random.default_rng(0)
    made = []
    for prompt, a, b in rows:
        asked = rng.integers(3, vocabulary, size=prompt)
        one, two = (np.concatenate([asked, rng.integers(3, vocabulary, size=n)]).astype(np.int32) for n in (a, b))
        made.append((one, two))
    return made


def reward_model(shape: str, precision: str) -> PeftModel:
    """A random one with LoRA r 64 on every linear layer."""
    return adapted(rewarding(base_model(shape, precision)), r=64, targets="all-linear")


def rewarding(model: Any) -> Any:
    """The classifier with a reward head."""
    model.score = RewardHead(model.config.hidden_size, "davidson", 0.0).to(DEVICE)
    model.num_labels = model.config.num_labels = 1
    return model


def packed_step(model: PeftModel, asked: list[Pair], *, shared: bool) -> None:
    """Tiebreak's training passes; both texts of a pair in one, their prompt once or twice."""
    texts = [ids for pair in asked for ids in pair]
    if shared:
        packs = pack(texts, tokens_per_pass=TOKENS_PER_PASS, groups=[i // 2 for i in range(len(texts))], together=True)
    else:  # pairs side by side, nothing shared
        packs, some, size = [], list[np.ndarray](), 0
        for pair in asked:
            if size + len(pair[0]) + len(pair[1]) > TOKENS_PER_PASS:
                packs += pack(some, tokens_per_pass=TOKENS_PER_PASS)
                some, size = [], 0
            some += pair
            size += len(pair[0]) + len(pair[1])
        packs += pack(some, tokens_per_pass=TOKENS_PER_PASS)
    for item in packs:
        rewards = pack_logits(model, item, DTYPE)
        order = torch.from_numpy(np.argsort(item.sequences)).to(DEVICE)
        logits = vote_logits(judge_head(model), rewards[order].view(-1, 2, 1))
        (-logits.log_softmax(-1)[:, 0].mean()).backward()


def score(model: nn.Module, asked: list[tuple[np.ndarray, ...]], *, shared: bool) -> None:
    """Tiebreak's scoring passes."""
    texts = [ids for answers in asked for ids in answers]
    groups = [i for i, answers in enumerate(asked) for _ in answers] if shared else None
    predict_logits(model, texts, compute_dtype=DTYPE, budget=TokenBudget(TOKENS_PER_PASS), groups=groups)


def trl_rate(model: PeftModel, asked: list[Pair], *, batch: int, steps: int) -> dict[str, Any]:
    """TRL's RewardTrainer over `steps` steps after one, `batch` pairs each; halved where memory is too small."""
    from datasets import Dataset
    from transformers import AutoTokenizer, TrainerCallback
    from trl.trainer.reward_config import RewardConfig
    from trl.trainer.reward_trainer import RewardTrainer

    from tiebreak.models.nano import NANO_PATH

    class Clock(TrainerCallback):
        ends: list[float]

        def on_step_end(self, *_: Any, **__: Any) -> None:
            if DEVICE.type == "cuda":
                torch.cuda.synchronize()
            self.ends.append(time.perf_counter())

    while True:
        rows = (asked * (1 + batch * (steps + 1) // len(asked)))[: batch * (steps + 1)]
        clock = Clock()
        clock.ends = []
        if DEVICE.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        try:
            with tempfile.TemporaryDirectory() as folder:
                RewardTrainer(
                    model=model,
                    args=RewardConfig(
                        output_dir=folder, per_device_train_batch_size=batch, max_steps=steps + 1, max_length=None,
                        bf16=True, report_to=[], save_strategy="no", logging_steps=1000,
                        disable_tqdm=True, use_cpu=DEVICE.type == "cpu",
                        gradient_checkpointing_kwargs={"use_reentrant": False},
                    ),
                    train_dataset=Dataset.from_dict(
                        {"chosen_ids": [a.tolist() for a, _ in rows], "rejected_ids": [b.tolist() for _, b in rows]}
                    ),
                    processing_class=AutoTokenizer.from_pretrained(NANO_PATH),
                    callbacks=[clock],
                ).train()  # fmt: skip
        except torch.OutOfMemoryError:
            model.zero_grad()
            _free()
            batch //= 2
            if not batch:
                return {"error": "out of memory with a single pair"}
            continue
        seconds = clock.ends[-1] - clock.ends[0]
        pluralize = len(rows) - batch  # the first step warms up; which rows it held is the sampler's affair
        tokens = sum(len(a) + len(b) for a, b in rows) * pluralize / len(rows)
        peak = torch.cuda.max_memory_allocated() / 2**30 if DEVICE.type == "cuda" else 0.0
        return {"tokens_per_second": round(tokens / seconds, 1), "seconds": round(seconds, 3), "pairs": pluralize,
                "pairs_a_batch": batch, "peak_gib": round(peak, 2)}  # fmt: skip


class Record:
    """The measurements, written after each."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.given = given
        self.values: dict[str, Any] = {
            "date": datetime.date.today().isoformat(),
            "hardware": torch.cuda.get_device_name() if DEVICE.type == "cuda" else "CPU",
            "versions": {name: version(name) for name in ("torch", "transformers", "peft", "trl")},
            "shape": given.shape,
            "results": {},
        }

    def keep(self, name: str, work: Callable[[], dict[str, Any]]) -> None:
        """Measure and write down at once; one that fails does not take the others' time with it."""
        try:
            result = work()
        except Exception as error:
            result = {"error": f"{type(error).__name__}: {str(error)[:300]}"}
        self.values["results"][name] = result
        print(name, json.dumps(result), flush=True)
        self.given.out.write_text(json.dumps(self.values, indent=1) + "\n")


def rate(work: Callable[..., None], asked: list[Any]) -> dict[str, Any]:
    """Tokens of both whole texts a second, and comparisons."""
    tokens = sum(len(ids) for answers in asked for ids in answers)
    measured = timed(lambda: work(asked), tokens=tokens, warm_up=lambda: work(asked[: max(2, len(asked) // 4)]))
    return measured | {"pairs_per_second": round(len(asked) / measured["seconds"], 2)}


def measure(given: argparse.Namespace) -> None:
    """Training in NF4 beside TRL, training in FP8, and scoring."""
    record = Record(given)
    vocabulary = 500 if given.shape == "tiny" else 256_000
    asked = {name: pairs(rows, vocabulary) for name, rows in mixes(given).items()}
    for precision in ("nf4", "fp8"):
        model = reward_model(given.shape, precision).train()
        use_fused_layers(model, DTYPE)
        for name, some in asked.items():
            for shared in (True, False):
                label = f"train-{precision} {name} {'shared' if shared else 'separate'}"
                record.keep(label, partial(rate, partial(packed_step, model, shared=shared), some))
                model.zero_grad()
        del model
        _free()
    model = reward_model(given.shape, "nf4").train()
    use_attention(model, "eager")
    for name, some in asked.items():
        record.keep(f"train-nf4 {name} trl", partial(trl_rate, model, some, batch=8, steps=given.trl_steps))
        model.zero_grad()
        _free()
    use_attention(model, ATTENTION)
    del model
    _free()
    bare = rewarding(base_model(given.shape, "fp8")).eval()
    use_fused_layers(bare, DTYPE)
    eight = {name: groups_of_eight(rows, vocabulary) for name, rows in mixes(given).items()}
    sets: list[tuple[int, Any]] = [(2, asked), (8, eight)]
    for answers, some_of in sets:
        for name, some in some_of.items():
            for shared in (True, False):
                label = f"score-fp8 {name} {answers} answers {'shared' if shared else 'separate'}"
                record.keep(label, partial(rate, partial(score, bare, shared=shared), some))


def groups_of_eight(rows: list[list[int]], vocabulary: int) -> list[tuple[np.ndarray, ...]]:
    """Eight answers to each of a quarter of the prompts."""
    rng = np.random.default_rng(1)
    made = []
    for prompt, a, b in rows[: max(2, len(rows) // 4)]:
        asked = rng.integers(3, vocabulary, size=prompt)
        sizes = [a, b] * 4
        made.append(tuple(np.concatenate([asked, rng.integers(3, vocabulary, size=n)]).astype(np.int32) for n in sizes))
    return made


def main() -> None:
    """Either verb."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    lengths = verbs.add_parser("lengths")
    lengths.add_argument("--votes", type=Path, required=True)
    lengths.add_argument("--tokenizer", type=Path, required=True)
    lengths.add_argument("--out", type=Path, required=True)
    measuring = verbs.add_parser("measure")
    measuring.add_argument("--lengths", type=Path, required=True)
    measuring.add_argument("--out", type=Path, required=True)
    measuring.add_argument("--shape", choices=SHAPES, default="9b")
    measuring.add_argument("--rows", type=int, default=48)
    measuring.add_argument("--trl-steps", type=int, default=2)
    given = parser.parse_args()
    if given.verb == "lengths":
        read_lengths(given.votes, given.tokenizer, given.out)
    else:
        measure(given)


if __name__ == "__main__":
    main()
