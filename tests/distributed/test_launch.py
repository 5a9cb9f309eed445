"""The launcher: roles and addresses, hosts through ssh, Slurm and MPI, and every way not to start a job."""

from __future__ import annotations

import ast
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Dict, Iterator, List, Sequence

import pytest
from commands import run_here
from fakes import ROOT
from jobs import (
    LAUNCH,
    PATIENCE,
    TRAIN,
    descendants,
    gone,
    launch,
    processes_of,
    shell,
    started,
    train_with,
    wait_for,
)
from short_runs import FULL, SUPERVISED

from gluon_nrm.distributed import hosts as hosts_module
from gluon_nrm.distributed import launch as launch_module
from gluon_nrm.distributed.addresses import address_towards, free_port, wait_until_it_answers
from gluon_nrm.distributed.hosts import Host, read_hosts
from gluon_nrm.distributed.launch import task_addresses
from gluon_nrm.distributed.plan import Job, plan
from gluon_nrm.distributed.process_monitor import LEFT_ALONE
from gluon_nrm.distributed.task import Task, expand, find_task
from gluon_nrm.distributed.workers import Workers
from gluon_nrm.errors import DistributedError
from gluon_nrm.training import fit as fit_module

PYTHON = sys.executable
#: A worker that says what it is, and needs no MXNet.
SAY = [PYTHON, "-c", "import os; print(sorted((k, v) for k, v in os.environ.items() if 'DMLC' in k))"]

#: In place of ssh: runs the command in a shell of this machine, and writes down how it was called.
SSH = """#!/bin/sh
echo "$@" >> "$SSH_LOG"
while [ "$1" = -o ] || [ "$1" = -p ]; do shift 2; done
case "$1" in
  127.0.0.9) echo "ssh: connect to host $1 port 22: No route to host" >&2; exit 255;;
  127.0.0.8) sleep 60;;
esac
shift
exec sh -c "cd / && $*"
"""


@pytest.fixture
def ssh(tmp_path: Path) -> Dict[str, str]:
    """Variables with which ``ssh`` is the one above."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "ssh").write_text(SSH)
    (folder / "ssh").chmod(0o755)
    return {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "SSH_LOG": str(tmp_path / "ssh.log")}


@pytest.fixture
def listening() -> Iterator[int]:
    """A port of the loopback on which somebody listens."""
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


def refused(done: subprocess.CompletedProcess, message: str, code: int = 2) -> None:
    assert done.returncode == code, done.stderr
    assert re.search(message, done.stderr), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give the command that every worker runs"),
        (["-n", "2"], "give the command that every worker runs"),
        (SAY, "-n: give the number of workers, such as -n 2"),
        (["-n", "0", *SAY], "-n: '0' is no number from 1 on"),
        (["-n", "1", "-s", "x", *SAY], "-s: 'x' is no number from 1 on"),
        (["-n", "1", "--port", "70000", *SAY], "--port: '70000' is no port"),
        (["-n", "1", "pyhton", "train.py"], "'pyhton' is no command here"),
        (["-n", "1", "--root", "here", *SAY], "--root: is for tasks of mpirun"),
        (["-n", "1", "--hosts", "none.txt", *SAY], "--hosts: cannot read none.txt: No such file"),
    ],
)
def test_commands_that_are_refused(words: List[str], message: str, tmp_path: Path) -> None:
    refused(launch(tmp_path, *words), message)


def test_a_port_that_is_taken(listening: int, tmp_path: Path) -> None:
    done = launch(tmp_path, "-n", "1", "--loopback", "--port", str(listening), *SAY)
    refused(done, f"--port: {listening} on 127.0.0.1 cannot be listened on: Address already in use")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# nobody\n\n", "names no host"),
        ("127.0.0.1\n127.0.0.1\n", r"hosts.txt:2: 127.0.0.1 is named twice"),
        ("127.0.0.1 slots=4\n", r"hosts.txt:1: '127.0.0.1 slots=4' is no host"),
        ("127.0.0.1:ssh\n", r"hosts.txt:1: '127.0.0.1:ssh' is no host"),
        ("no-such-host.invalid\n", "host 'no-such-host.invalid' is not known here"),
        ("\xff", "cannot read"),
    ],
)
def test_files_of_hosts_that_are_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "hosts.txt"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(DistributedError, match=message):
        read_hosts(path)


def test_a_host_that_cannot_be_reached(
    ssh: Dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hosts.txt").write_text("127.0.0.2\n127.0.0.9\n")
    done = launch(tmp_path, "-n", "2", "--hosts", "hosts.txt", *SAY, **ssh)
    refused(done, "127.0.0.9 cannot be reached: ssh: connect to host .*: No route to host;\n.*without a ques")
    assert "env" not in Path(ssh["SSH_LOG"]).read_text()  # nothing was started anywhere
    monkeypatch.setattr(hosts_module, "PATIENCE", 0.2)
    for name, value in ssh.items():
        monkeypatch.setenv(name, value)
    assert Host("127.0.0.8", "127.0.0.8", True).problem() == "no answer in 0.4 s"
    monkeypatch.setenv("PATH", "")
    assert str(Host("x", "127.0.0.8", True).problem()).startswith("ssh cannot be run")


def test_workers_over_ssh(ssh: Dict[str, str], tmp_path: Path) -> None:
    """Two hosts of the loopback's network; each process finds its folder and variables, and trains."""
    (tmp_path / "hosts.txt").write_text("127.0.0.2  # the first\n127.0.0.3:2222\n")
    (tmp_path / "short.yaml").write_text(SUPERVISED)
    command = [*TRAIN, "short.yaml", "--kvstore", "dist_sync", "--devices", "cpu"]
    done = launch(tmp_path, "-n", "2", "--hosts", "hosts.txt", *command, **ssh)
    assert done.returncode == 0, done.stderr
    assert "[worker 0] finished: runs/short-s0\n" in done.stderr
    lines = Path(ssh["SSH_LOG"]).read_text().splitlines()
    assert len(lines) == 2 + 4  # a look at each, then a server and a worker on each
    assert sum("-p 2222 127.0.0.3" in line for line in lines) == 3
    assert all("BatchMode=yes" in line for line in lines)
    assert sum("DMLC_NODE_HOST=127.0.0.3" in line and "DMLC_NUM_SERVER=2" in line for line in lines) == 2


