"""Whether an export computes what the network does, on images of the data set."""

from __future__ import annotations

from typing import Callable, List, Mapping, NamedTuple, Optional, Sequence

import numpy as np

from gluon_nrm.errors import DeployError
from gluon_nrm.predict.manifest import RENDERING, Output

Array = np.ndarray

#: Largest difference, relative to the largest value of the output: between runs of MXNet, and to ONNX.
TOLERANCE, ONNX_TOLERANCE = 1e-5, 1e-4
#: A network whose own rounding moves its output by more (deep ones, with large gates) is allowed so many
#: times that, up to a bound.
OWN_ROUNDING, LARGEST_TOLERANCE = 4.0, 1e-3
#: A rendering is not continuous: where an activation is 0 but for rounding, its state may differ, and with it
#: a patch of the image. So renderings are compared by their root mean square, and a few may be off.
RENDERING_TOLERANCE, RENDERINGS_ALIKE = 1e-3, 0.75
#: By how much more int8 may classify wrongly than float32, in per cent of the images.
INT8_LOSS = 5.0
#: Sizes of the batches that are compared.
BATCHES = (1, 16)

REMEDY = "nothing was written; please report it with the recipe"


class Comparison(NamedTuple):
    """What is compared: images as the graph takes them, and what the network says of them."""

    images: Array
    expected: Mapping[str, Array]
    outputs: Sequence[Output]
    #: by how much the network's scores change when its pixels are rounded otherwise, relative to the largest
    rounding: float = 0.0

    def check(self, what: str, run: Callable[[Array], List[Array]], tolerance: float = TOLERANCE) -> float:
        """Run an export on batches of all sizes and compare.

        Args:
            what: how messages name it.
            run: maps a batch to the outputs, in order.
            tolerance: see above.

        Returns:
            The largest relative difference of logits or probabilities.

        Raises:
            DeployError: an output differs, is not finite, or another class is predicted.
        """
        tolerance = max(tolerance, min(OWN_ROUNDING * self.rounding, LARGEST_TOLERANCE))
        worst = 0.0
        alike: List[bool] = []
        for size in BATCHES:
            found = run(self.images[:size])
            for output, values in zip(self.outputs, found):
                expected = self.expected[output.name][:size]
                if values.shape != expected.shape or not np.isfinite(values).all():
                    raise DeployError(
                        f"{what}: {output.name} of {size} images is of shape {values.shape}, wanted "
                        f"{expected.shape}, or not finite; {REMEDY}"
                    )
                if output.what == RENDERING:
                    alike += _alike(values, expected)
                else:
                    worst = max(worst, _check_scores(f"{what}: {output.name}", values, expected, tolerance))
        if np.mean(alike or [True]) < RENDERINGS_ALIKE:
            raise DeployError(
                f"{what}: {alike.count(False)} of {len(alike)} renderings are not the network's; {REMEDY}"
            )
        return worst


def _check_scores(what: str, found: Array, expected: Array, tolerance: float) -> float:
    difference = float(np.abs(found - expected).max() / np.abs(expected).max())
    if not difference <= tolerance:
        raise DeployError(
            f"{what} differs from the network's by {difference:.1e} of its largest value, more than "
            f"{tolerance:.0e}; {REMEDY}"
        )
    other = np.flatnonzero(found.argmax(axis=1) != expected.argmax(axis=1))
    if len(other):
        raise DeployError(f"{what} predicts another class than the network for image {other[0]}; {REMEDY}")
    return difference


def rounded_otherwise(images: Array) -> Array:
    """Change every value by one unit in its last place, up or down by chance."""
    up = np.random.RandomState(0).rand(*images.shape) < 0.5
    return np.nextafter(images, np.where(up, np.inf, -np.inf).astype(images.dtype))


def _alike(found: Array, expected: Array) -> List[bool]:
    """Whether each rendering is the network's."""
    axes = tuple(range(1, found.ndim))
    difference = np.sqrt(np.mean((found - expected) ** 2, axis=axes))
    bound = RENDERING_TOLERANCE * np.sqrt(np.mean(expected**2))
    return [bool(each <= bound) for each in difference]


def count_errors(
    run: Callable[[Array], Array], images: Callable[[int, int], Array], labels: Array, batch: int,
    note: Optional[Callable[[int], None]] = None,
) -> float:  # fmt: skip
    """Share of images that an export classifies wrongly, in per cent.

    Args:
        run: maps a batch to scores (B, K); the last batch may be short.
        images: gives those from a place to another.
        labels: (N,).
        batch: images at once.
        note: told after each batch how many images it had.
    """
    wrong = 0
    for start in range(0, len(labels), batch):
        stop = min(start + batch, len(labels))
        wrong += int(np.sum(run(images(start, stop)).argmax(axis=1) != labels[start:stop]))
        if note is not None:
            note(stop - start)
    return 100.0 * wrong / len(labels)


def check_accuracy(float32: float, int8: float) -> None:
    """Check that quantisation has left the classifier one.

    Raises:
        DeployError: its error (per cent) is more than ``INT8_LOSS`` above that of float32.
    """
    if not int8 <= float32 + INT8_LOSS:
        raise DeployError(
            f"in int8 {int8:.2f} % of the images are classified wrongly, in float32 {float32:.2f} %: this "
            "network does not stand 8 bits; nothing was written, leave int8 out"
        )
