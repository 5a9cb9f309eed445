"""The folder of a run: names of its files, reading and writing of each.

::

    runs/digits_maxmin_mt-s0/
      recipe.yaml     the complete recipe of the run
      run.json        identity, to tell a copy of the folder from the run
      data.json       facts of the data, see gluon_nrm.data.facts.facts
      env.json        versions, devices and commit; "resumed" lists the changes of each later start
      metrics.jsonl   metrics of each epoch
      train.log       the lines that training prints
      start.npz       weights that the run started from, if the recipe names any
      start.json      names of their arrays: loaded, left out, missing
      checkpoints/    see gluon_nrm.runs.checkpoint
      figures/        figures; can be drawn again at any time
      evaluation.json errors by class, see docs/evaluation.md; with predictions.csv and two of the figures
      FINISHED.json   written when the run has reached its last epoch
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional

from gluon_nrm.data.facts.facts import Facts
from gluon_nrm.errors import RecipeError, RunError
from gluon_nrm.recipe.load import recipe_from_text
from gluon_nrm.recipe.schema import Recipe
from gluon_nrm.recipe.yaml_io import LARGEST, read_plain
from gluon_nrm.runs import metrics
from gluon_nrm.runs.facts_file import facts_text, read_facts
from gluon_nrm.storage import files
from gluon_nrm.storage.json_io import SourceFile, read_json, read_keys
from gluon_nrm.system.wheels import release
from gluon_nrm.version import __version__

#: The networks of a run.
STUDENT, TEACHER = "student", "teacher"
#: Types of the keys of env.json that are read again.
ENV_KEYS = {
    "commit": Optional[str],
    "uncommitted_changes": Optional[bool],
    "resumed": List[Dict[str, Any]],
}


class RunFolder:
    """A run on the disk; ``open_run`` returns it locked for training, ``load_run`` for reading.

    Args:
        path: the folder.
        lock: held while this process may write to the run.
        resumed: the run was there before.
    """

    def __init__(self, path: Path, lock: Optional[files.FileLock] = None, resumed: bool = False) -> None:
        self.path = path
        self.resumed = resumed
        self.recipe_path = path / "recipe.yaml"
        self.identity_path = path / "run.json"
        self.facts_path = path / "data.json"
        self.env_path = path / "env.json"
        self.metrics_path = path / "metrics.jsonl"
        self.log_path = path / "train.log"
        self.checkpoints = path / "checkpoints"
        self.figures = path / "figures"
        self.start_path = path / "start.npz"
        self.start_report_path = path / "start.json"
        self.finished_path = path / "FINISHED.json"
        self._lock = lock

    def __enter__(self) -> RunFolder:
        """Return the run; its lock is released at the end of the ``with`` body."""
        return self

    def __exit__(self, *_: object) -> None:
        """Release the lock."""
        self.close()

    def close(self) -> None:
        """Release the lock, so that another process can continue the run."""
        if self._lock is not None:
            self._lock.release()

    @property
    def finished(self) -> bool:
        """True if the run has reached its last epoch."""
        return files.exists(self.finished_path, RunError)

    def recipe_text(self) -> str:
        """Read the complete recipe as YAML.

        Raises:
            RunError: it cannot be read.
        """
        data = files.read_bounded(self.recipe_path, RunError, LARGEST)
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise RunError(f"{self.recipe_path} is damaged: it is not UTF-8; put it back as it was") from None

    @property
    def settings(self) -> Recipe:
        """The complete recipe, checked.

        Raises:
            RunError: it cannot be read or is damaged, or a newer version started the run.
            RecipeError: this version does not know one of its keys, or does not allow a value.
        """
        try:
            return recipe_from_text(self.recipe_text(), str(self.recipe_path))
        except RecipeError as problem:
            newer = self._newer_version()
            if newer is None:
                raise
            raise RunError(
                f"{self.path} is a run of gluon_nrm {newer}, and this is {__version__}: {problem};\n"
                "update the package: pip install --upgrade gluon_nrm"
            ) from None

    def _newer_version(self) -> Optional[str]:
        """Return the newest version of the package that trained the run, if it is newer than this one."""
        env = self.env()
        found = [part.get("gluon_nrm") for part in (env, *env.get("resumed", []))]
        versions = [version[:40] for version in found if isinstance(version, str)]
        newest = max(versions, key=release, default=__version__)
        return newest if release(newest) > release(__version__) else None

    def recipe(self) -> Dict[str, Any]:
        """Read the complete recipe as nested dictionaries.

        Raises:
            RunError: it cannot be read or is damaged.
        """
        return _parse_recipe(self.recipe_text(), self.recipe_path)

    def env(self) -> Dict[str, Any]:
        """Read the environment in which the run was started.

        Raises:
            RunError: the file cannot be read or is damaged.
        """
        source = SourceFile(str(self.env_path), RunError)
        env = read_keys(read_json(self.env_path, RunError), {}, source, optional=ENV_KEYS)
        for place, change in enumerate(env.get("resumed", [])):
            read_keys(change, {}, source, optional=ENV_KEYS, key=f"resumed.{place}")
        return env

    def facts(self) -> Optional[Facts]:
        """Read the facts of the data; None if an early version, which stored none, started the run.

        Raises:
            RunError: the file is damaged.
        """
        return read_facts(self.facts_path)

    def store_facts(self, facts: Facts) -> None:
        """Store the facts of the data, atomically.

        Raises:
            RunError: the file cannot be written.
        """
        with files.os_errors(RunError, "write", self.facts_path):
            files.write_text(self.facts_path, facts_text(facts))

    def append_metrics(self, row: Mapping[str, Any]) -> None:
        """Append the row of an epoch (``row["epoch"]``: epochs completed); wait until it is on the disk."""
        metrics.append(self.metrics_path, row)

    def read_metrics(self) -> List[metrics.Row]:
        """Read the rows of all epochs, oldest first; an incomplete last line is ignored."""
        return metrics.read(self.metrics_path)

    def truncate_metrics(self, epochs: int) -> None:
        """Remove the rows after the first ``epochs`` epochs, which a resumed run writes again."""
        metrics.truncate(self.metrics_path, epochs)

    def mark_finished(self, summary: Mapping[str, Any]) -> None:
        """Write ``summary`` to FINISHED.json, which marks the run as finished.

        Raises:
            RunError: the file cannot be written.
        """
        write_json(self.finished_path, summary)

    def summary(self) -> Dict[str, Any]:
        """Read the summary that ``mark_finished`` wrote.

        Raises:
            RunError: the run is not finished, or the file is damaged.
        """
        return read_json(self.finished_path, RunError)


def network_names(recipe: Recipe) -> List[str]:
    """Name the networks that a run of a recipe has: "student", and "teacher" if that is a network of its own.

    Evaluation and prediction use the last one by default.
    """
    averaged = recipe.teacher.enabled and recipe.teacher.method == "mean_teacher"
    return [STUDENT, TEACHER] if averaged else [STUDENT]


def json_text(value: Mapping[str, Any]) -> str:
    """Format indented JSON; NumPy scalars become numbers, values of other types their ``str``."""

    def known(other: Any) -> Any:
        """Convert a NumPy scalar to a number, any other value to a string."""
        return other.item() if hasattr(other, "item") else str(other)

    return json.dumps(dict(value), indent=2, default=known) + "\n"


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON object atomically.

    Raises:
        RunError: the file cannot be written.
    """
    with files.os_errors(RunError, "write", path):
        files.write_text(path, json_text(value))


def _parse_recipe(text: str, path: Path) -> Dict[str, Any]:
    damaged = "this run's recipe is damaged"
    try:
        recipe = read_plain(
            text, lambda line: f"{path}: {damaged}" if line is None else f"{path}:{line + 1}: {damaged}"
        )
    except RecipeError as problem:
        raise RunError(f"{problem}; put it back as it was") from None
    if not isinstance(recipe, dict):
        raise RunError(f"{path}:1: {damaged}: no keys in it; put it back as it was")
    return recipe
