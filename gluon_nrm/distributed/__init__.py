"""Training in several processes, on one machine or on many: MXNet's parameter server, started and watched.

The launching side (``tools/launch.py``) needs no MXNet: ``task``, ``hosts``, ``enclosure``, ``plan``,
``supervise``, and ``guard``, which stands beside every process that it starts. All processes meet through
``members`` and ``handshake``. The worker's side is ``connect``, which gives ``workers``, and ``gradients`` or
``server_updates``; the servers' is ``serve``. See docs/distributed.md.
"""
