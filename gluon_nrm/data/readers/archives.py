"""Read files of a .tar.gz archive, or of its unpacked folder, into memory; nothing is extracted to disk."""

from __future__ import annotations

import gzip
import struct
import tarfile
from contextlib import ExitStack
from pathlib import Path
from typing import Dict, Sequence

from gluon_nrm.data.images.read_errors import UNREADABLE, read_errors
from gluon_nrm.errors import DataError
from gluon_nrm.storage.files import file_size, is_dir, is_file, open_file, read_file

#: Exceptions of tarfile for damaged archives.
DAMAGE = (ValueError, LookupError, ArithmeticError, RecursionError, struct.error, tarfile.TarError)
#: Largest number of files and folders in an archive; the official ones hold ten or fewer.
MEMBERS = 1000
#: Bytes of an archive besides the requested files: descriptions, headers, padding.
BESIDE = 2**24


def read_files(place: Path, folder: str, names: Sequence[str], largest: int) -> Dict[str, bytes]:
    """Return the contents of the files called ``names``.

    Args:
        place: the archive, or its unpacked folder.
        folder: the folder inside the archive.
        names: names of the files in that folder.
        largest: largest size of a file in bytes; no more is read, whatever a header says.

    Raises:
        DataError: a file is missing or too large, or the archive is damaged or of another format.
    """
    with read_errors(place, "a .tar.gz archive", *DAMAGE):
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
    """Read the files that are in a folder."""
    paths = {name: place / name for name in names if is_file(place / name, DataError)}
    for path in paths.values():
        _check_size(str(path), file_size(path, DataError), largest)
    return {name: read_file(path, largest) for name, path in paths.items()}


def _from_archive(place: Path, folder: str, names: Sequence[str], largest: int) -> Dict[str, bytes]:
    """Read the files that are in an archive, in one pass over it."""
    wanted = {f"{folder}/{name}": name for name in names}
    found: Dict[str, bytes] = {}
    with ExitStack() as stack:
        packed = stack.enter_context(gzip.GzipFile(fileobj=stack.enter_context(open_file(place))))
        stream = _Bounded(packed, len(names) * largest + BESIDE)
        # "r|": from beginning to end; archives with steps back would be read for ever
        archive = stack.enter_context(tarfile.open(fileobj=stream, mode="r|", bufsize=1 << 16))  # type: ignore
        for number, member in enumerate(archive):
            if number >= MEMBERS:
                raise ValueError(f"it holds more than {MEMBERS} files")
            name = wanted.get(member.name[2:] if member.name.startswith("./") else member.name)
            if name is not None:
                found[name] = _content(archive, member, place, largest)
        while stream.read(1 << 20):  # gzip compares its checksum at the very end
            pass
    return found


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo, place: Path, largest: int) -> bytes:
    """Read one file of an archive."""
    where = f"{place}: {member.name}"
    content = archive.extractfile(member) if member.isreg() and not member.issparse() else None
    if content is None:
        kind = "a link" if member.issym() or member.islnk() else "no regular file"
        raise DataError(f"{where} is {kind}, and should be a file; {UNREADABLE}")
    _check_size(where, member.size, largest)
    return content.read()


class _Bounded:
    """Stream of at most ``most`` bytes; raises if it is read again and again after its end."""

    def __init__(self, stream: gzip.GzipFile, most: int) -> None:
        self._stream, self._most, self._given, self._empty = stream, most, 0, 0

    def read(self, size: int) -> bytes:
        """Read as a file does.

        Raises:
            ValueError: the stream is longer, or was read 100 times after its end.
        """
        data = self._stream.read(size)
        self._given += len(data)
        # tarfile skips a file of 2^62 bytes in steps, without a check for the end of the stream
        self._empty += not data
        if self._empty > 100:
            raise ValueError("it ends too early")
        if self._given > self._most:
            raise ValueError(f"it unpacks to more than the {self._most} bytes that are expected")
        return data


def _check_size(where: str, size: int, largest: int) -> None:
    """Raise DataError for a size above ``largest`` or below 0."""
    if not 0 <= size <= largest:
        raise DataError(f"{where}: {size} bytes, and at most {largest} are expected; {UNREADABLE}")
