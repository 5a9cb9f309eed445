"""From the environment of a worker to its ``Workers``: MXNet's store, and links between the workers.

MXNet's store sums gradients and can do little else (with dist_async not even that), so the workers are linked
directly too. The store serves to make them known to each other: its own first worker, the hub, listens on a
free port, and the store tells the others the address and the job's key.
"""

from __future__ import annotations

import os
import secrets
import socket
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from typing import Any, Dict, List, Tuple

import mxnet as mx
import numpy as np

from gluon_nrm.distributed.addresses import address_towards, wait_until_it_answers
from gluon_nrm.distributed.names import PATIENCE, RANK
from gluon_nrm.distributed.star import Star, pack, unpack
from gluon_nrm.distributed.watch import Watch
from gluon_nrm.distributed.workers import Workers
from gluon_nrm.errors import DistributedError

#: Where the store keeps the hub's address; gradients have the keys from 0 on.
_ADDRESS_KEY = 1_000_000
_KEY_BYTES = 32


def connect(kvstore: str) -> Workers:
    """Join the job that the environment tells of, where the kvstore is a distributed one.

    Raises:
        DistributedError: the scheduler does not answer, or two workers have the same number.
    """
    if not kvstore.startswith("dist"):
        return Workers()
    root = os.environ["DMLC_PS_ROOT_URI"]
    wait_until_it_answers(
        root, int(os.environ["DMLC_PS_ROOT_PORT"]), float(os.environ.get(PATIENCE, "60"))
    )
    store = mx.kv.create(kvstore)
    rank, size = int(os.environ.get(RANK, store.rank)), int(store.num_workers)
    hub = store.rank == 0
    if size == 1:
        return Workers(rank, size, kvstore=store)
    talk, watched, names = _gather_links(store, rank, size) if hub else _link_to_hub(store, rank)
    star = Star(rank, size, talk, hub)
    return Workers(rank, size, star, Watch(watched, names), store)


Links = Tuple[Dict[int, Connection], Dict[int, Connection], Dict[int, str]]


def _gather_links(store: Any, rank: int, size: int) -> Links:
    """The hub's part: take two links from each of the others, one to talk and one to watch."""
    key = secrets.token_bytes(_KEY_BYTES)
    listening = os.environ.get("DMLC_NODE_HOST") or address_towards(os.environ["DMLC_PS_ROOT_URI"])
    with Listener((listening, 0), backlog=2 * size, authkey=key) as listener:
        address, port = listener.address  # type: ignore[misc]
        _publish(store, [*socket.inet_aton(address), port // 256, port % 256, *key])
        found: Dict[Tuple[int, bytes], Connection] = {}
        names: Dict[int, str] = {}
        taken = 0
        while taken < 2 * (size - 1):
            try:
                link = listener.accept()
            except (AuthenticationError, EOFError, OSError):
                continue  # none of ours
            number, kind, name = unpack(link.recv_bytes())
            found[int(number), kind] = link
            names[int(number)] = name.decode("utf-8")
            taken += 1
    problem = ""
    if sorted([rank, *names]) != list(range(size)):
        numbers = ", ".join(map(str, sorted([rank, *names])))
        problem = f"{RANK}: the {size} workers have the numbers {numbers}; start them with tools/launch.py"
    for link in found.values():
        link.send_bytes(pack([str(rank).encode(), _own_name(rank).encode("utf-8"), problem.encode("utf-8")]))
    if problem:
        raise DistributedError(problem)
    talk, watched = ({n: link for (n, kind), link in found.items() if kind == want} for want in (b"t", b"w"))
    return talk, watched, names


def _link_to_hub(store: Any, rank: int) -> Links:
    values = bytes(_publish(store, [0] * (6 + _KEY_BYTES)))
    address, port, key = socket.inet_ntoa(values[:4]), values[4] * 256 + values[5], values[6:]
    links: List[Connection] = []
    for kind in (b"t", b"w"):
        link = Client((address, port), authkey=key)
        link.send_bytes(pack([str(rank).encode(), kind, _own_name(rank).encode("utf-8")]))
        links.append(link)
    for link in links:
        number, name, problem = unpack(link.recv_bytes())
    if problem:
        raise DistributedError(problem.decode("utf-8"))
    hub = int(number)
    return {hub: links[0]}, {hub: links[1]}, {hub: name.decode("utf-8")}


def _publish(store: Any, values: List[int]) -> List[int]:
    """Store the hub's values; every worker gets them."""
    array = mx.nd.array(np.array(values, dtype=np.float32))
    store.init(_ADDRESS_KEY, array)
    store.pull(_ADDRESS_KEY, out=array)
    return [int(value) for value in array.asnumpy()]


def _own_name(rank: int) -> str:
    return f"worker {rank} on {socket.gethostname()}"
