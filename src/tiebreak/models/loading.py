"""Loading a base model and its tokenizer, from the hub, a local folder, or the package itself."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

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
"""Model types whose configuration does not say that they have no attention, or one with ALiBi."""


def load_tokenizer(name: str, revision: str | None = None) -> PreTrainedTokenizerFast:
    """The tokenizer of a hub name, a local folder or `nano`.

    Raises:
        ModelError: it cannot be had, or has no fast version.
    """
    from transformers import AutoTokenizer

    with _translate_load_errors(name):
        tokenizer = AutoTokenizer.from_pretrained(_location(name), revision=revision)
    if not tokenizer.is_fast:
        raise ModelError(f"The tokenizer of {name} has no fast version, which truncation needs for its offsets.")
    return cast("PreTrainedTokenizerFast", tokenizer)


def load_config(name: str, revision: str | None = None) -> PreTrainedConfig:
    """The configuration of a hub name, a local folder or `nano`.

    Raises:
        ModelError: it cannot be had.
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
    """A decoder-only classifier with three labels, or one reward, its body held in `precision`, its head in float32.

    A base checkpoint gets a fresh head, drawn under `seed`. Kept is the head of a classifier whose labels are model_a,
    model_b and tie (pairwise), or that has one label, as reward models do (pointwise).

    Args:
        name: a hub name, a local folder, or `nano`.
        revision: branch, tag or commit on the hub.
        precision: how the body is held.
        compute_dtype: what the body computes in.
        device: where the model goes.
        seed: decides a fresh head.
        head: what is read off the last token of a text.
        tie_model: of a pointwise head.
        tie_parameter: of a pointwise head, to begin with.

    Raises:
        ModelError: the checkpoint cannot be had, lacks weights, or is no decoder-only model.
    """
    from transformers import AutoConfig, AutoModelForSequenceClassification

    dtype = resolve_compute_dtype(compute_dtype, precision, device)
    check_supported(precision, dtype, device)
    with _translate_load_errors(name):
        config = AutoConfig.from_pretrained(_location(name), revision=revision)
        _check_config(config, name, precision)
        labels = LABELS[head]
        model, report = AutoModelForSequenceClassification.from_pretrained(
            _location(name),
            revision=revision,
            num_labels=len(labels),
            ignore_mismatched_sizes=True,
            quantization_config=quantization_config(precision, dtype),
            dtype=stored_dtype(precision, dtype),
            # FP8 weights are made on the device one by one: the model need not fit there as it is.
            device_map={"": "cpu" if precision == "fp8" else device},
            attn_implementation=ATTENTION,
            output_loading_info=True,
        )
    # A mismatched key comes as (name, shape in the checkpoint, shape in the model).
    mismatched = (key if isinstance(key, str) else key[0] for key in report["mismatched_keys"])
    random = sorted(key for key in {*report["missing_keys"], *mismatched} if not key.startswith(f"{HEAD}."))
    if random:
        raise ModelError(
            f"The checkpoint {name} lacks {len(random)} of the model's weights or has them in another shape, "
            f"{random[0]} among them: they would be random. Download it again, or name a checkpoint that fits its "
            "config.json."
        )
    float32_head(model)
    # A classifier of three classes may be of any three: only our own labels say that the head is a judge's.
    was_a_judge = config.label2id == labels if head == "pairwise" else config.num_labels == 1
    if not was_a_judge or f"{HEAD}.weight" in report["missing_keys"]:
        reset_head(model, seed)
    if head == "pointwise":
        install_reward_head(model, tie_model, tie_parameter)
        model.config.problem_type = "regression"
    if precision == "fp8":
        quantize_to_fp8(model, device, skip=HEAD)
    keep_gradients_on_cpu(model)
    model.config.label2id = dict(labels)
    model.config.id2label = {index: label for label, index in labels.items()}
    return cast("PreTrainedModel", model)


