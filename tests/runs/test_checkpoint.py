"""Checkpoints: bit-exact, atomic, verified; a process killed at any moment leaves something that loads."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

import numpy as np
import pytest
from fakes import ROOT

from gluon_nrm.errors import CheckpointError
from gluon_nrm.runs import checkpoint_files
from gluon_nrm.runs.checkpoint import Checkpoint, check_arrays, load_checkpoint, save_checkpoint
from gluon_nrm.storage import files


def some_arrays(seed: int) -> Dict[str, Dict[str, Any]]:
    rng = np.random.default_rng(seed)
    weights = {
        "conv1.weight": rng.normal(size=(4, 3, 3, 3)).astype(np.float32),
        "file": np.array([np.pi, np.nan, np.inf, -0.0, 5e-324]),
        "scalar": np.array(7, dtype=np.int64),
        "empty": np.zeros((0, 3), np.float32),
        "columns first": np.asfortranarray(rng.normal(size=(3, 4)).astype(np.float32)),
        "every other": np.arange(10, dtype=np.int32)[::2],
    }
    return {"student": weights, "optimiser": {"0.mean": np.full(3, seed, np.float32)}}


def assert_same(found: Dict[str, Any], expected: Dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    for name, entries in expected.items():
        assert list(found[name]) == list(entries)
        for key, array in entries.items():
            assert found[name][key].dtype == array.dtype
            assert found[name][key].shape == array.shape
            assert found[name][key].tobytes() == array.tobytes(), key


def names(folder: Path) -> List[str]:
    return sorted(path.name for path in folder.iterdir())


def loaded(folder: Path) -> Checkpoint:
    found = load_checkpoint(folder)
    assert found is not None
    return found


def flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path) is None
    assert load_checkpoint(tmp_path / "not there") is None


def test_what_is_saved_comes_back_bit_for_bit(tmp_path: Path) -> None:
    state = {"step": 12, "best": 1 / 3, "none": None, "count": np.int64(5), "nested": {"a": [1, 2]}}
    path = save_checkpoint(tmp_path / "checkpoints", 12, some_arrays(1), state)
    found = loaded(tmp_path / "checkpoints")
    assert path == tmp_path / "checkpoints" / "epoch_0012"
    assert (found.epoch, found.path) == (12, path)
    assert found.state == {**state, "count": 5}
    assert_same(found.arrays, some_arrays(1))
    assert names(path) == ["optimiser.npz", "state.json", "student.npz"]
    assert names(path.parent) == ["LAST", "epoch_0012"]


def test_same_arrays_give_the_same_bytes_at_any_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = save_checkpoint(tmp_path / "a", 1, some_arrays(3), {"step": 1})
    monkeypatch.setattr(time, "time", lambda: 2e9)
    monkeypatch.setattr(time, "localtime", lambda *_: time.gmtime(2_000_000_000))
    second = save_checkpoint(tmp_path / "b", 1, some_arrays(3), {"step": 1})
    for name in names(first):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_numpy_reads_the_files_without_pickle(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, 1, some_arrays(0), {})
    with np.load(path / "student.npz", allow_pickle=False) as archive:
        assert set(archive.files) == set(some_arrays(0)["student"])


def test_keeps_the_newest_two(tmp_path: Path) -> None:
    for epoch in range(1, 6):
        save_checkpoint(tmp_path, epoch, some_arrays(epoch), {})
    assert names(tmp_path) == ["LAST", "epoch_0004", "epoch_0005"]
    assert_same(loaded(tmp_path).arrays, some_arrays(5))


@pytest.mark.parametrize(("keep", "left"), [(1, [4]), (3, [2, 3, 4]), (9, [1, 2, 3, 4])])
def test_keeps_as_many_as_asked(tmp_path: Path, keep: int, left: List[int]) -> None:
    for epoch in range(1, 5):
        save_checkpoint(tmp_path, epoch, some_arrays(epoch), {}, keep=keep)
    assert names(tmp_path) == ["LAST", *(f"epoch_{epoch:04d}" for epoch in left)]


def test_keep_zero_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        save_checkpoint(tmp_path, 1, some_arrays(1), {}, keep=0)


def test_saving_one_epoch_twice_keeps_the_second(tmp_path: Path) -> None:
    for seed in (1, 2, 3):
        save_checkpoint(tmp_path, 7, some_arrays(seed), {"seed": seed})
    found = loaded(tmp_path)
    assert (found.epoch, found.state) == (7, {"seed": 3})
    assert_same(found.arrays, some_arrays(3))
    assert len(names(tmp_path)) == 2


def test_going_back_drops_the_future(tmp_path: Path) -> None:
    for epoch in (1, 2, 3):
        save_checkpoint(tmp_path, epoch, some_arrays(epoch), {}, keep=9)
    save_checkpoint(tmp_path, 2, some_arrays(22), {}, keep=9)
    assert loaded(tmp_path).epoch == 2
    (tmp_path / "LAST").unlink()
    assert_same(loaded(tmp_path).arrays, some_arrays(22))
    assert loaded(tmp_path).epoch == 2


def test_the_pointer_decides(tmp_path: Path) -> None:
    for epoch in (1, 2):
        save_checkpoint(tmp_path, epoch, some_arrays(epoch), {})
    (tmp_path / "LAST").write_text("epoch_0001\n", encoding="utf-8")
    assert loaded(tmp_path).epoch == 1


@pytest.mark.parametrize("lost", ["LAST", "epoch_0002"])
def test_goes_on_from_what_is_left(tmp_path: Path, lost: str) -> None:
    for epoch in (1, 2):
        save_checkpoint(tmp_path, epoch, some_arrays(epoch), {})
    files.remove(tmp_path / lost)
    epoch = 2 if lost == "LAST" else 1
    assert_same(loaded(tmp_path).arrays, some_arrays(epoch))
    save_checkpoint(tmp_path, 3, some_arrays(3), {})
    assert loaded(tmp_path).epoch == 3


def test_every_checkpoint_gone_is_no_fresh_start(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 1, some_arrays(1), {})
    files.remove(tmp_path / "epoch_0001")
    with pytest.raises(CheckpointError, match=r"epoch_0001 is missing, and no other .*fresh=True"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("text", ["", "../../etc\n", "epoch_12x", "\0\0\0"])
def test_damaged_pointer(tmp_path: Path, text: str) -> None:
    save_checkpoint(tmp_path, 1, some_arrays(1), {})
    (tmp_path / "LAST").write_text(text, encoding="utf-8")
    with pytest.raises(CheckpointError, match="LAST is damaged.*remove it"):
        load_checkpoint(tmp_path)
    (tmp_path / "LAST").unlink()
    assert loaded(tmp_path).epoch == 1


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


DAMAGES: Dict[str, Tuple[Callable[[Path], Any], str]] = {
    "flipped": (lambda folder: flip_a_byte(folder / "student.npz"), r"student\.npz is damaged"),
    "cut": (lambda folder: cut(folder / "optimiser.npz"), r"optimiser\.npz is damaged"),
    "empty": (lambda folder: (folder / "student.npz").write_bytes(b""), r"student\.npz is damaged"),
    "no arrays": (lambda folder: (folder / "student.npz").unlink(), r"student\.npz is missing"),
    "no state": (lambda folder: (folder / "state.json").unlink(), r"state\.json is missing"),
    "state cut": (lambda folder: (folder / "state.json").write_text("{"), r"state\.json is damaged"),
    "state list": (lambda folder: (folder / "state.json").write_text("[]"), r"state\.json is damaged"),
    "state binary": (lambda folder: (folder / "state.json").write_bytes(b"\xff"), r"state\.json is damaged"),
    "state edited": (
        lambda folder: (folder / "state.json").write_text(
            (folder / "state.json").read_text().replace('"step": 2', '"step": 3')
        ),
        r"state\.json is damaged",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_named_with_the_remedy_and_the_remedy_works(tmp_path: Path, name: str) -> None:
    damage, message = DAMAGES[name]
    for epoch in (1, 2):
        save_checkpoint(tmp_path, epoch, some_arrays(epoch), {"step": epoch})
    damage(tmp_path / "epoch_0002")
    with pytest.raises(CheckpointError, match=message) as caught:
        load_checkpoint(tmp_path)
    text = str(caught.value)
    assert f"remove the folder {tmp_path / 'epoch_0002'} to go on from epoch 1" in text
    assert len(text.splitlines()) <= 2
    files.remove(tmp_path / "epoch_0002")
    assert_same(loaded(tmp_path).arrays, some_arrays(1))


def test_damage_without_an_intact_one(tmp_path: Path) -> None:
    for epoch in (1, 2):
        path = save_checkpoint(tmp_path, epoch, some_arrays(epoch), {})
        flip_a_byte(path / "student.npz")
    with pytest.raises(
        CheckpointError, match=r"(?s)epoch_0002.student.*no other intact checkpoint.*fresh=True"
    ):
        load_checkpoint(tmp_path)


def test_another_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gluon_nrm.runs.checkpoint_files.FORMAT", 99)
    save_checkpoint(tmp_path, 1, some_arrays(1), {})
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="has format 99, this version reads format 1"):
        load_checkpoint(tmp_path)


def test_a_checkpoint_deleted_while_it_is_read_gives_the_newer_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_checkpoint(tmp_path, 1, some_arrays(1), {})
    read = checkpoint_files.read_folder

    def slow_read(path: Path) -> Checkpoint:
        if path.name == "epoch_0001":
            save_checkpoint(tmp_path, 2, some_arrays(2), {}, keep=1)
        return read(path)

    monkeypatch.setattr("gluon_nrm.runs.checkpoint.read_folder", slow_read)
    assert loaded(tmp_path).epoch == 2


def test_a_deletion_stopped_half_way_leaves_no_half_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(folder: Path, **_: object) -> None:
        (folder / "student.npz").unlink()
        raise KeyboardInterrupt

    for epoch in (1, 2):
        save_checkpoint(tmp_path, epoch, some_arrays(epoch), {})
    monkeypatch.setattr("shutil.rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(tmp_path, 3, some_arrays(3), {})
    assert [checkpoint_files.read_folder(path).epoch for path in sorted(tmp_path.glob("epoch_*"))] == [2, 3]
    assert loaded(tmp_path).epoch == 3


def test_objects_and_odd_names_are_refused_and_nothing_is_left(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 1, some_arrays(1), {})
    for entries in ({"a": np.array([{}], dtype=object)}, {"a/b": np.zeros(1)}):
        with pytest.raises(ValueError):
            save_checkpoint(tmp_path, 2, {"student": entries}, {})
    assert names(tmp_path) == ["LAST", "epoch_0001"]


@pytest.mark.parametrize("failing", ["fsync", "rename", "replace"])
def test_a_full_disk_leaves_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    save_checkpoint(tmp_path, 1, some_arrays(1), {})

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, failing, full)
    with pytest.raises(CheckpointError, match="No space left on device; free some space") as caught:
        save_checkpoint(tmp_path, 2, some_arrays(2), {})
    monkeypatch.undo()
    assert str(tmp_path) in str(caught.value)
    assert loaded(tmp_path).epoch == 1
    assert not list(tmp_path.glob(files.TEMPORARY_PREFIX + "*"))
    save_checkpoint(tmp_path, 2, some_arrays(2), {})
    assert_same(loaded(tmp_path).arrays, some_arrays(2))


def test_a_real_limit_on_file_size(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 1, some_arrays(1), {})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(CheckpointError, match="File too large"):
            save_checkpoint(tmp_path, 2, {"student": {"w": np.zeros(100_000)}}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert names(tmp_path) == ["LAST", "epoch_0001"]


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("mine", encoding="utf-8")
    with pytest.raises(CheckpointError, match="checkpoints"):
        save_checkpoint(tmp_path / "checkpoints", 1, some_arrays(1), {})
    assert (tmp_path / "checkpoints").read_text(encoding="utf-8") == "mine"


EXPECTED = {"w": (2, 3), "b": (2,)}
FOUND = {"w": np.ones((2, 3), np.float32), "b": np.zeros(2, np.float32)}


def test_check_arrays_passes() -> None:
    check_arrays(EXPECTED, FOUND, "here")
    check_arrays({"n": ()}, {"n": np.array(1, np.int64)}, "here", dtype=np.int64)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"w": None}, "entry 'w' is missing;"),
        ({"w": None, "b": None}, r"entry 'w' is missing \(and 1 more\);"),
        ({"extra": np.zeros(1, np.float32)}, "unexpected entry 'extra'"),
        ({"w": np.ones((3, 2), np.float32)}, r"'w' has shape \(3, 2\), not \(2, 3\)"),
        ({"b": np.zeros(2)}, "'b' is float64, not float32"),
        ({"b": np.array([np.nan, 1], np.float32)}, "'b' has 1 values that are not finite"),
        ({"w": np.full((2, 3), -np.inf, np.float32)}, "'w' has 6 values that are not finite"),
    ],
)
def test_check_arrays_names_the_entry(change: Any, message: str) -> None:
    found = {name: array for name, array in {**FOUND, **change}.items() if array is not None}
    with pytest.raises(CheckpointError, match="student.npz: .*" + message):
        check_arrays(EXPECTED, found, "student.npz")


# A run in small: rows and checkpoints, each recording what it must contain, until the process is killed.
CHILD = """
import sys
from pathlib import Path
from typing import Any, Dict, List
import numpy as np
from gluon_nrm.runs import checkpoint_files
from gluon_nrm.runs.checkpoint import load_checkpoint, save_checkpoint
from gluon_nrm.runs.open_run import open_run

