"""Prepare a data set: find or download its files, verify them, or say how to get them."""

from __future__ import annotations

from pathlib import Path
from typing import List, Optional, TextIO, Union

from gluon_nrm.data.fetch.download import fetch, sha256
from gluon_nrm.data.fetch.official_files import BY_HAND, REMOTE, Remote
from gluon_nrm.data.readers.find_files import search_folders
from gluon_nrm.data.readers.load_dataset import load_dataset
from gluon_nrm.data.sets.registry import DataSource, data_folder, dataset_spec, list_datasets
from gluon_nrm.errors import DataError, MissingData
from gluon_nrm.storage.files import exists

IMAGENET_BY_HAND = (
    "imagenet cannot be fetched: get ILSVRC2012 from https://image-net.org (an account is needed);\nput "
    "train.rec, train.idx, val.rec and val.idx, made by MXNet's im2rec, or the class folders train/ and val/ "
    "into {folder}; docs/data.md says how"
)


def prepare(
    name: str,
    data_dir: Union[str, Path, None] = None,
    *,
    mirror: Optional[str] = None,
    stream: Optional[TextIO] = None,
) -> str:
    """Find or download the files of a data set, read them once, and return a summary.

    Args:
        name: the data set.
        data_dir: folder of all data sets; None: see ``data_folder``.
        mirror: URL of a folder that is tried first for each file.
        stream: output of the progress display; None: standard error.

    Raises:
        DataError: a file cannot be downloaded, or is not the official one; the message says what to do.
    """
    source = DataSource(data_folder(data_dir))
    _verify(name, source)
    try:
        dataset = load_dataset(name, source.data_dir)
    except MissingData:
        if name not in REMOTE:
            raise DataError(IMAGENET_BY_HAND.format(folder=source.folder(name))) from None
        for remote in REMOTE[name]:
            if not _there(remote, name, source):
                fetch(remote, source.folder(name), mirror=mirror, stream=stream)
        dataset = load_dataset(name, source.data_dir)
    skipped = f"; {dataset.skipped}" if dataset.skipped.number else ""
    return (
        f"{name}: {len(dataset.train.labels)} training and {len(dataset.test.labels)} test images "
        f"of {dataset.input_shape} in {dataset.classes} classes{skipped}"
    )


def describe_files(data_dir: Union[str, Path, None] = None, name: Optional[str] = None) -> str:
    """List the files of one data set, or of all, with place, size, SHA-256 and URLs.

    Raises:
        DataError: there is no such data set.
    """
    source = DataSource(data_folder(data_dir))
    if name is not None:
        dataset_spec(name)
    lines: List[str] = []
    for each in list_datasets() if name is None else [name]:
        by_hand = BY_HAND.get(each, ())
        for remote in REMOTE.get(each, ()) + by_hand:
            place = _there(remote, each, source)
            absent = "missing; optional, read if you put it there" if remote in by_hand else "missing"
            state = "there" if place else absent
            lines += [
                f"{place or source.folder(each) / remote.name}: {state}",
                f"  {remote.size} bytes, SHA-256 {remote.sha256}",
                *(f"  {folder}/{remote.name}" for folder in remote.folders),
            ]
        if each == "imagenet":
            lines += IMAGENET_BY_HAND.format(folder=source.folder(each)).splitlines()
        if each == "digits":
            lines.append("digits: come with scikit-learn")
    return "\n".join(lines)


def _there(remote: Remote, name: str, source: DataSource) -> Optional[Path]:
    """Return the path of a file; None if it is missing."""
    places = (folder / remote.name for folder in search_folders(source, name))
    return next((place for place in places if exists(place, DataError)), None)


def _verify(name: str, source: DataSource) -> None:
    """Raise DataError for a file with an official name but other contents."""
    for remote in REMOTE.get(name, ()) + BY_HAND.get(name, ()):
        place = _there(remote, name, source)
        if place is not None and sha256(place) != remote.sha256:
            raise DataError(
                f"{place} is not the official file: its SHA-256 is not {remote.sha256}; move it away and "
                "start again"
            )
