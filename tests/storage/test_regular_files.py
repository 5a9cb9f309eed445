"""Pipes, devices and sockets in place of files are refused; a lock is not waited for in silence."""

from __future__ import annotations

import ast
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Callable, Dict, Iterator, List

import numpy as np
import pytest

from gluon_nrm.data.fetch.download import sha256
from gluon_nrm.data.images.decoding import decode
from gluon_nrm.data.pipeline.split_files import read_split
from gluon_nrm.data.readers.archives import read_files
from gluon_nrm.data.readers.mnist import load_mnist
from gluon_nrm.data.readers.recordio import RecordFile
from gluon_nrm.data.readers.svhn import load_svhn
from gluon_nrm.data.sets.dataset import Dataset, ImageSet
from gluon_nrm.data.sets.registry import DataSource
from gluon_nrm.distributed.hosts import read_hosts
from gluon_nrm.errors import NRMError
from gluon_nrm.predict.manifest import describe_file
from gluon_nrm.recipe.load import load_recipe
from gluon_nrm.report.published import read_published
from gluon_nrm.runs import metrics
from gluon_nrm.runs.run_folder import RunFolder
from gluon_nrm.runs.tables import read_csv
from gluon_nrm.storage import files

PACKAGE = Path(files.__file__).parents[1]
#: Modules that open only files of the system or of an installed package.
OF_THE_SYSTEM = {
    "console/start_process.py",
    "system/environment.py", "system/memory.py", "system/processor.py", "system/wheels.py",
    "training/forecast.py",
}  # fmt: skip
#: Functions that open a file by its path, with the modules they belong to.
OPENING = {
    (None, "open"),
    ("io", "open"),
    ("os", "open"),
    ("gzip", "open"),
    ("np", "fromfile"),
}

PART = ImageSet(np.zeros((1, 1, 2, 2), "u1"), np.zeros(1, "i8"))
DIGITS = Dataset("d", ("a",), PART, PART, np.zeros(1), np.ones(1))
OPENERS: Dict[str, Callable[[Path], object]] = {
    "an image": lambda path: decode(path, path),
    "an archive": lambda path: read_files(path, "folder", ["a"], 10),
    "a record file": RecordFile,
    "a file to fetch": sha256,
    "mnist": lambda path: load_mnist(DataSource(data_dir=path.parent)),
    "svhn": lambda path: load_svhn(DataSource(data_dir=path.parent)),
    "a split": lambda path: read_split(path, DIGITS, labels=1, seed=0),
    "a file of an export": lambda path: describe_file(path, "onnx"),
    "hosts": read_hosts,
    "a recipe": load_recipe,
    "published figures": read_published,
    "a table": read_csv,
    "metrics": metrics.read,
    "a row of metrics": lambda path: metrics.append(path, {"epoch": 1}),
    "a run's recipe": lambda path: RunFolder(path.parent).recipe(),
}
#: Names that a reader looks for, beside the one it is given.
NAMES = ("train-images-idx3-ubyte.gz", "train_32x32.mat", "recipe.yaml")


def zero(path: Path) -> None:
    path.symlink_to("/dev/zero")


def unix_socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # the path of a socket has at most 107 bytes
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path.name)
    os.chdir(here)


@pytest.mark.parametrize("opener", OPENERS)
@pytest.mark.parametrize(
    ("make", "kind"), [(os.mkfifo, "a named pipe"), (zero, "a device"), (unix_socket, "a socket")]
)
def test_what_is_no_regular_file_is_refused(
    tmp_path: Path, opener: str, make: Callable[[Path], None], kind: str
) -> None:
    for name in ("file", *NAMES):
        make(tmp_path / name)
    with pytest.raises(NRMError) as caught:
        OPENERS[opener](tmp_path / "file")
    assert f"it is {kind}, no regular file" in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 2


def test_a_log_that_is_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "train.log")
    with pytest.raises(OSError, match="no regular file"):
        files.open_file(tmp_path / "train.log", "ab")


def test_a_lock_that_is_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".lock")
    with pytest.raises(OSError, match="no regular file"):
        files.FileLock(tmp_path / ".lock").acquire()
    assert files.FileLock(tmp_path / ".lock").holder() == "another process"


def test_regular_files_are_opened_as_open_does(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with files.open_file(path, "wb") as file:
        file.write(b"one")
    with files.open_file(path, "ab") as file:
        file.write(b"two")
    assert files.read_file(path) == b"onetwo"
    assert not path.stat().st_mode & 0o111
    with pytest.raises(OSError, match="it has 6 bytes, and at most 5 are expected"):
        files.read_file(path, 5)
    with pytest.raises(FileNotFoundError):
        files.open_file(tmp_path / "b")
    with pytest.raises(IsADirectoryError):
        files.open_file(tmp_path)


def test_a_lock_that_another_holds_is_not_waited_for_in_silence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    text = (
        "import sys, time; from pathlib import Path; from gluon_nrm.storage.files import FileLock; "
        "FileLock(Path(sys.argv[1])).acquire(); print('held', flush=True); time.sleep(1.3)"
    )
    command = [sys.executable, "-c", text, str(tmp_path / ".lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=PACKAGE.parent) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        lock = files.FileLock(tmp_path / ".lock")
        assert lock.acquire(wait=True)
    lock.release()
    assert f"waiting for {tmp_path / '.lock'}: process {holder.pid} on " in capfd.readouterr().err


def test_a_lock_that_is_free_is_taken_without_a_word(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lock = files.FileLock(tmp_path / ".lock")
    assert lock.acquire(wait=True)
    assert not files.FileLock(tmp_path / ".lock").acquire()
    lock.release()
    assert capfd.readouterr().err == ""


def opened(text: str) -> Iterator[str]:
    """Calls that open a file by its path, with their lines."""
    for call in ast.walk(ast.parse(text)):
        if isinstance(call, ast.Call):
            name = getattr(call.func, "attr", getattr(call.func, "id", ""))
            owner = getattr(getattr(call.func, "value", None), "id", None)
            if (owner, name) in OPENING or name in ("read_bytes", "read_text"):
                source = ast.get_source_segment(text, call) or ""
                if "os.devnull" not in source and "/proc/" not in source:
                    yield f"{call.lineno}: {source}"


def test_no_file_of_the_user_is_opened_but_as_a_regular_one() -> None:
    found: List[str] = []
    for path in sorted(PACKAGE.rglob("*.py")):
        name = str(path.relative_to(PACKAGE))
        if name not in {"storage/files.py", *OF_THE_SYSTEM}:
            found += [f"{name}:{call}" for call in opened(path.read_text(encoding="utf-8"))]
    assert found == []


def test_the_search_for_opened_files_finds_them() -> None:
    text = "open(p)\nfiles.open_file(p)\np.read_text()\nos.open(p)\nImage.open(f)\nq(x).read_bytes()\n"
    assert [call.split(":")[0] for call in opened(text)] == ["1", "3", "4", "6"]
