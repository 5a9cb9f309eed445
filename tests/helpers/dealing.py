"""Order in which pytest-xdist deals out the files of tests to its workers."""

from __future__ import annotations

from typing import Any

from xdist.scheduler.loadfile import LoadFileScheduling

#: Files whose tests start several processes each. They are one group, so that no two share the cores.
JOBS = (
    "tests/checks/test_fuzz.py",
    "tests/checks/test_kills.py",
    "tests/distributed/test_distributed.py",
    "tests/distributed/test_join_job.py",
    "tests/distributed/test_launch.py",
    "tests/distributed/test_orphans.py",
)
#: Groups of few but long tests. They start first, or one worker would wait for the other at the end.
FIRST = (
    "jobs",
    "tests/checks/test_wheel.py",
    "tests/docs/test_notebooks.py",
    "tests/training/test_resume.py",
    "tests/console/test_lost_streams.py",
    "tests/tools/test_tools.py",
    "tests/checks/test_own_photos.py",
)


class LongestFirst(LoadFileScheduling):
    """Keep the tests of a file, which share fixtures, on one worker; deal out ``FIRST``, then larger files.

    ``--dist loadgroup`` would do for the groups, but pytest-xdist 3.6.1, the last for Python 3.8, writes them
    into the names of the tests, and pytest 9.2 does not read them there.
    """

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return "jobs" if file in JOBS else file

    def _assign_work_unit(self, node: Any) -> None:
        for name in reversed(FIRST):
            if name in self.workqueue:
                self.workqueue.move_to_end(name, last=False)
        super()._assign_work_unit(node)
