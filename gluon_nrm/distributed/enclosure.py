"""Move a job into its own network namespace (Linux), so that other users cannot reach its ports.

A network namespace has only its own loopback. Root can create one; other users can inside a user namespace,
if the system allows it. All processes started later are inside.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import sys
from typing import Callable, Optional

from gluon_nrm.distributed.addresses import LOOPBACK

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
SIOCSIFFLAGS, IFF_UP = 0x8914, 1


def enclose() -> Optional[str]:
    """Move this process permanently into its own network namespace; its user and files stay.

    It is tried in a child first, because a process that fails half-way cannot go back.

    Returns:
        The reason why it is impossible here, in a few words; None if it was done.
    """
    if not sys.platform.startswith("linux"):
        return "only Linux has network namespaces"
    reason = "this process cannot have one"
    for way in (_as_root, _as_user):
        reason = _tried_in_a_child(way)
        if not reason:
            way()
            return None
    return reason


def _as_root() -> None:
    _unshare(CLONE_NEWNET)
    _raise_loopback()


def _as_user() -> None:
    user, group = os.getuid(), os.getgid()
    _unshare(CLONE_NEWUSER | CLONE_NEWNET)
    maps = {"setgroups": "deny", "uid_map": f"{user} {user} 1", "gid_map": f"{group} {group} 1"}
    for name, text in maps.items():
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)
    _raise_loopback()


def _unshare(flags: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.unshare(flags):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _raise_loopback() -> None:
    """Bring up the loopback, and check that it carries a connection."""
    import fcntl  # not on Windows

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
    with socket.socket() as server:
        server.bind((LOOPBACK, 0))
        server.listen()
        socket.create_connection(server.getsockname(), timeout=5).close()


def _tried_in_a_child(way: Callable[[], None]) -> str:
    """Try ``way`` in a child process; return the reason of its failure, or an empty string."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        reason = "it failed"
        try:
            way()
            reason = ""
        except OSError as problem:
            reason = problem.strerror or str(problem)
        finally:
            os.write(writing, reason.encode("utf-8"))
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as source:
        reason = source.read()
    code = os.waitpid(child, 0)[1]
    return reason or ("it was ended" if code else "")
