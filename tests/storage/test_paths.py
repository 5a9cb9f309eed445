"""Paths that the system will not answer for: every tool says so in a line."""

from __future__ import annotations

import ast
import errno
import os
import stat
from pathlib import Path
from typing import Callable, Dict, Iterator, List

import pytest

from gluon_nrm.data.fetch.prepare import describe_files, prepare
from gluon_nrm.data.pipeline.split_files import write_splits
from gluon_nrm.data.readers.archives import read_files
from gluon_nrm.data.readers.find_files import find_file
from gluon_nrm.data.readers.folder_layout import find_parts
from gluon_nrm.data.readers.recordio import RecordFile
from gluon_nrm.data.sets.registry import DataSource, data_folder
from gluon_nrm.errors import DataError, NRMError, RunError
from gluon_nrm.predict.find_images import find_images
from gluon_nrm.predict.manifest import read_manifest
from gluon_nrm.predict.open_classifier import open_classifier
from gluon_nrm.predict.picture import check_picture
from gluon_nrm.predict.predict_options import PredictOptions
from gluon_nrm.recipe.load import load_recipe
from gluon_nrm.runs.checkpoint import load_checkpoint
from gluon_nrm.runs.open_run import load_run, open_run
from gluon_nrm.runs.run_folder import RunFolder
from gluon_nrm.storage import files

PACKAGE = Path(files.__file__).parents[1]
#: Questions to a path; each can raise an OSError (``resolve`` and ``expanduser`` a RuntimeError).
QUESTIONS = {
    "exists", "expanduser", "glob", "is_dir", "is_file", "is_symlink", "iterdir", "lstat", "owner",
    "readlink", "resolve", "rglob", "samefile", "stat",
}  # fmt: skip
#: The same of ``os`` and ``os.path``; those that never raise take a folder that is locked for none.
OS_QUESTIONS = {
    "exists", "getmtime", "getsize", "isdir", "isfile", "islink", "lexists", "listdir", "lstat",
    "readlink", "realpath", "samefile", "scandir", "stat",
}  # fmt: skip
#: What turns an OSError into an error for people, or leaves it out on purpose.
GUARDS = {"os_errors", "read_errors", "suppress"}

LONG = "n" * 300
USES: Dict[str, Callable[[Path], object]] = {
    "predict's images": lambda path: find_images([str(path)]),
    "an image in a folder": lambda path: find_images([str(path / "a.png")]),
    "the folder of an export": lambda path: open_classifier(path, PredictOptions()),
    "a manifest": read_manifest,
    "a picture to draw": lambda path: check_picture(path / "a.png", 1),
    "data.path": find_parts,
    "the folder of all data": lambda path: find_file(
        DataSource(data_dir=path), "cifar10", ["cifar-10-binary.tar.gz"]
    ),
    "prepare": lambda path: prepare("cifar10", path),
    "the list of files": lambda path: describe_files(path, "svhn"),
    "an archive": lambda path: read_files(path, "folder", ["a"], 10),
    "a record file": lambda path: RecordFile(path / "a.rec"),
    "a run": load_run,
    "the folder of all runs": lambda path: open_run(path, "a-s0", "{}", {}),
    "a finished run": lambda path: RunFolder(path).finished,
    "a checkpoint": load_checkpoint,
    "a recipe": lambda path: load_recipe(path / "a.yaml"),
    "a split": lambda path: write_splits(None, (1,), (), path) or files.exists(path, DataError),  # type: ignore
}


def one_line(use: Callable[[Path], object], path: Path) -> str:
    with pytest.raises(NRMError) as caught:
        use(path)
    message = str(caught.value)
    assert len(message.splitlines()) <= 2
    return message


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("name", [LONG, f"{LONG}.png/deeper", "b" * 256])
def test_a_name_that_is_too_long_is_said_in_a_line(tmp_path: Path, use: str, name: str) -> None:
    message = one_line(USES[use], tmp_path / name)
    assert "too long" in message


