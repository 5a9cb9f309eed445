"""Find ``gluon_nrm`` in this checkout and tune the process; tools that work without MXNet import this first.

    import _package  # noqa: F401  (first: finds gluon_nrm)

Python searches the folder of a script for modules, not the checkout above it, so the checkout is added here.
If the package cannot be imported, its error is printed as one line. This module also handles Ctrl-C while the
tool starts, and standard streams that are closed.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import NoReturn, Optional

INTERRUPTED = 130


def _leave(number: int, frame: Optional[FrameType]) -> NoReturn:
    """End at once: there is nothing to save, and a half-imported library would print a traceback."""
    with suppress(OSError):
        os.write(2, b"interrupted\n")
    os._exit(INTERRUPTED)


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


def _is_tool() -> bool:
    """Return True if this process runs a tool, False if it only imports one."""
    script = getattr(sys.modules["__main__"], "__file__", None) or ""
    return os.path.dirname(os.path.realpath(script)) == os.path.dirname(os.path.realpath(__file__))


if _is_tool():
    _open_closed_streams()
    # Ctrl-C that is ignored (a background job) stays ignored until training begins.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)

import importlib  # noqa: E402
from pathlib import Path  # noqa: E402

#: The checkout this script belongs to.
ROOT = Path(__file__).resolve().parents[1]


def import_or_leave(name: str) -> None:
    """Import a module; if the package raises its own error, print it as one line and exit."""
    try:
        importlib.import_module(name)
    except Exception as problem:
        # told by its attribute: its class is in the package that could not be imported
        exit_code = getattr(problem, "exit_code", None)
        if exit_code is None:
            raise
        with suppress(OSError):
            sys.stderr.write(f"error: {problem}\n")
        raise SystemExit(exit_code) from None


sys.path.insert(0, str(ROOT))
import_or_leave("gluon_nrm")
if _is_tool():
    # MXNet reads some of these settings when it is imported
    importlib.import_module("gluon_nrm.system.tune").tune()