@pytest.mark.parametrize("end", ["worker", "launcher", "interrupt"])
def test_nothing_is_left_on_a_host(ssh: Dict[str, str], tmp_path: Path, end: str) -> None:
    (tmp_path / "hosts.txt").write_text("127.0.0.2\n")
    code = "import os, subprocess, sys, time; subprocess.Popen(['sleep', '900']); open('up' + "
    code += "os.environ['GLUON_NRM_WORKER'], 'w').close(); time.sleep(900)"
    command = [*LAUNCH, "-n", "2", "--hosts", "hosts.txt", PYTHON, "-c", code]
    with started(tmp_path, command, **ssh) as process:
        wait_for(lambda: len(list(tmp_path.glob("up*"))) == 2, process)
        everything = descendants(process.pid)
        if end == "worker":
            victims = [pid for pid in everything if b"up" in Path(f"/proc/{pid}/cmdline").read_bytes()]
            os.kill(max(victims), signal.SIGKILL)
        else:
            process.send_signal(signal.SIGKILL if end == "launcher" else signal.SIGINT)
        process.communicate(timeout=60)
    deadline = time.monotonic() + 20
    while not gone(everything) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert gone(everything) and len(everything) >= 10
    assert process.returncode == {"worker": 137, "launcher": -9, "interrupt": 130}[end]


def test_a_worker_that_fails_is_shown(tmp_path: Path) -> None:
    """Worker 1 fails when worker 0, which would stay for long, has said a word."""
    code = (
        "import os, sys, time\n"
        "if os.environ['GLUON_NRM_WORKER'] == '0':\n"
        "    print('hello'); open('up', 'w').close(); time.sleep(900)\n"
        "while not os.path.exists('up'): time.sleep(0.01)\n"
        "print('hello'); sys.exit('it broke\\nhere')\n"
    )
    done = launch(tmp_path, "-n", "2", PYTHON, "-u", "-c", code)
    refused(done, "error: worker 1 ended with exit code 1; all other processes were ended. Its last", code=1)
    assert done.stderr.endswith("\n  it broke\n  here\n")
    assert "[worker 1] it broke\n[worker 1] here\n" in done.stderr
    assert sorted(done.stdout.splitlines()) == ["[worker 0] hello", "[worker 1] hello"]


