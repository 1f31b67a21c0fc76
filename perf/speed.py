"""Training and scoring at Gemma 2's shapes, the stack of the seed and Tiebreak in one run.

Random weights and random tokens, in lengths like those of LMSYS's votes (log-normal, median 640 tokens, 60 to 2048);
every rate counts real tokens, padding aside. Peers: the seed's stack (NF4, PEFT, eager attention, padded rows of five,
gradient checkpointing), for scoring padded rows of eight as they come and sorted by length.

    python perf/speed.py --out speed.json [--shape 9b] [--only train-nf4 ...] [--profile]
"""

from __future__ import annotations

import argparse
import datetime
import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from peft import PeftModel
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import AutoModelForSequenceClassification, Gemma2Config

from perf.random_checkpoint import SHAPES
from tiebreak.models import (
    TokenBudget,
    add_adapter,
    layer_stack,
    lora_config,
    pack_logits,
    predict_logits,
    use_fused_layers,
)
from tiebreak.models.attention import ATTENTION
from tiebreak.models.fp8 import quantize_to_fp8
from tiebreak.text import pack
from tiebreak.training.budget_search import search_budget

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
DTYPE = torch.bfloat16
SEED_TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj"]


def lengths(rows: int, longest: int = 2048) -> list[int]:
    """Tokens of so many comparisons."""
    drawn = np.exp(np.random.default_rng(0).normal(np.log(640), 0.6, size=rows))
    return [int(n) for n in np.clip(drawn, 60, longest)]


def comparisons(rows: int, vocabulary: int, longest: int) -> list[np.ndarray]:
    """Random token ids."""
    rng = np.random.default_rng(1)
    return [rng.integers(3, vocabulary, size=n).astype(np.int32) for n in lengths(rows, longest)]


def base_model(shape: str, precision: str) -> nn.Module:
    """A random classifier on the device, its body in `precision`, made there without a detour over the disk."""
    from bitsandbytes.nn.modules import Linear4bit, Params4bit

    settings: dict[str, Any] = {"num_labels": 3, "sliding_window": 4096, "pad_token_id": 0}
    config = Gemma2Config(**SHAPES[shape], vocab_size=256_000 if shape != "tiny" else 500, **settings)
    torch.manual_seed(0)
    with DEVICE:
        model: nn.Module = AutoModelForSequenceClassification.from_config(
            config, dtype=DTYPE, attn_implementation=ATTENTION
        )
    head: Any = model.score
    head.float()
    model.requires_grad_(False)
    if precision == "fp8":
        quantize_to_fp8(model, DEVICE, skip="score")
    elif precision == "nf4":
        for parent in list(cast(nn.Module, model.model).modules()):
            for name, child in list(parent.named_children()):
                if type(child) is nn.Linear:
                    layer = Linear4bit(
                        child.in_features, child.out_features, bias=False, compute_dtype=DTYPE,
                        compress_statistics=True, quant_type="nf4", device="meta",
                    )  # fmt: skip
                    weight: Any = Params4bit(
                        child.weight.data, requires_grad=False, compress_statistics=True, quant_type="nf4"
                    )
                    layer.weight = weight.to(DEVICE)
                    setattr(parent, name, layer)
    return model


