"""Addresses and ports: resolve, check and find free ones, and wait for an answer."""

from __future__ import annotations

import ipaddress
import os
import socket
import time
from typing import Callable, Optional

from gluon_nrm.errors import DistributedError
from gluon_nrm.system.commands import command_name
from gluon_nrm.system.job_variables import PUBLIC

LOOPBACK = "127.0.0.1"
#: Networks that are not routed on the internet: loopback, private and link-local ones.
PRIVATE = [
    ipaddress.ip_network(text)
    for text in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16")
]


def resolve(host: str) -> str:
    """Resolve a host to an IPv4 address, the kind that MXNet's servers listen on.

    Raises:
        DistributedError: the host is unknown.
    """
    try:
        return socket.gethostbyname(host)
    except OSError as problem:
        reason = problem.strerror or str(problem)
        raise DistributedError(f"host {host!r} is not known here: {reason}; check its name") from None


def address_towards(host: str) -> str:
    """Find the address of this machine on the network that leads to ``host``; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((resolve(host), 9))
        except OSError as problem:
            reason = problem.strerror or str(problem)
            raise DistributedError(f"no way leads from here to {host}: {reason}; check the network") from None
        return str(probe.getsockname()[0])


def check_private(address: str, whose: str, allowed: bool = False) -> None:
    """Check that MXNet may listen on an address.

    Anyone who reaches its ports can end the job, and read and change its parameters.

    Args:
        address: the address to check.
        whose: a host, or the variable that holds the address, for the message.
        allowed: public addresses are allowed; the environment variable ``PUBLIC`` allows them too.

    Raises:
        DistributedError: the address is public, missing, or a wildcard.
    """
    if allowed or os.environ.get(PUBLIC) == "1":
        return
    try:
        private = any(ipaddress.ip_address(resolve(address)) in network for network in PRIVATE)
    except ValueError:
        private = False
    if not private or not address:
        raise DistributedError(
            f"{whose}: {address or 'no address'} is not private, and whoever reaches MXNet's ports can end "
            "the job or change it;\n"
            f"use addresses of a private network, or give {command_name('launch')} --allow-public"
        )


def free_port(address: str = LOOPBACK) -> int:
    """Find a free port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def check_port(address: str, port: int) -> None:
    """Check that a process can listen on a port of this machine.

    Raises:
        DistributedError: the port is taken or not allowed, or the address is not one of this machine.
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
    """Wait until a process accepts connections at an address.

    MXNet has no time limit at its start: without a scheduler, a worker would wait silently.

    Raises:
        DistributedError: no process did within ``seconds``.
    """
    end = clock() + seconds
    problem: Optional[OSError] = None
    while clock() < end:
        try:
            with socket.create_connection((address, port), timeout=min(max(end - clock(), 0.1), 10)):
                return
        except OSError as caught:
            problem = caught
        time.sleep(0.1)
    reason = getattr(problem, "strerror", None) or str(problem)
    raise DistributedError(
        f"no scheduler answers at {address}:{port} ({reason}) after {seconds:.0f} s;\nlook for its error, or "
        f"wait longer: {command_name('launch')} --patience SECONDS (GLUON_NRM_PATIENCE)"
    )
