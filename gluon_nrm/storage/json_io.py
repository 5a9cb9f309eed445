"""Read JSON strictly and within bounds; an error names the key.

Files of runs and exports may be edited, truncated or downloaded. Size and depth are limited, each key
is there once, and numbers are finite and fit into 64 bits. ``read_json`` gives plain values, ``read_value``
converts them to dataclasses and ``read_keys`` checks some keys of an object.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import MISSING, fields
from functools import reduce
from pathlib import Path
from typing import (
    Any,
    Dict,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    NoReturn,
    Tuple,
    Type,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from gluon_nrm.errors import NRMError
from gluon_nrm.storage.files import read_bounded

#: Largest file in bytes; its parsed values take up to forty times as much memory.
LARGEST = 16 * 2**20
#: Deepest nesting of objects and lists.
DEEPEST = 64
#: Largest number of digits of a 64-bit integer.
DIGITS = 19

TOO_DEEP = f"it is nested deeper than {DEEPEST} levels"
PUT_BACK = "put it back as it was"

_NAMES = {int: "an integer", float: "a number", str: "a string", bool: "a boolean", dict: "an object"}


class SourceFile(NamedTuple):
    """A file for error messages: its path, the class of the error and the remedy."""

    where: str
    error: Type[NRMError]
    remedy: str = PUT_BACK

    def damaged(self, what: str) -> NoReturn:
        """Raise "WHERE is damaged: WHAT; REMEDY"; an empty remedy is left out."""
        remedy = f"; {self.remedy}" if self.remedy else ""
        raise self.error(f"{self.where} is damaged: {what}{remedy}")

    def expect(self, right: bool, what: str, key: str) -> None:
        """Raise "KEY must be WHAT" unless ``right``."""
        if not right:
            self.damaged(f"{key or 'the whole'} must be {what}")


class _Repeated(NamedTuple):
    """Object with a key that is given twice."""

    key: str


class _TooLarge(NamedTuple):
    """Integer of more than ``DIGITS`` digits."""

    text: str


def read_json(
    path: Path, error: Type[NRMError], *, remedy: str = PUT_BACK, largest: int = LARGEST
) -> Dict[str, Any]:
    """Read a JSON object from a file.

    Raises:
        NRMError: of the given class; the file is missing, unreadable, too large or damaged.
    """
    value = parse_json(read_bounded(path, error, largest), SourceFile(str(path), error, remedy))
    if not isinstance(value, dict):
        SourceFile(str(path), error, remedy).damaged("it holds no JSON object")
    return value


def parse_json(data: bytes, source: SourceFile) -> Any:
    """Parse JSON text in UTF-8, with or without a byte order mark.

    Raises:
        NRMError: ``source.error``; it is no JSON, too deep, or a key or number of it is not allowed.
    """
    try:
        value = json.loads(
            data.decode("utf-8-sig"), object_pairs_hook=_object, parse_int=_integer, parse_constant=float
        )
    except RecursionError:
        source.damaged(TOO_DEEP)
    except ValueError as problem:
        source.damaged(f"it is not JSON ({_one_line(problem)})")
    _check(value, source)
    return value


def read_value(kind: Any, value: Any, key: str, source: SourceFile) -> Any:
    """Convert a parsed JSON value to ``kind``.

    Args:
        kind: a dataclass, int, float, str, bool, Any, or a List, Dict (string keys) or Optional of these.
        value: the parsed value.
        key: its dotted key in the file, e.g. ``input.shape.1``; empty for the whole file.
        source: the file, for messages.

    Raises:
        NRMError: ``source.error``; a key is missing, unknown or of another type; the message names it.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin is Union:
        return None if value is None else read_value(arguments[0], value, key, source)
    if origin is list:
        source.expect(isinstance(value, list), "a list", key)
        return [read_value(arguments[0], each, f"{key}.{place}", source) for place, each in enumerate(value)]
    if origin is dict:
        source.expect(isinstance(value, dict), "an object", key)
        return {
            name: read_value(arguments[1], each, _join(key, name), source) for name, each in value.items()
        }
    if kind in (int, float, str, bool):
        return _scalar(kind, value, key, source)
    return _dataclass(kind, value, key, source)


