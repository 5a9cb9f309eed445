"""Search for the run that a recipe continues, among the folders ``NAME``, ``NAME-2``, ``NAME-3``, ..."""

from __future__ import annotations

import json
import os
import re
import uuid
from pathlib import Path
from typing import Any, Iterator, List, NamedTuple, Optional, Tuple

from gluon_nrm.errors import RunError
from gluon_nrm.option_names import option
from gluon_nrm.recipe.yaml_io import read_plain
from gluon_nrm.runs.continuing import EPOCHS, PATH, Change, refused, value_of
from gluon_nrm.runs.run_folder import RunFolder, json_text
from gluon_nrm.runs.suggest_run import enclosing_run, missing_run_remedy, suggest_run
from gluon_nrm.storage import files
from gluon_nrm.storage.json_io import SourceFile, read_json, read_keys

_MISSING = object()


class Found(NamedTuple):
    """A run that a recipe continues."""

    run: RunFolder
    #: allowed changes of the recipe
    changes: List[Change]

    @property
    def lengthened(self) -> bool:
        """True if the new recipe has more epochs."""
        change = value_of(self.changes, EPOCHS)
        return change is not None and change.new > change.old

    @property
    def complete(self) -> bool:
        """True if there is nothing left to train and the path of the data is the same."""
        return self.run.finished and not self.lengthened and value_of(self.changes, PATH) is None


def find_run(root: Path, name: str, recipe_yaml: str) -> Optional[Found]:
    """Find the newest run of this exact recipe, else the newest run that it may continue.

    Folders without any file of a run are ignored, and so are copies beside the original run.

    Args:
        root: the folder of all runs.
        name: see ``run_name``.
        recipe_yaml: the complete recipe.

    Returns:
        None if there is no run of that name.

    Raises:
        RunError: all runs of that name hold other recipes, or one of them is damaged.
    """
    recipe = read_plain(recipe_yaml, lambda line: "recipe")
    others: List[Tuple[RunFolder, Change]] = []
    possible: List[Found] = []
    for run in _runs(root, name):
        check_is_run(run)
        changes = differences(run.recipe(), recipe)
        if not changes:
            return Found(run, [])
        other = refused(changes, len(run.read_metrics()))
        if other is None:
            possible.append(Found(run, changes))
        else:
            others.append((run, other))
    if possible or not others:
        return possible[0] if possible else None
    run, change = others[0]
    raise RunError(
        f"{run.path} holds another recipe: {change.key} is {_shown(change.old)} in it, {_shown(change.new)} "
        f"here;\ngive {option('fresh', True)} to start a new folder beside it"
    )


def check_is_run(run: RunFolder) -> None:
    """Check that a folder exists and holds the files that every run has.

    Raises:
        RunError: it does not.
    """
    if not files.exists(run.path, RunError):
        raise RunError(f"{run.path}: there is no such run folder; {missing_run_remedy(run.path)}")
    if not files.is_dir(run.path, RunError):
        meant = suggest_run(run.path)
        remedy = f"did you mean {meant}?" if meant else "give the folder of a run, or move the file away"
        raise RunError(f"{run.path} is a file, no run folder; {remedy}")
    for path in _needed(run):
        if not files.is_file(path, RunError):
            inside = [child.parent for child in files.find_files(run.path, "*/recipe.yaml", RunError)]
            outside = enclosing_run(run.path)
            remedy = f"did you mean {outside}?" if outside else "give another folder, or put it back"
            if inside:
                remedy = f"give a folder in it, such as {inside[0]}"
            raise RunError(f"{run.path} is no run folder: {path.name} is missing; {remedy}")


def new_identity(name: str) -> str:
    """Make the contents of ``run.json`` for a new run in the folder ``name``."""
    return json_text({"folder": name, "id": uuid.uuid4().hex})


def first_difference(old: Any, new: Any) -> Optional[Change]:
    """Return the first difference of two nested dictionaries; None if they are equal."""
    found = differences(old, new)
    return found[0] if found else None


def differences(old: Any, new: Any) -> List[Change]:
    """List the differences of two nested dictionaries: (dotted key, old value, new value).

    The value of a key that one of them lacks is the string ``missing``.
    """
    old_items, new_items = dict(_flatten(old)), dict(_flatten(new))
    found = []
    for key in dict.fromkeys([*new_items, *old_items]):
        a, b = old_items.get(key, _MISSING), new_items.get(key, _MISSING)
        if a != b or isinstance(a, bool) != isinstance(b, bool):
            found.append(Change(key, "missing" if a is _MISSING else a, "missing" if b is _MISSING else b))
    return found


def _runs(root: Path, name: str) -> List[RunFolder]:
    """List the runs of a name, newest first."""
    if not files.is_dir(root, RunError):
        return []
    pattern = re.compile(re.escape(name) + r"(?:-(\d+))?")
    names = [path.name for path in files.list_folder(root, RunError)]
    matches = [match for match in map(pattern.fullmatch, names) if match]
    matches.sort(key=lambda match: -int(match.group(1) or 1))
    runs = [RunFolder(root / match.group()) for match in matches]
    return [run for run in runs if not _is_nothing(run) and not _is_copy(run)]


def _needed(run: RunFolder) -> Tuple[Path, Path, Path]:
    return run.recipe_path, run.env_path, run.metrics_path


def _is_nothing(run: RunFolder) -> bool:
    """True for a folder without any file of a run, such as an empty one."""
    return not any(files.exists(path, RunError) for path in _needed(run))


def _is_copy(run: RunFolder) -> bool:
    """True if a folder was copied from another run beside it that still exists."""
    identity = _identity(run)
    if identity is None or identity[0] == run.path.name:
        return False
    return _identity(RunFolder(run.path.parent / identity[0])) == identity


def _identity(run: RunFolder) -> Optional[Tuple[str, str]]:
    """Read a run's first folder name and its identity; None if it has none."""
    if not files.is_file(run.identity_path, RunError):
        return None
    source = SourceFile(str(run.identity_path), RunError, "remove it")
    found = read_json(run.identity_path, RunError, remedy="remove it")
    read_keys(found, {"folder": str, "id": str}, source, optional={})
    if found["folder"] != os.path.basename(found["folder"]):
        source.damaged("folder must be the name of a folder")
    return found["folder"], found["id"]


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


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
