"""The tools as a user runs them: commands in a shell, and what they leave behind."""

from __future__ import annotations

import importlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Dict, List

import numpy as np
import pytest
from commands import run_here
from fakes import ROOT
from matplotlib.image import imread
from short_runs import FULL, SUPERVISED, contents, newest

from gluon_nrm.console.tool import run_tool
from gluon_nrm.models import list_models
from gluon_nrm.runs.open_run import load_run

BOTH_SEEDS = ("--seeds", "0", "1")


def command(tool: str, *arguments: str) -> List[str]:
    return [sys.executable, str(ROOT / "tools" / f"{tool}.py"), *arguments]


def environment() -> Dict[str, str]:
    """Only what a user's shell has: the tools find the package by themselves."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def call(folder: Path, tool: str, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        command(tool, *arguments), cwd=folder, env=environment(), capture_output=True, text=True, timeout=120
    )


def call_here(folder: Path, monkeypatch: pytest.MonkeyPatch, tool: str, *arguments: str) -> int:
    """The same in this process, where MXNet need not be imported again; returns the exit code."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.argv", [f"{tool}.py", *arguments])
    with pytest.raises(SystemExit) as left:
        run_tool(importlib.import_module(f"gluon_nrm.cli.{tool}").main)
    return int(left.value.code or 0)


