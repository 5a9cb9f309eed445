"""Averages of runs over seeds: rows with mean and standard deviation, and their table in Markdown."""

from __future__ import annotations

import statistics
from typing import Any, Dict, List, Optional, Sequence, Tuple

from gluon_nrm.runs.differences import differences_from, to_text
from gluon_nrm.runs.tables import Row, group_key

CLUSTERS_NOTE = "Errors of runs with 0 labels: after the best one-to-one match of clusters to classes"
DIFFERENCE_NOTE = (
    "Difference of the last errors of finished runs, paired by seed: mean ± standard error, number of pairs "
    "in brackets; below 0, the row has the lower error"
)
UNFINISHED_NOTE = "\\* not all of these runs have reached their last epoch"
VALIDATION_NOTE = "† error on a part of the training images held out, not on the test set"


def group_mean_std(rows: Sequence[Row], against: Optional[str] = None) -> List[Row]:
    """Average over seeds: one row per recipe and number of labels.

    Runs that differ in anything but the seeds, of the run and of the labelled draw, are never averaged.

    Args:
        rows: of ``collect``.
        against: a recipe that the others are compared with, paired by seed.

    Returns:
        Rows with recipe, labels, evaluated_on, network, settings; n (number of runs), unfinished (if any
        is not at its last epoch); last_mean, last_std, median20_mean, median20_std in per cent (sample
        standard deviations, None for n = 1); for runs without labels nmi_mean, nmi_std, ari_mean, ari_std,
        which are None for others; against, and the difference as text, "" where there is none.

    Raises:
        RunError: there is no run of ``against``, or several settings of it.
    """
    groups: Dict[Tuple[Any, ...], List[Row]] = {}
    for row in rows:
        groups.setdefault(group_key(row), []).append(row)
    found = {} if against is None else differences_from(against, groups)
    averaged = []
    for key, group in groups.items():
        difference = to_text(found[key].difference, len(found[key].seeds)) if key in found else ""
        averaged.append({**_group_row(group), "against": against, "difference": difference})
    return averaged


def to_markdown(groups: Sequence[Row]) -> str:
    """Format the rows of ``group_mean_std`` as a Markdown table with notes."""
    names = [(group["recipe"], group["labels"]) for group in groups]
    titles = ["recipe", "labels", "runs", "test error, last (%)", "test error, median of last 20 (%)"]
    clusters = any(group["nmi_mean"] is not None for group in groups)
    against = groups[0]["against"] if groups else None
    titles += (["NMI", "ARI"] if clusters else []) + ([f"difference from {against}"] if against else [])
    lines = ["| " + " | ".join(titles) + " |", "|---|" + "---:|" * (len(titles) - 1)]
    for group, name in zip(groups, names):
        cells = _cells(group, unique=names.count(name) == 1)
        cells += [_cluster_cell(group, index) for index in ("nmi", "ari")] if clusters else []
        cells += [group["difference"]] if against else []
        lines.append("| " + " | ".join(cells) + " |")
    notes = {
        CLUSTERS_NOTE: clusters,
        DIFFERENCE_NOTE: against is not None,
        UNFINISHED_NOTE: any(group["unfinished"] for group in groups),
        VALIDATION_NOTE: any(group["evaluated_on"] != "test" for group in groups),
    }
    return "\n".join(lines + [text for note, holds in notes.items() if holds for text in ("", note)]) + "\n"


def _cells(group: Row, unique: bool) -> List[str]:
    """Format the columns that every table has; runs that share a recipe's name are told by their settings."""
    recipe = group["recipe"].replace("|", "\\|")
    recipe += "" if unique else f" ({group['settings']})"
    recipe += "" if group["evaluated_on"] == "test" else " †"
    return [
        recipe,
        str(group["labels"]),
        f"{group['n']}{' *' if group['unfinished'] else ''}",
        *(format_mean_std(group[f"{name}_mean"], group[f"{name}_std"]) for name in ("last", "median20")),
    ]


def format_mean_std(mean: float, std: Optional[float]) -> str:
    """Format ``4.32 ± 0.51``, or the mean alone if there is one run."""
    return f"{mean:.2f}" if std is None else f"{mean:.2f} ± {std:.2f}"


def _cluster_cell(group: Row, name: str) -> str:
    mean, std = group[f"{name}_mean"], group[f"{name}_std"]
    return "" if mean is None else f"{mean:.3f}" + ("" if std is None else f" ± {std:.3f}")


def _group_row(group: Sequence[Row]) -> Row:
    row = {name: group[0][name] for name in ("recipe", "labels", "evaluated_on", "network", "settings")}
    row["n"] = len(group)
    row["unfinished"] = sum(not member["finished"] for member in group)
    for name in ("last", "median20"):
        values = [member[f"test_error_{name}"] for member in group]
        row[f"{name}_mean"] = statistics.mean(values)
        row[f"{name}_std"] = statistics.stdev(values) if len(values) > 1 else None
    for name in ("nmi", "ari"):
        found = [member[f"{name}_last"] for member in group if member.get(f"{name}_last") is not None]
        row[f"{name}_mean"] = statistics.mean(found) if found else None
        row[f"{name}_std"] = statistics.stdev(found) if len(found) > 1 else None
    return row
