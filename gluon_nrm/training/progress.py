"""Progress of training: a bar, a line an epoch, and the same lines in ``train.log``."""

from __future__ import annotations

import datetime
import re
import time
from pathlib import Path
from typing import Any, Callable, List, Mapping, Optional, Sequence, TextIO

from gluon_nrm.console.progress_bar import ProgressBar
from gluon_nrm.errors import RunError
from gluon_nrm.recipe.terms import ALL_TERMS
from gluon_nrm.storage.files import open_file, os_errors

#: Seconds between lines of a long epoch, where there is no bar.
INTERVAL = 60.0
#: Most columns of the line of an epoch.
WIDEST = 80
BAR = "{desc} |{bar}| step {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"
LINE = "{desc}  step {n_fmt}/{total_fmt}{postfix}, ETA {remaining}"


class Progress:
    """Show how far a run is and how long it will take; lines go to the log too, with the date."""

    def __init__(
        self,
        total_epochs: int,
        steps_per_epoch: int,
        start_epoch: int,
        log_path: Optional[Path],
        stream: Optional[TextIO] = None,
        clock: Callable[[], float] = time.monotonic,
        verbose: bool = False,
    ) -> None:
        """Start the clock.

        Args:
            total_epochs: epochs of the whole run.
            steps_per_epoch: steps of one epoch.
            start_epoch: epochs completed before this start (0 for a new run).
            log_path: the log, appended to; None: nothing is shown or logged, as on all workers but the first.
            stream: where lines and bar are shown; None: standard error. Losing it does not stop the run.
            clock: a monotonic clock, in seconds.
            verbose: every loss term and every error in the line of an epoch.

        Raises:
            RunError: the log cannot be written.
        """
        self._format = format_row_fully if verbose else format_row
        self.total_epochs, self.steps_per_epoch, self.log_path = total_epochs, steps_per_epoch, log_path
        self._clock = clock
        self._epochs_done = start_epoch
        self._ends: List[float] = [clock()]  # of this start, then of each epoch
        self._images = 0  # of this epoch
        self._bar = ProgressBar(
            total_epochs * steps_per_epoch, self._title(), stream=stream, interval=INTERVAL, delay=0.0,
            initial=start_epoch * steps_per_epoch, bar_format=BAR, line=LINE, clock=clock,
            disabled=log_path is None,
        )  # fmt: skip
        if log_path is not None:
            _end_torn_line(log_path)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def step(self, n_images: int) -> None:
        """Count one more step, over ``n_images`` images."""
        self._images += n_images
        self._bar.postfix = f"{self._images / max(self._clock() - self._ends[-1], 1e-9):.0f} img/s"
        self._bar.update()

    def epoch(self, row: Mapping[str, Any]) -> None:
        """Count one more epoch, and write its line to the stream and to the log.

        Args:
            row: its row of metrics.jsonl.

        Raises:
            RunError: the log cannot be written.
        """
        self._ends.append(self._clock())
        self._epochs_done, self._images = int(row["epoch"]), 0
        # a run that starts in the middle of an epoch did not count the steps before
        self._bar.move_to(self._epochs_done * self.steps_per_epoch, self._title())
        self.note(self._format(row, self.eta_seconds(), self.total_epochs))

    def note(self, text: str) -> None:
        """Write a text to the stream, and with the date to the log.

        Raises:
            RunError: the log cannot be written.
        """
        self.show(text)
        if self.log_path is None:
            return
        date = datetime.datetime.now().strftime("%Y-%m-%d %H:%M:%S")
        lines = "".join(f"{date}  {line}\n" for line in text.splitlines())
        with os_errors(RunError, "write to", self.log_path), open_file(self.log_path, "ab") as log:
            log.write(lines.encode("utf-8", "backslashreplace"))

    def show(self, text: str) -> None:
        """Write a text to the stream alone."""
        self._bar.print(text)

    def eta_seconds(self) -> Optional[float]:
        """Estimate the seconds to the end of the run; None before the end of the first epoch."""
        if len(self._ends) < 2:
            return None
        # the first epoch builds graphs: it is ignored as soon as there is another one
        begin = 1 if len(self._ends) > 2 else 0
        each = (self._ends[-1] - self._ends[begin]) / (len(self._ends) - 1 - begin)
        return each * (self.total_epochs - self._epochs_done)

    def _title(self) -> str:
        return f"epoch {min(self._epochs_done + 1, self.total_epochs)}/{self.total_epochs}"


