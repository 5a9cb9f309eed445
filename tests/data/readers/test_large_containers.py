"""Archives, MATLAB files and pickles that would unpack to gigabytes, or never end, are refused first."""

from __future__ import annotations

import gzip
import io
import os
import re
import struct
import subprocess
import sys
import tarfile
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Callable, Dict, Tuple

import numpy as np
import official_files as official
import pytest
from fakes import ROOT
from scipy.io import savemat

from gluon_nrm.data.readers import cifar_pickles
from gluon_nrm.data.readers.archives import read_files
from gluon_nrm.data.readers.cifar_pickles import read_dictionary
from gluon_nrm.data.readers.matlab import read_arrays
from gluon_nrm.errors import DataError

FOLDER, NAME = "cifar-10-batches-bin", "a.bin"
#: Bytes that the file asked for may have.
LARGEST = 100_000


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0) -> bytes:
    """The header of a file in an archive."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    return info.tobuf(tarfile.GNU_FORMAT)


def endless() -> bytes:
    """A header whose size is negative in base 256: the place of the next one is before it."""
    header = bytearray(member(f"{FOLDER}/{NAME}"))
    header[124:136] = b"\xff" * 10 + b"\xfe\x00"  # -512
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    return bytes(header)


FILE = f"{FOLDER}/{NAME}"
ARCHIVES: Dict[str, Tuple[Callable[[], bytes], str]] = {
    "a link to nowhere": (lambda: member(FILE, tarfile.SYMTYPE, "nowhere"), "a.bin is a link, and should be"),
    "a hard link to nowhere": (lambda: member(FILE, tarfile.LNKTYPE, "nowhere"), "a.bin is a link"),
    "links in a loop": (
        lambda: member(FILE, tarfile.SYMTYPE, "b") + member(f"{FOLDER}/b", tarfile.SYMTYPE, NAME), "a link"),
    "a link to itself": (lambda: member(FILE, tarfile.LNKTYPE, FILE), "a.bin is a link"),
    "a device": (lambda: member(FILE, tarfile.CHRTYPE), "a.bin is no regular file"),
    "a pipe": (lambda: member(FILE, tarfile.FIFOTYPE), "a.bin is no regular file"),
    "no archive": (lambda: b"no archive" * 200, "is damaged or not a .tar.gz archive"),
    "a cut file": (lambda: member(FILE, size=5000) + bytes(100), "is damaged or not a .tar.gz archive"),
    "a large file": (lambda: member(FILE, size=10**9), "1000000000 bytes, and at most 100000 are expected"),
    "a negative size": (endless, "a.bin: -512 bytes, and at most 100000 are expected"),
    "another folder": (lambda: member("other/a.bin"), "does not hold cifar-10-batches-bin/a.bin"),
    "many files": (lambda: member("x") * 3000, "it holds more than 1000 files"),
}  # fmt: skip


@pytest.mark.parametrize("case", ARCHIVES)
def test_a_damaged_archive_is_said_in_a_line(tmp_path: Path, case: str) -> None:
    content, message = ARCHIVES[case]
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(content() + bytes(1024)))
    with pytest.raises(DataError, match=message) as caught:
        read_files(path, FOLDER, [NAME], LARGEST)
    assert len(str(caught.value).splitlines()) == 1


def test_a_good_archive_is_still_read(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    official.archive(path, FOLDER, {NAME: b"abc" * 1000, "b.bin": b"x"}, prefix="./")
    assert read_files(path, FOLDER, ["b.bin", NAME], LARGEST) == {NAME: b"abc" * 1000, "b.bin": b"x"}


def squeezed(head: bytes, zeros: int) -> bytes:
    """gzip of some bytes and many zeros."""
    file = io.BytesIO()
    with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=1) as stream:
        stream.write(head)
        for _ in range(zeros >> 24):
            stream.write(bytes(1 << 24))
    return file.getvalue()


HEADER = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"


def matlab_bomb(zeros: int) -> bytes:
    """A matrix that unpacks to many zeros."""
    pack = zlib.compressobj(1)
    data = pack.compress(official.matrix("X", np.zeros((32, 32, 3, 30), np.uint8), False))
    data += b"".join(pack.compress(bytes(1 << 24)) for _ in range(zeros >> 24)) + pack.flush()
    return HEADER + struct.pack("<II", 15, len(data)) + data


def matlab_cells(count: int) -> bytes:
    """A matrix of cells, each of them empty."""
    flags, shape = struct.pack("<II", 1, 0), struct.pack("<2i", 1, count)
    parts = official.element(6, flags) + official.element(5, shape) + official.element(1, b"X")
    data = zlib.compress(official.element(14, parts + struct.pack("<II", 14, 0) * count))
    return HEADER + struct.pack("<II", 15, len(data)) + data


MATLAB: Dict[str, Tuple[Callable[[], bytes], str]] = {
    "more than is declared": (lambda: matlab_bomb(2**25), "it unpacks to more than the 1000000 bytes"),
    "cells": (lambda: matlab_cells(1000), "it holds something else than arrays of numbers"),
    "version 4": (lambda: struct.pack("<5i", 0, 10**6, 10**6, 0, 2) + b"X\0".ljust(200), "not of MATLAB's"),
    "version 7.3": (lambda: b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM", "not of MATLAB's version 5"),
    "no data": (lambda: HEADER + struct.pack("<II", 15, 2**31), "it ends too early"),
    "a tag that is cut": (lambda: official.matlab(np.zeros((2, 2), "u1"), np.ones(2)) + b"abc", "damaged"),
}  # fmt: skip


@pytest.mark.parametrize("case", MATLAB)
def test_a_matlab_file_that_holds_more_is_refused_before_it_is_unpacked(tmp_path: Path, case: str) -> None:
    content, message = MATLAB[case]
    path = tmp_path / "a.mat"
    path.write_bytes(content())
    with pytest.raises(DataError, match=message) as caught:
        read_arrays(path, ("X", "y"), 1_000_000)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("compressed", [True, False])
def test_arrays_are_those_that_scipy_wrote(tmp_path: Path, compressed: bool) -> None:
    rng = np.random.default_rng(0)
    arrays: Dict[str, np.ndarray] = {
        "X": rng.integers(0, 256, (3, 4, 2, 5), dtype=np.uint8),
        "y": rng.integers(0, 10, (7, 1), dtype=np.uint8),
        "z": rng.normal(size=(2, 3)),
        "w": np.array([[2**40, -1]], dtype=np.int64),
    }
    savemat(tmp_path / "a.mat", arrays, do_compression=compressed)
    found = read_arrays(tmp_path / "a.mat", tuple(arrays), 10_000)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype  # type: ignore[attr-defined]


def test_damaged_matlab_files_are_errors_and_no_crash(tmp_path: Path) -> None:
    """scipy's reader ends the interpreter for some of these."""
    rng = np.random.default_rng(0)
    whole = bytearray(official.matlab(np.zeros((4, 4, 3, 5), np.uint8), np.ones(5), zipped=False))
    for _ in range(500):
        data = bytearray(whole)
        for place in rng.integers(128, len(data), rng.integers(1, 5)):
            data[place] = rng.integers(0, 256)
        content = zlib.compress(data[128:])
        zipped = HEADER + struct.pack("<II", 15, len(content)) + content
        (tmp_path / "a.mat").write_bytes(zipped if rng.random() < 0.5 else data)
        with suppress(DataError):
            read_arrays(tmp_path / "a.mat", ("X", "y"), 10_000)


