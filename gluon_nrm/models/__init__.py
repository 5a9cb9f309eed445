"""Networks that infer and render, and the registry that names them."""

import gluon_nrm.system.needs_mxnet  # noqa: F401
from gluon_nrm.layers.architecture import LayerSpec, architecture_of
from gluon_nrm.layers.options import NRMOptions
from gluon_nrm.models import architectures as _architectures  # noqa: F401 - registers the list-built networks
from gluon_nrm.models import skip_networks as _networks  # noqa: F401 - registers networks with skip connections
from gluon_nrm.models.adversarial import networks as _adversarial  # noqa: F401 - registers their classifiers
from gluon_nrm.models.initialise import initialise
from gluon_nrm.models.interface.network import Network
from gluon_nrm.models.interface.passes import Prediction
from gluon_nrm.models.ladder import networks as _ladders  # noqa: F401 - registers Ladder networks
from gluon_nrm.models.layered.nrm import NRM
from gluon_nrm.models.reconstruct import Reconstructed, Reconstructor
from gluon_nrm.models.registry import (
    get_architecture,
    get_model,
    list_models,
    register_model,
    register_network,
)
from gluon_nrm.models.traced.classifier import TracedClassifier
from gluon_nrm.models.traced.maxmin import MaxMin, maxmin
from gluon_nrm.models.traced.nrm import TracedNRM, nrm

__all__ = [
    "LayerSpec",
    "MaxMin",
    "NRM",
    "NRMOptions",
    "Network",
    "Prediction",
    "Reconstructed",
    "Reconstructor",
    "TracedClassifier",
    "TracedNRM",
    "architecture_of",
    "get_architecture",
    "get_model",
    "initialise",
    "list_models",
    "maxmin",
    "nrm",
    "register_model",
    "register_network",
]
