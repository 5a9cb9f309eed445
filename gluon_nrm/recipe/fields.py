"""How a recipe key is declared: its meaning, choices and range, in the metadata of a dataclass field."""

from __future__ import annotations

from dataclasses import MISSING, Field, is_dataclass
from dataclasses import fields as dataclass_fields
from typing import Any, Dict, NamedTuple, Optional, Sequence


class Range(NamedTuple):
    """The interval a number must lie in; a bound that is None does not bind."""

    at_least: Optional[float] = None
    above: Optional[float] = None
    at_most: Optional[float] = None
    below: Optional[float] = None

    def holds(self, number: float) -> bool:
        """Whether the number lies in the interval."""
        return (
            (self.at_least is None or number >= self.at_least)
            and (self.above is None or number > self.above)
            and (self.at_most is None or number <= self.at_most)
            and (self.below is None or number < self.below)
        )

    def __str__(self) -> str:
        """In words, e.g. ``at least 0 and below 1``; empty where nothing binds."""
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
    """The metadata of a key: ``x: float = field(default=0.0, metadata=about("what it is", at_least=0))``.

    doc is the sentence shown in docs/recipes.md. choices bind texts and the range binds numbers; both bind
    each entry where the value is a list.
    """
    return {"doc": doc, "choices": tuple(choices), "range": Range(at_least, above, at_most, below)}


def default_of(declared: Field[Any]) -> Any:
    """The default of a field, or ``dataclasses.MISSING`` where the key is required."""
    if declared.default_factory is not MISSING:
        return declared.default_factory()
    return declared.default


def required_keys(section: type) -> Sequence[str]:
    """Names of the keys of a section that have no default."""
    return [f.name for f in dataclass_fields(section) if default_of(f) is MISSING]


def is_section(hint: Any) -> bool:
    """Whether a type hint is a section of the recipe, i.e. a dataclass."""
    return isinstance(hint, type) and is_dataclass(hint)
