"""Metadata of a recipe key: its meaning, choices and range, stored in a dataclass field."""

from __future__ import annotations

from dataclasses import MISSING, Field, is_dataclass
from dataclasses import fields as dataclass_fields
from typing import Any, Dict, NamedTuple, Optional, Sequence, get_args, get_type_hints


class Range(NamedTuple):
    """Interval of allowed numbers; None means no bound."""

    at_least: Optional[float] = None
    above: Optional[float] = None
    at_most: Optional[float] = None
    below: Optional[float] = None

    def holds(self, number: float) -> bool:
        """Return True if the number lies in the interval."""
        return (
            (self.at_least is None or number >= self.at_least)
            and (self.above is None or number > self.above)
            and (self.at_most is None or number <= self.at_most)
            and (self.below is None or number < self.below)
        )

    def __str__(self) -> str:
        """Describe the interval, e.g. ``at least 0 and below 1``; empty without bounds."""
        bounds = zip(("at least", "above", "at most", "below"), self)
        return " and ".join(f"{word} {bound:.15g}" for word, bound in bounds if bound is not None)


def about(
    doc: str,
    *,
    choices: Sequence[str] = (),
    at_least: Optional[float] = None,
    above: Optional[float] = None,
    at_most: Optional[float] = None,
    below: Optional[float] = None,
) -> Dict[str, Any]:
    """Make the metadata of a key: ``field(default=0.0, metadata=about("learning rate", at_least=0))``.

    ``doc`` is the sentence shown in docs/recipes.md. ``choices`` limits strings and the range limits numbers;
    in a list they limit each entry.
    """
    return {"doc": doc, "choices": tuple(choices), "range": Range(at_least, above, at_most, below)}


def default_of(declared: Field[Any]) -> Any:
    """Return the default of a field, or ``dataclasses.MISSING`` if the key is required."""
    if declared.default_factory is not MISSING:
        return declared.default_factory()
    return declared.default


def required_keys(section: type) -> Sequence[str]:
    """Names of a section's keys without a default."""
    return [f.name for f in dataclass_fields(section) if default_of(f) is MISSING]


def choices_of(section: type, key: str) -> Sequence[str]:
    """Return the allowed strings of a key."""
    (declared,) = [each for each in dataclass_fields(section) if each.name == key]
    return declared.metadata["choices"]


def is_section(hint: Any) -> bool:
    """Return True if a type hint is a section of the recipe, i.e. a dataclass."""
    return isinstance(hint, type) and is_dataclass(hint)


def default_at(section: type, key: str) -> Any:
    """Return the default of a dotted key such as ``optimiser.phases.0.epochs``.

    It is ``dataclasses.MISSING`` if the key is required, or there is no such key.
    """
    kind: Any = section
    default: Any = MISSING
    for part in key.split("."):
        if part.isdigit() and get_args(kind):  # an entry of a list
            kind, default = get_args(kind)[0], MISSING
            continue
        declared = {each.name: each for each in dataclass_fields(kind)} if is_section(kind) else {}
        if part not in declared:
            return MISSING
        kind, default = get_type_hints(kind)[part], default_of(declared[part])
    return default
