"""Addresses and ports: which are free, which of this machine's others can reach, and whether one answers."""

from __future__ import annotations

import socket
import time
from typing import Callable, Optional

from gluon_nrm.errors import DistributedError

LOOPBACK = "127.0.0.1"


def resolve(host: str) -> str:
    """The IPv4 address of a host, which is what MXNet's servers can listen on.

    Raises:
        DistributedError: no such host is known.
    """
    try:
        return socket.gethostbyname(host)
    except OSError as problem:
        reason = problem.strerror or str(problem)
        raise DistributedError(f"host {host!r} is not known here: {reason}; check its name") from None


def address_towards(host: str) -> str:
    """The address of this machine on the network through which it reaches ``host``; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((resolve(host), 9))
        except OSError as problem:
            reason = problem.strerror or str(problem)
            raise DistributedError(f"no way leads from here to {host}: {reason}; check the network") from None
        return str(probe.getsockname()[0])


def free_port(address: str = LOOPBACK) -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def check_port(address: str, port: int) -> None:
    """Check that a port of this machine can be listened on.

    Raises:
        DistributedError: it is taken, not allowed, or the address is no one's here.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one just given up is free
        try:
            probe.bind((address, port))
        except OSError as problem:
            raise DistributedError(
                f"--port: {port} on {address} cannot be listened on: {problem.strerror}; "
                "give another, or leave --port out"
            ) from None


def wait_until_it_answers(
    address: str, port: int, seconds: float, clock: Callable[[], float] = time.monotonic
) -> None:
    """Wait until somebody takes connections there.

    MXNet's own start has no time limit: without a scheduler, a worker would wait without a word.

    Raises:
        DistributedError: nobody did in so many ``seconds``.
    """
    end = clock() + seconds
    problem: Optional[OSError] = None
    while clock() < end:
        try:
            with socket.create_connection((address, port), timeout=max(end - clock(), 0.1)):
                return
        except OSError as caught:
            problem = caught
        time.sleep(0.1)
    reason = getattr(problem, "strerror", None) or str(problem)
    raise DistributedError(
        f"no scheduler answers at {address}:{port} ({reason}) after {seconds:.0f} s; "
        "start the job with tools/launch.py, or check DMLC_PS_ROOT_URI and DMLC_PS_ROOT_PORT"
    )
