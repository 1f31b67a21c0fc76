"""Published sequence classifiers as judges: reward models of one label, and classifiers over (A, B, tie).

Such a model has no adapter, and no card that says what it reads. It reads a conversation in its own chat template, as
its model card and reward benchmarks do. An export of Tiebreak has the card of its run.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import torch

from tiebreak.errors import ModelError, RecipeError
from tiebreak.models.base_support import check_base, longest_usable_text
from tiebreak.models.checkpoint_head import checkpoint_file, has_labels, is_sequence_classifier
from tiebreak.models.checkpoints import JudgeCard, RewardScale, read_card_file
from tiebreak.models.heads import LABELS, HeadKind
from tiebreak.models.hub import load_config, load_tokenizer
from tiebreak.models.precision import Precision
from tiebreak.text import CHAT, AddedTokens, AnswerChatTemplate, Encoder, PairTemplate, SideTemplate, resolve_template
from tiebreak.types import Conversation

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedTokenizerFast

MAX_LENGTH: Final = 8192
"""The default number of tokens of a text, where the model was made for that many or more."""

CONVERSATION_TEMPLATE: Final = "conversation_template.jinja"
"""The base model's chat template, in the export of a pairwise judge that reads texts in it."""

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
    exported = exported_card(name)
    if exported is None:
        _check_class(name, config)
    precision: Precision = (
        "fp32" if device.type == "cpu" else _STORED.get(str(config.dtype).removeprefix("torch."), "fp32")
    )
    if exported is not None:
        return _card_of_export(name, exported, precision), load_published_tokenizer(name)
    tokenizer = load_tokenizer(name)
    try:
        template = resolve_template(CHAT, head, tokenizer)
        added = _added_tokens(tokenizer, template)
        _check_pooling(name, config, tokenizer, template, added)
    except RecipeError as error:
        raise ModelError(
            f"{name} has no chat template that can be used, and Tiebreak does not know what text it reads otherwise. "
            "Use a reward model whose tokenizer has a chat template."
        ) from error
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


def _card_of_export(name: str, exported: JudgeCard, precision: Precision) -> JudgeCard:
    written_by_template = exported.template == CHAT  # the chat template has every special token
    return exported.model_copy(
        update={
            "added_tokens": AddedTokens() if written_by_template else exported.added_tokens,
            "base_model": name, "revision": None, "precision": precision, "compute_dtype": "auto", "adapter": False,
        }
    )  # fmt: skip


def load_published_tokenizer(name: str, revision: str | None = None) -> PreTrainedTokenizerFast:
    """The tokenizer of a checkpoint, with the chat template that renders conversations.

    That of an exported pairwise judge renders both answers; the base model's own is in a file next to it.

    Raises:
        ModelError: as in `load_tokenizer`.
    """
    tokenizer = load_tokenizer(name, revision)
    path = checkpoint_file(name, revision, CONVERSATION_TEMPLATE)
    if path is not None:
        tokenizer.chat_template = Path(path).read_text(encoding="utf-8")
    return tokenizer


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
    if not is_sequence_classifier(config):
        raise ModelError(
            f"{name} is no judge: its config.json names {_class_name(config)}, and a published judge is a sequence "
            "classifier of transformers (a class that ends with ForSequenceClassification). Train a judge on it: "
            f"tiebreak train RECIPE model.name={name}."
        )
    for head in LABELS:
        if has_labels(config, head):
            return head
    names: dict[Any, Any] = dict(config.id2label or {})
    given = ", ".join(str(names[index]) for index in sorted(names))
    if names == {index: label for label, index in LABELS["pairwise"].items()}:
        given += "; label2id has another order"
    raise ModelError(
        f"{name} is a classifier with {config.num_labels} labels ({given}). A judge has one, the reward, or the three "
        "labels model_a, model_b and tie, in this order. Use another model, or train a judge on it: tiebreak train "
        f"RECIPE model.name={name}."
    )


def _class_name(config: PreTrainedConfig) -> str:
    return str((config.architectures or ["no class"])[0])


