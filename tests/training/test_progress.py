"""What a person sees while a network trains."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any, Dict, TextIO

import pytest

from gluon_nrm.errors import RunError
from gluon_nrm.recipe.terms import TERMS
from gluon_nrm.training.progress import Progress, format_duration, format_row, format_row_fully

ROW = {
    "epoch": 2,
    "step": 20,
    "lr": 1e-3,
    "seconds": 10.0,
    "images_per_second": 2450.4,
    "loss/total": 2.9712,
    "loss/cross_entropy": 1.99,
    "loss/reconstruction": 0.65,
    "loss/entropy": 0.0,
    "loss/moment_matching": 12345.6,
    "loss/path_norm": 0.0000123,
    "loss/consistency": 0.01,
    "error/student": 55.0,
    "error/student_max": 56.25,
    "error/student_min": 57.2,
    "error/teacher": 54.6,
}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def progress(tmp_path: Path, stream: TextIO, clock: Clock, **changes: Any) -> Progress:
    arguments: Dict[str, Any] = {"total_epochs": 5, "steps_per_epoch": 2, "start_epoch": 0, **changes}
    return Progress(log_path=tmp_path / "train.log", stream=stream, clock=clock, **arguments)


def test_the_line_of_an_epoch() -> None:
    assert format_row(ROW, 20280.0, 500) == (
        "epoch 2/500  loss 2.97  teacher error 54.60 %  2450 img/s  ETA 5 h 38 min"
    )


def test_the_line_has_eighty_columns_at_most() -> None:
    row = {**ROW, "epoch": 12345, "images_per_second": 123456.7, "loss/total": -1.234e-12}
    row.update({"error/teacher": 100.0})
    line = format_row(row, 123 * 86400.0, 99999)
    assert line == "epoch 12345/99999  loss -1.2e-12  error 100.00 %  123457 img/s  ETA 123 d 00 h"
    assert len(line) <= 80
    usual = format_row({**ROW, "epoch": 1799, "loss/total": 12345.6}, 12 * 86400.0, 1800)
    assert len(usual) <= 80 and "teacher error" in usual


def test_every_value_is_in_the_verbose_line() -> None:
    assert format_row_fully(ROW, 20280.0, 500) == (
        "epoch 2/500  loss 2.97 (ce 1.99 rec 0.65 ent 0 mm 1.2e+04 rpn 1.2e-05 cons 0.01)  "
        "error % student 55 (Max branch 56.2, Min branch 57.2) teacher 54.6  2450 img/s  ETA 5 h 38 min"
    )


def test_values_that_are_not_there_are_left_out() -> None:
    assert format_row({"epoch": 1}, None) == format_row_fully({"epoch": 1}, None) == "epoch 1"
    row = {"epoch": 1, "loss/total": 0.5, "error/student": 3.2, "images_per_second": None}
    assert format_row(row, None, 9) == "epoch 1/9  loss 0.5  student error 3.20 %"
    assert format_row_fully(row, None, 9) == "epoch 1/9  loss 0.5  error % student 3.2"
    lost = {"epoch": 1, "loss/total": None, "error/student": None}
    assert format_row(lost, None) == "epoch 1  loss nan  student error nan %"
    assert format_row_fully(lost, None) == "epoch 1  loss nan  error % student nan"


def test_every_term_is_shown() -> None:
    row = {"epoch": 1, "loss/total": 9.0, **{f"loss/{term}": 1.0 for term in TERMS}}
    assert format_row_fully(row, None).count(" 1") == 1 + len(TERMS)
    assert len({term.short for term in TERMS.values()}) == len(TERMS)


def test_verbose_progress(tmp_path: Path) -> None:
    stream = io.StringIO()
    with progress(tmp_path, stream, Clock(), verbose=True) as shown:
        shown.epoch(ROW)
    assert stream.getvalue() == format_row_fully(ROW, 0.0, 5) + "\n"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0 s"),
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3599.7, "1 h 00 min"),
        (20280, "5 h 38 min"),
        (187200, "2 d 04 h"),
    ],
)
def test_format_duration(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_plain_lines_and_a_dated_log(tmp_path: Path) -> None:
    stream, clock = io.StringIO(), Clock()
    with progress(tmp_path, stream, clock) as shown:
        shown.note("recipe  toy")
        for epoch in (1, 2):
            for _ in range(2):
                clock.now += 5
                shown.step(64)
            shown.epoch({**ROW, "epoch": epoch})
    lines = stream.getvalue().splitlines()
    assert lines == [
        "recipe  toy",
        format_row({**ROW, "epoch": 1}, 40.0, 5),
        format_row({**ROW, "epoch": 2}, 30.0, 5),
    ]
    log = (tmp_path / "train.log").read_text(encoding="utf-8").splitlines()
    dates = [re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  (.*)", line) for line in log]
    assert [date and date.group(1) for date in dates] == lines


def test_the_first_epoch_does_not_spoil_the_forecast(tmp_path: Path) -> None:
    clock = Clock()
    shown = progress(tmp_path, io.StringIO(), clock)
    assert shown.eta_seconds() is None
    for seconds, eta in ((60, 240), (10, 30), (20, 30), (15, 15), (15, 0)):
        clock.now += seconds
        shown.epoch({"epoch": shown._epochs_done + 1})
        assert shown.eta_seconds() == eta


def test_a_resumed_run_forecasts_what_is_left(tmp_path: Path) -> None:
    clock = Clock()
    shown = progress(tmp_path, io.StringIO(), clock, start_epoch=3)
    clock.now += 10
    shown.epoch({"epoch": 4})
    assert shown.eta_seconds() == 10


def test_a_long_epoch_shows_a_line_a_minute(tmp_path: Path) -> None:
    stream, clock = io.StringIO(), Clock()
    shown = progress(tmp_path, stream, clock, steps_per_epoch=10)
    for _ in range(10):
        clock.now += 25
        shown.step(50)
    assert stream.getvalue().splitlines() == [
        f"epoch 1/5  step {step}/50, 2 img/s, ETA {eta}"
        for step, eta in ((3, "19:35"), (6, "18:20"), (9, "17:05"))
    ]
    assert (tmp_path / "train.log").read_text(encoding="utf-8") == ""


def test_a_terminal_gets_a_bar_and_the_lines(tmp_path: Path) -> None:
    stream, clock = Terminal(), Clock()
    with progress(tmp_path, stream, clock, start_epoch=3) as shown:
        for _ in range(2):
            clock.now += 1
            shown.step(100)
        assert shown._bar._bar is not None
        shown._bar._bar.refresh()
        shown.epoch({**ROW, "epoch": 4})
    text = stream.getvalue()
    assert "epoch 4/5" in text
    assert "step 6/10" in text
    assert "step 8/10" in text
    assert "100 img/s" in text
    assert format_row({**ROW, "epoch": 4}, 2.0, 5) + "\n" in text
    assert text.endswith("\r")  # the bar is taken down: the next line starts at the margin
    log = (tmp_path / "train.log").read_text(encoding="utf-8")
    assert log.count("\n") == 1
    assert "img/s, " not in log
    assert "\r" not in log


def test_the_log_is_appended_to_after_a_torn_line(tmp_path: Path) -> None:
    (tmp_path / "train.log").write_bytes(b"2026-01-01 00:00:00  epoch 1/5  lo")
    progress(tmp_path, io.StringIO(), Clock()).note("resumed\nfrom epoch 1")
    lines = (tmp_path / "train.log").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "2026-01-01 00:00:00  epoch 1/5  lo"
    assert [line.split("  ")[1] for line in lines[1:]] == ["resumed", "from epoch 1"]


def test_a_log_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "train.log").mkdir()
    with pytest.raises(RunError, match=r"cannot write to .*train\.log: Is a directory"):
        progress(tmp_path, io.StringIO(), Clock())


def test_the_default_stream_is_standard_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Progress(5, 2, 0, tmp_path / "train.log").note("hello")
    assert capsys.readouterr() == ("", "hello\n")
