"""How far a long list of images is, on a terminal only, where nothing but the standard library is needed."""

from __future__ import annotations

import sys
import time
from typing import Callable, Optional, TextIO

from gluon_nrm.console.display import Display


class ImageProgress:
    """Shows a line such as ``640 of 10000 images, 350 img/s, ETA 27 s``, written over until all is done.

    Short work shows nothing, and no terminal gets a line every ten seconds at most.
    """

    def __init__(self, stream: Optional[TextIO] = None, clock: Callable[[], float] = time.monotonic) -> None:
        """Start the clock; ``stream``: standard error if None."""
        self._stream = Display(sys.stderr if stream is None else stream)
        self._clock = clock
        self._start = self._last = clock()
        self._terminal, self._shown = self._stream.isatty(), False

    def __call__(self, done: int, total: int) -> None:
        """So many of so many images are done."""
        now = self._clock()
        if done == total:
            if self._shown and self._terminal:
                self._stream.write("\r\033[K")
            return
        if now - self._last < (1.0 if self._terminal else 10.0):
            return
        self._last, self._shown = now, True
        speed = done / (now - self._start)
        line = f"{done} of {total} images, {speed:.0f} img/s, ETA {(total - done) / speed:.0f} s"
        self._stream.write(f"\r\033[K{line}" if self._terminal else f"{line}\n")
        self._stream.flush()
