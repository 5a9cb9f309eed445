"""Connect a worker to its job: to the other processes first, then to MXNet's kvstore.

MXNet's kvstore only sums gradients (and with dist_async not even that), so workers also have direct
connections. They are made first: they have time limits and name missing processes, unlike MXNet.
"""

from __future__ import annotations

import os
from typing import Any

import mxnet as mx

from gluon_nrm.distributed.addresses import check_private, wait_until_it_answers
from gluon_nrm.distributed.commands import sign
from gluon_nrm.distributed.join_job import TALK, WATCH, gather, link_to_hub, own_key, own_rank
from gluon_nrm.distributed.join_job import title as title_of
from gluon_nrm.distributed.process_monitor import ProcessMonitor
from gluon_nrm.distributed.worker_links import WorkerLinks
from gluon_nrm.distributed.workers import Workers
from gluon_nrm.system.job_variables import patience


def connect(kvstore: str) -> Workers:
    """Join the job that the environment describes, if the kvstore is a distributed one.

    Raises:
        DistributedError: some process does not join in time, two have the same number, or the address of the
            scheduler is public.
    """
    if not kvstore.startswith("dist"):
        return Workers()
    address = os.environ["DMLC_PS_ROOT_URI"]
    check_private(address, "DMLC_PS_ROOT_URI")
    wait_until_it_answers(address, int(os.environ["DMLC_PS_ROOT_PORT"]), patience())
    rank, size = own_rank(), int(os.environ["DMLC_NUM_WORKER"])
    hub, name = rank == 0, f"worker {rank}"
    links = gather(size, int(os.environ["DMLC_NUM_SERVER"])) if hub else link_to_hub(name, TALK, WATCH)
    watch = ProcessMonitor(links.watch, links.titles, title_of(name))
    worker_links = WorkerLinks(rank, size, links.talk, hub) if size > 1 else None
    return Workers(rank, size, worker_links, watch, _enter(kvstore, watch, hub))


def _enter(kvstore: str, watch: ProcessMonitor, hub: bool) -> Any:
    """Join MXNet's parameter server within a time limit.

    Servers answer only a signed greeting, so a server of another job is never mistaken for one of this job.
    """
    if hub:
        watch.limit_arrival(patience())
    store = mx.kv.create(kvstore)
    if store.rank == 0:
        store._send_command_to_servers(0, sign(own_key(), {"command": "greeting"}))
    watch.arrive()
    if hub:
        watch.wait_for_all()
    return store
