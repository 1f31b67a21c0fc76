"""4-bit weights with doubly quantized scales (QLoRA, Dettmers et al. 2023, section 3) dequantized in one launch.

The result equals that of bitsandbytes bit for bit; bitsandbytes needs three launches and twice the time.

Legend of shapes: B blocks of weights that share a scale (`blocks`), 2 HALF weights per block (64), SCALES block
scales per scale of scales (256). `packed` is uint8 [B, HALF], `scale` uint8 [B], `scale_scale` float32 [B / SCALES],
the output [B, 2 HALF]; all are contiguous. A program dequantizes ROWS blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def _dequantize_kernel(
    packed_ptr, levels_ptr, scale_ptr, scale_levels_ptr, scale_scale_ptr, offset_ptr, out_ptr, blocks,
    HALF: tl.constexpr, SCALES: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    block = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    inside = block < blocks
    level = tl.load(scale_levels_ptr + tl.load(scale_ptr + block, mask=inside, other=0))
    scale = level * tl.load(scale_scale_ptr + block // SCALES, mask=inside, other=0.0) + tl.load(offset_ptr)
    at = block[:, None] * HALF + tl.arange(0, HALF)[None, :]
    pair = tl.load(packed_ptr + at, mask=inside[:, None], other=0)
    first = tl.load(levels_ptr + (pair >> 4)) * scale[:, None]
    second = tl.load(levels_ptr + (pair & 15)) * scale[:, None]
    both = tl.interleave(first, second).to(out_ptr.dtype.element_ty)
    to = block[:, None] * (2 * HALF) + tl.arange(0, 2 * HALF)[None, :]
    tl.store(out_ptr + to, both, mask=inside[:, None])


@dataclass(frozen=True)
class FourBitMatrix:
    """A weight [out, in] as bitsandbytes stores it: NF4 with double quantization."""

    packed: Tensor
    """uint8, two weights per byte, the first in the upper four bits"""
    levels: Tensor
    """float32 [16]: the NF4 code book"""
    scales: Tensor
    """uint8 [B]: quantized absmax of each block"""
    scale_levels: Tensor
    """float32 [256]: the code book of `scales`"""
    scale_scales: Tensor
    """float32 [B / scale_block]: absmax of each block of scales"""
    offset: Tensor
    """float32 []: mean that was subtracted from the scales"""
    shape: tuple[int, int]
    block: int
    """Weights per scale."""
    scale_block: int
    """Scales per scale of scales."""

    @classmethod
    def of(cls, weight: Any) -> FourBitMatrix:
        """From a parameter of bitsandbytes with double quantization, as `load_base` creates them."""
        state = weight.quant_state
        return cls(
            weight.data, state.code, state.absmax, state.state2.code, state.state2.absmax, state.offset,
            (state.shape[0], state.shape[1]), state.blocksize, state.state2.blocksize,
        )  # fmt: skip

    def dequantize(self, dtype: torch.dtype) -> Tensor:
        """The weight [out, in] in `dtype`."""
        out = torch.empty(self.shape, dtype=dtype, device=self.packed.device)
        blocks = self.scales.numel()
        rows = 64
        _dequantize_kernel[(triton.cdiv(blocks, rows),)](
            self.packed, self.levels, self.scales, self.scale_levels, self.scale_scales, self.offset, out, blocks,
            HALF=self.block // 2, SCALES=self.scale_block, ROWS=rows, num_warps=4,
            enable_fp_fusion=False,  # bitsandbytes rounds the product of a scale before it adds the offset
        )  # fmt: skip
        return out
