"""Tiebreak turns votes on answers into a judge and a reward model.

    >>> from tiebreak import load_judge
    >>> judge = load_judge("runs/demo")                     # doctest: +SKIP
    >>> judge.compare("1 + 1 = ?", "2", "3").answer         # doctest: +SKIP
    'model_a'

Importing this package imports neither torch nor an HTTP library: they are imported when they are first needed.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tiebreak._version import RELEASE
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
    from tiebreak.workflows.evaluate import evaluate
    from tiebreak.workflows.evaluation_result import EvaluationResult

__all__ = [
    "OUTCOMES",
    "AsyncClient",
    "Client",
    "Comparison",
    "ComparisonsError",
    "Conversation",
    "DataError",
    "EvaluationResult",
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
    "__version__",
    "evaluate",
    "load_judge",
    "load_recipe",
    "reward_function",
    "train",
]


__version__ = RELEASE

_LAZY = {
    "AsyncClient": "tiebreak.client",
    "Client": "tiebreak.client",
    "EvaluationResult": "tiebreak.workflows.evaluation_result",
    "TrainingResult": "tiebreak.training",
    "evaluate": "tiebreak.workflows.evaluate",
    "train": "tiebreak.training",
}
"""Names that are imported when they are first used, so that `import tiebreak` stays quick."""


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'tiebreak' has no attribute {name!r}")
