"""The comment at the top of a recipe: its subject, source, and cost."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Dict, Iterator, Optional

from gluon_nrm.errors import RunError
from gluon_nrm.storage.files import os_errors, read_file

_EPOCH = re.compile(r"an epoch: ([\d.]+) (h|min)\b")
_SECONDS = {"h": 3600.0, "min": 60.0}


def read_header(path: Path) -> Dict[str, str]:
    """Read the comment at the top of a recipe: ``title`` is the text before the first ``key:``.

    Raises:
        RunError: the file cannot be read.
    """
    header: Dict[str, str] = {}
    key = "title"
    for line in _comment(path):
        match = re.match(r"([a-z]+): +(.*)", line)
        key, text = (match.group(1), match.group(2)) if match else (key, line)
        header[key] = f"{header[key]} {text}" if key in header else text
    return header


def epoch_seconds(header: Dict[str, str]) -> Optional[float]:
    """Return the seconds of an epoch on one CPU thread, of a header's ``cost``; None if it has none."""
    found = _EPOCH.search(header.get("cost", ""))
    return None if found is None else float(found[1]) * _SECONDS[found[2]]


def _comment(path: Path) -> Iterator[str]:
    with os_errors(RunError, "read", path):
        text = read_file(path).decode("utf-8", errors="replace")
    for line in text.splitlines():
        if not line.startswith("#"):
            return
        yield line[1:].strip()
