"""Authenticated connections between the processes of a job.

As in ``multiprocessing``, each side answers a random challenge with its HMAC under the key of the job.
Every connection is authenticated in its own thread with a deadline, so a silent or foreign connection is
dropped and delays nobody.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from contextlib import suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge
from threading import Condition, Thread
from typing import Collection, Dict, List, NamedTuple, Optional

from gluon_nrm.errors import DistributedError
from gluon_nrm.system.commands import command_name

#: Seconds that a connection has to authenticate.
DEADLINE = 5.0
#: Connections that may authenticate at once; more are closed and must try again.
CROWD = 128
#: Longest name of a link, in bytes.
LONGEST = 1024


class Link(NamedTuple):
    """An authenticated connection."""

    connection: Connection
    #: name and host of the process at its other end, for messages
    title: str


class Gate:
    """Accept authenticated connections, on the hub.

    Args:
        address: address to listen on.
        port: port to listen on; 0: a free one.
        key: key of the job.
        wanted: names of the connections to wait for; others are refused.

    Raises:
        DistributedError: listening on the port failed.
    """

    def __init__(self, address: str, port: int, key: bytes, wanted: Collection[str]) -> None:
        self._key, self._wanted = key, set(wanted)
        self._links: Dict[str, Link] = {}
        #: connections that are being authenticated, with their deadlines
        self._proving: Dict[socket.socket, float] = {}
        self._changed = Condition()
        self._open = True
        #: number of connections that failed to authenticate
        self.refused = 0
        #: names that two processes claimed
        self.twice: List[str] = []
        self._socket = socket.socket()
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((address, port))
            self._socket.listen(CROWD)
        except OSError as problem:
            self._socket.close()
            raise DistributedError(
                f"worker 0 cannot listen on {address}:{port}: {problem.strerror};\n"
                f"start the job again, or give {command_name('launch')} another --port"
            ) from None
        self.port = int(self._socket.getsockname()[1])
        self._socket.settimeout(0.2)
        Thread(target=self._listen, name="gate", daemon=True).start()

    def collect(self, seconds: float) -> Dict[str, Link]:
        """Wait at most ``seconds`` for all connections; return those that were made, and close."""
        end = time.monotonic() + seconds
        with self._changed:
            while len(self._links) < len(self._wanted) and not self.twice and time.monotonic() < end:
                self._changed.wait(min(end - time.monotonic(), 1.0))
            self._open = False
            self._drop_older_than(float("inf"))
            return dict(self._links)

    def _listen(self) -> None:
        with self._socket:
            while self._open:
                sock: Optional[socket.socket] = None
                with suppress(OSError):  # no connection
                    sock, _ = self._socket.accept()
                with self._changed:
                    self._drop_older_than(time.monotonic())
                    if sock is None:
                        continue
                    if not self._open or len(self._proving) >= CROWD:
                        sock.close()
                        continue
                    self._proving[sock] = time.monotonic() + DEADLINE
                Thread(target=self._prove, args=(sock,), name="gate", daemon=True).start()

    def _drop_older_than(self, now: float) -> None:
        for sock, end in self._proving.items():
            if end < now:
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)  # its thread finds the end

    def _prove(self, sock: socket.socket) -> None:
        link = Connection(os.dup(sock.fileno()))
        try:
            deliver_challenge(link, self._key)
            answer_challenge(link, self._key)
            name, title = (part.decode("utf-8") for part in link.recv_bytes(LONGEST).split(b"\n"))
        except Exception:  # a stranger may send anything
            name = ""
        with self._changed:
            self._proving.pop(sock)
            sock.close()
            if name in self._links:
                self.twice.append(name)
            if self._open and name in self._wanted and name not in self._links:
                self._links[name] = Link(link, title)
            else:
                self.refused += 1
                link.close()
            self._changed.notify_all()


def join(address: str, port: int, key: bytes, name: str, title: str, seconds: float) -> Connection:
    """Connect to the hub, trying for ``seconds``.

    Raises:
        DistributedError: the hub does not answer in time, or has another key.
    """
    end = time.monotonic() + seconds
    reason = "no answer"
    while time.monotonic() < end:
        try:
            with socket.create_connection((address, port), timeout=DEADLINE) as sock:
                sock.settimeout(None)
                _limit(sock, min(DEADLINE, max(end - time.monotonic(), 0.2)))
                link = Connection(os.dup(sock.fileno()))
                answer_challenge(link, key)
                deliver_challenge(link, key)
                link.send_bytes(f"{name}\n{title}".encode())
                _limit(sock, 0)
                return link
        except AuthenticationError:
            reason = "it has another key (GLUON_NRM_KEY), or is another program"
        except (EOFError, OSError, AssertionError, ValueError) as problem:
            reason = getattr(problem, "strerror", None) or "it does not speak as worker 0 does"
        time.sleep(min(0.2, max(end - time.monotonic(), 0)))
    raise DistributedError(
        f"worker 0 does not take {title} in at {address}:{port} ({reason}) after {seconds:.0f} s;\n"
        "look for its error, or wait longer: "
        f"{command_name('launch')} --patience SECONDS (GLUON_NRM_PATIENCE)"
    )


def _limit(sock: socket.socket, seconds: float) -> None:
    """Set a time limit for every read and write of a socket; 0: no limit."""
    interval = struct.pack("ll", int(seconds), int(seconds % 1 * 1e6))
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        sock.setsockopt(socket.SOL_SOCKET, option, interval)
