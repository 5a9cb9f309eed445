"""A few of the kills of ``make kill-test``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="names of open files are read from /proc")
def test_killed_runs_resume_to_the_same_bits() -> None:
    """Spread over the run; the second kill comes at a drawn moment of the resuming process."""
    script = str(Path(__file__).with_name("kills.py"))
    done = subprocess.run(
        [sys.executable, script, "--moments", "5", "--twice"], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 tried" in done.stdout and "5 resumed to the same bits, 0 not" in done.stdout
