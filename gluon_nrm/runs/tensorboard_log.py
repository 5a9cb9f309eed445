"""Metrics of a run for TensorBoard: an event file in the folder ``tensorboard`` of the run.

The file is written anew from ``metrics.jsonl`` whenever training starts or goes on, so it holds each epoch
once.
"""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any, List, NamedTuple

from PIL import Image

from gluon_nrm.errors import RunError, SetupError
from gluon_nrm.runs.metrics import Row
from gluon_nrm.runs.run_folder import RunFolder
from gluon_nrm.storage import files
from gluon_nrm.system.install import install_line

#: Name of TensorBoard's own event files.
EVENT_FILES = "events.out.tfevents.*"
#: Most bytes of a figure.
LARGEST = 64 * 2**20


class _TensorBoard(NamedTuple):
    """The parts of the package tensorboard that write event files."""

    writer: Any
    event: Any
    summary: Any


def import_tensorboard() -> _TensorBoard:
    """Import the package tensorboard; TensorFlow is not needed.

    Raises:
        SetupError: it is not installed, or does not work in this Python.
    """
    try:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import EventFileWriter
    except ImportError as problem:
        raise SetupError(
            f"TensorBoard is not installed in this Python ({problem}): run `{install_line('tensorboard')}`"
        ) from problem
    except Exception as problem:  # of protobuf, for files that a version of it cannot read
        raise SetupError(
            f"the package tensorboard does not work here ({problem}): run `pip install --upgrade tensorboard`"
        ) from problem
    return _TensorBoard(EventFileWriter, Event, Summary)


class TensorBoardLog:
    """Write the metrics of a run, then each new row, as TensorBoard reads them.

    Every metric is a scalar of its name in ``metrics.jsonl``, with the epoch as its step.

    Args:
        run: a run that this process trains.

    Raises:
        SetupError: tensorboard is not installed.
        RunError: an event file cannot be written.
    """

    def __init__(self, run: RunFolder) -> None:
        self._run, self.folder = run, run.path / "tensorboard"
        self._tensorboard = import_tensorboard()
        earlier = files.find_files(self.folder, EVENT_FILES, RunError)
        with files.os_errors(RunError, "write", self.folder):
            for path in earlier:
                path.unlink()
            self._writer = self._tensorboard.writer(str(self.folder))
        rows = run.read_metrics()
        for row, at in zip(rows, _times(rows)):
            self._write_row(row, at)
        self._flush()

    def __enter__(self) -> TensorBoardLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def row(self, row: Row) -> None:
        """Write the metrics of an epoch; the file holds them when this returns.

        Raises:
            RunError: they cannot be written.
        """
        self._write_row(row, time.time())
        self._flush()

    def write_figures(self) -> None:
        """Write the run's figures, each as the image ``figures/NAME`` of the last epoch.

        Raises:
            RunError: one of them cannot be read or written.
        """
        for path in sorted(files.find_files(self._run.figures, "*.png", RunError)):
            self._write_figure(path, self._run.read_metrics()[-1]["epoch"])
        self._flush()

    def _write_figure(self, path: Path, epoch: int) -> None:
        data = files.read_bounded(path, RunError, LARGEST)
        with files.os_errors(RunError, "read", path), Image.open(io.BytesIO(data)) as image:
            width, height = image.size
        summary = self._tensorboard.summary
        picture = summary.Image(height=height, width=width, colorspace=4, encoded_image_string=data)
        self._write([summary.Value(tag=f"figures/{path.stem}", image=picture)], epoch, time.time())

    def close(self) -> None:
        """Finish the file.

        Raises:
            RunError: it cannot be written.
        """
        with files.os_errors(RunError, "write", self.folder):
            self._writer.close()

    def _write_row(self, row: Row, at: float) -> None:
        value = self._tensorboard.summary.Value
        values = [
            value(tag=name, simple_value=number)
            for name, number in row.items()
            if name != "epoch" and isinstance(number, (int, float))
        ]
        self._write(values, int(row["epoch"]), at)

    def _write(self, values: List[Any], epoch: int, at: float) -> None:
        event = self._tensorboard.event(
            wall_time=at, step=epoch, summary=self._tensorboard.summary(value=values)
        )
        with files.os_errors(RunError, "write", self.folder):
            self._writer.add_event(event)

    def _flush(self) -> None:
        with files.os_errors(RunError, "write", self.folder):
            self._writer.flush()


def _times(rows: List[Row]) -> List[float]:
    """Place earlier epochs on the clock, so that the last one ends now: seconds since 1970 of each."""
    at, times = time.time(), []
    for row in reversed(rows):
        times.append(at)
        at -= row.get("seconds") or 0.0
    return times[::-1]
