"""Describe the images of a run in a few lines."""

from __future__ import annotations

from typing import List, Sequence

from gluon_nrm.data.facts.facts import Facts

#: Largest number of classes whose images are counted one by one.
MOST_CLASSES = 12


def describe_counts(facts: Facts) -> List[str]:
    """Count the images of each class, and the unlabelled images that are test images too.

    Returns:
        Lines that begin with a word of at most 8 letters: ``train``, ``test``, ``warning``.
    """
    lines = [
        f"{name:<9}{count_classes(part.per_class, facts.class_names)}"
        for name, part in (("train", facts.train), ("test", facts.test))
    ]
    apart = facts.unlabelled
    if apart is not None and apart.test_images:
        lines.append(
            f"warning  {apart.test_images} of {apart.images} unlabelled images are test images too; move "
            "them away for a fair test error"
        )
    return lines


def count_classes(per_class: Sequence[int], class_names: Sequence[str]) -> str:
    """Describe the numbers of images of the classes in one line.

    Args:
        per_class: number of images of each class.
        class_names: names of the classes.
    """
    counts = list(per_class)
    if len(set(counts)) == 1:
        return f"{counts[0]} images of each of {len(counts)} classes"
    if len(counts) <= MOST_CLASSES:
        return ", ".join(f"{name} {count}" for name, count in zip(class_names, counts))
    fewest, most = counts.index(min(counts)), counts.index(max(counts))
    return (
        f"{sum(counts)} images of {len(counts)} classes, from {counts[fewest]} ({class_names[fewest]}) to "
        f"{counts[most]} ({class_names[most]})"
    )
