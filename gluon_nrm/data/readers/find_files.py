"""Where the files of a data set are looked for, and what is said where they are not."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import List, Optional, Sequence

from gluon_nrm.data.sets.registry import Source
from gluon_nrm.errors import DataError, MissingData
from gluon_nrm.storage.files import exists

#: Folders in those folders where other libraries keep the same files: torchvision's.
_INNER = {"mnist": ("MNIST/raw", "raw")}


def find_file(source: Source, name: str, files: Sequence[str]) -> Optional[Path]:
    """The first of ``files`` that is there, in the folder of the data set or in that of all data sets."""
    for folder in search_folders(source, name):
        for path in map(folder.joinpath, files):
            if exists(path, DataError):
                return path
    return None


def search_folders(source: Source, name: str) -> List[Path]:
    """Folders that may hold the files of the data set called ``name``; the first is where they belong."""
    own = source.folder(name)
    usual = [own] if source.path is not None else [own, source.data_dir]
    return usual + [folder / inner for inner in _INNER.get(name, ()) for folder in usual]


def missing_file(source: Source, name: str, file: str) -> MissingData:
    """The error for a file that is nowhere: which one, and the command that gets it."""
    command = ["python", "tools/prepare_data.py", name]
    if source.data_dir != Path("data"):
        command += ["--data-dir", str(source.data_dir)]
    return MissingData(f"{source.folder(name) / file} is missing; get it: {shlex.join(command)}")
