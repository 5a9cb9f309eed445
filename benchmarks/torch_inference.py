"""Inference of the plain CNN in PyTorch, in any mode: seconds of each run, as JSON.

    PYTHONPATH=. python benchmarks/torch_inference.py NETWORK MODE BATCH REPEATS

Run by ``inference.py`` in the Python that has PyTorch. Compiled networks are frozen: their norms are folded
into the convolutions, whose weights are stored in the layout of the kernels.
"""

from __future__ import annotations

import json
import sys
import time
from typing import List

import torch
from torch import nn

from benchmarks.networks import CLASSES, NETWORKS
from benchmarks.peer_modes import PEER_MODES, PeerMode, compiled

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
def measure(name: str, mode: PeerMode, batch: int, repeats: int) -> List[float]:
    """Seconds of each of ``repeats`` runs, after two that do not count."""
    net, images = plain_network(name), torch.randn(batch, *NETWORKS[name].shape)
    if mode.channels_last:
        net.to(memory_format=torch.channels_last)
        images = images.contiguous(memory_format=torch.channels_last)
    run = net
    if mode.compiled:
        import torch._inductor.config as inductor

        inductor.freezing = True
        run = compiled(net)
    seconds = []
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mode.bfloat16):
        for _ in range(2 + repeats):
            started = time.perf_counter()
            run(images)
            seconds.append(time.perf_counter() - started)
    return seconds[2:]


if __name__ == "__main__":
    asked, way, size, count = sys.argv[1:]
    print(json.dumps(measure(asked, PEER_MODES[way], int(size), int(count))))
