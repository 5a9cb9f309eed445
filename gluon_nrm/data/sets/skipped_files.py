"""Files and folders in a user's folder that are no part of the data set read from it."""

from __future__ import annotations

from typing import NamedTuple, Tuple

#: Of those left out, so many are named.
NAMED = 3


class Skipped(NamedTuple):
    """How much was left out, and the first of it."""

    number: int = 0
    first: Tuple[str, ...] = ()
    """Each with its path, below the folder that was read, and the reason."""

    def __str__(self) -> str:
        """One line for people; empty where nothing was left out."""
        if not self.number:
            return ""
        more = f" and {self.number - len(self.first)} more" if self.number > len(self.first) else ""
        return f"{self.number} left out: {', '.join(self.first)}{more}"


class SkippedNames:
    """Collects what is left out while a folder is read."""

    def __init__(self) -> None:
        self._count = 0
        self._first: Tuple[str, ...] = ()

    def add(self, path: str, reason: str) -> None:
        """Leave out a file or a folder; a name with odd characters is shown as Python writes it."""
        self._count += 1
        if len(self._first) < NAMED:
            self._first += (f"{path if path.isprintable() else ascii(path)} ({reason})",)

    @property
    def record(self) -> Skipped:
        """Everything up to now."""
        return Skipped(self._count, self._first)
