"""The terms of the objective (equation 12), one block each; every one returns a loss per image, (B,)."""

from .consistency import Consistency, Probabilities
from .cross_entropy import CrossEntropy
from .entropy import Entropy
from .moment_matching import MomentMatching
from .objective import TERMS, Objective
from .path_norm import LayerwisePathNorm, ModePathNorm, prior_score
from .reconstruction import Reconstruction

__all__ = [
    "Consistency",
    "CrossEntropy",
    "Entropy",
    "LayerwisePathNorm",
    "ModePathNorm",
    "MomentMatching",
    "Objective",
    "Probabilities",
    "Reconstruction",
    "TERMS",
    "prior_score",
]
