"""Run one process of a job, on any host, and kill it when the launcher ends: ``python guard.py COMMAND...``.

The command runs in its own process group. The launcher writes to the standard input of the guard, through ssh
on another host. The first line holds variables for the command, as JSON: a key must not be on a command line,
which all users see. A later line is the number of a signal for the group. When the input ends, the group is
killed, so no process stays behind on any host.

The guard itself may be killed too. Linux then kills the command (parent-death signal), and a second process,
the watch, kills what else is left in the group.

The exit code is that of the command, or 128 and the number of the signal that ended it.

It runs as a script and uses only the standard library, because a host may have nothing else.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
from typing import Callable, List

NOT_FOUND = 127
#: Name of Linux's ``prctl`` option: a signal for this process when the thread that started it ends.
PR_SET_PDEATHSIG = 1


def main(command: List[str]) -> int:
    """Run the command to its end."""
    first = sys.stdin.readline()
    if not first:
        return 128 + signal.SIGKILL  # the launcher is gone already
    os.environ.update(json.loads(first))
    watch = start_watch()
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=dies_with_parent()
        )
    except OSError as problem:
        sys.stderr.write(f"error: cannot run {command[0]!r}: {problem.strerror}\n")
        return NOT_FOUND
    except subprocess.SubprocessError:
        sys.stderr.write(f"error: cannot run {command[0]!r}: its guard is gone\n")
        return NOT_FOUND
    tell(watch, f"{process.pid}\n")
    threading.Thread(target=_listen, args=(process,), daemon=True).start()
    code = process.wait()
    _send(process, signal.SIGKILL)  # what the command may have left in its group
    tell(watch, "done\n")
    return code if code >= 0 else 128 - code


def dies_with_parent() -> Callable[[], None]:
    """Make a ``preexec_fn`` with which a process is killed when its parent ends.

    Linux sends the signal when the thread that started the process ends, so call it in a thread that stays.
    Without ``prctl``, the function does nothing.
    """
    parent = os.getpid()
    prctl = getattr(ctypes.CDLL(None, use_errno=True), "prctl", None)

    def prepare() -> None:
        """Ask Linux to kill this process when its parent ends."""
        if prctl is None:
            return
        prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent:  # it died before Linux was told
            os._exit(NOT_FOUND)

    return prepare


def start_watch() -> int:
    """Start the process that kills the command's group if this one is killed; return the pipe to it."""
    reading, writing = os.pipe()  # not inherited by the command
    if os.fork() == 0:
        os.close(writing)
        try:
            _watch(reading)
        finally:
            os._exit(0)
    os.close(reading)
    return writing


def _watch(reading: int) -> None:
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):  # the launcher must not wait for the ends of these
        os.dup2(nothing, standard)
    with os.fdopen(reading) as source:
        words = source.read().split()  # until the guard ends
    if words and words[-1] != "done":
        os.killpg(int(words[0]), signal.SIGKILL)


def tell(watch: int, text: str) -> None:
    """Write to the watching process, which may have been killed."""
    try:
        os.write(watch, text.encode())
    except BrokenPipeError:
        return


def _listen(process: subprocess.Popen) -> None:
    for line in sys.stdin:
        _send(process, int(line))
    _send(process, signal.SIGKILL)


def _send(process: subprocess.Popen, number: int) -> None:
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        return  # it is gone


if __name__ == "__main__":
    # The launcher decides: a Ctrl-C of the terminal or a hang-up of ssh reaches the command through it alone.
    # A handler, and not SIG_IGN, which the command would inherit.
    for unwanted in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(unwanted, lambda *_: None)
    sys.exit(main(sys.argv[1:]))
