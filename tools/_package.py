"""What the tools that may do without MXNet import first: finds ``gluon_nrm`` in this checkout.

    import _package  # noqa: F401  (first: finds gluon_nrm)

Python puts the folder of a script, and not the checkout it belongs to, where it looks for modules; and the
package refuses to be imported where its MXNet would not work, before any tool could catch that. Both are
dealt with here, once. So are a Ctrl-C while the tool starts up, and standard streams that were closed.
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
    """End at once: nothing is there to be saved, and a half imported library would print a traceback."""
    with suppress(OSError):
        os.write(2, b"interrupted\n")
    os._exit(INTERRUPTED)


def _open_closed_streams() -> None:
    """Open what was closed (``2>&-``) as nowhere: the next file opened would be taken for it."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            # the lowest free number is taken, which is this one
            os.open(os.devnull, os.O_RDONLY if mode == "r" else os.O_WRONLY)
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115


def _is_tool() -> bool:
    """Whether this process is a tool, and does not only import one."""
    script = getattr(sys.modules["__main__"], "__file__", None) or ""
    return os.path.dirname(os.path.realpath(script)) == os.path.dirname(os.path.realpath(__file__))


if _is_tool():
    _open_closed_streams()
    # Where it is ignored (a script's job in the background) it stays so until training begins.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)

import importlib  # noqa: E402
from pathlib import Path  # noqa: E402

#: The checkout this script belongs to.
ROOT = Path(__file__).resolve().parents[1]


def import_or_leave(name: str) -> None:
    """Import a module; where the package refuses, say why in one line and leave."""
    try:
        importlib.import_module(name)
    except Exception as problem:
        # By its mark, not its class: that would have to be imported from the package that has just refused.
        exit_code = getattr(problem, "exit_code", None)
        if exit_code is None:
            raise
        with suppress(OSError):
            sys.stderr.write(f"error: {problem}\n")
        raise SystemExit(exit_code) from None


sys.path.insert(0, str(ROOT))
import_or_leave("gluon_nrm")
if _is_tool():
    # before MXNet is imported, which reads some of what is set
    importlib.import_module("gluon_nrm.system.tune").tune()
