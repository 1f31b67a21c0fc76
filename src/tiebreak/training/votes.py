"""Which votes a run learns from, and which it is validated on."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from tiebreak.comparison import Comparison
from tiebreak.data import load_comparisons, split_by_prompt
from tiebreak.errors import DataError, RecipeError
from tiebreak.recipe import DataSection, ModelSection
from tiebreak.wording import counted


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


def votes_for(model: ModelSection, rows: list[Comparison], tell: Callable[[str], None]) -> list[Comparison]:
    """The rows as a model's head learns from them: margins go with Bradley and Terry's model, and ties do not.

    Raises:
        DataError: there are ties, and the tie model knows none.
    """
    if model.head == "pointwise" and model.tie_model == "bradley-terry":
        ties = [row for row in rows if row.vote is not None and row.vote[2] > 0]
        if ties:
            raise DataError(
                f"{len(ties):,} of {counted(len(rows), 'vote')} give a tie some share (id {ties[0].id} first), and "
                "model.tie_model=bradley-terry knows no ties. Take davidson or rao-kupper, or leave these rows out."
            )
        return rows
    graded = sum(row.margin > 0 for row in rows)
    if not graded:
        return rows
    tell(
        f"{counted(graded, 'vote')} with a margin: left aside, since margins go with model.head=pointwise and "
        "model.tie_model=bradley-terry."
    )
    return [replace(row, margin=0.0) for row in rows]


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
