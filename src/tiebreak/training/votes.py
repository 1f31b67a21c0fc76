"""Which votes a run learns from, and which it is validated on."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from tiebreak.comparison import Comparison
from tiebreak.data import load_comparisons, split_by_prompt
from tiebreak.errors import RecipeError
from tiebreak.recipe import DataSection


def training_and_validation(
    settings: DataSection, tell: Callable[[str], None]
) -> tuple[list[Comparison], list[Comparison]]:
    """Comparisons to learn from and to validate on."""
    assert settings.train is not None
    votes = list(load_comparisons(settings.train, votes="required", problem_rows=settings.problem_rows, on_note=tell))
    if settings.validation is not None:
        validation = list(
            load_comparisons(settings.validation, votes="required", problem_rows=settings.problem_rows, on_note=tell)
        )
        validation = _sample(validation, settings.validation_rows, settings.seed, "data.validation_rows")
    else:
        rows, share = settings.validation_rows, settings.validation_share
        if rows is None and share is None:
            rows = max(1, min(1000, len(votes) // 10))
        votes, validation = split_by_prompt(votes, validation_rows=rows, validation_share=share, seed=settings.seed)
    return _sample(votes, settings.train_rows, settings.seed, "data.train_rows"), validation


def _sample(rows: list[Comparison], wanted: int | None, seed: int, key: str) -> list[Comparison]:
    """A random choice of so many rows, in their order; all of them where no number is asked for."""
    if wanted is None:
        return rows
    if wanted > len(rows):
        raise RecipeError(f"{key} asks for {wanted:,} rows where there are {len(rows):,}. Lower it or leave it out.")
    return [rows[i] for i in sorted(random.Random(seed).sample(range(len(rows)), wanted))]


def warn_of_shared_prompts(
    training: Sequence[Comparison], validation: Sequence[Comparison], tell: Callable[[str], None]
) -> None:
    """A split never shares prompts; files that people split themselves often do, and validate too well."""
    known = {comparison.prompt[0] for comparison in training}
    shared = sum(comparison.prompt[0] in known for comparison in validation)
    if shared:
        tell(
            f"{shared:,} of {len(validation):,} validation rows have prompts that stand in training too: their score "
            "will be too good. Without data.validation, rows are split off by prompt."
        )
