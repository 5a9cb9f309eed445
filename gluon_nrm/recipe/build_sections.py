"""From a tree of located YAML values to typed sections: every key known, every value of the declared type."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Any, Dict, Iterable, List, Type, TypeVar, Union, get_args, get_origin, get_type_hints

from gluon_nrm.recipe.fields import is_section, required_keys
from gluon_nrm.recipe.problems import Problem, did_you_mean, join, recipe_error, shorten
from gluon_nrm.recipe.schema import Recipe
from gluon_nrm.recipe.yaml_io import Item

S = TypeVar("S")

_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", type(None): "null"}
_LOOKS_BOOLEAN = {"yes": "true", "y": "true", "on": "true", "no": "false", "n": "false", "off": "false"}

_UNQUOTED = re.compile(r"(?:true|false|null|[-+.0-9][-+.0-9eE]*)\Z")
"""What would be of another type without its quotes."""


class Converter:
    """Builds sections and remembers where each key was given.

    Attributes
    ----------
    places  Dotted key -> place, for the messages of checks that run after conversion.
    """

    def __init__(self) -> None:
        self.places: Dict[str, str] = {}

    def section(self, item: Item, section: Type[S], key: str = "") -> S:
        """The dataclass ``section`` from a mapping. Raises RecipeError at the first key that does not fit."""
        hints = get_type_hints(section)
        if not isinstance(item.value, dict):
            raise recipe_error(item.place, Problem(key or "the recipe", _not_a_mapping(item, hints)))
        for name, entry in item.value.items():
            if name not in hints:
                what = f"unknown key (value {entry.text}); {_closest_key(name, hints)}"
                raise recipe_error(entry.place, Problem(shorten(join(key, name)), what))
        values: Dict[str, Any] = {}
        for name in (f.name for f in fields(section)):  # type: ignore[arg-type]
            if name in item.value:
                values[name] = self.value(item.value[name], hints[name], join(key, name))
            elif is_section(hints[name]) and not required_keys(hints[name]):
                values[name] = hints[name]()
        self._require(item, section, values, hints, key)
        return section(**values)

    def value(self, item: Item, hint: Any, key: str) -> Any:
        """One value of the type ``hint``: a scalar, Optional, Union, List or a section."""
        self.places[key] = item.place
        if is_section(hint):
            return self.section(item, hint, key)
        if get_origin(hint) is list:
            return self._entries(item, get_args(hint)[0], key)
        if get_origin(hint) is not Union:
            return _scalar(item, hint, [hint], key)
        alternatives = get_args(hint)
        if item.value is None and type(None) in alternatives:
            return None
        others = [t for t in alternatives if t is not type(None)]
        if len(others) == 1 and get_origin(others[0]) is list:
            return self.value(item, others[0], key)
        fitting = [t for t in others if type(item.value) is t]
        return _scalar(item, (fitting or others)[0], alternatives, key)

    def _entries(self, item: Item, hint: Any, key: str) -> List[Any]:
        """The entries of a list."""
        if not isinstance(item.value, list):
            what = (
                f"expected a list, found {item.text}; write it in [ ] or a line per entry, each behind '- '"
            )
            raise recipe_error(item.place, Problem(key, what))
        return [self.value(entry, hint, join(key, i)) for i, entry in enumerate(item.value)]

    def _require(
        self, item: Item, section: type, values: Dict[str, Any], hints: Dict[str, Any], key: str
    ) -> None:
        """Raise where a required key was not given."""
        missing = [name for name in required_keys(section) if name not in values]
        if not missing:
            return
        hint = hints[missing[0]]
        if is_section(hint):
            what = f"the section is missing; it needs {', '.join(required_keys(hint))}"
        else:
            what = f"required, but missing; add '{missing[0]}: ...' ({describe_type(hint)}) to {key}"
        raise recipe_error(item.place, Problem(join(key, missing[0]), what))


def describe_type(hint: Any) -> str:
    """A type hint in words, e.g. ``a whole number or null``."""
    if get_origin(hint) is list:
        inner = get_args(hint)[0]
        return "a list of phases" if is_section(inner) else f"a list ({describe_type(inner)})"
    if get_origin(hint) is Union:
        return _any_of(get_args(hint))
    return "a section" if is_section(hint) else _WORDS[hint]


def _any_of(hints: Iterable[Any]) -> str:
    """Alternatives in words."""
    return " or ".join(describe_type(hint) for hint in hints)


def _scalar(item: Item, hint: Any, alternatives: Iterable[Any], key: str) -> Any:
    """A scalar of the type ``hint``; whole numbers serve as numbers, and nothing else is converted."""
    found = item.value
    if hint is float and type(found) is int:
        return float(found)
    if type(found) is hint:
        return found
    what = f"expected {_any_of(alternatives)}, found {item.text}{_remedy(item, hint)}"
    raise recipe_error(item.place, Problem(key, what))


def _remedy(item: Item, hint: Any) -> str:
    """What to write instead, where it can be told."""
    found = item.value
    if hint is bool and isinstance(found, str) and found.lower() in _LOOKS_BOOLEAN:
        return f"; write {_LOOKS_BOOLEAN[found.lower()]}"
    if hint is int and isinstance(found, float) and abs(found) < 1e15 and found.is_integer():
        return f"; write {int(found)}"
    if isinstance(found, str) and found.lower() == "none" and hint is not str:
        return "; 'none' is a text here, the empty value is null"
    if isinstance(found, str) and item.text.startswith("'") and hint is not str and _UNQUOTED.match(found):
        return "; remove the quotes"
    if hint is str and isinstance(found, (bool, int, float)):
        return f'; for a text write "{item.text}" in quotes'
    return ""


def _not_a_mapping(item: Item, hints: Dict[str, Any]) -> str:
    """The complaint where a section is a scalar or a list."""
    return f"expected keys with values, found {item.text};\nkeys here: {', '.join(hints)}"


def _closest_key(name: str, hints: Dict[str, Any]) -> str:
    """The valid name for an unknown key: in this section, or where that very key lives."""
    if "." in name and name in all_keys():
        return f"dotted keys are for --set; write '{name.split('.')[-1]}' inside '{name.rpartition('.')[0]}'"
    suggestion = did_you_mean(name, hints)
    elsewhere = [dotted for dotted in all_keys() if dotted.split(".")[-1] == name]
    if elsewhere and not suggestion.startswith("did you mean"):
        return f"did you mean '{min(elsewhere, key=lambda dotted: dotted.count('.'))}'?"
    return suggestion


def all_keys(section: type = Recipe, prefix: str = "") -> List[str]:
    """Every dotted key of a recipe; of a list of sections, the keys of its first entry."""
    keys: List[str] = []
    for name, hint in get_type_hints(section).items():
        key = join(prefix, name)
        keys.append(key)
        inner = get_args(hint)[0] if get_origin(hint) is list else hint
        if is_section(inner):
            keys.extend(all_keys(inner, key if inner is hint else join(key, 0)))
    return keys
