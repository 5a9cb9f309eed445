"""The latents of a layer as discrete variables: their outcomes, and each outcome's contribution to eta.

A layer multiplies its rendering by a map v of its latents. The prior score eta is linear in v, so the latents
of one layer are independent if all other layers are fixed. With g = d eta / d v, the *worth* of an outcome is
its contribution to eta, a sum of g over the pixels that it sets:

- A pixel without pooling has a state s in {a, 1} (a: slope of the leaky ReLU, 0 for ReLU), worth a g or g.
- A pooling window of k places has a state s in {a, 1} and a position t: v is s at place t and 0 elsewhere,
  worth s g_t. This is one variable of 2k outcomes. With ReLU, the k outcomes of s = 0 all render nothing;
  they are one outcome of weight k.
- If windows overlap, or no rectifier is directly before the pooling, s and t are separate blocks, and t is
  worth g_t.

Exact Gibbs sampling draws each variable of a block from softmax((worth / sigma^2) + log weight).
"""

from __future__ import annotations

from typing import Optional, Sequence, Tuple, Union

import numpy as np

Array = np.ndarray
Pair = Tuple[int, int]


class Latent:
    """A block of ``variables`` independent discrete variables, and the map that carries their values.

    Attributes:
        shape: shape of the map of one image.
        variables: number of variables V.
        log_weights: log of the number of configurations (s, t) of each outcome, (V, n) or (1, n); -inf for
            an outcome that a variable does not have.
    """

    shape: Tuple[int, ...]
    variables: int
    log_weights: Array

    def worth(self, gradient: Array) -> Array:
        """Contribution of each outcome to eta, (B, V, n), from d eta / d map, (B, *shape)."""
        raise NotImplementedError

    def encode(self, maps: Array) -> Array:
        """Outcome of every variable, (B, V), from maps (B, *shape); the first one of ties."""
        raise NotImplementedError

    def decode(self, outcomes: Array) -> Array:
        """Maps (B, *shape) of float32 from outcomes (B, V)."""
        raise NotImplementedError

    @property
    def outcomes(self) -> Array:
        """Number of outcomes of each variable, (V,)."""
        counts = np.isfinite(self.log_weights).sum(axis=1)
        return np.broadcast_to(counts, (self.variables,))

    @property
    def log2_paths(self) -> float:
        """Log2 of the number of joint outcomes of the block."""
        return float(np.log2(self.outcomes).sum())


class States(Latent):
    """States of pixels: 1 (outcome 1) or the slope (outcome 0).

    Args:
        shape: shape of one image's map.
        slope: slope a of the leaky ReLU, one number or one for each feature map, (C,) (parametric ReLU).
    """

    def __init__(self, shape: Sequence[int], slope: Union[float, Array] = 0.0) -> None:
        self.shape, self.variables = tuple(shape), int(np.prod(shape))
        slopes = np.reshape(np.asarray(slope, dtype=np.float32), (-1,) + (1,) * (len(self.shape) - 1))
        self._slope = np.broadcast_to(slopes, self.shape).reshape(-1)
        self.log_weights = np.zeros((1, 2), dtype=np.float32)

    def worth(self, gradient: Array) -> Array:
        """See ``Latent``."""
        flat = gradient.reshape(len(gradient), -1)
        return np.stack([flat * self._slope, flat], axis=2)

    def encode(self, maps: Array) -> Array:
        """See ``Latent``."""
        return (maps.reshape(len(maps), -1) == 1).astype(np.uint8)

    def decode(self, outcomes: Array) -> Array:
        """See ``Latent``."""
        maps = np.where(outcomes == 1, np.float32(1), self._slope)
        return maps.reshape(len(outcomes), *self.shape)


