"""What a person sees while a network trains: a bar on a terminal, plain lines elsewhere, ``train.log``."""

from __future__ import annotations

import datetime
import sys
import time
from pathlib import Path
from typing import Any, Callable, List, Mapping, Optional, TextIO

from tqdm import tqdm

from gluon_nrm.console.display import Display
from gluon_nrm.errors import RunError
from gluon_nrm.recipe.terms import TERMS
from gluon_nrm.storage.files import open_file, os_errors

BETWEEN_LINES = 60.0  # seconds: how often a long epoch shows a line where there is no bar


class Progress:
    """Shows how far a run is and how long it will take; what it says goes to the log too, with the date."""

    def __init__(
        self,
        total_epochs: int,
        steps_per_epoch: int,
        start_epoch: int,
        log_path: Path,
        stream: Optional[TextIO] = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start the clock.

        Args:
            total_epochs: epochs of the whole run.
            steps_per_epoch: steps of one epoch.
            start_epoch: epochs completed before this start (0 for a new run).
            log_path: the log, appended to.
            stream: where lines and bar go; standard error if None. Its loss ends nothing.
            clock: seconds that only go forward.

        Raises:
            RunError: the log cannot be written.
        """
        self.total_epochs = total_epochs
        self.steps_per_epoch = steps_per_epoch
        self.log_path = log_path
        self._stream = Display(sys.stderr if stream is None else stream)
        self._clock = clock
        self._epochs_done = start_epoch
        self._ends: List[float] = [clock()]  # of this start, then of each epoch
        self._steps, self._images = 0, 0  # of the epoch under way
        self._last_line = self._ends[0]
        self._bar = self._make_bar() if self._stream.isatty() else None
        _end_torn_line(log_path)

    def __enter__(self) -> Progress:
        """The progress itself; the bar is taken down at the end of the ``with`` body."""
        return self

    def __exit__(self, *_: object) -> None:
        """Take the bar down."""
        self.close()

    def close(self) -> None:
        """Take the bar down, so that what is printed next starts on a line of its own."""
        if self._bar is not None:
            self._bar.close()

    def step(self, n_images: int) -> None:
        """One more step is done, over ``n_images`` images."""
        self._steps += 1
        self._images += n_images
        now = self._clock()
        speed = self._images / max(now - self._ends[-1], 1e-9)
        if self._bar is not None:
            self._bar.set_postfix_str(f"{speed:.0f} img/s", refresh=False)
            self._bar.update()
        elif now - self._last_line >= BETWEEN_LINES and self._steps < self.steps_per_epoch:
            self._last_line = now
            where = f"epoch {self._epochs_done + 1}/{self.total_epochs}"
            self.show(f"{where}  step {self._steps}/{self.steps_per_epoch}  {speed:.0f} img/s")

    def epoch(self, row: Mapping[str, Any]) -> None:
        """An epoch is done: write its line to the stream and to the log.

        Args:
            row: its row of metrics.jsonl.

        Raises:
            RunError: the log cannot be written.
        """
        self._ends.append(self._clock())
        self._last_line = self._ends[-1]
        self._epochs_done = int(row["epoch"])
        self._steps, self._images = 0, 0
        if self._bar is not None:
            self._bar.set_description_str(self._bar_text(), refresh=False)
            # a start in the middle of an epoch did not count the steps before it
            self._bar.n = self._epochs_done * self.steps_per_epoch
        self.note(format_row(row, self.eta_seconds(), self.total_epochs))

    def note(self, text: str) -> None:
        """Write a text to the stream, and with the date to the log.

        Raises:
            RunError: the log cannot be written.
        """
        self.show(text)
        date = datetime.datetime.now().strftime("%Y-%m-%d %H:%M:%S")
        lines = "".join(f"{date}  {line}\n" for line in text.splitlines())
        with os_errors(RunError, "write to", self.log_path), open_file(self.log_path, "ab") as log:
            log.write(lines.encode("utf-8", "backslashreplace"))

    def eta_seconds(self) -> Optional[float]:
        """Seconds to the end of the run, by the epochs of this start; None before the first has ended."""
        if len(self._ends) < 2:
            return None
        # The first epoch builds graphs and warms caches up: left out as soon as there is another.
        begin = 1 if len(self._ends) > 2 else 0
        each = (self._ends[-1] - self._ends[begin]) / (len(self._ends) - 1 - begin)
        return each * (self.total_epochs - self._epochs_done)

    def show(self, text: str) -> None:
        """Write a text to the stream alone."""
        if self._bar is not None:
            self._bar.write(text, file=self._stream)
        else:
            self._stream.write(text + "\n")
        self._stream.flush()

    def _make_bar(self) -> Any:
        return tqdm(
            total=self.total_epochs * self.steps_per_epoch,
            initial=self._epochs_done * self.steps_per_epoch,
            desc=self._bar_text(),
            bar_format="{desc} |{bar}| step {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]",
            file=self._stream,
            dynamic_ncols=True,
            leave=False,
        )

    def _bar_text(self) -> str:
        return f"epoch {min(self._epochs_done + 1, self.total_epochs)}/{self.total_epochs}"


def format_row(
    row: Mapping[str, Any], eta_seconds: Optional[float], total_epochs: Optional[int] = None
) -> str:
    """One line for a row of metrics: epoch, every loss term, errors in per cent, images a second, time left.

    What the row does not have is left out: a run without a teacher shows none.
    """
    epochs = f"epoch {row['epoch']}" + (f"/{total_epochs}" if total_epochs else "")
    parts = [epochs, _losses(row), _errors(row)]
    if row.get("images_per_second") is not None:
        parts.append(f"{row['images_per_second']:.0f} img/s")
    if eta_seconds is not None:
        parts.append(f"ETA {format_duration(eta_seconds)}")
    return "  ".join(part for part in parts if part)


def format_duration(seconds: float) -> str:
    """A time span in its two largest units: "42 s", "3 min 05 s", "5 h 38 min", "2 d 04 h"."""
    whole = max(int(round(seconds)), 0)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600:02d} h"


def _losses(row: Mapping[str, Any]) -> str:
    terms = [
        f"{term.short} {_short(row[f'loss/{name}'])}" for name, term in TERMS.items() if f"loss/{name}" in row
    ]
    inside = f" ({' '.join(terms)})" if terms else ""
    return f"loss {_short(row['loss/total'])}{inside}" if "loss/total" in row else inside.strip()


def _errors(row: Mapping[str, Any]) -> str:
    networks = [
        _network_errors(row, network) for network in ("student", "teacher") if f"error/{network}" in row
    ]
    return f"error % {' '.join(networks)}" if networks else ""


def _network_errors(row: Mapping[str, Any], network: str) -> str:
    branches = [
        f"{b} {_short(row[key])}"
        for b in ("max", "min", "top5")
        for key in [f"error/{network}_{b}"]
        if key in row
    ]
    inside = f" ({' '.join(branches)})" if branches else ""
    return f"{network} {_short(row[f'error/{network}'])}{inside}"


def _short(value: Any) -> str:
    """Three digits that matter: 2.97, 0.0123, 1.2e-05, 54.6; "nan" for what is not known."""
    if value is None:
        return "nan"
    return f"{value:.3g}" if 1e-3 <= abs(value) < 1e3 or value == 0 else f"{value:.1e}"


def _end_torn_line(log_path: Path) -> None:
    """End the line a killed process may have left half-written, so that the next one stands alone."""
    with os_errors(RunError, "write to", log_path), open_file(log_path, "ab+") as log:
        if log.tell() > 0:
            log.seek(-1, 2)
            if log.read(1) != b"\n":
                log.write(b"\n")
