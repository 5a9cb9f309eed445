"""The NRM as a probability model: its rendering paths, their prior, draws from it, counts over images."""

import gluon_nrm.system.needs_mxnet  # noqa: F401
from gluon_nrm.probability.enumeration import Enumeration
from gluon_nrm.probability.gibbs import GibbsSampler
from gluon_nrm.probability.rendering_model import RenderingModel

__all__ = ["Enumeration", "GibbsSampler", "RenderingModel"]
