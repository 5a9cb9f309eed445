"""A whole training step in PyTorch: losses of both streams, gradients, update, teacher; in any mode."""

from __future__ import annotations

import copy
from typing import Any, Callable, List, Tuple

import torch
from torch import Tensor

from benchmarks.networks import (
    CLASSES,
    CONSISTENCY,
    DECAY,
    METHODS,
    NETWORKS,
    RATE,
    WEIGHT_DECAY,
    WEIGHTS,
    MeasuredNetwork,
)
from benchmarks.peer_modes import PeerMode, compiled
from benchmarks.torch_nrm import TorchNRM, loss_terms, probabilities

EVERY_WEIGHT = {**WEIGHTS, "consistency": CONSISTENCY}


class TorchPasses:
    """The passes through a network that a step makes, each compiled and in the precision of the mode.

    Args:
        net: the network; ``channels_last`` moves its parameters.
        mode: the way of running it.
    """

    def __init__(self, net: TorchNRM, mode: PeerMode) -> None:
        self._net, self._low = net, mode.bfloat16
        if mode.channels_last:
            net.to(memory_format=torch.channels_last)
        wrap: Callable[..., Any] = compiled if mode.compiled else lambda function: function
        self._zero_states, self._terms = wrap(net.infer_zero), wrap(loss_terms)
        self._probabilities = wrap(probabilities)

    def zero_states(self, images: Tensor) -> List[Tensor]:
        """Return the states of a zero image, which both streams share."""
        with self._precision():
            found: List[Tensor] = self._zero_states(images.shape)
        return found

    def terms(self, *inputs: Any) -> Any:
        """Return ``torch_nrm.loss_terms`` of the network and these inputs."""
        with self._precision():
            return self._terms(self._net, *inputs)

    @torch.no_grad()  # type: ignore[untyped-decorator, unused-ignore]
    def probabilities(self, images: Tensor) -> Tensor:
        """Return the class probabilities, without a gradient."""
        with self._precision():
            found: Tensor = self._probabilities(self._net, images)
        return found

    def _precision(self) -> Any:
        return torch.autocast("cpu", dtype=torch.bfloat16, enabled=self._low)


def training_step(network: str, method: str, mode: PeerMode) -> Callable[[], None]:
    """Build networks and optimiser of a method; the result takes one step on random images."""
    measured, settings = NETWORKS[network], METHODS[method]
    torch.manual_seed(0)
    net = TorchNRM(measured.layers, measured.shape[0], CLASSES, settings.maxmin)
    teaching = copy.deepcopy(net) if settings.teacher else None
    passes = TorchPasses(net, mode)
    teacher = TorchPasses(teaching, mode) if teaching is not None else None
    follow = _follower(teaching, net, mode) if teaching is not None else None
    optimiser = torch.optim.SGD(net.parameters(), lr=RATE, weight_decay=WEIGHT_DECAY, fused=True)
    images, labels = _batches(measured, mode)

    def step() -> None:
        optimiser.zero_grad()
        zero_states = passes.zero_states(images[0])
        for batch, own in ((images[1], None), (images[0], labels)):
            targets = teacher.probabilities(batch) if teacher is not None else None
            terms = passes.terms(batch, own, zero_states, targets)
            sum(EVERY_WEIGHT[name] * term for name, term in terms.items()).backward()
        optimiser.step()
        if follow is not None:
            follow()

    return step


def _batches(measured: MeasuredNetwork, mode: PeerMode) -> Tuple[List[Tensor], Tensor]:
    """Random images: the labelled and the unlabelled batch, and labels."""
    images = list(torch.randn(2, measured.batch, *measured.shape))
    if mode.channels_last:
        images = [batch.contiguous(memory_format=torch.channels_last) for batch in images]
    return images, torch.arange(measured.batch) % CLASSES


def _follower(teacher: TorchNRM, net: TorchNRM, mode: PeerMode) -> Callable[[], None]:
    """Make the update of a teacher: parameters and running statistics move towards the student's."""
    pairs = [
        (mine, new)
        for mine, new in zip(teacher.state_dict().values(), net.state_dict().values())
        if mine.is_floating_point()
    ]

    def move() -> None:
        for mine, new in pairs:
            mine.lerp_(new, 1.0 - DECAY)

    wrapped = compiled(move) if mode.compiled else move
    return torch.no_grad()(wrapped)