PICKLES: Dict[str, Tuple[bytes, str]] = {
    "many lists": (b"\x80\x02" + b"]" * 20_000 + b".", "it has more than 10000 instructions"),
    "tuples without a beginning": (b"\x80\x02" + b"K\x01" * 4_000 + b"t.", "damaged, or no pickle"),
    "a shape beyond all bounds": (
        official.pickled("labels", np.zeros((2, 3), np.uint8), np.zeros(2, int)).replace(
            b"K\x02K\x03\x86", b"\x8a\x0a" + b"\xff" * 9 + b"\x7fK\x03\x86", 1), "damaged, or no pickle"),
}  # fmt: skip


NESTED = b"U\x00\x85" + b"".join(b"q%ch%c\x86" % (place, place) for place in range(60))
PICKLES.update({
    "a memo of 2^31 entries": (b"\x80\x02]r\xff\xff\xff\x7f.", "damaged, or no pickle"),
    "a string of 2 GiB": (b"\x80\x02T\xff\xff\xff\x7fa.", "damaged, or no pickle"),
    "a string of 2^63 bytes": (b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7fa.", "the instruction BINBYTES8"),
    "a frame of 2^63 bytes": (b"\x80\x04\x95" + b"\xff" * 7 + b"\x7fa.", "the instruction FRAME"),
    "a key that takes 2^60 steps to hash": (b"\x80\x02}" + NESTED + b"Ns.", "a key that is no string"),
    "an array of any shape": (
        b"\x80\x02}U\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n\x8a\x05\xff\xff\xff\xff\x7f"
        b"\x85U\x01b\x87Rs.", "damaged, or no pickle"),
    "arrays that share their bytes": (
        official.pickled("labels", np.zeros((2, 3), np.uint8), np.zeros(2, int))[:-2]
        + b"U\x01acnumpy.core.multiarray\n_reconstruct\n)Ru.", "more than one array"),
    "a state for a class": (b"\x80\x02}U\x01acnumpy\ndtype\nN}U\x01bNs\x86bs.", "damaged, or no pickle"),
})  # fmt: skip


@pytest.mark.parametrize("case", PICKLES)
def test_a_pickle_that_would_grow_is_refused(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar_pickles, "MOST", 10_000)
    data, message = PICKLES[case]
    with pytest.raises(DataError, match=message):
        read_dictionary(data, "a pickle")


PICKLE_CHILD = """
import resource, sys
from gluon_nrm.data.readers.cifar_pickles import read_dictionary
from gluon_nrm.errors import DataError
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for line in sys.stdin:
    try:
        read_dictionary(bytes.fromhex(line), "a pickle")
    except DataError:
        print("refused")
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_hostile_pickles_take_little_memory() -> None:
    """Python's unpickler in C takes 32 GiB and more for a memo of 2^31 entries."""
    result = subprocess.run(
        [sys.executable, "-c", PICKLE_CHILD], input="\n".join(data.hex() for data, _ in PICKLES.values()),
        capture_output=True, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=60,
    )  # fmt: skip
    *refused, grown = result.stdout.splitlines()
    assert int(grown) < 50 and len(refused) == len(PICKLES), result.stdout


CHILD = """
import resource, sys
from pathlib import Path
from gluon_nrm.data.readers import cifar_pickles
from gluon_nrm.data.readers.archives import read_files
from gluon_nrm.data.readers.matlab import read_arrays
from gluon_nrm.errors import DataError
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for name in ("a.tar.gz", "b.tar.gz", "a.mat"):
    path = Path(sys.argv[1]) / name
    try:
        read_arrays(path, ("X",), 10**7) if name == "a.mat" else read_files(path, "f", ["a"], 10**7)
    except DataError as error:
        print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_small_files_that_unpack_to_gigabytes_take_little_memory(tmp_path: Path) -> None:
    """A name in the header of an archive, a file in one, and a matrix, each of 400 MB."""
    most = 4 * 10**8
    (tmp_path / "a.tar.gz").write_bytes(squeezed(member("x", tarfile.GNUTYPE_LONGNAME, size=most), most))
    (tmp_path / "b.tar.gz").write_bytes(squeezed(member("x") * 900 + member("y", size=most), most))
    (tmp_path / "a.mat").write_bytes(matlab_bomb(most))
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert max(sizes) < 5 * 10**6
    result = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path)],
        capture_output=True, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=60,
    )  # fmt: skip
    *messages, grown = result.stdout.splitlines()
    assert len(messages) == 3 and all(re.search("it unpacks to more than the", each) for each in messages)
    assert int(grown) < 200, result.stdout