def _check_class(name: str, config: PreTrainedConfig) -> None:
    """Check that transformers has the class of a sequence classifier: another one may compute another reward.

    Raises:
        ModelError: the class comes with the checkpoint.
    """
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES as CLASSES

    own_code = "AutoModelForSequenceClassification" in (getattr(config, "auto_map", None) or {})
    if own_code or _class_name(config) not in CLASSES.values():
        raise ModelError(
            f"{name} is read by {_class_name(config)}, Python code that comes with the checkpoint, and Tiebreak does "
            "not execute such code. Use a sequence classifier of a class that transformers itself has, or train a "
            f"judge on it: tiebreak train RECIPE model.name={name}."
        )


def write_published_tokens(
    name: str,
    revision: str | None,
    head: HeadKind,
    tokenizer: PreTrainedTokenizerFast,
    *,
    today: date | None = None,
) -> None:
    """Make the chat template of a published judge write all tokens that it reads, so that training reads them too.

    In training a chat template writes every special token, and a judge's tokenizer may add some to rendered chats.
    Other base models keep their chat template.

    Args:
        name: of the base model.
        revision: of the base model.
        head: that is trained.
        tokenizer: of the base model; its chat template is changed.
        today: as in `resolve_template`.

    Raises:
        ModelError: the tokens would differ from those that the judge reads.
        RecipeError: there is no usable chat template.
    """
    config = load_config(name, revision)
    if not is_sequence_classifier(config) or not has_labels(config, head):
        return
    template = resolve_template(CHAT, head, tokenizer, today=today)
    added = _added_tokens(tokenizer, template)
    if not added.count:
        return
    read = _shortest_text(tokenizer, template, added)
    before, after = added.text(tokenizer)
    source = str(tokenizer.get_chat_template()).removesuffix("\n")  # as Jinja does at the end of a template
    tokenizer.chat_template = f"{{{{ {before!r} }}}}{source}{{{{ {after!r} }}}}"
    if _shortest_text(tokenizer, resolve_template(CHAT, head, tokenizer), AddedTokens()) != read:
        raise ModelError(
            f"The tokenizer of {name} adds {before!r} and {after!r} to rendered chats, and gives other tokens if the "
            "chat template writes them. Leave text.template out, or use another base model."
        )


def _added_tokens(tokenizer: PreTrainedTokenizerFast, template: PairTemplate | SideTemplate) -> AddedTokens:
    """The tokens to add around a rendered chat: those that the tokenizer adds to texts and the template does not write.

    So there is one BOS. Reward benchmarks tokenise the rendered text and take a second BOS away. A text without the
    first tokens is tokenised like any text, with all tokens that the tokenizer adds.
    """
    ids, full = _shortest_text(tokenizer, template, AddedTokens()), AddedTokens.of(tokenizer)
    prefix = () if tuple(ids[: len(full.prefix)]) == full.prefix else full.prefix
    ends = tuple(ids[len(ids) - len(full.suffix) :]) == full.suffix
    return AddedTokens(prefix, () if ends and not prefix else full.suffix)


def _check_pooling(
    name: str, config: PreTrainedConfig, tokenizer: PreTrainedTokenizerFast, template: PairTemplate | SideTemplate,
    added: AddedTokens,
) -> None:  # fmt: skip
    """Raise ModelError if texts may end with the padding token: transformers pools the last other token."""
    padding = config.get_text_config(decoder=True).pad_token_id
    spelled = tokenizer.added_tokens_decoder.get(padding)
    # Special tokens are kept out of texts, except for the unknown one.
    ordinary = padding is not None and (spelled is None or not spelled.special or padding == tokenizer.unk_token_id)
    row = Conversation(("a",), ("Answerprobe",))
    open_end = (
        isinstance(template, AnswerChatTemplate) and template.render(row).endswith(row.answer) and not added.suffix
    )
    if _shortest_text(tokenizer, template, added)[-1] == padding or (ordinary and open_end):
        raise ModelError(
            f"Texts of {name} may end with its padding token {tokenizer.decode([padding])!r}, so transformers reads "
            "the reward one token earlier, which Tiebreak does not. Use another reward model."
        )


def _shortest_text(
    tokenizer: PreTrainedTokenizerFast, template: PairTemplate | SideTemplate, added: AddedTokens
) -> list[int]:
    """The ids of a row of empty texts."""
    [encoded] = Encoder(tokenizer, cast(Any, template), 4096, added).encode([cast(Any, template).empty_row])
    ids: list[int] = encoded.ids.tolist()
    return ids