def adapted(model: nn.Module, *, r: int, targets: list[str] | str, dropout: float = 0.0) -> PeftModel:
    """With fresh LoRA matrices, B not zero, so that nothing is spared."""
    config = lora_config(r=r, lora_alpha=r // 2, lora_dropout=dropout, target_modules=targets)
    wrapped = add_adapter(model, config)  # type: ignore[arg-type]
    torch.manual_seed(1)
    for name, parameter in wrapped.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(0, 0.002)
    return wrapped


def use_attention(model: nn.Module, name: str) -> None:
    """Switch a model's attention."""
    for module in model.modules():
        if hasattr(module, "config") and hasattr(module.config, "_attn_implementation"):
            module.config._attn_implementation = name


def padded(sequences: list[np.ndarray], rows: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Rows of padded ids and their mask, as a data collator makes them."""
    for first in range(0, len(sequences), rows):
        batch = sequences[first : first + rows]
        ids = torch.zeros(len(batch), max(map(len, batch)), dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, sequence in enumerate(batch):
            ids[row, : len(sequence)] = torch.from_numpy(sequence)
            mask[row, : len(sequence)] = 1
        yield ids.to(DEVICE), mask.to(DEVICE)


def timed(work: Callable[[], Any], *, tokens: int, warm_up: Callable[[], Any]) -> dict[str, float]:
    """Rate and peak memory of `work`, after `warm_up`."""
    warm_up()
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    work()
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    seconds = time.perf_counter() - started
    peak = torch.cuda.max_memory_allocated() / 2**30 if DEVICE.type == "cuda" else 0.0
    return {"tokens_per_second": round(tokens / seconds, 1), "seconds": round(seconds, 3), "tokens": tokens,
            "peak_gib": round(peak, 2)}  # fmt: skip


def seed_step(model: PeftModel, sequences: list[np.ndarray]) -> None:
    """The seed's training passes: padded rows of five, eager attention, everything checkpointed."""
    for ids, mask in padded(sequences, 5):
        with torch.autocast(DEVICE.type, dtype=DTYPE):
            logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
        cross_entropy(logits.float(), torch.zeros(len(ids), dtype=torch.long, device=DEVICE)).backward()


def packed_step(model: PeftModel, sequences: list[np.ndarray], tokens_per_pass: int) -> None:
    """Tiebreak's training passes."""
    for item in pack(sequences, tokens_per_pass=tokens_per_pass):
        logits = pack_logits(model, item, DTYPE)
        cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long, device=DEVICE)).backward()


def profiled(work: Callable[[], Any]) -> list[dict[str, Any]]:
    """What the GPU spent its time on, kernel by kernel, the dearest first; nothing on a CPU."""
    if DEVICE.type != "cuda":
        return []
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        work()
        torch.cuda.synchronize()
    events = [e for e in profile.key_averages() if e.device_time_total > 0]
    total = sum(e.device_time_total for e in events)
    ranked = sorted(events, key=lambda e: -e.device_time_total)[:24]
    return [{"total_ms": round(total / 1000, 2)}] + [
        {"kernel": e.key[:90], "ms": round(e.device_time_total / 1000, 2), "calls": e.count,
         "share": round(e.device_time_total / total, 4)} for e in ranked
    ]  # fmt: skip


class Run:
    """One run's measurements, written after each."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.given = given
        self.record: dict[str, Any] = {
            "date": datetime.date.today().isoformat(),
            "hardware": torch.cuda.get_device_name() if DEVICE.type == "cuda" else "CPU",
            "torch": torch.__version__,
            "shape": given.shape,
            "results": {},
        }
        vocabulary = 500 if given.shape == "tiny" else 256_000
        longest = 128 if given.shape == "tiny" else 2048
        self.sequences = comparisons(given.rows, vocabulary, longest)
        self.tokens = sum(map(len, self.sequences))

    def wants(self, name: str) -> bool:
        """Whether this measurement, or one whose name begins with it, was asked for."""
        only = self.given.only
        return not only or any(name.startswith(wanted) or wanted.startswith(name) for wanted in only)

    def keep(self, name: str, result: Any) -> None:
        """Write a result down at once."""
        self.record["results"][name] = result
        print(name, json.dumps(result)[:400], flush=True)
        self.given.out.write_text(json.dumps(self.record, indent=1) + "\n")

    def measure(self, name: str, work: Callable[[list[np.ndarray]], Any], rows: int | None = None) -> None:
        """Time `work` on the comparisons, or on the first so many of them, after a pass over a few."""
        if not self.wants(name):
            return
        sequences = self.sequences[:rows]
        try:
            result = timed(
                lambda: work(sequences), tokens=sum(map(len, sequences)), warm_up=lambda: work(self.sequences[:12])
            )
        except Exception as error:  # one that fails should not take the others' time on the machine with it
            result = {"error": f"{type(error).__name__}: {str(error)[:300]}"}  # type: ignore[dict-item]
        self.keep(name, result)


def training(run: Run) -> None:
    """Every training setup, and scoring with an adapter."""
    budgets = (256,) if run.given.shape == "tiny" else (2048, 8192, 16384)
    for precision in ("nf4", "fp8"):
        if run.wants(f"train-{precision}"):
            model = adapted(base_model(run.given.shape, precision), r=16, targets=SEED_TARGETS, dropout=0.05).train()
            if precision == "nf4":
                seed_training(run, model)
            packed_training(run, model, precision, budgets)
            del model
            _free()
        if run.wants(f"train-all-linear-{precision}"):
            model = adapted(base_model(run.given.shape, precision), r=64, targets="all-linear").train()
            use_fused_layers(model, DTYPE)
            run.measure(f"train-all-linear-{precision}", partial(packed_step, model, tokens_per_pass=budgets[-1]))
            del model
            _free()


def seed_training(run: Run, model: PeftModel) -> None:
    """The seed's stack, and Tiebreak's packs through Hugging Face's own layers."""
    use_attention(model, "eager")
    model.gradient_checkpointing_enable({"use_reentrant": False})
    run.measure("train-nf4-seed", partial(seed_step, model), rows=30)
    model.gradient_checkpointing_disable()
    model.zero_grad()
    use_attention(model, ATTENTION)
    run.measure("train-nf4-unfused", partial(packed_step, model, tokens_per_pass=8192), rows=24)
    model.zero_grad()