def format_row(
    row: Mapping[str, Any], eta_seconds: Optional[float], total_epochs: Optional[int] = None
) -> str:
    """Format a row of metrics as a line of at most 80 columns.

    It has the epoch, the total loss, the error in per cent, images a second and the time left. The error is
    the teacher's where there is one. Values that the row does not have are left out.
    """
    line = _line(row, [_loss(row), _error(row)], eta_seconds, total_epochs)
    return line if len(line) <= WIDEST else re.sub(r"(?:student|teacher) error", "error", line)


def format_row_fully(
    row: Mapping[str, Any], eta_seconds: Optional[float], total_epochs: Optional[int] = None
) -> str:
    """Format a row of metrics as one line: every loss term, the errors of all networks and branches."""
    return _line(row, [_losses(row), _errors(row)], eta_seconds, total_epochs)


def _line(
    row: Mapping[str, Any], values: Sequence[str], eta_seconds: Optional[float], total_epochs: Optional[int]
) -> str:
    epochs = f"epoch {row['epoch']}" + (f"/{total_epochs}" if total_epochs else "")
    parts = [epochs, *values]
    if row.get("images_per_second") is not None:
        parts.append(f"{row['images_per_second']:.0f} img/s")
    if eta_seconds is not None:
        parts.append(f"ETA {format_duration(eta_seconds)}")
    return "  ".join(part for part in parts if part)


def format_duration(seconds: float) -> str:
    """Format a time span in its two largest units: "42 s", "3 min 05 s", "5 h 38 min", "2 d 04 h"."""
    whole = max(int(round(seconds)), 0)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600:02d} h"


def _loss(row: Mapping[str, Any]) -> str:
    return f"loss {_short(row['loss/total'])}" if "loss/total" in row else ""


def _error(row: Mapping[str, Any]) -> str:
    """Format the error of the teacher, else of the student."""
    network = next((name for name in ("teacher", "student") if f"error/{name}" in row), None)
    if network is None:
        return ""
    error = row[f"error/{network}"]
    return f"{network} error {'nan' if error is None else f'{error:.2f}'} %"


def _losses(row: Mapping[str, Any]) -> str:
    terms = [
        f"{term.short} {_short(row[f'loss/{name}'])}"
        for name, term in ALL_TERMS.items()
        if f"loss/{name}" in row
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
        f"{branch} {_short(row[key])}"
        for ending, branch in (("max", "Max branch"), ("min", "Min branch"), ("top5", "top-5"))
        for key in [f"error/{network}_{ending}"]
        if key in row
    ]
    inside = f" ({', '.join(branches)})" if branches else ""
    return f"{network} {_short(row[f'error/{network}'])}{inside}"


def _short(value: Any) -> str:
    """Format a number with three significant digits: 2.97, 0.0123, 1.2e-05, 54.6; None as "nan"."""
    if value is None:
        return "nan"
    return f"{value:.3g}" if 1e-3 <= abs(value) < 1e3 or value == 0 else f"{value:.1e}"


def _end_torn_line(log_path: Path) -> None:
    """End a line that a killed process left incomplete."""
    with os_errors(RunError, "write to", log_path), open_file(log_path, "ab+") as log:
        if log.tell() > 0:
            log.seek(-1, 2)
            if log.read(1) != b"\n":
                log.write(b"\n")
