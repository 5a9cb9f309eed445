"""Read and write strict YAML; the tree keeps the line of every key.

Numbers are decimal and may be written 1e-3, 1E5 or .5. Only true and false are booleans; yes, no, on and off
are strings. An empty value, a repeated key, an anchor or a tag is an error. A tree holds null, booleans,
numbers, strings, lists and mappings.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Dict, NamedTuple, NoReturn, Optional

import yaml

from gluon_nrm.errors import RecipeError
from gluon_nrm.recipe.problems import Problem, join, recipe_error, shorten

_TAG = "tag:yaml.org,2002:"
_PLAIN = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", list("-+0123456789")),
    (
        "float",
        (
            r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
            r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
        ),
        list("-+.0123456789"),
    ),
)


_OPENING = (
    yaml.BlockMappingStartToken,
    yaml.BlockSequenceStartToken,
    yaml.FlowMappingStartToken,
    yaml.FlowSequenceStartToken,
)
_CLOSING = (yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)

DEEPEST = 16
"""Deepest nesting of lists and mappings; recipes need five levels."""

LARGEST = 200_000
"""Largest input in bytes."""


_ODD = re.compile(
    "[^\\x20-\\x7e\\xa0-\\u2027\\u202a-\\ud7ff\\ue000-\\ufefe\\uff00-\\ufffd\\U00010000-\\U0010ffff]|^ | $|  "
)
"""Line breaks, control characters and spaces that YAML could lose."""


class Item(NamedTuple):
    """A value with the place where it was given."""

    value: Any
    """None, bool, int, float, str, List[Item] or Dict[str, Item]."""
    place: str
    """``FILE:LINE`` of its key (of a list entry itself), or ``--set KEY=VALUE``."""
    text: str
    """The value as written, shortened, for messages."""


PlaceOf = Callable[[Optional[int]], str]
"""Converts a line number (from 0) or None to the place named in a message."""


class _Loader(yaml.SafeLoader):
    """PyYAML's loader with the plain scalars of ``_PLAIN`` instead of YAML 1.1's."""


class _Dumper(yaml.SafeDumper):
    """PyYAML's dumper; quotes each string that some version of YAML would read as another value."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write every value out in full."""
        return True


def _write_list(dumper: yaml.SafeDumper, entries: Any) -> yaml.Node:
    """Write a list of scalars on one line, and one of mappings over several."""
    flat = not any(isinstance(entry, (dict, list)) for entry in entries)
    return dumper.represent_sequence(_TAG + "seq", entries, flow_style=flat)


def _write_float(dumper: yaml.SafeDumper, number: Any) -> yaml.Node:
    """Write the shortest form that reads back as the same number."""
    return dumper.represent_scalar(_TAG + "float", repr(number))


def _write_string(dumper: yaml.SafeDumper, text: Any) -> yaml.Node:
    """Write a string; in double quotes with escapes if another style would change it."""
    style = '"' if _ODD.search(text) else None
    return dumper.represent_scalar(_TAG + "str", text, style=style)


for _class in (_Loader, _Dumper):
    _class.yaml_implicit_resolvers = {}
    for _name, _pattern, _first in _PLAIN:
        _class.add_implicit_resolver(_TAG + _name, re.compile(f"(?:{_pattern})\\Z"), _first)
# Other programs read YAML 1.1 or 1.2: quote every string that either would read as another type.
_Dumper.add_implicit_resolver(_TAG + "other", re.compile(r"[-+]?0[oO][0-7_]+\Z|[yYnN]\Z"), list("-+0yYnN"))
for _first_character, _resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items():
    for _, _compiled in _resolvers:
        _Dumper.add_implicit_resolver(_TAG + "other", _compiled, [_first_character])
_Dumper.add_representer(str, _write_string)
_Dumper.add_representer(list, _write_list)
_Dumper.add_representer(float, _write_float)


def read_yaml(text: str, place_of: PlaceOf) -> Optional[Item]:
    """Parse YAML into a tree; None if it holds only comments.

    Raises RecipeError if it is not the strict YAML described above.
    """
    try:
        _refuse_decorations(text, place_of)
        node = yaml.compose(text, Loader=_Loader)
    except yaml.reader.ReaderError as error:
        place, code = place_of(text.count("\n", 0, error.position)), int(error.character)
        raise RecipeError(f"{place}: the character U+{code:04X} cannot stand in YAML; remove it") from None
    except yaml.MarkedYAMLError as error:
        _refuse_syntax(error, text, place_of)
    return None if node is None else _item(node, "", place_of(node.start_mark.line), place_of)


def read_plain(text: str, place_of: PlaceOf) -> Any:
    """Parse YAML into plain values: dicts, lists, strings, numbers, booleans and None.

    Raises RecipeError as ``read_yaml``.
    """
    item = read_yaml(text, place_of)
    return None if item is None else _plain(item)


