"""Shared code of the command-line tools: parser, options, error messages and exit codes."""

from __future__ import annotations

import argparse
import errno
import os
import sys
import traceback
from pathlib import Path
from typing import Any, Callable, NoReturn, Optional, Sequence, TextIO

from gluon_nrm.console.display import say
from gluon_nrm.console.signals import INTERRUPTED, Interrupt, interruptible
from gluon_nrm.console.unicode_output import make_streams_safe
from gluon_nrm.console.wrong_options import Replace, explain, explain_unknown
from gluon_nrm.errors import NRMError, visible
from gluon_nrm.option_names import command_line
from gluon_nrm.storage.files import expand_path
from gluon_nrm.system.commands import usage_name, with_commands

PIPE_CLOSED = 141

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class ToolParser(argparse.ArgumentParser):
    """Argument parser of a command; its usage and help name the command as the user typed it.

    Args:
        command: name of the command, such as "train"; "": usage and errors name the program.
        description: help text; its lines are printed as they are.
        replace: the words in place of an option that the command does not have, if it knows any.
        options: more arguments of ``argparse.ArgumentParser``.
    """

    def __init__(
        self,
        command: str = "",
        description: Optional[str] = None,
        replace: Optional[Replace] = None,
        **options: Any,
    ) -> None:
        self._command, self._text, self._replace = command, description, replace
        if command:
            options["prog"] = usage_name(command)
        if description is not None:
            description = with_commands(description)
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(description=description, allow_abbrev=False, **options)

    def parse_args(  # type: ignore[override]
        self, args: Optional[Sequence[str]] = None, namespace: Optional[argparse.Namespace] = None
    ) -> argparse.Namespace:
        """Parse arguments; end with a message that names the option or line that was meant."""
        words = list(sys.argv[1:] if args is None else args)
        options, unknown = self.parse_known_args(words, namespace)
        if unknown:
            self.error(explain_unknown(self, self._command, unknown[0], words, self._replace))
        return options

    def error(self, message: str) -> NoReturn:
        """Leave with exit code 2 and one line that says what to type instead."""
        self.exit(2, f"{self.prog}: error: {visible(explain(message, self._command, self._text))}\n")


def run_tool(main: Callable[[Sequence[str]], int], arguments: Optional[Sequence[str]] = None) -> NoReturn:
    """Run ``main`` on ``arguments``, by default those of the process, and exit with its exit code.

    An ``NRMError`` is printed as ``error: message``, and its exit code is used. Ctrl-C prints one word and
    exits with 130 (training stopped by SIGTERM or SIGHUP: 143 or 129). A closed pipe (``| head``) ends the
    tool silently. Any other exception is a bug and keeps its traceback. A worker of a distributed job that
    fails ends at once.
    """
    make_streams_safe()
    with command_line(), interruptible() as interrupt:
        try:
            code = _call(main, sys.argv[1:] if arguments is None else arguments, interrupt)
        except KeyboardInterrupt:  # one that came while the first was dealt with
            code = INTERRUPTED
            _leave_job(code)
        _leave_job(code)
        _let_go_of_streams()
    raise SystemExit(code)


def _leave_job(code: int) -> None:
    """End a worker that failed, at once.

    In order, MXNet would wait for all other workers, which may wait for this one. It waits when the kvstore
    is freed, so call this while the error is handled: its frames hold the kvstore.
    """
    if code and _is_worker():
        _let_go_of_streams()
        os._exit(code)


def _call(main: Callable[[Sequence[str]], int], arguments: Sequence[str], interrupt: Interrupt) -> int:
    """Run ``main``, print its error if there is one, and return the exit code."""
    try:
        code = _exit_code(main, arguments)
        # Here, and not when Python shuts down, where a closed pipe could no longer be dealt with.
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except (Exception, KeyboardInterrupt) as problem:
        code = _report(problem, interrupt)
        _leave_job(code)
        return code


def _report(problem: BaseException, interrupt: Interrupt) -> int:
    """Print an error as a user should read it, and return its exit code; a bug is raised again."""
    if isinstance(problem, NRMError):
        say(f"error: {problem}")
        return problem.exit_code
    if isinstance(problem, BrokenPipeError):
        return PIPE_CLOSED
    # after Ctrl-C, a library may have made another error of it
    if isinstance(problem, KeyboardInterrupt) or interrupt.came:
        say("interrupted")
        return getattr(problem, "exit_code", INTERRUPTED)
    # errors of files name them: this one is of what was printed
    if isinstance(problem, OSError) and problem.errno in _FULL and problem.filename is None:
        say(f"error: cannot write the output: {problem.strerror}; free some space and start again")
        return NRMError.exit_code
    if not _is_worker():
        raise problem
    traceback.print_exc()
    return 1


def _exit_code(main: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> int:
    """Run ``main`` and return its exit code, or that of argparse.

    Raises:
        NRMError: a path cannot be written in the encoding of file names.
    """
    try:
        return main(arguments)
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
    """Return True if the stream cannot be flushed."""
    try:
        stream.flush()
    except (OSError, ValueError):
        return True
    return False


def _let_go_of_streams() -> None:
    """Redirect lost streams to the null device, or they would change the exit code when Python shuts down."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and _is_lost(stream):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)


def _is_worker() -> bool:
    """Return True in a worker of a distributed job."""
    return os.environ.get("DMLC_ROLE") == "worker"


def place(text: str) -> Path:
    """Convert an option to a path, with ``~`` and ``$VAR`` expanded (a shell leaves them in ``--out=~/x``).

    Raises:
        NRMError: a variable is not set, or the home folder does not exist.
    """
    return expand_path(Path(text), NRMError)


def pattern(text: str) -> str:
    """Expand ``~`` and ``$VAR`` in a path or glob pattern; return it unchanged if there are none."""
    expanded = place(text)
    return text if expanded == Path(text) else str(expanded)


def add_data_dir(parser: argparse.ArgumentParser) -> None:
    """Add the option ``--data-dir``, whose default is None."""
    parser.add_argument(
        "--data-dir",
        type=place,
        metavar="DIR",
        help="folder of all data sets (default: $GLUON_NRM_DATA, else data)",
    )
