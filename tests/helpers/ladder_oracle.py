"""Tiny Ladder networks, and both terms of one in NumPy, written from Algorithm 1 of Rasmus et al. 2015."""

from __future__ import annotations

from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np

from gluon_nrm.models.ladder.layers import LadderLayer, convolution, dense, global_mean, max_pooling

EPSILON = 1e-5
#: of the leaky ReLU
SLOPE = 0.1
Arrays = Dict[str, np.ndarray]

#: name -> layers, shape of the images, weights of the cost
NETWORKS: Dict[str, Tuple[List[LadderLayer], Tuple[int, int, int], List[float]]] = {
    "dense": ([dense(5), dense(4), dense(3)], (1, 2, 3), [3.0, 0.5, 0.0, 0.2]),
    "convolution": (
        [convolution(3, 3, pad=2), max_pooling(), convolution(4, 2, pad=0), global_mean(), dense(3)],
        (2, 4, 5),
        [2.0, 0.7, 0.4, 0.3, 0.2, 0.1],
    ),
    "gamma": (
        [convolution(3), max_pooling(), convolution(3, 1, pad=0), global_mean()],
        (1, 4, 4),
        [0, 0, 0, 0, 4],
    ),
}


def statistics(x: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    axes = (0, 2, 3) if x.ndim == 4 else (0,)
    return x.mean(axes, keepdims=True), np.sqrt(x.var(axes, keepdims=True) + EPSILON)


def along(values: np.ndarray, x: np.ndarray) -> np.ndarray:
    return values.reshape((1, -1, 1, 1) if x.ndim == 4 else (1, -1))


def correlate(x: np.ndarray, weight: np.ndarray, pad: int) -> np.ndarray:
    """A convolution, pixel by pixel."""
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    side = weight.shape[2]
    rows, columns = x.shape[2] - side + 1, x.shape[3] - side + 1
    found = np.zeros((len(x), len(weight), rows, columns))
    for i in range(rows):
        for j in range(columns):
            window = x[:, :, i : i + side, j : j + side]
            found[:, :, i, j] = np.einsum("bcij,ocij->bo", window, weight)
    return found


def forward(layer: LadderLayer, h: np.ndarray, weight: Optional[np.ndarray]) -> np.ndarray:
    if layer.kind == "dense":
        return h.reshape(len(h), -1) @ weight.T
    if layer.kind == "convolution":
        return correlate(h, weight, layer.pad)
    if layer.kind == "global mean":
        return h.mean((2, 3))
    rows, columns = h.shape[2] // 2, h.shape[3] // 2
    found = np.zeros((*h.shape[:2], rows, columns))
    for i in range(rows):
        for j in range(columns):
            found[:, :, i, j] = h[:, :, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].max((2, 3))
    return found


def backward(
    above: LadderLayer, z: np.ndarray, weight: Optional[np.ndarray], shape: Sequence[int]
) -> np.ndarray:
    """Way of the decoder through the layer above, down to a layer of ``shape``."""
    if above.kind == "dense":
        return (z @ weight.T).reshape(len(z), *shape)
    if above.kind == "convolution":
        return correlate(z, weight, above.side - 1 - above.pad)
    found = np.zeros((len(z), *shape))
    if above.kind == "global mean":
        return found + z[:, :, None, None]
    for i in range(2 * z.shape[2]):
        for j in range(2 * z.shape[3]):
            found[:, :, i, j] = z[:, :, i // 2, j // 2]
    return found


def oracle(
    name: str, arrays: Arrays, x: np.ndarray, label: np.ndarray, noise: List[np.ndarray]
) -> np.ndarray:
    """Both terms of every image, (2, B), as Algorithm 1 of the paper has them."""
    layers, shape, weights = NETWORKS[name]
    x = x.astype(np.float64)
    x = x.reshape(len(x), -1) if layers[0].kind == "dense" else x

    def encode(drawn: Optional[List[np.ndarray]]) -> Tuple[List[np.ndarray], List[np.ndarray], np.ndarray]:
        h = x if drawn is None else x + drawn[0]
        before, normalised = [h], [h]
        for place, layer in enumerate(layers):
            key = f"encoder.{place}."
            before.append(forward(layer, h, arrays.get(key + "operation.weight")))
            mean, std = statistics(before[-1])
            z = (before[-1] - mean) / std + (0 if drawn is None else drawn[place + 1])
            normalised.append(z)
            h = along(arrays[key + "clean.gamma"], z) * z + along(arrays[key + "clean.beta"], z)
            if layer.kind in ("dense", "convolution") and place < len(layers) - 1:
                h = np.where(h > 0, h, SLOPE * h)
        return before, normalised, h

    before, clean, _ = encode(None)
    _, corrupted, logits = encode(noise)
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    known = label >= 0
    cross_entropy = -np.log(p[np.arange(len(p)), np.where(known, label, 0).astype(int)]) * known
    lowest = min(place for place, weight in enumerate(weights) if weight)
    cost, higher = np.zeros(len(x)), p
    for step, place in enumerate(range(len(layers), lowest - 1, -1)):
        key = f"decoder.{step}."
        if step:
            size = corrupted[place].shape[1:]
            higher = backward(layers[place], higher, arrays.get(key + "weight"), size)
        mean, std = statistics(higher)
        u, z = (higher - mean) / std, corrupted[place]

        def curve(which: str, u: np.ndarray = u, key: str = key) -> np.ndarray:
            a = [along(row, u) for row in arrays[key + f"combinator.{which}"]]
            return a[0] / (1 + np.exp(-(a[1] * u + a[2]))) + a[3] * u + a[4]

        higher = (z - curve("mean")) * curve("slope") + curve("mean")
        mean, std = statistics(before[place]) if place else (np.zeros(1), np.ones(1))
        error = (higher - mean) / std - clean[place]
        cost += weights[place] * (error**2).reshape(len(x), -1).mean(1)
    return np.stack([cross_entropy, cost])
