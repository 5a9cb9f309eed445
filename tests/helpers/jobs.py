"""Jobs of real processes on the loopback: scheduler, server and workers, as a user starts them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Sequence

from fakes import ROOT

LAUNCH = [sys.executable, str(ROOT / "tools" / "launch.py")]
TRAIN = [sys.executable, str(ROOT / "tools" / "train.py")]
#: Seconds after which a test gives a job up.
PATIENCE = 240


def shell(**variables: str) -> Dict[str, str]:
    """A user's environment, one thread a process; no batch system, no job."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("DMLC_", "SLURM_", "OMPI_", "PMI", "GLUON_NRM_")) and name != "PYTHONPATH"
    }
    return {**kept, "OMP_NUM_THREADS": "1", **variables}


def launch(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """tools/launch.py, to its end."""
    environment = shell(**variables)
    return subprocess.run(
        [*LAUNCH, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE
    )


def train_with(workers: int, folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """tools/train.py under it, with a server."""
    return launch(folder, "-n", str(workers), "-s", "1", *TRAIN, *words, **variables)


@contextmanager
def started(folder: Path, words: Sequence[str], **variables: str) -> Iterator[subprocess.Popen[str]]:
    """A command that runs; at the end of the body it is dead, whatever happens."""
    process = subprocess.Popen(
        words, cwd=folder, env=shell(**variables), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    """Wait until something is so, while a process runs."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None and time.monotonic() < end, process.communicate()[1]
        time.sleep(0.02)


def processes_of(job: int, **variables: str) -> List[int]:
    """The processes below ``job`` that themselves have these variables: a job's worker 1, say."""
    wanted = {f"{name}={value}".encode() for name, value in variables.items()}
    found = []
    for pid in descendants(job):
        try:
            environment = set(Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"))
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if wanted <= environment and b"guard.py" not in words:
            found.append(pid)
    return found


def descendants(pid: int) -> List[int]:
    """All processes below one, by /proc."""
    parents: Dict[int, List[int]] = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            status = (path / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(status[1]), []).append(int(path.name))
    found, left = [], [pid]
    while left:
        children = parents.get(left.pop(), [])
        found += children
        left += children
    return found


def gone(pids: Sequence[int]) -> bool:
    """Whether none of these processes runs any more."""
    return not [pid for pid in pids if alive(pid)]


def alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be taken note of does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
