"""Overrides of single keys, ``a.b=value``, put into the tree before its types are checked."""

from __future__ import annotations

import re
from typing import Dict, List, Union

from gluon_nrm.option_names import either
from gluon_nrm.recipe.problems import Problem, recipe_error, shorten
from gluon_nrm.recipe.yaml_io import Item, read_yaml

_NUMBER = re.compile(r"[0-9]{1,9}\Z")

MOST_PARTS = 5
"""Parts of the longest dotted key, ``optimiser.phases.0.milestones.0``."""


def override(tree: Item, text: str) -> Item:
    """Put one override into the tree, e.g. ``train.epochs=3`` or ``optimiser.phases.0.lr=1e-2``.

    Raises RecipeError if it is not ``key=value``, or its key goes through a scalar or past the end of a list.
    """
    place = f"{either('--set', 'overrides')} {shorten(text, 80)}"
    key, equals, value = text.partition("=")
    parts = [part.strip() for part in key.split(".")]
    if not equals or not all(parts):
        raise recipe_error(
            place, Problem(shorten(key) or "no key", "expected KEY=VALUE, e.g. train.epochs=3")
        )
    if len(parts) > MOST_PARTS:
        what = f"{len(parts)} names joined by dots; the longest key of a recipe has {MOST_PARTS}"
        raise recipe_error(place, Problem(shorten(key), what))
    item = read_yaml(value, lambda line: place)
    if item is None:
        raise recipe_error(place, Problem(shorten(key), "no value after '='; write null if none is meant"))
    return _put(tree, parts, 0, item)


def _put(tree: Item, parts: List[str], depth: int, item: Item) -> Item:
    """Copy ``tree`` with ``item`` at the path ``parts[depth:]``."""
    if depth == len(parts):
        return item
    here, name = ".".join(parts[:depth]), parts[depth]
    entries: Union[Dict[str, Item], List[Item]]
    if isinstance(tree.value, list):
        if not _NUMBER.match(name) or int(name) >= len(tree.value):
            last = len(tree.value) - 1
            what = (
                f"no entry '{shorten(name)}'; its entries are numbered 0 to {last}"
                if last >= 0
                else "is an empty list"
            )
            raise recipe_error(item.place, Problem(here, what))
        entries = list(tree.value)
        entries[int(name)] = _put(entries[int(name)], parts, depth + 1, item)
    elif isinstance(tree.value, dict):
        entries = dict(tree.value)
        entries[name] = _put(entries.get(name, Item({}, item.place, "a mapping")), parts, depth + 1, item)
    else:
        what = (
            f"is {tree.text} ({tree.place}), so it has no key '{shorten(name)}'; set {shorten(here)} itself"
        )
        raise recipe_error(item.place, Problem(shorten(here), what))
    return tree._replace(value=entries)
