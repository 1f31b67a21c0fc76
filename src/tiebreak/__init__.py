"""Tiebreak: votes in, a judge of answers out.

    >>> from tiebreak import load_judge
    >>> judge = load_judge("runs/demo")                     # doctest: +SKIP
    >>> judge.compare("1 + 1 = ?", "2", "3").answer         # doctest: +SKIP
    'model_a'

Nothing here imports torch, or an HTTP library, before it is needed.
"""

from typing import TYPE_CHECKING, Any

from tiebreak.errors import (
    ComparisonsError,
    DataError,
    MemoryBudgetError,
    ModelError,
    RecipeError,
    RunError,
    ServerError,
    TiebreakError,
)
from tiebreak.judges import Judge, Ranking, Score, Verdict, load_judge
from tiebreak.recipe import Recipe, load_recipe
from tiebreak.rewards import reward_function
from tiebreak.types import OUTCOMES, Comparison, Conversation, Outcome, Vote

if TYPE_CHECKING:
    from tiebreak.client import AsyncClient, Client
    from tiebreak.training import TrainingResult, train

__all__ = [
    "OUTCOMES",
    "AsyncClient",
    "Client",
    "Comparison",
    "ComparisonsError",
    "Conversation",
    "DataError",
    "Judge",
    "MemoryBudgetError",
    "ModelError",
    "Outcome",
    "Ranking",
    "Recipe",
    "RecipeError",
    "RunError",
    "Score",
    "ServerError",
    "TiebreakError",
    "TrainingResult",
    "Verdict",
    "Vote",
    "load_judge",
    "load_recipe",
    "reward_function",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in ("train", "TrainingResult"):
        from tiebreak import training

        return getattr(training, name)
    if name in ("AsyncClient", "Client"):
        from tiebreak import client

        return getattr(client, name)
    raise AttributeError(f"module 'tiebreak' has no attribute {name!r}")
