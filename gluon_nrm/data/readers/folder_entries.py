"""List the visible files and folders in a folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import List, NamedTuple, Optional

from gluon_nrm.errors import DataError
from gluon_nrm.storage.files import os_errors

#: Folders made by the system: by macOS in archives, by Synology for thumbnails.
_OF_SYSTEMS = ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "lost+found")


class FolderEntry(NamedTuple):
    """A file or a folder."""

    name: str
    folder: bool
    odd: Optional[str]
    """Reason why it cannot hold images; None if it can."""


def visible_entries(folder: Path) -> List[FolderEntry]:
    """List files and folders in a folder, in alphabetical order, without hidden ones.

    Raises:
        DataError: the folder cannot be read.
    """
    with os_errors(DataError, "read", folder), os.scandir(folder) as found:
        entries = [_entry(each) for each in found if not each.name.startswith(".")]
    return sorted(entries, key=lambda each: each.name)


def _entry(found: os.DirEntry[str]) -> FolderEntry:
    try:
        if found.is_dir():
            made_by_system = found.name in _OF_SYSTEMS
            return FolderEntry(
                found.name, not made_by_system, "the system made it" if made_by_system else None
            )
        if found.is_file():
            return FolderEntry(found.name, False, None)
        leads_nowhere = found.is_symlink()
    except OSError:
        if not found.is_symlink():
            raise
        leads_nowhere = True
    return FolderEntry(found.name, False, "a link that leads nowhere" if leads_nowhere else "no regular file")
