"""Inference of the plain CNN in PyTorch, in any mode: seconds of a run whenever asked, as JSON.

    PYTHONPATH=. python benchmarks/torch_inference.py NETWORK MODE BATCH

Run by ``inference.py`` in the Python that has PyTorch. Compiled networks are frozen: their norms are folded
into the convolutions, whose weights are stored in the layout of the kernels.
"""

from __future__ import annotations

import sys

import torch
from torch import nn

from benchmarks.networks import CLASSES, NETWORKS
from benchmarks.peer_modes import PEER_MODES, PeerMode, compiled
from benchmarks.serve import serve_turns

SLOPE = 0.1


def plain_network(name: str) -> nn.Sequential:
    """Make the CNN of a network's layers, without anything of the NRM, with random weights."""
    measured, blocks = NETWORKS[name], nn.Sequential()
    channels = measured.shape[0]
    for layer in measured.layers:
        blocks.append(nn.Conv2d(channels, layer.channels, layer.kernel, padding=layer.pad, bias=False))
        blocks.append(nn.BatchNorm2d(layer.channels))
        blocks.append(nn.LeakyReLU(SLOPE))
        if layer.pools:
            blocks.append(nn.MaxPool2d(2))
        channels = layer.channels
    return blocks.extend([nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, CLASSES)]).eval()


@torch.no_grad()  # type: ignore[untyped-decorator, unused-ignore]
def serve_runs(name: str, mode: PeerMode, batch: int) -> None:
    """Build the network in this process, and give a turn whenever asked."""
    net, images = plain_network(name), torch.randn(batch, *NETWORKS[name].shape)
    if mode.channels_last:
        net.to(memory_format=torch.channels_last)
        images = images.contiguous(memory_format=torch.channels_last)
    run = net
    if mode.compiled:
        import torch._inductor.config as inductor

        inductor.freezing = True
        run = compiled(net)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mode.bfloat16):
        serve_turns(lambda: run(images))


if __name__ == "__main__":
    asked, way, size = sys.argv[1:]
    serve_runs(asked, PEER_MODES[way], int(size))
