"""The attention kernels alone: every tiling on offer, forwards and backwards, beside FlexAttention in the same run.

Gemma 2 9B's heads (16 query, 8 key/value, 256 wide), soft cap 50, bfloat16, 8,192 tokens in lengths like LMSYS's.
How far each outcome is from float32 stands beside its time. The tilings of `tiebreak.model.kernels.attention` are
chosen by this.

    PYTHONPATH=. python benchmarks/kernels.py --out kernels.json
"""

from __future__ import annotations

import argparse
import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.attention.flex_attention import create_block_mask, flex_attention
from triton.testing import do_bench

from benchmarks.speed import lengths
from tiebreak.model.attention import NO_WINDOW, PackLayout, segment_attention
from tiebreak.model.kernels import attention as kernels
from tiebreak.model.kernels.attention import Scoring, Tiling
from tiebreak.text import pack

CUDA = torch.device("cuda")
HEADS, KV_HEADS, DIM, SOFT_CAP = 16, 8, 256, 50.0
CANDIDATES = {
    "forward": [(128, 32, 8, 3), (128, 64, 8, 2), (128, 32, 8, 2), (64, 32, 4, 3), (64, 64, 4, 2), (64, 64, 8, 2)],
    "grad_q": [(128, 64, 8, 1), (128, 32, 8, 2), (128, 32, 8, 1), (64, 64, 8, 2), (64, 32, 4, 2)],
    "grad_k": [(128, 32, 8, 1), (128, 64, 8, 1), (128, 32, 8, 2), (64, 64, 8, 2), (64, 32, 8, 2)],
    "grad_v": [(128, 64, 8, 1), (128, 32, 8, 2), (128, 32, 8, 1), (64, 64, 8, 1), (64, 32, 8, 3)],
}


def milliseconds(work: Callable[[], Any]) -> float:
    """The median time of a call."""
    return round(float(do_bench(work, warmup=10, rep=50, return_mode="median")), 4)


def flex_milliseconds(
    rows: list[int], inputs: tuple[torch.Tensor, ...], grad: torch.Tensor, scale: float
) -> dict[str, float]:
    """FlexAttention, compiled, on the same numbers."""
    segment = torch.repeat_interleave(torch.arange(len(rows), device=CUDA), torch.tensor(rows, device=CUDA))
    tokens = sum(rows)
    mask = create_block_mask(
        lambda b, h, i, j: (segment[i] == segment[j]) & (i >= j), None, None, tokens, tokens, device="cuda"
    )
    flex = torch.compile(flex_attention)
    leaves = [t.transpose(0, 1)[None].detach().requires_grad_() for t in inputs]
    cap: Callable[..., torch.Tensor] = lambda s, b, h, i, j: SOFT_CAP * torch.tanh(s / SOFT_CAP)  # noqa: E731

    def flexed() -> torch.Tensor:
        result: torch.Tensor = flex(*leaves, block_mask=mask, scale=scale, score_mod=cap, enable_gqa=True)
        return result

    upstream = grad.transpose(0, 1)[None]
    return {
        "flex_forward_ms": milliseconds(flexed),
        "flex_both_ms": milliseconds(lambda: torch.autograd.grad(flexed(), leaves, upstream)),
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tokens", type=int, default=8192)
    given = parser.parse_args()

    rows = lengths(64)
    rows = rows[: int(np.searchsorted(np.cumsum(rows), given.tokens))]
    [item] = pack([np.full(n, 5, dtype=np.int32) for n in rows], tokens_per_pass=given.tokens)
    tokens = len(item.input_ids)
    layout, scoring = PackLayout(item, CUDA), Scoring(DIM**-0.5, SOFT_CAP, 0)
    torch.manual_seed(0)
    query, key, value = (
        torch.randn(tokens, n, DIM, device=CUDA, dtype=torch.bfloat16) for n in (HEADS, KV_HEADS, KV_HEADS)
    )
    grad = torch.randn_like(query)
    exact = [t.float().transpose(0, 1)[None].requires_grad_() for t in (query, key, value)]
    truth = segment_attention(*exact, layout, scale=scoring.scale, softcap=SOFT_CAP, window=NO_WINDOW)
    truth.backward(grad.float().transpose(0, 1)[None])
    true_grads = [t.grad[0].transpose(0, 1) for t in exact if t.grad is not None]
    into = (torch.empty_like(query), torch.empty_like(key), torch.empty_like(value))

    def backward() -> None:
        kernels.backward(grad, query, key, value, out, lse, layout.forest, scoring, into=into)

    def error(got: torch.Tensor, true: torch.Tensor) -> float:
        return round(((got.float() - true).norm() / true.norm()).item(), 5)

    out, lse = kernels.forward(query, key, value, layout.forest, scoring)
    record: dict[str, Any] = {
        "date": datetime.date.today().isoformat(), "hardware": torch.cuda.get_device_name(), "torch": torch.__version__,
        "tokens": tokens, "lengths": rows, "forward": [], "grad_q": [], "grad_k": [], "grad_v": [],
    }  # fmt: skip
    shipped = dict(kernels._TILINGS)
    for name, candidates in CANDIDATES.items():
        for candidate in candidates:
            kernels._TILINGS[name] = (Tiling(*candidate),)
            kernels._fitting.clear()
            entry: dict[str, Any] = {"tiling": candidate}
            try:
                if name == "forward":
                    work: Callable[[], Any] = lambda: kernels.forward(query, key, value, layout.forest, scoring)  # noqa: E731
                    entry["error"] = error(work()[0], truth[0].transpose(0, 1))
                    entry["ms"] = milliseconds(work)
                else:  # one kernel differs, so differences between whole backward passes are its own
                    backward()
                    entry["error"] = [error(got, true) for got, true in zip(into, true_grads, strict=True)]
                    entry["backward_ms"] = milliseconds(backward)
            except Exception as failure:
                entry["failed"] = str(failure)[:200]
            record[name].append(entry)
            print(name, entry, flush=True)
        kernels._TILINGS[name] = shipped[name]
    kernels._fitting.clear()
    backward()
    record["forward_ms"] = milliseconds(lambda: kernels.forward(query, key, value, layout.forest, scoring))
    record["backward_ms"] = milliseconds(backward)

    record |= flex_milliseconds(rows, (query, key, value), grad, scoring.scale)
    print({name: value for name, value in record.items() if name.endswith("_ms")})
    given.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
