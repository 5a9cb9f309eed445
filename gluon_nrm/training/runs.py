"""The folder of a run: made whole, resumed by itself, never overwritten, locked while a process trains in it.

What is inside: ``gluon_nrm.training.run_folder``.
"""

from __future__ import annotations

import itertools
import json
import os
import re
from pathlib import Path
from typing import Any, Iterator, List, Mapping, Optional, Protocol, Tuple, Union

from gluon_nrm import files
from gluon_nrm.errors import RunError
from gluon_nrm.recipe.yaml_io import read_plain
from gluon_nrm.training import metrics
from gluon_nrm.training.run_folder import RunFolder, json_text, write_json

__all__ = ["Named", "RunFolder", "first_difference", "load_run", "open_run", "run_name"]

_MISSING = object()


class Named(Protocol):
    """Anything with a name, such as a recipe."""

    @property
    def name(self) -> str:
        """The name; for a recipe the stem of its file."""


def run_name(recipe: Named, seed: int) -> str:
    """The name of a run's folder: ``NAME-sSEED``; characters unfit for a file name become ``_``."""
    return f"{re.sub(r'[^A-Za-z0-9_.+-]', '_', recipe.name)}-s{seed}"


def open_run(
    root: Path, name: str, recipe_yaml: str, env: Mapping[str, Any], fresh: bool = False
) -> RunFolder:
    """The folder to train in, locked: a new one, or the unfinished one of the same recipe.

    Folders of one name are ``NAME``, ``NAME-2``, ``NAME-3``, ...; the newest with this very recipe is taken.

    Args:
        root: the folder of all runs; made if it is not there.
        name: see ``run_name``.
        recipe_yaml: the complete recipe.
        env: versions, devices, commit: anything JSON can hold.
        fresh: take the first free name, whatever is there.

    Returns:
        The run; if it is ``finished`` it is not locked, and nothing in it was touched.

    Raises:
        RunError: what is there holds another recipe, is no run, is damaged, or is in use by another process.
    """
    with files.os_errors(RunError, "make", root):
        root.mkdir(parents=True, exist_ok=True)
    lock = files.FileLock(root / ".lock")
    with files.os_errors(RunError, "lock", lock.path):
        lock.acquire(wait=True)
    try:
        # New folders are made under this lock alone: one still under its temporary name has lost its maker.
        with files.os_errors(RunError, "list", root):
            files.remove_temporaries(root, only_folders=True)
        run = None if fresh else _find(root, name, recipe_yaml)
        return _create(root, name, recipe_yaml, env) if run is None else _resume(run, env)
    finally:
        lock.release()


def load_run(path: Union[str, Path]) -> RunFolder:
    """An existing run, to read from; it may be training at this moment.

    Raises:
        RunError: there is no such folder, it is no run folder, or a file of it is damaged.
    """
    run = RunFolder(Path(path))
    _check_is_run(run)
    run.recipe()
    run.env()
    run.read_metrics()
    return run


def _find(root: Path, name: str, recipe_yaml: str) -> Optional[RunFolder]:
    pattern = re.compile(re.escape(name) + r"(?:-(\d+))?")
    paths = files.list_folder(root, RunError)
    matches = [(match, path) for path in paths for match in [pattern.fullmatch(path.name)] if match]
    runs = [RunFolder(path) for match, path in sorted(matches, key=lambda pair: -int(pair[0].group(1) or 1))]
    recipe = read_plain(recipe_yaml, lambda line: "recipe")
    differences = []
    for run in runs:
        _check_is_run(run)
        difference = first_difference(run.recipe(), recipe)
        if difference is None:
            return run
        differences.append((run, *difference))
    if not differences:
        return None
    run, key, old, new = differences[0]
    raise RunError(
        f"{run.path} holds another recipe: {key} is {_shown(old)} in it, {_shown(new)} here;\n"
        "give --fresh to start a new folder beside it"
    )


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _create(root: Path, name: str, recipe_yaml: str, env: Mapping[str, Any]) -> RunFolder:
    names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    path = next(root / free for free in names if not files.is_taken(root / free, RunError))
    new = RunFolder(files.temporary_path(path))
    lock = files.FileLock(new.path / ".lock")
    try:
        with files.os_errors(RunError, "make", path):
            for folder in (new.path, new.checkpoints, new.figures):
                folder.mkdir()
            lock.acquire()
            files.write_text(new.recipe_path, recipe_yaml)
            files.write_text(new.env_path, json_text(env))
            files.write_text(new.metrics_path, "")
            # The lock goes with the folder: at no moment does the new name stand there unlocked.
            os.rename(new.path, path)
            files.sync(root)
    except BaseException:
        lock.release()
        files.remove(new.path)
        raise
    lock.path = path / ".lock"
    return RunFolder(path, lock)


