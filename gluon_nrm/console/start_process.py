"""Prepare a process for a command, before anything large is imported: standard streams and Ctrl-C."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import NoReturn, Optional

INTERRUPTED = 130


def prepare_process() -> None:
    """Open closed standard streams; until ``run_tool`` takes over, let Ctrl-C end the process with one line.

    Ctrl-C that is ignored (a background job) stays ignored until training begins.
    """
    _open_closed_streams()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


def _open_closed_streams() -> None:
    """Open closed standard streams (``2>&-``) as the null device, or the next file would get their number."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            # opens the lowest free number, which is this one
            os.open(os.devnull, os.O_RDONLY if mode == "r" else os.O_WRONLY)
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115


def _leave(number: int, frame: Optional[FrameType]) -> NoReturn:
    """End at once: there is nothing to save, and a half-imported library would print a traceback."""
    with suppress(OSError):
        os.write(2, b"interrupted\n")
    os._exit(INTERRUPTED)
