"""End a process of a job when another process dies or does not join.

MXNet 1.9.1 waits without end for the messages of a dead process, inside the library, where Python cannot
interrupt it. So a thread listens on a connection to each process: it breaks when that process dies.
"""

from __future__ import annotations

import os
import time
from multiprocessing.connection import Connection
from threading import Event, Lock, Thread, Timer
from typing import Dict, List

from gluon_nrm.console.display import say
from gluon_nrm.system.commands import command_name

#: Exit code of a process that ends because another one is gone.
LEFT_ALONE = 74
#: Exit code of worker 0 when processes did not join, that of a user's error.
NOT_ALL = 2

BYE = b"bye"
#: Sent to the hub by a process that has joined MXNet's parameter server.
ARRIVED = b"in"


class ProcessMonitor:
    """Listen for the arrival and the death of other processes.

    Args:
        links: connections by name: to all others on the hub, to the hub elsewhere.
        titles: names and hosts of those processes, for messages.
        own: name and host of this process.
    """

    def __init__(self, links: Dict[str, Connection], titles: Dict[str, str], own: str) -> None:
        self._links, self._titles, self._own = links, titles, own
        self._closed = False
        self._missing = {**titles, "": own}
        self._lock, self._complete = Lock(), Event()
        for name in links:
            Thread(target=self._listen, args=(name,), name=f"watch {name}", daemon=True).start()

    def close(self) -> None:
        """Leave the job: from now on the end of a process ends no other."""
        self._closed = True
        self._tell(BYE)

    def arrive(self) -> None:
        """Report that this process has joined MXNet's parameter server."""
        self._take("")
        self._tell(ARRIVED)

    def limit_arrival(self, seconds: float) -> None:
        """End the job after ``seconds`` unless all have arrived; called on the hub, returns at once."""
        if seconds != float("inf"):
            timer = Timer(seconds, self._give_up, args=(seconds,))
            timer.daemon = True
            timer.start()

    def wait_for_all(self) -> None:
        """Wait until all have arrived, on the hub; ``limit_arrival`` sets the time limit."""
        self._complete.wait()

    def missing(self) -> List[str]:
        """Titles of the processes that have not arrived, in order."""
        with self._lock:
            return sorted(self._missing.values())

    def _give_up(self, seconds: float) -> None:
        if self._complete.is_set() or self._closed:
            return
        message = (
            f"{', '.join(self.missing())} did not get into MXNet's parameter server in {seconds:.0f} s: too "
            "slow, or a program that is not of this job took the place;\n"
            "start the job again, or wait longer: "
            f"{command_name('launch')} --patience SECONDS (GLUON_NRM_PATIENCE)"
        )
        self._closed = True  # or the end of the others would end this one first
        self._tell(message.encode("utf-8"))
        say(f"error: {message}")
        time.sleep(0.5)  # so that the others read it before the connections break
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
        os._exit(LEFT_ALONE)  # MXNet's orderly exit would wait for the dead process

    def _tell(self, message: bytes) -> None:
        for link in self._links.values():
            try:
                link.send_bytes(message)
            except OSError:
                continue  # the one that is gone
