"""The NRM as a probability model: rendering paths, their prior, Gibbs sampling, path counts of images."""

import gluon_nrm.system.needs_mxnet  # noqa: F401
from gluon_nrm.probability.enumeration import Enumeration
from gluon_nrm.probability.gibbs import GibbsSampler
from gluon_nrm.probability.rendering_model import RenderingModel

__all__ = ["Enumeration", "GibbsSampler", "RenderingModel"]
