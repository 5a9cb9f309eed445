"""Image files of a command line: files, folders and patterns."""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import Iterator, List, Optional, Sequence

from gluon_nrm.data.images.formats import FORMATS, left_out
from gluon_nrm.data.sets.skipped_files import SkippedNames
from gluon_nrm.errors import DataError
from gluon_nrm.storage.files import exists, is_dir, is_file, os_errors


def find_images(places: Sequence[str], skipped: Optional[SkippedNames] = None) -> List[Path]:
    """List image files, in the order of ``places``, each file once.

    Args:
        places: a file, whatever its name; a folder, of which every file below it is taken that ends like an
            image, in alphabetical order, but for hidden files and folders; or a pattern such as
            ``scans/**/*.png``, of whose matches the same holds.
        skipped: collects the files that are left out, and the folders that cannot be read, with the reason.

    Raises:
        DataError: a place does not exist, cannot be read or holds no image.
    """
    skipped = SkippedNames() if skipped is None else skipped
    found = [path for place in places for path in _at(place, skipped)]
    return list(dict.fromkeys(found))


def _at(place: str, skipped: SkippedNames) -> List[Path]:
    """All images at one place."""
    path = Path(place)
    if is_dir(path, DataError):
        return _below(path, skipped)
    if exists(path, DataError):
        return [path]
    if not glob.has_magic(place):
        raise DataError(f"{place}: there is no such file or folder; give image files, folders or patterns")
    matches = [Path(match) for match in sorted(glob.glob(place, recursive=True))]
    images = [path for path in matches if is_file(path, DataError) and _is_taken(path, skipped)]
    if not images:
        raise DataError(f"{place}: matches no image ({', '.join(FORMATS)})")
    return images


def _below(folder: Path, skipped: SkippedNames) -> List[Path]:
    """All images in a folder and the folders in it."""
    images = list(_walk(folder, skipped))
    if not images:
        raise DataError(f"{folder} holds no image ({', '.join(FORMATS)})")
    return images


def _walk(folder: Path, skipped: SkippedNames) -> Iterator[Path]:
    """Yield the images of a folder before those of the folders in it."""

    def refuse(problem: OSError) -> None:
        """Count a folder that cannot be read as skipped; raise if it is the outermost one."""
        where = Path(str(problem.filename))
        if where != folder:
            skipped.add(str(where), problem.strerror or "it cannot be read")
            return
        with os_errors(DataError, "read", where):
            raise problem

    for here, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(here) / name for name in sorted(names) if _is_taken(Path(here) / name, skipped))


def _is_taken(path: Path, skipped: SkippedNames) -> bool:
    """True for the name of an image; other files that are not hidden are counted as skipped."""
    if path.name.startswith("."):
        return False
    reason = left_out(path.name)
    if reason is not None:
        skipped.add(str(path), reason)
    return reason is None