@pytest.fixture
def as_nobody() -> Iterator[None]:
    """Root enters every folder: be someone else for a test."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    yield
    if user == 0:
        os.seteuid(0)


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Path]:
    """A folder that only its owner may enter, and another below it."""
    for folder in [tmp_path, *list(tmp_path.parents)[:2]]:
        os.chmod(folder, os.stat(folder).st_mode | 0o055)
    folder = tmp_path / "locked"
    (folder / "inside").mkdir(parents=True)
    folder.chmod(0)
    yield folder
    folder.chmod(stat.S_IRWXU)


@pytest.mark.parametrize("use", USES)
def test_a_folder_that_may_not_be_entered_is_said_in_a_line(use: str, locked: Path, as_nobody: None) -> None:
    message = one_line(USES[use], locked / "inside")
    assert "ermission denied" in message
    assert str(locked) in message


@pytest.mark.parametrize("use", ["predict's images", "data.path", "a run", "the folder of an export"])
def test_names_that_no_file_can_have_are_said_in_a_line(tmp_path: Path, use: str) -> None:
    assert "no file can have this name" in one_line(USES[use], tmp_path / "a\0b")


@pytest.mark.parametrize("use", ["predict's images", "data.path", "a run", "an archive"])
def test_links_in_a_circle_are_said_in_a_line(tmp_path: Path, use: str) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert "mend them" in one_line(USES[use], tmp_path / "a" / "c")


def test_a_disk_that_fails_is_said_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", fail)
        for ask in (files.exists, files.is_dir, files.is_file, files.is_taken, files.file_size):
            with pytest.raises(RunError, match=r"cannot look at .*: Input/output error; check the disk"):
                ask(tmp_path, RunError)


def test_questions_have_the_answers_of_pathlib(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "dangling").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    for name in ("folder", "file", "link", "dangling", "pipe", "absent", "file/below"):
        path = tmp_path / name
        assert files.exists(path, DataError) == path.exists()
        assert files.is_dir(path, DataError) == path.is_dir()
        assert files.is_file(path, DataError) == path.is_file()
        assert files.is_taken(path, DataError) == os.path.lexists(path)
    assert files.file_size(tmp_path / "link", DataError) == 3
    assert files.resolve(tmp_path / "link", DataError) == (tmp_path / "file").resolve()


def test_an_unknown_home_folder_is_said_in_a_line() -> None:
    with pytest.raises(DataError, match="no home folder is known for ~nobody-of-this-name"):
        data_folder("~nobody-of-this-name/data")


def test_a_name_of_255_bytes_can_be_written(tmp_path: Path) -> None:
    for name in ("n" * 250 + ".json", "ä" * 125 + ".json"):
        files.write_text(tmp_path / name, "text")
        assert (tmp_path / name).read_text(encoding="utf-8") == "text"


def unguarded(text: str) -> Iterator[str]:
    """Questions to a path outside every guard, with their lines; those about our own files are none."""
    for call in questions(ast.parse(text)):
        yield f"{call.lineno}: {ast.get_source_segment(text, call)}"


def questions(tree: ast.AST, guarded: bool = False) -> Iterator[ast.Call]:
    if isinstance(tree, (ast.With, ast.AsyncWith)):
        names = [getattr(item.context_expr, "func", None) for item in tree.items]
        guarded |= any(getattr(name, "attr", getattr(name, "id", None)) in GUARDS for name in names)
    if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Attribute) and not guarded:
        owner = ast.dump(tree.func.value)
        of_os = owner.startswith(("Name(id='os'", "Attribute(value=Name(id='os'"))
        of_ours = "'__file__'" in owner or owner.startswith(("Name(id='files'", "Name(id='glob'"))
        if tree.func.attr in (OS_QUESTIONS if of_os else QUESTIONS) and not of_ours:
            yield tree
    for child in ast.iter_child_nodes(tree):
        caught = isinstance(tree, ast.Try) and child in tree.body and "'OSError'" in handlers(tree)
        yield from questions(child, guarded or caught)


def handlers(tree: ast.Try) -> str:
    return " ".join(ast.dump(handler.type) for handler in tree.handlers if handler.type is not None)


def test_no_question_to_a_path_goes_round_the_guard() -> None:
    found: List[str] = []
    for path in sorted(PACKAGE.rglob("*.py")):
        if path != Path(files.__file__):
            text = path.read_text(encoding="utf-8")
            found += [f"{path.relative_to(PACKAGE)}:{question}" for question in unguarded(text)]
    # one is asked by a function whose caller has the guard
    assert [each for each in found if not each.endswith("found.is_symlink()")] == []


def test_the_search_for_questions_finds_them() -> None:
    text = """\
with os_errors(E, "read", p):
    p.exists()
if p.is_dir():
    os.path.exists(p)
files.exists(p, E)
try:
    p.stat()
except (OSError, ValueError):
    p.stat()
"""
    assert [question.split(":")[0] for question in unguarded(text)] == ["3", "4", "9"]
