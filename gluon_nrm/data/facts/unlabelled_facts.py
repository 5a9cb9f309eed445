"""Facts of a run's images without a class.

They are told apart by their contents alone, so their files and folders may be renamed.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional

import numpy as np

from gluon_nrm.data.sets.contents import Contents, hash_pixels
from gluon_nrm.data.sets.dataset import Dataset
from gluon_nrm.data.sets.identities import MOST_LISTED
from gluon_nrm.errors import ChangedData
from gluon_nrm.option_names import either, option


@dataclass(frozen=True)
class UnlabelledFacts:
    """Facts of the images without a class."""

    images: int
    #: hash of the contents of all images
    contents: str
    #: folder or list, relative to the folder of the data set if inside; "" if the images come from no file
    place: str
    #: number of images that are test images too
    test_images: int
    #: hash and name of each image; None if they are too many, or come from no file
    hashes: Optional[List[str]] = None
    names: Optional[List[str]] = None

    def problem(self) -> Optional[str]:
        """Describe the first contradiction between the facts; None without one."""
        if self.images < 1 or not 0 <= self.test_images <= self.images:
            return "unlabelled.images must be at least 1, and unlabelled.test_images at most as many"
        for each in (self.hashes, self.names):
            if each is not None and len(each) != self.images:
                return "there must be as many unlabelled hashes and names as images"
        return None


def describe_unlabelled(dataset: Dataset, folder: Path) -> Optional[UnlabelledFacts]:
    """Take the facts of the unlabelled images of a data set; None if it has none.

    Args:
        dataset: the data set.
        folder: absolute folder of the data set.

    Raises:
        DataError: a test image cannot be read.
    """
    contents = dataset.describe_unlabelled()
    if contents is None:
        return None
    shared = count_test_images(dataset, contents)
    place = _relative(contents.place, folder) if contents.place else ""
    if not contents.names or len(contents.hashes) > MOST_LISTED:
        return UnlabelledFacts(len(contents.hashes), contents.digest, place, shared)
    hashes, names = list(contents.hashes), list(contents.names)
    return UnlabelledFacts(len(hashes), contents.digest, place, shared, hashes, names)


def count_test_images(dataset: Dataset, contents: Contents) -> int:
    """Count the unlabelled images that are test images too: by pixels in memory, else by files."""
    unlabelled, test = dataset.unlabelled, dataset.test.images
    if isinstance(unlabelled, np.ndarray) and isinstance(test, np.ndarray):
        of_test = set(hash_pixels(test))
        return sum(each in of_test for each in hash_pixels(unlabelled))
    if dataset.identified is None or not contents.names:
        return 0
    of_test = set(dataset.identified[1].content_hashes())
    return sum(each in of_test for each in contents.hashes)


def compare_unlabelled(facts: UnlabelledFacts, now: Contents) -> None:
    """Compare the unlabelled images that are there now with those of the run.

    Raises:
        ChangedData: they differ; the message names the change and the remedy.
    """
    if (facts.images, facts.contents) == (len(now.hashes), now.digest):
        return
    where = f"{now.place}: " if now.place else ""
    raise ChangedData(
        f"{where}the unlabelled images are not those that the run was trained with: {_change(facts, now)};\n"
        f"{_remedy()}"
    )


def _remedy() -> str:
    fresh = option("fresh", True)
    place = either("--set data.unlabelled=...", "data.unlabelled in the recipe")
    return (
        f"put them back as they were, or give the folder of the unchanged images ({place}); to use these "
        f"images, train a new run ({fresh})"
    )


def _change(facts: UnlabelledFacts, now: Contents) -> str:
    """Describe added and removed images."""
    if facts.hashes is None or facts.names is None:
        return f"there were {facts.images} images, and there are {len(now.hashes)}" + (
            ", some with other contents" if facts.images == len(now.hashes) else ""
        )
    before, after = Counter(facts.hashes), Counter(now.hashes)
    added, removed = after - before, before - after
    named = [name for each, name in zip(now.hashes, now.names) if each in added]
    named += [name for each, name in zip(facts.hashes, facts.names) if each in removed]
    counts = f"{sum(added.values())} added, {sum(removed.values())} removed"
    return f"{counts}, the first {min(named)!r}" if named else "they are in another order"


def _relative(place: str, folder: Path) -> str:
    """Return a path relative to ``folder`` if it is inside, else the absolute path."""
    absolute = os.path.abspath(place)
    relative = os.path.relpath(absolute, folder)
    return absolute if relative.split(os.sep)[0] == os.pardir else relative
