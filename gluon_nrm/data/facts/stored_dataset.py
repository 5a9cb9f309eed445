"""Data set of a run, described by the run's facts; its images are loaded when they are needed.

Class names, constants and shape come from ``data.json``. Training, test and unlabelled images are
loaded separately. Each part is compared with the facts before it is loaded.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Dict, Optional, Tuple, Union

import numpy as np

from gluon_nrm.data.facts.changes import check_part, compare
from gluon_nrm.data.facts.facts import PARTS, TEST, TRAIN, Facts, absolute, describe_part, input_shape
from gluon_nrm.data.facts.unlabelled_facts import compare_unlabelled
from gluon_nrm.data.readers.load_dataset import load_dataset
from gluon_nrm.data.readers.unlabelled import read_unlabelled
from gluon_nrm.data.readers.unlabelled_files import list_unlabelled
from gluon_nrm.data.sets.contents import Contents
from gluon_nrm.data.sets.dataset import Dataset, Images, ImageSet
from gluon_nrm.data.sets.registry import DataSource, Wanted, data_folder, part_loader
from gluon_nrm.data.sets.skipped_files import Skipped, SkippedNames
from gluon_nrm.errors import ChangedData, DataError
from gluon_nrm.storage.files import exists, expand_path, is_dir


class StoredDataset(Dataset):
    """``Dataset`` made from the facts of a run.

    Args:
        facts: facts of the run.
        source: present place of the files, from ``find_source``.
    """

    def __init__(self, facts: Facts, source: DataSource) -> None:
        given = {
            "name": facts.name,
            "class_names": tuple(facts.class_names),
            "mean": np.array(facts.mean, dtype=np.float32),
            "std": np.array(facts.std, dtype=np.float32),
            "facts": facts,
            "source": source,
            "_loaded": {},
            "_whole": None,
            "_unlabelled": None,
            "_skipped": SkippedNames(),
        }
        for name, value in given.items():
            object.__setattr__(self, name, value)

    facts: Facts
    source: DataSource
    _loaded: Dict[str, ImageSet]
    _whole: Optional[Dataset]
    _unlabelled: Optional[Tuple[Images, Contents]]
    _skipped: SkippedNames

    @property
    def train(self) -> ImageSet:
        """Load the training images.

        Raises:
            DataError: they are missing, or not those of the run.
        """
        return self._part(TRAIN)

    @property
    def test(self) -> ImageSet:
        """Load the test images; raises as ``train``."""
        return self._part(TEST)

    @property
    def unlabelled(self) -> Optional[Images]:  # type: ignore[override]
        """Load the images without a class; None if the run uses none. Raises as ``train``."""
        found = self._without_class()
        return None if found is None else found[0]

    def describe_unlabelled(self) -> Optional[Contents]:
        """Return the hashes of the unlabelled images; loads them."""
        found = self._without_class()
        return None if found is None else found[1]

    @property
    def input_shape(self) -> Tuple[int, int, int]:
        """Channels, height and width of one image."""
        return input_shape(self.facts)

    @property
    def training_images(self) -> int:
        """Number of training images."""
        return self.facts.train.images

    @property
    def unlabelled_images(self) -> int:
        """Number of images without a class."""
        return self.facts.unlabelled_images

    @property
    def test_images(self) -> int:
        """Number of test images."""
        return self.facts.test.images

    @property
    def skipped(self) -> Skipped:
        """Files in the folders of the loaded images that were left out."""
        return self._whole.skipped if self._whole is not None else self._skipped.record

    @property
    def pixel_range(self) -> Tuple[float, float]:
        """Smallest and largest pixel value."""
        least, most = self.facts.pixels
        return least, most

    @property
    def streamed(self) -> bool:
        """True if images are decoded when they are needed, instead of being kept in memory."""
        return self.facts.streamed

    def load(self) -> None:
        """Load all parts now; raises as ``train``."""
        for part in PARTS:
            self._part(part)
        self._without_class()

    def _part(self, part: str) -> ImageSet:
        """Return a part; load it the first time."""
        if part not in self._loaded:
            loader = part_loader(self.name)
            found = self._of_whole(part) if loader is None else loader(self.source, self._wanted(part))
            self._loaded[part] = found
        return self._loaded[part]

    def _without_class(self) -> Optional[Tuple[Images, Contents]]:
        """Return the unlabelled images and their hashes; load them the first time."""
        facts = self.facts.unlabelled
        if facts is not None and self._unlabelled is None:
            if facts.place:
                given = self.source.unlabelled
                place = Path(given) if given else self.source.folder(self.name) / facts.place
                files = list_unlabelled(place, self._skipped)
                compare_unlabelled(facts, files.contents())
                images = read_unlabelled(files, self.input_shape, self.source.size, self.streamed)
                found = images, files.contents()
            else:
                found = self._without_class_of_whole()
                compare_unlabelled(facts, found[1])
            object.__setattr__(self, "_unlabelled", found)
        return self._unlabelled

    def _without_class_of_whole(self) -> Tuple[Images, Contents]:
        """Return the unlabelled images of a data set that reads them from no files of their own."""
        whole = self._load_whole()
        contents = whole.describe_unlabelled()
        if whole.unlabelled is None or contents is None:
            raise ChangedData(f"data set {self.name!r} has no unlabelled images any more; put them back")
        return whole.unlabelled, contents

    def _wanted(self, part: str) -> Wanted:
        check = partial(check_part, self.facts, part, folder=self.source.folder(self.name))
        place = self.facts.part(part).place
        return Wanted(
            self.name, part, place, self.class_names, self.input_shape, self.streamed, self._skipped, check
        )

    def _of_whole(self, part: str) -> ImageSet:
        """Return a part of a data set that has no loader of single parts, and check it."""
        whole = self._load_whole()
        found: ImageSet = getattr(whole, part)
        folder, named = self.source.folder(self.name), whole.identified or (None, None)
        after = describe_part(found.labels, whole.classes, named[PARTS.index(part)], found, absolute(folder))
        compare(self.facts, part, whole.class_names, {part: after}, folder)
        return found

    def _load_whole(self) -> Dataset:
        """Load a data set that has no loader of single parts; once."""
        if self._whole is None:
            source = self.source
            whole = load_dataset(
                self.name, source.data_dir, path=source.path, size=source.size, streamed=source.streamed
            )
            object.__setattr__(self, "_whole", whole)
        assert self._whole is not None
        return self._whole


def find_source(
    facts: Facts,
    data_dir: Union[str, Path, None] = None,
    *,
    size: Optional[int] = None,
    streamed: Optional[bool] = None,
    unlabelled: Optional[str] = None,
) -> DataSource:
    """Find the present place of a run's files.

    This is ``data_dir`` if it is given; for a run with ``data.path`` the folder of that name in it, or
    ``data_dir`` itself. Otherwise it is the place where the run was started. The files are compared with the
    facts when they are loaded.

    Args:
        facts: facts of the run.
        data_dir: folder that the user gave, or None.
        size: ``data.size`` of the recipe.
        streamed: ``data.streamed`` of the recipe.
        unlabelled: ``data.unlabelled`` of the recipe.
    """
    apart = _find_unlabelled(unlabelled, data_dir)
    if facts.path is None:
        stored = Path(facts.data_dir)
        if data_dir is None and is_dir(stored, DataError):
            return DataSource(stored, None, size, streamed, apart)
        return DataSource(data_folder(data_dir), None, size, streamed, apart)
    path, folder = Path(facts.path), data_folder(data_dir)
    if data_dir is not None:
        inside = folder / path.name
        if is_dir(inside, DataError):
            path = inside
        elif folder.name == path.name or not is_dir(path, DataError):
            path = folder
    return DataSource(folder, str(path), size, streamed, apart)


def _find_unlabelled(given: Optional[str], data_dir: Union[str, Path, None]) -> Optional[str]:
    """Find the present place of ``data.unlabelled``: in ``data_dir`` if it is no longer at its own."""
    if given is None:
        return None
    place = expand_path(Path(given), DataError)
    if data_dir is not None and not exists(place, DataError):
        inside = data_folder(data_dir) / place.name
        place = inside if exists(inside, DataError) else place
    return str(place)
