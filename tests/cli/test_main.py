"""``gluon-nrm COMMAND``: which commands there are, how each is started, and what a wrong name is told."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import List

import pytest
from fakes import ROOT, fake_distribution, python

from gluon_nrm.cli import main as entry
from gluon_nrm.system import commands
from gluon_nrm.version import __version__

CONSOLE = "/usr/bin/gluon-nrm"
MODULE = str(ROOT / "gluon_nrm" / "__main__.py")
SCRIPT = str(ROOT / "tools" / "train.py")


def called(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Call ``gluon-nrm`` in this process and return its exit code."""
    monkeypatch.setattr(entry, "prepare_process", lambda: None)
    monkeypatch.setattr("sys.argv", ["gluon-nrm", *arguments])
    with pytest.raises(SystemExit) as left:
        entry.main()
    return int(left.value.code or 0)


def test_every_command_is_a_file_and_a_script() -> None:
    files = {path.stem for path in (ROOT / "gluon_nrm" / "cli").glob("*.py")} - {"__init__", "main"}
    assert files >= set(entry.COMMANDS)
    scripts = {path.stem for path in (ROOT / "tools").glob("[a-z]*.py")}
    assert scripts == {{"data": "prepare_data"}.get(name, name) for name in entry.COMMANDS}


def test_help_and_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    assert called(monkeypatch, "--help") == 0
    said = capsys.readouterr()
    assert re.findall(r"^  (\w+)  ", said.out, re.MULTILINE) == list(entry.COMMANDS)
    assert max(map(len, said.out.splitlines())) <= 80
    assert called(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"gluon-nrm {__version__}\n"


@pytest.mark.parametrize("name", entry.COMMANDS)
def test_a_command_explains_itself(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    assert called(monkeypatch, name, "--help") == 0
    said = capsys.readouterr()
    assert said.out.startswith(f"usage: gluon-nrm {name} ")
    assert "tools/" not in said.out
    assert said.err == ""


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", "give a command, such as gluon-nrm train digits_maxmin_mt"),
        ("trian", "did you mean gluon-nrm train?"),
        ("prepare_data", "did you mean gluon-nrm data?"),
        ("prepare-data", "did you mean gluon-nrm data?"),
        ("eval", "did you mean gluon-nrm evaluate?"),
        ("mine.yaml", "to train a recipe: gluon-nrm train mine.yaml"),
        ("zzz", "gluon-nrm --help lists them: doctor, data, train"),
    ],
)
def test_a_wrong_command(
    given: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    assert called(monkeypatch, *given.split()) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ") and said in message and message.count("\n") == 1


def test_help_imports_neither_mxnet_nor_numpy() -> None:
    code = "import sys; sys.argv = ['gluon-nrm', '--help']\nfrom gluon_nrm.cli.main import main\n"
    code += "try: main()\nfinally: print(sorted({'mxnet', 'numpy'} & set(sys.modules)))"
    ended = python(code)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.endswith("\n[]\n")


@pytest.mark.parametrize("program", ["['gluon-nrm', 'train', 'x.yaml']", "['-m', 'train', 'x.yaml']"])
def test_a_wrong_numpy_is_one_line(program: str, tmp_path: Path) -> None:
    """The check is not made while the package is imported, where its error would be a traceback."""
    code = f"import sys; sys.argv = {program}\nfrom gluon_nrm.cli.main import main\nmain()"
    ended = python(code, fake_distribution(tmp_path, "numpy", "1.26.4"))
    assert ended.returncode == 2
    assert re.fullmatch(r"error: numpy 1\.26\.4 is too new .*\n", ended.stderr)


@pytest.mark.parametrize(
    ("program", "line", "name"),
    [
        (CONSOLE, "gluon-nrm data 'my set'", "gluon-nrm data"),
        (MODULE, "python -m gluon_nrm data 'my set'", "python -m gluon_nrm data"),
        (SCRIPT, "python tools/prepare_data.py 'my set'", "tools/prepare_data.py"),
        ("pytest", "python tools/prepare_data.py 'my set'", "tools/prepare_data.py"),
    ],
)
def test_messages_name_the_kind_of_command_that_was_typed(
    program: str, line: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", [program])
    assert commands.command("data", "my set") == line
    assert commands.command_name("data") == name
    assert commands.is_command() == (program != "pytest")
    assert commands.with_commands("see gluon-nrm data") == f"see {line.rpartition(' ' + repr('my set'))[0]}"


def test_where_the_package_is_installed_there_are_no_scripts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(commands, "TOOLS", tmp_path / "tools")
    monkeypatch.setattr("sys.argv", ["notebook"])
    assert commands.command("train", "digits_mt") == "gluon-nrm train digits_mt"


@pytest.mark.parametrize(
    ("program", "first"),
    [
        (CONSOLE, [CONSOLE, "train"]),
        (MODULE, [None, "-m", "gluon_nrm", "train"]),
        ("tools/train.py", [None, "tools/train.py"]),
    ],
)
def test_the_line_that_goes_on_is_the_one_typed(
    program: str, first: List[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", [program])
    words = shlex.split(commands.line_again("train", ["my recipe.yaml", "--fresh", "--seed", "1"]))
    assert words[len(first) :] == ["my recipe.yaml", "--seed", "1"]
    if first[0] is None:
        assert Path(words[0]).name == Path(sys.executable).name
        assert words[1 : len(first)] == first[1:]
    else:
        assert words[: len(first)] == first


def test_a_command_on_the_path_is_named_without_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "gluon-nrm"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.argv", [str(program)])
    assert commands.line_again("train", ["digits_mt"]) == "gluon-nrm train digits_mt"
