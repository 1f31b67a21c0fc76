"""A judge takes a benchmark."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tiebreak.benchmarks.loading import Items, PairItems
from tiebreak.benchmarks.scoring import Score
from tiebreak.judges import Judge
from tiebreak.types import Comparison


@dataclass(frozen=True)
class Result:
    """What came of it."""

    scores: tuple[Score, ...]
    """The one that is quoted first, where the benchmark has one."""
    cut: int
    """Rows of which not all was read, because they are longer than the judge reads."""
    tokens_lost: int
    """Tokens of these that were not read."""

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "scores": [score.to_dict() for score in self.scores],
            "rows_cut": self.cut,
            "tokens_lost": self.tokens_lost,
        }


def work(judge: Judge, items: Items) -> int:
    """How often `on_progress` of `run_benchmark` is counted up in all."""
    return judge.texts(len(_unvoted(items)), "average") if isinstance(items, PairItems) else len(items.rows)


def run_benchmark(judge: Judge, items: Items, *, on_progress: Callable[[int], None] | None = None) -> Result:
    """Judge every row, and score the verdicts by the benchmark's own rule.

    Pairs are judged in both orders, sets of answers ranked (a judge of pairs holds a tournament in both orders).

    Raises:
        ModelError, MemoryBudgetError: as in `Judge.compare_many`.
    """
    if isinstance(items, PairItems):
        numbers = _unvoted(items)
        judged = judge.compare_orders(list(numbers), on_progress=on_progress)
        of_rows = [judged[numbers[_ask(c)]] for c in items.rows]
        lost = [max(verdict.tokens_lost for verdict in both) for both in judged]
        return Result(tuple(items.score(items.rows, of_rows)), sum(n > 0 for n in lost), sum(lost))
    rankings = judge.rank_many([(c.prompt, c.answers) for c in items.rows], on_progress=on_progress)
    lost = [ranking.tokens_lost for ranking in rankings]
    return Result(
        tuple(items.score(items.rows, [ranking.rewards for ranking in rankings])), sum(n > 0 for n in lost), sum(lost)
    )


def _unvoted(items: PairItems) -> dict[Comparison, int]:
    """What is to be judged, each with its number: votes on the same answers are one."""
    return {asked: number for number, asked in enumerate(dict.fromkeys(map(_ask, items.rows)))}


def _ask(comparison: Comparison) -> Comparison:
    return Comparison(comparison.prompt, comparison.answer_a, comparison.answer_b)
