"""The recipe: every setting of a run in one typed file, the one source of reference and validation.

Unknown keys are refused with the nearest right name.
"""

from tiebreak.recipe.load import dump_recipe, load_recipe, parse_recipe, shipped_recipes
from tiebreak.recipe.schema import (
    BaselineSection,
    DataSection,
    LoraSection,
    ModelSection,
    Recipe,
    TextSection,
    TrainingSection,
    recipe_keys,
)

__all__ = [
    "BaselineSection",
    "DataSection",
    "LoraSection",
    "ModelSection",
    "Recipe",
    "TextSection",
    "TrainingSection",
    "dump_recipe",
    "load_recipe",
    "parse_recipe",
    "recipe_keys",
    "shipped_recipes",
]
