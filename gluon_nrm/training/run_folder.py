"""What is in the folder of a run, and how it is read and written.

::

    runs/digits_maxmin_mt-s0/
      recipe.yaml     the complete recipe the run follows
      env.json        versions, devices and commit; under "resumed", what had changed each time it went on
      metrics.jsonl   every number of every epoch
      train.log       the lines a person reads
      checkpoints/    see gluon_nrm.training.checkpoint
      figures/        pictures; may be drawn again at any time
      FINISHED.json   there only when the run has reached its last epoch
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional

import yaml

from gluon_nrm import files
from gluon_nrm.errors import RunError
from gluon_nrm.training import metrics


class RunFolder:
    """One run on the disk. ``open_run`` gives it locked for training, ``load_run`` for reading."""

    def __init__(self, path: Path, lock: Optional[files.FileLock] = None, resumed: bool = False) -> None:
        """The run at ``path``; ``lock``: held if this process may write; ``resumed``: it was there before."""
        self.path = path
        self.resumed = resumed
        self.recipe_path = path / "recipe.yaml"
        self.env_path = path / "env.json"
        self.metrics_path = path / "metrics.jsonl"
        self.log_path = path / "train.log"
        self.checkpoints = path / "checkpoints"
        self.figures = path / "figures"
        self.finished_path = path / "FINISHED.json"
        self._lock = lock

    def __enter__(self) -> RunFolder:
        """The run itself; the lock is given back at the end of the ``with`` body."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give the lock back."""
        self.close()

    def close(self) -> None:
        """Give the lock back, so that another process may go on with the run."""
        if self._lock is not None:
            self._lock.release()

    @property
    def finished(self) -> bool:
        """Whether the run has reached its last epoch."""
        return files.exists(self.finished_path, RunError)

    def recipe_text(self) -> str:
        """The complete recipe as YAML text.

        Raises:
            RunError: it cannot be read.
        """
        with files.os_errors(RunError, "read", self.recipe_path):
            return self.recipe_path.read_bytes().decode("utf-8", errors="replace")

    def recipe(self) -> Dict[str, Any]:
        """The complete recipe as plain nested mappings.

        Raises:
            RunError: it cannot be read or is damaged.
        """
        return _parse_recipe(self.recipe_text(), self.recipe_path)

    def env(self) -> Dict[str, Any]:
        """The environment the run was started in.

        Raises:
            RunError: the file cannot be read or is damaged.
        """
        return read_json(self.env_path)

    def append_metrics(self, row: Mapping[str, Any]) -> None:
        """Add the row of one epoch (``row["epoch"]``: epochs completed) and wait until it is on the disk."""
        metrics.append(self.metrics_path, row)

    def read_metrics(self) -> List[metrics.Row]:
        """The rows of all epochs, oldest first; a torn last line is passed over."""
        return metrics.read(self.metrics_path)

    def truncate_metrics(self, epochs: int) -> None:
        """Forget the rows after the first ``epochs`` epochs: a resumed run makes them again."""
        metrics.truncate(self.metrics_path, epochs)

    def mark_finished(self, summary: Mapping[str, Any]) -> None:
        """Write ``summary`` to FINISHED.json: from now on the run is not trained again.

        Raises:
            RunError: the file cannot be written.
        """
        write_json(self.finished_path, summary)

    def summary(self) -> Dict[str, Any]:
        """What ``mark_finished`` was given.

        Raises:
            RunError: the run is not finished, or the file is damaged.
        """
        return read_json(self.finished_path)


def json_text(value: Mapping[str, Any]) -> str:
    """JSON for people to read; numpy scalars become numbers, and what JSON does not know its text."""

    def known(other: Any) -> Any:
        return other.item() if hasattr(other, "item") else str(other)

    return json.dumps(dict(value), indent=2, default=known) + "\n"


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON object atomically.

    Raises:
        RunError: the file cannot be written.
    """
    with files.os_errors(RunError, "write", path):
        files.write_text(path, json_text(value))


def read_json(path: Path) -> Dict[str, Any]:
    """Read a JSON object.

    Raises:
        RunError: the file is missing, unreadable or damaged.
    """
    try:
        with files.os_errors(RunError, "read", path):
            value = json.loads(path.read_bytes().decode("utf-8"))
    except ValueError as problem:
        raise RunError(f"{path} is damaged: {problem}; put it back as it was") from None
    if not isinstance(value, dict):
        raise RunError(f"{path} is damaged: it holds no JSON object; put it back as it was")
    return value


def _parse_recipe(text: str, path: Path) -> Dict[str, Any]:
    try:
        recipe = yaml.safe_load(text)
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        reason = getattr(problem, "problem", None) or "it is not YAML"
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise RunError(f"{where}: this run's recipe is damaged: {reason}; put it back as it was") from None
    if not isinstance(recipe, dict):
        raise RunError(f"{path}:1: this run's recipe is damaged: no keys in it; put it back as it was")
    return recipe
