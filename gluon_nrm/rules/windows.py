"""Max- and average pooling over overlapping, padded or partly covered windows, and their transposes.

The latent of max-pooling is one map (B, C, windows) for each place in a window: 1 for each window whose
maximum is at that place. If pixels tie, the first one counts: behind another overlapping pooling, a window
often holds copies of one pixel. (``pooling`` serves windows that tile the image, and keeps all ties.)
"""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Optional, Tuple

from gluon_nrm.typing import Operators, Tensor

Pair = Tuple[int, int]

#: Lower than any pixel; minus infinity in float16.
LOWEST = -1e38


class Windows(NamedTuple):
    """Geometry of a pooling's windows, by MXNet's arguments."""

    kernel: Pair
    stride: Pair
    pad: Pair = (0, 0)
    #: windows may reach over the bottom and right edge (``pooling_convention``)
    full: bool = False
    #: padding counts in an average (``count_include_pad``)
    padding_counts: bool = True

    @property
    def tile(self) -> bool:
        """True if windows neither overlap nor reach beyond the image."""
        return self.kernel == self.stride and self.pad == (0, 0) and not self.full

    def output_size(self, size: Pair) -> Pair:
        """Number of rows and columns of windows on an image of ``size``."""
        beyond = self.over_the_edge(size)
        rows, columns = (
            (size[i] + 2 * self.pad[i] + beyond[i] - self.kernel[i]) // self.stride[i] + 1 for i in range(2)
        )
        return rows, columns

    def over_the_edge(self, size: Pair) -> Pair:
        """Rows and columns by which the last windows reach beyond the padded image."""
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
    """Latent t of max-pooling ``x`` (B, C, *size) to ``pooled``: one map (B, C, windows) for each place."""
    # eager MXNet 1.9.1 crashes in the backward pass of a comparison
    x, pooled = F.BlockGrad(x), F.reshape(F.BlockGrad(pooled), shape=(0, 0, -1))
    (top, left), (rows, columns) = windows.pad, windows.over_the_edge(size)
    if top or left or rows or columns:
        # padding with zeros would be a maximum of windows of zeros
        widths = (0, 0, 0, 0, top, top + rows, left, left + columns)
        x = F.pad(x, mode="constant", constant_value=LOWEST, pad_width=widths)
    columns_of = {**_geometry(windows), "pad": (0, 0)}
    places = F.reshape(F.im2col(x, **columns_of), shape=(0, -4, -1, _places(windows), 0))
    found: List[Tensor] = []
    taken: Optional[Tensor] = None
    # place by place: elementwise operators take a fraction of the time of broadcasts
    for place in F.SliceChannel(places, num_outputs=_places(windows), axis=2, squeeze_axis=True):
        won = F.broadcast_equal(place, pooled)
        found.append(won if taken is None else F.broadcast_greater(won, taken))
        taken = won if taken is None else F.broadcast_maximum(taken, won)
    return found


def transpose_max_pool(F: Operators, h: Tensor, t: List[Tensor], windows: Windows, size: Pair) -> Tensor:
    """Unpool at the inferred positions ``t``: (B, C, H', W') to (B, C, *size); overlaps add up."""
    h = F.reshape(h, shape=(0, 0, -1))
    return _gather(F, F.stack(*[F.broadcast_mul(won, h) for won in t], axis=2), windows, size)


def transpose_average_pool(F: Operators, h: Tensor, windows: Windows, size: Pair) -> Tensor:
    """Spread every pixel evenly over its window: (B, C, H', W') to (B, C, *size)."""
    return transpose_sum_pool(F, F.broadcast_div(h, _counts(F, h, windows, size)), windows, size)


def transpose_sum_pool(F: Operators, h: Tensor, windows: Windows, size: Pair) -> Tensor:
    """Copy every pixel over its window: (B, C, H', W') to (B, C, *size); overlaps add up."""
    copies = F.broadcast_axis(F.reshape(h, shape=(0, 0, 1, -1)), axis=2, size=_places(windows))
    return _gather(F, copies, windows, size)


def _gather(F: Operators, places: Tensor, windows: Windows, size: Pair) -> Tensor:
    """Add the values of all windows, (B, C, places, windows), into an image (B, C, *size)."""
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
    """Divisor of the average of each window: (1, 1, H', W')."""
    corner = like
    for axis in range(4):  # `slice` over several axes crashes on the CPU
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
