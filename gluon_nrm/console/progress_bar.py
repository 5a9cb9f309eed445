"""Progress of a long computation: a bar on a terminal or in a notebook, a line now and then elsewhere."""

from __future__ import annotations

import importlib
import sys
import time
import warnings
from typing import Any, Callable, Optional, TextIO

from gluon_nrm.console.display import Display

try:
    from tqdm import tqdm
except ImportError:  # predicting needs no tqdm: there is no progress without it
    tqdm = None

#: A line where there is no terminal, in the fields of tqdm.
LINE = "{desc}: {percentage:.0f} %, {n_fmt}/{total_fmt}, {rate_fmt}{postfix}, ETA {remaining}"


def in_notebook() -> bool:
    """Return True in the kernel of a notebook."""
    python = sys.modules.get("IPython")
    shell = None if python is None else python.get_ipython()
    return shell is not None and "IPKernelApp" in shell.config


def notebook_bar() -> Any:
    """Return tqdm's class of bars for this notebook: widgets where ipywidgets is installed, else text."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tqdm, of a notebook without ipywidgets
        return importlib.import_module("tqdm.auto").tqdm


class ProgressBar:
    """Count the steps of a computation and show them, with the time left.

    Losing the stream does not stop the computation. Nothing is shown for work that ends within ``delay``.

    Args:
        total: number of steps.
        description: name of the computation, shown first.
        stream: where to show it; None: standard error, or a bar below the cell of a notebook.
        interval: seconds between lines where there is no terminal.
        delay: seconds before a bar is shown.
        leave: keep the bar at the end, or show a last line.
        initial: steps done before.
        unit: name of a step in the rate.
        line: format of a line, in the fields of tqdm.
        clock: a monotonic clock, in seconds.
        disabled: show nothing, and print nothing.
        options: more arguments of ``tqdm``.
    """

    def __init__(
        self,
        total: int,
        description: str,
        *,
        stream: Optional[TextIO] = None,
        interval: float = 20.0,
        delay: float = 1.0,
        leave: bool = False,
        initial: int = 0,
        unit: str = "it",
        line: str = LINE,
        clock: Callable[[], float] = time.monotonic,
        disabled: bool = False,
        **options: Any,
    ) -> None:
        self.total, self.description, self.done, self.postfix = total, description, initial, ""
        self._display = Display(None if disabled else sys.stderr if stream is None else stream)
        self._initial, self._interval, self._line, self._clock = initial, interval, line, clock
        self._leave = leave
        self._style = {"unit": unit, **options}
        self._start = self._last = clock()
        self._bar: Any = None
        bar = {"total": total, "desc": description, "initial": initial, "delay": delay, "leave": leave}
        if tqdm is not None and self._display.isatty():
            self._bar = tqdm(file=self._display, dynamic_ncols=True, **bar, **self._style)
        elif tqdm is not None and stream is None and not disabled and in_notebook():
            self._display = Display(sys.stdout)  # a notebook shows standard error as a mistake
            self._bar = notebook_bar()(file=sys.stdout, **bar, **self._style)

    def update(self, steps: int = 1) -> None:
        """Count ``steps`` more."""
        self.done += steps
        if self._bar is not None:
            self._bar.set_postfix_str(self.postfix, refresh=False)
            self._bar.update(steps)
        else:
            self._now_and_then()

    def show(self, done: int, description: str) -> None:
        """Set the number of steps done and the description, and show them."""
        self.done, self.description = done, description
        if self._bar is not None:
            self._bar.n = done
            self._bar.set_description_str(description)
        else:
            self._now_and_then()

    def move_to(self, done: int, description: str) -> None:
        """Set the number of steps done and the description."""
        self.done, self.description, self._last = done, description, self._clock()
        if self._bar is not None:
            self._bar.n = done
            self._bar.set_description_str(description, refresh=False)

    def print(self, text: str) -> None:
        """Write a line, above the bar if there is one."""
        if self._bar is not None:
            self._bar.write(text, file=self._display)
        else:
            self._display.write(text + "\n")
        self._display.flush()

    def close(self) -> None:
        """Remove the bar, so that the next output starts on a line of its own."""
        if self._bar is not None:
            self._bar.close()
        elif self._leave:
            self._print_line()

    def _now_and_then(self) -> None:
        """Print a line if the last one is long enough ago."""
        now = self._clock()
        if now - self._last >= self._interval and self.done < self.total:
            self._last = now
            self._print_line()

    def _print_line(self) -> None:
        if tqdm is not None:
            style = {**self._style, "bar_format": self._line}
            self.print(
                tqdm.format_meter(
                    self.done, self.total, self._clock() - self._start, prefix=self.description,
                    postfix=self.postfix, initial=self._initial, **style,
                )
            )  # fmt: skip

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
