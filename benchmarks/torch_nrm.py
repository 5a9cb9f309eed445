"""A Neural Rendering Model of a list of layers, written plainly in PyTorch: what ours is measured against.

It computes what ``get_model`` and its losses do, term by term (``peer_terms.py`` compares them), with
PyTorch's own layers and functions. It needs PyTorch and nothing else.
"""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from benchmarks.networks import Layer

SLOPE, EPSILON = 0.1, 1e-5


class Inferred(NamedTuple):
    """What a branch infers: scores, and of each layer the state, the pooling positions and the moments."""

    logits: Tensor
    states: List[Tensor]
    positions: List[Optional[Tensor]]
    moments: List[Tuple[Tensor, Tensor]]


class Rendered(NamedTuple):
    """What is rendered: the image, of each layer s . h, and the moments of what is rendered onto it."""

    image: Tensor
    masked: List[Tensor]
    moments: List[Tuple[Tensor, Tensor]]


class ZeroNorm(nn.Module):
    """Instance normalisation of the zero image's path; its gain is fixed."""

    def __init__(self, channels: int, learn_shift: bool = True) -> None:
        super().__init__()
        self.register_buffer("weight", torch.ones(channels))
        self.bias: Any = nn.Parameter(torch.zeros(channels)) if learn_shift else None

    def forward(self, x: Tensor, shift: Optional[Tensor] = None) -> Tensor:
        bias: Tensor = self.bias if shift is None else shift
        if x.shape[2:] == (1, 1):  # which functional.instance_norm refuses
            return bias.view(1, -1, 1, 1).expand_as(x)
        return functional.instance_norm(x, weight=self.weight, bias=bias, eps=EPSILON)


class TorchNRM(nn.Module):
    """The network: images (B, C, H, W) up to scores, and class codes (B, K) down to images.

    The norms' shift bottom-up is the layers' bias b(l), which both branches share.

    Args:
        layers: the layers from the image upwards.
        in_channels: C.
        classes: K.
        maxmin: add the Min branch.
        dropout: rate behind every pooling, in place of the layers' own.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        in_channels: int = 3,
        classes: int = 10,
        maxmin: bool = False,
        dropout: Optional[float] = None,
    ) -> None:
        super().__init__()
        self.classes, self.layers = classes, tuple(layers)
        self.dropouts = [layer.dropout if dropout is None else dropout for layer in layers]
        outputs = [layer.channels for layer in layers]
        inputs = [in_channels, *outputs[:-1]]
        self.signs = (1, -1) if maxmin else (1,)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, layer.channels, layer.kernel, padding=layer.pad, bias=False)
            for before, layer in zip(inputs, layers)
        )
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(channels)) for channels in outputs)
        self.gains = nn.ModuleList(
            nn.ParameterList(nn.Parameter(torch.ones(channels)) for channels in outputs) for _ in self.signs
        )
        for branch in range(len(self.signs)):
            for place, channels in enumerate(outputs):
                self.register_buffer(f"mean{branch}_{place}", torch.zeros(channels))
                self.register_buffer(f"variance{branch}_{place}", torch.ones(channels))
        self.zero_norms = nn.ModuleList(ZeroNorm(channels, learn_shift=False) for channels in outputs)
        # of what is rendered onto the image and onto each layer; the last one is the class template's
        self.render_norms = nn.ModuleList(nn.BatchNorm2d(channels) for channels in [in_channels, *outputs])
        self.zero_render_norms = nn.ModuleList(ZeroNorm(channels) for channels in outputs)
        self.classifier = nn.Linear(outputs[-1], classes)

    def infer(self, x: Tensor, branch: int = 0) -> Inferred:
        """Run a branch upwards: 0 takes maxima, 1 minima."""
        sign = self.signs[branch]
        states: List[Tensor] = []
        positions: List[Optional[Tensor]] = []
        moments: List[Tuple[Tensor, Tensor]] = []
        for place, layer in enumerate(self.layers):
            x = self.convolutions[place](x)
            moments.append(_moments(x))
            x = functional.batch_norm(
                x, getattr(self, f"mean{branch}_{place}"), getattr(self, f"variance{branch}_{place}"),
                self.gains[branch][place], self.biases[place], training=self.training, eps=EPSILON,
            )  # fmt: skip
            x = sign * functional.leaky_relu(sign * x, SLOPE)
            states.append(_state(sign * x))
            positions.append(None)
            if layer.pools:
                pooled = sign * functional.max_pool2d(sign * x, 2)
                with torch.no_grad():
                    positions[-1] = (sign * (x - _enlarge(pooled, x.shape)) >= 0).to(x.dtype)
                x = self._drop(pooled, place)
        return Inferred(self.classifier(x.mean((2, 3))), states, positions, moments)

    @torch.no_grad()  # type: ignore[untyped-decorator, unused-ignore]
    def infer_zero(self, shape: Sequence[int]) -> List[Tensor]:
        """States of a zero image at every layer: no gradient flows through them."""
        x = torch.zeros(1, *shape[1:])
        states = []
        for place, layer in enumerate(self.layers):
            x = self.zero_norms[place](self.convolutions[place](x), self.biases[place])
            x = functional.leaky_relu(x, SLOPE)
            states.append(_state(x))
            if layer.pools:
                x = functional.max_pool2d(x, 2)
        return states

    def render(self, code: Tensor, inferred: Inferred) -> Rendered:
        """Render a class code through the inferred latents."""
        template = (code @ self.classifier.weight)[:, :, None, None]
        moments = [_moments(template)]
        h = self._spread(self.render_norms[-1](template), inferred)
        masked = []
        for place in reversed(range(len(self.layers))):
            if self.layers[place].pools:
                h = _enlarge(self._drop(h, place), inferred.states[place].shape)
            h = h * inferred.states[place]
            masked.append(h)
            h = self._transpose(h, place, inferred.positions[place])
            if place:
                moments.append(_moments(h))
            h = self.render_norms[place](h)
        return Rendered(h, masked[::-1], moments[::-1])

    def render_zero(self, states: List[Tensor], inferred: Inferred) -> List[Tensor]:
        """Render the sum of all templates through the zero image's states; s . h of each layer."""
        template = self.classifier.weight.sum(0)[None, :, None, None]
        h = self._spread(self.zero_render_norms[-1](template), inferred)
        masked = []
        for place in reversed(range(len(self.layers))):
            if self.layers[place].pools:
                h = _enlarge(h, states[place].shape)
            h = h * states[place]
            masked.append(h)
            if place:
                h = self._transpose(h, place, inferred.positions[place])
                h = self.zero_render_norms[place - 1](h)
        return masked[::-1]

    def _drop(self, x: Tensor, place: int) -> Tensor:
        rate = self.dropouts[place]
        return functional.dropout(x, rate, self.training) if rate else x

    def _spread(self, template: Tensor, inferred: Inferred) -> Tensor:
        height, width = inferred.states[-1].shape[2:]
        return (template / (height * width)).expand(-1, -1, height, width)

    def _transpose(self, h: Tensor, place: int, position: Optional[Tensor]) -> Tensor:
        if position is not None:
            h = h * position
        return functional.conv_transpose2d(h, self.convolutions[place].weight, padding=self.layers[place].pad)


