"""Images in a folder for each class: what is there, in a fixed order."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import List, Sequence, Tuple

import numpy as np
from PIL import Image

from gluon_nrm.data.formats import FORMATS, is_image_name
from gluon_nrm.data.pictures import decode
from gluon_nrm.errors import DataError
from gluon_nrm.files import os_errors


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """Image files with their classes; decoded one by one when they are asked for."""

    folder: Path
    files: Tuple[str, ...]  # CLASS/NAME below the folder
    labels: np.ndarray  # (N,) int64

    def __len__(self) -> int:
        """Number of images."""
        return len(self.files)

    def where(self, index: int) -> str:
        """How messages name an image: by its path."""
        return str(self.folder / self.files[index])

    def picture(self, index: int, mode: str = "RGB") -> Image.Image:
        """Return an image, of the size it was stored with."""
        return decode(self.folder / self.files[index], self.where(index), mode)

    def subset(self, indices: np.ndarray) -> ImageFiles:
        """The files at ``indices``, in that order."""
        return ImageFiles(self.folder, tuple(self.files[i] for i in indices), self.labels[indices])


def class_names(folder: Path) -> Tuple[str, ...]:
    """Names of the folders in ``folder``, in alphabetical order, but for hidden ones.

    Raises
    ------
    DataError  There is none, or the folder cannot be read.
    """
    with os_errors(DataError, "read", folder):
        names = tuple(entry.name for entry in _entries(folder) if entry.is_dir())
    if not names:
        raise DataError(f"{folder} holds no folder; put the images of each class into a folder of its own")
    return names


def list_images(folder: Path, classes: Sequence[str]) -> ImageFiles:
    """List the images in the folders of the ``classes``, class by class, in alphabetical order.

    Files that do not end like an image are passed over, and so is what lies in deeper folders.

    Raises
    ------
    DataError  There is another folder too, or the folder of a class is missing or holds no image.
    """
    found = class_names(folder)
    if set(found) != set(classes):
        odd = sorted(set(found) ^ set(classes))[0]
        here = "is there" if odd in found else "is missing"
        raise DataError(f"{folder / odd} {here}; training and test images need the same classes")
    files: List[str] = []
    counts = []
    for name in classes:
        names = [entry.name for entry in _entries(folder / name) if is_image_name(entry.name)]
        if not names:
            raise DataError(f"{folder / name} holds no image ({', '.join(FORMATS)})")
        files += [f"{name}/{file}" for file in names]
        counts.append(len(names))
    return ImageFiles(folder, tuple(files), np.repeat(np.arange(len(counts)), counts))


def _entries(folder: Path) -> List[os.DirEntry[str]]:
    """What is in a folder, in alphabetical order, but for hidden files and folders."""
    with os_errors(DataError, "read", folder):
        return sorted(
            (entry for entry in os.scandir(folder) if not entry.name.startswith(".")), key=lambda e: e.name
        )
