"""Settings of a recipe that have no effect together with its other settings."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tiebreak.recipe.schema import Recipe
from tiebreak.recipe.sections import BaselineSection

_KEYS_OF_BASELINES: Final = {
    "prior": frozenset[str](),
    "length": frozenset({"C"}),
    "tfidf": frozenset({"C", "min_df", "max_words"}),
    "trees": frozenset(BaselineSection.model_fields) - {"kind"},
}
"""The keys that each kind of baseline reads."""


def unused_settings(recipe: Recipe) -> list[str]:
    """A sentence for every setting that differs from its default and has no effect."""
    notes = []
    baseline, model = recipe.baseline, recipe.model
    if baseline is not None:
        read = {"kind", "seed", *_KEYS_OF_BASELINES[baseline.kind]}
        notes += [
            f"baseline.{key} has no effect with baseline.kind={baseline.kind}: leave it out, or use another kind."
            for key, field in BaselineSection.model_fields.items()
            if key not in read and getattr(baseline, key) != field.default
        ]
    if model.revision is not None and (model.name == "nano" or Path(model.name).is_dir()):
        notes.append(
            f"model.revision={model.revision} has no effect: {model.name} is not on the hub. Leave it out, or give a "
            "hub name."
        )
    return notes
