"""The data set of a run: what the run knows of it is at hand, and images are loaded when they are needed.

Class names, constants and shape are those of ``data.json``. The training and the test images are loaded
apart from each other, each compared first with what the run was trained with.
"""

from __future__ import annotations

from pathlib import Path
from typing import Dict, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from gluon_nrm.data.facts.changes import check_part, compare
from gluon_nrm.data.facts.facts import PARTS, TEST, TRAIN, Facts, absolute, describe_part, input_shape
from gluon_nrm.data.sets.dataset import Dataset, ImageSet
from gluon_nrm.data.sets.registry import PartFound, Source, Wanted, data_folder, load_dataset, part_loader
from gluon_nrm.data.sets.skipped_files import Skipped, SkippedNames
from gluon_nrm.errors import DataError
from gluon_nrm.storage.files import is_dir


class StoredDataset(Dataset):
    """A ``Dataset`` by the facts of a run.

    Parameters
    ----------
    facts   Of the run.
    source  Where the files are now (``find_source``).
    """

    def __init__(self, facts: Facts, source: Source) -> None:
        given = {
            "name": facts.name,
            "class_names": tuple(facts.class_names),
            "mean": np.array(facts.mean, dtype=np.float32),
            "std": np.array(facts.std, dtype=np.float32),
            "facts": facts,
            "source": source,
            "_loaded": {},
            "_whole": None,
            "_skipped": SkippedNames(),
        }
        for name, value in given.items():
            object.__setattr__(self, name, value)

    facts: Facts
    source: Source
    _loaded: Dict[str, ImageSet]
    _whole: Optional[Dataset]
    _skipped: SkippedNames

    @property
    def train(self) -> ImageSet:
        """The training images.

        Raises
        ------
        DataError  They are not there, or not those of the run.
        """
        return self._part(TRAIN)

    @property
    def test(self) -> ImageSet:
        """The test images; raises as ``train``."""
        return self._part(TEST)

    @property
    def input_shape(self) -> Tuple[int, int, int]:
        """Channels, height and width of one image."""
        return input_shape(self.facts)

    @property
    def training_images(self) -> int:
        """Number of training images."""
        return self.facts.train.images

    @property
    def test_images(self) -> int:
        """Number of test images."""
        return self.facts.test.images

    @property
    def skipped(self) -> Skipped:
        """What lies among the images that were loaded and is no part of them."""
        return self._whole.skipped if self._whole is not None else self._skipped.record

    @property
    def pixel_range(self) -> Tuple[float, float]:
        """Smallest and largest value of a pixel."""
        least, most = self.facts.pixels
        return least, most

    @property
    def streamed(self) -> bool:
        """Whether images are decoded whenever they are needed, and not kept in memory."""
        return self.facts.streamed

    def load(self) -> None:
        """Load both parts now; raises as ``train``."""
        for part in PARTS:
            self._part(part)

    def _part(self, part: str) -> ImageSet:
        """Load a part, unless it is there."""
        if part not in self._loaded:
            loader = part_loader(self.name)
            found = self._of_whole(part) if loader is None else loader(self.source, self._wanted(part))
            self._loaded[part] = found
        return self._loaded[part]

    def _wanted(self, part: str) -> Wanted:
        folder = self.source.folder(self.name)

        def check(class_names: Sequence[str], found: Mapping[str, PartFound]) -> None:
            check_part(self.facts, part, class_names, found, folder)

        place = self.facts.part(part).place
        return Wanted(
            self.name, part, place, self.class_names, self.input_shape, self.streamed, self._skipped, check
        )

    def _of_whole(self, part: str) -> ImageSet:
        """Load the whole data set, of which there are no parts, and compare the one that is needed."""
        if self._whole is None:
            source = self.source
            whole = load_dataset(
                self.name, source.data_dir, path=source.path, size=source.size, streamed=source.streamed
            )
            object.__setattr__(self, "_whole", whole)
        assert self._whole is not None
        found: ImageSet = getattr(self._whole, part)
        folder, named = self.source.folder(self.name), self._whole.identified or (None, None)
        after = describe_part(
            found.labels, self._whole.classes, named[PARTS.index(part)], found, absolute(folder)
        )
        compare(self.facts, part, self._whole.class_names, {part: after}, folder)
        return found


def find_source(
    facts: Facts,
    data_dir: Union[str, Path, None] = None,
    *,
    size: Optional[int] = None,
    streamed: Optional[bool] = None,
) -> Source:
    """Find out where the files of a run are now.

    They are in ``data_dir`` if it is given: of a run with ``data.path`` in the folder of that name in it, or
    in ``data_dir`` itself. Else they are where they were when the run was started. Whatever is found there
    is compared with the facts when it is loaded.

    Parameters
    ----------
    data_dir        Where the user says that they are; None: nothing is said.
    size, streamed  Of the recipe.
    """
    if facts.path is None:
        stored = Path(facts.data_dir)
        if data_dir is None and is_dir(stored, DataError):
            return Source(stored, None, size, streamed)
        return Source(data_folder(data_dir), None, size, streamed)
    path, folder = Path(facts.path), data_folder(data_dir)
    if data_dir is not None:
        inside = folder / path.name
        if is_dir(inside, DataError):
            path = inside
        elif folder.name == path.name or not is_dir(path, DataError):
            path = folder
    return Source(folder, str(path), size, streamed)
