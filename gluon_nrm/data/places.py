"""Where the files of a data set are looked for, and what is said where they are not."""

from __future__ import annotations

import shlex
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, List, Optional, Sequence, Type

from gluon_nrm.data.registry import Source
from gluon_nrm.errors import DataError, MissingData
from gluon_nrm.files import os_errors

UNREADABLE = "check that it is whole, or remove it and get it again"


def find(source: Source, name: str, files: Sequence[str]) -> Optional[Path]:
    """The first of ``files`` that is there, in the folder of the data set or in that of all data sets."""
    for folder in folders(source, name):
        for path in map(folder.joinpath, files):
            if path.exists():
                return path
    return None


def folders(source: Source, name: str) -> List[Path]:
    """Folders that may hold the files of the data set called ``name``; the first is where they belong."""
    own = source.folder(name)
    return [own] if source.path is not None else [own, source.data_dir]


def missing(source: Source, name: str, file: str) -> MissingData:
    """The error for a file that is nowhere: which one, and the command that gets it."""
    command = ["python", "tools/prepare_data.py", name]
    if source.data_dir != Path("data"):
        command += ["--data-dir", str(source.data_dir)]
    return MissingData(f"{source.folder(name) / file} is missing; get it: {shlex.join(command)}")


@contextmanager
def reading(path: Path, kind: str, *damage: Type[Exception]) -> Iterator[None]:
    """Turn what goes wrong while the body reads a file into errors that name it.

    Parameters
    ----------
    kind    What the file should be: "a .gz file".
    damage  Exceptions that mean it is not, beside those of decompression.

    Raises
    ------
    DataError  The file cannot be read, or is not what it should be.
    """
    try:
        yield
    except (OSError, EOFError, zlib.error) + damage as problem:
        # an OSError of the system has a number, one of a decoder has none
        if isinstance(problem, OSError) and problem.errno is not None:
            with os_errors(DataError, "read", path):
                raise
        reason = str(problem) or type(problem).__name__
        raise DataError(f"{path} is damaged or not {kind} ({reason}); {UNREADABLE}") from problem
