"""Parameters of a network by structural name, each once."""

from __future__ import annotations

from typing import Dict, Mapping

import mxnet as mx
import numpy as np
from mxnet.gluon import HybridBlock
from mxnet.gluon.parameter import Parameter


def named_parameters(net: HybridBlock) -> Dict[str, Parameter]:
    """Every parameter once, by the first path that leads to it, as ``layers.0.convolution.weight``."""
    found: Dict[str, Parameter] = {}
    seen = set()
    for name, parameter in net._collect_params_with_prefix().items():
        if id(parameter) not in seen:
            seen.add(id(parameter))
            found[name] = parameter
    return found


def set_parameters(net: HybridBlock, arrays: Mapping[str, np.ndarray]) -> None:
    """Set all parameters of an initialised network from arrays of its shapes, on every device."""
    for name, parameter in named_parameters(net).items():
        parameter.set_data(mx.nd.array(arrays[name]))
