"""Image files that a command line names: files, folders with all in them, and patterns."""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import Iterator, List, Sequence

from gluon_nrm.data.images.formats import FORMATS, is_image_name
from gluon_nrm.errors import DataError
from gluon_nrm.storage.files import exists, is_dir, is_file, os_errors


def find_images(places: Sequence[str]) -> List[Path]:
    """List image files, in the order of ``places``, each file once.

    Args:
        places: a file, whatever its name; a folder, of which every file below it is taken that ends like an
            image, in alphabetical order, but for hidden files and folders; or a pattern such as
            ``scans/**/*.png``, of whose matches the same holds.

    Raises:
        DataError: a place does not exist or holds no image.
    """
    found = [path for place in places for path in _at(place)]
    return list(dict.fromkeys(found))


def _at(place: str) -> List[Path]:
    """All images at one place."""
    path = Path(place)
    if is_dir(path, DataError):
        return _below(path)
    if exists(path, DataError):
        return [path]
    if not glob.has_magic(place):
        raise DataError(f"{place}: there is no such file or folder; give image files, folders or patterns")
    matches = [Path(match) for match in sorted(glob.glob(place, recursive=True))]
    images = [path for path in matches if is_file(path, DataError) and _is_image(path.name)]
    if not images:
        raise DataError(f"{place}: matches no image ({', '.join(FORMATS)})")
    return images


def _below(folder: Path) -> List[Path]:
    images = list(_walk(folder))
    if not images:
        raise DataError(f"{folder} holds no image ({', '.join(FORMATS)})")
    return images


def _walk(folder: Path) -> Iterator[Path]:
    """Images of a folder before those of the folders in it."""

    def refuse(problem: OSError) -> None:
        with os_errors(DataError, "read", Path(str(problem.filename))):
            raise problem

    for here, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(here) / name for name in sorted(names) if _is_image(name))


def _is_image(name: str) -> bool:
    return is_image_name(name) and not name.startswith(".")
