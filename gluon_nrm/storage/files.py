"""Guarded questions about paths, and writing that never leaves half a file.

Every question about a path of the user (is it there, is it a folder) is asked here: a name that is too long,
or a folder that may not be entered, is then an error for people. ``test_paths.py`` finds the others.

Everything is written under a temporary name in the same folder, flushed to the disk, and only then renamed;
a rename is atomic, so a reader sees the old contents or the new ones. Temporary names begin with
``.gluon_nrm-``: whoever holds the lock of a folder may remove those a killed process left behind.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import socket
import stat
import sys
import time
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Iterator, List, Optional, Type, Union, cast

from gluon_nrm.errors import NRMError

TEMPORARY_PREFIX = ".gluon_nrm-"
#: Bytes that a file read as a whole may have, where its reader knows nothing better.
LARGEST = 2**28
#: Seconds after which waiting for a lock is said.
PATIENCE = 1.0

_VARIABLE = re.compile(r"\$([A-Za-z_]\w*|\{[A-Za-z_]\w*\})", re.ASCII)

_REMEDIES = {
    errno.ENOSPC: "free some space and start again",
    errno.EDQUOT: "free some of your quota and start again",
    errno.EACCES: "check who owns it and its permissions",
    errno.EPERM: "check who owns it and its permissions",
    errno.EROFS: "choose a folder that can be written to",
    errno.ENOTDIR: "choose a folder; a part of this path is a file",
    errno.EISDIR: "choose a file; this is a folder",
    errno.ENOENT: "check that the folder exists",
    errno.ENOLCK: "choose a folder on a file system that supports file locks",
    errno.EOPNOTSUPP: "choose a folder on a file system that supports file locks",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.ELOOP: "its symbolic links lead in a circle; mend them",
    errno.EINVAL: "give a name without null characters",
    errno.ENXIO: "give a regular file",
    errno.EFBIG: "is it another file?",
}


@contextmanager
def os_errors(error: Type[NRMError], action: str, path: Union[str, Path]) -> Iterator[None]:
    """Turn an ``OSError`` of the body into ``error``: "cannot ACTION PATH: reason; remedy".

    Raises:
        NRMError: of the given class, in place of any ``OSError``.
    """
    try:
        yield
    except OSError as problem:
        reason = problem.strerror or str(problem)
        remedy = _REMEDIES.get(problem.errno or 0, "check the disk and the path")
        raise error(f"cannot {action} {path}: {reason}; {remedy}") from problem


def exists(path: Path, error: Type[NRMError]) -> bool:
    """Ask if something has this name; a symbolic link is followed.

    Raises:
        NRMError: of the given class, if the system does not say.
    """
    return _status(path, error) is not None


def is_dir(path: Path, error: Type[NRMError]) -> bool:
    """Ask if this is a folder; a symbolic link is followed.

    Raises:
        NRMError: of the given class, if the system does not say.
    """
    found = _status(path, error)
    return found is not None and stat.S_ISDIR(found.st_mode)


def is_file(path: Path, error: Type[NRMError]) -> bool:
    """Ask if this is a regular file; a symbolic link is followed.

    Raises:
        NRMError: of the given class, if the system does not say.
    """
    found = _status(path, error)
    return found is not None and stat.S_ISREG(found.st_mode)


def is_taken(path: Path, error: Type[NRMError]) -> bool:
    """Ask if a name is taken, be it by a symbolic link that leads nowhere.

    Raises:
        NRMError: of the given class, if the system does not say.
    """
    return _status(path, error, follow=False) is not None


def file_size(path: Path, error: Type[NRMError]) -> int:
    """Size of a file in bytes; 0 where there is none.

    Raises:
        NRMError: of the given class, if the system does not say.
    """
    found = _status(path, error)
    return 0 if found is None else found.st_size


def list_folder(folder: Path, error: Type[NRMError]) -> List[Path]:
    """Everything in a folder, in alphabetical order.

    Raises:
        NRMError: of the given class, if it cannot be listed.
    """
    with os_errors(error, "list", folder):
        return sorted(folder.iterdir())


def find_files(folder: Path, pattern: str, error: Type[NRMError]) -> List[Path]:
    """Everything below a folder that a pattern such as ``*/recipe.yaml`` fits, in alphabetical order.

    Raises:
        NRMError: of the given class, if a folder cannot be listed.
    """
    with os_errors(error, "list", folder):
        return sorted(folder.glob(pattern))


def expand_home(path: Path, error: Type[NRMError]) -> Path:
    """Put in the home folder for a leading ``~`` or ``~NAME``, and values for ``$VAR`` and ``${VAR}``.

    A path that exists as it stands is left as it is.

    Raises:
        NRMError: of the given class, if there is no such home folder, or a variable is not set.
    """
    if os.path.lexists(path):
        return path
    unset = [name for name in _VARIABLE.findall(str(path)) if name.strip("{}") not in os.environ]
    if unset:
        raise error(f"{path}: the variable {unset[0].strip('{}')} is not set; set it, or write the path out")
    try:
        return Path(os.path.expandvars(path.expanduser()))
    except RuntimeError:
        raise error(f"{path}: no home folder is known for {path.parts[0]}; write it out") from None


def resolve(path: Path, error: Type[NRMError]) -> Path:
    """Absolute path, without symbolic links.

    Raises:
        NRMError: of the given class, if the links lead in a circle, or the working folder is gone.
    """
    with os_errors(error, "find", path):
        try:
            return path.resolve()
        except RuntimeError:  # Python before 3.13 says so of links in a circle
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from None


def _status(path: Path, error: Type[NRMError], follow: bool = True) -> Optional[os.stat_result]:
    """Size and kind of what is at ``path``; None where nothing is."""
    with os_errors(error, "look at", path):
        try:
            return os.stat(path, follow_symlinks=follow)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except ValueError:  # a null character, or one that no file name can have
            raise OSError(errno.EINVAL, "no file can have this name") from None


def open_file(path: Union[str, Path], mode: str = "rb", buffering: int = -1) -> BinaryIO:
    """Open a file as ``open`` does, but only a regular one: reading a pipe or a device may never end.

    Raises:
        OSError: it cannot be opened, or is a folder, a pipe, a socket or a device.
    """
    if "\0" in str(path):
        raise OSError(errno.EINVAL, "no file can have this name")
    return cast(BinaryIO, open(path, mode, buffering, opener=_open_regular))


def read_file(path: Union[str, Path], most: int = LARGEST) -> bytes:
    """Read a whole file of no more than ``most`` bytes.

    Raises:
        OSError: it cannot be read, is no regular file, or is larger.
    """
    with open_file(path) as file:
        found = os.fstat(file.fileno()).st_size
        if found > most:
            raise OSError(errno.EFBIG, f"it has {found} bytes, and at most {most} are expected")
        data: bytes = file.read(most)
    return data


def _open_regular(path: str, flags: int) -> int:
    with suppress(FileNotFoundError):
        _check_regular(os.stat(path))
    # Should a pipe take the file's place meanwhile, opening it does not wait for the other end.
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY, 0o666)
    try:
        _check_regular(os.fstat(descriptor))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check_regular(found: os.stat_result) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(found.st_mode):
        kinds = ((stat.S_ISFIFO, "a named pipe"), (stat.S_ISSOCK, "a socket"))
        kind = next((name for test, name in kinds if test(found.st_mode)), "a device")
        raise OSError(errno.ENXIO, f"it is {kind}, no regular file")


def fits_in_name(char: str) -> bool:
    """Ask if a character may be in the name of a file: a letter of any script, a digit, ``_.+-``."""
    if char.isascii():
        return char.isalnum() or char in "_.+-"
    return char.isprintable() and not char.isspace()


def temporary_path(path: Path) -> Path:
    """An unused name beside ``path`` that ends as it does, for writers that go by the ending."""
    # A file system allows 255 bytes: of a long name the end is enough.
    ending = path.name if len(os.fsencode(path.name)) < 200 else path.name[-40:]
    return path.with_name(f"{TEMPORARY_PREFIX}{uuid.uuid4().hex[:12]}-{ending}")


def sync(path: Path) -> None:
    """Wait until a file's contents, or a folder's list of names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path to write a file to; at the end of the body it becomes ``path``, all at once.

    If the body fails, ``path`` is as it was and the temporary file is gone. A symbolic link is followed.

    Raises:
        OSError: the file cannot be written.
    """
    target = Path(os.path.realpath(path))
    temporary = temporary_path(target)
    try:
        yield temporary
        sync(temporary)
        os.replace(temporary, target)
    except BaseException:
        remove(temporary)
        raise
    sync(target.parent)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file atomically (see ``atomic_path``)."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    r"""Write a whole text file atomically, as UTF-8 with the line ends as given.

    A byte of a file name that is not UTF-8 becomes ``\udcff``, which JSON and YAML read back as it was.
    """
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def read_bounded(path: Path, error: Type[NRMError], largest: int) -> bytes:
    """Read a whole regular file of at most ``largest`` bytes.

    A pipe, a terminal or a device in its place is refused before anything is read: it might never end.

    Raises:
        NRMError: of the given class; the file is missing, unreadable, too large or no regular file.
    """
    with os_errors(error, "read", path), open_file(path) as file:
        data: bytes = file.read(largest + 1)
    if len(data) > largest:
        raise error(f"{path} has more than {largest} bytes, too many for such a file; is it another file?")
    return data


def remove(path: Path) -> None:
    """Remove a file or a folder with all in it, if it is there; what cannot be removed stays."""
    if os.path.isdir(path) and not os.path.islink(path):  # neither raises
        shutil.rmtree(path, ignore_errors=True)
        return
    with suppress(OSError):
        path.unlink()


def remove_temporaries(folder: Path, only_folders: bool = False) -> None:
    """Remove what killed processes left half-written in ``folder``; only for the holder of its lock.

    Raises:
        OSError: the folder cannot be listed.
    """
    for path in folder.glob(f"{TEMPORARY_PREFIX}*"):
        if os.path.isdir(path) or not only_folders:
            remove(path)


class FileLock:
    """An exclusive lock between processes, released by the system when its holder ends, however it ends.

    The file stays (removing it would let two processes lock two files of one name) and names the last holder.
    """

    def __init__(self, path: Path) -> None:
        """A lock on the file ``path``, not yet taken."""
        self.path = path
        self._descriptor: Optional[int] = None

    def acquire(self, wait: bool = False) -> bool:
        """Take the lock; False if another holds it.

        With ``wait``, stay until it is free, and say on the standard error for whom, should it take long.

        Raises:
            OSError: the file cannot be made, or the file system has no locks.
        """
        descriptor = _open_regular(str(self.path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        try:
            if wait:
                self._wait(descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode("utf-8"), 0)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return True

    def _wait(self, descriptor: int) -> None:
        """Return once the lock is taken."""
        began, told = time.monotonic(), False
        while True:
            try:
                return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not told and time.monotonic() - began >= PATIENCE:
                    told = True
                    with suppress(OSError, ValueError, AttributeError):  # there may be no standard error
                        sys.stderr.write(f"waiting for {self.path}: {self.holder()} has it\n")
                        sys.stderr.flush()
            time.sleep(0.02)

    def holder(self) -> str:
        """Who took the lock last, for messages: "process 123 on host"."""
        try:
            text = read_file(self.path, 1000).decode("utf-8", errors="replace")
            return "".join(letter for letter in text.strip() if letter.isprintable()) or "another process"
        except OSError:
            return "another process"

    def release(self) -> None:
        """Give the lock back; nothing happens if it was not held."""
        if self._descriptor is not None:
            # Unlocked by name: a forked child may still have the descriptor open.
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            os.close(self._descriptor)
            self._descriptor = None
