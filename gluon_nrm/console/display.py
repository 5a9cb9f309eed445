"""Output that never stops the program, although the terminal is closed or the pipe full or without reader."""

from __future__ import annotations

import io
import select
import sys
from typing import Optional, TextIO

#: Seconds to wait for a full pipe or a stopped terminal.
PATIENCE = 1.0


class Display(io.TextIOBase):
    """Text stream that drops the lines it cannot write.

    Args:
        stream: the stream to write to; None, Python's value for a closed standard stream, drops all.
    """

    def __init__(self, stream: Optional[TextIO]) -> None:
        self._stream = stream
        self._wait = PATIENCE
        self._dropped = 0

    def write(self, text: str) -> int:
        """Write a string, or drop it."""
        if self._ready():
            if self._dropped:
                lines, self._dropped = self._dropped, 0
                self._try(f"({lines} lines are left out here: this output was full)\n")
            self._try(text)
        else:
            self._dropped += text.count("\n")
        return len(text)

    def flush(self) -> None:
        """Flush the stream."""
        if self._ready() and self._stream is not None:
            try:
                self._stream.flush()
            except (BlockingIOError, RuntimeError):  # full; or a signal came in the midst of a write
                return
            except (OSError, ValueError):
                self._stream = None

    def isatty(self) -> bool:
        """Return True if the stream is a terminal."""
        try:
            return self._stream is not None and self._stream.isatty()
        except (OSError, ValueError):
            return False

    def fileno(self) -> int:
        """The stream's file descriptor.

        Raises:
            OSError: it has none.
        """
        if self._stream is None:
            raise io.UnsupportedOperation("fileno")
        return self._stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The stream's encoding."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def _ready(self) -> bool:
        """Wait at most ``PATIENCE`` until a write would not block; once it failed, do not wait again."""
        if self._stream is None:
            return False
        try:
            poll = select.poll()
            poll.register(self._stream.fileno(), select.POLLOUT)
            ready = bool(poll.poll(1000 * self._wait))
        except (OSError, ValueError, AttributeError):  # a stream without a file, or a system without poll
            return True
        self._wait = PATIENCE if ready else 0.0
        return ready

    def _try(self, text: str) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(text)
        except UnicodeError:
            self._try(text.encode("ascii", "backslashreplace").decode("ascii"))
        except (BlockingIOError, RuntimeError):  # full; or a signal came in the midst of a write
            self._dropped += text.count("\n")
        except (OSError, ValueError):  # for good: a closed terminal or pipe does not come back
            self._stream = None


def say(text: str) -> None:
    """Write a line to standard error, or drop it."""
    display = Display(sys.stderr)
    display.write(text + "\n")
    display.flush()
