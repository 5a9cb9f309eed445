"""Ending a process of a job when another one is gone, or does not come.

MXNet 1.9.1 waits without end for what a dead process was to send, inside the library, where Python cannot
interrupt it. So threads listen on links of their own. A process that dies, however it dies, breaks its link.
"""

from __future__ import annotations

import os
import time
from multiprocessing.connection import Connection
from threading import Event, Lock, Thread, Timer
from typing import Dict, List

from gluon_nrm.console.display import say

#: Exit code of a process that ends because another one is gone.
LEFT_ALONE = 74
#: Exit code of worker 0 where others have not come; that of every user's error.
NOT_ALL = 2

BYE = b"bye"
#: Sent to the hub by a process that has joined MXNet's parameter server.
ARRIVED = b"in"


class Watch:
    """Listens for the end of other processes, and for their arrival.

    Args:
        links: by name; on the hub to all others, elsewhere to the hub alone.
        titles: what messages call those processes.
        own: what they call this one.
    """

    def __init__(self, links: Dict[str, Connection], titles: Dict[str, str], own: str) -> None:
        self._links, self._titles, self._own = links, titles, own
        self._closed = False
        self._missing = {**titles, "": own}
        self._lock, self._complete = Lock(), Event()
        for name in links:
            Thread(target=self._listen, args=(name,), name=f"watch {name}", daemon=True).start()

    def close(self) -> None:
        """Take leave: from now on no end of a process ends another."""
        self._closed = True
        self._tell(BYE)

    def arrive(self) -> None:
        """Say that this process has joined MXNet's parameter server."""
        self._take("")
        self._tell(ARRIVED)

    def limit_arrival(self, seconds: float) -> None:
        """End the job from the hub, where not all have arrived after so many seconds; returns at once."""
        if seconds != float("inf"):
            timer = Timer(seconds, self._give_up, args=(seconds,))
            timer.daemon = True
            timer.start()

    def wait_for_all(self) -> None:
        """Wait, on the hub, until all have arrived; ``limit_arrival`` sets an end to it."""
        self._complete.wait()

    def missing(self) -> List[str]:
        """What messages call those that have not arrived, in order."""
        with self._lock:
            return sorted(self._missing.values())

    def _give_up(self, seconds: float) -> None:
        if self._complete.is_set() or self._closed:
            return
        message = (
            f"{', '.join(self.missing())} did not get into MXNet's parameter server in {seconds:.0f} s: too "
            "slow, or a program that is not of this job took the place;\n"
            "start the job again, or wait longer: tools/launch.py --patience SECONDS (GLUON_NRM_PATIENCE)"
        )
        self._closed = True  # the end of the others, who are told, is not to end this one first
        self._tell(message.encode("utf-8"))
        say(f"error: {message}")
        time.sleep(0.5)  # the others are to read it before the links break
        os._exit(NOT_ALL)  # MXNet cannot be interrupted

    def _take(self, name: str) -> None:
        with self._lock:
            self._missing.pop(name, None)
            if not self._missing:
                self._complete.set()

    def _listen(self, name: str) -> None:
        message = ARRIVED
        while message == ARRIVED:
            try:
                message = self._links[name].recv_bytes()
            except (EOFError, OSError):
                message = f"{self._titles[name]} is gone: it failed or was killed".encode("utf-8")
            if message == ARRIVED:
                self._take(name)
        if message == BYE or self._closed:
            return
        self._tell(message)
        say(f"error: {message.decode('utf-8')}; {self._own.partition(' on ')[0]} ends too")
        os._exit(LEFT_ALONE)  # in order, MXNet would wait for the dead one

    def _tell(self, message: bytes) -> None:
        for link in self._links.values():
            try:
                link.send_bytes(message)
            except OSError:
                continue  # the one that is gone
