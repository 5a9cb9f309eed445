"""Output whose loss ends nothing: a closed terminal, a reader that went away, a pipe nobody empties."""

from __future__ import annotations

import io
import select
import sys
from typing import Optional, TextIO

#: Seconds that a line waits for a pipe or a stopped terminal to take it.
PATIENCE = 1.0


class Display(io.TextIOBase):
    """Writes to a text stream, and drops what the stream does not take.

    Args:
        stream: where to write; None, as Python has it for a stream that was closed at the start, drops all.
    """

    def __init__(self, stream: Optional[TextIO]) -> None:
        self._stream = stream
        self._wait = PATIENCE
        self._dropped = 0

    def write(self, text: str) -> int:
        """Write a text, unless it cannot be written."""
        if self._ready():
            if self._dropped:
                lines, self._dropped = self._dropped, 0
                self._try(f"({lines} lines are left out here: this output was full)\n")
            self._try(text)
        else:
            self._dropped += text.count("\n")
        return len(text)

    def flush(self) -> None:
        """Hand on what the stream still holds."""
        if self._ready() and self._stream is not None:
            try:
                self._stream.flush()
            except (BlockingIOError, RuntimeError):  # full; or a signal came in the midst of a write
                return
            except (OSError, ValueError):
                self._stream = None

    def isatty(self) -> bool:
        """Whether a person's terminal is at the other end."""
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
        """Whether a write would not block; waits at most ``PATIENCE``, and not again until there was room."""
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
    """Write a line to standard error; nothing happens if it cannot be written."""
    display = Display(sys.stderr)
    display.write(text + "\n")
    display.flush()
