"""In what numbers a model is held and computed: quantised base weights, the compute type, the head in float32."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, Literal

import torch
from torch import nn

from tiebreak.errors import ModelError

if TYPE_CHECKING:
    from transformers import BitsAndBytesConfig

Precision = Literal["nf4", "int8", "fp8", "bf16", "fp16", "fp32"]
"""How the frozen base weights are held; the compute type follows from it and the device, or is asked for."""

ComputeDtype = Literal["auto", "bfloat16", "float16", "float32"]

HEAD: Final = "score"
"""The name of the classification head in every decoder-only classifier of transformers."""

_HELD_AS: Final = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


def default_device() -> torch.device:
    """This process's GPU where there is one (torchrun numbers them in LOCAL_RANK), else the CPU."""
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")


def resolve_compute_dtype(asked: ComputeDtype, precision: Precision, device: torch.device) -> torch.dtype:
    """The type matrix products run in.

    `auto` is the type the weights are held in, or for quantised weights the fastest the device does well: bfloat16
    from Ampere on, float16 on earlier CUDA cards (a T4 only emulates bfloat16), float32 on the CPU.
    """
    if asked != "auto":
        return {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}[asked]
    if precision in _HELD_AS:
        return _HELD_AS[precision]
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float16


def quantization_config(precision: Precision, compute_dtype: torch.dtype) -> BitsAndBytesConfig | None:
    """How bitsandbytes is to quantise the base weights, or None where they stay as they are.

    NF4 with double quantisation is that of QLoRA (Dettmers et al. 2023, sections 3.1 and 3.2), int8 that of LLM.int8()
    (Dettmers et al. 2022). The head is always left out.
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
    """The type of the weights that are not quantised (embeddings, norms; everything for bf16, fp16, fp32)."""
    return _HELD_AS.get(precision, compute_dtype)


def keep_gradients_on_cpu(model: nn.Module) -> None:
    """Keep bitsandbytes from repacking 4-bit weights for the CPU's AVX512-BF16 kernel, which has no backward pass.

    An evaluation would repack the weights, they would stay so, and from then on training would go on without any
    gradient below them (bitsandbytes 0.50.2). To be called before the first forward pass.
    """
    from bitsandbytes.nn.modules import Linear4bit

    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False


def float32_head(model: nn.Module) -> None:
    """Hold the classification head in float32, whatever the rest is held in.

    Raises:
        ModelError: the model has no linear head named `score`, or a quantised one.
    """
    head = getattr(model, HEAD, None)
    if type(head) is not nn.Linear:
        raise ModelError(
            f"{type(model).__name__} has {'no' if head is None else f'a {type(head).__name__} as its'} head `{HEAD}`, "
            "where Tiebreak needs a plain linear layer. If the checkpoint was quantised before it was saved, "
            "name the original checkpoint and let model.precision quantise it."
        )
    head.float()
