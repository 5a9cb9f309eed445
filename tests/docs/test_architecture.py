"""The answers of docs/architecture.md point at the definitions they name. As a script: renew the lines."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import List, Match

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "architecture.md"
#: ``[file.py:12](../gluon_nrm/file.py#L12) `name` ``
ANSWER = re.compile(r"\[([\w/]+\.py):\d+\]\(\.\./gluon_nrm/[\w/]+\.py#L(\d+)\) `(\w+)`")
#: Lines that an answer may be off: code above a definition grows and shrinks.
NEAR = 30


def line_of(file: str, name: str) -> int:
    """Line of the definition of a class, function or constant."""
    definition = re.compile(rf"\s*(class|def) {name}\b|{name}\b.* = ")
    lines = (ROOT / "gluon_nrm" / file).read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if definition.match(line))


def answers() -> List[Match[str]]:
    return list(ANSWER.finditer(PAGE.read_text(encoding="utf-8")))


@pytest.mark.parametrize("answer", answers(), ids=lambda answer: answer[3])
def test_an_answer_is_near_the_definition_it_names(answer: Match[str]) -> None:
    assert abs(line_of(answer[1], answer[3]) - int(answer[2])) <= NEAR


def test_every_question_is_answered() -> None:
    questions = [
        line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| Where ")
    ]
    assert len(questions) == 10
    assert all(ANSWER.search(line) for line in questions)


def test_the_map_has_every_folder() -> None:
    folders = {path.parent.name for path in (ROOT / "gluon_nrm").glob("*/__init__.py")}
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    named = {name for line in rows for name in re.findall(r"^\| `(\w+)/`", line)}
    assert named == folders


def test_pre_commit_has_the_ruff_of_the_requirements() -> None:
    required = re.search(r"^ruff==(\S+)", (ROOT / "requirements-dev.txt").read_text(), re.MULTILINE)
    hooks = re.search(r"rev: v(\S+)", (ROOT / ".pre-commit-config.yaml").read_text())
    assert required is not None
    assert hooks is not None
    assert required[1] == hooks[1]


def _with_lines(page: str) -> str:
    """Put the present line into every answer; ``@file.py:name@`` becomes an answer."""
    page = re.sub(r"@([\w/]+\.py):(\w+)@", r"[\1:0](../gluon_nrm/\1#L0) `\2`", page)

    def answer(found: Match[str]) -> str:
        file, name = found[1], found[3]
        line = line_of(file, name)
        return f"[{file}:{line}](../gluon_nrm/{file}#L{line}) `{name}`"

    return ANSWER.sub(answer, page)


if __name__ == "__main__":
    sys.exit(not PAGE.write_text(_with_lines(PAGE.read_text(encoding="utf-8")), encoding="utf-8"))
