"""Plain values from a JSON file into dataclasses, every type checked."""

from __future__ import annotations

import math
from dataclasses import MISSING, fields
from typing import Any, Union, get_args, get_origin, get_type_hints

from gluon_nrm.errors import DeployError

REMEDY = "put it back as it was"


def read_value(kind: Any, value: Any, key: str, where: str) -> Any:
    """Make a value of type ``kind`` of what JSON holds.

    Args:
        kind: a dataclass, int, float, str, bool, or a List, Dict (of texts) or Optional of such.
        value: what was read.
        key: its place in the file, as ``input.shape.1``; empty for the whole.
        where: the file, for messages.

    Raises:
        DeployError: something is missing, unknown or of another type; the message names its place.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Union:
        return None if value is None else read_value(arguments[0], value, key, where)
    if origin is list:
        _expect(isinstance(value, list), "a list", key, where)
        return [read_value(arguments[0], each, f"{key}.{place}", where) for place, each in enumerate(value)]
    if origin is dict:
        _expect(isinstance(value, dict), "an object", key, where)
        return {name: read_value(arguments[1], each, f"{key}.{name}", where) for name, each in value.items()}
    if kind in (int, float, str, bool):
        return _scalar(kind, value, key, where)
    return _dataclass(kind, value, key, where)


def _scalar(kind: Any, value: Any, key: str, where: str) -> Any:
    names = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
    taken = (int, float) if kind is float else kind
    right = isinstance(value, taken) and (kind is bool) == isinstance(value, bool)
    _expect(right and (kind is not float or math.isfinite(value)), names[kind], key, where)
    return kind(value)


def _dataclass(kind: Any, value: Any, key: str, where: str) -> Any:
    _expect(isinstance(value, dict), "an object", key, where)
    prefix, hints = (f"{key}." if key else ""), get_type_hints(kind)
    known = {each.name for each in fields(kind)}
    for name in value:
        if name not in known:
            raise DeployError(f"{where} is damaged: {prefix}{name} is unknown; {REMEDY}")
    for each in fields(kind):
        optional = each.default is not MISSING or each.default_factory is not MISSING
        if each.name not in value and not optional:
            raise DeployError(f"{where} is damaged: {prefix}{each.name} is missing; {REMEDY}")
    return kind(**{
        name: read_value(hints[name], each, f"{prefix}{name}", where) for name, each in value.items()
    })  # fmt: skip


def _expect(right: bool, what: str, key: str, where: str) -> None:
    if not right:
        raise DeployError(f"{where} is damaged: {key or 'the whole'} must be {what}; {REMEDY}")
