"""Draw and check the labelled, unlabelled and validation images of a training set.

Draws use ``numpy.random.RandomState``, whose sequences numpy guarantees never to change: a ``split_seed``
gives the same images with every version of numpy.
"""

from __future__ import annotations

from typing import NamedTuple, Optional

import numpy as np

from gluon_nrm.errors import DataError

# Second word of each draw's seed, so that validation and labelled draws are independent.
_VALIDATION_DRAW = 0
_LABELLED_DRAW = 1


class Split(NamedTuple):
    """Positions of training images, each array int64 and ascending.

    Positions of images without a class follow those of the training images.
    """

    labelled: np.ndarray  # (n,)
    unlabelled: np.ndarray  # (m,) contains ``labelled`` if the recipe says so
    validation: np.ndarray  # (v,) in neither of the others


def draw_split(
    labels: np.ndarray,
    *,
    labelled: Optional[int],
    split_seed: int,
    validation: int = 0,
    include_labelled: bool = False,
    classes: int,
) -> Split:
    """Draw a split of the training set; the same arguments always give the same split.

    Args:
        labels: classes of all training images, (N,) integers below ``classes``.
        labelled: number of labelled images, the same for each class; 0: none; None: all but validation.
        split_seed: seed of the draw; 0 to 2^32 - 1.
        validation: number of validation images, drawn first, in the proportions of the classes.
        include_labelled: put the labelled images into the unlabelled part too.
        classes: number of classes.

    Raises:
        DataError: ``labelled`` is no multiple of ``classes``, a class has too few images, ``validation``
            leaves no image, the seed is out of range, or a label is.
    """
    _check_labels(labels, classes)
    _check_counts(len(labels), validation, split_seed)
    held_out = _draw_validation(labels, validation, split_seed, classes)
    rest = np.setdiff1d(np.arange(len(labels)), held_out)
    chosen = rest if labelled is None else _draw_labelled(labels, rest, labelled, split_seed, classes)
    unlabelled = rest if include_labelled else np.setdiff1d(rest, chosen)
    split = Split(chosen, unlabelled, held_out)
    check_split(
        split, labels, classes=classes, balanced=labelled is not None, include_labelled=include_labelled,
        unsupervised=labelled == 0,
    )  # fmt: skip
    return split


def add_unlabelled_images(split: Split, training: int, unlabelled: int) -> Split:
    """Add all images without a class to the unlabelled part of a split.

    Args:
        split: of the training images.
        training: number of training images.
        unlabelled: number of images without a class.
    """
    if not unlabelled:
        return split
    added = np.arange(training, training + unlabelled, dtype=np.int64)
    return split._replace(unlabelled=np.concatenate([split.unlabelled, added]))


