"""Errors of files that cannot be read or are damaged."""

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
    """Turn exceptions of the body, which reads a file, into errors that name the file.

    Args:
        path: the file, or the name of a part of it for messages.
        kind: expected kind of file, e.g. "a .gz file".
        damage: exceptions that mean damage, besides those of decompression.

    Raises:
        DataError: the file cannot be read, is damaged or of another kind.
    """
    try:
        yield
    except (OSError, EOFError, zlib.error) + damage as problem:
        # an OSError of the system has a number, an OSError of a decoder has none
        if isinstance(problem, OSError) and problem.errno is not None:
            with os_errors(DataError, "read", Path(path)):
                raise
        reason = str(problem) or type(problem).__name__
        raise DataError(f"{path} is damaged or not {kind} ({reason}); {UNREADABLE}") from problem