def test_training_that_is_refused(tmp_path: Path) -> None:
    """By all workers, when they have joined the job; other refusals are those of the checks' own tests."""
    (tmp_path / "short.yaml").write_text(FULL)
    standard = ["short.yaml", "--kvstore", "dist_sync", "--devices", "cpu"]
    done = train_with(2, tmp_path, *standard, "--set", "train.batch_labelled=5")
    refused(done, "batch_labelled: 5 images do not divide over 2 devices .1 of")
    assert not (tmp_path / "runs").exists()


def test_dist_async_that_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a worker that is alone in a job of its own making."""
    (tmp_path / "short.yaml").write_text(FULL)
    monkeypatch.setenv("DMLC_PS_ROOT_URI", "127.0.0.1")
    monkeypatch.setattr(fit_module, "connect", lambda kvstore: Workers())
    done = run_here("train", "short.yaml", "--kvstore", "dist_async", "--devices", "cpu", folder=tmp_path)
    message = "optimiser.phases: 2 of them, but the servers' optimiser"
    assert done.returncode == 2 and message in done.stderr, done.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--devices", "gpu(7)"], r"--devices: there is no gpu\(7\)"),
        (["--kvstore", "nccl"], "this build of MXNet has no 'nccl'"),
        (["--kvstore", "dist_sink"], "train.kvstore: .*dist_sink"),
    ],
)
def test_training_that_is_refused_before_the_job_is_joined(
    words: List[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a worker that finds its job in the environment, and connects to nothing."""
    (tmp_path / "short.yaml").write_text(FULL)
    monkeypatch.setenv("DMLC_PS_ROOT_URI", "127.0.0.1")
    monkeypatch.setattr(fit_module, "connect", lambda kvstore: pytest.fail("it joined the job"))
    standard = ["short.yaml", "--kvstore", "dist_sync", "--devices", "cpu"]
    done = run_here("train", *standard, *words, folder=tmp_path)
    assert done.returncode == 2 and re.search(message, done.stderr), done.stderr
    assert not (tmp_path / "runs").exists()


# other differences are those of tests/distributed/test_workers.py
def test_workers_that_differ(tmp_path: Path) -> None:
    (tmp_path / "short.yaml").write_text(SUPERVISED)
    code = (
        "import os\n"
        "from gluon_nrm.recipe import load_recipe\n"
        "from gluon_nrm.console.tool import run_tool\n"
        "from gluon_nrm.training.fit import fit\n"
        "changes = ['train.kvstore=dist_sync']\n"
        "if os.environ['GLUON_NRM_WORKER'] == '1':\n"
        "    changes.append('data.shift=0')\n"
        "run_tool(lambda _: fit(load_recipe('short.yaml', changes), devices='cpu') and 0)\n"
    )
    (tmp_path / "own.py").write_text(code)
    done = launch(tmp_path, "-n", "2", PYTHON, "own.py", PYTHONPATH=str(ROOT))
    host = re.escape(socket.gethostname())
    refused(
        done, rf"workers differ: recipe hash is \S+ on worker 0 \({host}\), \w{{12}} on worker 1 \({host}\)"
    )
    assert not (tmp_path / "runs").exists()


def test_a_worker_without_a_job(tmp_path: Path) -> None:
    (tmp_path / "short.yaml").write_text(SUPERVISED)
    words = ["short.yaml", "--kvstore", "dist_sync"]
    for more, message in (
        ([], "'dist_sync' needs a scheduler and servers"),
        (["--dry-run"], "a forecast is of one process"),
    ):
        outside = run_here("train", *words, *more, folder=tmp_path)
        assert outside.returncode == 2 and message in outside.stderr, outside.stderr
    variables = {
        "DMLC_ROLE": "worker", "DMLC_PS_ROOT_URI": "127.0.0.1", "DMLC_PS_ROOT_PORT": str(free_port()),
        "DMLC_NUM_WORKER": "1", "DMLC_NUM_SERVER": "1", "GLUON_NRM_PATIENCE": "0.5",
    }  # fmt: skip
    command, environment = [*TRAIN, *words], shell(**variables)
    lost = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=PATIENCE
    )
    refused(lost, r"no scheduler answers at 127.0.0.1:\d+ \(Connection refused\)")


