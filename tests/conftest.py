"""Settings of all tests."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

# Networks this small run faster on one thread than on two; set before anything imports MXNet.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from gluon_nrm import tune

tune()

# Started by nohup, the tests would ignore SIGHUP, and so would every process they start and send it to.
if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda *_: None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Deal out whole files by ``LongestFirst`` with ``pytest -n 2 --dist loadfile``."""
    if config.getvalue("dist") != "loadfile":
        return None
    from dealing import LongestFirst

    return LongestFirst(config, log)
