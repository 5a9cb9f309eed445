"""The checks before MXNet is imported, and what env.json holds."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Callable, Tuple

import pytest
from fakes import ROOT, fake_distribution, pretend_installed, python

from gluon_nrm.errors import SetupError
from gluon_nrm.system import environment, wheels

GOOD = {"mxnet": "1.9.1", "numpy": "1.23.5"}
Install = Callable[..., None]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Pretend that exactly the given distributions are installed."""
    return partial(pretend_installed, monkeypatch)


def refusal() -> str:
    with pytest.raises(SetupError) as caught:
        environment.check_environment()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("build", ["mxnet", "mxnet-cu112"])
@pytest.mark.parametrize("numpy", ["1.19.0", "1.23.5"])
def test_a_good_setup_passes(install: Install, build: str, numpy: str) -> None:
    install({build: "1.9.1", "numpy": numpy})
    environment.check_environment()


@pytest.mark.parametrize(
    ("version", "good"), [((3, 7), False), ((3, 8), True), ((3, 11), True), ((3, 12), False)]
)
def test_python_versions(
    install: Install, monkeypatch: pytest.MonkeyPatch, version: Tuple[int, int], good: bool
) -> None:
    install(GOOD)
    monkeypatch.setattr(sys, "version_info", (*version, 4, "final", 0))
    monkeypatch.setattr(platform, "python_version", lambda: "{}.{}.4".format(*version))
    if good:
        environment.check_environment()
    else:
        assert re.match(r"Python 3\.\d+\.4 .*3\.8 to 3\.11.*make install PYTHON=", refusal())


