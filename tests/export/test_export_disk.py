"""tools/export.py on a full disk, and with names that are not UTF-8."""

from __future__ import annotations

import errno
import io
import os
import resource
from pathlib import Path
from typing import Any, List

import mxnet as mx
import numpy as np
import pytest
from linear_export import needs_onnx
from picture_files import class_folders
from predicting import call
from short_runs import SUPERVISED, fit_without_pictures, recipe

from gluon_nrm.errors import DeployError
from gluon_nrm.export.export_run import export_run
from gluon_nrm.export.symbol_files import write_files
from gluon_nrm.predict import manifest as m
from gluon_nrm.storage import files

CLASSES = ["caf\udce9", "two\nlines"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose folder and one of whose classes have names that are not UTF-8."""
    folder = tmp_path_factory.mktemp("names")
    class_folders(folder / "data\udcff", dict.fromkeys(CLASSES, 5), height=8, width=8)
    text = SUPERVISED.replace(
        "name: digits, labels: 20, validation: 50, shift: 1", "name: folder, path: ., size: 8"
    )
    short = recipe(text, "train.epochs=1", "train.epoch_steps=1", "train.batch_labelled=2")
    with pytest.MonkeyPatch.context() as here:
        here.chdir(folder / "data\udcff")
        return fit_without_pictures(short, root=folder / "runs\udcff").path


@needs_onnx
def test_names_that_are_no_utf8(run: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(run.parents[1] / "data\udcff")
    out = tmp_path / "out\udcff"
    export_run(run, out, ("symbol", "onnx"))
    assert m.read_manifest(out).class_names == CLASSES
    for backend in ("onnxruntime", "mxnet"):
        raw = io.BytesIO()
        monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="ascii"))  # capsys decodes strictly
        assert call(monkeypatch, out, ".", "--backend", backend) == 0
        lines = raw.getvalue().splitlines()
        assert len(lines) == 1 + 10
        assert lines[1].startswith(b"caf\xe9/000.png ") and lines[-1].startswith(b"two\\nlines/004.png ")


@pytest.fixture
def full_after(monkeypatch: pytest.MonkeyPatch) -> List[int]:
    """The disk is full once so many files were written: the list's only number."""
    left = [1000]
    sync = files.sync

    def counted(path: Path) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(path)

    monkeypatch.setattr(files, "sync", counted)
    return left


@needs_onnx
@pytest.mark.parametrize("written", [0, 2, 5, 8])
def test_a_full_disk_leaves_nothing(
    run: Path, tmp_path: Path, monkeypatch: Any, full_after: List[int], written: int
) -> None:
    monkeypatch.chdir(run.parents[1] / "data\udcff")
    full_after[0] = written
    with pytest.raises(DeployError, match="No space left on device; free some space and start again"):
        export_run(run, tmp_path / "out", ("symbol", "onnx"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("most", [0, 100, 3000])
def test_a_write_that_the_system_cuts_short(tmp_path: Path, most: int) -> None:
    """As a full disk does, here by a limit on the size of files."""
    symbol = mx.sym.FullyConnected(mx.sym.var("data"), num_hidden=100, name="scores")
    weight = mx.nd.array(np.zeros((100, 10)))
    paths = (tmp_path / "net-symbol.json", tmp_path / "net-0000.params")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))  # Python ignores the signal
    try:
        with pytest.raises(DeployError, match="cannot write .*: File too large"):
            write_files(paths, symbol, {"scores_weight": weight}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {path.name for path in tmp_path.iterdir()} <= {"net-symbol.json"}
