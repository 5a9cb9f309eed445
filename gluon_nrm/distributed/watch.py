"""Ending a worker when another one is gone.

MXNet 1.9.1 waits without end for what a dead worker was to send, inside the library, where Python cannot
interrupt it. So threads listen on links of their own, on which nothing is said until the end; a process that
dies, however it dies, breaks its link.
"""

from __future__ import annotations

import os
from multiprocessing.connection import Connection
from threading import Thread
from typing import Dict

from gluon_nrm.display import say

#: Exit code of a worker that ends because another one is gone.
LEFT_ALONE = 74

_BYE = b"bye"


class Watch:
    """Listens for the end of other workers.

    Args:
        links: by rank; on the hub to all others, elsewhere to the hub alone.
        names: what to call those workers.
    """

    def __init__(self, links: Dict[int, Connection], names: Dict[int, str]) -> None:
        self._links, self._names = links, names
        self._closed = False
        for rank in links:
            Thread(target=self._listen, args=(rank,), name=f"watch-{rank}", daemon=True).start()

    def close(self) -> None:
        """Take leave: from now on no end of a worker ends another."""
        self._closed = True
        self._tell(_BYE)

    def _listen(self, rank: int) -> None:
        try:
            message = self._links[rank].recv_bytes()
        except (EOFError, OSError):
            message = f"{self._names[rank]} is gone: it failed or was killed".encode("utf-8")
        if message == _BYE or self._closed:
            return
        self._tell(message)
        say(f"error: {message.decode('utf-8')}; this worker ends too")
        os._exit(LEFT_ALONE)  # in order, MXNet would wait for the dead one

    def _tell(self, message: bytes) -> None:
        for link in self._links.values():
            try:
                link.send_bytes(message)
            except OSError:
                continue  # the one that is gone
