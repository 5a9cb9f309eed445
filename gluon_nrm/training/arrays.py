"""A network's parameters as named plain arrays, for checkpoints."""

from __future__ import annotations

from typing import Dict, Mapping, Tuple

import mxnet as mx
import numpy as np
from mxnet.gluon import HybridBlock
from mxnet.gluon.parameter import Parameter

from gluon_nrm.training.checkpoint import check_arrays


def named_parameters(net: HybridBlock) -> Dict[str, Parameter]:
    """Every parameter once, under the first path that leads to it, such as ``layers.0.convolution.weight``."""
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
    """Give every device the mean of all devices' running statistics, which each keeps from its own part of the batch."""
    for parameter in net.collect_params(".*running_(mean|var)").values():
        copies = parameter.list_data()
        if len(copies) > 1:
            parameter.set_data(mx.nd.array(np.mean([copy.asnumpy() for copy in copies], axis=0)))