def test_waiting_for_the_scheduler(listening: int) -> None:
    wait_until_it_answers("127.0.0.1", listening, seconds=5)
    with pytest.raises(DistributedError, match="no scheduler answers"):
        wait_until_it_answers("127.0.0.1", free_port(), seconds=0.2)


def test_roles_are_dealt_out_over_the_hosts() -> None:
    first, second = Host("a", "10.0.0.1", True), Host("b", "10.0.0.2", True)
    here = Host("this machine", "10.0.0.9")
    job = Job(3, 2, "10.0.0.9", 9000, ["python", "train.py"], "the command")
    found = plan(job, [first, second], here)
    assert [(p.name, p.host) for p in found] == [
        ("scheduler", here), ("server 0", first), ("server 1", second),
        ("worker 0", first), ("worker 1", second), ("worker 2", first),
    ]  # fmt: skip
    for process in found:
        assert process.variables["DMLC_NODE_HOST"] == process.host.address
        assert process.variables["DMLC_PS_ROOT_URI"] == "10.0.0.9"
        assert process.variables["DMLC_ROLE"] == process.role
    assert list(found[-1].arguments) == ["python", "train.py"]
    assert found[-1].variables["GLUON_NRM_WORKER"] == "2"
    # they share their hosts' cores
    assert [p.variables.get("GLUON_NRM_WORKERS_HERE") for p in found[3:]] == ["2", "1", "2"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("login1", ["login1"]),
        ("a,b-1", ["a", "b-1"]),
        ("n[08-10,12],gpu[3]-ib,x", ["n08", "n09", "n10", "n12", "gpu3-ib", "x"]),
        ("r[1-2]n[1,3]", ["r1n1", "r1n3", "r2n1", "r2n3"]),
    ],
)
def test_lists_of_nodes(text: str, names: List[str]) -> None:
    assert expand(text) == names


SLURM = {"SLURM_PROCID": "1", "SLURM_NTASKS": "4", "SLURM_JOB_ID": "77"}
OPEN_MPI = {"OMPI_COMM_WORLD_RANK": "2", "OMPI_COMM_WORLD_SIZE": "3"}


def test_tasks() -> None:
    assert find_task({"SLURM_NTASKS": "4", "PATH": "/bin"}) is None  # salloc, without srun
    task = find_task({**SLURM, "SLURM_JOB_NODELIST": "n[1-2]", "SLURM_STEP_NODELIST": "n2,n1"})
    assert task is not None and task[:3] == (1, 4, ("n2", "n1")) and not task.on_one_machine
    other = find_task({**SLURM, "SLURM_PROCID": "3", "SLURM_JOB_NODELIST": "n[1-2]"})
    later = find_task({**SLURM, "SLURM_JOB_ID": "78"})
    assert other is not None and later is not None
    assert task.port == other.port != later.port and 1024 < task.port < 32768
    for variables in (OPEN_MPI, {"PMI_RANK": "2", "PMI_SIZE": "3"}):
        found = find_task(variables)
        assert found is not None and found[:3] == (2, 3, ()) and found.on_one_machine
    spread = {**OPEN_MPI, "OMPI_COMM_WORLD_LOCAL_SIZE": "2"}
    with pytest.raises(DistributedError, match="which one has rank 0;\n.* --root"):
        find_task(spread)
    named = find_task(spread, root="n1")
    assert named is not None and named.nodes == ("n1",)
    with pytest.raises(DistributedError, match="SLURM_PROCID: 'x' is no number"):
        find_task({**SLURM, "SLURM_PROCID": "x"})
    with pytest.raises(DistributedError, match="SLURM_PROCID: 4 of 4"):
        find_task({**SLURM, "SLURM_PROCID": "4"})


