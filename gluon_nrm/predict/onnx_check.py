"""Check of an ONNX file before a runtime opens it: it must not refer to other files.

A tensor of an ONNX model may be kept in another file (external data), whose path is in the model. A runtime
opens that file, wherever it is, and past the checksums of ``model.json``. Exports never have one. The check
reads the file's structure (protocol buffers) here, as the package ``onnx`` need not be installed.
"""

from __future__ import annotations

from typing import Any, Dict, Iterator, NamedTuple, Optional, Tuple, Union

from gluon_nrm.errors import DeployError

#: Deepest message in a message; that of exports is 6.
DEEPEST = 16


class Message(NamedTuple):
    """Fields that an export may have, by number; ``None``: not looked at."""

    name: str
    fields: Dict[int, Optional["Message"]]
    #: fields that are refused by name
    refused: Dict[int, str] = {}


def _plain(*numbers: int) -> Dict[int, Optional[Message]]:
    return dict.fromkeys(numbers)


_TENSOR = Message(
    "tensor", _plain(1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16),
    {13: "the path of a file outside (external data)"},
)  # fmt: skip
_ATTRIBUTE = Message(
    "attribute", {**_plain(1, 2, 3, 4, 7, 8, 9, 13, 20), 5: _TENSOR, 10: _TENSOR},
    {6: "a graph", 11: "graphs", 22: "a sparse tensor", 23: "sparse tensors"},
)  # fmt: skip
_NODE = Message("node", {**_plain(1, 2, 3, 4, 6, 7, 8, 9), 5: _ATTRIBUTE})
_GRAPH = Message("graph", {**_plain(2, 10, 11, 12, 13, 16), 1: _NODE, 5: _TENSOR}, {15: "sparse tensors"})
_MODEL = Message(
    "model", {**_plain(1, 2, 3, 4, 5, 6, 8, 14), 7: _GRAPH},
    {20: "instructions for training", 25: "functions"},
)  # fmt: skip
#: Location of a tensor's values (field 14): 0 is the file itself.
_LOCATION, _DOMAIN = 14, 7
#: Fields of a tensor; bytes of a value in those that hold values (0: as few as it takes) and of a type.
_DIMS, _TYPE, _RAW = 1, 2, 9
_WIDTHS = {4: 4, 5: 0, 7: 0, 10: 8, 11: 0}
_SIZES = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8}
_OPERATOR = 4
#: Operators that make any amount of data out of a number; no export has them.
_MAKERS = (b"ConstantOfShape", b"Tile", b"EyeLike", b"RandomNormal", b"RandomUniform", b"Loop", b"Scan")
_OWN_DOMAINS = (b"", b"ai.onnx")


class _DamageError(Exception):
    """The file is none of an export; the message names the reason."""


def check_onnx(data: bytes, where: str) -> None:
    """Check that a model needs no file but its own and no operators but ONNX's.

    Args:
        data: the whole file.
        where: how messages name it.

    Raises:
        DeployError: it is no ONNX model, or holds what no export has.
    """
    try:
        _check(memoryview(data), _MODEL, 0)
    except _DamageError as problem:
        raise DeployError(f"{where}: it is not opened ({problem}); export the run again") from None


def _check(data: memoryview, message: Message, depth: int) -> None:
    if depth > DEEPEST:
        raise _DamageError("it is nested too deeply")
    for number, value in _fields(data):
        if number in message.refused:
            raise _DamageError(f"a {message.name} holds {message.refused[number]}, which no export has")
        if number not in message.fields:
            raise _DamageError(f"a {message.name} has the field {number}, which no export has")
        if message is _TENSOR and number == _LOCATION and value != 0:
            raise _DamageError("a tensor's values are in a file outside (external data), which no export has")
        if message is _NODE and number == _DOMAIN and bytes(_as_message(value)) not in _OWN_DOMAINS:
            raise _DamageError("a node's operator is none of ONNX's own")
        if message is _NODE and number == _OPERATOR and bytes(_as_message(value)) in _MAKERS:
            raise _DamageError("a node makes data of any size, which no export has")
        inner = message.fields[number]
        if inner is not None:
            _check(_as_message(value), inner, depth + 1)
    if message is _TENSOR:
        _check_tensor(data)


def _check_tensor(data: memoryview) -> None:
    """Check that a tensor holds as many values as its dimensions say: onnxruntime reads on past the end."""
    dims, kind, held, raw = [], 0, 0, None
    for number, value in _fields(data):
        if number == _DIMS:
            dims += [value] if isinstance(value, int) else list(_integers(value))
        elif number == _TYPE and isinstance(value, int):
            kind = value
        elif number == _RAW:
            raw = len(_as_message(value))
        elif number in _WIDTHS:
            width = _WIDTHS[number]
            packed = not isinstance(value, int) and (width == 0 or len(value) != width)
            held += (len(list(_integers(value))) if width == 0 else len(value) // width) if packed else 1  # type: ignore
    count = 1
    for length in dims:
        count = min(count * length, 2**63)  # a length below 0 is a huge one here
    size = _SIZES.get(kind)
    if size is None:
        raise _DamageError(f"a tensor is of the type {kind}, which no export has")
    if count * size != raw if raw is not None else count != held:
        raise _DamageError("a tensor has another number of values than its shape says")


def _integers(data: memoryview) -> Iterator[int]:
    place = 0
    while place < len(data):
        value, place = _integer(data, place)
        yield value


def _as_message(value: Union[int, memoryview]) -> memoryview:
    if isinstance(value, int):
        raise _DamageError("a number is where a message should be")
    return value


def _fields(data: memoryview) -> Iterator[Tuple[int, Union[int, memoryview]]]:
    """Numbers and values of a message's fields; a fixed-width value stays bytes."""
    place = 0
    while place < len(data):
        key, place = _integer(data, place)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value: Any
            value, place = _integer(data, place)
            yield number, value
            continue
        if kind not in (1, 2, 5):
            raise _DamageError("it is no ONNX model")
        length = {1: 8, 5: 4}.get(kind, 0)
        if kind == 2:
            length, place = _integer(data, place)
        if length > len(data) - place:
            raise _DamageError("it is cut short, or no ONNX model")
        yield number, data[place : place + length]
        place += length


def _integer(data: memoryview, place: int) -> Tuple[int, int]:
    """Read an integer of variable length; return it and the place after it."""
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(data):
            break
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (2**64 - 1), place
    raise _DamageError("it is cut short, or no ONNX model")
