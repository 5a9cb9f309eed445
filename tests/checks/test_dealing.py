"""Files of tests go to one worker each, the long ones first."""

from __future__ import annotations

from collections import OrderedDict
from typing import List

import pytest
from dealing import FIRST, JOBS, LongestFirst
from fakes import ROOT
from xdist.scheduler.loadfile import LoadFileScheduling


def test_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    scheduler = object.__new__(LongestFirst)
    files = ["tests/losses/test_losses.py", FIRST[2], *JOBS, FIRST[1]]
    groups = [
        scheduler._split_scope(f"{file}::test_it[a::b-{number}]") for file in files for number in (0, 1)
    ]
    assert groups[:2] == files[:1] * 2 and groups.count("jobs") == 2 * len(JOBS)
    scheduler.workqueue = OrderedDict.fromkeys(groups)
    dealt: List[str] = []
    monkeypatch.setattr(
        LoadFileScheduling,
        "_assign_work_unit",
        lambda self, node: dealt.append(self.workqueue.popitem(last=False)[0]),
    )
    while scheduler.workqueue:
        scheduler._assign_work_unit(None)
    assert dealt == [*FIRST[:3], files[0]]


def test_the_files_are_there() -> None:
    for file in (*JOBS, *FIRST[1:]):
        assert (ROOT / file).is_file(), file
