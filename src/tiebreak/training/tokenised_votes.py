"""A run's votes as token sequences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Final

from tiebreak.models import load_text_config, load_tokenizer
from tiebreak.progress import cumulative_progress
from tiebreak.recipe import Recipe
from tiebreak.text import PairTemplate, SideTemplate, TruncationReport, check_vocabulary, resolve_template
from tiebreak.training.batches import Example, ExampleMaker, digest_of, example_maker
from tiebreak.training.splits import SplitVotes

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

MANY_ROWS: Final = 5000
"""From this number of training rows on, tokenising takes seconds and is logged."""


@dataclass(frozen=True)
class TokenisedVotes:
    """A run's votes, their examples, and what made them."""

    votes: SplitVotes
    training: list[Example]
    validation: list[Example]
    """The given order of each comparison."""
    calibration: list[Example]
    """For a pairwise head each order of each comparison is an example; for a pointwise head each comparison."""
    tokenizer: PreTrainedTokenizerFast
    template: PairTemplate | SideTemplate
    make: ExampleMaker

    @cached_property
    def digest(self) -> str:
        """A hash of all examples: equal for equal votes, tokenizer and template."""
        return digest_of([*self.training, *self.validation, *self.calibration])

    def swapped_validation(self) -> list[Example]:
        """The validation comparisons with their answers exchanged."""
        return self.make([row.swap() for row in self.votes.validation], both_orders=False, on_progress=None)[0]


def tokenise(
    recipe: Recipe,
    votes: SplitVotes,
    log: Callable[[str], None],
    on_tokenised: Callable[[int, int], None] | None,
    *,
    today: date,
) -> TokenisedVotes:
    """Tokenise a run's votes as its recipe says, and log how many rows there are and what was truncated.

    Args:
        recipe: the run's.
        votes: its rows.
        log: called with one sentence at a time.
        on_tokenised: called with the number of texts that are tokenised and the number of all texts.
        today: the date that a chat template writes.

    Raises:
        ModelError: as in `base_tokenizer`.
        RecipeError: the template does not fit `text.max_length`, or the tokenizer.
    """
    tokenizer = base_tokenizer(recipe)
    template = resolve_template(recipe.text.template, recipe.model.head, tokenizer, today=today)
    make = example_maker(tokenizer, template, max_length=recipe.text.max_length)
    pointwise, both_orders = recipe.model.head == "pointwise", recipe.training.both_orders
    # A Trainer judges the first order of an example, so each order of a calibration row is an example.
    calibration_orders = [order for row in votes.calibration for order in ((row,) if pointwise else row.orders)]
    if len(votes.training) > MANY_ROWS:
        log(f"Tokenising {sum(map(len, votes)):,} comparisons.")
    texts = (
        len(votes.training) * (2 if both_orders or pointwise else 1)
        + len(votes.validation) * (2 if pointwise else 1)
        + len(votes.calibration) * 2
    )
    on_progress = None if on_tokenised is None else cumulative_progress(texts, on_tokenised)
    training, encoded_training = make(votes.training, both_orders=both_orders, on_progress=on_progress)
    validation, encoded_validation = make(votes.validation, both_orders=False, on_progress=on_progress)
    calibration, _ = make(calibration_orders, both_orders=False, on_progress=on_progress)
    noun = "answer" if pointwise else "comparison"
    log(f"Training rows: {len(training):,}. {TruncationReport.of(encoded_training, noun)}")
    log(f"Validation rows: {len(validation):,}. {TruncationReport.of(encoded_validation, noun)}")
    if calibration:
        log(f"Calibration rows: {len(votes.calibration):,}.")
    return TokenisedVotes(votes, training, validation, calibration, tokenizer, template, make)


def base_tokenizer(recipe: Recipe) -> PreTrainedTokenizerFast:
    """The tokenizer of a recipe's base model.

    Raises:
        ModelError: it cannot be loaded, or has tokens that the model has no embedding for.
    """
    name, revision = recipe.model.name, recipe.model.revision
    tokenizer = load_tokenizer(name, revision)
    check_vocabulary(tokenizer, load_text_config(name, revision).vocab_size)
    return tokenizer
