"""The programs in the documentation, exactly as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "deploy.md"


def snippet(name: str, document: Path = DOCUMENT) -> str:
    """The code after ``<!-- snippet: NAME -->``."""
    text = document.read_text(encoding="utf-8")
    block = rf"<!-- snippet: {re.escape(name)} -->\n```\w+\n(.*?)^```$"
    found = re.findall(block, text, re.DOTALL | re.MULTILINE)
    assert len(found) == 1, f"{len(found)} snippets called {name} in {document.name}"
    return str(found[0])
