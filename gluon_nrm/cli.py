"""What the command-line tools share: an option, how they end, and the exit code that a script sees."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from typing import Callable, NoReturn, Sequence

from gluon_nrm.errors import NRMError, visible

# As a shell reports a program that a signal ended: 128 + the signal's number.
INTERRUPTED = 130
PIPE_CLOSED = 141


class ToolParser(argparse.ArgumentParser):
    """Parser of a tool's arguments that quotes them so that they are safe to print."""

    def error(self, message: str) -> NoReturn:
        """Leave with exit code 2 and the message."""
        super().error(visible(message))


def run_tool(main: Callable[[Sequence[str]], int]) -> NoReturn:
    """Run a tool's ``main`` on the command line's arguments and leave with its exit code.

    A user's mistake (``NRMError``) becomes ``error: message`` and the error's own exit code; Ctrl-C one word
    and 130; a reader that went away (``| head``) ends the tool without a word. Anything else is a defect of
    ours: its traceback stays. A worker of a distributed job that fails ends at once.
    """
    try:
        code = main(sys.argv[1:])
        # Here, and not when Python shuts down, where a closed pipe could no longer be dealt with.
        sys.stdout.flush()
    except NRMError as error:
        sys.stderr.write(f"error: {error}\n")
        code = error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        code = INTERRUPTED
    except BrokenPipeError:
        # What is still buffered has to go somewhere when Python shuts down.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = PIPE_CLOSED
    except Exception:
        if not _is_worker():
            raise
        traceback.print_exc()
        code = 1
    if code and _is_worker():
        # in order, MXNet would wait for all other workers, which may wait for this one
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    raise SystemExit(code)


def _is_worker() -> bool:
    """Whether this process is one of a distributed job's workers."""
    return os.environ.get("DMLC_ROLE") == "worker"


def add_data_dir(parser: argparse.ArgumentParser) -> None:
    """Give a tool the option ``--data-dir``; it is None where it is not used."""
    parser.add_argument(
        "--data-dir", metavar="DIR", help="folder of all data sets (default: $GLUON_NRM_DATA, else data)"
    )
