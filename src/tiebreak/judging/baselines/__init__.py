"""Classical judges of answers, from the class prior to boosted trees: what a language model has to beat. No torch."""

from tiebreak.judging.baselines.models import Baseline, BaselineKind, fit_baseline
from tiebreak.judging.baselines.store import BaselineCard, StoredBaseline, load_baseline, save_baseline

__all__ = [
    "Baseline",
    "BaselineCard",
    "BaselineKind",
    "StoredBaseline",
    "fit_baseline",
    "load_baseline",
    "save_baseline",
]
