"""Names that a reader can trust: one class has one public name."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path
from typing import DefaultDict, List

PACKAGE = Path(__file__).resolve().parents[2] / "gluon_nrm"


def public_classes(folder: Path) -> DefaultDict[str, List[str]]:
    """Files of each public class name, below ``folder``."""
    found: DefaultDict[str, List[str]] = defaultdict(list)
    for path in sorted(folder.rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(str(path.relative_to(folder)))
    return found


def test_a_public_class_name_is_unique_in_the_package() -> None:
    assert {name: files for name, files in public_classes(PACKAGE).items() if len(files) > 1} == {}


def test_a_name_that_is_taken_twice_is_found(tmp_path: Path) -> None:
    for file in ("one.py", "two.py"):
        (tmp_path / file).write_text("class Same:\n    pass\n\n\nclass _Own:\n    pass\n")
    assert dict(public_classes(tmp_path)) == {"Same": ["one.py", "two.py"]}
