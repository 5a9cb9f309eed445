"""Find training and test images in a user's folder by the names of its files and folders.

The folder holds one of

- ``train/CLASS/*.png`` and ``test/CLASS/*.png``;
- ``labelled/CLASS/*.png`` and ``test/CLASS/*.png``;
- ``CLASS/*.png``: a fifth of each class, drawn with a fixed seed, is the test set;
- ``train.rec`` and ``test.rec`` with their indices, as MXNet's im2rec writes them.

Beside them a folder ``unlabelled`` may hold images without classes, at any depth.
``TRAIN_PARTS``, ``TEST_PARTS`` and ``UNLABELLED_PARTS`` list other accepted names; small and capital letters
are the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from gluon_nrm.data.images.formats import is_image_name
from gluon_nrm.data.pipeline.splits import take_per_class
from gluon_nrm.data.readers.class_folders import ImageFiles, class_names, list_images
from gluon_nrm.data.readers.folder_entries import FolderEntry, visible_entries
from gluon_nrm.data.readers.record_names import record_names
from gluon_nrm.data.readers.recordio import RecordFile, count_classes
from gluon_nrm.data.sets.registry import Wanted
from gluon_nrm.data.sets.skipped_files import Skipped, SkippedNames
from gluon_nrm.errors import DataError
from gluon_nrm.option_names import either, option
from gluon_nrm.storage.files import exists, is_dir

#: Names of the parts; the first that exists is used, preferably in small letters.
TRAIN_PARTS = ("train", "training", "labelled", "labeled")
TEST_PARTS = ("test", "val", "valid", "validation", "testing")
UNLABELLED_PARTS = ("unlabelled", "unlabeled")
RECORDS = ".rec"
#: Share of test images in each class if there is no folder of test images.
TEST_SHARE = 0.2
# Seed of the test images; changing it makes results incomparable.
TEST_SEED = 20180101
#: Place of a part if one folder holds both.
FLAT = "."

Files = Union[ImageFiles, RecordFile]
#: Images with their labels, (N,) int64.
Listed = Tuple[Files, np.ndarray]


class FolderParts(NamedTuple):
    """Training and test images of a folder, not decoded."""

    class_names: Tuple[str, ...]
    train: Files
    train_labels: np.ndarray  # (N,) int64
    test: Files
    test_labels: np.ndarray  # (M,) int64
    skipped: Skipped = Skipped()
    unlabelled: Optional[Path] = None
    """Folder of images without classes."""


def find_parts(folder: Path) -> FolderParts:
    """List the training and the test images in a folder.

    Raises:
        DataError: there are no training or no test images.
    """
    if not is_dir(folder, DataError):
        raise DataError(f"{folder}: no such folder; data.path must be the folder that holds the images")
    entries, skipped = visible_entries(folder), SkippedNames()
    apart = _part(entries, UNLABELLED_PARTS)
    without = () if apart is None else (apart,)
    records = _part(entries, TRAIN_PARTS, RECORDS)
    if records is not None:
        return _recorded(folder, entries, records, without, skipped)
    train = _part(entries, TRAIN_PARTS)
    if train is None or _is_class(folder / train, _part(entries, TEST_PARTS)):
        names = class_names(folder, without=without)
        files = _hold_out(list_images(folder, names, skipped, without), names)
    else:
        test = _test_part(folder, entries, train)
        _skip_others(folder, entries, (train, test), without, skipped)
        names = class_names(folder / train)
        files = list_images(folder / train, names, skipped), list_images(folder / test, names, skipped)
    unlabelled = None if apart is None else folder / apart
    return FolderParts(
        names, files[0], files[0].labels, files[1], files[1].labels, skipped.record, unlabelled
    )


def list_part(place: Path, wanted: Wanted) -> Tuple[Tuple[str, ...], Dict[str, Listed]]:
    """List one part of a run's images, or both parts if one folder holds both.

    Args:
        place: folder or file of the part.
        wanted: the part, and its properties in the run.

    Raises:
        DataError: it is missing, or holds no images.
    """
    if not exists(place, DataError):
        raise DataError(
            f"{place}: the {wanted.part} images of the run are no longer there; put them back, or give their "
            f"present folder ({option('data_dir')}; in training "
            f"{either('--set data.path=...', 'data.path of the recipe')})"
        )
    if place.name.endswith(RECORDS) and not is_dir(place, DataError):
        records = RecordFile(place)
        return wanted.class_names, {wanted.part: (records, records.labels())}
    apart = _part(visible_entries(place), UNLABELLED_PARTS) if wanted.place == FLAT else None
    without = () if apart is None else (apart,)
    names = class_names(place, without=without)
    files = list_images(place, names, wanted.skipped, without)
    if wanted.place != FLAT:
        return names, {wanted.part: (files, files.labels)}
    train, test = _hold_out(files, names)
    return names, {"train": (train, train.labels), "test": (test, test.labels)}


def has_parts(folder: Path) -> bool:
    """Return True if ``folder`` has a folder or RecordIO file of training images.

    Raises:
        DataError: the folder cannot be read.
    """
    if not is_dir(folder, DataError):
        return False
    entries = visible_entries(folder)
    return any(_part(entries, TRAIN_PARTS, ending) is not None for ending in (RECORDS, ""))


def _part(entries: Sequence[FolderEntry], names: Sequence[str], ending: str = "") -> Optional[str]:
    """Return the folder (or file with ``ending``) called one of ``names``; None without one."""
    found = [
        each.name[: len(each.name) - len(ending)]
        for each in entries
        if each.odd is None and each.folder == (not ending) and each.name.endswith(ending)
    ]
    exact = [name for name in names if name in found]
    alike = [each for name in names for each in found if each.lower() == name]
    return (exact + alike)[0] + ending if alike else None


def _is_class(train: Path, test: Optional[str]) -> bool:
    """Return True if the folder "train" holds images, not class folders: it is then a class itself."""
    inside = visible_entries(train)
    if not any(each.folder for each in inside):
        return True
    return test is None and any(is_image_name(each.name) for each in inside if not each.folder)


def _test_part(folder: Path, entries: Sequence[FolderEntry], train: str) -> str:
    """Return the name of the folder or file of the test images."""
    ending = RECORDS if train.endswith(RECORDS) else ""
    found = _part(entries, TEST_PARTS, ending)
    if found is None:
        raise DataError(
            f"{folder} holds {train}, but neither test{ending} nor val{ending}; put the test images there"
        )
    return found


def _recorded(
    folder: Path,
    entries: List[FolderEntry],
    records: str,
    unlabelled: Sequence[str],
    skipped: SkippedNames,
) -> FolderParts:
    """Read the parts of a folder with RecordIO files."""
    other = _test_part(folder, entries, records)
    folders = [each for each in entries if each.folder or each.name.endswith(RECORDS)]
    _skip_others(folder, folders, (records, other), unlabelled, skipped)
    train, test = RecordFile(folder / records), RecordFile(folder / other)
    labels, test_labels = train.labels(), test.labels()
    names = record_names(folder / records, folder / other, count_classes(labels, train.path))
    apart = folder / unlabelled[0] if unlabelled else None
    return FolderParts(names, train, labels, test, test_labels, skipped.record, apart)


def _skip_others(
    folder: Path,
    entries: Sequence[FolderEntry],
    used: Tuple[str, str],
    unlabelled: Sequence[str],
    skipped: SkippedNames,
) -> None:
    reason = f"the images are those of {used[0]} and {used[1]}"
    for each in entries:
        if each.name not in (*used, *unlabelled):
            skipped.add(str(folder / each.name), each.odd or reason)


def _hold_out(files: ImageFiles, names: Tuple[str, ...]) -> Tuple[ImageFiles, ImageFiles]:
    """Draw test images; return the training and the test images."""
    sizes = np.bincount(files.labels, minlength=len(names))
    if sizes.min() < 2:
        raise DataError(f"{files.folder / names[sizes.argmin()]} holds one image; add another, for testing")
    counts = np.maximum(1, np.rint(sizes * TEST_SHARE)).astype(int)
    order = np.random.RandomState(TEST_SEED).permutation(len(files))
    test = take_per_class(files.labels, order, counts)
    return files.subset(np.setdiff1d(np.arange(len(files)), test)), files.subset(test)
