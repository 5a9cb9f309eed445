"""Train in several processes on one or many machines, through MXNet's parameter server.

The launcher (``gluon-nrm launch``) needs no MXNet: ``task``, ``hosts``, ``enclosure``, ``plan``,
``supervise``, and ``guard``, which runs every process. All processes connect through ``join_job`` and
``handshake``. A worker calls ``connect`` and gets ``Workers``; gradients go through ``gradient_sum`` or
``training.server_updates``. Servers run ``serve``. See docs/distributed.md.
"""