def packed_training(run: Run, model: PeftModel, precision: str, budgets: tuple[int, ...]) -> None:
    """Tiebreak's own layers, keeping everything and keeping the layers' inputs alone."""
    run.keep(f"fused-{precision}", use_fused_layers(model, DTYPE))
    for budget in budgets:
        run.measure(f"train-{precision}-{budget}", partial(packed_step, model, tokens_per_pass=budget))
        model.zero_grad()
    layer_stack(model).checkpoint(99)
    for budget in budgets[:2]:
        work = partial(packed_step, model, tokens_per_pass=budget)
        run.measure(f"train-{precision}-checkpointed-{budget}", work, rows=32)
        model.zero_grad()
    layer_stack(model).checkpoint(0)
    if run.given.profile:
        work = partial(packed_step, model, run.sequences[:11], tokens_per_pass=8192)
        run.keep(f"profile-train-{precision}", profiled(work))
    model.zero_grad()
    model.eval()
    for budget in budgets[-2:]:
        run.measure(f"score-{precision}-adapter-{budget}", partial(score, model, tokens_per_pass=budget))


def score(model: nn.Module, sequences: list[np.ndarray], tokens_per_pass: int) -> None:
    """Tiebreak's scoring passes."""
    predict_logits(model, sequences, compute_dtype=DTYPE, budget=TokenBudget(tokens_per_pass))


@torch.no_grad()
def seed_score(model: PeftModel, sequences: list[np.ndarray], *, by_length: bool) -> None:
    """The seed's scoring passes: padded rows of eight."""
    for ids, mask in padded(sorted(sequences, key=len) if by_length else sequences, 8):
        with torch.autocast(DEVICE.type, dtype=DTYPE):
            model(input_ids=ids, attention_mask=mask, use_cache=False).logits.cpu()


def scoring(run: Run) -> None:
    """Every scoring setup."""
    if run.wants("score-seed"):
        peer = adapted(base_model(run.given.shape, "nf4"), r=16, targets=SEED_TARGETS).eval()
        use_attention(peer, "eager")
        run.measure("score-seed-padded", partial(seed_score, peer, by_length=False), rows=64)
        run.measure("score-seed-sorted", partial(seed_score, peer, by_length=True))
        del peer
        _free()
    for precision in ("bf16", "fp8"):
        if not run.wants(f"score-merged-{precision}"):
            continue
        model = base_model(run.given.shape, precision).eval()
        use_fused_layers(model, DTYPE)
        for budget in (256,) if run.given.shape == "tiny" else (8192, 16384, 32768):
            run.measure(f"score-merged-{precision}-{budget}", partial(score, model, tokens_per_pass=budget))
        if run.given.profile:
            work = partial(score, model, run.sequences[:44], tokens_per_pass=16384)
            run.keep(f"profile-score-{precision}", profiled(work))
            del work
        del model
        _free()


