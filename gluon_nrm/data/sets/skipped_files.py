"""Files and folders that are left out when a data set is read from a folder."""

from __future__ import annotations

from typing import Counter, NamedTuple, Tuple

#: Number of left-out files that are named.
NAMED = 3
#: Number of reasons that are counted one by one.
REASONS = 4


class Skipped(NamedTuple):
    """Number of left-out files and folders, the first few, and the numbers for each reason."""

    number: int = 0
    first: Tuple[str, ...] = ()
    """``PATH (REASON)`` each."""
    reasons: Tuple[Tuple[str, int], ...] = ()
    """Each reason and its number of files, the most frequent first."""

    def __str__(self) -> str:
        """Describe them in one line; empty if nothing was left out."""
        if not self.number:
            return ""
        named = ", ".join(self.first)
        more = f" and {self.number - len(self.first)} more" if self.number > len(self.first) else ""
        if not more or len(self.reasons) == 1:
            return f"{self.number} left out: {named}{more}"
        counted = [f"{count} x {reason}" for reason, count in self.reasons[:REASONS]]
        others = sum(count for _, count in self.reasons[REASONS:])
        counts = ", ".join(counted + [f"{others} others"] * bool(others))
        return f"{self.number} left out: {counts}: {named}{more}"


class SkippedNames:
    """Collect left-out files and folders while a folder is read."""

    def __init__(self) -> None:
        self._count = 0
        self._first: Tuple[str, ...] = ()
        self._reasons: Counter[str] = Counter()

    def add(self, path: str, reason: str) -> None:
        """Add a file or folder; unprintable characters become escapes."""
        reason = reason if reason.isprintable() else ascii(reason)
        self._count += 1
        self._reasons[reason] += 1
        if len(self._first) < NAMED:
            self._first += (f"{path if path.isprintable() else ascii(path)} ({reason})",)

    def extend(self, others: Skipped) -> None:
        """Add files and folders that were collected elsewhere."""
        self._count += others.number
        self._first = (self._first + others.first)[:NAMED]
        self._reasons.update(dict(others.reasons))

    @property
    def record(self) -> Skipped:
        """Files and folders added so far."""
        reasons = sorted(self._reasons.items(), key=lambda each: (-each[1], each[0]))
        return Skipped(self._count, self._first, tuple(reasons))
