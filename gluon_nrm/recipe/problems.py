"""Errors in a recipe: the problem, the place where the key was given and the closest valid name."""

from __future__ import annotations

import difflib
from typing import Any, Iterable, Iterator, NamedTuple, Sequence

from gluon_nrm.errors import RecipeError, visible


class Problem(NamedTuple):
    """A message about one key, without the place where the key was given."""

    key: str
    what: str


Problems = Iterator[Problem]


def recipe_error(place: str, problem: Problem) -> RecipeError:
    """Make the error ``PLACE: KEY: WHAT``; a place is ``recipes/x.yaml:12`` or ``--set a.b=value``."""
    return RecipeError(f"{place}: {problem.key}: {problem.what}")


def shorten(text: str, width: int = 60) -> str:
    """Shorten a string to one line of ``width`` characters; unprintable characters become escapes."""
    line = visible(" ".join(text[: 20 * width].split()))
    return line if len(line) <= width else line[: width - 3] + "..."


def join(prefix: str, name: Any) -> str:
    """Return the dotted key of an entry of a section or list."""
    return f"{prefix}.{name}" if prefix else str(name)


def did_you_mean(name: str, valid: Iterable[str]) -> str:
    """Return ``did you mean 'x'?`` if a valid name is close, else the list of the valid names."""
    names: Sequence[str] = list(valid)
    by_lower = {candidate.lower(): candidate for candidate in names}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{by_lower[close[0]]}'?"
    return "valid here: " + ", ".join(names)
