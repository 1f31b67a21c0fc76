"""From the text of a recipe or a run's card to a template."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Literal

from tiebreak.text.chat_format import ChatFormat
from tiebreak.text.chat_template import CHAT, AnswerChatTemplate, ChatTemplate
from tiebreak.text.template import REWARD_TEMPLATE, SEED_TEMPLATE, AnswerTemplate, Template

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PairTemplate = Template | ChatTemplate
"""Renders comparisons, for a pairwise head."""
SideTemplate = AnswerTemplate | AnswerChatTemplate
"""Renders conversations, for a pointwise head."""


def resolve_template(
    text: str | None,
    head: Literal["pairwise", "pointwise"],
    tokenizer: PreTrainedTokenizerFast,
    *,
    today: date | None = None,
) -> PairTemplate | SideTemplate:
    """The template with the given text, `chat` for the tokenizer's own, or the default template of the head.

    Args:
        text: of a recipe or a run's card.
        head: of the judge.
        tokenizer: of the base model or the run. With `chat`, its chat template gets a fixed date if it writes one.
        today: that date, by default the current one.

    Raises:
        RecipeError: a slot is missing or repeated, or there is no usable chat template.
    """
    if text == CHAT:
        chat = ChatFormat.of(tokenizer, today)
        return ChatTemplate(chat) if head == "pairwise" else AnswerChatTemplate(chat)
    if head == "pairwise":
        return Template(text) if text else SEED_TEMPLATE
    return AnswerTemplate(text) if text else REWARD_TEMPLATE
