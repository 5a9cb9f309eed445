"""Find the files of a data set; tell the user how to get missing ones."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import List, Optional, Sequence

from gluon_nrm.data.sets.registry import DataSource
from gluon_nrm.errors import DataError, MissingData
from gluon_nrm.storage.files import exists

#: Subfolders in which torchvision keeps the same files.
_INNER = {"mnist": ("MNIST/raw", "raw")}


def find_file(source: DataSource, name: str, files: Sequence[str]) -> Optional[Path]:
    """Return the first of ``files`` that exists, in the data set's folder or in that of all data sets."""
    for folder in search_folders(source, name):
        for path in map(folder.joinpath, files):
            if exists(path, DataError):
                return path
    return None


def search_folders(source: DataSource, name: str) -> List[Path]:
    """Return the folders that may hold the files of data set ``name``; they belong in the first."""
    own = source.folder(name)
    usual = [own] if source.path is not None else [own, source.data_dir]
    return usual + [folder / inner for inner in _INNER.get(name, ()) for folder in usual]


def missing_file(source: DataSource, name: str, file: str) -> MissingData:
    """Make the error for a missing file, with the command that gets it."""
    command = ["python", "tools/prepare_data.py", name]
    if source.data_dir != Path("data"):
        command += ["--data-dir", str(source.data_dir)]
    return MissingData(f"{source.folder(name) / file} is missing; get it: {shlex.join(command)}")
