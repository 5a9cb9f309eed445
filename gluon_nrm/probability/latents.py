"""The latents of a layer as discrete variables: which values they have, and what each is worth to the prior.

A layer's latents are one block of variables that, all other layers fixed, are independent of each other: eta
is linear in the map v by which the layer multiplies its rendering. A variable owns a few pixels of v, so with
g = d eta / d v the part of eta that an outcome decides is a sum of g over the pixels that it sets:

- a pixel that is not pooled is s in {a, 1} (a: slope of the leaky ReLU, 0 for ReLU): worth a g or g;
- a pixel that pools has s in {a, 1} and t in its window of k places: v is s at place t and 0 elsewhere, worth
  s g_t. That is one categorical variable of 2k outcomes, drawn at once. With ReLU the k outcomes of s = 0
  render the same, nothing: they are kept as one outcome, of weight k;
- where windows overlap, or no rectifier stands directly before the pooling, s and t are blocks of their own,
  and t alone is worth g_t.

So exact Gibbs sampling draws a block from softmax((worth / sigma^2) + log weight), variable by variable.
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
        log_weights: (V, n) or (1, n), log of how many configurations (s, t) an outcome stands for; -inf where
            a variable has no such outcome.
    """

    shape: Tuple[int, ...]
    variables: int
    log_weights: Array

    def worth(self, gradient: Array) -> Array:
        """Part of eta that each outcome decides, (B, V, n), from d eta / d map, (B, *shape)."""
        raise NotImplementedError

    def encode(self, maps: Array) -> Array:
        """Outcome of every variable, (B, V) of small integers, from maps (B, *shape); of ties the first."""
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
        """Log2 of the number of values that the block can have."""
        return float(np.log2(self.outcomes).sum())


class States(Latent):
    """Pixels that are rendered (outcome 1) or not (outcome 0, which multiplies by the slope).

    Args:
        shape: of one image's map.
        slope: a, one number or one a feature map (parametric ReLU).
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
    """Pixels that pool over windows which tile the image; rows and columns in no window render nothing.

    Args:
        shape: channels, height and width of the pooled map.
        kernel: height and width of a window.
        slope: of the rectifier before the pooling; None: s is no part of this block.
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
        """(B, C, H, W) to what is in each window, (B, V, places)."""
        (rows, columns), (height, width) = self._kernel, self._size
        inside = maps[:, :, : height * rows, : width * columns]
        blocks = inside.reshape(len(maps), self.shape[0], height, rows, width, columns)
        return blocks.transpose(0, 1, 2, 4, 3, 5).reshape(len(maps), self.variables, self._places)

    def _scatter(self, values: Array) -> Array:
        """The inverse; zeros in no window."""
        (rows, columns), (height, width) = self._kernel, self._size
        blocks = values.reshape(len(values), self.shape[0], height, width, rows, columns)
        maps = np.zeros((len(values), *self.shape), dtype=np.float32)
        inside = blocks.transpose(0, 1, 2, 4, 3, 5).reshape(len(values), self.shape[0], height * rows, -1)
        maps[:, :, : height * rows, : width * columns] = inside
        return maps


class OverlappingWindows(Latent):
    """Positions t of max-pooling over any windows; the map is 1 where a window's winner is, (C, places, n).

    Args:
        channels: feature maps C.
        inside: (places, n), whether that place of that window lies on the image.
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
    """The smallest type that holds the number of an outcome."""
    return np.uint8 if outcomes <= 256 else np.uint16 if outcomes <= 65536 else np.uint32