def _resume(run: RunFolder, env: Mapping[str, Any]) -> RunFolder:
    if run.finished:
        return RunFolder(run.path, resumed=True)
    lock = files.FileLock(run.path / ".lock")
    with files.os_errors(RunError, "lock", lock.path):
        if not lock.acquire():
            remedy = "wait until it ends, or give --fresh to start a new folder beside it"
            raise RunError(f"{run.path} is in use by {lock.holder()};\n{remedy}")
    if run.finished:  # by the process that held the lock a moment ago
        lock.release()
        return RunFolder(run.path, resumed=True)
    try:
        with files.os_errors(RunError, "go on in", run.path):
            for folder in (run.path, run.checkpoints, run.figures):
                folder.mkdir(exist_ok=True)
                files.remove_temporaries(folder)
        metrics.mend(run.metrics_path)
        _note_changes(run, env)
    except BaseException:
        lock.release()
        raise
    return RunFolder(run.path, lock, resumed=True)


def _note_changes(run: RunFolder, env: Mapping[str, Any]) -> None:
    """Add what differs from the environment of the last start to env.json, so that no commit is lost."""
    stored = run.env()
    resumed = stored.get("resumed", [])
    latest = {key: value for part in [stored, *resumed] for key, value in part.items() if key != "resumed"}
    current = json.loads(json_text(env))
    changes = {key: value for key, value in current.items() if key not in latest or latest[key] != value}
    if changes:
        write_json(run.env_path, {**stored, "resumed": [*resumed, changes]})


def _check_is_run(run: RunFolder) -> None:
    if not files.exists(run.path, RunError):
        raise RunError(f"{run.path}: there is no such run folder; check the path")
    if not files.is_dir(run.path, RunError):
        raise RunError(
            f"{run.path} is a file, no run folder; give the folder of a run, or move the file away"
        )
    for path in (run.recipe_path, run.env_path, run.metrics_path):
        if not files.is_file(path, RunError):
            inside = [child.parent for child in files.find_files(run.path, "*/recipe.yaml", RunError)]
            remedy = (
                f"give a folder in it, such as {inside[0]}"
                if inside
                else "give another folder, or put it back"
            )
            raise RunError(f"{run.path} is no run folder: {path.name} is missing; {remedy}")


def first_difference(old: Any, new: Any) -> Optional[Tuple[str, Any, Any]]:
    """The first place where two nested mappings differ: (dotted key, old value, new value); None if nowhere.

    A value that is on one side only is given as the text ``missing`` for the other.
    """
    old_items, new_items = dict(_flatten(old)), dict(_flatten(new))
    for key in [*new_items, *old_items]:
        a, b = old_items.get(key, _MISSING), new_items.get(key, _MISSING)
        if a != b or isinstance(a, bool) != isinstance(b, bool):
            return key, "missing" if a is _MISSING else a, "missing" if b is _MISSING else b
    return None


def _flatten(value: Any, prefix: str = "") -> Iterator[Tuple[str, Any]]:
    children: Optional[List[Tuple[Any, Any]]] = None
    if isinstance(value, dict) and value:
        children = list(value.items())
    elif isinstance(value, list) and value:
        children = list(enumerate(value))
    if children is None:
        yield prefix, value
        return
    for key, child in children:
        yield from _flatten(child, f"{prefix}.{key}" if prefix else str(key))
