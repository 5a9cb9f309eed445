"""Find the files of a data set; tell the user how to get missing ones."""

from __future__ import annotations

from pathlib import Path
from typing import List, Optional, Sequence

from gluon_nrm.data.sets.registry import DataSource
from gluon_nrm.errors import DataError, MissingData
from gluon_nrm.storage.files import exists
from gluon_nrm.system.commands import command

#: Subfolders in which torchvision keeps the same files.
_INNER = {"mnist": ("MNIST/raw", "raw"), "fashion_mnist": ("FashionMNIST/raw", "raw")}
#: Debian's package of a data set and the folder it installs, which is read after the user's folders.
_PACKAGES = {"fashion_mnist": ("dataset-fashion-mnist", Path("/usr/share/datasets/fashion-mnist"))}


def find_file(source: DataSource, name: str, files: Sequence[str]) -> Optional[Path]:
    """Return the first of ``files`` that exists.

    The data set's folder comes first, then the folder of all data sets, then that of a system package.
    """
    packaged = [_PACKAGES[name][1]] if name in _PACKAGES and source.path is None else []
    for folder in search_folders(source, name) + packaged:
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
    where = [] if source.data_dir == Path("data") else ["--data-dir", str(source.data_dir)]
    line = command("data", name, *where)
    package = f" (on Debian: apt install {_PACKAGES[name][0]})" if name in _PACKAGES else ""
    return MissingData(f"{source.folder(name) / file} is missing; get it: {line}{package}")
