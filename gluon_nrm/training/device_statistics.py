"""Running statistics of all devices and workers: read, restored and averaged."""

from __future__ import annotations

from typing import Dict, Iterable, List, Mapping

import mxnet as mx
import numpy as np
from mxnet.gluon import HybridBlock
from mxnet.gluon.parameter import Parameter

from gluon_nrm.distributed.workers import Workers
from gluon_nrm.models.interface.parameters import named_parameters
from gluon_nrm.models.twin_network import STATISTICS
from gluon_nrm.runs.network_arrays import to_numpy


def device_statistics(net: HybridBlock, workers: Workers) -> Dict[str, np.ndarray]:
    """Read the running statistics of all devices but the first, as ``INDEX.NAME``.

    Indices count the devices of worker 0, then those of worker 1, and so on. Within an epoch the statistics
    differ, because each device has those of its own images.
    """
    named = [(name, p) for name, p in named_parameters(net).items() if name.endswith(STATISTICS)]
    copies = [(name, to_numpy(copy)) for name, p in named for copy in p.list_data()]
    if not copies:
        return {}
    rows = workers.gather(np.concatenate([copy for _, copy in copies]))
    ends = np.cumsum([copy.size for _, copy in copies])
    found: Dict[str, List[np.ndarray]] = {name: [] for name, _ in named}
    for row in rows:
        for (name, _), array in zip(copies, np.split(row, ends[:-1])):
            found[name].append(array)
    return {
        f"{place}.{name}": array
        for name, arrays in found.items()
        for place, array in enumerate(arrays)
        if place > 0
    }


def load_device_statistics(net: HybridBlock, arrays: Mapping[str, np.ndarray], worker: int) -> None:
    """Restore them; a device without an entry keeps those of the first device."""
    for name, parameter in named_parameters(net).items():
        copies = parameter.list_data()
        for place, copy in enumerate(copies, start=worker * len(copies)):
            if f"{place}.{name}" in arrays:
                copy[:] = mx.nd.array(arrays[f"{place}.{name}"], ctx=copy.context)


def synchronise_statistics(net: HybridBlock, workers: Workers) -> None:
    """Average the running statistics over all devices of all workers."""
    average(net.collect_params(".*running_(mean|var)").values(), workers)


def average(parameters: Iterable[Parameter], workers: Workers) -> None:
    """Average parameters over all devices of all workers."""
    chosen = list(parameters)
    if not chosen or len(chosen[0].list_data()) * workers.size == 1:
        return
    means = [np.mean([to_numpy(copy) for copy in p.list_data()], axis=0) for p in chosen]
    vector = workers.sum(np.concatenate([mean.ravel() for mean in means])) / np.float32(workers.size)
    ends = np.cumsum([mean.size for mean in means])
    for parameter, values in zip(chosen, np.split(vector, ends[:-1])):
        parameter.set_data(mx.nd.array(values.reshape(parameter.shape)))
