"""Kill -9 of a job's guards, launcher and processes, at several moments: nothing of the job is left."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing, suppress
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Callable, Dict, List

import pytest
from jobs import LAUNCH, alive, shell

from gluon_nrm.distributed.addresses import free_port
from gluon_nrm.distributed.guard import __file__ as GUARD

#: Seconds in which everything has to be gone.
SOON = 15
#: A worker with a child in its group and one in a session of its own, neither of which MXNet knows.
WORKER = "import subprocess, time; subprocess.Popen(['sleep', '600']); time.sleep(600)"


def marked(mark: str) -> Dict[int, str]:
    """The living processes with this variable in their environment, and their command lines."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            variables = (path / "environ").read_bytes().split(b"\0")
            if f"MARK={mark}".encode() in variables and alive(int(path.name)):
                found[int(path.name)] = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


def roles(mark: str) -> Dict[str, int]:
    """The processes of a job by their roles; of guards, which have a watch of the same name, the first."""
    found: Dict[str, int] = {}
    for pid, words in sorted(marked(mark).items()):
        with suppress(OSError):
            values = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            role = next((v[10:].decode() for v in values if v.startswith(b"DMLC_ROLE=")), "")
            if role:
                found.setdefault(f"guard of {role}" if "guard.py" in words else role, pid)
    return found


def listens(port: int) -> bool:
    with closing(socket.socket()) as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait(condition: Callable[[], object], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def tell(guard: subprocess.Popen, text: str) -> None:
    assert guard.stdin is not None
    guard.stdin.write(text.encode())
    guard.stdin.flush()


def kill(victim: str, moment: str, folder: Path) -> List[str]:
    """Start a job, kill one of its processes at a moment, and return what is wrong afterwards."""
    mark, port = f"{victim}-{moment}-{os.getpid()}", free_port()
    words = [*LAUNCH, "-n", "1", "-s", "1", "--loopback", "--port", str(port), sys.executable, "-c", WORKER]
    job = subprocess.Popen(
        words, cwd=folder, env=shell(MARK=mark), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert wait(lambda: victim == "launcher" or victim in roles(mark), 60), f"{mark}: no {victim}"
        if moment == "listening":
            assert wait(lambda: listens(port) and "sleep 600" in str(marked(mark)), 60), mark
        else:
            time.sleep(float(moment))
        os.kill(job.pid if victim == "launcher" else roles(mark)[victim], signal.SIGKILL)
        said = job.communicate(timeout=60)[1]
        left: Dict[int, str] = {}

        def nothing_left() -> bool:
            left.clear()
            left.update(marked(mark))
            return not left

        wait(nothing_left, SOON)
        problems = [f"{mark}: {words} is left" for words in left.values()]
        if listens(port):
            problems.append(f"{mark}: somebody listens on {port}")
        expected = -9 if victim == "launcher" else 128 + signal.SIGKILL
        if job.returncode != expected:
            problems.append(f"{mark}: exit code {job.returncode}: {said}")
        return problems
    finally:
        for pid in [job.pid, *marked(mark)]:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)


KILLS = [
    ("guard of scheduler", "listening"), ("guard of server", "listening"), ("guard of worker", "listening"),
    ("launcher", "listening"), ("guard of scheduler", "0.3"), ("guard of server", "0"),
    ("guard of worker", "0"), ("launcher", "0.2"),
]  # fmt: skip


def test_a_kill_at_any_moment_leaves_nothing_behind(tmp_path: Path) -> None:
    with ThreadPool(len(KILLS)) as threads:
        problems = threads.map(lambda case: kill(*case, tmp_path), KILLS, chunksize=1)
    assert [problem for case in problems for problem in case] == []


@pytest.mark.parametrize("moment", [0.0, 0.05, 0.1, 0.3])
def test_a_guard_that_is_killed_takes_its_whole_group_along(moment: float, tmp_path: Path) -> None:
    mark = f"guard-{moment}-{os.getpid()}"
    script = "sleep 600 & (sleep 600 &) ; sleep 600"
    guard = subprocess.Popen(
        [sys.executable, GUARD, "sh", "-c", script], stdin=subprocess.PIPE, env=shell(MARK=mark)
    )
    tell(guard, "{}\n")
    try:
        assert wait(lambda: "sleep 600" in str(marked(mark)) or moment < 0.1, 10)
        time.sleep(moment)
        guard.kill()
        guard.wait()
        assert wait(lambda: not marked(mark), 5), marked(mark)
    finally:
        for pid in marked(mark):
            os.kill(pid, signal.SIGKILL)


def test_a_guard_whose_watch_is_killed_still_ends_its_command(tmp_path: Path) -> None:
    mark = f"watch-{os.getpid()}"
    guard = subprocess.Popen(
        [sys.executable, GUARD, "sleep", "600"], stdin=subprocess.PIPE, env=shell(MARK=mark)
    )
    tell(guard, "{}\n")
    assert wait(lambda: len(marked(mark)) == 3, 10)
    watch = next(pid for pid, words in marked(mark).items() if "guard.py" in words and pid != guard.pid)
    os.kill(watch, signal.SIGKILL)
    assert guard.stdin is not None
    guard.stdin.close()
    assert guard.wait(timeout=10) == 128 + signal.SIGKILL and wait(lambda: not marked(mark), 5)
