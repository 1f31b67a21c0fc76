"""Loading a base model and its tokenizer, from the hub, a local folder, or the package itself."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import torch

from tiebreak.errors import ModelError
from tiebreak.models.attention import ATTENTION
from tiebreak.models.fp8 import quantize_to_fp8, supports_fp8
from tiebreak.models.heads import LABELS, HeadKind, RewardHead, install_reward_head
from tiebreak.models.nano import NANO_PATH
from tiebreak.models.precision import (
    HEAD,
    ComputeDtype,
    Precision,
    float32_head,
    keep_gradients_on_cpu,
    quantization_config,
    resolve_compute_dtype,
    stored_dtype,
)
from tiebreak.ranking import TieModel

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

NANO: Final = "nano"
"""The name of the built-in tiny Gemma 2."""

_MIXERS: Final = {"bloom", "mpt", "mamba", "mamba2", "falcon_mamba", "rwkv", "recurrent_gemma", "jamba", "zamba2"}
"""Model types without attention, or with ALiBi, whose configuration does not say so."""


def load_tokenizer(name: str, revision: str | None = None) -> PreTrainedTokenizerFast:
    """The tokenizer of a hub name, a local folder or `nano`.

    Raises:
        ModelError: it cannot be loaded, or has no fast version.
    """
    from transformers import AutoTokenizer

    with _translate_load_errors(name):
        tokenizer = AutoTokenizer.from_pretrained(_location(name), revision=revision)
    if not tokenizer.is_fast:
        raise ModelError(
            f"The tokenizer of {name} has no fast version. Truncation needs one for its offsets: use another base "
            "model."
        )
    return cast("PreTrainedTokenizerFast", tokenizer)


def load_config(name: str, revision: str | None = None) -> PreTrainedConfig:
    """The configuration of a hub name, a local folder or `nano`.

    Raises:
        ModelError: it cannot be loaded.
    """
    from transformers import AutoConfig

    with _translate_load_errors(name):
        return cast("PreTrainedConfig", AutoConfig.from_pretrained(_location(name), revision=revision))


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
) -> PreTrainedModel:
    """A decoder-only classifier with three labels, or one reward: body in `precision`, head in float32.

    A base checkpoint gets a new random head, drawn with `seed`. A head is kept if the checkpoint is a classifier with
    the labels model_a, model_b and tie (pairwise), or with one label, as reward models have (pointwise).

    Args:
        name: a hub name, a local folder, or `nano`.
        revision: branch, tag or commit on the hub.
        precision: the type of the stored body weights.
        compute_dtype: the type of matrix products in the body.
        device: the device of the model.
        seed: of a new head.
        head: what the model predicts at the last token of a text.
        tie_model: of a pointwise head.
        tie_parameter: initial value for a pointwise head.

    Raises:
        ModelError: the checkpoint cannot be loaded, lacks weights, or is not a decoder-only model.
    """
    from transformers import AutoConfig, AutoModelForSequenceClassification

    dtype = resolve_compute_dtype(compute_dtype, precision, device)
    check_supported(precision, dtype, device)
    with _translate_load_errors(name):
        config = AutoConfig.from_pretrained(_location(name), revision=revision)
        _check_config(config, name, precision)
        model, report = AutoModelForSequenceClassification.from_pretrained(
            _location(name),
            revision=revision,
            num_labels=len(LABELS[head]),
            ignore_mismatched_sizes=True,
            quantization_config=quantization_config(precision, dtype),
            dtype=stored_dtype(precision, dtype),
            # FP8 weights are made on the device one by one: the unquantized model need not fit there.
            device_map={"": "cpu" if precision == "fp8" else device},
            attn_implementation=ATTENTION,
            output_loading_info=True,
        )
    _check_complete(report, name)
    _prepare_head(model, config, report, head=head, tie_model=tie_model, tie_parameter=tie_parameter, seed=seed)
    if precision == "fp8":
        quantize_to_fp8(model, device, skip=HEAD)
    keep_gradients_on_cpu(model)
    return cast("PreTrainedModel", model)


def _prepare_head(
    model: Any, config: PreTrainedConfig, report: dict[str, Any], *, head: HeadKind, tie_model: TieModel,
    tie_parameter: float, seed: int,
) -> None:  # fmt: skip
    """Make the head a judge's, in float32: keep a judge's head, replace any other one by a new random one."""
    labels = LABELS[head]
    float32_head(model)
    # Three classes can be any three: only our own labels show that the head is a judge's.
    has_judge_head = config.label2id == labels if head == "pairwise" else config.num_labels == 1
    if not has_judge_head or f"{HEAD}.weight" in report["missing_keys"]:
        reset_head(model, seed)
    if head == "pointwise":
        install_reward_head(model, tie_model, tie_parameter)
        model.config.problem_type = "regression"
    model.config.label2id = dict(labels)
    model.config.id2label = {index: label for label, index in labels.items()}


def _check_complete(report: dict[str, Any], name: str) -> None:
    """Raise ModelError if weights other than the head's are missing or have another shape."""
    # A mismatched key is (name, shape in the checkpoint, shape in the model).
    mismatched = (key if isinstance(key, str) else key[0] for key in report["mismatched_keys"])
    random = sorted(key for key in {*report["missing_keys"], *mismatched} if not key.startswith(f"{HEAD}."))
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


