"""How a job's processes find each other: proofs, deadlines, strangers; and who can reach a job at all."""

from __future__ import annotations

import os
import pickle
import socket
import struct
import subprocess
import sys
import time
from contextlib import closing, suppress
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any, Dict, Iterator, List

import mxnet as mx
import pytest
from fakes import ROOT
from jobs import LAUNCH, PATIENCE, launch, processes_of, shell, started, wait_for
from short_runs import SUPERVISED, recipe

from gluon_nrm.distributed import enclosure as enclosure_module
from gluon_nrm.distributed import handshake as handshake_module
from gluon_nrm.distributed.addresses import check_private, free_port
from gluon_nrm.distributed.commands import read_command, sign
from gluon_nrm.distributed.handshake import Gate, join
from gluon_nrm.distributed.hosts import Host
from gluon_nrm.distributed.join_job import gather, link_to_hub
from gluon_nrm.distributed.plan import Job, plan
from gluon_nrm.distributed.serve import make_controller
from gluon_nrm.errors import DistributedError
from gluon_nrm.optimisation.schedules import stretches
from gluon_nrm.optimisation.server_optimiser import describe_optimiser, make_optimiser
from gluon_nrm.system.job_variables import DEFAULT_PATIENCE, patience
from gluon_nrm.training.optimisers import optimiser_settings

HERE = "127.0.0.1"
KEY = b"the job's key"

#: What strangers send: nothing, noise, a header that promises 2 GB, a web request, MXNet's own first bytes.
STRANGERS = [
    b"",
    bytes(range(256)) * 8,
    struct.pack("!i", 2**31 - 1),
    struct.pack("!iQ", -1, 2**62),
    b"GET / HTTP/1.1\r\n\r\n",
    b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f",
    struct.pack("!i", 3) + b"abc",
]


@pytest.fixture
def strangers() -> Iterator[List[socket.socket]]:
    """Connections of people who are not of the job; open until the end."""
    held: List[socket.socket] = []
    yield held
    for sock in held:
        sock.close()


def connect(port: int, held: List[socket.socket], data: bytes) -> None:
    sock = socket.create_connection((HERE, port), timeout=5)
    held.append(sock)
    with suppress(OSError):
        sock.sendall(data)


def test_strangers_hold_up_nobody(strangers: List[socket.socket]) -> None:
    """Silent ones and those that send anything else come first; the job's own come in at once."""
    gate = Gate(HERE, 0, KEY, ["worker 1/talk", "server 0/watch"])
    for data in STRANGERS * 3:
        connect(gate.port, strangers, data)
    begin = time.monotonic()
    with ThreadPool(2) as threads:
        links = [
            threads.apply_async(join, (HERE, gate.port, KEY, name, "it", 20.0))
            for name in ("worker 1/talk", "server 0/watch")
        ]
        found = gate.collect(20)
        assert found.keys() == {"worker 1/talk", "server 0/watch"} and time.monotonic() - begin < 3
        found["worker 1/talk"].connection.send_bytes(b"x" * 100_000)
        assert links[0].get().recv_bytes() == b"x" * 100_000
    assert gate.refused >= 3


