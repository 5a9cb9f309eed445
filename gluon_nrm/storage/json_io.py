"""The one reader of JSON: bounded, strict, and every fault is named by its key.

Files of runs and exports are edited, truncated and downloaded. A file is read only up to a size, nested
only up to a depth, and holds each key once; its numbers are finite and fit into 64 bits. ``read_json`` gives
plain values, ``read_value`` turns them into dataclasses and ``read_keys`` checks some keys of an open object.
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

#: Largest file in bytes; parsed values take up to forty times as much memory.
LARGEST = 16 * 2**20
#: Deepest nesting of objects and lists.
DEEPEST = 64
#: Digits that an integer of 64 bits has at most.
DIGITS = 19

TOO_DEEP = f"it is nested deeper than {DEEPEST} levels"
PUT_BACK = "put it back as it was"

_NAMES = {int: "an integer", float: "a number", str: "a string", bool: "a boolean", dict: "an object"}


class Source(NamedTuple):
    """A file for error messages: its path, the error to raise and the remedy to give."""

    where: str
    error: Type[NRMError]
    remedy: str = PUT_BACK

    def damaged(self, what: str) -> NoReturn:
        """Raise "WHERE is damaged: WHAT; REMEDY"; an empty remedy is left to the caller."""
        remedy = f"; {self.remedy}" if self.remedy else ""
        raise self.error(f"{self.where} is damaged: {what}{remedy}")

    def expect(self, right: bool, what: str, key: str) -> None:
        """Raise "KEY must be WHAT" unless ``right``."""
        if not right:
            self.damaged(f"{key or 'the whole'} must be {what}")


class _Repeated(NamedTuple):
    """An object with a key that is given twice."""

    key: str


class _TooLarge(NamedTuple):
    """An integer of more than ``DIGITS`` digits."""

    text: str


def read_json(
    path: Path, error: Type[NRMError], *, remedy: str = PUT_BACK, largest: int = LARGEST
) -> Dict[str, Any]:
    """Read a JSON object from a file.

    Raises:
        NRMError: of the given class; the file is missing, unreadable, too large or damaged.
    """
    value = parse_json(read_bounded(path, error, largest), Source(str(path), error, remedy))
    if not isinstance(value, dict):
        Source(str(path), error, remedy).damaged("it holds no JSON object")
    return value


def parse_json(data: bytes, source: Source) -> Any:
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


def read_value(kind: Any, value: Any, key: str, source: Source) -> Any:
    """Convert a parsed JSON value to ``kind``.

    Args:
        kind: a dataclass, int, float, str, bool, Any, or a List, Dict (with string keys) or Optional of such.
        value: the parsed value.
        key: its place in the file, as ``input.shape.1``; empty for the whole.
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
    value: Any, required: Mapping[str, Any], source: Source, *, optional: Mapping[str, Any], key: str = ""
) -> Dict[str, Any]:
    """Check the keys of an object that are trusted for something; further keys stay as they are.

    Args:
        value: the parsed value.
        required: kinds (see ``read_value``) of the keys that must be there.
        source: the file, for messages.
        optional: kinds of the keys that may be left out.
        key: place of the object in the file.

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
    """An object of its pairs; where a key comes twice, a mark that names it."""
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    return _Repeated(next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1))


def _integer(text: str) -> Union[int, _TooLarge]:
    """An integer; Python would take seconds to convert one of a million digits."""
    return int(text) if len(text) <= DIGITS + 1 else _TooLarge(text[:12])


def _check(value: Any, source: Source) -> None:
    """Check depth, repeated keys and numbers of a parsed value, with no more memory than its depth takes."""
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
    """Why a parsed value is refused whatever its key; empty where it is not."""
    if isinstance(found, _Repeated):
        return "is given twice"
    if isinstance(found, _TooLarge) or (type(found) is int and not -(2**63) <= found < 2**63):
        return f"must be an integer of at most {DIGITS} digits"
    if isinstance(found, float) and not math.isfinite(found):
        return f"must be a number, not {found}"
    return ""


def _scalar(kind: Any, value: Any, key: str, source: Source) -> Any:
    """A number, string or boolean; integers serve as numbers."""
    taken = (int, float) if kind is float else kind
    right = isinstance(value, taken) and (kind is bool) == isinstance(value, bool)
    source.expect(right and (kind is not float or math.isfinite(value)), _NAMES[kind], key)
    return kind(value)


def _dataclass(kind: Any, value: Any, key: str, source: Source) -> Any:
    """A dataclass of an object with its very fields; those with a default may be left out."""
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
    """Dotted place of an entry, long names shortened."""
    short = name if len(name) <= 60 else name[:57] + "..."
    return f"{key}.{short}" if key else short


def _one_line(problem: ValueError) -> str:
    """A parser's complaint, without the text that it failed on."""
    return str(problem).splitlines()[0][:120]
