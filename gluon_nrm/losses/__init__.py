"""The loss terms (equation 12), one block each, and the objective that computes them together.

Each block returns a loss per image, (B,); moment matching and feature matching return one of the batch.
"""

import gluon_nrm.system.needs_mxnet  # noqa: F401
from gluon_nrm.losses.adversarial import (
    Deception,
    Discrimination,
    FoolingLoss,
    GeneratedSample,
    RealImage,
)
from gluon_nrm.losses.balance import Balance
from gluon_nrm.losses.consistency import Consistency, Probabilities
from gluon_nrm.losses.cross_entropy import CrossEntropy
from gluon_nrm.losses.entropy import Entropy
from gluon_nrm.losses.exact_path_norm import ExactPathNorm
from gluon_nrm.losses.feature_matching import FeatureMatching
from gluon_nrm.losses.moment_matching import MomentMatching
from gluon_nrm.losses.objective import Objective, Outcome
from gluon_nrm.losses.path_norm import ClassPriorNorm, LayerwisePathNorm, ModePathNorm, PathNorm
from gluon_nrm.losses.reconstruction import Reconstruction
from gluon_nrm.losses.sampled_path_norm import SampledPathNorm
from gluon_nrm.losses.smoothness import Smoothness
from gluon_nrm.losses.virtual_adversarial import VirtualAdversarial
from gluon_nrm.recipe.terms import NRM_TERMS, TERMS
from gluon_nrm.rules.prior_score import prior_score

__all__ = [
    "Balance",
    "ClassPriorNorm",
    "Consistency",
    "CrossEntropy",
    "Deception",
    "Discrimination",
    "Entropy",
    "ExactPathNorm",
    "FeatureMatching",
    "FoolingLoss",
    "GeneratedSample",
    "LayerwisePathNorm",
    "ModePathNorm",
    "MomentMatching",
    "Objective",
    "Outcome",
    "PathNorm",
    "Probabilities",
    "RealImage",
    "Reconstruction",
    "SampledPathNorm",
    "NRM_TERMS",
    "Smoothness",
    "TERMS",
    "VirtualAdversarial",
    "prior_score",
]