def test_more_silent_ones_than_there_is_room_for(
    strangers: List[socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has a deadline, also one that sends a byte now and then."""
    monkeypatch.setattr(handshake_module, "DEADLINE", 1.0)
    monkeypatch.setattr(handshake_module, "CROWD", 8)
    gate = Gate(HERE, 0, KEY, ["worker 1/talk"])
    for _ in range(12):
        connect(gate.port, strangers, b"\0")
    with ThreadPool(1) as threads:
        link = threads.apply_async(join, (HERE, gate.port, KEY, "worker 1/talk", "it", 20.0))
        begin = time.monotonic()
        while not link.ready() and time.monotonic() < begin + 10:
            for sock in strangers:
                with suppress(OSError):
                    sock.send(b"\0")
            time.sleep(0.2)
        assert list(gate.collect(0.0)) == ["worker 1/talk"] and link.get() is not None


def test_a_wrong_key_and_a_wrong_hub_are_named(strangers: List[socket.socket]) -> None:
    gate = Gate(HERE, 0, KEY, ["worker 1/talk"])
    with pytest.raises(DistributedError, match="another key .GLUON_NRM_KEY., or is another program"):
        join(HERE, gate.port, b"another", "worker 1/talk", "worker 1 on n2", 1.0)
    assert gate.collect(0.1) == {} and gate.refused >= 1
    with closing(socket.socket()) as silent:
        silent.bind((HERE, 0))
        silent.listen()
        with pytest.raises(DistributedError, match="worker 0 does not take worker 1 on n2 in"):
            join(HERE, silent.getsockname()[1], KEY, "worker 1/talk", "worker 1 on n2", 0.5)
    taken = Gate(HERE, 0, KEY, ["x"])
    with pytest.raises(DistributedError, match="cannot listen on .*Address already in use;\n.*--port"):
        Gate(HERE, taken.port, KEY, ["x"])


def job_variables(monkeypatch: pytest.MonkeyPatch, seconds: str) -> None:
    variables = {
        "GLUON_NRM_HUB": f"{HERE}:{free_port()}", "GLUON_NRM_KEY": "k", "GLUON_NRM_PATIENCE": seconds,
        "GLUON_NRM_PLACES": "worker 1=n1;worker 2=n2;server 0=n1;scheduler=n0",
    }  # fmt: skip
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("come", "message"),
    [
        (["worker 1", "server 0"], "^worker 2 on n2, scheduler on n0 did not join the job in 2 s"),
        (["worker 1", "worker 2", "scheduler"], "^server 0 on n1 did not join the job in 2 s"),
        (["worker 1", "worker 1"], "^GLUON_NRM_WORKER: there are two of worker 1"),
        ([], "^worker 1 on n1, worker 2 on n2, scheduler on n0, server 0 on n1 did not .*;\n.*--patience"),
    ],
)
def test_who_is_missing_is_named_to_all(
    come: List[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_variables(monkeypatch, "2")

    def enter(name: str) -> Any:
        kinds = ["talk", "watch"] if "worker" in name else ["watch"]
        try:
            return gather(3, 1) if name == "hub" else link_to_hub(name, *kinds)
        except DistributedError as error:
            return str(error)

    with ThreadPool(5) as threads:
        found = threads.map(enter, ["hub", *come], chunksize=1)
    with pytest.raises(DistributedError, match=message):
        raise DistributedError(found[0])
    if len(set(come)) == len(come):
        assert found == found[:1] * len(found)


def test_all_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    job_variables(monkeypatch, "20")
    with ThreadPool(3) as threads:
        hub = threads.apply_async(gather, (2, 1))
        others = [
            threads.apply_async(link_to_hub, ("worker 1", "talk", "watch")),
            threads.apply_async(link_to_hub, ("server 0", "watch")),
        ]
        link_to_hub("scheduler", "watch")
        links = hub.get()
        assert list(links.talk) == [1] and list(links.watch) == ["worker 1", "scheduler", "server 0"]
        assert links.titles["server 0"] == f"server 0 on {socket.gethostname()}"
        links.talk[1].send_bytes(b"hello")
        assert others[0].get().talk[0].recv_bytes() == b"hello" and others[1].get().talk == {}


@pytest.mark.parametrize(("text", "seconds"), [("", DEFAULT_PATIENCE), ("0.5", 0.5), ("0", float("inf"))])
def test_patience(text: str, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLUON_NRM_PATIENCE", text)
    assert patience() == seconds
    for wrong in ("x", "-1", "nan"):
        monkeypatch.setenv("GLUON_NRM_PATIENCE", wrong)
        with pytest.raises(DistributedError, match="GLUON_NRM_PATIENCE: .* no number of seconds"):
            patience()


# ---- commands to the servers


class Evil:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("pickle-ran"),))


def test_a_server_reads_signed_json_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    seen: List[Any] = []

    class Store:
        def set_optimizer(self, optimiser: Any) -> None:
            seen.append(optimiser)

    control = make_controller(KEY, Store(), lambda: seen.append("greeted"))
    good = sign(KEY, {"command": "greeting"}).encode()
    attacks = [
        pickle.dumps(Evil()), pickle.dumps(mx.optimizer.SGD(), 0), b"", None, b"\xff\xfe",
        sign(b"another", {"command": "greeting"}).encode(), good[:-1], b"0" * 64 + good[64:],
        sign(KEY, {"command": "delete"}).encode(), good.partition(b" ")[2],
    ]  # fmt: skip
    for body in attacks * 3:
        control(0, body, None)
    assert seen == [] and not Path("pickle-ran").exists()
    assert capfd.readouterr().err.count("refused a command") == 10  # and no more lines than that
    for _ in range(2):  # sent again by someone who listened
        control(0, good, None)
    assert seen == ["greeted"]
    assert read_command(b"", sign(b"", {"command": "greeting"}).encode()) is None  # no key, no command


def test_an_optimiser_keeps_every_bit_in_json() -> None:
    config = recipe(SUPERVISED, "optimiser.weight_decay=0.05").optimiser
    (stretch,) = stretches(config.phases, 3)
    settings = optimiser_settings(config, stretch.phase)
    description = describe_optimiser(settings, [1.0, 0.0, 1.0], stretch, epoch_steps=7, workers=3, first=4)
    command = read_command(KEY, sign(KEY, {"command": "optimiser", "optimiser": description}).encode())
    assert command is not None
    made, direct = make_optimiser(command["optimiser"]), mx.optimizer.create(stretch.phase.name, **settings)
    assert type(made) is type(direct) and made.wd_mult == {0: 1.0, 1: 0.0, 2: 1.0}
    skipped = ("wd_mult", "lr_scheduler", "lr")
    for name, value in vars(direct).items():
        assert name in skipped or name.startswith("_") or getattr(made, name) == value, name
    assert [made.lr_scheduler(update) for update in (1, 5, 30, 99)] == pytest.approx(
        [make_optimiser(description).lr_scheduler(update) for update in (1, 5, 30, 99)], rel=0, abs=0
    )


# ---- addresses, and a network of the job's own


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "172.31.0.1", "192.168.7.7", "169.254.1.1"])
def test_private_addresses(address: str) -> None:
    check_private(address, "n1")


@pytest.mark.parametrize("address", ["8.8.8.8", "172.32.0.1", "100.64.0.1", "0.0.0.0", "224.0.0.1", ""])
def test_public_addresses_need_a_word(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DistributedError, match="n1: .* is not private, .*;\n.*private net.*--allow-public"):
        check_private(address, "n1")
    check_private(address, "n1", allowed=True)
    monkeypatch.setenv("GLUON_NRM_ALLOW_PUBLIC", "1")
    check_private(address, "n1")


def test_a_public_host_is_refused_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "hosts.txt").write_text("127.0.0.1\n8.8.8.8\n")
    done = launch(tmp_path, "-n", "1", "--hosts", "hosts.txt", "true")
    assert done.returncode == 2 and "8.8.8.8: 8.8.8.8 is not private" in done.stderr
    done = launch(tmp_path, "true", PMI_RANK="1", PMI_SIZE="3", MPI_LOCALNRANKS="1", SLURM_NTASKS="3",
                  SLURM_PROCID="1", SLURM_JOB_NODELIST="8.8.8.8,8.8.4.4")  # fmt: skip
    assert done.returncode == 2 and "is not private" in done.stderr


@pytest.mark.parametrize(("words", "text"), [((), "soon"), (("--patience", "soon"), ""), ((), "-3")])
def test_a_patience_that_is_none(words: List[str], text: str, tmp_path: Path) -> None:
    done = launch(tmp_path, "-n", "1", *words, "true", GLUON_NRM_PATIENCE=text)
    assert done.returncode == 2 and "no number of seconds" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_key_is_on_no_command_line() -> None:
    job = Job(1, 1, "10.0.0.9", 9000, ["true"], "it", "10.0.0.1:9001", "very-secret")
    for process in plan(job, [Host("n1", "10.0.0.1", True)], Host("here", "10.0.0.9")):
        assert "very-secret" not in str(process.command()) and "very-secret" not in str(process.variables)
        assert "very-secret" in process.whisper()


def can_be_enclosed() -> bool:
    code = "from gluon_nrm.distributed.enclosure import enclose; raise SystemExit(enclose() is not None)"
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_a_job_of_one_machine_is_out_of_reach(tmp_path: Path) -> None:
    """Others find none of its ports; its files belong to the user."""
    if not can_be_enclosed():
        pytest.skip("no network namespace can be had here")
    code = (
        "import os, socket, time; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()\n"
        "open('port.part', 'w').write(f'{s.getsockname()[1]} {os.getuid()} {os.getgid()}')\n"
        "os.rename('port.part', 'port'); time.sleep(600)\n"
    )
    command = [*LAUNCH, "-n", "1", sys.executable, "-c", code]
    with started(tmp_path, command) as process:
        wait_for((tmp_path / "port").exists, process)
        port, user, group = map(int, (tmp_path / "port").read_text().split())
        with closing(socket.socket()) as probe:
            assert probe.connect_ex((HERE, port)) != 0
        (worker,) = processes_of(process.pid, DMLC_ROLE="worker")
        assert os.readlink(f"/proc/{worker}/ns/net") != os.readlink("/proc/self/ns/net")
        assert (user, group) == (os.getuid(), os.getgid())
        assert (tmp_path / "port").stat().st_uid == os.getuid()


def test_where_no_network_can_be_had_a_job_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(flags: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    before = os.readlink("/proc/self/ns/net")
    monkeypatch.setattr(enclosure_module, "_unshare", refuse)
    assert enclosure_module.enclose() == "Operation not permitted"
    monkeypatch.setattr(enclosure_module, "_unshare", lambda flags: None)
    monkeypatch.setattr(enclosure_module, "_raise_loopback", lambda: refuse(0))
    monkeypatch.setattr(os, "getuid", lambda: 1)
    assert enclosure_module.enclose() is not None
    assert os.readlink("/proc/self/ns/net") == before  # tried in a child
    code = (
        "import sys; sys.argv[0] = 'launch.py'; from gluon_nrm.cli import launch\n"
        "from gluon_nrm.distributed import launch as module; module.enclose = lambda: 'not allowed'\n"
        "sys.exit(launch.main(['-n', '1', 'true']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=shell(), capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0
    assert "note: no network of its own for this job (not allowed); all users" in done.stderr


# ---- a real parameter server


IMPOSTOR = """
import os, sys, time
import mxnet as mx
open('impostor', 'w').close()
store = mx.kv.create('dist_sync')
if store.rank == 0:
    import pickle
    class Evil:
        def __reduce__(self):
            return (os.mkdir, (os.path.abspath('pickle-ran'),))
    store._send_command_to_servers(0, pickle.dumps(Evil(), 0).decode('latin-1'))
time.sleep(600)
"""


#: A worker that comes late: the impostor has the place by then.
LATE = """
import os, time
from gluon_nrm.console.tool import run_tool
from gluon_nrm.distributed.connect import connect
while not os.path.exists('impostor'): time.sleep(0.05)
time.sleep(2)
os.environ['GLUON_NRM_PATIENCE'] = '6'
run_tool(lambda _: connect('dist_sync') and 0)
"""


def test_one_who_takes_a_workers_place_ends_the_job_with_a_word(tmp_path: Path) -> None:
    """The impostor is in before any worker is; the job hung without a word, and ran its pickle."""
    (tmp_path / "impostor.py").write_text(IMPOSTOR)
    (tmp_path / "late.py").write_text(LATE)
    port = free_port()
    words = ["-n", "2", "-s", "1", "--loopback", "--port", str(port), sys.executable, "late.py"]
    variables: Dict[str, str] = {
        "DMLC_ROLE": "worker", "DMLC_PS_ROOT_URI": HERE, "DMLC_PS_ROOT_PORT": str(port),
        "DMLC_NUM_WORKER": "2", "DMLC_NUM_SERVER": "1", "DMLC_NODE_HOST": HERE,
    }  # fmt: skip
    with started(tmp_path, [sys.executable, "impostor.py"], **variables), started(
        tmp_path, [*LAUNCH, *words], PYTHONPATH=str(ROOT)
    ) as job:
        said = job.communicate(timeout=PATIENCE)[1]
    assert job.returncode == 2, said
    assert "did not get into MXNet's parameter server in 6 s" in said, said
    assert "--patience" in said and not (tmp_path / "pickle-ran").exists()
