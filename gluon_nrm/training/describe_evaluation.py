"""An evaluation as lines of text: the whole for ``evaluate``, and the last lines of a training run."""

from __future__ import annotations

from collections import defaultdict
from typing import Dict, List, Mapping

from gluon_nrm.errors import visible
from gluon_nrm.runs.clusters import Clustering
from gluon_nrm.runs.evaluation_record import ClassResult, ConfusedPair, EvaluationRecord
from gluon_nrm.system.commands import command
from gluon_nrm.training.evaluate_run import Evaluation

#: Classes and pairs that are listed.
WORST = 10
#: Most letters of a class name in a table.
LETTERS = 24
#: Branches by the suffix of their errors.
BRANCHES = {"_max": "Max branch", "_min": "Min branch", "_top5": "top-5"}


def evaluation_text(found: Evaluation) -> str:
    """Describe an evaluation: errors of each network and branch, worst classes, most confused pairs."""
    lines = [
        f"run      {found.run} ({found.recipe}), after epoch {found.epoch} of {found.epochs}",
        f"data     {found.dataset}, {found.images} {found.part} images",
    ]
    if found.skipped.number:
        lines.append(f"skipped  {found.skipped}")
    lines += [f"{name}  error {readable_errors(errors)}" for name, errors in found.errors.items()]
    if found.record.clustering is not None:
        lines.append(f"clusters {readable_clustering(found.record.clustering)}")
    if found.noise_variance is not None:
        lines.append(f"sigma^2  {found.noise_variance:.4g} by the residuals (mean of |x - h(0)|^2 / pixels)")
    return "\n".join([*lines, "", *class_lines(found.record)])


def readable_errors(errors: Mapping[str, float]) -> str:
    """Format errors: ``4.20 % (Max branch 4.60, Min branch 5.00)``; the branches where there are two."""
    branches = ", ".join(f"{BRANCHES[suffix]} {value:.2f}" for suffix, value in errors.items() if suffix)
    return f"{errors['']:.2f} %" + (f" ({branches})" if branches else "")


def readable_clustering(found: Clustering) -> str:
    """Format ``accuracy 71.20 %, NMI 0.712, ARI 0.601``, with a note that clusters were matched."""
    return (
        f"accuracy {found.accuracy:.2f} %, NMI {found.nmi:.3f}, ARI {found.ari:.3f}; each cluster counts as\n"
        "         the class of the best one-to-one match"
    )


def class_lines(record: EvaluationRecord) -> List[str]:
    """List the worst classes of a network with their images, errors, and the classes they are taken for."""
    worst = record.worst_classes(WORST)
    if not worst:
        return [f"no mistake of the {record.network} on any class"]
    taken: Dict[str, List[ConfusedPair]] = defaultdict(list)
    for pair in record.confusions:
        taken[pair.true].append(pair)
    many = len(record.classes) > len(worst)
    which = f"the {len(worst)} worst of {len(record.classes)} classes" if many else "by class"
    title = f"class ({record.network}, {which})"
    width = max(len(title), *(len(_short(each.name)) for each in worst))
    lines = [f"{title:<{width}}  images    error  taken for"]
    return lines + [_class_line(each, taken[each.name], width) for each in worst]


def _class_line(result: ClassResult, pairs: List[ConfusedPair], width: int) -> str:
    others = ", ".join(f"{_short(pair.predicted)} ({pair.images})" for pair in pairs[:3])
    more = ", ..." if len(pairs) > 3 else ""
    return f"{_short(result.name):<{width}}  {result.images:6d}  {result.error or 0.0:6.2f} %  {others}{more}"


def error_line(record: EvaluationRecord) -> str:
    """Return the result of a run in one line: ``test error 4.60 % (teacher)``."""
    matched = "" if record.clustering is None else ", clusters matched to classes"
    return f"{record.part} error {record.error:.2f} % ({record.network}{matched})"


def closing_lines(found: Evaluation, renders: bool) -> List[str]:
    """Return the last lines of a training run: its error, and three commands to go on with."""
    run = str(found.run)
    look = ("render", [run], "what each layer renders") if renders else ("plot", [run], "its curves")
    steps = [
        ("predict", [run, "IMAGE"], "the class of image files"),
        look,
        ("export", [run], "files that work without this package"),
    ]
    lines = [command(name, *arguments) for name, arguments, _ in steps]
    width = max(map(len, lines))
    return [error_line(found.record), "by class  evaluation.json, predictions.csv, figures/"] + [
        f"{'next' if not number else '':<7}  {line:<{width}}  # {what}"
        for number, (line, (_, _, what)) in enumerate(zip(lines, steps))
    ]


def _short(name: str) -> str:
    """Put a class name on one line of at most ``LETTERS`` letters."""
    line = visible(name)
    return line if len(line) <= LETTERS else f"{line[: LETTERS - 1]}…"
