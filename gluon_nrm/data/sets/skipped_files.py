"""Files and folders that are left out when a data set is read from a folder."""

from __future__ import annotations

from typing import NamedTuple, Tuple

#: Number of left-out files that are named.
NAMED = 3


class Skipped(NamedTuple):
    """Number of left-out files and folders, and the first few."""

    number: int = 0
    first: Tuple[str, ...] = ()
    """``PATH (REASON)`` each."""

    def __str__(self) -> str:
        """Describe them in one line; empty if nothing was left out."""
        if not self.number:
            return ""
        more = f" and {self.number - len(self.first)} more" if self.number > len(self.first) else ""
        return f"{self.number} left out: {', '.join(self.first)}{more}"


class SkippedNames:
    """Collect left-out files and folders while a folder is read."""

    def __init__(self) -> None:
        self._count = 0
        self._first: Tuple[str, ...] = ()

    def add(self, path: str, reason: str) -> None:
        """Add a file or folder; unprintable characters become escapes."""
        self._count += 1
        if len(self._first) < NAMED:
            self._first += (f"{path if path.isprintable() else ascii(path)} ({reason})",)

    @property
    def record(self) -> Skipped:
        """Files and folders added so far."""
        return Skipped(self._count, self._first)
