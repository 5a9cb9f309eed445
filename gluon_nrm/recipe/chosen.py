"""Settings of a recipe that differ from the defaults, and the short form of a recipe that they make."""

from __future__ import annotations

import html
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any, Dict, cast

from gluon_nrm.recipe.fields import default_of, is_section
from gluon_nrm.recipe.yaml_io import write_yaml

if TYPE_CHECKING:
    from gluon_nrm.recipe.schema import Recipe


def chosen_settings(section: Any) -> Dict[str, Any]:
    """Return the values of a recipe, or of a section, that differ from the defaults, as plain data."""
    chosen: Dict[str, Any] = {}
    for declared in fields(section):
        value = getattr(section, declared.name)
        if is_section(type(value)):
            value = chosen_settings(value)
            if value:
                chosen[declared.name] = value
        elif default_of(declared) is MISSING or value != default_of(declared):
            entries = value if isinstance(value, list) else [value]
            plain = [chosen_settings(entry) if is_section(type(entry)) else entry for entry in entries]
            chosen[declared.name] = plain if isinstance(value, list) else plain[0]
    return chosen


class ReadableRecipe:
    """Short forms of a recipe: one line in Python, the chosen settings in a notebook.

    ``recipe_to_yaml`` writes all settings.
    """

    def __repr__(self) -> str:
        """Return name, data, network, loss terms and length."""
        recipe = cast("Recipe", self)
        data, model, train = recipe.data, recipe.model, recipe.train
        labels = "all labels" if data.labels is None else f"{data.labels} labels"
        weights = vars(recipe.loss.weights)
        terms = ", ".join(name for name, weight in weights.items() if weight)
        maxmin = " with Max-Min" if model.maxmin else ""
        return (
            f"<Recipe {recipe.name}: {data.name} with {labels}, {model.name}{maxmin}, terms {terms}, "
            f"{train.epochs} epochs, seed {train.seed}>"
        )

    def _repr_html_(self) -> str:
        """Return the settings that differ from the defaults, for a notebook."""
        recipe = cast("Recipe", self)
        chosen = chosen_settings(recipe)
        text = write_yaml({"name": recipe.name, **chosen})
        return f"<pre>{html.escape(text)}</pre>"
