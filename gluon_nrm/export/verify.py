"""Comparison of an export's outputs with the network's, on images of the data set."""

from __future__ import annotations

from typing import Callable, List, Mapping, NamedTuple, Optional, Sequence

import numpy as np

from gluon_nrm.errors import DeployError
from gluon_nrm.predict.manifest import RENDERING, Output

#: Largest allowed difference, relative to the largest value of the output: in MXNet, and in ONNX.
TOLERANCE, ONNX_TOLERANCE = 1e-5, 1e-4
#: A network whose own rounding changes its output by more, such as a deep one, is allowed this multiple of
#: its rounding, up to a bound.
OWN_ROUNDING, LARGEST_TOLERANCE = 4.0, 1e-3
#: Renderings are not continuous: the state of an activation near 0 may differ by rounding, and with it a
#: patch of the image. They are compared by their root mean square, and a share of them must agree.
RENDERING_TOLERANCE, RENDERINGS_ALIKE = 1e-3, 0.75
#: Largest allowed increase of the error by int8, in per cent of the images.
INT8_LOSS = 5.0
#: Batch sizes that are compared.
BATCHES = (1, 16)

REMEDY = "nothing was written; please report it with the recipe"


class Comparison(NamedTuple):
    """Images as the graph takes them, (B, C, H, W), and the network's outputs for them."""

    images: np.ndarray
    expected: Mapping[str, np.ndarray]
    outputs: Sequence[Output]
    #: relative change of the network's scores when its pixels change by one unit in the last place
    rounding: float = 0.0

    def check(
        self, what: str, run: Callable[[np.ndarray], List[np.ndarray]], tolerance: float = TOLERANCE
    ) -> float:
        """Run an export on batches of all sizes and compare its outputs.

        Args:
            what: its name in messages.
            run: maps a batch to the outputs, in order.
            tolerance: largest relative difference.

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


def _check_scores(what: str, found: np.ndarray, expected: np.ndarray, tolerance: float) -> float:
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


def rounded_otherwise(images: np.ndarray) -> np.ndarray:
    """Change every value by one unit in the last place, up or down at random."""
    up = np.random.RandomState(0).rand(*images.shape) < 0.5
    return np.nextafter(images, np.where(up, np.inf, -np.inf).astype(images.dtype))


def _alike(found: np.ndarray, expected: np.ndarray) -> List[bool]:
    """Compare renderings (B, C, H, W) one by one; True for those that agree."""
    axes = tuple(range(1, found.ndim))
    difference = np.sqrt(np.mean((found - expected) ** 2, axis=axes))
    bound = RENDERING_TOLERANCE * np.sqrt(np.mean(expected**2))
    return [bool(each <= bound) for each in difference]


def count_errors(
    run: Callable[[np.ndarray], np.ndarray],
    images: Callable[[int, int], np.ndarray],
    labels: np.ndarray,
    batch: int,
    note: Optional[Callable[[int], None]] = None,
) -> float:
    """Compute the error of an export in per cent.

    Args:
        run: maps a batch to scores (B, K); the last batch may be smaller.
        images: returns the images from one index to another.
        labels: (N,).
        batch: batch size.
        note: called after each batch with its number of images.
    """
    wrong = 0
    for start in range(0, len(labels), batch):
        stop = min(start + batch, len(labels))
        wrong += int(np.sum(run(images(start, stop)).argmax(axis=1) != labels[start:stop]))
        if note is not None:
            note(stop - start)
    return 100.0 * wrong / len(labels)


def check_accuracy(float32: float, int8: float) -> None:
    """Check that quantisation has not spoilt the classifier.

    Raises:
        DeployError: the error of int8 (per cent) exceeds that of float32 by more than ``INT8_LOSS``.
    """
    if not int8 <= float32 + INT8_LOSS:
        raise DeployError(
            f"in int8 {int8:.2f} % of the images are classified wrongly, in float32 {float32:.2f} %: this "
            "network needs more than 8 bits; nothing was written, leave int8 out"
        )
