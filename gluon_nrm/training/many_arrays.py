"""Copy, add and average many arrays with few operators.

The arrays are parameters or gradients, most of them with one number for each feature map. Starting an
operator takes longer than such an array's arithmetic, so small arrays share operators.
"""

from __future__ import annotations

from typing import Any, Dict, List, Sequence

import mxnet as mx

#: Largest number of elements of an array that shares an operator. MXNet computes larger ones faster alone.
SMALL = 4096
#: Most arrays of one operator: `multi_sgd_update` crashes with more than 60.
MOST = 45


class ManyArrays:
    """Operators on lists of float32 arrays; all lists have the same shapes and devices.

    Args:
        arrays: a list of them.
    """

    def __init__(self, arrays: Sequence[Any]) -> None:
        shared: Dict[mx.Context, List[int]] = {}
        self._alone: List[int] = []
        for place, array in enumerate(arrays):
            (shared.setdefault(array.context, []) if array.size <= SMALL else self._alone).append(place)
        self._together = [
            places[begin : begin + MOST]
            for places in shared.values()
            for begin in range(0, len(places), MOST)
        ]

    def copy(self, arrays: Sequence[Any]) -> List[Any]:
        """Copy every array."""
        found: Dict[int, Any] = {place: arrays[place].copy() for place in self._alone}
        for places in self._together:
            # a cast of several arrays to the widest of their types, which is float32: a copy of each
            copies = mx.nd.amp_multicast(*[arrays[place] for place in places], num_outputs=len(places))
            found.update(zip(places, copies if isinstance(copies, list) else [copies]))
        return [found[place] for place in range(len(found))]

    def add(self, arrays: Sequence[Any], others: Sequence[Any]) -> None:
        """Add ``others`` to ``arrays``, in place and exactly as element-wise addition does."""
        for place in self._alone:
            mx.nd.elemwise_add(arrays[place], others[place], out=arrays[place])
        for places in self._together:
            _update(arrays, others, places, rate=-1.0, decay=0.0, scale=1.0)

    def move(self, arrays: Sequence[Any], others: Sequence[Any], rate: float) -> None:
        """Move ``arrays`` towards ``others``, in place: a <- a - rate (a - b)."""
        for place in self._alone:
            # in one pass over the memory
            mx.nd.sgd_update(
                arrays[place], others[place], out=arrays[place], lr=rate, wd=1.0, rescale_grad=-1.0
            )
        for places in self._together:
            _update(arrays, others, places, rate=rate, decay=1.0, scale=-1.0)


def _update(
    arrays: Sequence[Any], others: Sequence[Any], places: List[int], rate: float, decay: float, scale: float
) -> None:
    """Compute a <- a - rate (scale b + decay a) for the arrays at some places."""
    count = len(places)
    mx.nd.multi_sgd_update(
        *[each[place] for place in places for each in (arrays, others)],
        out=[arrays[place] for place in places], num_weights=count, lrs=(rate,) * count,
        wds=(decay,) * count, rescale_grad=scale,
    )  # fmt: skip
