"""tools/doctor.py run as a user runs it, what it says of broken set-ups, and how every tool ends."""

from __future__ import annotations

import importlib.metadata
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Iterable, List, Optional, Sequence, Tuple

import pytest
from fakes import ROOT, fake_distribution

from gluon_nrm.system import diagnosis
from gluon_nrm.system.gpus import Gpu
from gluon_nrm.system.wheels import mxnet_builds

DOCTOR = ROOT / "tools" / "doctor.py"
#: Stands in for a machine with these GPUs and this build of MXNet (True: the CUDA build).
Machine = Callable[[List[Gpu], bool], None]


def run(command: Sequence[object], *folders: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run Python with these folders before what is installed, and with the checks on."""
    environ = {name: value for name, value in os.environ.items() if name != "GLUON_NRM_SKIP_CHECK"}
    environ["PYTHONPATH"] = os.pathsep.join(map(str, folders))
    words = [sys.executable, *map(str, command)]
    return subprocess.run(words, env=environ, capture_output=True, text=True, timeout=120, **options)


cpu_build_only = pytest.mark.skipif(mxnet_builds() != ["mxnet"], reason="compares with the CPU build alone")


@cpu_build_only
def test_a_healthy_machine(tmp_path: Path) -> None:
    ended = run([DOCTOR], cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert re.search(r"^ +mxnet  1\.9\.1$", ended.stdout, re.MULTILINE)
    assert re.search(r"^ +ok  one convolution on cpu\(0\)", ended.stdout, re.MULTILINE)
    assert ended.stdout.endswith("\nproblems: 0\n")
    assert ended.stderr == ""


def test_a_wrong_numpy(tmp_path: Path) -> None:
    ended = run([DOCTOR], fake_distribution(tmp_path, "numpy", "1.26.4"))
    assert ended.returncode == 2
    assert re.search(
        r'^ +problem  numpy 1\.26\.4 .*pip install "numpy==1\.23\.5"', ended.stdout, re.MULTILINE
    )
    assert "convolution" not in ended.stdout
    assert ended.stdout.endswith("\nproblems: 1\n")
    assert ended.stderr == ""


def test_an_interpreter_without_any_package() -> None:
    # -S: without site-packages, so without MXNet and numpy.
    ended = run(["-S", DOCTOR])
    assert ended.returncode == 2
    assert re.search(r"problem  MXNet is not installed.*requirements\.txt", ended.stdout)
    assert ended.stderr == ""


@cpu_build_only
def test_the_cuda_build_without_its_libraries(tmp_path: Path) -> None:
    ended = run([DOCTOR], fake_distribution(tmp_path, "mxnet-cu112", "1.9.1"))
    assert ended.returncode == 2
    assert re.search(
        r"problem  .*mxnet-cu112 and mxnet are installed over one another: pip uninstall", ended.stdout
    )
    if sys.platform == "linux" and not Path("/proc/driver/nvidia").exists():
        line = r"problem  missing CUDA library libcudnn\.so\.8: pip install nvidia-cudnn-cu11==8\.9\.6\.50"
        assert re.search(line, ended.stdout)
        assert re.search(r"problem  missing CUDA library libcuda\.so\.1: .*driver", ended.stdout)


def test_arguments_that_are_wrong() -> None:
    ended = run([DOCTOR, "--time-limit", "soon"])
    assert ended.returncode == 2
    assert "invalid float value: 'soon'" in ended.stderr


# --- findings, without a machine that has them ---


def levels(found: Iterable[diagnosis.Finding]) -> List[Tuple[str, str]]:
    return [(finding.level, finding.text.split(":")[0]) for finding in found]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine with these GPUs and this build of MXNet on which nothing is missing and convolutions work."""

    def pretend(gpus: List[Gpu], cuda_build: bool) -> None:
        monkeypatch.setattr(diagnosis, "list_gpus", lambda: gpus)
        monkeypatch.setattr(diagnosis, "has_cuda_build", lambda: cuda_build)
        monkeypatch.setattr(diagnosis, "mxnet_builds", lambda: ["mxnet-cu112" if cuda_build else "mxnet"])
        monkeypatch.setattr(diagnosis, "check_environment", lambda: None)
        monkeypatch.setattr(diagnosis, "missing_cuda_libraries", list)
        worked = lambda device, limit: diagnosis.Finding("ok", f"convolution {device}")  # noqa: E731
        monkeypatch.setattr(diagnosis, "try_convolution", worked)

    return pretend


def test_a_gpu_is_tried_beside_the_cpu(machine: Machine) -> None:
    machine([Gpu("Tesla T4", (7, 5))], True)
    assert levels(diagnosis.diagnose()) == [
        ("ok", "Python, MXNet and numpy fit together"),
        ("ok", "every CUDA library loads"),
        ("ok", "Tesla T4"),
        ("ok", "convolution cpu(0)"),
        ("ok", "convolution gpu(0)"),
    ]


@pytest.mark.parametrize(
    ("gpus", "cuda_build", "level", "text"),
    [
        (
            [Gpu("H100", (9, 0))],
            True,
            "problem",
            r"^H100: compute capability 9\.0, .*5\.0 to 8\.9: use another",
        ),
        ([Gpu("K80", None)], True, "note", r"^K80: .*does not tell"),
        ([], True, "note", r"lists no GPU"),
        ([Gpu("Tesla T4", (7, 5))], False, "note", r"T4.*pip install -r requirements-gpu\.txt"),
    ],
)
def test_what_is_said_of_gpus(
    machine: Machine, gpus: List[Gpu], cuda_build: bool, level: str, text: str
) -> None:
    machine(gpus, cuda_build)
    assert any(found.level == level and re.search(text, found.text) for found in diagnosis.diagnose())


def test_the_cpu_build_on_a_machine_without_gpu_has_nothing_to_note(machine: Machine) -> None:
    machine([], False)
    assert [found.level for found in diagnosis.diagnose()] == ["ok", "ok"]


# --- the convolution's process, with a stand-in for MXNet ---


def fake_mxnet(folder: Path, body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An MXNet that does this when it is imported."""
    (folder / "mxnet.py").write_text(body, encoding="utf-8")
    # Before what is installed: the child's own folders come first on its PYTHONPATH.
    monkeypatch.setenv("PYTHONPATH", str(folder))


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("import time; time.sleep(60)", r"gave no answer in 2 s: pip install"),
        ("import os; os.abort()", r"failed, ended by SIGABRT: pip install"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", r"failed, ended by SIGILL"),
        (
            "raise OSError('libcudart.so.11.0: cannot open')",
            r"failed, OSError: libcudart\.so\.11\.0: cannot open",
        ),
        ("import os; os._exit(7)", r"failed, exit code 7"),
    ],
)
def test_a_convolution_that_goes_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, text: str
) -> None:
    fake_mxnet(tmp_path, body, monkeypatch)
    found = diagnosis.try_convolution("cpu(0)", time_limit=2 if "sleep" in body else 60)
    assert found.level == "problem"
    assert re.search(text, found.text)


def test_a_wrong_result_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = """
import numpy
class nd:
    ones = staticmethod(lambda shape, ctx: numpy.ones(shape))
    @staticmethod
    def Convolution(*arguments, **options):
        return type("Array", (), {"asnumpy": lambda self: numpy.full((2, 4, 6, 6), 26.0)})()
def Context(kind, index):
    assert (kind, index) == ("gpu", 3)
"""
    fake_mxnet(tmp_path, body, monkeypatch)
    found = diagnosis.try_convolution("gpu(3)", time_limit=60)
    assert found.level == "problem"
    assert re.search(r"between 26\.0 and 26\.0, 27 everywhere is right: NVIDIA's driver", found.text)


def test_the_child_makes_the_checks_that_the_doctor_skips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLUON_NRM_SKIP_CHECK", "1")
    monkeypatch.setenv("PYTHONPATH", str(fake_distribution(tmp_path, "numpy", "1.26.4")))
    assert "SetupError: numpy 1.26.4 is too new" in diagnosis.try_convolution("cpu(0)", 60).text


# --- how a tool ends ---

TOOL = """
from gluon_nrm.console.tool import run_tool
from gluon_nrm.errors import *
def main(arguments):
    {}
run_tool(main)
"""


@pytest.mark.parametrize(
    ("body", "code", "out", "err"),
    [
        ("print(arguments); return 0", 0, "['a', 'b c']\n", ""),
        ("return 2", 2, "", ""),
        ("raise RecipeError('x.yaml:3: no')", 2, "", "error: x.yaml:3: no\n"),
        ("raise NonFiniteLoss('step 7')", 3, "", "error: step 7\n"),
        ("raise KeyboardInterrupt", 130, "", "interrupted\n"),
        ("import argparse; argparse.ArgumentParser('t').parse_args(arguments)", 2, "", None),
    ],
)
def test_how_a_tool_ends(body: str, code: int, out: str, err: Optional[str]) -> None:
    ended = run(["-c", TOOL.format(body), "a", "b c"], ROOT)
    assert (ended.returncode, ended.stdout) == (code, out)
    assert ended.stderr == err if err is not None else "Traceback" not in ended.stderr


def test_a_defect_keeps_its_traceback() -> None:
    ended = run(["-c", TOOL.format("raise ZeroDivisionError('ours')")], ROOT)
    assert ended.returncode == 1
    assert "Traceback" in ended.stderr


@pytest.mark.skipif(not hasattr(signal, "SIGPIPE"), reason="no pipes of this kind here")
@pytest.mark.parametrize("lines", [1, 100_000])
def test_a_reader_that_goes_away(lines: int) -> None:
    code = TOOL.format(f"[print('line') for _ in range({lines})]; return 0")
    reader, writer = os.pipe()
    os.close(reader)
    try:
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        ended = subprocess.run(
            [sys.executable, "-c", code], env=environ, stdout=writer, stderr=subprocess.PIPE, timeout=60
        )
    finally:
        os.close(writer)
    assert (ended.returncode, ended.stderr) == (141, b"")


# --- the files of the set-up agree with each other ---


def test_the_installed_versions_are_those_pinned() -> None:
    """Only where they were installed from the lists (in the .venv): elsewhere a user may have others."""
    if Path(sys.prefix).parent != ROOT:
        pytest.skip("not the .venv of this checkout")
    pins = (ROOT / "requirements-common.txt").read_text(encoding="utf-8")
    for name, version in re.findall(r"^([\w-]+)==(\S+)$", pins, re.MULTILINE):
        assert importlib.metadata.version(name) == version


@pytest.mark.parametrize("path", sorted(ROOT.glob("requirements*.txt")), ids=lambda path: path.name)
def test_every_requirement_is_pinned_exactly(path: Path) -> None:
    lines = [
        line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")
    ]
    assert lines
    for line in lines:
        assert re.fullmatch(
            r"-r requirements-common\.txt|[\w-]+==[\w.]+(; python_version (<|>=) \"3\.1[0-9]\")?", line
        )


def test_the_citation_names_this_version() -> None:
    from gluon_nrm.version import __version__

    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
