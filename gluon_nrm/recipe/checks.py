"""Check a typed recipe: first the limits declared in the schema, then the checks between keys."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any, Mapping, Optional, Sequence

from gluon_nrm.recipe.cross_checks import RULES
from gluon_nrm.recipe.fields import Range, is_section
from gluon_nrm.recipe.problems import Problem, Problems, did_you_mean, join, recipe_error, shorten
from gluon_nrm.recipe.schema import Recipe

SMALLEST, LARGEST = 1e-37, 1e38
"""Smallest and largest size of a number other than 0 in float32."""


def check(recipe: Recipe, places: Optional[Mapping[str, str]] = None, source: str = "recipe") -> None:
    """Raise RecipeError for the first problem of a recipe, loaded from a file or built in Python.

    ``places`` maps dotted keys to where they were given. A key that is not in it is reported at its section,
    or else at ``source``.
    """
    for problems in (limit_problems, *RULES):
        for problem in problems(recipe):
            raise recipe_error(_place(problem.key, places or {}, source), problem)


def limit_problems(section: Any, prefix: str = "") -> Problems:
    """Find values outside their declared choices and ranges, in a section and its subsections."""
    for declared in fields(section):
        key, value = join(prefix, declared.name), getattr(section, declared.name)
        entries = (
            [(join(key, i), entry) for i, entry in enumerate(value)]
            if isinstance(value, list)
            else [(key, value)]
        )
        for place, entry in entries:
            if is_section(type(entry)):
                yield from limit_problems(entry, place)
            else:
                yield from _value_problems(
                    place, entry, declared.metadata["choices"], declared.metadata["range"]
                )


def _value_problems(key: str, value: Any, choices: Sequence[str], allowed: Range) -> Problems:
    """Find the problems of one scalar."""
    limited, number = allowed != Range(), isinstance(value, (int, float)) and not isinstance(value, bool)
    if choices and value not in choices and not (limited and (number or value is None)):
        found = shorten(str(value), 40)
        yield Problem(key, f"'{found}' is not a choice; {did_you_mean(found, choices)}")
    elif limited and not (number or choices or value is None):
        yield Problem(key, f"must be {allowed}, found {shorten(repr(value), 40)}")
    elif number:
        if not math.isfinite(value):
            yield Problem(key, f"must be a finite number, found {value}")
        elif not allowed.holds(value):
            yield Problem(key, f"must be {allowed}, found {value}")
        elif isinstance(value, float) and value and not SMALLEST <= abs(value) <= LARGEST:
            zero = "0 or " if allowed.holds(0) else ""
            yield Problem(
                key,
                f"must be {zero}from {SMALLEST:g} to {LARGEST:g} for 32-bit floats, found {value}",
            )


def _place(key: str, places: Mapping[str, str], source: str) -> str:
    """Return where a key was given, or else the nearest section around it."""
    while key:
        if key in places:
            return places[key]
        key = key.rpartition(".")[0]
    return source