def loss_terms(
    net: TorchNRM,
    images: Tensor,
    labels: Optional[Tensor],
    zero_states: List[Tensor],
    targets: Optional[Tensor] = None,
) -> Dict[str, Tensor]:
    """Every term of the objective, averaged over a batch.

    Args:
        net: the network.
        images: (B, C, H, W).
        labels: (B,); None for the unlabelled stream.
        zero_states: ``TorchNRM.infer_zero``, which does not depend on the images.
        targets: the teacher's class probabilities (B, K); None: no consistency term.
    """
    inferred = [net.infer(images, branch) for branch in range(len(net.signs))]
    share = 1.0 / len(inferred)
    logits = sum(each.logits for each in inferred) * share
    classes = logits.detach().argmax(1) if labels is None else labels
    code = functional.one_hot(classes, net.classes).float()
    rendered = [net.render(code, each) for each in inferred]
    zero = net.render_zero(zero_states, inferred[0])
    q = sum(functional.softmax(each.logits, 1) for each in inferred) * share
    terms: Dict[str, Any] = {
        "reconstruction": sum(0.5 * share * functional.mse_loss(each.image, images) for each in rendered),
        "entropy": -(q * torch.log(net.classes * q + 1e-8)).sum(1).mean(),
        "moment_matching": sum(share * _divergence(*pair) for pair in zip(rendered, inferred)),
        "path_norm": sum(
            (bias[:, None, None] * (image - other)).abs().mean()
            for bias, image, other in zip(net.biases, rendered[0].masked, zero)
        ),
    }
    if labels is not None:
        terms["cross_entropy"] = sum(
            share * functional.cross_entropy(each.logits, labels) for each in inferred
        )
    if targets is not None:
        terms["consistency"] = 0.5 * functional.mse_loss(q, targets)
    return terms


def probabilities(net: TorchNRM, images: Tensor) -> Tensor:
    """Class probabilities (B, K), the mean over the branches."""
    found = [functional.softmax(net.infer(images, branch).logits, 1) for branch in range(len(net.signs))]
    return sum(found[1:], found[0]) / len(found)


def _divergence(rendered: Rendered, inferred: Inferred) -> Tensor:
    total = torch.zeros(())
    for (m, v), (mean, variance) in zip(rendered.moments, inferred.moments):
        v, variance = v.clamp(min=EPSILON), variance.clamp(min=EPSILON)
        total = total + 0.5 * (((m - mean) ** 2 + v) / variance - torch.log(v / variance) - 1).mean()
    return total


def _moments(x: Tensor) -> Tuple[Tensor, Tensor]:
    """Mean and variance of each channel."""
    variance, mean = torch.var_mean(x, (0, 2, 3), unbiased=False)
    return mean, variance


def _state(activation: Tensor) -> Tensor:
    """1 where the activation is above zero, the slope elsewhere, in the activation's type."""
    with torch.no_grad():
        return torch.where(activation > 0, activation.new_ones(()), activation.new_full((), SLOPE))


def _enlarge(x: Tensor, shape: Sequence[int]) -> Tensor:
    """Repeat every pixel 2x2; a last row or column that no window covers is filled with zeros."""
    large = functional.interpolate(x, scale_factor=2, mode="nearest")
    rows, columns = shape[2] - large.shape[2], shape[3] - large.shape[3]
    return functional.pad(large, (0, columns, 0, rows)) if rows or columns else large
