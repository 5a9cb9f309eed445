"""Creation and resumption of runs: atomic, never overwriting, locked while a process trains.

``gluon_nrm.runs.run_folder`` describes the files of a run.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from pathlib import Path
from typing import Any, Mapping, Optional, Protocol, Union

from gluon_nrm.data.facts.facts import Facts
from gluon_nrm.errors import RunError
from gluon_nrm.option_names import option
from gluon_nrm.runs import metrics
from gluon_nrm.runs.continuing import PATH, value_of
from gluon_nrm.runs.facts_file import facts_text
from gluon_nrm.runs.run_folder import RunFolder, json_text, write_json
from gluon_nrm.runs.run_search import Found, check_is_run, find_run, first_difference, new_identity
from gluon_nrm.storage import files

__all__ = ["Named", "RunFolder", "first_difference", "load_run", "open_run", "run_name"]

#: Most bytes of a run's name; with a number and a temporary prefix a file name may have 255.
LONGEST = 180


class Named(Protocol):
    """Anything with a name, such as a recipe."""

    @property
    def name(self) -> str:
        """The name; for a recipe the stem of its file."""


def run_name(recipe: Named, seed: int) -> str:
    """Return the name of a run's folder: ``NAME-sSEED``.

    Characters that a file name cannot have become ``_``, and long names are cut; a digest of the full name is
    then appended, so that two recipes never share a folder.
    """
    name = "".join(char if files.fits_in_name(char) else "_" for char in recipe.name)
    cut = os.fsencode(name)[:LONGEST].decode("utf-8", errors="ignore")
    if cut != recipe.name:
        digest = hashlib.sha256(recipe.name.encode("utf-8", errors="surrogatepass")).hexdigest()[:8]
        cut = f"{cut}-{digest}"
    return f"{cut}-s{seed}"


def open_run(
    root: Path,
    name: str,
    recipe_yaml: str,
    env: Mapping[str, Any],
    fresh: bool = False,
    facts: Optional[Facts] = None,
) -> RunFolder:
    """Open the run of a recipe for training, locked: a new folder, or the one that the recipe continues.

    Folders of one name are ``NAME``, ``NAME-2``, ``NAME-3``, ...; ``find_run`` chooses among them. If allowed
    keys of the recipe have changed (``continuing``), the run's recipe is replaced.

    Args:
        root: the folder of all runs; created if it does not exist.
        name: see ``run_name``.
        recipe_yaml: the complete recipe.
        env: versions, devices, commit: anything JSON can hold.
        fresh: start a new run under the first free name.
        facts: of the data; stored in the run.

    Returns:
        The run. A ``finished`` run is not locked, and only the path of its data may have been updated.

    Raises:
        RunError: the folder holds another recipe, is no run, is damaged, or is in use by another process.
    """
    with files.os_errors(RunError, "make", root):
        root.mkdir(parents=True, exist_ok=True)
    lock = files.FileLock(root / ".lock")
    with files.os_errors(RunError, "lock", lock.path):
        lock.acquire(wait=True)
    try:
        # new folders are made under this lock only, so a temporary one was left by a killed process
        with files.os_errors(RunError, "list", root):
            files.remove_temporaries(root, only_folders=True)
        found = None if fresh else find_run(root, name, recipe_yaml)
        if found is None:
            return _create(root, name, recipe_yaml, env, facts)
        return _resume(found, recipe_yaml, env, facts)
    finally:
        lock.release()


def load_run(path: Union[str, Path]) -> RunFolder:
    """Open an existing run for reading; it may be training at this moment.

    Raises:
        RunError: there is no such folder, it is no run folder, or a file of it is damaged.
    """
    run = RunFolder(Path(path))
    check_is_run(run)
    run.recipe()
    run.env()
    run.read_metrics()
    return run


def _create(
    root: Path, name: str, recipe_yaml: str, env: Mapping[str, Any], facts: Optional[Facts]
) -> RunFolder:
    names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    path = next(root / free for free in names if not files.is_taken(root / free, RunError))
    new = RunFolder(files.temporary_path(path))
    lock = files.FileLock(new.path / ".lock")
    try:
        with files.os_errors(RunError, "make", path):
            for folder in (new.path, new.checkpoints, new.figures):
                folder.mkdir()
            lock.acquire()
            texts = {
                new.recipe_path: recipe_yaml,
                new.identity_path: new_identity(path.name),
                new.env_path: json_text(env),
                new.metrics_path: "",
                **({new.facts_path: facts_text(facts)} if facts is not None else {}),
            }
            for file, text in texts.items():
                file.write_bytes(text.encode("utf-8"))
                files.sync(file)
            files.sync(new.path)
            # the lock moves with the folder, so the new name is never unlocked
            os.rename(new.path, path)
            files.sync(root)
    except BaseException:
        lock.release()
        files.remove(new.path)
        raise
    lock.path = path / ".lock"
    return RunFolder(path, lock)


def _resume(found: Found, recipe_yaml: str, env: Mapping[str, Any], facts: Optional[Facts]) -> RunFolder:
    run = found.run
    if run.finished and not found.lengthened:
        if value_of(found.changes, PATH) is not None:
            _store(found, recipe_yaml, facts)
        return RunFolder(run.path, resumed=True)
    lock = files.FileLock(run.path / ".lock")
    with files.os_errors(RunError, "lock", lock.path):
        if not lock.acquire():
            remedy = f"wait until it ends, or give {option('fresh', True)} to start a new folder beside it"
            raise RunError(f"{run.path} is in use by {lock.holder()};\n{remedy}")
    if run.finished and not found.lengthened:  # by the process that held the lock before
        lock.release()
        return RunFolder(run.path, resumed=True)
    try:
        with files.os_errors(RunError, "go on in", run.path):
            for folder in (run.path, run.checkpoints, run.figures):
                folder.mkdir(exist_ok=True)
                files.remove_temporaries(folder)
        metrics.mend(run.metrics_path)
        _note_changes(found, env)
        _store(found, recipe_yaml, facts)
    except BaseException:
        lock.release()
        raise
    return RunFolder(run.path, lock, resumed=True)


def _store(found: Found, recipe_yaml: str, facts: Optional[Facts]) -> None:
    """Replace the recipe and the facts of a run if they have changed.

    Raises:
        RunError: the data are not those of the run, or a file cannot be written.
    """
    run = found.run
    if facts is not None:
        stored = run.facts()
        if stored is not None and stored.placed_as(facts) != facts:
            raise RunError(f"{run.path} was started meanwhile, and with other data; start again")
        if stored != facts:
            run.store_facts(facts)
    if found.changes:
        with files.os_errors(RunError, "write", run.recipe_path):
            if found.lengthened and run.finished:
                # first, so that a lengthened run never looks finished
                run.finished_path.unlink()
                files.sync(run.path)
            files.write_text(run.recipe_path, recipe_yaml)


def _note_changes(found: Found, env: Mapping[str, Any]) -> None:
    """Append the differences to the last start, in environment and recipe, to env.json."""
    stored = found.run.env()
    resumed = stored.get("resumed", [])
    latest = {key: value for part in [stored, *resumed] for key, value in part.items() if key != "resumed"}
    current = json.loads(json_text(env))
    changes = {key: value for key, value in current.items() if key not in latest or latest[key] != value}
    if found.changes:
        changes["recipe"] = {change.key: [change.old, change.new] for change in found.changes}
    if changes:
        write_json(found.run.env_path, {**stored, "resumed": [*resumed, changes]})
