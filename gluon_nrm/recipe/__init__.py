"""Recipes: typed YAML descriptions of an experiment. Imports neither MXNet nor numpy."""

from __future__ import annotations

from gluon_nrm.recipe.checks import check
from gluon_nrm.recipe.load import load_recipe, recipe_from_text, recipe_hash, recipe_to_yaml
from gluon_nrm.recipe.schema import (
    Data,
    Loss,
    LossWeights,
    Model,
    Optimiser,
    Phase,
    Recipe,
    Teacher,
    Train,
    Vat,
)

__all__ = [
    "Data",
    "Loss",
    "LossWeights",
    "Model",
    "Optimiser",
    "Phase",
    "Recipe",
    "Teacher",
    "Train",
    "Vat",
    "check",
    "load_recipe",
    "recipe_from_text",
    "recipe_hash",
    "recipe_to_yaml",
]
