"""The kernels alone, at Gemma 2 9B's shape in bfloat16.

Attention: every tiling on offer, forwards and backwards, beside FlexAttention in the same run; 16 query and 8 key/value
heads, 256 wide, soft cap 50, 8,192 tokens in lengths like LMSYS's. The error of each
result against float32 is recorded with its time.
The tilings of `tiebreak.models.kernels.attention` are chosen by this. Then what lies between the products,
with the bytes it has to move, and the products themselves: in bfloat16, and in FP8 with a scale a row and with one in
all.

    PYTHONPATH=. python perf/kernel_times.py --out kernel_times.json
"""

from __future__ import annotations

import argparse
import datetime
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from bitsandbytes.functional import dequantize_4bit, quantize_4bit
from torch.nn.attention.flex_attention import create_block_mask, flex_attention
from triton.testing import do_bench

from perf.speed import lengths
from tiebreak.models.attention import NO_WINDOW, segment_attention
from tiebreak.models.fp8 import multiply, quantize_rows
from tiebreak.models.kernels import attention as kernels
from tiebreak.models.kernels.attention import Scoring, Tiling
from tiebreak.models.kernels.dropout import dropout
from tiebreak.models.kernels.fp8 import Forms, rows_to_fp8
from tiebreak.models.kernels.glu import glu, glu_backward
from tiebreak.models.kernels.nf4 import FourBitMatrix
from tiebreak.models.kernels.norm import join, norm, norm_backward
from tiebreak.models.kernels.rope import rope_
from tiebreak.models.pack_layout import PackLayout
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
    flex: Callable[..., Any] = torch.compile(flex_attention)
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


def between_products(tokens: int) -> dict[str, dict[str, float]]:
    """Milliseconds of each kernel between the products, and its rate by the bytes it cannot but move."""
    hidden, inner, rotated = 3584, 14336, (HEADS + KV_HEADS) * DIM
    x, residual = (torch.randn(tokens, hidden, device=CUDA, dtype=torch.bfloat16) for _ in range(2))
    both = torch.randn(tokens, 2 * inner, device=CUDA, dtype=torch.bfloat16)
    grad = torch.randn(tokens, inner, device=CUDA, dtype=torch.bfloat16)
    qkv = torch.randn(tokens, rotated + KV_HEADS * DIM, device=CUDA, dtype=torch.bfloat16)
    angles = torch.randn(tokens, DIM, device=CUDA)
    gain = torch.ones(hidden, device=CUDA)
    fp8 = Forms(plain=False, fp8=True)
    weight, state = quantize_4bit(
        torch.randn(inner, hidden, device=CUDA, dtype=torch.bfloat16), quant_type="nf4", compress_statistics=True
    )
    four_bit = FourBitMatrix.of(SimpleNamespace(data=weight, quant_state=state))
    row, wide = 2 * tokens * hidden, 2 * tokens * inner  # bytes
    works: dict[str, tuple[Callable[[], Any], float]] = {
        "norm": (lambda: norm(x, gain, 1e-6), 2 * row),
        "norm, to FP8": (lambda: norm(x, gain, 1e-6, forms=fp8), 1.5 * row),
        "norm and residual": (lambda: norm(x, gain, 1e-6, residual=residual), 3 * row),
        "join": (lambda: join(x, gain, residual, gain, 1e-6), 4 * row),
        "join, to FP8": (lambda: join(x, gain, residual, gain, 1e-6, forms=fp8), 3.5 * row),
        "norm backwards": (lambda: norm_backward(x, residual, gain, 1e-6, residual=x), 4 * row),
        "GeGLU": (lambda: glu(both, "gelu_tanh"), 3 * wide),
        "GeGLU, to FP8": (lambda: glu(both, "gelu_tanh", forms=fp8), 2.5 * wide),
        "GeGLU backwards": (lambda: glu_backward(grad, both, "gelu_tanh"), 5 * wide),
        "GeGLU backwards, to FP8": (lambda: glu_backward(grad, both, "gelu_tanh", forms=fp8), 4 * wide),
        "rotation": (lambda: rope_(qkv, angles, angles, heads=HEADS + KV_HEADS, dim=DIM), 4 * tokens * rotated),
        "dropout": (lambda: dropout(x, 0.05, 7), 2 * row),
        "dropout, added": (lambda: dropout(x, 0.05, 7, add_to=residual), 3 * row),
        "rows to FP8": (lambda: rows_to_fp8(x), 1.5 * row),
        "4 bits to a matrix": (lambda: four_bit.dequantize(torch.bfloat16), 2.5 * inner * hidden),
        "4 bits to a matrix, bitsandbytes": (lambda: dequantize_4bit(weight, state), 2.5 * inner * hidden),
    }
    found = {}
    for name, (work, size) in works.items():
        ms = milliseconds(work)
        found[name] = {"ms": ms, "terabytes_per_second": round(size / ms / 1e9, 2)}
        print(name, found[name], flush=True)
    return found


