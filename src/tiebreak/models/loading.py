"""Loading a base model as a classifier: its text model in the recipe's precision, and a head in float32."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from tiebreak.errors import ModelError
from tiebreak.models.attention import ATTENTION
from tiebreak.models.checkpoint_head import read_head
from tiebreak.models.fp8 import quantize_to_fp8, supports_fp8
from tiebreak.models.gguf import is_gguf
from tiebreak.models.heads import LABELS, HeadKind, RewardHead
from tiebreak.models.hub import load_config, model_location, translate_load_errors, weights_location
from tiebreak.models.layer_stack import transformer_body
from tiebreak.models.precision import (
    HEAD,
    ComputeDtype,
    Precision,
    keep_gradients_on_cpu,
    quantization_config,
    resolve_compute_dtype,
    stored_dtype,
)
from tiebreak.models.text_classifier import TextClassifier, adapt_to_packs, text_body
from tiebreak.ranking import TieModel

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel


def load_base(
    name: str,
    *,
    revision: str | None = None,
    precision: Precision,
    compute_dtype: ComputeDtype = "auto",
    device: torch.device,
    seed: int = 0,
    head: HeadKind = "pairwise",
    tie_model: TieModel = "davidson",
    tie_parameter: float = 0.0,
    new_head: bool = True,
) -> TextClassifier:
    """A decoder-only classifier with three labels, or one reward: body in `precision`, head in float32.

    Call `check_base` first. Of a model that also reads images or sound, only the text model is kept. A base checkpoint
    gets a new random head, drawn with `seed`. A head is kept if the checkpoint is a sequence classifier with the labels
    model_a, model_b and tie (pairwise), or with one label, as reward models have (pointwise).

    Args:
        name: a hub name, a local folder, a GGUF file, or `nano`.
        revision: branch, tag or commit on the hub.
        precision: the type of the stored body weights.
        compute_dtype: the type of matrix products in the body.
        device: the device of the model.
        seed: of a new head.
        head: what the model predicts at the last token of a text.
        tie_model: of a pointwise head.
        tie_parameter: initial value for a pointwise head.
        new_head: whether a checkpoint without a judge's head gets a new one; otherwise it is an error.

    Raises:
        ModelError: the checkpoint cannot be loaded, lacks weights, or is not a decoder-only model.
    """
    dtype = resolve_compute_dtype(compute_dtype, precision, device)
    check_supported(precision, dtype, device)
    config = load_config(name, revision)
    adapt_to_packs(config.get_text_config(decoder=True))
    saved = read_head(name, revision, config, head)  # before the body, which takes minutes
    if saved is None and not new_head:
        raise ModelError(f"{name} has no {head} head, so it is no judge. Name a sequence classifier, or a run.")
    body = _load_body(name, revision, config, precision, dtype, device)
    size, labels = config.get_text_config(decoder=True).hidden_size, LABELS[head]
    linear = _new_head(head, size, tie_model, tie_parameter)
    model = TextClassifier(body, linear.to(device))
    if saved is None:
        reset_head(model, seed, tie_parameter)
    else:
        linear.load_state_dict({"weight": saved}, strict=False)
    model.text_config.num_labels = len(labels)
    model.text_config.label2id = dict(labels)
    model.text_config.id2label = {index: label for label, index in labels.items()}
    if head == "pointwise":
        model.text_config.problem_type = "regression"
    if precision == "fp8":
        quantize_to_fp8(model, device, skip=HEAD)
    keep_gradients_on_cpu(model)
    return model


def _load_body(
    name: str, revision: str | None, config: PreTrainedConfig, precision: Precision, dtype: torch.dtype,
    device: torch.device,
) -> PreTrainedModel:  # fmt: skip
    from transformers import AutoModel

    with translate_load_errors(name):
        model, report = AutoModel.from_pretrained(
            weights_location(name),
            revision=revision,
            config=config,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,  # reported, and then refused with what to do
            quantization_config=quantization_config(precision, dtype),
            dtype=stored_dtype(precision, dtype),
            # FP8 weights are made on the device one by one: the unquantized model need not fit there.
            device_map={"": "cpu" if precision == "fp8" else device},
            attn_implementation=ATTENTION,
            output_loading_info=True,
        )
        body = text_body(model)
    _check_complete(report, name, tuple(body.state_dict()))
    body.name_or_path = name if is_gguf(name) else model_location(name)
    return body


def _new_head(head: HeadKind, size: int, tie_model: TieModel, tie_parameter: float) -> nn.Linear:
    if head == "pointwise":
        return RewardHead(size, tie_model, tie_parameter)
    return nn.Linear(size, len(LABELS[head]), bias=False)


def _check_complete(report: dict[str, Any], name: str, needed: tuple[str, ...]) -> None:
    """Raise ModelError if weights whose names end with one of `needed` are missing or have another shape."""
    # A mismatched key is (name, shape in the checkpoint, shape in the model).
    mismatched = (key if isinstance(key, str) else key[0] for key in report["mismatched_keys"])
    random = sorted(key for key in {*report["missing_keys"], *mismatched} if key.endswith(needed))
    if random:
        raise ModelError(
            f"The checkpoint {name} lacks {len(random)} of the model's weights or has them in another shape "
            f"(the first is {random[0]}); they would be random. Download it again, or use a checkpoint that matches "
            "its config.json."
        )


def check_supported(precision: Precision, dtype: torch.dtype, device: torch.device) -> None:
    """Check that the device supports the precision with this compute type.

    Raises:
        ModelError: FP8 on a GPU without FP8 products, or with another compute type than bfloat16.
    """
    if precision == "fp8" and device.type == "cuda" and not supports_fp8(device):
        raise ModelError(
            f"{torch.cuda.get_device_name(device)} has no FP8 products; Ada (L4, RTX 4090), Hopper (H100) and later "
            "GPUs have. Use model.precision=nf4, or bf16 if memory allows."
        )
    if precision == "fp8" and device.type == "cuda" and dtype != torch.bfloat16:
        raise ModelError(f"FP8 products are computed in bfloat16, not {dtype}. Leave model.compute_dtype=auto.")


def emulation_note(precision: Precision, dtype: torch.dtype, device: torch.device) -> str | None:
    """A sentence on what the device only emulates, and what to use instead; None if it emulates nothing."""
    if precision == "fp8" and device.type != "cuda":
        return (
            f"The {device.type.upper()} has no FP8 products: they are emulated in float32, with FP8's rounding but "
            "without its speed. Use bf16 (model.precision=bf16, or --merge bf16 for a trained run), or an Ada, Hopper "
            "or later GPU."
        )
    if dtype == torch.bfloat16 and device.type == "cuda" and torch.cuda.get_device_capability(device) < (8, 0):
        return (
            f"{torch.cuda.get_device_name(device)} emulates bfloat16, which is slow. Train with "
            "model.compute_dtype=float16, or use an Ampere or later GPU."
        )
    return None


def reset_head(model: torch.nn.Module, seed: int, tie_parameter: float = 0.0) -> None:
    """Reinitialize every copy of the head: normal with the model's `initializer_range`, zero bias.

    Args:
        model: a classifier, with or without an adapter.
        seed: of the random numbers.
        tie_parameter: initial value for a pointwise head.
    """
    generator = torch.Generator().manual_seed(seed)
    deviation = float(getattr(transformer_body(model).config, "initializer_range", None) or 0.02)
    heads = [m for name, m in model.named_modules() if isinstance(m, torch.nn.Linear) and HEAD in name.split(".")]
    weight = torch.randn(heads[0].weight.shape, generator=generator) * deviation
    for head in heads:
        with torch.no_grad():
            head.weight.copy_(weight)
            if head.bias is not None:
                head.bias.zero_()
        if isinstance(head, RewardHead) and head.tie_parameter is not None:
            with torch.no_grad():
                head.tie_parameter.fill_(tie_parameter)
