"""Ctrl-C in a tool, from its first line to its last: one line and 130, and no traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any, Callable, Iterator, List, Sequence

import pytest
from fakes import ROOT
from short_runs import SUPERVISED

from gluon_nrm.console.tool import run_tool
from gluon_nrm.errors import RecipeError, Stopped
from gluon_nrm.runs import restore_networks
from gluon_nrm.runs import run_data as run_data_module
from gluon_nrm.training.loop import Loop

#: Put before all else: sends Ctrl-C when a module is about to be imported.
SITECUSTOMIZE = """
import os, signal, sys
left = [1]
def look(event, arguments):
    if event == "import" and left and arguments[0] == os.environ["INTERRUPT_AT"]:
        left.pop()
        signal.raise_signal(signal.SIGINT)
sys.addaudithook(look)
"""

TOOL = """
import os, signal
from gluon_nrm.console.tool import run_tool
def ctrl_c():
    signal.raise_signal(signal.SIGINT)
def main(arguments):
    {}
run_tool(main)
"""


@pytest.fixture(autouse=True)
def _not_ignored() -> Iterator[None]:
    """As in a shell: a job in the background ignores Ctrl-C, and so would its children."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("tool", "module"),
    [
        ("train", "argparse"),
        ("predict", "gluon_nrm.console.tool"),
        ("train", "numpy.core._multiarray_umath"),
        ("train", "mxnet.base"),
        ("train", "sklearn.datasets"),
    ],
)
def test_while_a_tool_starts_up(tmp_path: Path, tool: str, module: str) -> None:
    """The first imports, compiled modules, and what is imported when the data are loaded."""
    (tmp_path / "sitecustomize.py").write_text(SITECUSTOMIZE, encoding="utf-8")
    (tmp_path / "tiny.yaml").write_text(SUPERVISED, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / f"{tool}.py"), "tiny.yaml", "--devices", "cpu"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path), "INTERRUPT_AT": module},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def interrupting(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any, **settings: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return function(*arguments, **settings)

    return call


@pytest.mark.parametrize(
    ("where", "name"),
    [
        (run_data_module, "load_dataset"),
        (restore_networks, "get_model"),
        (Loop, "_start"),
    ],
)
def test_while_training_is_prepared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, where: Any, name: str
) -> None:
    """Data, network, checkpoint: before there is anything to save."""
    (tmp_path / "tiny.yaml").write_text(SUPERVISED, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(where, name, interrupting(getattr(where, name)))
    monkeypatch.setattr("sys.argv", ["train.py", "tiny.yaml", "--devices", "cpu"])
    from gluon_nrm.cli import train

    with pytest.raises(SystemExit) as left:
        run_tool(train.main)
    assert left.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize(
    "body",
    [
        "ctrl_c()",
        "[ctrl_c() for _ in range(9)]",
        "type('A', (), {'__del__': lambda self: ctrl_c()})(); return 0",
        "import ctypes; ctypes.CFUNCTYPE(None)(ctrl_c)(); return 0",
        "try: ctrl_c()\n    finally: ctrl_c(); ctrl_c()",
        "try: ctrl_c()\n    except BaseException: raise ValueError('a library gave it another class')",
    ],
    ids=["once", "nine times", "in __del__", "in a callback", "while it ends", "as another error"],
)
def test_wherever_it_comes(body: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TOOL.format(body)], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.stderr.splitlines()[0] == "interrupted" and "Traceback" not in done.stderr, done.stderr
    assert done.returncode == 130


def test_an_ignored_one_stays_ignored() -> None:
    code = TOOL.format("ctrl_c(); return 5")
    done = subprocess.run(
        ["/bin/sh", "-c", 'trap "" INT; exec "$0" -c "$1"', sys.executable, code], cwd=ROOT,
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (5, "")


@pytest.mark.parametrize(
    ("problem", "code"), [(Stopped(2), 130), (RecipeError("no"), 2), (ZeroDivisionError(), 1)]
)
def test_a_worker_ends_before_its_kvstore_is_freed(
    problem: BaseException, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MXNet's store, which lives in the frames of the error, waits for all other workers when it is freed."""
    left: List[Any] = []

    class Store:
        pass

    def main(arguments: Sequence[str]) -> int:
        store = Store()
        left.append(weakref.ref(store))
        raise problem

    class Left(BaseException):
        """In place of the end of the process."""

    def leave(number: int) -> None:
        left.append((number, left[0]() is not None))
        raise Left

    monkeypatch.setenv("DMLC_ROLE", "worker")
    monkeypatch.setattr(os, "_exit", leave)
    with pytest.raises(Left):
        run_tool(main, [])
    assert left[1:] == [(code, True)]