root = Path(sys.argv[1])
run = open_run(root, "toy-s0", "train: {seed: 0}\\n", {"commit": "abc"})
found = load_checkpoint(run.checkpoints)
epoch = found.epoch if found else 0
run.truncate_metrics(epoch)
assert [row["epoch"] for row in run.read_metrics()] == list(range(1, epoch + 1))
print("ready", flush=True)
while True:
    epoch += 1
    run.append_metrics({"epoch": epoch, "loss/total": epoch / 7, "padding": "x" * 3000})
    arrays = {name: {"w": np.full(20000, epoch, np.float32)} for name in ("student", "teacher")}
    save_checkpoint(run.checkpoints, epoch, arrays, {"step": 10 * epoch})
"""


def test_killed_at_any_moment(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    script = tmp_path / "child.py"
    script.write_text(CHILD, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "GLUON_NRM_SKIP_CHECK": "1"}
    epochs = []
    metrics = tmp_path / "runs" / "toy-s0" / "metrics.jsonl"
    for last in [False] * 9 + [True]:
        child = subprocess.Popen(
            [sys.executable, str(script), str(tmp_path / "runs")], stdout=subprocess.PIPE, env=environment
        )
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        time.sleep(rng.uniform(0.0, 0.12))
        deadline = time.monotonic() + 60
        while last and metrics.read_bytes().count(b"\n") < 12 and time.monotonic() < deadline:
            time.sleep(0.01)  # a busy machine trains few epochs in so short a time
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        epochs.append(check_run(tmp_path / "runs" / "toy-s0"))
    assert epochs == sorted(epochs)
    assert epochs[-1] > 10
    assert names(tmp_path / "runs") == [".lock", "toy-s0"]


def check_run(run: Path) -> int:
    for path in (run / "checkpoints").glob("epoch_*"):
        checkpoint_files.read_folder(path)  # whatever is called a checkpoint is a whole one
    found = load_checkpoint(run / "checkpoints")
    epoch = found.epoch if found else 0
    if found:
        assert found.state == {"step": 10 * epoch}
        for name in ("student", "teacher"):
            assert (found.arrays[name]["w"] == np.full(20000, epoch, np.float32)).all()
    *lines, torn = (run / "metrics.jsonl").read_bytes().split(b"\n")
    rows = [json.loads(line) for line in lines]
    # A row is on the disk before the checkpoint of its epoch; at most one row has none yet.
    assert [row["epoch"] for row in rows[:epoch]] == list(range(1, epoch + 1))
    assert len(rows) - epoch in (0, 1)
    # Left-overs of this kill only: those of the one before were cleaned up when the run was opened.
    assert len(list((run / "checkpoints").glob(files.TEMPORARY_PREFIX + "*"))) <= 2
    return epoch
