"""Check paths with readable errors, write files atomically, read them within bounds, lock them.

All questions about paths of the user (existence, kind, size) are asked here, so that a name that is too long,
or a folder without permission, gives an error with a remedy. A test finds questions that are asked elsewhere.

A file is written under a temporary name in the same folder, flushed to the disk and then renamed. A rename is
atomic: a reader sees the old contents or the new ones. Temporary names begin with ``.gluon_nrm-``; the holder
of a folder's lock may remove those of killed processes.
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
#: Default largest size in bytes of a file that is read as a whole.
LARGEST = 2**28
#: Seconds until waiting for a lock is reported.
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
    """Return True if a file or folder exists; symbolic links are followed.

    Raises:
        NRMError: of the given class, if the system does not say.
    """
    return _status(path, error) is not None


def is_dir(path: Path, error: Type[NRMError]) -> bool:
    """Return True for a folder; symbolic links are followed.

    Raises:
        NRMError: of the given class, if the system does not say.
    """
    found = _status(path, error)
    return found is not None and stat.S_ISDIR(found.st_mode)


def is_file(path: Path, error: Type[NRMError]) -> bool:
    """Return True for a regular file; symbolic links are followed.

    Raises:
        NRMError: of the given class, if the system does not say.
    """
    found = _status(path, error)
    return found is not None and stat.S_ISREG(found.st_mode)


def is_taken(path: Path, error: Type[NRMError]) -> bool:
    """Return True if a name is taken, even by a broken symbolic link.

    Raises:
        NRMError: of the given class, if the system does not say.
    """
    return _status(path, error, follow=False) is not None


def file_size(path: Path, error: Type[NRMError]) -> int:
    """Return the size of a file in bytes; 0 if it does not exist.

    Raises:
        NRMError: of the given class, if the system does not say.
    """
    found = _status(path, error)
    return 0 if found is None else found.st_size


def list_folder(folder: Path, error: Type[NRMError]) -> List[Path]:
    """List a folder in alphabetical order.

    Raises:
        NRMError: of the given class, if it cannot be listed.
    """
    with os_errors(error, "list", folder):
        return sorted(folder.iterdir())


def find_files(folder: Path, pattern: str, error: Type[NRMError]) -> List[Path]:
    """Find paths in a folder by a pattern such as ``*/recipe.yaml``, in alphabetical order.

    Raises:
        NRMError: of the given class, if a folder cannot be listed.
    """
    with os_errors(error, "list", folder):
        return sorted(folder.glob(pattern))


def expand_path(path: Path, error: Type[NRMError]) -> Path:
    """Expand a leading ``~`` or ``~NAME``, and ``$VAR`` and ``${VAR}``, in a path.

    An existing path is returned unchanged.

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
    """Make a path absolute and resolve symbolic links.

    Raises:
        NRMError: of the given class, if the links lead in a circle, or the working folder is gone.
    """
    with os_errors(error, "find", path):
        try:
            return path.resolve()
        except RuntimeError:  # links in a circle, before Python 3.13
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from None


def _status(path: Path, error: Type[NRMError], follow: bool = True) -> Optional[os.stat_result]:
    """Return ``os.stat`` of a path; None if it does not exist."""
    with os_errors(error, "look at", path):
        try:
            return os.stat(path, follow_symlinks=follow)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except ValueError:  # a null character, or one that no file name can have
            raise OSError(errno.EINVAL, "no file can have this name") from None


def open_file(path: Union[str, Path], mode: str = "rb", buffering: int = -1) -> BinaryIO:
    """Open a regular file as ``open`` does; other kinds, such as pipes, might block for ever.

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
    """Return True for a character allowed in file names: a letter of any script, a digit, ``_.+-``."""
    if char.isascii():
        return char.isalnum() or char in "_.+-"
    return char.isprintable() and not char.isspace()


def temporary_path(path: Path) -> Path:
    """Return an unused name beside ``path`` with the same ending."""
    # A file system allows 255 bytes for a name; of a long one the end is used.
    ending = path.name if len(os.fsencode(path.name)) < 200 else path.name[-40:]
    return path.with_name(f"{TEMPORARY_PREFIX}{uuid.uuid4().hex[:12]}-{ending}")


def sync(path: Path) -> None:
    """Flush a file or folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to; at the end of the body it is renamed to ``path``.

    If the body fails, ``path`` is unchanged and the temporary file is removed. Symbolic links are followed.

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

    A byte of a file name that is not UTF-8 becomes an escape such as ``\udcff``, read back by JSON and YAML.
    """
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def read_bounded(path: Path, error: Type[NRMError], largest: int) -> bytes:
    """Read a whole regular file of at most ``largest`` bytes.

    Raises:
        NRMError: of the given class; the file is missing, unreadable, too large or no regular file.
    """
    with os_errors(error, "read", path), open_file(path) as file:
        data: bytes = file.read(largest + 1)
    if len(data) > largest:
        raise error(f"{path} has more than {largest} bytes, too many for such a file; is it another file?")
    return data


def remove(path: Path) -> None:
    """Remove a file or a folder with its contents; ignore errors."""
    if os.path.isdir(path) and not os.path.islink(path):  # neither raises
        shutil.rmtree(path, ignore_errors=True)
        return
    with suppress(OSError):
        path.unlink()


def remove_temporaries(folder: Path, only_folders: bool = False) -> None:
    """Remove temporary files of killed processes from ``folder``; only for the holder of its lock.

    Raises:
        OSError: the folder cannot be listed.
    """
    for path in folder.glob(f"{TEMPORARY_PREFIX}*"):
        if os.path.isdir(path) or not only_folders:
            remove(path)


class FileLock:
    """Exclusive lock between processes; the system releases it when its holder ends.

    The file names the last holder. It is never removed: two processes could then lock two files of one name.
    """

    def __init__(self, path: Path) -> None:
        """Make a lock on the file ``path``, without taking it."""
        self.path = path
        self._descriptor: Optional[int] = None

    def acquire(self, wait: bool = False) -> bool:
        """Take the lock; return False if another process holds it.

        With ``wait``, wait until it is free; after ``PATIENCE`` seconds report the holder on standard error.

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
        """Wait until the lock is taken."""
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
        """Return the last holder for messages: "process 123 on host"."""
        try:
            text = read_file(self.path, 1000).decode("utf-8", errors="replace")
            return "".join(letter for letter in text.strip() if letter.isprintable()) or "another process"
        except OSError:
            return "another process"

    def release(self) -> None:
        """Release the lock; does nothing if it is not held."""
        if self._descriptor is not None:
            # LOCK_UN, since a forked child may still have the descriptor open.
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            os.close(self._descriptor)
            self._descriptor = None