def products(tokens: int) -> list[dict[str, Any]]:
    """TFLOP/s of a layer's products, each kept up for a fifth of a second: a card that is warm slows down."""
    entries = []
    for inputs, outputs in [(3584, 8192), (4096, 3584), (3584, 28672), (14336, 3584)]:
        left = torch.randn(tokens, inputs, device=CUDA, dtype=torch.bfloat16)
        right = torch.randn(outputs, inputs, device=CUDA, dtype=torch.bfloat16)
        rows, columns = quantize_rows(left), quantize_rows(right)
        one = torch.ones((), device=CUDA)
        works: dict[str, Callable[[], Any]] = {
            "bfloat16": partial(lambda a, b: a @ b.t(), left, right),
            "FP8, a scale a row": partial(multiply, rows, columns, torch.bfloat16),
            "FP8, one scale": partial(
                torch._scaled_mm,
                rows[0],
                columns[0].t(),
                scale_a=one,
                scale_b=one,
                out_dtype=torch.bfloat16,
                use_fast_accum=True,
            ),
        }
        for name, work in works.items():
            ms = float(do_bench(work, warmup=100, rep=200, return_mode="mean"))
            rate = round(2e-9 * tokens * inputs * outputs / ms)
            entries.append({"product": name, "inputs": inputs, "outputs": outputs, "ms": round(ms, 4), "tflops": rate})
            print(entries[-1], flush=True)
    return entries


def attention(tokens_wanted: int) -> dict[str, Any]:
    """Every tiling, and the shipped ones beside FlexAttention."""
    rows = lengths(64)
    rows = rows[: int(np.searchsorted(np.cumsum(rows), tokens_wanted))]
    [item] = pack([np.full(n, 5, dtype=np.int32) for n in rows], tokens_per_pass=tokens_wanted)
    tokens = len(item.input_ids)
    layout, scoring = PackLayout(item, CUDA), Scoring(DIM**-0.5, SOFT_CAP, 0)
    torch.manual_seed(0)
    query, key, value = (
        torch.randn(tokens, n, DIM, device=CUDA, dtype=torch.bfloat16) for n in (HEADS, KV_HEADS, KV_HEADS)
    )
    grad = torch.randn_like(query)
    exact_q, exact_k, exact_v = exact = [t.float().transpose(0, 1)[None].requires_grad_() for t in (query, key, value)]
    truth = segment_attention(
        exact_q, exact_k, exact_v, layout, scale=scoring.scale, softcap=SOFT_CAP, window=NO_WINDOW
    )
    truth.backward(grad.float().transpose(0, 1)[None])
    true_grads = [t.grad[0].transpose(0, 1) for t in exact if t.grad is not None]
    into = (torch.empty_like(query), torch.empty_like(key), torch.empty_like(value))

    def backward() -> None:
        kernels.backward(grad, query, key, value, out, lse, layout.forest, scoring, into=into)

    def error(got: torch.Tensor, true: torch.Tensor) -> float:
        return round(float((got.float() - true).norm() / true.norm()), 5)

    out, lse = kernels.forward(query, key, value, layout.forest, scoring)
    record: dict[str, Any] = {
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
    return record


def main() -> None:
    """Measure and write."""
    parts: dict[str, Callable[[int], Any]] = {
        "attention": attention, "between_products": between_products, "products": products
    }  # fmt: skip
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tokens", type=int, default=8192)
    parser.add_argument("--only", nargs="*", choices=parts, default=list(parts))
    given = parser.parse_args()
    record: dict[str, Any] = {
        "date": datetime.date.today().isoformat(), "hardware": torch.cuda.get_device_name(), "torch": torch.__version__
    }  # fmt: skip
    for name in given.only:
        record[name] = parts[name](given.tokens)
    given.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