def read_keys(
    value: Any, required: Mapping[str, Any], source: SourceFile, *, optional: Mapping[str, Any], key: str = ""
) -> Dict[str, Any]:
    """Check some keys of an object; other keys are not checked.

    Args:
        value: the parsed value.
        required: kinds (see ``read_value``) of the required keys.
        source: the file, for messages.
        optional: kinds of the optional keys.
        key: dotted key of the object in the file.

    Raises:
        NRMError: ``source.error``; a key is missing or of another type.
    """
    source.expect(isinstance(value, dict), "an object", key)
    for name, kind in {**required, **optional}.items():
        if name in value:
            read_value(kind, value[name], _join(key, name), source)
        elif name in required:
            source.damaged(f"{_join(key, name)} is missing")
    return dict(value)


def _object(pairs: List[Tuple[str, Any]]) -> Union[Dict[str, Any], _Repeated]:
    """Make an object of its pairs, or ``_Repeated`` if a key is given twice."""
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    return _Repeated(next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1))


def _integer(text: str) -> Union[int, _TooLarge]:
    """Convert an integer, unless it is long: a million digits take Python seconds."""
    return int(text) if len(text) <= DIGITS + 1 else _TooLarge(text[:12])


def _check(value: Any, source: SourceFile) -> None:
    """Check depth, repeated keys and numbers of a parsed value, without recursion."""
    levels: List[Iterator[Tuple[Any, Any]]] = [iter([("", value)])]
    names: List[Any] = []
    while levels:
        for name, found in levels[-1]:
            problem = _problem(found)
            if problem:
                place = [*names, name][1:] + ([found.key] if isinstance(found, _Repeated) else [])
                key = reduce(_join, map(str, place), "")
                source.damaged(f"{key or 'the whole'} {problem}")
            if isinstance(found, (dict, list)):
                if len(levels) > DEEPEST:
                    source.damaged(TOO_DEEP)
                levels.append(iter(found.items() if isinstance(found, dict) else enumerate(found)))
                names.append(name)
                break
        else:
            levels.pop()
            names = names[:-1]


def _problem(found: Any) -> str:
    """Describe the problem of a parsed value that is wrong for every key; empty without one."""
    if isinstance(found, _Repeated):
        return "is given twice"
    if isinstance(found, _TooLarge) or (type(found) is int and not -(2**63) <= found < 2**63):
        return f"must be an integer of at most {DIGITS} digits"
    if isinstance(found, float) and not math.isfinite(found):
        return f"must be a number, not {found}"
    return ""


def _scalar(kind: Any, value: Any, key: str, source: SourceFile) -> Any:
    """Check a number, string or boolean; an integer is accepted as a number."""
    taken = (int, float) if kind is float else kind
    right = isinstance(value, taken) and (kind is bool) == isinstance(value, bool)
    source.expect(right and (kind is not float or math.isfinite(value)), _NAMES[kind], key)
    return kind(value)


def _dataclass(kind: Any, value: Any, key: str, source: SourceFile) -> Any:
    """Make a dataclass of an object with the same keys; fields with a default are optional."""
    source.expect(isinstance(value, dict), "an object", key)
    hints = get_type_hints(kind)
    known = {each.name for each in fields(kind)}
    for name in value:
        if name not in known:
            source.damaged(f"{_join(key, name)} is unknown")
    for each in fields(kind):
        optional = each.default is not MISSING or each.default_factory is not MISSING
        if each.name not in value and not optional:
            source.damaged(f"{_join(key, each.name)} is missing")
    return kind(
        **{name: read_value(hints[name], each, _join(key, name), source) for name, each in value.items()}
    )


def _join(key: str, name: str) -> str:
    """Join a dotted key and a name, shortened to 60 characters."""
    short = name if len(name) <= 60 else name[:57] + "..."
    return f"{key}.{short}" if key else short


def _one_line(problem: ValueError) -> str:
    """Return the first line of a parser's message."""
    return str(problem).splitlines()[0][:120]
