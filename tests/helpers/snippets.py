"""The programs in docs/deploy.md, exactly as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "deploy.md"


def snippet(name: str) -> str:
    """The code after ``<!-- snippet: NAME -->``."""
    text = DOCUMENT.read_text(encoding="utf-8")
    block = rf"<!-- snippet: {re.escape(name)} -->\n```\w+\n(.*?)^```$"
    found = re.findall(block, text, re.DOTALL | re.MULTILINE)
    assert len(found) == 1, f"{len(found)} snippets called {name} in {DOCUMENT.name}"
    return str(found[0])