def _plain(item: Item) -> Any:
    """Return the value of a tree without its places."""
    if isinstance(item.value, dict):
        return {name: _plain(entry) for name, entry in item.value.items()}
    if isinstance(item.value, list):
        return [_plain(entry) for entry in item.value]
    return item.value


def write_yaml(tree: Dict[str, Any]) -> str:
    """Write plain values as YAML, keys in the given order; ``read_yaml`` reads them back equal."""
    return yaml.dump(
        tree, Dumper=_Dumper, sort_keys=False, default_flow_style=False, allow_unicode=True, width=110
    )


def _refuse_decorations(text: str, place_of: PlaceOf) -> None:
    """Raise RecipeError for tags, anchors, aliases and deep nesting.

    Runs on the tokens, so that depth is bounded before the tree is built recursively.
    """
    depth = 0
    for token in yaml.scan(text, Loader=_Loader):
        where = place_of(token.start_mark.line)
        if isinstance(token, yaml.TagToken):
            tag = shorten("".join(part or "" for part in token.value))
            raise RecipeError(f"{where}: the tag '{tag}' is not allowed in a recipe; write the plain value")
        if isinstance(token, (yaml.AnchorToken, yaml.AliasToken)):
            mark = "&" if isinstance(token, yaml.AnchorToken) else "*"
            raise RecipeError(
                f"{where}: '{mark}{shorten(token.value)}': anchors are not allowed; write the value out"
            )
        depth += isinstance(token, _OPENING) - isinstance(token, _CLOSING)
        if depth > DEEPEST:
            raise RecipeError(f"{where}: nested too deeply; a recipe has three levels")


def _refuse_syntax(error: yaml.MarkedYAMLError, text: str, place_of: PlaceOf) -> NoReturn:
    """Raise PyYAML's error in one line, followed by the line at fault."""
    mark = error.problem_mark or error.context_mark
    what = shorten(" ".join(filter(None, (error.context, error.problem))), 110)
    lines = text.splitlines()
    if mark is None or mark.line >= len(lines):
        raise RecipeError(f"{place_of(max(len(lines) - 1, 0))}: not valid YAML: {what}") from None
    hint = " (indent with spaces, not tabs)" if "\\t" in what else ""
    here = f"{place_of(mark.line)}: not valid YAML: {what}{hint}"
    raise RecipeError(f"{here}\n  column {mark.column + 1} of: {shorten(lines[mark.line], 80)}") from None


def _item(node: yaml.Node, key: str, place: str, place_of: PlaceOf) -> Item:
    """Convert a YAML node and its children."""
    if isinstance(node, yaml.MappingNode):
        return Item(_mapping(node, key, place_of), place, "a mapping")
    if isinstance(node, yaml.SequenceNode):
        entries = [
            _item(child, join(key, i), place_of(child.start_mark.line), place_of)
            for i, child in enumerate(node.value)
        ]
        return Item(entries, place, "a list")
    return Item(_scalar(node, key, place), place, _as_written(node))


def _mapping(node: yaml.MappingNode, key: str, place_of: PlaceOf) -> Dict[str, Item]:
    """Convert a mapping. Raises RecipeError for a repeated key."""
    entries: Dict[str, Item] = {}
    for name_node, value_node in node.value:
        place = place_of(name_node.start_mark.line)
        if not isinstance(name_node, yaml.ScalarNode):
            raise recipe_error(place, Problem(key or "the recipe", "a key must be a single word"))
        name = join(key, name_node.value)
        if name_node.value in entries:
            first = entries[name_node.value]
            where = "" if first.place == place else f" and before at {first.place} ({first.text})"
            what = f"given twice, here ({_as_written(value_node)}){where}; remove one"
            raise recipe_error(place, Problem(shorten(name), what))
        entries[name_node.value] = _item(value_node, name, place, place_of)
    return entries


def _scalar(node: yaml.Node, key: str, place: str) -> Any:
    """Convert a scalar node."""
    kind, text = node.tag[len(_TAG) :], node.value
    if kind == "null" and not text:
        raise recipe_error(
            place, Problem(key or "value", "no value after the key; write null if none is meant")
        )
    if kind == "int":
        if len(text) > 19:
            raise recipe_error(place, Problem(key, f"the number {shorten(text, 24)} is too large"))
        return int(text)
    if kind == "float":
        return _float(text)
    return {"null": None, "bool": text.lower() == "true"}.get(kind, text)


def _float(text: str) -> float:
    """Convert a float; YAML writes ``.inf`` and ``.nan``."""
    lower = text.lower()
    return float(lower.replace(".", "")) if lower.endswith(("inf", "nan")) else float(text)


def _as_written(node: yaml.Node) -> str:
    """Format a value as it was written, for messages."""
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    text = shorten(node.value, 40)
    quoted = isinstance(node, yaml.ScalarNode) and node.style in ("'", '"')
    return f"'{text}'" if quoted else text
