"""A network's parameters as named NumPy arrays, as checkpoints hold them."""

from __future__ import annotations

from typing import Dict, Mapping, Tuple

import mxnet as mx
import numpy as np
from mxnet.gluon import HybridBlock

from gluon_nrm.errors import NonFiniteLoss
from gluon_nrm.models.interface.parameters import named_parameters, set_parameters
from gluon_nrm.runs.checkpoint import check_arrays
from gluon_nrm.typing import Tensor


def to_numpy(array: Tensor) -> np.ndarray:
    """Copy an array that may be in a convolution's own memory layout, as an evaluation leaves filters.

    ``asnumpy`` would reorder it in this thread, with OpenMP threads of its own. Once two threads of a process
    have OpenMP threads, more than there are cores, these sleep between operators in place of waiting, and
    training a small network takes three times as long until the process ends. An operator of MXNet's reorders
    it in the thread that runs all others.
    """
    if array.ndim:
        array = mx.nd.slice_axis(array, axis=0, begin=0, end=None)
    return array.asnumpy()


def network_arrays(net: HybridBlock) -> Dict[str, np.ndarray]:
    """Read all parameters, from the first device."""
    return {name: to_numpy(p.data(p.list_ctx()[0])) for name, p in named_parameters(net).items()}


def finite_arrays(net: HybridBlock, network: str, step: int) -> Dict[str, np.ndarray]:
    """Read all parameters of the network called ``network`` for a checkpoint after training step ``step``.

    Raises:
        NonFiniteLoss: a parameter is infinite or not a number.
    """
    arrays = network_arrays(net)
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise NonFiniteLoss(
                f"parameter {name} of the {network} is not finite after step {step}; the last checkpoint is "
                "intact.\nLower optimiser.phases.N.lr or the terms' weights, or lengthen their ramp-ups"
            )
    return arrays


def load_network(net: HybridBlock, arrays: Mapping[str, np.ndarray], where: str) -> None:
    """Set all parameters, on every device.

    Raises:
        CheckpointError: an entry is missing, unexpected, misshapen, of another type or not finite.
    """
    shapes: Dict[str, Tuple[int, ...]] = {name: tuple(p.shape) for name, p in named_parameters(net).items()}
    check_arrays(shapes, arrays, where)
    set_parameters(net, arrays)
