"""Parameters under the names and the sign convention of the authors' released networks.

The Min branch here runs on negated features from its second layer on (``layers.normalisation.Negated``), so
its batch norms keep running means of negated features. The released code keeps means of the features
themselves. ``load_released`` and ``read_released`` convert between the two: they negate those means only.
"""

from __future__ import annotations

from typing import Dict, Iterator, Mapping, NamedTuple

import mxnet as mx
import numpy as np
from mxnet.gluon.parameter import Parameter

from gluon_nrm.errors import ModelError
from gluon_nrm.models.layered.nrm import NRM

_NORM = ("gamma", "beta", "running_mean", "running_var")
_FIXED_NORM = ("gamma", "beta")


class ReleasedParameter(NamedTuple):
    """A parameter and its name in the released code: ``released = sign * parameter``."""

    #: such as ``layer2_bn_min_running_mean``; layers count from the image, rendering norms from the top
    name: str
    parameter: Parameter
    #: -1 for the Min branch's running means from layer 2 on, else 1
    sign: int = 1


def released_parameters(net: NRM) -> Iterator[ReleasedParameter]:
    """List the parameters of a network built with ``released_bias``, under their released names.

    ``layer{i}_*`` are inference's, ``infer_instancenorm{i}_*`` the zero image's, ``render_bn{j}_*`` and
    ``render_instancenorm{j}_*`` rendering's; the last rendering norm is the image's and has no zero path.
    """
    layers = list(net.layers)
    yield ReleasedParameter("classifier_weight", net.classifier.weight)
    yield ReleasedParameter("classifier_bias", net.classifier.bias)
    for i, layer in enumerate(layers, 1):
        yield ReleasedParameter(f"layer{i}_conv_weight", layer.convolution.weight)
        yield ReleasedParameter(f"layer{i}_bias", layer.bias)
        for branch, infix in zip(layer.branches, ("bn", "bn_min")):
            for kind in _NORM:
                negated = infix == "bn_min" and kind == "running_mean" and i > 1
                yield ReleasedParameter(
                    f"layer{i}_{infix}_{kind}", getattr(branch.norm, kind), -1 if negated else 1
                )
        for kind in _FIXED_NORM:
            yield ReleasedParameter(f"infer_instancenorm{i}_{kind}", getattr(layer.zero.norm, kind))
    top_down = [net.template_norms] + [layer.render_norms for layer in reversed(layers)]
    for j, norms in enumerate(top_down, 1):
        for kind in _NORM:
            yield ReleasedParameter(f"render_bn{j}_{kind}", getattr(norms.branches[0], kind))
        if j < len(top_down):
            for kind in _FIXED_NORM:
                yield ReleasedParameter(f"render_instancenorm{j}_{kind}", getattr(norms.zero, kind))


def load_released(net: NRM, arrays: Mapping[str, np.ndarray]) -> None:
    """Set all parameters of an initialised network from released arrays, by name.

    Args:
        net: built with ``NRMOptions(released_bias=True)``, shared rendering norms and the default
            ``layerwise`` path normalisation.
        arrays: an array for each name of ``released_parameters``; other names are ignored.

    Raises:
        ModelError: an array is missing, or its number of values is not the parameter's.
    """
    for name, parameter, sign in released_parameters(net):
        if name not in arrays:
            raise ModelError(
                f"released parameters: {name} is missing; add it, or build the network that they belong to"
            )
        values = np.asarray(arrays[name], dtype=np.float32)
        if values.size != int(np.prod(parameter.shape)):
            raise ModelError(
                f"released parameters: {name} has shape {values.shape}, the network's is {parameter.shape}; "
                "build the network with the released layers and classes"
            )
        parameter.set_data(mx.nd.array(sign * values.reshape(parameter.shape)))


def read_released(net: NRM) -> Dict[str, np.ndarray]:
    """Return a network's parameters and running statistics as released arrays, by name."""
    return {name: sign * parameter.data().asnumpy() for name, parameter, sign in released_parameters(net)}