def _check_config(config: PreTrainedConfig, name: str, precision: Precision) -> None:
    """Reject checkpoints that would load and silently give wrong results.

    Raises:
        ModelError: the checkpoint was saved quantized, or has layers that mix the sequences of a pass.
    """
    if getattr(config, "quantization_config", None) is not None:
        raise ModelError(
            f"{name} was saved quantized. Use the original checkpoint: model.precision={precision} quantizes it while "
            "loading."
        )
    kinds = set(getattr(config, "layer_types", None) or ()) - {"full_attention", "sliding_attention"}
    if kinds or getattr(config, "alibi", False) or config.model_type in _MIXERS:
        what = ", ".join(sorted(kinds)) or config.model_type
        raise ModelError(
            f"{name} has layers ({what}) in which the sequences of one pass would affect each other. Use a model with "
            "full or sliding-window attention: Gemma, Llama, Qwen2, Qwen3, Mistral or Phi, for example."
        )


def reset_head(model: torch.nn.Module, seed: int, tie_parameter: float = 0.0) -> None:
    """Reinitialize every copy of the head: normal with the model's `initializer_range`, zero bias.

    Args:
        model: a classifier, with or without an adapter.
        seed: of the random numbers.
        tie_parameter: initial value for a pointwise head.
    """
    generator = torch.Generator().manual_seed(seed)
    deviation = float(getattr(model.config, "initializer_range", None) or 0.02)
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


def _location(name: str) -> str:
    return str(NANO_PATH) if name == NANO else name


@contextmanager
def _translate_load_errors(name: str) -> Iterator[None]:
    """Turn errors of loading a checkpoint into a ModelError that says what to do."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if name != NANO and not Path(name).exists() and (name.startswith((".", "/", "~")) or name.count("/") > 1):
        raise ModelError(
            f"There is no folder {name}. Give a local folder with a config.json, or a hub name "
            "(training: model.name=..., judging: --base-model ...)."
        )
    try:
        yield
    except (ModelError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # libraries raise many kinds of errors for a damaged file
        causes = list(_causes(error))
        local = Path(_location(name)).is_dir()

        def caused_by(*kinds: type[BaseException]) -> bool:
            return any(isinstance(cause, kinds) for cause in causes)

        if caused_by(GatedRepoError):
            advice = (
                f"{name} is gated. Accept its licence on its hub page, create an access token there, and run "
                "`hf auth login` (or set HF_TOKEN). On Kaggle, add the model to the notebook and use its folder."
            )
        elif caused_by(RepositoryNotFoundError):
            advice = (
                f"The hub has no model {name}, or it is private. Check the spelling; for a private model, log in with "
                "`hf auth login` or set HF_TOKEN."
            )
        elif caused_by(RevisionNotFoundError):
            advice = f"{name} has no such revision on the hub. Check model.revision (a branch, a tag or a commit)."
        elif any(getattr(cause, "errno", None) in (errno.ENOSPC, errno.EDQUOT) for cause in causes):
            advice = (
                f"The disk is full: {name} could not be downloaded. Free some space, or set HF_HOME to another disk."
            )
        elif not local and caused_by(LocalEntryNotFoundError, HfHubHTTPError, ConnectionError, TimeoutError, OSError):
            advice = (
                f"The hub cannot be reached for {name}, and it is not in the local cache. Check the network, or "
                "download the model elsewhere (`hf download`) and set model.name to its folder."
            )
        else:
            advice = f"{name} cannot be loaded as a decoder-only model: {_first_line(error)}"
        raise ModelError(advice) from error


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
