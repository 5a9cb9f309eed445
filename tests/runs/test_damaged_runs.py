"""Run folders that are none, that miss a file, or whose files are damaged: each is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, List

import pytest
from toy_run import contents, opened

from gluon_nrm.errors import RunError
from gluon_nrm.runs.open_run import RunFolder, load_run

#: 376 bytes of aliases that a common reader unfolds to gigabytes.
ALIASES = (
    b"a: &a ["
    + b",".join([b"x"] * 9)
    + b"]\n"
    + b"".join(
        b"%c: &%c [%s]\n" % (name, name, b",".join([b"*%c" % (name - 1)] * 9)) for name in b"bcdefghij"
    )
)


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda path: None, "there is no such run folder"),
        (lambda path: path.write_text("x", encoding="utf-8"), "is a file, no run folder"),
        (lambda path: path.mkdir(), r"is no run folder: recipe\.yaml is missing; give another folder"),
    ],
)
def test_load_run_of_what_is_no_run(tmp_path: Path, prepare: Any, message: str) -> None:
    prepare(tmp_path / "x")
    with pytest.raises(RunError, match=message):
        load_run(tmp_path / "x")


@pytest.mark.parametrize("name", ["recipe.yaml", "env.json", "metrics.jsonl"])
def test_a_run_with_a_file_missing(tmp_path: Path, name: str) -> None:
    run = opened(tmp_path)
    run.close()
    (run.path / name).unlink()
    actions: List[Callable[[], RunFolder]] = [lambda: load_run(run.path), lambda: opened(tmp_path)]
    for action in actions:
        with pytest.raises(RunError, match=f"toy-s0 is no run folder: {name} is missing"):
            action()


def test_the_folder_of_runs_in_place_of_a_run(tmp_path: Path) -> None:
    opened(tmp_path).close()
    with pytest.raises(
        RunError, match=r"no run folder: recipe\.yaml is missing; give a folder in it, .*toy-s0"
    ):
        load_run(tmp_path)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("recipe.yaml", b"data:\n  a: [1, 2\ntrain: {}\n", r"recipe\.yaml:3: this run's recipe is damaged"),
        ("recipe.yaml", b"", r"recipe\.yaml:1: .*no keys"),
        ("recipe.yaml", b"just text", r"recipe\.yaml:1: .*no keys"),
        ("recipe.yaml", b"a: \0\n", r"recipe\.yaml:1: this run's recipe is damaged"),
        ("recipe.yaml", b"a: \xff\n", r"recipe\.yaml is damaged: it is not UTF-8"),
        ("recipe.yaml", b"a: 1\na: 2\n", r"recipe\.yaml:2: this run's recipe is damaged: a: given twice"),
        (
            "recipe.yaml",
            ALIASES,
            r"recipe\.yaml:1: this run's recipe is damaged: '&a': anchors are not allowed",
        ),
        ("recipe.yaml", b"a: " + b"[" * 90_000, r"recipe\.yaml:1: this run's recipe is damaged: nested too"),
        ("recipe.yaml", b"- " * 90_000, r"recipe\.yaml:1: this run's recipe is damaged: nested too deeply"),
        ("recipe.yaml", b"#" * 300_000, r"recipe\.yaml has more than 200000 bytes"),
        ("recipe.yaml", b"a: !!python/object/apply:os.getpid []\n", r"recipe\.yaml:1: .*damaged"),
        ("env.json", b'{"commit": ', r"env\.json is damaged"),
        ("env.json", b"[]", r"env\.json is damaged: it holds no JSON object"),
        ("env.json", b"\xff", r"env\.json is damaged"),
        ("env.json", b'{"resumed": 5}', r"env\.json is damaged: resumed must be a list"),
        (
            "env.json",
            b'{"resumed": [{"commit": []}]}',
            r"env\.json is damaged: resumed\.0\.commit must be a string",
        ),
        ("env.json", b'{"commit": 1e400}', r"env\.json is damaged: commit must be a number, not inf"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    run = opened(tmp_path)
    run.close()
    (run.path / name).write_bytes(data)
    before = contents(run.path)
    actions: List[Callable[[], RunFolder]] = [lambda: load_run(run.path), lambda: opened(tmp_path)]
    for action in actions:
        with pytest.raises(RunError, match=message) as caught:
            action()
        assert len(str(caught.value).splitlines()) <= 2
    assert {**contents(run.path), str(run.path / ".lock"): b""} == {**before, str(run.path / ".lock"): b""}
