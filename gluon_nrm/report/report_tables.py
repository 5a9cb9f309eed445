"""Tables of a report: overview of runs, settings that differ, errors by class."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, Dict, List, Sequence
from xml.etree.ElementTree import Element

from gluon_nrm.runs.evaluation_record import EvaluationRecord
from gluon_nrm.runs.html_elements import element, table
from gluon_nrm.runs.run import Run, run_facts
from gluon_nrm.runs.run_search import differences

#: Most classes and most pairs of confused classes shown.
CLASSES, PAIRS = 30, 10


def overview_table(runs: Sequence[Run]) -> Element:
    """One line for each run: error, data, network, epochs, time.

    Raises:
        NRMError: a file of a run is damaged.
    """
    rows, names = [], Counter(run.path.name for run in runs)
    for run in runs:
        error, *others = run_facts(run).items()
        name = run.path.name if names[run.path.name] == 1 else str(run.path)
        rows.append([name, f"{error[0]} {error[1]}", *(value for _, value in others)])
    return table(rows, ["run", "error", *list(run_facts(runs[0]))[1:]])


def settings_table(runs: Sequence[Run]) -> Element:
    """One line for each key of the recipes that is not the same in all runs.

    Raises:
        RunError: a recipe is damaged.
    """
    recipes = [run.recipe() for run in runs]
    changed: Dict[str, List[Any]] = {}
    for place, other in enumerate(recipes[1:], start=1):
        for change in differences(recipes[0], other):
            changed.setdefault(change.key, [change.old] * len(runs))[place] = change.new
    if not changed:
        return element("p", "The runs have the same settings.")
    rows = [[key, *(_shown(value) for value in changed[key])] for key in changed]
    return table(rows, ["key", *(run.path.name for run in runs)])


def class_tables(record: EvaluationRecord) -> List[Element]:
    """Errors by class, the largest first, and the pairs of classes confused most often."""
    found = [
        element("h3", "Errors by class"),
        element(
            "p",
            f"{record.error:.2f} % of {record.images} {record.part} images are wrong ({record.network}, "
            f"after epoch {record.epoch} of {record.epochs}); mean over the classes "
            f"{record.balanced_error:.2f} %.",
        ),
    ]
    worst = record.worst_classes(CLASSES)
    if worst:
        rows = [
            [each.name, f"{each.wrong} of {each.images}", _percent(each.error), _percent(each.precision)]
            for each in worst
        ]
        found.append(table(rows, ["class", "wrong", "error", "precision"]))
    left = sum(each.wrong > 0 for each in record.classes) - len(worst)
    if left > 0:
        found.append(element("p", f"{left} more classes have mistakes: evaluation.json.", class_="missing"))
    if record.confusions:
        pairs = [
            [each.true, each.predicted, str(each.images), f"{each.share:.1f} %"]
            for each in record.confusions[:PAIRS]
        ]
        found.append(table(pairs, ["true class", "taken for", "images", "share of the class"]))
    return found


def _percent(value: Any) -> str:
    return "-" if value is None else f"{value:.1f} %"


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)
