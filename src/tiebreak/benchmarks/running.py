"""Running a benchmark."""

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
    """The scores of a judge on a benchmark."""

    scores: tuple[Score, ...]
    """The benchmark's headline score comes first, if it has one."""
    cut: int
    """Rows that were truncated to the judge's limit."""
    tokens_lost: int
    """Tokens that were truncated."""

    def to_dict(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "scores": [score.to_dict() for score in self.scores],
            "rows_cut": self.cut,
            "tokens_lost": self.tokens_lost,
        }


def work(judge: Judge, items: Items) -> int:
    """The total that `on_progress` of `run_benchmark` counts up to."""
    return judge.texts(len(_distinct(items)), "average") if isinstance(items, PairItems) else len(items.rows)


def run_benchmark(judge: Judge, items: Items, *, on_progress: Callable[[int], None] | None = None) -> Result:
    """Judge every row and score the verdicts by the benchmark's rule.

    Pairs are judged in both orders. Sets of answers are ranked; a pairwise judge plays a tournament in both orders.

    Raises:
        ModelError, MemoryBudgetError: as in `Judge.compare_many`.
    """
    if isinstance(items, PairItems):
        indices = _distinct(items)
        judged = judge.compare_orders(list(indices), on_progress=on_progress)
        orders = [judged[indices[_without_vote(c)]] for c in items.rows]
        lost = [max(verdict.tokens_lost for verdict in verdicts) for verdicts in judged]
        return Result(tuple(items.score(items.rows, orders)), sum(n > 0 for n in lost), sum(lost))
    rankings = judge.rank_many([(c.prompt, c.answers) for c in items.rows], on_progress=on_progress)
    lost = [ranking.tokens_lost for ranking in rankings]
    return Result(
        tuple(items.score(items.rows, [ranking.rewards for ranking in rankings])), sum(n > 0 for n in lost), sum(lost)
    )


def _distinct(items: PairItems) -> dict[Comparison, int]:
    """Distinct comparisons and their indices: several votes on the same answers are judged once."""
    return {comparison: index for index, comparison in enumerate(dict.fromkeys(map(_without_vote, items.rows)))}


def _without_vote(comparison: Comparison) -> Comparison:
    return Comparison(comparison.prompt, comparison.answer_a, comparison.answer_b, system=comparison.system)
