"""Tables for a terminal: the columns of a Markdown table in aligned text."""

from __future__ import annotations

import re
import shutil
from typing import List, Sequence, TextIO

_GAP = "  "


def for_stream(markdown: str, stream: TextIO) -> str:
    """Return a text for a stream: as it is for files and pipes, with aligned tables for a terminal."""
    return align(markdown, shutil.get_terminal_size().columns) if stream.isatty() else markdown


def align(markdown: str, width: int = 80) -> str:
    """Align the columns of every table in a Markdown text, and remove its marks of emphasis.

    A table that is wider than ``width`` is split into parts below each other, with the first column repeated.
    """
    lines: List[str] = []
    table: List[List[str]] = []
    for line in [*markdown.split("\n"), ""]:
        if line.startswith("|"):
            table.append(_cells(line))
            continue
        lines += _aligned(table, width)
        table = []
        lines.append(re.sub(r"^\*\*(.*)\*\*$", r"\1", line).replace("\\*", "*"))
    return "\n".join(lines[:-1])


def _cells(line: str) -> List[str]:
    r"""Split a line of a table at its bars; ``\|`` is a bar in a cell."""
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip()[1:-1])]


def _aligned(table: Sequence[Sequence[str]], width: int) -> List[str]:
    """Format the rows of a table, of which the second holds the alignment of the columns."""
    if len(table) < 2:
        return [" ".join(row) for row in table]
    rows = [table[0], *table[2:]]
    right = [mark.endswith(":") for mark in table[1]]
    widths = [max(len(row[column]) for row in rows) for column in range(len(right))]
    lines: List[str] = []
    for part in _parts(widths, width):
        lines += [""] if lines else []
        for number, row in enumerate(rows):
            cells = [row[c].rjust(widths[c]) if right[c] else row[c].ljust(widths[c]) for c in part]
            lines.append(_GAP.join(cells).rstrip())
            if number == 0:
                lines.append(_GAP.join("-" * widths[c] for c in part))
    return lines


def _parts(widths: Sequence[int], width: int) -> List[List[int]]:
    """Divide the columns into parts that fit into ``width``; each starts with the first column."""
    parts, used = [[0]], widths[0]
    for column in range(1, len(widths)):
        if used + len(_GAP) + widths[column] > width and len(parts[-1]) > 1:
            parts.append([0])
            used = widths[0]
        parts[-1].append(column)
        used += len(_GAP) + widths[column]
    return parts
