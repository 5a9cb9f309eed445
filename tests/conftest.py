"""Settings of all tests."""

from __future__ import annotations

import os
import signal
from typing import List

import pytest

# Networks this small run faster on one thread than on two; set before anything imports MXNet.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from gluon_nrm import tune

tune()

# Started by nohup, the tests would ignore SIGHUP, and so would every process they start and send it to.
if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda *_: None)

#: Files whose tests start several processes each. They run one after another, so that no two share the cores.
JOBS = ("test_distributed", "test_fuzz", "test_kills", "test_launch", "test_members", "test_orphans")


def pytest_collection_modifyitems(config: pytest.Config, items: List[pytest.Item]) -> None:
    """Keep the tests of a file, which share fixtures, on one worker of ``pytest -n 2 --dist loadgroup``."""
    if config.pluginmanager.hasplugin("xdist"):
        for item in items:
            group = "jobs" if item.path.stem in JOBS else str(item.path.relative_to(config.rootpath))
            item.add_marker(pytest.mark.xdist_group(group))
