"""Baselines without a language model, from the shares of the votes to gradient-boosted trees. No torch."""

from tiebreak.baselines.base import Baseline, BaselineKind
from tiebreak.baselines.registry import fit_baseline
from tiebreak.baselines.serialization import (
    BaselineCard,
    StoredBaseline,
    load_baseline,
    read_baseline_card,
    save_baseline,
    write_baseline_card,
)

__all__ = [
    "Baseline",
    "BaselineCard",
    "BaselineKind",
    "StoredBaseline",
    "fit_baseline",
    "load_baseline",
    "read_baseline_card",
    "save_baseline",
    "write_baseline_card",
]
