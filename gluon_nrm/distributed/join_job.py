"""Join a job: every process connects to worker 0, the hub, within a time limit.

MXNet is not imported here: it would wait without end for a missing process.
"""

from __future__ import annotations

import os
import socket
import time
from multiprocessing.connection import Connection
from typing import Dict, List, NamedTuple, Tuple

from gluon_nrm.distributed.handshake import DEADLINE, Gate, Link, join
from gluon_nrm.errors import DistributedError
from gluon_nrm.system.commands import command_name
from gluon_nrm.system.job_variables import HUB, KEY, PLACES, RANK, patience

#: Kinds of connections: messages between workers, and monitoring of all processes.
TALK, WATCH = "talk", "watch"


class Links(NamedTuple):
    """The links of one process."""

    #: connections for messages between workers, by rank
    talk: Dict[int, Connection]
    #: connections for monitoring, by name of the process
    watch: Dict[str, Connection]
    #: name and host of each process for messages, by name
    titles: Dict[str, str]


def own_key() -> bytes:
    """Read the job's key.

    Raises:
        DistributedError: there is none.
    """
    key = os.environ.get(KEY, "")
    if not key:
        raise DistributedError(f"{KEY} is not set; start the job with {command_name('launch')}")
    return key.encode("utf-8")


def own_rank() -> int:
    """Read the rank of this worker.

    Raises:
        DistributedError: there is none.
    """
    text, size = os.environ.get(RANK, ""), int(os.environ["DMLC_NUM_WORKER"])
    if not text.isdigit() or int(text) >= size:
        raise DistributedError(
            f"{RANK}: {text!r} is no number of one of {size} workers; "
            f"start the job with {command_name('launch')}"
        )
    return int(text)


def title(name: str) -> str:
    """Name and host of a process on this machine, for messages."""
    return f"{name} on {socket.gethostname()}"


def hub_address() -> Tuple[str, int]:
    """Read the address of the hub; by default the scheduler's host, on the next port."""
    host, _, port = os.environ.get(HUB, "").rpartition(":")
    if host and port.isdigit():
        return host, int(port)
    return os.environ["DMLC_PS_ROOT_URI"], int(os.environ["DMLC_PS_ROOT_PORT"]) + 1


def gather(workers: int, servers: int) -> Links:
    """Accept all other processes of the job, on the hub.

    Raises:
        DistributedError: on every process; some did not join in time, or two have the same number.
    """
    others = [f"worker {rank}" for rank in range(1, workers)]
    watched = [*others, "scheduler", *(f"server {number}" for number in range(servers))]
    wanted = [f"{name}/{WATCH}" for name in watched] + [f"{name}/{TALK}" for name in others]
    host, port = hub_address()
    gate, seconds = Gate(host, port, own_key(), wanted), patience()
    found = gate.collect(seconds)
    problem = _problem(gate, found, wanted, seconds)
    for link in found.values():
        try:
            link.connection.send_bytes(f"{title('worker 0')}\n{problem}".encode())
        except OSError:
            continue  # the monitor reports it
    if problem:
        time.sleep(0.5)  # so that the others can read it before this process ends them
        raise DistributedError(problem)
    return Links(
        {rank: found[f"worker {rank}/{TALK}"].connection for rank in range(1, workers)},
        {name: found[f"{name}/{WATCH}"].connection for name in watched},
        {name: found[f"{name}/{WATCH}"].title for name in watched},
    )


def _problem(gate: Gate, found: Dict[str, Link], wanted: List[str], seconds: float) -> str:
    if gate.twice:
        name = gate.twice[0].partition("/")[0]
        return f"{RANK}: there are two of {name}; start the job with {command_name('launch')}"
    places = dict(entry.split("=", 1) for entry in os.environ.get(PLACES, "").split(";") if "=" in entry)
    missing = list(dict.fromkeys(name.partition("/")[0] for name in wanted if name not in found))
    if not missing:
        return ""
    named = ", ".join(f"{name} on {places[name]}" if name in places else name for name in missing)
    strangers = f" ({gate.refused} connections did not know the job's key)" if gate.refused else ""
    return (
        f"{named} did not join the job in {seconds:.0f} s{strangers};\n"
        "look for errors above, or wait longer: "
        f"{command_name('launch')} --patience SECONDS (GLUON_NRM_PATIENCE)"
    )


def link_to_hub(name: str, *kinds: str) -> Links:
    """Connect to the hub, and wait until all processes have joined.

    Raises:
        DistributedError: the hub does not answer in time, is gone, or reports missing processes.
    """
    host, port = hub_address()
    seconds = patience()
    links = {kind: join(host, port, own_key(), f"{name}/{kind}", title(name), seconds) for kind in kinds}
    hub, problem = "", ""
    for link in links.values():
        try:
            if not link.poll(None if seconds == float("inf") else seconds + DEADLINE):
                raise DistributedError(f"worker 0 at {host}:{port} does not say who has joined; start again")
            hub, _, problem = link.recv_bytes().decode("utf-8").partition("\n")
        except (EOFError, OSError):
            problem = f"worker 0 at {host}:{port} is gone: it failed or was killed"
        if problem:
            raise DistributedError(problem)
    talk = {0: links[TALK]} if TALK in links else {}
    return Links(talk, {"worker 0": links[WATCH]}, {"worker 0": hub})
