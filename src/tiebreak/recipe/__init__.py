"""The recipe: all settings of a run in one typed YAML file. Unknown keys are an error that names the nearest key."""

from tiebreak.recipe.load import dump_recipe, load_recipe, shipped_recipes
from tiebreak.recipe.schema import Recipe, recipe_keys
from tiebreak.recipe.sections import (
    BaselineSection,
    DataSection,
    LoraSection,
    ModelSection,
    TextSection,
    TrainingSection,
)
from tiebreak.recipe.sources import VotesSource
from tiebreak.recipe.unused import unused_settings

__all__ = [
    "BaselineSection",
    "DataSection",
    "LoraSection",
    "ModelSection",
    "Recipe",
    "TextSection",
    "TrainingSection",
    "VotesSource",
    "dump_recipe",
    "load_recipe",
    "recipe_keys",
    "shipped_recipes",
    "unused_settings",
]
