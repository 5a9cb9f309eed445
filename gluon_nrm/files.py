"""Writing files so that a kill, a full disk or a power cut never leaves half of one.

Everything is written under a temporary name in the same folder, flushed to the disk, and only then renamed;
a rename is atomic, so a reader sees the old contents or the new ones. Temporary names begin with
``.gluon_nrm-``: whoever holds the lock of a folder may remove those a killed process left behind.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import socket
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Iterator, Optional, Type

from gluon_nrm.errors import NRMError

TEMPORARY_PREFIX = ".gluon_nrm-"

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
}


@contextmanager
def os_errors(error: Type[NRMError], action: str, path: Path) -> Iterator[None]:
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


def temporary_path(path: Path) -> Path:
    """An unused name beside ``path`` that ends as it does, for writers that go by the ending."""
    return path.with_name(f"{TEMPORARY_PREFIX}{uuid.uuid4().hex[:12]}-{path.name}")


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
    """Write a whole text file atomically, as UTF-8 with the line ends as given."""
    write_bytes(path, text.encode("utf-8"))


def remove(path: Path) -> None:
    """Remove a file or a folder with all in it, if it is there; what cannot be removed stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    with suppress(OSError):
        path.unlink()


def remove_temporaries(folder: Path, only_folders: bool = False) -> None:
    """Remove what killed processes left half-written in ``folder``; only for the holder of its lock."""
    for path in folder.glob(f"{TEMPORARY_PREFIX}*"):
        if path.is_dir() or not only_folders:
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
        """Take the lock; False if another holds it (``wait``: stay until it is free).

        Raises:
            OSError: the file cannot be made, or the file system has no locks.
        """
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
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

    def holder(self) -> str:
        """Who took the lock last, for messages: "process 123 on host"."""
        try:
            return self.path.read_text(encoding="utf-8", errors="replace").strip() or "another process"
        except OSError:
            return "another process"

    def release(self) -> None:
        """Give the lock back; nothing happens if it was not held."""
        if self._descriptor is not None:
            # Unlocked by name: a forked child may still have the descriptor open.
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            os.close(self._descriptor)
            self._descriptor = None
