"""What is in the folder of a run, and how it is read and written.

::

    runs/digits_maxmin_mt-s0/
      recipe.yaml     the complete recipe the run follows
      run.json        an identity by which a copy of the folder is told from the run
      data.json       facts of the data that hold for good, see gluon_nrm.data.facts.facts
      env.json        versions, devices and commit; under "resumed", what had changed each time it went on
      metrics.jsonl   every number of every epoch
      train.log       the lines a person reads
      checkpoints/    see gluon_nrm.runs.checkpoint
      figures/        pictures; may be drawn again at any time
      FINISHED.json   there only when the run has reached its last epoch
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional

from gluon_nrm.storage import files
from gluon_nrm.data.facts.facts import Facts
from gluon_nrm.errors import RecipeError, RunError
from gluon_nrm.storage.json_io import Source, read_json, read_keys
from gluon_nrm.recipe.yaml_io import LARGEST, read_plain
from gluon_nrm.runs import metrics
from gluon_nrm.runs.facts_file import facts_text, read_facts

#: Kinds of the keys of env.json that are read again.
ENV_KEYS = {
    "commit": Optional[str],
    "uncommitted_changes": Optional[bool],
    "resumed": List[Dict[str, Any]],
}


class RunFolder:
    """One run on the disk. ``open_run`` gives it locked for training, ``load_run`` for reading."""

    def __init__(self, path: Path, lock: Optional[files.FileLock] = None, resumed: bool = False) -> None:
        """The run at ``path``; ``lock``: held if this process may write; ``resumed``: it was there before."""
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
        data = files.read_bounded(self.recipe_path, RunError, LARGEST)
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise RunError(f"{self.recipe_path} is damaged: it is not UTF-8; put it back as it was") from None

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
        source = Source(str(self.env_path), RunError)
        env = read_keys(read_json(self.env_path, RunError), {}, source, optional=ENV_KEYS)
        for place, change in enumerate(env.get("resumed", [])):
            read_keys(change, {}, source, optional=ENV_KEYS, key=f"resumed.{place}")
        return env

    def facts(self) -> Optional[Facts]:
        """Facts of the data; None if an earlier version started the run.

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
        return read_json(self.finished_path, RunError)


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