def take_per_class(labels: np.ndarray, order: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the first ``counts[c]`` positions of each class c along ``order``, in ascending order.

    ``labels`` (N,), ``order`` (M,) positions in ``labels``, ``counts`` (classes,). A class with fewer
    positions gives all of them.
    """
    grouped = order[np.argsort(labels[order], kind="stable")]
    classes = labels[grouped]
    sizes = np.bincount(classes, minlength=len(counts))
    rank_in_class = np.arange(len(grouped)) - (np.cumsum(sizes) - sizes)[classes]
    return np.sort(grouped[rank_in_class < counts[classes]]).astype(np.int64)


def check_split(
    split: Split,
    labels: np.ndarray,
    *,
    classes: int,
    balanced: bool = True,
    include_labelled: bool = False,
    unsupervised: bool = False,
) -> None:
    """Verify a split drawn here or read from a file against the training set's ``labels`` (N,).

    Raises:
        DataError: a position is out of range or repeated, two parts overlap, no image is labelled (unless
            ``unsupervised``), the labelled images are not the same number of each class (``balanced``), or
            the unlabelled part lacks some of the labelled images (``include_labelled``).
    """
    for part, indices in zip(split._fields, split):
        if indices.size and (indices.min() < 0 or indices.max() >= len(labels)):
            raise DataError(f"split: the {part} part points outside the {len(labels)} training images")
        if not (np.diff(indices) > 0).all():
            raise DataError(f"split: the {part} part must be in ascending order, without repetition")
    if not (split.labelled.size or unsupervised):
        raise DataError("split: no image is labelled")
    _check_overlap(split, include_labelled)
    counts = np.bincount(labels[split.labelled], minlength=classes)
    if balanced and counts.min() != counts.max():
        raise DataError(
            f"split: a class has {counts.min()} labelled images and another {counts.max()}; "
            "every class needs the same number"
        )


def _check_overlap(split: Split, include_labelled: bool) -> None:
    """Raise DataError for an image in two parts, except labelled images with ``include_labelled``."""
    for part, indices in (("labelled", split.labelled), ("unlabelled", split.unlabelled)):
        shared = np.intersect1d(indices, split.validation)
        if shared.size:
            raise DataError(f"split: {shared.size} validation images are {part} too (the first: {shared[0]})")
    shared = np.intersect1d(split.labelled, split.unlabelled)
    if include_labelled and shared.size != split.labelled.size:
        raise DataError(
            f"split: the unlabelled part holds only {shared.size} of {split.labelled.size} labelled images"
        )
    if not include_labelled and shared.size:
        raise DataError(f"split: {shared.size} labelled images are unlabelled too (the first: {shared[0]})")


def _check_labels(labels: np.ndarray, classes: int) -> None:
    """Raise DataError unless ``labels`` is a non-empty vector of integers from 0 to ``classes`` - 1."""
    if labels.ndim != 1 or not labels.size or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(
            f"split: labels must be a vector of integers, not {labels.dtype} of shape {labels.shape}"
        )
    if labels.min() < 0 or labels.max() >= classes:
        raise DataError(f"split: labels from {labels.min()} to {labels.max()}; expected 0 to {classes - 1}")


def _check_counts(images: int, validation: int, split_seed: int) -> None:
    """Raise DataError for a seed out of range or a validation part below 0 or leaving no training image."""
    if not 0 <= split_seed < 2**32:
        raise DataError(f"data.split_seed: {split_seed} is out of range; choose from 0 to {2**32 - 1}")
    if not 0 <= validation < images:
        raise DataError(
            f"data.validation: {validation} of {images} training images; choose from 0 to {images - 1}"
        )


def _draw_validation(labels: np.ndarray, validation: int, split_seed: int, classes: int) -> np.ndarray:
    """Draw ``validation`` positions in the proportions of the classes (largest remainders), ascending."""
    # Integers, not fractions: rounding must not differ between machines.
    shares = np.bincount(labels, minlength=classes).astype(np.int64) * validation
    counts = shares // len(labels)
    by_remainder = np.argsort(-(shares % len(labels)), kind="stable")
    counts[by_remainder[: validation - counts.sum()]] += 1
    order = np.random.RandomState([split_seed, _VALIDATION_DRAW]).permutation(len(labels))
    return take_per_class(labels, order, counts)


def _draw_labelled(
    labels: np.ndarray, rest: np.ndarray, labelled: int, split_seed: int, classes: int
) -> np.ndarray:
    """Draw ``labelled`` positions, ascending, the same number of each class, from the positions ``rest``."""
    if labelled == 0:
        return rest[:0]
    available = np.bincount(labels[rest], minlength=classes)
    scarcest = int(available.argmin())
    most = int(available[scarcest]) * classes
    if not most:
        held_out = len(rest) < len(labels)
        remedy = "lower data.validation" if held_out else "add images of it, or remove the class"
        what = f"class {scarcest} has no image{' left to label' * held_out}"
        raise DataError(f"data.labels: {labelled}, but {what}; {remedy}")
    each, beyond = divmod(labelled, classes)
    if labelled < 1 or beyond:
        near = (min(max(each + more, 1) * classes, most) for more in (0, 1))
        nearest = " or ".join(str(number) for number in sorted(set(near)))
        raise DataError(
            f"data.labels: {labelled} is not the same number of each of the {classes} classes; "
            f"choose a multiple of {classes}, such as {nearest}"
        )
    if each * classes > most:
        upto = f"a multiple of {classes} up to " if most > classes else ""
        raise DataError(
            f"data.labels: {labelled} needs {each} images of each class, but class {scarcest} has only "
            f"{available[scarcest]} that are not held out; give {upto}{most}"
        )
    # A permutation of all images, so that a validation part changes the draw only a little.
    order = np.random.RandomState([split_seed, _LABELLED_DRAW]).permutation(len(labels))
    return take_per_class(labels, order[np.isin(order, rest)], np.full(classes, each))
