"""Files of arrays: what they state is checked against what they hold before anything is allocated."""

from __future__ import annotations

import io
import random
import tracemalloc
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Dict

import numpy as np
import pytest

from gluon_nrm.errors import CheckpointError
from gluon_nrm.storage.npz_io import read_npz

ARRAYS = {
    "weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "scalar": np.array(3.5),
    "empty": np.zeros((0, 5), np.int64),
    "columns": np.asfortranarray(np.arange(6, dtype=">i4").reshape(2, 3)),
    "flags": np.array([True, False]),
    "names": np.array(["a", "βγ"]),
    "half": np.ones(3, np.float16),
}


def header(text: str, version: bytes = b"\x01\x00") -> bytes:
    width = 2 if version == b"\x01\x00" else 4
    return b"\x93NUMPY" + version + len(text).to_bytes(width, "little") + text.encode("latin-1")


def stated(descr: str = "'<f4'", shape: str = "(2,)", order: str = "False") -> bytes:
    return header(f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}}}\n")


def packed(path: Path, entries: Dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path


def test_what_numpy_writes_is_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **ARRAYS)
    found = read_npz(tmp_path / "a.npz", CheckpointError)
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
        assert found[name].flags.writeable
    with open(tmp_path / "a.npz", "rb") as file:
        assert list(read_npz(file, CheckpointError, "a message")) == list(ARRAYS)


DAMAGE = {
    "a shape of 40 GB": (stated(shape="(100000, 100000)") + bytes(8), "an array of 40000000000 bytes in 8"),
    "a shape of 2^200": (stated(shape=f"({2**40},) * 1") + bytes(8), "malformed node or string"),
    "many dimensions": (stated(shape="(" + "1," * 60 + ")") + bytes(4), "the shape of an array is none"),
    "a negative side": (stated(shape="(-2,)") + bytes(8), "the shape of an array is none"),
    "a side of 2^63": (stated(shape=f"({2**63},)") + bytes(8), "the shape of an array is none"),
    "true for a side": (stated(shape="(True, 2)") + bytes(8), "the shape of an array is none"),
    "a list for a shape": (stated(shape="[2]") + bytes(8), "the shape of an array is none"),
    "too few bytes": (stated() + bytes(7), "an array of 8 bytes in 7"),
    "too many bytes": (stated() + bytes(9), "an array of 8 bytes in 9"),
    "objects": (stated("'|O'") + bytes(16), "an array of '|O', not of numbers"),
    "a structure": (stated("[('a', '<f4')]") + bytes(8), "not of numbers"),
    "a giant string": (stated("'<U2000000000'") + bytes(8), "not of numbers"),
    "no type": (stated("'nonsense'") + bytes(8), "not of numbers"),
    "a type that is none": (stated("'<f1'") + bytes(2), "data type '<f1' not understood"),
    "an order that is none": (stated(order="2") + bytes(8), "the shape of an array is none"),
    "code": (header("__import__('os').getpid()"), "malformed node"),
    "brackets": (header("(" * 4000), ""),
    "a long header": (header("{}" + " " * 5000), "header of an array is too long"),
    "a length of 2^32": (b"\x93NUMPY\x02\x00\xff\xff\xff\xff{}", "header of an array is too long"),
    "other keys": (header("{'descr': '<f4'}"), "other keys"),
    "no header": (b"\x93NUMPY\x01\x00\x00\x00", ""),
    "a pickle": (b"\x80\x04N.", "an entry is no array"),
    "nothing": (b"", "an entry is no array"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_array_is_refused_before_it_is_allocated(name: str, tmp_path: Path) -> None:
    data, message = DAMAGE[name]
    path = packed(tmp_path / "a.npz", {"x.npy": data})
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError) as caught:
            read_npz(path, CheckpointError)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()
    assert str(caught.value).startswith(f"{path} holds no arrays: ")
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_archives_that_hold_something_else(tmp_path: Path) -> None:
    whole = stated() + bytes(8)
    path = tmp_path / "a.npz"
    with pytest.raises(CheckpointError, match="'x.npy' is compressed"):
        read_npz(packed(path, {"x.npy": bytes(10_000_000)}, zipfile.ZIP_DEFLATED), CheckpointError)
    with pytest.raises(CheckpointError, match="'x.txt' is no array"):
        read_npz(packed(path, {"x.txt": whole}), CheckpointError)
    twice = packed(path, {"x.npy": whole, "y.npy": whole}).read_bytes().replace(b"y.npy", b"x.npy")
    path.write_bytes(twice)
    with pytest.raises(CheckpointError, match="the same name"):
        read_npz(path, CheckpointError)
    with pytest.raises(CheckpointError, match="cannot read .*missing.npz"):
        read_npz(tmp_path / "missing.npz", CheckpointError)
    path.write_bytes(b"no archive")
    with pytest.raises(CheckpointError, match="holds no arrays: File is not a zip file"):
        read_npz(path, CheckpointError)
    # entries that share their bytes
    data = bytearray(packed(path, {"x.npy": whole}).read_bytes())
    place = data.rindex(b"PK\x01\x02") + 24
    data[place - 4 : place] = data[place : place + 4] = (2**31).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="its entries are longer than the file"):
        read_npz(path, CheckpointError)


def test_changed_bytes_end_in_an_error_or_in_arrays(tmp_path: Path) -> None:
    rng = random.Random(0)
    buffer = io.BytesIO()
    np.savez(buffer, **ARRAYS)
    whole, refused = buffer.getvalue(), 0
    for _ in range(1500):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 3)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        found: Any = None
        with suppress(CheckpointError):
            found = read_npz(io.BytesIO(data), CheckpointError, "a.npz")
        refused += found is None
    assert refused > 1000
