"""List unlabelled image files, in a folder of any depth or in a text file, in the order of their contents.

The order comes from a hash of each file's contents, so names of files and folders change nothing: neither the
batches of a run nor whether it can be resumed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional, Tuple

from PIL import Image

from gluon_nrm.data.images.decoding import decode
from gluon_nrm.data.images.formats import FORMATS, left_out
from gluon_nrm.data.readers.class_folders import walk_images
from gluon_nrm.data.sets.contents import Contents, hash_file
from gluon_nrm.data.sets.skipped_files import SkippedNames
from gluon_nrm.data.sets.streamed_images import threads
from gluon_nrm.errors import DataError
from gluon_nrm.storage.files import exists, is_dir, is_file, os_errors, read_file

#: Ending of a list of image files.
LIST = ".txt"
#: Largest size of a list in bytes.
LARGEST_LIST = 2**28


@dataclass(frozen=True, eq=False)
class UnlabelledFiles:
    """Image files in the order of their contents; an image is decoded at each access."""

    place: Path
    """Folder or list that names the files."""
    names: Tuple[str, ...]  # as found in the folder or the list
    paths: Tuple[Path, ...]
    hashes: Tuple[str, ...]  # of the contents, ascending

    def __len__(self) -> int:
        """Number of images."""
        return len(self.paths)

    def contents(self) -> Contents:
        """Return place, names and hashes of all images."""
        return Contents(str(self.place), self.hashes, self.names)

    def where(self, index: int) -> str:
        """Name an image in messages by its path."""
        return str(self.paths[index])

    def picture(self, index: int, mode: str = "RGB") -> Image.Image:
        """Decode an image in its stored size."""
        return decode(self.paths[index], self.where(index), mode)


def list_unlabelled(place: Path, skipped: Optional[SkippedNames] = None) -> UnlabelledFiles:
    """List the unlabelled images of a folder and its subfolders, or of a text file.

    A text file has the path of an image in each line, relative to the folder of the text file. Empty lines
    and lines that begin with ``#`` are ignored.

    Args:
        place: the folder or text file.
        skipped: collects files that are no images.

    Raises:
        DataError: there is no such folder or file, no image is in it, or a file cannot be read.
    """
    left = SkippedNames()
    if is_dir(place, DataError):
        names = list(walk_images(place, "", left))
        found = [(name, place / name) for name in names]
    else:
        found = _listed(place, left)
    if not found:
        besides = f"; {left.record}" if left.record.number else ""
        raise DataError(
            f"data.unlabelled: {place} holds no image ({', '.join(FORMATS)}){besides}; put images there, or "
            "leave it out and set train.batch_unlabelled to 0"
        )
    if skipped is not None:
        skipped.extend(left.record)
    with threads(len(found)) as pool:
        hashes = list(pool.map(hash_file, [path for _, path in found]))
    order = sorted(range(len(found)), key=lambda index: (hashes[index], found[index][0]))
    return UnlabelledFiles(
        place,
        tuple(found[index][0] for index in order),
        tuple(found[index][1] for index in order),
        tuple(hashes[index] for index in order),
    )


def _listed(place: Path, skipped: SkippedNames) -> List[Tuple[str, Path]]:
    """Read the names and paths of a list."""
    if not exists(place, DataError):
        raise DataError(
            f"data.unlabelled: {place}: no such folder or list; give the folder of the unlabelled images, or "
            f"a {LIST} file with the path of an image in each line"
        )
    if place.suffix.lower() != LIST:
        raise DataError(
            f"data.unlabelled: {place} is a file; give a folder of images, or a {LIST} file with the path of "
            "an image in each line"
        )
    try:
        with os_errors(DataError, "read", place):
            lines = read_file(place, LARGEST_LIST).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise DataError(f"data.unlabelled: {place} is not UTF-8 text; save it as UTF-8") from None
    found = {}
    for number, line in enumerate(lines, 1):
        name = line.strip()
        if not name or name.startswith("#"):
            continue
        path = place.parent / name
        reason = left_out(name)
        if reason is not None:
            skipped.add(str(path), reason)
        elif not is_file(path, DataError):
            raise DataError(
                f"{place}:{number}: there is no file {path}; write paths relative to {place.parent}, or "
                "take the line out"
            )
        elif name in found:
            skipped.add(str(path), "it is listed twice")
        else:
            found[name] = path
    return list(found.items())
