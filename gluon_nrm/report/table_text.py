"""A compared table of the paper as Markdown: errors after the last epoch, medians of the last 20, notes."""

from __future__ import annotations

from typing import Callable, Dict, List, Sequence

from gluon_nrm.report.comparison import Compared
from gluon_nrm.report.paper_tables import METHODS, Column, Table
from gluon_nrm.runs.averages import format_mean_std
from gluon_nrm.runs.tables import LAST

MEDIAN = "test_error_median20"


def to_markdown(table: Table, cells: Sequence[Compared]) -> str:
    """Format the cells as a Markdown table, a second one of our medians, and notes."""
    kinds = {column: _kinds(table, column, cells) for column in table.columns}
    lines = [f"**{table.title}: test error (%)**", "", *_grid(cells, kinds), ""]
    if any(cell.runs for cell in cells):
        ours = [cell for cell in cells if cell.recipe or cell.method in METHODS]
        medians = _grid(ours, {column: [_MEDIAN] for column in table.columns})
        lines += [f"**Ours, median of the last {LAST} evaluations (%)**", "", *medians, ""]
    return "\n".join(lines + _notes(table, cells)) + "\n"


def _grid(cells: Sequence[Compared], kinds: Dict[Column, List[str]]) -> List[str]:
    """Format one line per method, one or more columns per number of labels."""
    titles = [f"{column.name}{'' if kind == _MEDIAN else kind}" for column in kinds for kind in kinds[column]]
    lines = ["| method | " + " | ".join(titles) + " |", "|---|" + "---:|" * len(titles)]
    for method in dict.fromkeys(cell.method for cell in cells):
        row = [cell for cell in cells if cell.method == method]
        texts = [_TEXTS[kind](cell) for cell in row for kind in kinds[cell.column]]
        name = method if method in METHODS else f"{method} §"
        name += "" if row[0].in_paper else " †"
        lines.append(f"| {name} | " + " | ".join(texts) + " |")
    return lines


def _reported(cell: Compared) -> str:
    figure = cell.reported
    if figure is None or figure.value is None:
        return ""
    spread = "" if figure.std is None else f" ± {figure.std:.2f}"
    return f"{figure.value:.2f}{spread}{' ‡' if figure.status == 'cited' else ''}"


def _ours(cell: Compared) -> str:
    mean = cell.mean()
    if mean is None:
        return "–" if cell.without_recipe else ""
    return f"{format_mean_std(mean, cell.std())} ({len(cell.runs)}{' *' if cell.unfinished else ''})"


def _median(cell: Compared) -> str:
    mean = cell.mean(MEDIAN)
    return _ours(cell) if mean is None else format_mean_std(mean, cell.std(MEDIAN))


def _logged(cell: Compared) -> str:
    if cell.logged is None:
        return ""
    return f"{cell.logged.value:.2f}{'' if cell.logged.finished else ' ¶'}"


_MEDIAN = " median"
#: Ending of a column's title -> text of its cells.
_TEXTS: Dict[str, Callable[[Compared], str]] = {
    " reported": _reported, " ours": _ours, " logged": _logged, "": _ours, _MEDIAN: _median,
}  # fmt: skip


def _kinds(table: Table, column: Column, cells: Sequence[Compared]) -> List[str]:
    """Return the endings of the titles of a number of labels."""
    if not table.own:
        return [""]
    logs = any(cell.logged is not None for cell in cells if cell.column == column)
    return [" reported", " ours", *([" logged"] if logs else [])]


def _notes(table: Table, cells: Sequence[Compared]) -> List[str]:
    commits = sorted({commit for cell in cells for row in cell.runs for commit in str(row["commit"]).split()})
    notes = ["Ours: mean ± standard deviation of the error after the last epoch, number of runs in brackets."]
    if table.own:
        notes.append("Reported: as the method's own paper has it; an empty cell is not available.")
    if any(cell.logged for cell in cells):
        notes.append(
            "Logged: best error on the test set in the log of one of the authors' own runs; "
            "¶ the log ends before the last epoch."
        )
    if commits:
        notes.append("Commits of the runs: " + ", ".join(commits) + ".")
    if any(cell.unfinished for cell in cells):
        notes.append("\\* not all of these runs have reached their last epoch.")
    if any(cell.without_recipe for cell in cells):
        notes.append("– not trained: there is no recipe of this method with this number of labels.")
    if any(cell.reported and cell.reported.status == "cited" for cell in cells):
        notes.append("‡ as usually cited; the source was not read again.")
    if any(not cell.in_paper for cell in cells):
        notes.append(f"† not a row of the paper's {table.name.replace('table', 'Table ')}.")
    if any(cell.method not in METHODS for cell in cells):
        notes.append("§ reported only: this package does not run it.")
    return [line for note in notes for line in (note, "")][:-1]
