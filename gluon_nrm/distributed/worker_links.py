"""Messages between the workers of a job, each of which is connected to one of them, the hub.

The connections are those of ``multiprocessing.connection``, authenticated by the key of the job. Messages are
plain bytes; nothing is unpickled.
"""

from __future__ import annotations

import struct
import time
from multiprocessing.connection import Connection
from typing import Dict, List, Sequence

from gluon_nrm.errors import DistributedError

#: Seconds that the monitor has to name the worker that is gone, before a broken connection is reported.
PATIENCE = 5.0


class WorkerLinks:
    """Connections of one worker to the others.

    Args:
        rank: rank of this worker.
        size: number of workers.
        links: connections by rank: to all others on the hub, to the hub on every other worker.
        hub: this worker is the hub.
    """

    def __init__(self, rank: int, size: int, links: Dict[int, Connection], hub: bool) -> None:
        self.rank, self.size, self._links, self._hub = rank, size, links, hub

    def exchange(self, data: bytes) -> List[bytes]:
        """Send ``data`` to all workers and return the data of each, by rank; every worker must call it.

        Raises:
            DistributedError: a connection broke.
        """
        try:
            return self._collect(data) if self._hub else self._ask(data)
        except (EOFError, OSError):
            time.sleep(PATIENCE)
            raise DistributedError("the link to another worker broke; look for its error above") from None

    def _collect(self, data: bytes) -> List[bytes]:
        found = {self.rank: data, **{rank: link.recv_bytes() for rank, link in self._links.items()}}
        parts = [found[rank] for rank in range(self.size)]
        message = pack(parts)
        for link in self._links.values():
            link.send_bytes(message)
        return parts

    def _ask(self, data: bytes) -> List[bytes]:
        (link,) = self._links.values()
        link.send_bytes(data)
        return unpack(link.recv_bytes())


def pack(parts: Sequence[bytes]) -> bytes:
    """Put several messages into one."""
    return struct.pack(f"<{len(parts) + 1}q", len(parts), *map(len, parts)) + b"".join(parts)


def unpack(message: bytes) -> List[bytes]:
    """Undo ``pack``."""
    (count,) = struct.unpack_from("<q", message)
    lengths = struct.unpack_from(f"<{count}q", message, 8)
    parts, start = [], 8 * (count + 1)
    for length in lengths:
        parts.append(message[start : start + length])
        start += length
    return parts