class TiledWindows(Latent):
    """States and positions of pooling windows that tile the image; pixels outside all windows render nothing.

    Args:
        shape: channels, height and width of the pooling's input.
        kernel: height and width of a window.
        slope: slope of the rectifier before the pooling; None: the block has positions only.
    """

    def __init__(self, shape: Sequence[int], kernel: Pair, slope: Optional[float] = None) -> None:
        self.shape, self._kernel, self._slope = tuple(shape), kernel, slope
        self._size = (shape[1] // kernel[0], shape[2] // kernel[1])
        self._places = kernel[0] * kernel[1]
        self.variables = shape[0] * self._size[0] * self._size[1]
        weights = [0.0] * self._places
        if slope is not None:
            weights = [np.log(self._places)] + weights if slope == 0 else weights * 2
        self.log_weights = np.array([weights], dtype=np.float32)

    def worth(self, gradient: Array) -> Array:
        """See ``Latent``."""
        g = self._gather(gradient)
        if self._slope is None:
            return g
        low = g * self._slope if self._slope else np.zeros_like(g[:, :, :1])
        return np.concatenate([low, g], axis=2)

    def encode(self, maps: Array) -> Array:
        """See ``Latent``."""
        values = self._gather(maps)
        place = values.argmax(axis=2)
        if self._slope is None:
            return place.astype(_integers(self._places))
        on = np.take_along_axis(values, place[:, :, None], axis=2)[:, :, 0] == 1
        found = place + self._places * on if self._slope else (place + 1) * on
        return found.astype(_integers(self.log_weights.shape[1]))

    def decode(self, outcomes: Array) -> Array:
        """See ``Latent``."""
        table = np.eye(self._places, dtype=np.float32)
        if self._slope is not None:
            low = table * np.float32(self._slope) if self._slope else np.zeros_like(table[:1])
            table = np.concatenate([low, table])
        return self._scatter(table[outcomes])

    def _gather(self, maps: Array) -> Array:
        """Rearrange maps (B, C, H, W) into windows (B, V, places)."""
        (rows, columns), (height, width) = self._kernel, self._size
        inside = maps[:, :, : height * rows, : width * columns]
        blocks = inside.reshape(len(maps), self.shape[0], height, rows, width, columns)
        return blocks.transpose(0, 1, 2, 4, 3, 5).reshape(len(maps), self.variables, self._places)

    def _scatter(self, values: Array) -> Array:
        """Rearrange windows (B, V, places) into maps (B, C, H, W), with zeros outside all windows."""
        (rows, columns), (height, width) = self._kernel, self._size
        blocks = values.reshape(len(values), self.shape[0], height, width, rows, columns)
        maps = np.zeros((len(values), *self.shape), dtype=np.float32)
        inside = blocks.transpose(0, 1, 2, 4, 3, 5).reshape(len(values), self.shape[0], height * rows, -1)
        maps[:, :, : height * rows, : width * columns] = inside
        return maps


class OverlappingWindows(Latent):
    """Positions t of max-pooling over n windows of any kind; the map (C, places, n) is 1 at each maximum.

    Args:
        channels: feature maps C.
        inside: True for each place of each window that lies inside the image, (places, n).
    """

    def __init__(self, channels: int, inside: Array) -> None:
        places, windows = inside.shape
        self.shape, self.variables = (channels, places, windows), channels * windows
        weights = np.where(inside.T, 0.0, -np.inf).astype(np.float32)
        self.log_weights = np.tile(weights, (channels, 1))

    def worth(self, gradient: Array) -> Array:
        """See ``Latent``."""
        return gradient.transpose(0, 1, 3, 2).reshape(len(gradient), self.variables, -1)

    def encode(self, maps: Array) -> Array:
        """See ``Latent``."""
        return self.worth(maps).argmax(axis=2).astype(_integers(self.shape[1]))

    def decode(self, outcomes: Array) -> Array:
        """See ``Latent``."""
        channels, places, windows = self.shape
        one_hot = np.eye(places, dtype=np.float32)[outcomes]
        return one_hot.reshape(-1, channels, windows, places).transpose(0, 1, 3, 2)


def _integers(outcomes: int) -> type:
    """Smallest integer type for ``outcomes`` outcomes."""
    return np.uint8 if outcomes <= 256 else np.uint16 if outcomes <= 65536 else np.uint32