def recipe_file(folder: Path, text: str, epochs: int) -> None:
    (folder / "tiny.yaml").write_text(text.replace("epochs: 3", f"epochs: {epochs}"), encoding="utf-8")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a tiny recipe was trained for two epochs, from two seeds."""
    folder = tmp_path_factory.mktemp("trained")
    recipe_file(folder, FULL.replace("validation: 50, ", ""), epochs=2)
    done = call(folder, "train", "tiny.yaml", *BOTH_SEEDS, "--devices", "cpu")
    assert done.returncode == 0, done.stderr
    (folder / "stderr.txt").write_text(done.stderr)
    return folder


def test_train_leaves_exactly_these_files(trained: Path) -> None:
    assert sorted(path.name for path in trained.iterdir()) == ["runs", "stderr.txt", "tiny.yaml"]
    assert sorted(path.name for path in (trained / "runs").iterdir()) == [".lock", "tiny-s0", "tiny-s1"]
    checkpoint = ["optimiser.npz", "state.json", "student.npz", "teacher.npz"]
    for name in ("tiny-s0", "tiny-s1"):
        run = trained / "runs" / name
        files = sorted(str(path.relative_to(run)) for path in run.rglob("*") if path.is_file())
        assert files == sorted(
            [".lock", "FINISHED.json", "data.json", "env.json", "metrics.jsonl", "recipe.yaml", "run.json"]
            + ["train.log"]
            + ["checkpoints/LAST", "evaluation.json", "predictions.csv"]
            + [f"figures/{name}.png" for name in ("confusion", "curves", "mistakes", "renderings")]
            + [f"checkpoints/epoch_{epoch:04d}/{file}" for epoch in (1, 2) for file in checkpoint]
        )


@pytest.mark.parametrize("name", ["curves.png", "renderings.png"])
def test_train_draws_pictures(trained: Path, name: str) -> None:
    picture = imread(str(trained / "runs" / "tiny-s0" / "figures" / name))
    assert picture.ndim == 3 and min(picture.shape[:2]) > 100
    assert len(np.unique(picture[::3, ::3, :3].reshape(-1, 3), axis=0)) > 20


def test_train_says_what_it_does_and_no_more(trained: Path) -> None:
    lines = (trained / "stderr.txt").read_text().splitlines()
    epochs = [line for line in lines if line.startswith("epoch ")]
    assert len(epochs) == 4
    for word in ("loss", "teacher error", "img/s", "ETA"):
        assert all(re.search(rf"\b{re.escape(word)}\b", line) for line in epochs), word
    assert max(map(len, epochs)) <= 80
    ends = [place for place, line in enumerate(lines) if line.startswith("finished: ")]
    assert len(ends) == 2
    for seed, end in enumerate(ends):
        error = json.loads((trained / f"runs/tiny-s{seed}/evaluation.json").read_text())["error"]
        assert lines[end + 1] == f"test error {error:.2f} % (teacher)"
        assert [re.findall(r"tools/(\w+)\.py runs/tiny-s\d", line) for line in lines[end + 3 : end + 6]] == [
            ["predict"], ["render"], ["export"]
        ]  # fmt: skip
    assert not [line for line in lines if "arning" in line or "Error" in line]


def test_the_seeds_differ_and_share_the_split(trained: Path) -> None:
    runs = [load_run(trained / "runs" / f"tiny-s{seed}") for seed in (0, 1)]
    assert [run.recipe()["train"]["seed"] for run in runs] == [0, 1]
    assert runs[0].recipe()["data"] == runs[1].recipe()["data"]
    weights = [newest(run).arrays["student"]["layers.0.convolution.weight"] for run in runs]
    assert np.abs(weights[0] - weights[1]).max() > 1e-2


def test_train_again_says_that_it_is_finished(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    before = contents(trained)
    assert call_here(trained, monkeypatch, "train", "tiny.yaml", *BOTH_SEEDS, "--devices", "cpu") == 0
    assert capsys.readouterr().err.count("is finished; give --fresh") == 2
    assert contents(trained) == before


def test_evaluate(trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    before = contents(trained)
    assert call_here(trained, monkeypatch, "evaluate", "runs/tiny-s0", "--devices", "cpu") == 0
    said = capsys.readouterr()
    assert said.err == "" and contents(trained) == before  # the same bytes as at the end of training
    last = json.loads((trained / "runs/tiny-s0/metrics.jsonl").read_text().splitlines()[-1])
    for network in ("student", "teacher"):
        both, largest, smallest = (last[f"error/{network}{suffix}"] for suffix in ("", "_max", "_min"))
        assert (
            f"{network}  error {both:.2f} % (Max branch {largest:.2f}, Min branch {smallest:.2f})\n"
            in said.out
        )
    assert "after epoch 2 of 2" in said.out and "500 test images" in said.out
    assert "written  runs/tiny-s0/evaluation.json\n" in said.out


def test_plot(trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    before = contents(trained)
    assert call_here(trained, monkeypatch, "plot", "runs/tiny-s0") == 0
    assert capsys.readouterr().out == "runs/tiny-s0/figures/curves.png\n" and contents(trained) == before
    assert call_here(trained, monkeypatch, "plot", "runs/tiny-s0", "runs/tiny-s1") == 0
    assert capsys.readouterr().out == "curves.png\n" and imread(trained / "curves.png").shape[1] > 1000
    assert call_here(trained, monkeypatch, "plot", "runs/tiny-s0", "runs/tiny-s1") == 2
    assert "curves.png is there already; name another file with --out" in capsys.readouterr().err
    (trained / "curves.png").unlink()
    assert call_here(trained, monkeypatch, "plot", "runs/tiny-s0", "runs/nothing") == 2
    assert "there is no such run folder" in capsys.readouterr().err


def test_table(trained: Path) -> None:
    done = call(trained, "table", "runs/tiny-s0", "runs/tiny-s1", "--csv", "table.csv")
    csv = (trained / "table.csv").read_text().splitlines()
    (trained / "table.csv").unlink()
    assert (done.returncode, done.stderr) == (0, "")
    errors = [json.loads((trained / f"runs/tiny-s{seed}/FINISHED.json").read_text()) for seed in (0, 1)]
    last = [each["test_error_last"] for each in errors]
    assert f"| tiny | 20 | 2 | {np.mean(last):.2f} ± {np.std(last, ddof=1):.2f} |" in done.stdout
    assert csv[0].startswith("recipe,labels,seed,test_error_last,test_error_median20")
    assert [line.split(",")[:4] for line in csv[1:]] == [
        ["tiny", "20", str(seed), str(error)] for seed, error in enumerate(last)
    ]


def test_render(trained: Path, tmp_path: Path) -> None:
    before = contents(trained)
    picture = tmp_path / "figure4.png"
    done = call(trained, "render", "runs/tiny-s0", "--images", "3", "--out", str(picture), "--devices", "cpu")
    assert (done.returncode, done.stderr, done.stdout) == (0, "", f"{picture}\n")
    assert imread(str(picture)).shape[0] > 300
    assert contents(trained) == before
    none = run_here("render", "runs/tiny-s0", "--images", "0", folder=trained)
    assert none.returncode == 2 and "--images: at least 1" in none.stderr


def test_list_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    assert call_here(tmp_path, monkeypatch, "train", "--list-models") == 0
    said = capsys.readouterr()
    assert (said.out.split(), said.err) == (list_models(), "")
    assert {"allconv13", "digits_cnn", "lenet_small"} <= set(said.out.split())


def test_dry_run_writes_nothing(tmp_path: Path) -> None:
    recipe_file(tmp_path, FULL, epochs=2)
    before = contents(tmp_path)
    done = run_here("train", "tiny.yaml", "--dry-run", "--devices", "cpu", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["step", "epoch", "run", "memory"]
    assert contents(tmp_path) == before


def test_ctrl_c_saves_and_prints_the_command_to_go_on(tmp_path: Path) -> None:
    recipe_file(tmp_path, SUPERVISED, epochs=40)
    arguments = ["tiny.yaml", "--seed", "3", "--devices", "cpu", "--set", "data.shift=0", "--fresh"]
    arguments += ["--runs", "my runs"]
    with subprocess.Popen(
        command("train", *arguments), cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True
    ) as process:
        metrics, give_up = tmp_path / "my runs" / "tiny-s3" / "metrics.jsonl", time.monotonic() + 60
        while not (metrics.exists() and metrics.read_bytes()):
            assert process.poll() is None and time.monotonic() < give_up
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 130, said
    run = load_run(metrics.parent)
    stopped = re.search(r"^stopped after step (\d+); to go on: (.+)$", said, re.MULTILINE)
    assert stopped is not None and said.endswith("\ninterrupted\n")
    assert newest(run).state["step"] == int(stopped.group(1)) < 120
    assert not run.finished

    words = shlex.split(stopped.group(2))
    assert words[0] in (sys.executable, Path(sys.executable).name) and "--fresh" not in words
    done = subprocess.run(
        stopped.group(2),
        shell=True,
        cwd=tmp_path,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert f"going on after step {stopped.group(1)}" in done.stderr
    assert [path.name for path in sorted((tmp_path / "my runs").glob("tiny*"))] == ["tiny-s3"]
    assert run.finished
    assert [row["epoch"] for row in run.read_metrics()] == list(range(1, 41))
