"""Build the typed sections of a recipe from YAML values; unknown keys and wrong types are errors."""

from __future__ import annotations

import re
import textwrap
from dataclasses import fields
from typing import Any, Dict, Iterable, List, Type, TypeVar, Union, get_args, get_origin, get_type_hints

from gluon_nrm.recipe.fields import is_section, required_keys
from gluon_nrm.recipe.problems import Problem, did_you_mean, join, recipe_error, shorten
from gluon_nrm.recipe.schema import Recipe
from gluon_nrm.recipe.yaml_io import Item

S = TypeVar("S")

#: characters of the list of keys in a message
KEYS_SHOWN = 200

_WORDS = {int: "an integer", float: "a number", bool: "a boolean", str: "a string", type(None): "null"}
_LOOKS_BOOLEAN = {"yes": "true", "y": "true", "on": "true", "no": "false", "n": "false", "off": "false"}

_UNQUOTED = re.compile(r"(?:true|false|null|[-+.0-9][-+.0-9eE]*)\Z")
"""Strings that would be a boolean, null or a number without their quotes."""


class SectionBuilder:
    """Build sections and remember where each key was given.

    Attributes:
        places: dotted key -> place, for the messages of later checks.
    """

    def __init__(self) -> None:
        self.places: Dict[str, str] = {}

    def section(self, item: Item, section: Type[S], key: str = "") -> S:
        """Build the dataclass ``section`` from a mapping. Raises RecipeError at the first wrong key."""
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
        """Convert one value to the type ``hint``: a scalar, Optional, Union, List or a section."""
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
        """Convert the entries of a list to the type ``hint``."""
        if not isinstance(item.value, list):
            what = (
                f"expected a list, found {item.text}; write it in [ ] or one entry per line, each after '- '"
            )
            raise recipe_error(item.place, Problem(key, what))
        return [self.value(entry, hint, join(key, i)) for i, entry in enumerate(item.value)]

    def _require(
        self, item: Item, section: type, values: Dict[str, Any], hints: Dict[str, Any], key: str
    ) -> None:
        """Raise RecipeError if a required key is missing."""
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
    """Describe a type hint, e.g. ``an integer or null``."""
    if get_origin(hint) is list:
        inner = get_args(hint)[0]
        return "a list of phases" if is_section(inner) else f"a list ({describe_type(inner)})"
    if get_origin(hint) is Union:
        return _any_of(get_args(hint))
    return "a section" if is_section(hint) else _WORDS[hint]


def _any_of(hints: Iterable[Any]) -> str:
    """Describe alternative types."""
    return " or ".join(describe_type(hint) for hint in hints)


def _scalar(item: Item, hint: Any, alternatives: Iterable[Any], key: str) -> Any:
    """Check that a scalar is of type ``hint``; an integer is accepted as a number."""
    found = item.value
    if hint is float and type(found) is int:
        return float(found)
    if type(found) is hint:
        return found
    what = f"expected {_any_of(alternatives)}, found {item.text}{_remedy(item, hint)}"
    raise recipe_error(item.place, Problem(key, what))


def _remedy(item: Item, hint: Any) -> str:
    """Suggest what to write instead; empty without a suggestion."""
    found = item.value
    if hint is bool and isinstance(found, str) and found.lower() in _LOOKS_BOOLEAN:
        return f"; write {_LOOKS_BOOLEAN[found.lower()]}"
    if hint is bool and type(found) is int and found in (0, 1):
        return f"; write {str(bool(found)).lower()}"
    if hint is int and isinstance(found, float) and abs(found) < 1e15 and found.is_integer():
        return f"; write {int(found)}"
    if isinstance(found, str) and found.lower() == "none" and hint is not str:
        return "; 'none' is a string here, the empty value is null"
    if isinstance(found, str) and item.text.startswith("'") and hint is not str and _UNQUOTED.match(found):
        return "; remove the quotes"
    if hint is str and isinstance(found, (bool, int, float)):
        return f'; write the string in quotes: "{item.text}"'
    return ""


def _not_a_mapping(item: Item, hints: Dict[str, Any]) -> str:
    """Message for a section that is a scalar or a list."""
    keys = textwrap.shorten(", ".join(hints), KEYS_SHOWN, placeholder=" ... (docs/recipes.md has all)")
    return f"expected keys with values, found {item.text};\nkeys here: {keys}"


def _closest_key(name: str, hints: Dict[str, Any]) -> str:
    """Suggest a valid key for an unknown one: in this section, or of the same name in another."""
    if "." in name and name in all_keys():
        return f"dotted keys are for --set; write '{name.split('.')[-1]}' inside '{name.rpartition('.')[0]}'"
    suggestion = did_you_mean(name, hints)
    elsewhere = [dotted for dotted in all_keys() if dotted.split(".")[-1] == name]
    if elsewhere and not suggestion.startswith("did you mean"):
        # the keys of the classifier before those of networks beside it
        closest = min(elsewhere, key=lambda dotted: (dotted.startswith("adversarial."), dotted.count(".")))
        return f"did you mean '{closest}'?"
    return suggestion


def all_keys(section: type = Recipe, prefix: str = "") -> List[str]:
    """Return every dotted key of a recipe; a list of sections counts with its first entry."""
    keys: List[str] = []
    for name, hint in get_type_hints(section).items():
        key = join(prefix, name)
        keys.append(key)
        inner = get_args(hint)[0] if get_origin(hint) is list else hint
        if is_section(inner):
            keys.extend(all_keys(inner, key if inner is hint else join(key, 0)))
    return keys
