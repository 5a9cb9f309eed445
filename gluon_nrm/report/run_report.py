"""Report of one run or several: one HTML file that needs no other file and no network."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence, Union
from xml.etree.ElementTree import Element

from gluon_nrm.errors import RunError
from gluon_nrm.recipe import recipe_to_yaml
from gluon_nrm.report.report_tables import class_tables, overview_table, settings_table
from gluon_nrm.runs.evaluation_record import read_evaluation
from gluon_nrm.runs.figures import plot_curves
from gluon_nrm.runs.html_elements import element, facts_table, picture, to_html
from gluon_nrm.runs.overlay_figure import plot_runs, read_curves
from gluon_nrm.runs.run import Run, run_facts
from gluon_nrm.storage import files
from gluon_nrm.system.commands import command
from gluon_nrm.version import __version__

#: In the head of each report; a file without it is not overwritten.
GENERATOR = "gluon_nrm report"
#: Most runs of a report, and most bytes read of a file that a report would overwrite.
MOST_RUNS, HEAD = 100, 4096
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #222; }
body { max-width: 1060px; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.6em; } h2 { margin-top: 2em; border-bottom: 1px solid #ccc; } h3 { margin-top: 1.6em; }
table { border-collapse: collapse; margin: 0.8em 0; }
th, td { text-align: left; vertical-align: top; padding: 0.2em 0.9em 0.2em 0; border-bottom: 1px solid #eee; }
th { font-weight: 600; } tr > th:first-child { white-space: nowrap; }
img { max-width: 100%; display: block; } figure { margin: 1em 0 2em; } .missing { color: #777; }
pre { background: #f6f6f6; padding: 0.8em; overflow-x: auto; font-size: 13px; }
"""
#: Allows no script and nothing from outside, even if a name in a recipe were to break out of its text.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


class Figure(NamedTuple):
    """A figure of a run, with the words above it and the command that draws it."""

    title: str
    command: str


FIGURES: Dict[str, Figure] = {
    "confusion": Figure("Confusion", "evaluate"),
    "mistakes": Figure("Mistakes", "evaluate"),
    "renderings": Figure("Renderings", "render"),
}
#: Names of further figures, where a run has them.
MORE_FIGURES = {"figure4": "Renderings at every layer"}


def write_report(paths: Sequence[Union[str, Path]], out: Optional[Path] = None) -> Path:
    """Write the report of one run or several: settings, curves, errors by class, pictures.

    Each run is read from its folder; it may be training at this moment. A figure that a run lacks is named
    with the command that draws it.

    Args:
        paths: folders of the runs.
        out: the HTML file; None: ``report.html`` in the folder of the run, or of several runs in the current
            folder. An earlier report is replaced.

    Returns:
        The file.

    Raises:
        NRMError: a folder is no run, or a file of it is damaged; a run is given twice; or ``out`` is a file
            that is no report, or cannot be written.
    """
    runs = _open_runs(paths)
    default = runs[0].path / "report.html" if len(runs) == 1 else Path("report.html")
    out = default if out is None else out
    _check_free(out)
    text = report_html(runs)
    with files.os_errors(RunError, "write", out):
        files.write_text(out, text)
    return out


def report_html(runs: Sequence[Run]) -> str:
    """Make the page of ``write_report``.

    Raises:
        NRMError: a file of a run is damaged.
    """
    title = runs[0].path.name if len(runs) == 1 else f"{len(runs)} runs"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="generator", content=GENERATOR),
        element("title", f"{title} - gluon_nrm"),
        element("style", STYLE),
    )
    body = element("body", element("h1", title))
    if len(runs) == 1:
        body.extend(_run_elements(runs[0]))
    else:
        body.extend(_comparison(runs))
        for run in runs:
            body.append(element("h2", str(run.path)))
            body.extend(_run_elements(run))
    body.append(element("p", f"Written by gluon_nrm {__version__}.", class_="missing"))
    return "<!DOCTYPE html>\n" + to_html(element("html", head, body, lang="en")) + "\n"


def _open_runs(paths: Sequence[Union[str, Path]]) -> List[Run]:
    """Open the runs, and check that there are not too many and none twice."""
    if not paths:
        raise RunError("no run is given; give the folder of one, such as runs/digits_maxmin_mt-s0")
    if len(paths) > MOST_RUNS:
        raise RunError(f"{len(paths)} runs, and a report holds {MOST_RUNS}; give fewer")
    runs = [Run(path) for path in paths]
    seen = set()
    for run in runs:
        real = files.resolve(run.path, RunError)
        if real in seen:
            raise RunError(f"{run.path} is given twice; give it once")
        seen.add(real)
    return runs


def _check_free(out: Path) -> None:
    """Check that a file can be written: there is none yet, or an earlier report.

    Raises:
        RunError: it is there and is no report.
    """
    if not files.is_taken(out, RunError):
        return
    if files.is_dir(out, RunError):
        raise RunError(f"{out} is a folder; give the name of a file in it, such as {out / 'report.html'}")
    with files.os_errors(RunError, "read", out), files.open_file(out) as file:
        beginning = file.read(HEAD)
    if GENERATOR.encode() not in beginning:
        raise RunError(f"{out} is there and is no report of gluon_nrm; give another name, or remove it")


def _comparison(runs: Sequence[Run]) -> List[Element]:
    """Overview, curves in one figure, and the settings that differ."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "curves.png"
        plot_runs(read_curves(runs), path)
        curves = element("figure", picture(path, "loss and error of all runs over the epochs"))
    return [
        overview_table(runs),
        element("h2", "Curves"),
        curves,
        element("h2", "Settings that differ"),
        settings_table(runs),
    ]


def _run_elements(run: Run) -> List[Element]:
    """Facts, curves, errors by class, figures and settings of one run."""
    found: List[Element] = [facts_table(run_facts(run)), element("h3", "Curves"), _curves(run)]
    record = run.path / "evaluation.json"
    if files.exists(record, RunError):
        found += class_tables(read_evaluation(record))
    for name, figure in FIGURES.items():
        found.append(element("h3", figure.title))
        found.append(_figure(run, name) or _missing(run, figure))
    for name, title in MORE_FIGURES.items():
        more = _figure(run, name)
        if more is not None:
            found += [element("h3", title), more]
    settings = element("details", element("summary", "all settings, as a recipe"))
    settings.append(element("pre", recipe_to_yaml(run.settings)))
    return [*found, element("h3", "Settings"), settings]


def _curves(run: Run) -> Element:
    """Draw the curves of the epochs so far."""
    rows = run.read_metrics()
    if not rows:
        return element("p", "No epoch is completed yet.", class_="missing")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "curves.png"
        plot_curves(rows, path)
        return element("figure", picture(path, "loss terms and errors over the epochs"))


def _figure(run: Run, name: str) -> Optional[Element]:
    """Read a figure of a run, and of another part of its data if it was drawn; None without one."""
    shown = [path for path in (run.figures / f"{name}{ending}.png" for ending in ("", "_test"))
             if files.exists(path, RunError)]  # fmt: skip
    if not shown:
        return None
    return element("figure", *(picture(path, f"{path.stem} of {run.path.name}") for path in shown))


def _missing(run: Run, figure: Figure) -> Element:
    """Name a figure that a run lacks, with the command that draws it."""
    if not run.settings.model.render and figure.command == "render":
        return element("p", "The network does not render (model.render is false).", class_="missing")
    drawn = command(figure.command, str(run.path))
    return element("p", "Not drawn yet: ", element("code", drawn), class_="missing")
