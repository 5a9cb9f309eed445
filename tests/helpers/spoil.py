"""Ways to spoil a folder, for tests of what is said about it; each returns what does it to a given folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Callable, Dict

import numpy as np

from gluon_nrm.runs.checkpoint import load_checkpoint, save_checkpoint

Change = Callable[[Path], Any]


def edit(file: str, old: str, new: str) -> Change:
    """Replace a part of a text file, which must be there."""

    def change(folder: Path) -> None:
        text = (folder / file).read_text(encoding="utf-8")
        assert old in text
        (folder / file).write_text(text.replace(old, new, 1), encoding="utf-8")

    return change


def write(file: str, data: bytes) -> Change:
    """Replace the whole of a file."""
    return lambda folder: (folder / file).write_bytes(data)


def remove(*files: str) -> Change:
    """Remove files, and folders with all in them."""

    def change(folder: Path) -> None:
        for path in map(folder.joinpath, files):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return change


def cut(file: str) -> Change:
    """Cut the end off a file."""
    return lambda folder: (folder / file).write_bytes((folder / file).read_bytes()[:-9])


def flip(file: str) -> Change:
    """Flip one bit in the middle of a file."""

    def change(folder: Path) -> None:
        data = bytearray((folder / file).read_bytes())
        data[len(data) // 2] ^= 1
        (folder / file).write_bytes(data)

    return change


def student(checkpoints: str, how: Callable[[Dict[str, np.ndarray]], Any]) -> Change:
    """In place of the newest checkpoint another one, intact, whose student was changed by ``how``."""

    def change(folder: Path) -> None:
        found = load_checkpoint(folder / checkpoints)
        assert found is not None
        how(found.arrays["student"])
        shutil.rmtree(found.path)
        save_checkpoint(folder / checkpoints, found.epoch, found.arrays, found.state)

    return change
