"""Run folders: made whole, resumed, never overwritten, locked; every damage is named."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple

import numpy as np
import pytest
from fakes import ROOT
from toy_run import ENV, RECIPE, contents, names, opened

from gluon_nrm.errors import RunError
from gluon_nrm.runs.open_run import first_difference, load_run, run_name
from gluon_nrm.storage import files


def test_run_name() -> None:
    class Recipe(NamedTuple):
        name: str

    assert run_name(Recipe("digits_maxmin_mt"), 3) == "digits_maxmin_mt-s3"
    assert run_name(Recipe("../my recipe"), 0) == ".._my_recipe-0e38d989-s0"
    assert run_name(Recipe("数字"), 0) == "数字-s0"


def test_a_new_run_is_whole(tmp_path: Path) -> None:
    with opened(tmp_path / "deep" / "runs") as run:
        assert run.path == tmp_path / "deep" / "runs" / "toy-s0"
        assert names(run.path) == [
            ".lock",
            "checkpoints",
            "env.json",
            "figures",
            "metrics.jsonl",
            "recipe.yaml",
            "run.json",
        ]
        assert (run.recipe_text(), run.env(), run.read_metrics()) == (RECIPE, ENV, [])
        assert run.recipe()["data"] == {"name": "digits", "labels": 50}
        assert not run.resumed
        assert not run.finished
    assert names(tmp_path / "deep" / "runs") == [".lock", "toy-s0"]


def test_same_recipe_is_resumed_whatever_its_layout(tmp_path: Path) -> None:
    with opened(tmp_path) as run:
        run.append_metrics({"epoch": 1, "loss/total": 0.5})
    laid_out_differently = "# a comment\n" + RECIPE.replace(
        "{epochs: 3, seed: 0}", "\n  seed: 0\n  epochs: 3"
    )
    with opened(tmp_path, recipe_yaml=laid_out_differently) as run:
        assert run.resumed
        assert run.path == tmp_path / "toy-s0"
        assert run.recipe_text() == RECIPE
        assert run.read_metrics() == [{"epoch": 1, "loss/total": 0.5}]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("labels: 50", "labels: 100", r"data\.labels is 50 in it, 100 here"),
        ("labels: 50", "labels: null", r"data\.labels is 50 in it, null here"),
        ("lr: 0.001", "lr: 0.002", r"optimiser\.phases\.0\.lr is 0\.001 in it, 0\.002 here"),
        ("seed: 0", "seed: false", r"train\.seed is 0 in it, false here"),
        (", labels: 50", "", r"data\.labels is 50 in it, missing here"),
        ("epochs: 3", "epochs: 3, kvstore: local", r"train\.kvstore is missing in it, local here"),
    ],
)
def test_another_recipe_is_refused_and_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    opened(tmp_path).close()
    before = contents(tmp_path / "toy-s0")
    with pytest.raises(RunError, match="toy-s0 holds another recipe: " + message) as caught:
        opened(tmp_path, recipe_yaml=RECIPE.replace(old, new))
    assert "fresh=True" in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 2
    assert contents(tmp_path / "toy-s0") == before


def test_first_difference() -> None:
    assert first_difference({"a": {"b": [1, 2]}}, {"a": {"b": [1, 2]}}) is None
    assert first_difference({"a": {"b": [1, 2]}}, {"a": {"b": [1]}}) == ("a.b.1", 2, "missing")
    assert first_difference({"a": []}, {"a": {}}) == ("a", [], {})
    assert first_difference({"a": 1}, {"a": True}) == ("a", 1, True)
    assert first_difference({"a": 1}, {"a": 1.0}) is None


def test_fresh_starts_beside_and_is_resumed_later(tmp_path: Path) -> None:
    for name in ("toy-s0", "toy-s0-2", "toy-s0-3"):
        with opened(tmp_path, fresh=True) as run:
            assert (run.path.name, run.resumed) == (name, False)
    other = RECIPE.replace("50", "100")
    opened(tmp_path, fresh=True, recipe_yaml=other).close()
    for recipe, name in ((RECIPE, "toy-s0-3"), (other, "toy-s0-4")):
        with opened(tmp_path, recipe_yaml=recipe) as run:
            assert (run.path.name, run.resumed) == (name, True)


def test_numbers_are_ordered_as_numbers(tmp_path: Path) -> None:
    for _ in range(11):
        opened(tmp_path, fresh=True).close()
    with opened(tmp_path) as run:
        assert run.path.name == "toy-s0-11"


def test_names_that_merely_begin_alike_are_other_runs(tmp_path: Path) -> None:
    opened(tmp_path, name="toy-s01").close()
    opened(tmp_path, name="toy-s0-extra").close()
    with opened(tmp_path) as run:
        assert not run.resumed


def test_a_finished_run_says_so_and_is_not_touched(tmp_path: Path) -> None:
    with opened(tmp_path) as run:
        run.mark_finished({"error": np.float32(4.5), "epochs": 3})
    before = contents(tmp_path / "toy-s0")
    again = opened(tmp_path, env={"commit": "other"})
    assert again.finished
    assert again.summary() == {"error": 4.5, "epochs": 3}
    assert contents(tmp_path / "toy-s0") == before
    with opened(tmp_path, fresh=True) as run:
        assert (run.path.name, run.finished) == ("toy-s0-2", False)


def test_a_run_in_use_is_refused_here_and_in_another_process(tmp_path: Path) -> None:
    with opened(tmp_path):
        with pytest.raises(RunError, match=f"in use by process {os.getpid()} on "):
            opened(tmp_path)
        code = (
            "import sys; from pathlib import Path; from gluon_nrm.runs.open_run import open_run\n"
            f"open_run(Path({str(tmp_path)!r}), 'toy-s0', {RECIPE!r}, {{}})"
        )
        answer = subprocess.run([sys.executable, "-c", code], env=child_env(), capture_output=True, text=True)
        assert f"in use by process {os.getpid()}" in answer.stderr
    opened(tmp_path).close()


def test_what_changed_in_the_environment_is_added(tmp_path: Path) -> None:
    for env in (ENV, ENV, {**ENV, "commit": "def"}, {**ENV, "commit": "def"}, ENV):
        opened(tmp_path, env=env).close()
    assert load_run(tmp_path / "toy-s0").env() == {**ENV, "resumed": [{"commit": "def"}, {"commit": "abc"}]}


def test_left_overs_are_cleaned_up_by_the_next_open(tmp_path: Path) -> None:
    run = opened(tmp_path)
    run.close()
    torn = files.temporary_path(tmp_path / "toy-s1")
    (torn / "checkpoints").mkdir(parents=True)
    stale = [files.temporary_path(folder / "x") for folder in (run.path, run.checkpoints, run.figures)]
    for path in stale:
        path.write_text("half", encoding="utf-8")
    mine = tmp_path / ".tmp-mine"
    mine.mkdir()
    opened(tmp_path).close()
    assert not torn.exists()
    assert not any(path.exists() for path in stale)
    assert mine.exists()


def test_a_torn_last_line_is_cut_off(tmp_path: Path) -> None:
    with opened(tmp_path) as run:
        run.append_metrics({"epoch": 1})
    with open(run.metrics_path, "ab") as file:
        file.write(b'{"epoch": 2, "loss/to')
    assert load_run(run.path).read_metrics() == [{"epoch": 1}]
    with opened(tmp_path) as run:
        run.append_metrics({"epoch": 2})
        assert run.metrics_path.read_text(encoding="utf-8") == '{"epoch": 1}\n{"epoch": 2}\n'


def test_a_line_without_its_end_is_kept(tmp_path: Path) -> None:
    with opened(tmp_path) as run:
        run.metrics_path.write_bytes(b'{"epoch": 1}\n{"epoch": 2}')
    with opened(tmp_path) as run:
        run.append_metrics({"epoch": 3})
        assert [row["epoch"] for row in run.read_metrics()] == [1, 2, 3]


def test_truncate_keeps_the_first_epochs_byte_for_byte(tmp_path: Path) -> None:
    with opened(tmp_path) as run:
        text = '{"epoch": 1}\n{"epoch":2,  "a": 1e-7}\n{"epoch": 3}\n{"epoch": 4}\n{"ep'
        run.metrics_path.write_text(text, encoding="utf-8")
        run.truncate_metrics(2)
        assert run.metrics_path.read_text(encoding="utf-8") == text[: text.index('{"epoch": 3')]
        run.truncate_metrics(0)
        assert run.read_metrics() == []


def test_metrics_are_plain_json(tmp_path: Path) -> None:
    row = {"epoch": np.int64(1), "a": np.float32(0.5), "b": float("nan"), "c": np.float64("inf"), "d": 0.1}
    with opened(tmp_path) as run:
        run.append_metrics(row)
        assert run.read_metrics() == [{"epoch": 1, "a": 0.5, "b": None, "c": None, "d": 0.1}]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (b'{"epoch": 1}\n{"epoch": 2\n{"epoch": 3}\n', ":2: this line is damaged: it is not JSON"),
        (b'{"epoch": 1}\n\n', ":2: this line is damaged: it is not JSON"),
        (b'\xff\xfe\n{"epoch": 1}\n', ":1: this line is damaged: it is not JSON"),
        (b"[1]\n", ":1: this line is damaged: it holds no JSON object"),
        (b'{"epoch": "1"}\n', ":1: this line is damaged: epoch must be an integer of at least 1"),
        (b'{"epoch": true}\n', ":1: this line is damaged: epoch must be an integer of at least 1"),
        (b'{"epoch": 1, "error/student": "4"}\n', ":1: .* error/student must be a number or null"),
        (b'{"epoch": 1, "loss/total": [4]}\n', ":1: .* loss/total must be a number or null"),
        (b'{"epoch": 1}\n{"epoch": 2, "lr": NaN}\n', ":2: .* lr must be a number, not nan"),
        (b'{"epoch": 1, "epoch": 2}\n', ":1: .* epoch is given twice"),
        (b'{"epoch": 2}\n{"epoch": 2}\n', ":2: .* epoch must rise from line to line"),
        (b'{"epoch": 1, "x": ' + b"[" * 5000 + b"\n", ":1: .* nested deeper than 64 levels"),
        (b'{"epoch": ' + b"9" * 5000 + b"}\n", ":1: .* epoch must be an integer of at most 19 digits"),
    ],
)
def test_damaged_metrics_are_named_by_line_and_not_touched(tmp_path: Path, text: bytes, place: str) -> None:
    with opened(tmp_path) as run:
        run.metrics_path.write_bytes(text)
    actions: List[Callable[[], Any]] = [
        lambda: load_run(run.path), lambda: opened(tmp_path), lambda: run.truncate_metrics(0),
    ]  # fmt: skip
    for action in actions:
        with pytest.raises(RunError, match=r"metrics\.jsonl" + place):
            action()
    assert run.metrics_path.read_bytes() == text
    run.metrics_path.write_bytes(b"")
    opened(tmp_path).close()  # the lock was given back


@pytest.mark.parametrize("failing", ["fsync", "write"])
def test_a_full_disk_takes_the_row_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    with opened(tmp_path) as run:
        run.append_metrics({"epoch": 1})
        if failing == "fsync":
            monkeypatch.setattr(os, "fsync", full_disk)
        else:
            limit = run.metrics_path.stat().st_size + 5
            before = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
        try:
            with pytest.raises(RunError, match=r"cannot write to .*metrics\.jsonl: .*; "):
                run.append_metrics({"epoch": 2})
        finally:
            if failing == "write":
                resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert run.metrics_path.read_bytes() == b'{"epoch": 1}\n'


def full_disk(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("failing", ["fsync", "rename"])
def test_a_full_disk_leaves_no_half_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    monkeypatch.setattr(os, failing, full_disk)
    with pytest.raises(RunError, match=r"cannot make .*toy-s0: No space left on device; free some space"):
        opened(tmp_path)
    monkeypatch.undo()
    assert names(tmp_path) == [".lock"]
    opened(tmp_path).close()


def test_a_failed_finish_is_no_finish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path) as run:
        monkeypatch.setattr(os, "replace", full_disk)
        with pytest.raises(RunError, match=r"cannot write .*FINISHED\.json"):
            run.mark_finished({})
        monkeypatch.undo()
        assert not run.finished
        assert not list(run.path.glob(files.TEMPORARY_PREFIX + "*"))


def test_folders_that_cannot_be_made_or_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    with pytest.raises(RunError, match="cannot make .*file"):
        opened(tmp_path / "file" / "runs")
    monkeypatch.setattr("fcntl.flock", lambda *_: (_ for _ in ()).throw(OSError(37, "No locks available")))
    with pytest.raises(RunError, match=r"cannot lock .*No locks available; .*file locks"):
        opened(tmp_path)


def test_names_that_yaml_1_1_takes_for_the_same_number_are_different_recipes(tmp_path: Path) -> None:
    for path, other in (("1_10", "11_0"), ("0b11", "3"), ("1:30", "90"), ("yes", "on"), ("2024-02-31", "x")):
        root = tmp_path / path
        opened(root, recipe_yaml=f"data: {{name: {path}}}\n").close()
        assert load_run(root / "toy-s0").recipe() == {"data": {"name": path}}
        with pytest.raises(RunError, match=f"data.name is {path} in it, {other} here"):
            opened(root, recipe_yaml=f"data: {{name: '{other}'}}\n")


# Opens new runs, one after the other, until the process is killed.
CHILD = """
import sys
from pathlib import Path
from gluon_nrm.runs.open_run import open_run
print("ready", flush=True)
while True:
    open_run(Path(sys.argv[1]), "toy-s0", "train: {seed: 0}\\n", {"commit": "abc"}, fresh=True).close()
"""


def child_env() -> Dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "GLUON_NRM_SKIP_CHECK": "1"}


def test_killed_while_a_run_is_made(tmp_path: Path) -> None:
    rng = random.Random(0)
    root = tmp_path / "runs"
    for last in [False] * 7 + [True]:
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(root)], stdout=subprocess.PIPE, env=child_env()
        )
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        time.sleep(rng.uniform(0.0, 0.05))
        deadline = time.monotonic() + 20
        while last and not list(root.glob("toy-*")) and time.monotonic() < deadline:
            time.sleep(0.01)  # a busy machine makes no run in so short a time
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        runs = list(root.glob("toy-*"))
        for path in runs:
            assert load_run(path).env() == {"commit": "abc"}
        assert len(list(root.glob(files.TEMPORARY_PREFIX + "*"))) <= 1
    with opened(root, recipe_yaml="train: {seed: 0}", env={}) as run:
        assert run.resumed
        assert run.path.name == (f"toy-s0-{len(runs)}" if len(runs) > 1 else "toy-s0")
    assert not list(root.glob(files.TEMPORARY_PREFIX + "*"))
