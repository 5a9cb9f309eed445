"""What is said of a file that cannot be read or is damaged."""

from __future__ import annotations

import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Type, Union

from gluon_nrm.errors import DataError
from gluon_nrm.storage.files import os_errors

UNREADABLE = "check that it is whole, or remove it and get it again"


@contextmanager
def read_errors(path: Union[str, Path], kind: str, *damage: Type[Exception]) -> Iterator[None]:
    """Turn what goes wrong while the body reads a file into errors that name it.

    Parameters
    ----------
    path    The file, or how messages name a part of it.
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
            with os_errors(DataError, "read", Path(path)):
                raise
        reason = str(problem) or type(problem).__name__
        raise DataError(f"{path} is damaged or not {kind} ({reason}); {UNREADABLE}") from problem
