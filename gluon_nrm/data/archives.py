"""Files of a .tar.gz archive, or of the folder it unpacks to, read into memory; nothing is ever extracted."""

from __future__ import annotations

import gzip
import tarfile
from contextlib import ExitStack
from pathlib import Path
from typing import Dict, Sequence

from gluon_nrm.data.reading import UNREADABLE, reading
from gluon_nrm.errors import DataError
from gluon_nrm.files import file_size, is_dir, is_file, open_file, read_file


def read_files(place: Path, folder: str, names: Sequence[str], largest: int) -> Dict[str, bytes]:
    """Return the contents of the files called ``names``.

    Parameters
    ----------
    place    The archive, or the folder called ``folder`` that it unpacks to.
    folder   The folder inside the archive.
    largest  Bytes that none of the files exceeds: read no more into memory, whatever a header says.

    Raises
    ------
    DataError  A file is missing or too large, or the archive is damaged or none.
    """
    with reading(place, "a .tar.gz archive", tarfile.TarError):
        if is_dir(place, DataError):
            found = _from_folder(place, names, largest)
        else:
            found = _from_archive(place, folder, names, largest)
    absent = [name for name in names if name not in found]
    if absent:
        inside = "" if is_dir(place, DataError) else f"{folder}/"
        raise DataError(f"{place} does not hold {inside}{absent[0]}; is it another data set? {UNREADABLE}")
    return found


def _from_folder(place: Path, names: Sequence[str], largest: int) -> Dict[str, bytes]:
    """Those of the files that are in a folder."""
    paths = {name: place / name for name in names if is_file(place / name, DataError)}
    for path in paths.values():
        _check_size(str(path), file_size(path, DataError), largest)
    return {name: read_file(path, largest) for name, path in paths.items()}


def _from_archive(place: Path, folder: str, names: Sequence[str], largest: int) -> Dict[str, bytes]:
    """Those of the files that are in an archive, in one pass over it."""
    wanted = {f"{folder}/{name}": name for name in names}
    found: Dict[str, bytes] = {}
    with ExitStack() as stack:
        stream = stack.enter_context(gzip.GzipFile(fileobj=stack.enter_context(open_file(place))))
        archive = stack.enter_context(tarfile.open(fileobj=stream))
        for member in archive:
            name = wanted.get(member.name[2:] if member.name.startswith("./") else member.name)
            content = None if name is None else archive.extractfile(member)
            if name is not None and content is not None:
                _check_size(f"{place}: {member.name}", member.size, largest)
                found[name] = content.read()
        while stream.read(1 << 20):  # gzip compares its checksum at the very end
            pass
    return found


def _check_size(where: str, size: int, largest: int) -> None:
    """Raise DataError for a file of more than ``largest`` bytes."""
    if size > largest:
        raise DataError(f"{where}: {size} bytes, and at most {largest} are expected; {UNREADABLE}")