def capped(run: Run) -> None:
    """NF4 training of comparisons of up to 2048 tokens on what a 16 GB card has, tokens a pass chosen by measuring."""
    model = adapted(base_model(run.given.shape, "nf4"), r=16, targets=SEED_TARGETS, dropout=0.05).train()
    use_fused_layers(model, DTYPE)
    _free()
    if DEVICE.type == "cuda":  # only now: this random base was made in bfloat16, where loading quantises layer by layer
        torch.cuda.set_per_process_memory_fraction(
            14.5 / (torch.cuda.get_device_properties(DEVICE).total_memory / 2**30)
        )
    longest = max(map(len, run.sequences))
    budget = search_budget(
        model, DTYPE, least=longest, most=8 * longest, tokens="auto", checkpointing="auto", log=print
    )
    run.keep("capped-budget", budget._asdict())
    run.measure("capped-train-nf4", partial(packed_step, model, tokens_per_pass=budget.tokens))
    if DEVICE.type == "cuda":
        run.keep("capped-peak-reserved-gib", round(torch.cuda.max_memory_reserved() / 2**30, 2))
        torch.cuda.set_per_process_memory_fraction(1.0)
    del model
    _free()


def parity(run: Run) -> None:
    """Fused against Hugging Face's layers on the same weights: logits, gradients, and FP8 and NF4 against bf16."""
    sequences = run.sequences[:8]
    logits: dict[str, torch.Tensor] = {}
    for precision in ("bf16", "nf4", "fp8"):
        model = adapted(base_model(run.given.shape, precision), r=16, targets=SEED_TARGETS)
        found: dict[bool, tuple[torch.Tensor, dict[str, torch.Tensor]]] = {}
        for fused in (False, True):
            if fused:
                use_fused_layers(model, DTYPE)
            layer_stack(model).checkpoint(0 if fused else 99)
            model.train()
            model.zero_grad()
            outs = []
            for item in pack(sequences, tokens_per_pass=8192):
                out = pack_logits(model, item, DTYPE)
                cross_entropy(out, torch.zeros(len(out), dtype=torch.long, device=DEVICE)).backward()
                outs.append(out.detach()[torch.from_numpy(np.argsort(item.sequences)).to(DEVICE)])
            gradients = {n: p.grad.float() for n, p in model.named_parameters() if p.grad is not None}
            found[fused] = (torch.cat(outs), gradients)
            if not fused:
                model.gradient_checkpointing_disable()
        (plain, by_autograd), (own, by_hand) = found[False], found[True]
        difference = {n: ((g - by_autograd[n]).norm() / by_autograd[n].norm()).item() for n, g in by_hand.items()}
        logits[precision] = own
        spread = plain.std().item()
        run.keep(
            f"parity-{precision}",
            {
                "logits_spread": spread,
                "logits_fused_vs_hf": ((own - plain).norm() / plain.norm()).item(),
                "gradient_total": (
                    torch.cat([(by_hand[n] - by_autograd[n]).flatten() for n in by_hand]).norm()
                    / torch.cat([g.flatten() for g in by_autograd.values()]).norm()
                ).item(),
                "gradient_worst": max(difference.items(), key=lambda pair: pair[1]),
                "logits_vs_bf16": ((own - logits["bf16"]).norm() / logits["bf16"].norm()).item(),
            },
        )
        del model
        _free()


def liger(run: Run) -> None:
    """The peer nearest to Tiebreak's layers: packs through transformers' with Liger's norms, GeGLU and rotation.

    It comes last, since it patches transformers for the whole process.
    """
    if DEVICE.type != "cuda" or not find_spec("liger_kernel"):
        return
    from liger_kernel.transformers import apply_liger_kernel_to_gemma2

    model = adapted(base_model(run.given.shape, "nf4"), r=16, targets=SEED_TARGETS, dropout=0.05).train()
    apply_liger_kernel_to_gemma2(
        rope=True, rms_norm=True, geglu=True, cross_entropy=False, fused_linear_cross_entropy=False,
        model=model.get_base_model(),
    )  # fmt: skip
    run.measure("train-nf4-liger", partial(packed_step, model, tokens_per_pass=8192), rows=48)
    model.zero_grad()
    model.eval()
    run.measure("score-nf4-adapter-liger", partial(score, model, tokens_per_pass=8192))
    del model
    _free()


def _free() -> None:
    import gc

    gc.collect()
    if DEVICE.type == "cuda":
        torch.cuda.empty_cache()


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--shape", choices=SHAPES, default="9b")
    parser.add_argument("--rows", type=int, default=96)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--profile", action="store_true")
    run = Run(parser.parse_args())
    if run.wants("capped"):
        capped(run)
    training(run)
    scoring(run)
    if run.wants("parity"):
        parity(run)
    if run.wants("train-nf4-liger"):
        liger(run)


if __name__ == "__main__":
    main()
