"""What the command-line tools share: an option, how they end, and the exit code that a script sees."""

from __future__ import annotations

import argparse
import errno
import os
import sys
import traceback
from pathlib import Path
from typing import Callable, NoReturn, Sequence, TextIO

from gluon_nrm.console.display import say
from gluon_nrm.console.interrupts import INTERRUPTED, Interrupt, interruptible
from gluon_nrm.console.streams import make_streams_safe
from gluon_nrm.errors import NRMError, visible
from gluon_nrm.storage.files import expand_home

PIPE_CLOSED = 141

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class ToolParser(argparse.ArgumentParser):
    """Parser of a tool's arguments that quotes them so that they are safe to print."""

    def error(self, message: str) -> NoReturn:
        """Leave with exit code 2 and the message."""
        super().error(visible(message))


def run_tool(main: Callable[[Sequence[str]], int]) -> NoReturn:
    """Run a tool's ``main`` on the command line's arguments and leave with its exit code.

    A user's mistake (``NRMError``) becomes ``error: message`` and the error's own exit code; Ctrl-C one word
    and 130 (143 and 129 where training was stopped by SIGTERM or SIGHUP); a reader that went away
    (``| head``) ends the tool without a word. Anything else is a defect of ours: its traceback stays. A
    worker of a distributed job that fails ends at once.
    """
    make_streams_safe()
    with interruptible() as interrupt:
        try:
            code = _call(main, interrupt)
        except KeyboardInterrupt:  # one that came while the first was dealt with
            code = INTERRUPTED
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                _let_go(stream)
        if code and _is_worker():
            # in order, MXNet would wait for all other workers, which may wait for this one
            os._exit(code)
    raise SystemExit(code)


def _call(main: Callable[[Sequence[str]], int], interrupt: Interrupt) -> int:
    """Run ``main``, say how it ended where that needs words, and return the exit code."""
    try:
        code = _exit_code(main)
        # Here, and not when Python shuts down, where a closed pipe could no longer be dealt with.
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except NRMError as error:
        say(f"error: {error}")
        return error.exit_code
    except KeyboardInterrupt as stop:
        say("interrupted")
        return getattr(stop, "exit_code", INTERRUPTED)
    except BrokenPipeError:
        return PIPE_CLOSED
    except Exception as problem:
        if interrupt.came:  # a library has made another error of it
            say("interrupted")
            return INTERRUPTED
        # errors of files name them: this one is of what was printed
        if isinstance(problem, OSError) and problem.errno in _FULL and problem.filename is None:
            say(f"error: cannot write the output: {problem.strerror}; free some space and start again")
            return NRMError.exit_code
        if not _is_worker():
            raise
        traceback.print_exc()
        return 1


def _exit_code(main: Callable[[Sequence[str]], int]) -> int:
    """Run ``main``; the exit code that argparse leaves with (--help, a mistake it has told) is one too.

    Raises:
        NRMError: a name does not fit the encoding of file names.
    """
    try:
        return main(sys.argv[1:])
    except SystemExit as leave:
        return leave.code if isinstance(leave.code, int) else bool(leave.code)
    except UnicodeEncodeError as problem:
        # of the system's calls: a path has a character that the encoding of file names lacks
        if sys.getfilesystemencoding().lower() in ("utf-8", "utf8"):
            raise
        raise NRMError(
            f"{problem.object!r} cannot be a name of a file here, where names are in {problem.encoding}; "
            "set LC_ALL=C.UTF-8 or PYTHONUTF8=1"
        ) from problem


def _is_lost(stream: TextIO) -> bool:
    """Whether what was printed cannot be written."""
    try:
        stream.flush()
    except (OSError, ValueError):
        return True
    return False


def _let_go(stream: TextIO) -> None:
    """Send what cannot be written to nowhere: it would change the exit code when Python shuts down."""
    if _is_lost(stream):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def _is_worker() -> bool:
    """Whether this process is one of a distributed job's workers."""
    return os.environ.get("DMLC_ROLE") == "worker"


def place(text: str) -> Path:
    """The path that an option gives, with ``~`` and ``$VAR`` replaced (a shell leaves them in ``--out=~/x``).

    Raises:
        NRMError: a variable is not set, or there is no such home folder.
    """
    return expand_home(Path(text), NRMError)


def pattern(text: str) -> str:
    """The same for a path that may be a pattern, kept to the letter where nothing is replaced."""
    expanded = place(text)
    return text if expanded == Path(text) else str(expanded)


def add_data_dir(parser: argparse.ArgumentParser) -> None:
    """Give a tool the option ``--data-dir``; it is None where it is not used."""
    parser.add_argument(
        "--data-dir",
        type=place,
        metavar="DIR",
        help="folder of all data sets (default: $GLUON_NRM_DATA, else data)",
    )
