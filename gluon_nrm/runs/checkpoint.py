"""Checkpoints, saved atomically and verified byte by byte when they are loaded.

``checkpoints/`` holds one folder a checkpoint (``epoch_0012``, see ``checkpoint_files``) and the file
``LAST`` with the name of the newest, which is written last. A folder gets its name when all of it is on the
disk, and is renamed before any of it is deleted.
"""

from __future__ import annotations

import itertools
import os
import re
from pathlib import Path
from typing import Any, List, Mapping, Optional, Tuple

import numpy as np

from gluon_nrm.errors import CheckpointError
from gluon_nrm.option_names import option
from gluon_nrm.runs.checkpoint_files import Checkpoint, read_folder, write_folder
from gluon_nrm.storage import files

__all__ = ["Checkpoint", "POINTER", "check_arrays", "load_checkpoint", "save_checkpoint"]

POINTER = "LAST"


def save_checkpoint(
    folder: Path,
    epoch: int,
    arrays: Mapping[str, Mapping[str, np.ndarray]],
    state: Mapping[str, Any],
    keep: int = 2,
) -> Path:
    """Save a checkpoint, point ``LAST`` at it, then delete all but the newest ``keep``.

    A process killed at any moment leaves the checkpoints that were there before, or this one as well.

    Args:
        folder: the folder of all checkpoints; made if it is not there.
        epoch: epochs completed.
        arrays: file name without suffix -> entry name -> array.
        state: counters and other values that JSON can hold.
        keep: number of checkpoints to keep, at least 1.

    Returns:
        The folder of the new checkpoint.

    Raises:
        CheckpointError: the disk is full or cannot be written to; what was saved before is untouched.
    """
    if keep < 1:
        raise ValueError(f"keep must be at least 1, not {keep}")
    with files.os_errors(CheckpointError, "save a checkpoint in", folder):
        folder.mkdir(parents=True, exist_ok=True)
        path = _free_path(folder, epoch)
        temporary = files.temporary_path(path)
        try:
            write_folder(temporary, epoch, arrays, state)
            os.rename(temporary, path)
        except BaseException:
            files.remove(temporary)
            raise
        files.sync(folder)
        files.write_text(folder / POINTER, path.name + "\n")
        _drop_others(folder, path, epoch, keep)
    return path


def load_checkpoint(folder: Path) -> Optional[Checkpoint]:
    """Load the newest checkpoint and verify every byte of it; None if none was ever saved.

    If ``LAST`` or the folder it names was removed, the newest remaining checkpoint is loaded.

    Raises:
        CheckpointError: it is damaged or cannot be read; the message names the file and the remedy.
    """
    while True:
        path = _newest(folder)
        if path is None:
            return None
        try:
            return read_folder(path)
        except CheckpointError as problem:
            if path != _newest(folder):
                continue  # a training process has meanwhile saved newer ones and deleted this one
            raise CheckpointError(f"{problem};\n{_remedy(folder, path)}") from problem


def check_arrays(
    expected: Mapping[str, Tuple[int, ...]],
    found: Mapping[str, np.ndarray],
    where: str,
    dtype: Any = np.float32,
) -> None:
    """Check the arrays of a checkpoint before a network takes them.

    Args:
        expected: entry name -> shape.
        found: entry name -> array.
        where: name of the source in messages, such as the path of the file.
        dtype: required type of every array.

    Raises:
        CheckpointError: naming the first entry that is missing, unexpected, misshapen or not finite.
    """
    remedy = "the checkpoint belongs to another network: use the recipe it was trained with"
    missing = [name for name in expected if name not in found]
    if missing:
        raise CheckpointError(f"{where}: entry {missing[0]!r} is missing{_more(missing)};\n{remedy}")
    unexpected = [name for name in found if name not in expected]
    if unexpected:
        raise CheckpointError(f"{where}: unexpected entry {unexpected[0]!r}{_more(unexpected)};\n{remedy}")
    for name, shape in expected.items():
        array = found[name]
        if array.shape != tuple(shape):
            raise CheckpointError(f"{where}: {name!r} has shape {array.shape}, not {tuple(shape)};\n{remedy}")
        if array.dtype != np.dtype(dtype):
            raise CheckpointError(f"{where}: {name!r} is {array.dtype}, not {np.dtype(dtype)};\n{remedy}")
        if array.dtype.kind in "fc" and not np.isfinite(array).all():
            count = int(array.size - np.isfinite(array).sum())
            raise CheckpointError(
                f"{where}: {name!r} has {count} values that are not finite; go back to an earlier checkpoint"
            )


def _more(names: List[str]) -> str:
    return f" (and {len(names) - 1} more)" if len(names) > 1 else ""


def _free_path(folder: Path, epoch: int) -> Path:
    # an epoch that was saved before keeps its folder until LAST names the new one
    first = f"epoch_{epoch:04d}"
    names = itertools.chain([first], (f"{first}-{number}" for number in itertools.count(2)))
    return next(folder / name for name in names if not files.is_taken(folder / name, CheckpointError))


def _listing(folder: Path) -> List[Tuple[int, int, Path]]:
    """List the checkpoints, oldest first: (epoch, number of the save of that epoch, path)."""
    if not files.is_dir(folder, CheckpointError):
        return []
    paths = files.list_folder(folder, CheckpointError)
    matches = [(re.fullmatch(r"epoch_(\d+)(?:-(\d+))?", path.name), path) for path in paths]
    return sorted((int(match.group(1)), int(match.group(2) or 1), path) for match, path in matches if match)


def _drop_others(folder: Path, newest: Path, epoch: int, keep: int) -> None:
    # later epochs are left over from before the run went back to an earlier checkpoint
    by_epoch = {number: path for number, _, path in _listing(folder) if number < epoch}
    kept = [newest, *[by_epoch[number] for number in sorted(by_epoch, reverse=True)][: keep - 1]]
    for _, _, path in _listing(folder):
        if path not in kept:
            # renamed first: a half deleted folder must not look like a checkpoint
            doomed = files.temporary_path(path)
            os.rename(path, doomed)
            files.remove(doomed)


def _newest(folder: Path) -> Optional[Path]:
    pointer = folder / POINTER
    paths = [path for _, _, path in _listing(folder)]
    if not files.exists(pointer, CheckpointError):
        return paths[-1] if paths else None
    with files.os_errors(CheckpointError, "read", pointer):
        name = files.read_file(pointer).decode("utf-8", errors="replace").strip()
    if folder / name in paths:
        return folder / name
    if not re.fullmatch(r"epoch_\d+(-\d+)?", name):
        raise CheckpointError(
            f"{pointer} is damaged: it names no checkpoint; remove it to take the newest one"
        )
    if not paths:
        raise CheckpointError(
            f"{folder / name} is missing, and no other checkpoint is there; put it back, or give "
            f"{option('fresh', True)}"
        )
    return paths[-1]


def _remedy(folder: Path, damaged: Path) -> str:
    for epoch, _, path in reversed(_listing(folder)):
        if path != damaged and _is_intact(path):
            return f"remove the folder {damaged} to go on from epoch {epoch}"
    fresh = option("fresh", True)
    return f"there is no other intact checkpoint: put the file back, or give {fresh} to start again"


def _is_intact(path: Path) -> bool:
    try:
        read_folder(path)
    except CheckpointError:
        return False
    return True
