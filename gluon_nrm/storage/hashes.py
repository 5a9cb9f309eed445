"""Hashes of files, read in blocks, and of JSON."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Mapping, Optional

from gluon_nrm.storage.files import open_file

#: Bytes that are read at a time.
_BLOCK = 1 << 20


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal.

    Raises:
        OSError: it cannot be read.
    """
    return _digest(path, None)


def blake2b_of_file(path: Path, size: int) -> str:
    """Return the BLAKE2b hash of ``size`` bytes of a file, in hexadecimal.

    Raises:
        OSError: it cannot be read.
    """
    return _digest(path, size)


def sha256_of_json(body: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a JSON object whatever the order of its keys, in hexadecimal."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode("utf-8")).hexdigest()


def _digest(path: Path, size: Optional[int]) -> str:
    found = hashlib.sha256() if size is None else hashlib.blake2b(digest_size=size)
    with open_file(path) as file:
        for block in iter(lambda: file.read(_BLOCK), b""):
            found.update(block)
    return found.hexdigest()
