"""Networks that infer and render, and the registry that names them."""

from . import architectures as _architectures  # noqa: F401 - registers the package's own models
from .architecture import LayerSpec, architecture_of
from .initialise import initialise
from .network import NRM, Prediction
from .options import NRMOptions
from .reconstruct import Reconstruction, Reconstructor
from .registry import get_architecture, get_model, list_models, register_model

__all__ = [
    "LayerSpec",
    "NRM",
    "NRMOptions",
    "Prediction",
    "Reconstruction",
    "Reconstructor",
    "architecture_of",
    "get_architecture",
    "get_model",
    "initialise",
    "list_models",
    "register_model",
]
