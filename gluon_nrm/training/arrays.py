"""A network's parameters as named plain arrays, for checkpoints."""

from __future__ import annotations

from typing import Dict, Mapping, Tuple

import mxnet as mx
import numpy as np
from mxnet.gluon import HybridBlock
from mxnet.gluon.parameter import Parameter

from gluon_nrm.errors import NonFiniteLoss
from gluon_nrm.models.second import STATISTICS
from gluon_nrm.training.checkpoint import check_arrays

__all__ = [
    "STATISTICS",
    "device_statistics",
    "finite_arrays",
    "load_device_statistics",
    "load_network",
    "named_parameters",
    "network_arrays",
    "synchronise_statistics",
]


def named_parameters(net: HybridBlock) -> Dict[str, Parameter]:
    """Every parameter once, by the first path that leads to it, as ``layers.0.convolution.weight``."""
    found: Dict[str, Parameter] = {}
    seen = set()
    for name, parameter in net._collect_params_with_prefix().items():
        if id(parameter) not in seen:
            seen.add(id(parameter))
            found[name] = parameter
    return found


def network_arrays(net: HybridBlock) -> Dict[str, np.ndarray]:
    """Read all parameters, from the first device."""
    return {name: p.data(p.list_ctx()[0]).asnumpy() for name, p in named_parameters(net).items()}


def finite_arrays(net: HybridBlock, network: str, step: int) -> Dict[str, np.ndarray]:
    """As ``network_arrays``, for a checkpoint after training step ``step`` of the network called ``network``.

    Raises:
        NonFiniteLoss: a parameter is infinite or not a number, though the losses have not shown it yet.
    """
    arrays = network_arrays(net)
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise NonFiniteLoss(
                f"parameter {name} of the {network} is not finite after step {step}; the last checkpoint is "
                "intact.\nLower optimiser.phases.N.lr or the terms' weights, or lengthen their ramp-ups"
            )
    return arrays


def device_statistics(net: HybridBlock) -> Dict[str, np.ndarray]:
    """Read the running statistics of all devices but the first: ``PLACE.NAME``, with PLACE from 1.

    Within an epoch they differ, as each device keeps those of its own images.
    """
    return {
        f"{place}.{name}": copy.asnumpy()
        for name, parameter in named_parameters(net).items()
        if name.endswith(STATISTICS)
        for place, copy in enumerate(parameter.list_data())
        if place > 0
    }


def load_device_statistics(net: HybridBlock, arrays: Mapping[str, np.ndarray]) -> None:
    """Put them back; a device that was not there before keeps the first one's."""
    for name, parameter in named_parameters(net).items():
        for place, copy in enumerate(parameter.list_data()):
            if f"{place}.{name}" in arrays:
                copy[:] = mx.nd.array(arrays[f"{place}.{name}"], ctx=copy.context)


def load_network(net: HybridBlock, arrays: Mapping[str, np.ndarray], where: str) -> None:
    """Set all parameters, on every device.

    Raises:
        CheckpointError: an entry is missing, unexpected, misshapen, of another type or not finite.
    """
    parameters = named_parameters(net)
    shapes: Dict[str, Tuple[int, ...]] = {name: tuple(p.shape) for name, p in parameters.items()}
    check_arrays(shapes, arrays, where)
    for name, parameter in parameters.items():
        parameter.set_data(mx.nd.array(arrays[name]))


def synchronise_statistics(net: HybridBlock) -> None:
    """Give every device the mean of the running statistics that each keeps of its own images."""
    for parameter in net.collect_params(".*running_(mean|var)").values():
        copies = parameter.list_data()
        if len(copies) > 1:
            parameter.set_data(mx.nd.array(np.mean([copy.asnumpy() for copy in copies], axis=0)))
