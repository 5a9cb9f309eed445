"""Run MXNet's scheduler or server, by DMLC_ROLE: ``python -m gluon_nrm.distributed.serve``.

MXNet's own server runs any pickle that it is sent. Here MXNet is imported without a role, and the server gets
our own controller, which reads only signed JSON.
"""

from __future__ import annotations

import ctypes
import os
import traceback
from threading import Event, Thread
from typing import Any, Callable, List, Optional, Sequence

from gluon_nrm.console.display import say
from gluon_nrm.console.tool import run_tool
from gluon_nrm.distributed.addresses import check_private
from gluon_nrm.distributed.commands import read_command
from gluon_nrm.distributed.join_job import WATCH, link_to_hub, own_key, title
from gluon_nrm.distributed.process_monitor import ProcessMonitor
from gluon_nrm.errors import DistributedError
from gluon_nrm.system.job_variables import SERVER
from gluon_nrm.system.tune import tune

#: Number of refused commands that are shown.
SHOWN = 10


class Membership:
    """Connect to the hub in a thread beside MXNet; end the process if that fails."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._watch: Optional[ProcessMonitor] = None
        self._linked = Event()
        Thread(target=self._link, name="membership", daemon=True).start()

    def _link(self) -> None:
        try:
            links = link_to_hub(self._name, WATCH)
        except DistributedError as error:
            say(f"error: {error}")
            os._exit(error.exit_code)  # MXNet cannot be interrupted
        self._watch = ProcessMonitor(links.watch, links.titles, title(self._name))
        self._linked.set()
        if self._name == "scheduler":
            self._watch.arrive()  # no command will reach it

    def arrive(self) -> None:
        """Report to the hub that a worker of this job has reached this process through MXNet."""
        self._linked.wait()
        if self._watch is not None:
            self._watch.arrive()


def main(_: Sequence[str]) -> int:
    """Serve until the job ends."""
    tune()
    role = os.environ.pop("DMLC_ROLE")  # with it, importing MXNet would serve, with MXNet's own controller
    check_private(os.environ.get("DMLC_NODE_HOST", ""), "DMLC_NODE_HOST")
    member = Membership(f"server {os.environ.get(SERVER, '0')}" if role == "server" else role)
    import mxnet as mx
    from mxnet.base import _LIB, check_call

    os.environ["DMLC_ROLE"] = role
    store = mx.kv.create("dist")
    kind = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
    controller = kind(make_controller(own_key(), store, member.arrive))
    check_call(_LIB.MXKVStoreRunServer(store.handle, controller, None))
    return 0


def make_controller(
    key: bytes, store: Any, greeted: Callable[[], None]
) -> Callable[[int, Optional[bytes], Any], None]:
    """Make the function that MXNet calls with every command that a server gets.

    Args:
        key: key of the job.
        store: kvstore of the server.
        greeted: called at the first greeting of a worker.
    """
    done: List[str] = []
    refused: List[int] = []

    def control(number: int, body: Optional[bytes], _: Any) -> None:
        """Obey a command that bears the job's key, each once; refuse all others."""
        try:
            command = read_command(key, body or b"")
            name = (command or {}).get("command")
            if command is None or name in done or name not in ("greeting", "optimiser"):
                refused.append(number)
                if len(refused) <= SHOWN:
                    say("refused a command: it does not bear the job's key")
                return
            done.append(str(name))
            if name == "greeting":
                greeted()
            else:
                from gluon_nrm.optimisation.server_optimiser import make_optimiser

                store.set_optimizer(make_optimiser(command["optimiser"]))
        except Exception:  # an exception would be lost in MXNet
            traceback.print_exc()

    return control


if __name__ == "__main__":
    run_tool(main)
