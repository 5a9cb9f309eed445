"""From the environment of a worker to its ``Workers``: links between all processes, then MXNet's store.

MXNet's store sums gradients and can do little else (with dist_async not even that), so the workers are linked
directly too. The links come first: they have time limits and name who is missing, which MXNet does not.
"""

from __future__ import annotations

import os
from typing import Any

import mxnet as mx

from gluon_nrm.distributed.addresses import check_private, wait_until_it_answers
from gluon_nrm.distributed.commands import sign
from gluon_nrm.distributed.join_job import TALK, WATCH, gather, link_to_hub, own_key, own_rank
from gluon_nrm.distributed.join_job import title as title_of
from gluon_nrm.distributed.watch import Watch
from gluon_nrm.distributed.worker_links import WorkerLinks
from gluon_nrm.distributed.workers import Workers
from gluon_nrm.system.job_variables import patience


def connect(kvstore: str) -> Workers:
    """Join the job that the environment tells of, where the kvstore is a distributed one.

    Raises:
        DistributedError: not all processes of the job come in time, two have the same number, or the
            scheduler's address is a public one.
    """
    if not kvstore.startswith("dist"):
        return Workers()
    address = os.environ["DMLC_PS_ROOT_URI"]
    check_private(address, "DMLC_PS_ROOT_URI")
    wait_until_it_answers(address, int(os.environ["DMLC_PS_ROOT_PORT"]), patience())
    rank, size = own_rank(), int(os.environ["DMLC_NUM_WORKER"])
    hub, name = rank == 0, f"worker {rank}"
    links = gather(size, int(os.environ["DMLC_NUM_SERVER"])) if hub else link_to_hub(name, TALK, WATCH)
    watch = Watch(links.watch, links.titles, title_of(name))
    worker_links = WorkerLinks(rank, size, links.talk, hub) if size > 1 else None
    return Workers(rank, size, worker_links, watch, _enter(kvstore, watch, hub))


def _enter(kvstore: str, watch: Watch, hub: bool) -> Any:
    """Join MXNet's parameter server, in a limited time.

    The servers answer only a signed greeting: one that is not of this job is never taken for one that is.
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
