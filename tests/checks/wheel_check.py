"""Build the wheel and the source archive, and use the wheel without a checkout; ``make wheel-check``.

    python tests/checks/wheel_check.py            # in a fresh environment of the pinned packages
    python tests/checks/wheel_check.py --quick    # in an environment that borrows the packages of this one

The source archive has to hold every file that git tracks. The wheel is built from it. In an empty folder, the
installed command trains a recipe by its name for a few steps, evaluates the run, predicts an image and prints
a table. mypy has to find the one mistake in a user's file.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import venv
from pathlib import Path
from typing import Dict, List, Set

from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
#: Tracked files that only a checkout needs.
CHECKOUT_ONLY = (".ci", ".gitignore", ".pre-commit-config.yaml", ".github")
RUN = "runs/digits_supervised-s0"
SHORT = ["--set", "train.epochs=1", "--set", "train.epoch_steps=3", "--devices", "cpu"]

USER_FILE = """\
from gluon_nrm import load_recipe
from gluon_nrm.recipe import Recipe

recipe: Recipe = load_recipe("digits_supervised")
epochs: int = recipe.train.epochs
name: str = recipe.train.epochs
"""
#: What mypy has to say of it, and nothing else.
MISTAKE = r"user\.py:6: error: Incompatible types in assignment .*\[assignment\]"


class CheckError(Exception):
    """A check that did not pass."""


def run(folder: Path, *command: object, expected: int = 0) -> str:
    """Run a command as a user's shell would, without what this process sets for Python; return its output.

    Raises:
        CheckError: the exit code is another.
    """
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "GLUON"))}
    environ["PYTHONWARNINGS"] = "ignore"
    words = [str(word) for word in command]
    ended = subprocess.run(
        words, cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if ended.returncode != expected:
        raise CheckError(f"exit code {ended.returncode}: {' '.join(words)}\n{ended.stdout}")
    return ended.stdout


def build(folder: Path, quick: bool) -> Dict[str, Path]:
    """Build the source archive from a copy of the tracked files, and the wheel from it."""
    source = folder / "source"
    for name in tracked():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    isolation = ["--no-isolation", "--skip-dependency-check"] if quick else []
    run(folder, sys.executable, "-m", "build", *isolation, "--outdir", folder / "dist", source)
    return {kind: next((folder / "dist").glob(f"*{kind}")) for kind in (".whl", ".tar.gz")}


def tracked() -> List[str]:
    """The files of the package that git knows of; without git, those that are not made by tools."""
    answer = subprocess.run(["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True)
    if answer.returncode == 0 and answer.stdout:
        return [name for name in answer.stdout.splitlines() if (ROOT / name).is_file()]
    made = {".venv", "runs", "data", "build", "dist", "tables"}
    files = [path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file()]
    return [str(path) for path in files if path.parts[0] not in made and "__pycache__" not in path.parts]


def check_archive(archive: Path) -> None:
    """Compare the source archive with the tracked files.

    Raises:
        CheckError: a file is missing.
    """
    with tarfile.open(archive) as file:
        inside: Set[str] = {name.partition("/")[2] for name in file.getnames()}
    wanted = [name for name in tracked() if not name.startswith(CHECKOUT_ONLY)]
    missing = [name for name in wanted if name not in inside]
    if missing:
        raise CheckError(f"not in the source archive: {', '.join(missing)}; see MANIFEST.in")


def make_environment(folder: Path, wheel: Path, quick: bool) -> Path:
    """Make an environment and install the wheel; return the folder of its commands."""
    place = folder / "env"
    venv.create(place, with_pip=not quick)
    python = place / "bin" / "python"
    pip: List[object] = [sys.executable, "-m", "pip", "--python", python] if quick else [python, "-m", "pip"]
    pip += ["--disable-pip-version-check", "install", "-q"]
    if quick:
        # the packages of this environment come after those of the new one
        site = Path(
            run(folder, python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
        )
        (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
        run(folder, *pip, "--no-deps", "--no-index", wheel)
    else:
        dev = ROOT / "requirements-dev.txt"
        run(folder, *pip, "-r", ROOT / "requirements.txt", "-c", dev, "mypy", "types-PyYAML", f"{wheel}[cpu]")
        run(folder, python, "-m", "pip", "check")
    return place / "bin"


def use(folder: Path, commands: Path, quick: bool) -> List[str]:
    """Do in an empty folder what a user does first; return what was checked.

    Raises:
        CheckError: a command fails, or says what it should not.
    """
    nrm, python = commands / "gluon-nrm", commands / "python"
    done = []

    def check(what: str, found: str, pattern: str) -> None:
        if not re.search(pattern, found):
            raise CheckError(f"{what}: no {pattern!r} in:\n{found}")
        done.append(what)

    where = run(folder, python, "-c", "import gluon_nrm; print(gluon_nrm.__file__)")
    check("the wheel is what is imported", where, re.escape(str(commands.parent)))
    check("help", run(folder, nrm, "--help"), "train +train a recipe")
    said = run(folder, nrm, "train", "digits_supervised", *SHORT)
    check("train by name", said, rf"(?s)epoch +1.*{RUN}")
    check("evaluate", run(folder, nrm, "evaluate", RUN, "--devices", "cpu"), r"student  error [\d.]+ %")
    Image.new("L", (8, 8), 90).save(folder / "image.png")
    check("predict", run(folder, nrm, "predict", RUN, "image.png", "--devices", "cpu"), r"image\.png +\d")
    said = run(folder, nrm, "evaluate", "digits_maxmin_mt_50", "--devices", "cpu")
    check("a pretrained network", said, r"(?s)SHA-256.* error 5\.60 % .* published: 5\.60 %")
    if not quick:
        table = run(folder, nrm, "table", "table5")
        check("table of the paper", table, "gluon-nrm table table5 --seeds 0 1 2 --train")
        mistake = run(folder, nrm, "train", "digits_maxmin_m", expected=2)
        check("a mistyped recipe", mistake, "did you mean digits_maxmin_mt")
    (folder / "user.py").write_text(USER_FILE, encoding="utf-8")
    found = run(folder, python, "-m", "mypy", "--strict", "user.py", expected=1)
    check("mypy sees the types", found, rf"^{MISTAKE}\nFound 1 error in 1 file")
    return done


def main(arguments: List[str]) -> int:
    """Build and use the wheel; exit code 1 where a check fails."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="borrow the packages of this environment")
    quick = parser.parse_args(arguments).quick
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            built = build(folder, quick)
            check_archive(built[".tar.gz"])
            print(f"built: {', '.join(path.name for path in built.values())}")
            (folder / "elsewhere").mkdir()
            done = use(folder / "elsewhere", make_environment(folder, built[".whl"], quick), quick)
        except CheckError as problem:
            print(problem)
            return 1
    print("\n".join(f"passed: {what}" for what in done))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
