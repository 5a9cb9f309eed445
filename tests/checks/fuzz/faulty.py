"""Readers that fail on purpose, each in its own way: all have to be noticed (``--faulty``)."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

from fuzz.cases import Target

#: Bytes that a case may use, in place of 2 GiB, which take seconds to fill.
MOST_MEMORY = 2**29


def sample(folder: Path) -> None:
    (folder / "sample").mkdir()
    (folder / "sample" / "file.txt").write_text("1 2 3\n")


def crash(folder: Path, rng: random.Random) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hang(folder: Path, rng: random.Random) -> None:
    time.sleep(600)


def memory(folder: Path, rng: random.Random) -> None:
    """Take much, and keep it."""
    kept = bytearray(b"\1") * (2**29 + 2**27)
    time.sleep(600 + kept[0])


def peak(folder: Path, rng: random.Random) -> None:
    """Take much for a moment only."""
    bytearray(b"\1") * (2**29 + 2**27)


def defect(folder: Path, rng: random.Random) -> None:
    raise ZeroDivisionError


def lines(folder: Path, rng: random.Random) -> None:
    raise _error("one\ntwo\nthree")


def escapes(folder: Path, rng: random.Random) -> None:
    raise _error("\x1b[31mred")


def _error(message: str) -> Exception:
    from gluon_nrm.errors import NRMError

    class PlainError(NRMError):
        """Shows its message as it is."""

        def __str__(self) -> str:
            return message

    return PlainError(message)


TARGETS = [
    Target(read.__name__, sample, read) for read in (crash, hang, memory, peak, defect, lines, escapes)
]