def test_addresses_of_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"n1": "10.0.0.1", "n2": "10.0.0.2", "me": "127.0.1.1"}
    own = {"10.0.0.1": "10.0.0.3", "n2": "10.0.0.4"}
    monkeypatch.setattr(launch_module, "resolve", lambda name: known.get(name, name))
    monkeypatch.setattr(launch_module, "address_towards", lambda name: own[name])
    assert task_addresses(Task(0, 2, (), 1)) == ["127.0.0.1", "127.0.0.1"]
    assert task_addresses(Task(0, 2, ("me",), 1)) == ["127.0.1.1", "127.0.1.1"]  # all on this one
    assert task_addresses(Task(0, 2, ("n1", "n2"), 1)) == ["10.0.0.1", "10.0.0.1"]
    assert task_addresses(Task(1, 2, ("n1", "n2"), 1)) == ["10.0.0.1", "10.0.0.3"]
    assert task_addresses(Task(0, 2, ("me", "n2"), 1)) == ["10.0.0.4", "10.0.0.4"]
    assert task_addresses(Task(1, 2, ("n1",), 1)) == ["10.0.0.1", "10.0.0.3"]  # with --root
    monkeypatch.undo()
    assert address_towards("127.0.0.2") == "127.0.0.1"


def run_as_tasks(
    folder: Path, rank: str, size: str, command: Sequence[str]
) -> List[subprocess.CompletedProcess]:
    """Run the same command as both tasks of a batch system that names rank and size by these variables."""
    common = {size: "2", "SLURM_JOB_ID": str(os.getpid()), "SLURM_STEP_NODELIST": "127.0.0.1"}
    with started(folder, command, **common, **{rank: "1"}) as second, started(
        folder, command, **common, **{rank: "0"}
    ) as first:
        both = (first, second)
        said = [process.communicate(timeout=PATIENCE) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    return [subprocess.CompletedProcess(command, 0, *each) for each in said]


def test_tasks_take_their_roles_from_their_ranks(tmp_path: Path) -> None:
    """Every task runs the same command."""
    (tmp_path / "short.yaml").write_text(SUPERVISED)
    command = [*LAUNCH, *TRAIN, "short.yaml", "--kvstore", "dist_sync", "--devices", "cpu"]
    first, second = run_as_tasks(tmp_path, "SLURM_PROCID", "SLURM_NTASKS", command)
    assert "[worker 0] finished: runs/short-s0\n" in first.stderr and "worker 0" not in second.stderr


def test_tasks_of_mpirun_take_their_roles_from_their_ranks(tmp_path: Path) -> None:
    tasks = run_as_tasks(tmp_path, "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", [*LAUNCH, *SAY])
    for rank, task in enumerate(tasks):
        (line,) = task.stdout.splitlines()
        assert line.startswith(f"[worker {rank}] ")
        variables = dict(ast.literal_eval(line.partition("] ")[2]))
        assert variables["DMLC_ROLE"] == "worker" and variables["DMLC_NUM_WORKER"] == "2"
    assert len({task.stdout.partition("DMLC_PS_ROOT_PORT")[2][:12] for task in tasks}) == 1


def test_a_task_whose_worker_is_killed_ends_the_others(tmp_path: Path) -> None:
    """No launcher sees the other task; the workers see each other."""
    (tmp_path / "short.yaml").write_text(SUPERVISED.replace("epochs: 3", "epochs: 4000"))
    command = [*LAUNCH, *TRAIN, "short.yaml", "--kvstore", "dist_sync", "--devices", "cpu"]
    common = {"PMI_SIZE": "2", "PMI_ID": str(os.getpid())}
    with started(tmp_path, command, **common, PMI_RANK="1") as second, started(
        tmp_path, command, **common, PMI_RANK="0"
    ) as first:
        wait_for(lambda: list(tmp_path.glob("runs/short-s0/checkpoints/LAST")), first)
        everything = [*descendants(first.pid), *descendants(second.pid)]
        (victim,) = processes_of(second.pid, DMLC_ROLE="worker")
        os.kill(victim, signal.SIGKILL)
        said = [process.communicate(timeout=30)[1] for process in (first, second)]
    assert (first.returncode, second.returncode) == (LEFT_ALONE, 128 + signal.SIGKILL)
    assert f"error: worker 1 on {socket.gethostname()} is gone: it failed or was killed" in said[0]
    assert "error: worker 1 was killed by SIGKILL" in said[1] and gone(everything)


def test_more_workers_than_tasks(tmp_path: Path) -> None:
    done = launch(tmp_path, "-n", "3", *SAY, PMI_RANK="0", PMI_SIZE="2")
    refused(done, "-n: 3 workers, but there are 2 tasks")