def check_supported(precision: Precision, dtype: torch.dtype, device: torch.device) -> None:
    """What a GPU cannot multiply in.

    Raises:
        ModelError: FP8 on a card that came before it, or with another compute type than bfloat16.
    """
    if precision == "fp8" and device.type == "cuda" and not supports_fp8(device):
        raise ModelError(
            f"{torch.cuda.get_device_name(device)} has no FP8 products: they came with Ada (L4, RTX 4090) and Hopper "
            "(H100). Take nf4, or bf16 where memory allows."
        )
    if precision == "fp8" and device.type == "cuda" and dtype != torch.bfloat16:
        raise ModelError("FP8 products come out in bfloat16: leave model.compute_dtype=auto.")


def _check_config(config: PreTrainedConfig, name: str, precision: Precision) -> None:
    """What would load, and be wrong without a word.

    Raises:
        ModelError: the checkpoint was quantised when it was saved, or has layers that mix what shares a pass.
    """
    if getattr(config, "quantization_config", None) is not None:
        raise ModelError(
            f"{name} was quantised before it was saved. Name the original checkpoint: model.precision={precision} "
            "quantises it as it is loaded."
        )
    kinds = set(getattr(config, "layer_types", None) or ()) - {"full_attention", "sliding_attention"}
    if kinds or getattr(config, "alibi", False) or config.model_type in _MIXERS:
        what = ", ".join(sorted(kinds)) or config.model_type
        raise ModelError(
            f"{name} has layers ({what}) in which comparisons that share a pass would see each other. Models with "
            "plain or sliding-window attention work: Gemma, Llama, Qwen2, Qwen3, Mistral, Phi and the like."
        )


def reset_head(model: torch.nn.Module, seed: int, tie_parameter: float = 0.0) -> None:
    """Draw every copy of the head anew: normal with the model's own `initializer_range`, zero bias.

    Args:
        model: a classifier, with or without an adapter.
        seed: decides the draw.
        tie_parameter: where that of a pointwise head begins.
    """
    generator = torch.Generator().manual_seed(seed)
    deviation = float(getattr(model.config, "initializer_range", None) or 0.02)
    heads = [m for name, m in model.named_modules() if isinstance(m, torch.nn.Linear) and HEAD in name.split(".")]
    fresh = torch.randn(heads[0].weight.shape, generator=generator) * deviation
    for head in heads:
        with torch.no_grad():
            head.weight.copy_(fresh)
            if head.bias is not None:
                head.bias.zero_()
        if isinstance(head, RewardHead) and head.tie_parameter is not None:
            with torch.no_grad():
                head.tie_parameter.fill_(tie_parameter)


def _location(name: str) -> str:
    return str(NANO_PATH) if name == NANO else name


@contextmanager
def _translate_load_errors(name: str) -> Iterator[None]:
    """Say what to do where a checkpoint cannot be had."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if name != NANO and not Path(name).exists() and (name.startswith((".", "/", "~")) or name.count("/") > 1):
        raise ModelError(
            f"There is no folder {name}. Name a local folder with a config.json, or a hub name "
            "(train: model.name=..., judging a run: --base-model ...)."
        )
    try:
        yield
    except (ModelError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # the libraries underneath raise whatever a damaged file makes them stumble over
        causes = list(_causes(error))
        local = Path(_location(name)).is_dir()

        def caused_by(*kinds: type[BaseException]) -> bool:
            return any(isinstance(cause, kinds) for cause in causes)

        if caused_by(GatedRepoError):
            advice = (
                f"{name} is gated. Accept its licence on its page on the hub, make an access token there, and run "
                "`hf auth login` (or set HF_TOKEN). On Kaggle: add the model to the notebook and name its folder."
            )
        elif caused_by(RepositoryNotFoundError):
            advice = (
                f"The hub has no model {name}, or it is private. Check the spelling; for a private one, log in with "
                "`hf auth login` or set HF_TOKEN."
            )
        elif caused_by(RevisionNotFoundError):
            advice = f"{name} has no such revision on the hub: check model.revision (a branch, a tag or a commit)."
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
