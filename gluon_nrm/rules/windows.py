"""Max- and average pooling over windows of any kind: overlapping, padded, reaching over the edge; transposes.

The latent of max-pooling is, for each place in a window, a map of all windows that is 1 where the winner is
there, (B, C, windows). Of pixels that tie, the first wins: after another pooling over overlapping windows a
pixel often meets its own copies. (``pooling``, whose maps serve windows that tile the image, lets all win.)
"""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Optional, Tuple

from gluon_nrm.typing import Operators, Tensor

Pair = Tuple[int, int]

#: Below every pixel; in float16 it is minus infinity.
LOWEST = -1e38


class Windows(NamedTuple):
    """Where a pooling looks: MXNet's own arguments.

    ``full``: windows may reach over the bottom and right edge (``pooling_convention``). ``padding_counts``:
    pixels of the padding count in an average (``count_include_pad``).
    """

    kernel: Pair
    stride: Pair
    pad: Pair = (0, 0)
    full: bool = False
    padding_counts: bool = True

    @property
    def tile(self) -> bool:
        """Whether no pixel is in two windows and no window holds anything but pixels."""
        return self.kernel == self.stride and self.pad == (0, 0) and not self.full

    def output_size(self, size: Pair) -> Pair:
        """Rows and columns of windows on an image of ``size``."""
        beyond = self.over_the_edge(size)
        rows, columns = (
            (size[i] + 2 * self.pad[i] + beyond[i] - self.kernel[i]) // self.stride[i] + 1 for i in range(2)
        )
        return rows, columns

    def over_the_edge(self, size: Pair) -> Pair:
        """Rows and columns beyond the padded image that the last windows reach over."""
        rows, columns = (
            max(
                -(-(size[i] + 2 * self.pad[i] - self.kernel[i]) // self.stride[i]) * self.stride[i]
                + self.kernel[i] - size[i] - 2 * self.pad[i],
                0,
            )
            if self.full
            else 0
            for i in range(2)
        )  # fmt: skip
        return rows, columns


def winners(F: Operators, x: Tensor, pooled: Tensor, windows: Windows, size: Pair) -> List[Tensor]:
    """Latent t of max-pooling ``x`` (B, C, *size) to ``pooled``: a (B, C, windows) map a place."""
    # a comparison has no gradient; eager MXNet 1.9.1 must not go looking for it
    x, pooled = F.BlockGrad(x), F.reshape(F.BlockGrad(pooled), shape=(0, 0, -1))
    (top, left), (rows, columns) = windows.pad, windows.over_the_edge(size)
    if top or left or rows or columns:
        # lower than any pixel: with zeros, the padding would win a window of zeros
        widths = (0, 0, 0, 0, top, top + rows, left, left + columns)
        x = F.pad(x, mode="constant", constant_value=LOWEST, pad_width=widths)
    columns_of = {**_geometry(windows), "pad": (0, 0)}
    places = F.reshape(F.im2col(x, **columns_of), shape=(0, -4, -1, _places(windows), 0))
    found: List[Tensor] = []
    taken: Optional[Tensor] = None
    # place by place: operators on whole maps cost a fraction of those that spread one over another
    for place in F.SliceChannel(places, num_outputs=_places(windows), axis=2, squeeze_axis=True):
        won = F.broadcast_equal(place, pooled)
        found.append(won if taken is None else F.broadcast_greater(won, taken))
        taken = won if taken is None else F.broadcast_maximum(taken, won)
    return found


def transpose_max_pool(F: Operators, h: Tensor, t: List[Tensor], windows: Windows, size: Pair) -> Tensor:
    """Unpool at the inferred positions ``t``: (B, C, H', W') to (B, C, *size); what overlaps adds up."""
    h = F.reshape(h, shape=(0, 0, -1))
    return _gather(F, F.stack(*[F.broadcast_mul(won, h) for won in t], axis=2), windows, size)


def transpose_average_pool(F: Operators, h: Tensor, windows: Windows, size: Pair) -> Tensor:
    """Spread every pixel evenly over its window: (B, C, H', W') to (B, C, *size)."""
    return transpose_sum_pool(F, F.broadcast_div(h, _counts(F, h, windows, size)), windows, size)


def transpose_sum_pool(F: Operators, h: Tensor, windows: Windows, size: Pair) -> Tensor:
    """Copy every pixel over its window; pixels of two windows add up: (B, C, H', W') to (B, C, *size)."""
    copies = F.broadcast_axis(F.reshape(h, shape=(0, 0, 1, -1)), axis=2, size=_places(windows))
    return _gather(F, copies, windows, size)


def _gather(F: Operators, places: Tensor, windows: Windows, size: Pair) -> Tensor:
    """Add up what stands at the places of all windows, (B, C, places, windows), into an image."""
    rows, columns = windows.over_the_edge(size)
    image = F.col2im(
        F.reshape(places, shape=(0, -3, 0)), output_size=(size[0] + rows, size[1] + columns),
        **_geometry(windows),
    )  # fmt: skip
    for axis, (length, beyond) in enumerate(zip(size, (rows, columns)), start=2):
        if beyond:
            image = F.slice_axis(image, axis=axis, begin=0, end=length)
    return image


def _counts(F: Operators, like: Tensor, windows: Windows, size: Pair) -> Tensor:
    """By how much an average divides in each window: (1, 1, H', W')."""
    corner = like
    for axis in range(4):  # `slice` to a single number crashes on the CPU
        corner = F.slice_axis(corner, axis=axis, begin=0, end=1)
    padded = windows.padding_counts
    height, width = (length + 2 * pad if padded else length for length, pad in zip(size, windows.pad))
    ones = F.broadcast_axis(F.ones_like(corner), axis=(2, 3), size=(height, width))
    return F.Pooling(
        ones, kernel=windows.kernel, stride=windows.stride, pad=(0, 0) if padded else windows.pad,
        pool_type="sum", pooling_convention="full" if windows.full else "valid",
    )  # fmt: skip


def _geometry(windows: Windows) -> Dict[str, Pair]:
    return {"kernel": windows.kernel, "stride": windows.stride, "dilate": (1, 1), "pad": windows.pad}


def _places(windows: Windows) -> int:
    return windows.kernel[0] * windows.kernel[1]
