"""The NRM as a probability model: its rendering paths, their prior, draws from it, counts over images."""

import warnings

import gluon_nrm.system.needs_mxnet  # noqa: F401
from gluon_nrm.probability.enumeration import Enumeration
from gluon_nrm.probability.gibbs import GibbsSampler
from gluon_nrm.probability.rendering_model import RenderingModel

# Gluon warns of every input that a graph does without, and eta does without some of what rendering is handed.
warnings.filterwarnings("ignore", message="The .* input to HybridBlock is not used by any computation")

__all__ = ["Enumeration", "GibbsSampler", "RenderingModel"]
