"""Class names of RecordIO files, from the lists of im2rec beside them."""

from __future__ import annotations

import io
import posixpath
from pathlib import Path
from typing import Dict, Optional, Tuple

from gluon_nrm.data.images.read_errors import read_errors
from gluon_nrm.errors import DataError
from gluon_nrm.storage.files import is_file, open_file


def record_names(train: Path, test: Path, classes: int) -> Tuple[str, ...]:
    """Return the class names: the folders in the lists, or else the numbers of the classes.

    Args:
        train: .rec file of the training images; its list ends in .lst.
        test: .rec file of the test images.
        classes: number of classes.

    Raises:
        DataError: a list cannot be read, or the two lists name a class differently.
    """
    found = [_folders(path.with_suffix(".lst")) for path in (train, test)]
    trained, tested = found
    if trained is not None and tested is not None:
        for label, name in sorted(tested.items()):
            if name in trained.values() and trained.get(label) != name:
                raise DataError(
                    f"{test.with_suffix('.lst')}: class {label} is the folder '{name}', and in "
                    f"{train.with_suffix('.lst')} it is '{trained.get(label)}'; make both of the same classes"
                )
    if trained is None or sorted(trained) != list(range(classes)) or len(set(trained.values())) < classes:
        return tuple(str(label) for label in range(classes))
    return tuple(trained[label] for label in range(classes))


def _folders(path: Path) -> Optional[Dict[int, str]]:
    """Return the folder of each label in a list; None without a list, or if a label has several folders."""
    if not is_file(path, DataError):
        return None
    folders: Dict[int, str] = {}
    with read_errors(path, "a list of im2rec", ValueError), io.TextIOWrapper(
        open_file(path), encoding="utf-8", errors="surrogateescape"
    ) as lines:
        for line in lines:
            fields = line.rstrip("\n").split("\t")
            if len(fields) != 3:
                continue
            label, folder = float(fields[1]), posixpath.dirname(fields[2].replace("\\", "/"))
            if not folder or not label.is_integer() or folders.setdefault(int(label), folder) != folder:
                return None
    return _shortened(folders)


def _shortened(folders: Dict[int, str]) -> Dict[int, str]:
    """Remove the beginning that all folders share, such as ``train/``."""
    absolute = {posixpath.isabs(name) for name in folders.values()}
    if len(set(folders.values())) < 2 or len(absolute) > 1:  # absolute and relative paths share nothing
        return folders
    shared = posixpath.commonpath(list(folders.values()))
    return {label: posixpath.relpath(name, shared) if shared else name for label, name in folders.items()}
