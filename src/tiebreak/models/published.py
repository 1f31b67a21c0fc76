"""Published sequence classifiers as judges: reward models of one label, and classifiers over (A, B, tie).

Such a model has no adapter, and no card that says what it reads. It reads a conversation in its own chat template, as
its model card and reward benchmarks do. An export of Tiebreak has the card of its run.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import torch

from tiebreak.errors import ModelError, RecipeError
from tiebreak.models.base_support import check_base, longest_usable_text
from tiebreak.models.checkpoint_head import checkpoint_file, is_sequence_classifier
from tiebreak.models.checkpoints import JudgeCard, RewardScale, read_card_file
from tiebreak.models.heads import LABELS, HeadKind
from tiebreak.models.hub import load_config, load_tokenizer
from tiebreak.models.precision import Precision
from tiebreak.text import CHAT, AddedTokens, Encoder, PairTemplate, SideTemplate, resolve_template

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedTokenizerFast

MAX_LENGTH: Final = 8192
"""The default number of tokens of a text, where the model was made for that many or more."""

_STORED: Final[dict[str, Precision]] = {"bfloat16": "bf16", "float16": "fp16"}


def published_judge(name: str, device: torch.device) -> tuple[JudgeCard, PreTrainedTokenizerFast]:
    """The card and the tokenizer of a published sequence classifier, as if it was the model of a run.

    On a GPU the weights keep the type of the checkpoint, on a CPU they are float32.

    Args:
        name: a hub name or a local folder.
        device: where it will judge.

    Raises:
        ModelError: it is no sequence classifier that Tiebreak knows how to read, with the reason.
    """
    try:
        config = load_config(name)
    except ModelError as error:
        if Path(name).exists():
            raise
        raise ModelError(f"There is no run folder {name}, and as the name of a model: {error}") from error
    head = published_head(name)
    precision = "fp32" if device.type == "cpu" else _STORED.get(str(config.dtype).removeprefix("torch."), "fp32")
    exported = exported_card(name)
    if exported is not None:
        written_by_template = exported.template == CHAT  # the chat template has every special token
        card = exported.model_copy(
            update={
                "added_tokens": AddedTokens() if written_by_template else exported.added_tokens,
                "base_model": name, "revision": None, "precision": precision, "compute_dtype": "auto", "adapter": False,
            }
        )  # fmt: skip
        return card, load_tokenizer(name)
    tokenizer = load_tokenizer(name)
    try:
        template = resolve_template(CHAT, head, tokenizer)
    except RecipeError as error:
        raise ModelError(
            f"{name} has no chat template that can be used, and Tiebreak does not know what text it reads otherwise. "
            "Use a reward model whose tokenizer has a chat template."
        ) from error
    added = _added_tokens(name, config, tokenizer, template)
    length = min(MAX_LENGTH, longest_usable_text(config) or MAX_LENGTH)
    card = JudgeCard(
        base_model=name,
        revision=None,
        head=head,
        precision=precision,
        compute_dtype="auto",
        template=CHAT,
        max_length=length,
        tokens_per_pass=length,
        added_tokens=added,
        adapter=False,
        # One reward says nothing about ties, until `tiebreak calibrate` fits them to votes.
        rewards=RewardScale(tie_model="bradley-terry", tie_parameter=0.0, mean=0.0, deviation=1.0)
        if head == "pointwise"
        else None,
    )
    check_base(name, None, precision=precision, max_length=length)
    return card, tokenizer


def exported_card(name: str, revision: str | None = None) -> JudgeCard | None:
    """The card of a checkpoint that `tiebreak export` wrote; None for any other.

    Raises:
        RunError: this version cannot read it.
    """
    path = checkpoint_file(name, revision, "tiebreak.json")
    return None if path is None else read_card_file(Path(path))


def published_head(name: str) -> HeadKind:
    """The kind of a published judge's head, by its labels.

    Raises:
        ModelError: as in `published_judge`.
    """
    config = load_config(name)
    architecture = str((config.architectures or ["no class"])[0])
    if not is_sequence_classifier(config):
        raise ModelError(
            f"{name} is no judge: its config.json names {architecture}, and a published judge is a sequence classifier "
            f"of transformers (a class that ends with ForSequenceClassification). Train a judge on it: tiebreak train "
            f"RECIPE model.name={name}."
        )
    if config.num_labels == 1:
        return "pointwise"
    if config.label2id == LABELS["pairwise"]:
        return "pairwise"
    labels = ", ".join(map(str, config.label2id or ()))
    raise ModelError(
        f"{name} is a classifier with {config.num_labels} labels ({labels}). A judge has one, the reward, or the three "
        "labels model_a, model_b and tie. Use another model, or train a judge on it: tiebreak train RECIPE "
        f"model.name={name}."
    )


def _added_tokens(
    name: str, config: PreTrainedConfig, tokenizer: PreTrainedTokenizerFast, template: PairTemplate | SideTemplate
) -> AddedTokens:
    """The tokens to add around a rendered chat: those that the tokenizer adds to texts and the template does not write.

    So there is one BOS. Reward benchmarks tokenise the rendered text and take a second BOS away.

    Raises:
        ModelError: texts end with the padding token, which transformers does not pool.
    """
    [encoded] = Encoder(tokenizer, cast(Any, template), 4096, AddedTokens()).encode([cast(Any, template).empty_row])
    ids, full = encoded.ids.tolist(), AddedTokens.of(tokenizer)
    prefix = () if tuple(ids[: len(full.prefix)]) == full.prefix else full.prefix
    suffix = () if tuple(ids[len(ids) - len(full.suffix) :]) == full.suffix else full.suffix
    if [*ids, *suffix][-1] == config.get_text_config(decoder=True).pad_token_id:
        raise ModelError(
            f"The texts of {name} end with its padding token {tokenizer.pad_token!r}, so transformers reads the reward "
            "one token earlier, which Tiebreak does not. Set another pad_token_id in config.json."
        )
    return AddedTokens(prefix, suffix)
