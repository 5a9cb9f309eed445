"""List the images in a folder for each class, in a fixed order."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, List, Optional, Sequence, Tuple

import numpy as np
from PIL import Image

from gluon_nrm.data.images.decoding import decode
from gluon_nrm.data.images.formats import FORMATS, left_out
from gluon_nrm.data.readers.folder_entries import visible_entries
from gluon_nrm.data.sets.contents import hash_file
from gluon_nrm.data.sets.identities import Identities, identify
from gluon_nrm.data.sets.skipped_files import SkippedNames
from gluon_nrm.data.sets.streamed_images import threads
from gluon_nrm.errors import DataError
from gluon_nrm.storage.files import file_size, os_errors, read_file


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """Image files with their classes; an image is decoded at each access."""

    folder: Path
    files: Tuple[str, ...]  # CLASS/NAME below the folder
    labels: np.ndarray  # (N,) int64

    def __len__(self) -> int:
        """Number of images."""
        return len(self.files)

    def identities(self) -> Identities:
        """Return the path of every image in the folder, with size and check sum.

        Raises:
            DataError: a file cannot be read.
        """
        paths = [self.folder / file for file in self.files]

        def read(index: int) -> bytes:
            """Read the bytes of one image file."""
            with os_errors(DataError, "read", paths[index]):
                return read_file(paths[index])

        return identify(self.folder, self.files, lambda index: file_size(paths[index], DataError), read)

    def content_hashes(self) -> Tuple[str, ...]:
        """Hash the contents of all files.

        Raises:
            DataError: a file cannot be read.
        """
        with threads(len(self)) as pool:
            return tuple(pool.map(hash_file, [self.folder / file for file in self.files]))

    def where(self, index: int) -> str:
        """Name an image in messages by its path."""
        return str(self.folder / self.files[index])

    def picture(self, index: int, mode: str = "RGB") -> Image.Image:
        """Decode an image in its stored size."""
        return decode(self.folder / self.files[index], self.where(index), mode)

    def subset(self, indices: np.ndarray) -> ImageFiles:
        """The files at ``indices``, in that order."""
        return ImageFiles(self.folder, tuple(self.files[i] for i in indices), self.labels[indices])


def class_names(
    folder: Path, skipped: Optional[SkippedNames] = None, without: Sequence[str] = ()
) -> Tuple[str, ...]:
    """Return the names of the folders in ``folder``, in alphabetical order, without hidden ones.

    Args:
        folder: folder of the class folders.
        skipped: collects all other entries.
        without: folders that are no classes.

    Raises:
        DataError: there is no folder in it, or it cannot be read.
    """
    skipped = skipped or SkippedNames()
    names = []
    for entry in visible_entries(folder):
        if entry.name in without:
            continue
        if entry.folder:
            names.append(entry.name)
        else:
            skipped.add(str(folder / entry.name), entry.odd or "it is in no class folder")
    if not names:
        raise DataError(
            f"{folder} holds no folder; put the images of each class into a folder of its own"
            f"{_besides(skipped)}"
        )
    return tuple(names)


def list_images(
    folder: Path,
    classes: Sequence[str],
    skipped: Optional[SkippedNames] = None,
    without: Sequence[str] = (),
) -> ImageFiles:
    """List the images in the folders of the ``classes``, class by class.

    Files of a folder come in alphabetical order, then those of its subfolders. Hidden files are ignored.

    Args:
        folder: folder of the class folders.
        classes: names of the classes, in their order.
        skipped: collects files that have no image ending, are no regular files, or are broken links.
        without: folders in ``folder`` that are no classes.

    Raises:
        DataError: the folders are not those of the classes, or a class has no image.
    """
    skipped = skipped or SkippedNames()
    found = class_names(folder, skipped, without)
    if set(found) != set(classes):
        odd = sorted(set(found) ^ set(classes))[0]
        here = "is there" if odd in found else "is missing"
        raise DataError(f"{folder / odd} {here}; training and test images need the same classes")
    files: List[str] = []
    counts = []
    for name in classes:
        names = list(walk_images(folder, name, skipped))
        if not names:
            raise DataError(f"{folder / name} holds no image ({', '.join(FORMATS)}){_besides(skipped)}")
        files += names
        counts.append(len(names))
    return ImageFiles(folder, tuple(files), np.repeat(np.arange(len(counts)), counts))


def walk_images(
    root: Path, below: str, skipped: SkippedNames, above: Tuple[Tuple[int, int], ...] = ()
) -> Iterator[str]:
    """Yield the paths, relative to ``root``, of the images in its folder ``below`` and the folders in it.

    Args:
        root: folder of the data set.
        below: path relative to ``root``; empty: ``root`` itself.
        skipped: collects files that are no images.
        above: device and inode of each parent folder, to detect circles of links.

    Raises:
        DataError: a folder cannot be read.
    """
    with os_errors(DataError, "read", root / below):
        status = os.stat(root / below)
    here = (status.st_dev, status.st_ino)
    if here in above:
        skipped.add(str(root / below), "a link to a folder that it is in")
        return
    folders = []
    for entry in visible_entries(root / below):
        path = f"{below}/{entry.name}" if below else entry.name
        reason = entry.odd or (None if entry.folder else left_out(entry.name))
        if reason:
            skipped.add(str(root / path), reason)
        elif entry.folder:
            folders.append(path)
        else:
            yield path
    for path in folders:
        yield from walk_images(root, path, skipped, (*above, here))


def _besides(skipped: SkippedNames) -> str:
    return f"; {skipped.record}" if skipped.record.number else ""
