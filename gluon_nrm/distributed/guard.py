"""Stands beside one process of a job, on whichever host: ``python guard.py COMMAND...``.

The command runs in a process group of its own. The launcher holds the other end of the guard's standard
input, through ssh where need be: a line there is the number of a signal for the group; its end, for whatever
reason, is the group's. So nothing is left behind on any host, however the launcher ends. The exit code is
that of the command, or 128 and the number of the signal that ended it.

Run as a script, by hosts that need nothing but Python: only the standard library is used.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import List

NOT_FOUND = 127


def main(command: List[str]) -> int:
    """Run the command to its end."""
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    except OSError as problem:
        sys.stderr.write(f"error: cannot run {command[0]!r}: {problem.strerror}\n")
        return NOT_FOUND
    threading.Thread(target=_listen, args=(process,), daemon=True).start()
    code = process.wait()
    _send(process, signal.SIGKILL)  # what the command may have left in its group
    return code if code >= 0 else 128 - code


def _listen(process: subprocess.Popen) -> None:  # type: ignore[type-arg]
    for line in sys.stdin:
        _send(process, int(line))
    _send(process, signal.SIGKILL)


def _send(process: subprocess.Popen, number: int) -> None:  # type: ignore[type-arg]
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
