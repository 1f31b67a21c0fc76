"""Numeric types of a model: quantized base weights, the compute type, the head in float32."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, Literal

import torch
from torch import nn

if TYPE_CHECKING:
    from transformers import BitsAndBytesConfig

Precision = Literal["nf4", "int8", "fp8", "bf16", "fp16", "fp32"]
"""The type of the stored, frozen base weights. The compute type follows from it and the device unless it is set."""

ComputeDtype = Literal["auto", "bfloat16", "float16", "float32"]

HEAD: Final = "score"
"""The name of the classification head in all decoder-only classifiers of transformers."""

_UNQUANTIZED: Final = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


def default_device() -> torch.device:
    """This process's GPU if there is one (torchrun sets its index in LOCAL_RANK), else the CPU."""
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")


def resolve_compute_dtype(requested: ComputeDtype, precision: Precision, device: torch.device) -> torch.dtype:
    """The type of matrix products.

    `auto` is the type of the weights. For quantized weights it is the fastest type that the device supports natively:
    bfloat16 from Ampere on, float16 on earlier CUDA GPUs (a T4 emulates bfloat16), float32 on the CPU.
    """
    if requested != "auto":
        return {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}[requested]
    if precision in _UNQUANTIZED:
        return _UNQUANTIZED[precision]
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float16


def quantization_config(precision: Precision, compute_dtype: torch.dtype) -> BitsAndBytesConfig | None:
    """Settings for bitsandbytes, or None where it does not quantize.

    NF4 with double quantization follows QLoRA (Dettmers et al. 2023, sections 3.1 and 3.2), int8 follows LLM.int8()
    (Dettmers et al. 2022). The head is never quantized.
    """
    from transformers import BitsAndBytesConfig

    if precision == "nf4":
        return BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=compute_dtype,
            llm_int8_skip_modules=[HEAD],
        )
    if precision == "int8":
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=[HEAD])
    return None


def stored_dtype(precision: Precision, compute_dtype: torch.dtype) -> torch.dtype:
    """The type of weights that are not quantized (embeddings and norms; all weights for bf16, fp16, fp32)."""
    return _UNQUANTIZED.get(precision, compute_dtype)


def keep_gradients_on_cpu(model: nn.Module) -> None:
    """Stop bitsandbytes from repacking 4-bit weights for the CPU's AVX512-BF16 kernel, which has no backward pass.

    An evaluation would repack the weights permanently, and training would continue without gradients below them
    (bitsandbytes 0.50.2). Call this before the first forward pass.
    """
    from bitsandbytes.nn.modules import Linear4bit

    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False
