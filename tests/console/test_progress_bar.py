"""A bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from gluon_nrm.console import progress_bar
from gluon_nrm.console.progress_bar import ProgressBar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    now = iter([0.0, 0.5, 9.0, 20.0, 20.0, 50.0]).__next__
    with ProgressBar(1000, "images", stream=stream, interval=10.0, unit=" images", clock=now) as bar:
        for images in (10, 190, 200, 600):
            bar.update(images)
    assert stream.getvalue() == "images: 40 %, 400/1000, 20.00 images/s, ETA 00:30\n"
    assert bar.done == 1000 and capsys.readouterr() == ("", "")


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()], ids=["file", "terminal"])
def test_short_work_shows_nothing(stream: io.StringIO) -> None:
    with ProgressBar(1000, "images", stream=stream) as bar:
        bar.update(500)
        bar.update(500)
    assert stream.getvalue() == ""


def test_a_terminal_gets_a_bar_that_goes() -> None:
    stream = Terminal()
    with ProgressBar(4, "sweep", stream=stream, delay=0.0, mininterval=0.0, unit=" sweeps") as bar:
        for done in range(1, 4):
            bar.update()
            assert f"{done}/4" in stream.getvalue()
        bar.print("above")
    assert "above\n" in stream.getvalue()
    assert stream.getvalue().endswith("\r")


def test_the_last_line_may_stay() -> None:
    stream, now = io.StringIO(), iter([0.0, 1.0, 2.0]).__next__
    with ProgressBar(2, "a.bin", stream=stream, leave=True, clock=now, unit="B") as bar:
        bar.update(2)
    assert stream.getvalue() == "a.bin: 100 %, 2/2,  1.00B/s, ETA 00:00\n"


def test_nothing_is_shown_where_it_is_disabled() -> None:
    stream = Terminal()
    with ProgressBar(2, "step", stream=stream, delay=0.0, mininterval=0.0, disabled=True) as bar:
        bar.update()
        bar.print("text")
    assert stream.getvalue() == ""


def test_without_tqdm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_bar, "tqdm", None)
    for stream in (io.StringIO(), Terminal()):
        with ProgressBar(2, "step", stream=stream, interval=0.0, delay=0.0, leave=True) as bar:
            bar.update()
        assert (bar.done, stream.getvalue()) == (1, "")


def test_the_kernel_of_a_notebook_shows_a_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shell: Any = SimpleNamespace(config={"IPKernelApp": {}})
    python = SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setitem(sys.modules, "IPython", python)
    with ProgressBar(3, "work", delay=0.0, leave=True, mininterval=0.0) as bar:
        bar.update()
        bar.print("a line")
        bar.update(2)
    said = capsys.readouterr()
    assert "work" in said.out and "3/3" in said.out and "a line\n" in said.out and not said.err
    shell = None
    with ProgressBar(3, "work", delay=0.0) as bar:
        bar.update(3)
    assert capsys.readouterr() == ("", "")
