"""The encoder of a finished run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from tiebreak.text import CHAT, AddedTokens, Encoder, resolve_template

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from tiebreak.models.checkpoints import JudgeCard


def card_encoder(card: JudgeCard, tokenizer: PreTrainedTokenizerFast) -> Encoder[Any]:
    """Encodes comparisons for a pairwise head, conversations for a pointwise one, as in training.

    Args:
        card: of the run.
        tokenizer: in the run's `model` folder.

    Raises:
        RecipeError: the template does not fit the tokenizer, or `max_length`.
    """
    template = resolve_template(card.template, card.head, tokenizer)
    added = card.added_tokens or AddedTokens.bos_only(tokenizer)
    if card.template == CHAT and card.adapter:  # as in training: the chat template writes all of them
        added = AddedTokens()
    return Encoder(tokenizer, cast(Any, template), card.max_length, added)
