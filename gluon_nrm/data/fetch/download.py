"""Download a file from the first server that has it; an interrupted download is resumed.

The download is written to NAME.part. It is renamed to NAME when it is complete and its SHA-256 is right.
"""

from __future__ import annotations

import http.client
import shutil
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import List, Optional, TextIO

from gluon_nrm.console.progress_bar import ProgressBar
from gluon_nrm.data.fetch.official_files import Remote
from gluon_nrm.errors import DataError
from gluon_nrm.storage.files import FileLock, exists, file_size, open_file, os_errors, sync
from gluon_nrm.storage.hashes import sha256_of_file

CHUNK = 1 << 20
#: Seconds without a byte until a server counts as failed.
PATIENCE = 30.0
#: Failed attempts in a row, without a new byte, until the next server is tried.
ATTEMPTS = 5
#: Seconds between two attempts.
PAUSE = 1.0

_FAILURES = (OSError, http.client.HTTPException, ValueError)


class _ServerError(Exception):
    """A server cannot be used; the next one is tried."""


def fetch(
    remote: Remote, folder: Path, *, mirror: Optional[str] = None, stream: Optional[TextIO] = None
) -> Path:
    """Download a file into ``folder`` unless it is there, and return its path.

    Args:
        remote: the file, with its size and checksum.
        folder: folder to store it in.
        mirror: URL of a folder that is tried first.
        stream: output of the progress display; None: standard error.

    Raises:
        DataError: no server has the file, the disk is full, another process is downloading it, or another
            file has its name. A partial download is kept.
    """
    path = folder / remote.name
    if exists(path, DataError):
        if sha256(path) != remote.sha256:
            raise DataError(
                f"{path} is not the official file: its SHA-256 is not {remote.sha256}; move it away and "
                "start again"
            )
        return path
    partial = path.with_name(f"{path.name}.part")
    with os_errors(DataError, "make", folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        if not lock.acquire():
            raise DataError(f"{path} is being fetched by {lock.holder()}; wait for it, or end it")
    try:
        _from_servers(remote, partial, mirror, stream)
        with os_errors(DataError, "rename", partial):
            sync(partial)
            partial.replace(path)
            sync(folder)
    finally:
        lock.release()
    return path


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal.

    Raises:
        DataError: it cannot be read.
    """
    with os_errors(DataError, "read", path):
        return sha256_of_file(path)


def _from_servers(remote: Remote, partial: Path, mirror: Optional[str], stream: Optional[TextIO]) -> None:
    """Download to ``partial`` from the first server that has the file, or raise DataError."""
    reasons: List[str] = []
    for folder in ([mirror] if mirror else []) + list(remote.folders):
        address = f"{folder.rstrip('/')}/{remote.name}"
        try:
            _from_server(remote, address, partial, stream)
            return
        except _ServerError as failure:
            reasons.append(f"{address}: {failure}")
    raise DataError(
        f"cannot fetch {remote.name} ({'; '.join(reasons)}).\n"
        f"Start again to go on, or put it at {partial.with_suffix('')} by hand (SHA-256 {remote.sha256})"
    )


def _from_server(remote: Remote, address: str, partial: Path, stream: Optional[TextIO]) -> None:
    """Download to ``partial`` from one server, or raise _ServerError."""
    failed = 0
    while file_size(partial, DataError) != remote.size:
        before = file_size(partial, DataError)
        if before > remote.size:
            _remove(partial)  # it belongs to another file
            before = 0
        _check_space(partial, remote.size - before)
        try:
            _go_on(remote, address, partial, stream)
        except _FAILURES as problem:
            failed = 0 if file_size(partial, DataError) > before else failed + 1
            hopeless = isinstance(problem, (urllib.error.HTTPError, ValueError))
            if hopeless or failed == ATTEMPTS:
                reason = getattr(problem, "reason", None) or problem
                raise _ServerError(str(reason) or type(problem).__name__) from problem
            time.sleep(PAUSE)
    if sha256(partial) != remote.sha256:
        _remove(partial)  # it cannot be resumed
        raise _ServerError(f"the SHA-256 of the download is not {remote.sha256}")


def _remove(partial: Path) -> None:
    """Remove a file, or raise DataError."""
    with os_errors(DataError, "remove", partial):
        partial.unlink()


def _go_on(remote: Remote, address: str, partial: Path, stream: Optional[TextIO]) -> None:
    """Request the missing bytes from a server and append them to ``partial``.

    Raises:
        OSError, HTTPException: the server does not answer, or the connection broke.
        ValueError: the server has another file.
    """
    have = file_size(partial, DataError)
    request = urllib.request.Request(address, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        # A server without support for ranges answers 200 with the whole file.
        have = have if answer.status == http.HTTPStatus.PARTIAL_CONTENT else 0
        length = answer.headers.get("Content-Length")
        if length is not None and have + int(length) != remote.size:
            raise ValueError(f"the file there has {have + int(length)} bytes, not {remote.size}")
        if not have:
            _append(partial, b"", "wb")
        with ProgressBar(
            remote.size, remote.name, stream=stream, interval=10.0, delay=0.0, leave=True,
            initial=have, unit="B", unit_scale=True, unit_divisor=1024,
        ) as bar:  # fmt: skip
            for chunk in iter(lambda: answer.read1(CHUNK), b""):
                have += len(chunk)
                if have > remote.size:
                    raise ValueError("the file there is longer")
                _append(partial, chunk)
                bar.update(len(chunk))
    if have < remote.size:
        raise OSError("the connection broke")


def _append(path: Path, chunk: bytes, mode: str = "ab") -> None:
    """Append to a file; an error here is the disk's, not the server's."""
    with os_errors(DataError, "write", path), open_file(path, mode) as file:
        file.write(chunk)


def _check_space(partial: Path, needed: int) -> None:
    """Raise DataError if the disk has too little free space."""
    with os_errors(DataError, "look at", partial.parent):
        free = shutil.disk_usage(partial.parent).free
    if free < needed:
        raise DataError(
            f"{partial.parent}: {needed / 2**20:.0f} MiB are needed, and the disk has "
            f"{free / 2**20:.0f} MiB free; free some space and start again"
        )