def test_python_is_looked_at_first(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install({}, importable=False)
    monkeypatch.setattr(sys, "version_info", (3, 12, 0, "final", 0))
    assert refusal().startswith("Python")


def test_no_mxnet(install: Install) -> None:
    install({"numpy": "1.23.5"}, importable=False)
    assert re.search(r"MXNet is not installed.*pip install -r requirements\.txt", refusal())


@pytest.mark.parametrize("version", ["1.8.0", "2.0.0b1"])
def test_another_mxnet(install: Install, version: str) -> None:
    install({"mxnet": version, "numpy": "1.23.5"})
    assert re.search(rf"MXNet {re.escape(version)} .*1\.9\.1.*pip install", refusal())


def test_no_numpy(install: Install) -> None:
    install({"mxnet": "1.9.1"})
    assert re.search(r'numpy is not installed.*pip install "numpy==1\.23\.5"', refusal())


@pytest.mark.parametrize("version", ["1.24.0", "2.1.3"])
def test_numpy_too_new(install: Install, version: str) -> None:
    install({"mxnet": "1.9.1", "numpy": version})
    assert re.search(rf'numpy {re.escape(version)} is too new.*pip install "numpy==1\.23\.5"', refusal())


def test_an_mxnet_without_metadata_tells_its_version_in_its_source(
    install: Install, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install({"numpy": "1.23.5"})
    (tmp_path / "libinfo.py").write_text("import os\n__version__ = '1.9.1'\n", encoding="utf-8")
    spec = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    assert wheels.mxnet_version() == "1.9.1"
    (tmp_path / "libinfo.py").unlink()
    assert wheels.mxnet_version() == "unknown"
    assert "MXNet unknown is installed" in refusal()


# --- importing the package, as a user does, in a process of its own ---


def test_importing_the_package_does_not_import_mxnet() -> None:
    ended = python("import sys, gluon_nrm; print('mxnet' in sys.modules)")
    assert (ended.stdout, ended.stderr) == ("False\n", "")


def test_importing_the_package_refuses_a_wrong_numpy(tmp_path: Path) -> None:
    ended = python("import gluon_nrm", fake_distribution(tmp_path, "numpy", "1.26.4"))
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith("gluon_nrm.errors.SetupError: numpy 1.26.4 is too new")


NO_MXNET = "import sys; sys.modules['mxnet'] = None; "


@pytest.mark.parametrize("name", ["", ".predict.open_classifier", ".data"])
def test_without_mxnet_the_package_imports(name: str) -> None:
    ended = python(f"{NO_MXNET}import gluon_nrm{name}")
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize(
    "code",
    [
        *(f"import gluon_nrm.{name}" for name in ("backbones", "graph", "layers", "losses", "models")),
        *(f"import gluon_nrm.{name}" for name in ("probability", "rules", "training.fit")),
        "from gluon_nrm import fit",
        "import gluon_nrm; gluon_nrm.get_model",
    ],
)
def test_without_mxnet_what_needs_it_refuses(code: str) -> None:
    last = python(NO_MXNET + code).stderr.splitlines()[-1]
    assert last.startswith("gluon_nrm.errors.SetupError: MXNet is not installed in this Python: run `pip")


TRAIN = str(ROOT / "tools" / "train.py")
RUN_TRAIN = f"import runpy, sys; sys.argv = [{TRAIN!r}]; runpy.run_path({TRAIN!r}, run_name='__main__')"


def test_without_mxnet_a_tool_ends_in_one_line() -> None:
    ended = python(NO_MXNET + RUN_TRAIN, ROOT / "tools")
    assert ended.returncode == 2
    assert re.fullmatch(r"error: MXNet is not installed .*\n", ended.stderr)


def test_the_check_can_be_skipped(tmp_path: Path) -> None:
    wrong = fake_distribution(tmp_path, "numpy", "1.26.4")
    assert python("import gluon_nrm", wrong, GLUON_NRM_SKIP_CHECK="1").returncode == 0


def test_a_tool_ends_in_one_line_on_a_wrong_numpy(tmp_path: Path) -> None:
    ended = python(RUN_TRAIN, fake_distribution(tmp_path, "numpy", "1.26.4"), ROOT / "tools")
    assert ended.returncode == 2
    assert re.fullmatch(r"error: numpy 1\.26\.4 is too new .*\n", ended.stderr)


def test_a_defect_of_ours_keeps_its_traceback(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    for name in ("train.py", "_package.py"):
        shutil.copy(ROOT / "tools" / name, tmp_path / "tools")
    (tmp_path / "gluon_nrm.py").write_text("1 / 0\n", encoding="utf-8")
    script = [sys.executable, str(tmp_path / "tools" / "train.py")]
    ended = subprocess.run(script, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert "ZeroDivisionError" in ended.stderr


def test_lazy_names() -> None:
    import gluon_nrm

    with pytest.raises(AttributeError, match="no attribute 'fitt'"):
        _ = gluon_nrm.fitt
    assert {"fit", "get_model", "list_models", "load_recipe"} <= set(dir(gluon_nrm))
    assert gluon_nrm.load_recipe is importlib.import_module("gluon_nrm.recipe").load_recipe


# --- env.json ---


def test_the_description_is_json_and_names_neither_machine_nor_folders() -> None:
    text = json.dumps(environment.describe_environment())
    described = json.loads(text)
    assert described["python"].startswith(platform.python_version())
    assert described["mxnet"] == importlib.metadata.version(wheels.mxnet_builds()[0])
    assert described["numpy"] == importlib.metadata.version("numpy")
    assert 1 <= described["cores"] <= os.cpu_count()
    assert described["cpu"]
    # A machine may have a name as common as the name of a processor's maker.
    if len(platform.node()) > 8:
        assert platform.node() not in text
    for folder in (ROOT, sys.prefix, Path.home()):
        assert len(str(folder)) < 4 or str(folder) not in text


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", *identity, "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_commit_of_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "gluon_nrm"
    (package / "system").mkdir(parents=True)
    (package / "__init__.py").touch()
    (tmp_path / "tools").mkdir()
    monkeypatch.setattr(environment, "__file__", str(package / "system" / "environment.py"))

    def described() -> Tuple[Any, Any]:
        values = environment.describe_environment()
        return values["commit"], values["uncommitted_changes"]

    assert described() == (None, None)
    git(tmp_path, "init", "-q")
    (tmp_path / "notes.txt").touch()
    git(tmp_path, "add", "notes.txt")
    git(tmp_path, "commit", "-qm", "a repository in which the package merely lies")
    assert described() == (None, None)
    git(tmp_path, "add", "gluon_nrm")
    git(tmp_path, "commit", "-qm", "the package")
    head = git(tmp_path, "rev-parse", "HEAD")
    assert described() == (head, False)
    (tmp_path / "runs.txt").touch()
    assert described() == (head, False)
    (package / "new.py").touch()
    assert described() == (head, True)


def test_without_git_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert environment.describe_environment()["commit"] is None
