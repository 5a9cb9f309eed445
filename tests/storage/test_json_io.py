"""JSON: read up to a size and a depth, each key once, finite numbers; every fault is named by its key."""

from __future__ import annotations

import json
import os
import random
import tracemalloc
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple

import pytest

from gluon_nrm.errors import CheckpointError, NRMError, RunError
from gluon_nrm.storage.files import remove
from gluon_nrm.storage.json_io import DEEPEST, SourceFile, parse_json, read_json, read_keys, read_value

SOURCE = SourceFile("x.json", RunError)


@dataclass
class Part:
    number: int
    share: float = 0.5


@dataclass
class Whole:
    name: str
    parts: List[Part]
    by_name: Dict[str, bool] = field(default_factory=dict)
    note: Optional[str] = None
    free: Any = None


FAULTS = {
    "not a number": (b'{"a": [0, NaN]}', "a.1 must be a number, not nan"),
    "infinite": (b'{"a": {"b": -Infinity}}', "a.b must be a number, not -inf"),
    "beyond a float": (b'{"a": 1e999}', "a must be a number, not inf"),
    "a million digits": (
        b'{"a": [' + b"9" * 1_000_000 + b"]}",
        "a.0 must be an integer of at most 19 digits",
    ),
    "beyond 64 bits": (b'{"a": 9223372036854775808}', "a must be an integer of at most 19 digits"),
    "a key twice": (b'{"a": {"b": 1, "c": 2, "b": 1}}', "a.b is given twice"),
    "a key twice in a list": (b'[{"x": 0}, {"b": {}, "b": []}]', "1.b is given twice"),
    "too deep": (b'{"a": ' + b"[" * 70 + b"]" * 70 + b"}", "is nested deeper than 64 levels"),
    "far too deep": (b'{"a":' * 100_000, "it is nested deeper than 64 levels"),
    "brackets": (b"[" * 1_000_000, "it is nested deeper than 64 levels"),
    "not UTF-8": (b'{"a": "\xff"}', "'utf-8' codec"),
    "UTF-16": ('{"a": 1}'.encode("utf-16"), "'utf-8' codec"),
    "cut": (b'{"a": ', "Expecting value"),
    "more than one": (b"{} {}", "Extra data"),
    "control character": (b'{"a": "\x1b[2J"}', "Invalid control character"),
    "nothing": (b"", "Expecting value"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named_by_its_key_in_one_line(name: str) -> None:
    data, message = FAULTS[name]
    with pytest.raises(RunError) as caught:
        parse_json(data, SOURCE)
    text = str(caught.value)
    assert text.startswith("x.json is damaged: "), text
    assert message in text
    assert text.endswith("; put it back as it was")
    assert "\n" not in text
    assert len(text) < 250


def test_what_is_allowed_comes_back() -> None:
    deep: Any = 0
    for _ in range(DEEPEST - 1):
        deep = [deep]
    value = {"a": [1, -(2**63), 2**63 - 1, 0.1, None, True], "é\ud83d": "\udcff\n", "deep": deep, "": {}}
    assert parse_json(json.dumps(value).encode(), SOURCE) == value
    assert parse_json(b"\xef\xbb\xbf" + b'{"a": 1}', SOURCE) == {"a": 1}


def test_random_bytes_in_an_intact_file_end_in_an_error_or_a_value() -> None:
    rng = random.Random(0)
    whole = bytearray(
        json.dumps({"format": 1, "files": {"a.npz": "0f"}, "state": {"x": [1, 2.5e3]}}).encode()
    )
    for _ in range(3000):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] = rng.choice(b'\x00\xff{}[]",:0123456789eE+-.\\ntfuNI ')
        with suppress(RunError):
            parse_json(bytes(data), SOURCE)


def test_memory_is_bounded_by_the_size_of_the_file() -> None:
    data = b"[" + b"[]," * 300_000 + b"[]]"
    tracemalloc.start()
    try:
        parse_json(data, SOURCE)
        assert tracemalloc.get_traced_memory()[1] < 100 * len(data)
    finally:
        tracemalloc.stop()


def test_files_that_cannot_be_such(tmp_path: Path) -> None:
    path = tmp_path / "x.json"

    def replaced(make: Callable[[Path], Any]) -> None:
        remove(path)
        make(path)

    cases: List[Tuple[Callable[[], Any], str]] = [
        (lambda: None, "cannot read .*x.json: No such file"),
        (path.mkdir, "cannot read .*x.json: Is a directory"),
        (lambda: replaced(os.mkfifo), "no regular file"),
        (lambda: replaced(lambda it: it.symlink_to("/dev/zero")), "no regular file"),
        (lambda: replaced(lambda it: it.symlink_to(it)), "cannot read .*x.json: Too many levels"),
        (lambda: replaced(lambda it: it.write_bytes(b" " * 101)), "x.json has more than 100 bytes"),
        (lambda: path.write_bytes(b"[]"), "x.json is damaged: it holds no JSON object; put it back"),
    ]
    for prepare, message in cases:
        prepare()
        with pytest.raises(CheckpointError, match=message):
            read_json(path, CheckpointError, largest=100)
    path.write_bytes(b"{}" + b" " * 98)
    assert read_json(path, CheckpointError, largest=100) == {}


def test_values_become_dataclasses() -> None:
    value = {"name": "a", "parts": [{"number": 1}, {"number": 2, "share": 1}], "by_name": {"x": True}}
    found = read_value(Whole, value, "", SOURCE)
    assert found == Whole("a", [Part(1), Part(2, 1.0)], {"x": True})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parts": {}}, "parts must be a list"),
        ({"parts": [1]}, "parts.0 must be an object"),
        ({"parts": [{"number": True}]}, "parts.0.number must be an integer"),
        ({"parts": [{"number": 1.0}]}, "parts.0.number must be an integer"),
        ({"parts": [{"number": 1, "share": "1"}]}, "parts.0.share must be a number"),
        ({"parts": [{}]}, "parts.0.number is missing"),
        ({"by_name": []}, "by_name must be an object"),
        ({"by_name": {"x": 1}}, "by_name.x must be a boolean"),
        ({"name": None}, "name must be a string"),
        ({"note": 5}, "note must be a string"),
        ({"more": 5}, "more is unknown"),
    ],
)
def test_another_type_is_named_by_its_key(change: Dict[str, Any], message: str) -> None:
    with pytest.raises(RunError, match=f"x.json is damaged: {message}; put it back as it was"):
        read_value(Whole, {"name": "a", "parts": [], **change}, "", SOURCE)


def test_some_keys_of_an_open_object() -> None:
    required, optional = {"epoch": int}, {"commit": Optional[str], "resumed": List[Dict[str, Any]]}
    value = {"epoch": 1, "commit": None, "resumed": [{"x": 1}], "other": [1]}
    assert read_keys(value, required, SOURCE, optional=optional) == value
    for wrong, message in (
        ([], "the whole must be an object"),
        ({}, "epoch is missing"),
        ({"epoch": 1, "commit": 5}, "commit must be a string"),
        ({"epoch": 1, "resumed": {}}, "resumed must be a list"),
        ({"epoch": 1, "resumed": [5]}, "resumed.0 must be an object"),
    ):
        with pytest.raises(NRMError, match=message):
            read_keys(wrong, required, SOURCE, optional=optional)
