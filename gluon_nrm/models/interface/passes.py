"""Results of a network: bottom-up ``Inference``, top-down ``Rendering``, and ``JointPass`` of both."""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Tuple, Union

import numpy as np

from gluon_nrm.rules.windows import Windows
from gluon_nrm.typing import Tensor

Shape = Tuple[int, ...]


class Prediction(NamedTuple):
    """Class scores before the softmax, (B, K) each."""

    #: scores to predict from: those of the branches, mixed by their weights
    logits: Tensor
    logits_max: Tensor
    #: None without a Min branch
    logits_min: Optional[Tensor] = None


class Inference(NamedTuple):
    """Bottom-up result of one branch; lists go from the image upwards.

    A network that does not render returns the class scores only.
    """

    #: class scores, (B, K), divided by sigma^2 (``NRMOptions.temperature``) but for log pi_y
    logits: Tensor
    #: state s(l) of each rectifier, position t(l) of each max-pooling (one or more maps), (B, C, H, W) each
    latents: List[List[Tensor]] = []
    #: constants of the rendering pass: scale and shift, (C,) each, of each norm; the factor of each product
    frozen: List[List[Tensor]] = []
    #: output of each matched convolution, before any norm, (B, C, H, W); negated in the Min branch where
    #: ``MatchedLayer.negated``
    convolved: List[Tensor] = []
    #: biases b(l), (C,); with batch norm, the shift of its affine map
    shifts: List[Tensor] = []


class Rendering(NamedTuple):
    """Top-down result of one branch; lists go from the image upwards."""

    #: the reconstruction h(0), (B, C, H, W)
    image: Tensor
    #: h(l) that enters each layer from above, (B, C, H, W)
    features: List[Tensor]
    #: rendered onto the output of each matched convolution, (B, C, H, W)
    matched: List[Tensor]
    #: s(l) . h(l) at each of ``Network.path_biases``, for ``layerwise`` path normalisation, (B, C, H, W)
    masked: List[Tensor]
    #: t(l) . s(l) . h(l) where each bias of ``Inference.shifts`` is added, (B, C, H, W)
    routed: List[Tensor]


class PriorTerms(NamedTuple):
    """Inputs of the ``mode`` and ``exact`` forms of Rendering Path Normalisation."""

    #: scores of a zero image, (1, K)
    zero_logits: Tensor
    #: ``Inference.shifts``
    shifts: List[Tensor]
    #: ``Rendering.routed``
    routed: List[Tensor]


class MatchedLayer(NamedTuple):
    """A layer in which moment matching compares rendered and inferred feature maps."""

    channels: int
    #: pixels of a rendered map
    rendered: int
    #: pixels of an inferred map
    inferred: int
    #: True if the Min branch infers a negated map of its own; False if both branches share one map
    negated: bool


class FreeLatents(NamedTuple):
    """A block of latent variables that are independent of each other once all other layers are fixed.

    A block is the state of a rectifier, the position of a max-pooling, or both of a pooling that directly
    follows its rectifier.
    """

    #: of the map (C, H, W) or (C,) that the latents multiply
    shape: Shape
    #: slope of the rectifier, one number or one a feature map, (C,); None: the block has no state
    slope: Union[float, np.ndarray, None]
    #: windows of the pooling; None: the block has no position
    windows: Optional[Windows]
    #: index of the state in ``Inference.latents``
    state: Optional[int] = None
    #: index of the position in ``Inference.latents``
    position: Optional[int] = None


#: Rendered maps and inferred maps of the matched layers, (B, C, H, W) each, in the same order.
Matched = Tuple[List[Tensor], List[Tensor]]


class JointPass(NamedTuple):
    """Inference and rendering of one batch, as the losses read it.

    Lists have one element a branch, Max first.
    """

    prediction: Prediction
    #: the rendered class, one-hot, (B, K)
    code: Tensor
    inferences: List[Inference]
    #: empty if nothing was rendered
    renderings: List[Rendering] = []
    #: s0(l) . h0(l) of the zero image's path, for ``layerwise`` path normalisation
    zero_masked: Optional[List[Tensor]] = None
    #: scores of a zero image, (1, K), for ``mode`` and ``exact`` path normalisation
    zero_logits: Optional[Tensor] = None
    #: weighted squared error of a Ladder network's decoder, of each image, (B,)
    denoising: Optional[Tensor] = None

    @property
    def logits(self) -> List[Tensor]:
        """Class scores of each branch, (B, K)."""
        return [each.logits for each in self.inferences]

    @property
    def images(self) -> List[Tensor]:
        """Reconstruction of each branch, (B, C, H, W)."""
        return [each.image for each in self.renderings]

    @property
    def features(self) -> List[List[Tensor]]:
        """Intermediate rendered images h(l) of each branch, from the image upwards."""
        return [each.features for each in self.renderings]

    @property
    def matched(self) -> List[Matched]:
        """Rendered and inferred maps that moment matching compares, of each branch."""
        return [
            (rendering.matched, inference.convolved)
            for rendering, inference in zip(self.renderings, self.inferences)
        ]

    @property
    def masked(self) -> Optional[Tuple[List[Tensor], List[Tensor]]]:
        """s(l) . h(l) of the Max branch's and of the zero image's path; None without the latter."""
        return None if self.zero_masked is None else (self.renderings[0].masked, self.zero_masked)

    @property
    def prior(self) -> Optional[PriorTerms]:
        """Inputs of ``mode`` and ``exact`` path normalisation, of the Max branch; None without them."""
        if self.zero_logits is None:
            return None
        return PriorTerms(self.zero_logits, self.inferences[0].shifts, self.renderings[0].routed)
