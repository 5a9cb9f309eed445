"""A run as Python sees it: settings, metrics, error and trained network."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Dict, List, Optional, Union

import numpy as np

from gluon_nrm.errors import NRMError, RunError
from gluon_nrm.models import Network
from gluon_nrm.recipe import recipe_hash
from gluon_nrm.runs.html_elements import element, facts_table, picture, to_html
from gluon_nrm.runs.metrics import Row
from gluon_nrm.runs.restore_networks import restore_networks
from gluon_nrm.runs.run_data import evaluated_part
from gluon_nrm.runs.run_folder import RunFolder, network_names
from gluon_nrm.runs.run_search import check_is_run
from gluon_nrm.storage.files import is_file


class Run(RunFolder):
    """A run of training, read from its folder; ``fit`` returns one.

        run = Run("runs/digits_maxmin_mt-s0")
        run.error, run.metrics["loss/total"], run.network(images).logits

    Each access reads the folder, so the run may be training at this moment. Only ``network`` is kept.

    Args:
        path: the run's folder.
        check: check that it is a run folder. The folder of a distributed run is on worker 0 alone.
        resumed: the run was there before this call of ``fit``.

    Raises:
        RunError: there is no such folder, or it is no run folder.
    """

    def __init__(self, path: Union[str, Path], *, check: bool = True, resumed: bool = False) -> None:
        super().__init__(Path(path), resumed=resumed)
        if check:
            check_is_run(self)

    @property
    def metrics(self) -> Dict[str, np.ndarray]:
        """Metrics by name, an array (E,) over the completed epochs each; NaN where an epoch has no value.

        Raises:
            RunError: the file cannot be read or is damaged.
        """
        rows = self.read_metrics()
        names = dict.fromkeys(name for row in rows for name in row)
        columns = {name: [_number(row, name) for row in rows] for name in names}
        return {name: np.array(column) for name, column in columns.items()}

    @property
    def epoch(self) -> int:
        """Number of completed epochs."""
        rows = self.read_metrics()
        return int(rows[-1]["epoch"]) if rows else 0

    @property
    def predicts(self) -> str:
        """Name of the network that predicts: "teacher" where there is one of its own, else "student"."""
        return network_names(self.settings)[-1]

    @property
    def evaluated_on(self) -> str:
        """Part of the data that the errors are of: "validation" if the recipe holds it out, else "test"."""
        return evaluated_part(self.settings)

    @property
    def error(self) -> float:
        """Error of the network that predicts at the last evaluation, in per cent.

        Raises:
            RunError: there is no evaluation yet.
        """
        found = self._error()
        if found is None:
            raise RunError(
                f"{self.metrics_path}: no evaluation of the {self.predicts} in it; train it for an epoch"
            )
        return found

    @cached_property
    def network(self) -> Network:
        """The network that predicts, from the newest checkpoint; loaded at the first access.

        It takes normalised images, (B, C, H, W). ``gluon_nrm.predict`` reads and normalises image files.

        Raises:
            NRMError: there is no checkpoint yet, or it is damaged or does not fit the recipe.
        """
        return list(restore_networks(self.path).networks.values())[-1]

    def __repr__(self) -> str:
        """Return path, progress and error, as far as they can be read."""
        return f"<Run {self.path}: {self._state()}>"

    def _repr_html_(self) -> str:
        """Return a table of the run and its curves, for a notebook."""
        try:
            facts = run_facts(self)
        except NRMError as problem:
            return to_html(element("p", f"{self.path}: {problem}"))
        shown = [element("h4", str(self.path)), facts_table(facts)]
        curves = self.figures / "curves.png"
        try:
            if is_file(curves, RunError):
                shown.append(picture(curves, "loss terms and errors over the epochs"))
        except RunError as problem:
            shown.append(element("p", str(problem)))
        return to_html(element("div", *shown))

    def _state(self) -> str:
        """Describe progress and error in a few words."""
        try:
            settings, error = self.settings, self._error()
            progress = f"epoch {self.epoch} of {settings.train.epochs}"
        except Exception as problem:  # a form for reading must not fail
            return str(problem)
        if error is None:
            return f"{progress}, not evaluated yet"
        return f"{progress}, {self.evaluated_on} error {error:.2f} % ({self.predicts})"

    def _error(self) -> Optional[float]:
        """Return the last error of the network that predicts, in per cent; None without one."""
        key = f"error/{self.predicts}"
        found: List[float] = [row[key] for row in self.read_metrics() if row.get(key) is not None]
        return found[-1] if found else None


def run_facts(run: Run) -> Dict[str, str]:
    """Describe a run by name and value, for its table in a notebook or in a report.

    Raises:
        NRMError: a file of the run is damaged.
    """
    settings, rows = run.settings, run.read_metrics()
    model, data, error = settings.model, settings.data, run._error()
    labels = "all images labelled" if data.labels is None else f"{data.labels} labels"
    seconds = sum(row.get("seconds") or 0.0 for row in rows)
    state = "finished" if run.finished else "not finished"
    return {
        f"{run.evaluated_on} error": "none yet" if error is None else f"{error:.2f} % ({run.predicts})",
        "recipe": f"{settings.name} ({recipe_hash(settings)}), seed {settings.train.seed}",
        "data": f"{data.name}, {labels}, split seed {data.split_seed}",
        "network": model.name + (" with Max-Min" if model.maxmin else ""),
        "epochs": f"{run.epoch} of {settings.train.epochs}, {state}",
        "time": f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min",
    }


def _number(row: Row, name: str) -> float:
    """Return the number of a row, or NaN."""
    value = row.get(name)
    return value if isinstance(value, (int, float)) else float("nan")
