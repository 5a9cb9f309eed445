"""Data sets by name: what is known of one before its files are there, and its loader."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from gluon_nrm.data.sets.dataset import Dataset, ImageSet
from gluon_nrm.data.sets.identities import Identified
from gluon_nrm.data.sets.skipped_files import SkippedNames
from gluon_nrm.errors import DataError
from gluon_nrm.storage.files import expand_home

DATA_DIR_VARIABLE = "GLUON_NRM_DATA"
"""Environment variable that names the folder of all data sets, where a command does not."""


@dataclass(frozen=True)
class DatasetSpec:
    """What is known of a data set without its files.

    ``mean`` and ``std`` are per channel, in raw pixel values, of the training images alone; a loader computes
    them anew from the images wherever it reads them all.
    """

    name: str
    class_names: Tuple[str, ...]
    input_shape: Tuple[int, int, int]  # channels, height, width
    train: int  # images
    test: int
    mean: Tuple[float, ...]
    std: Tuple[float, ...]
    streamed: bool = False
    """Whether images are decoded whenever they are needed, and so of the side that the recipe gives."""

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)


@dataclass(frozen=True)
class Source:
    """Where a loader finds its files, and what a recipe says about reading them."""

    data_dir: Path
    """Folder of all data sets."""
    path: Optional[str] = None
    """``data.path``: the folder of this one, in place of its usual one in ``data_dir``."""
    size: Optional[int] = None
    """``data.size``: side in pixels to which images of any size are brought."""
    streamed: Optional[bool] = None
    """``data.streamed``: whether images are decoded whenever they are needed; None: as the data set does."""

    def folder(self, name: str) -> Path:
        """Where the files of the data set called ``name`` belong."""
        return expand_home(Path(self.path), DataError) if self.path is not None else self.data_dir / name


class PartFound(NamedTuple):
    """Images as they were listed, nothing of them decoded."""

    labels: np.ndarray  # (N,) int64
    files: Identified


class Wanted(NamedTuple):
    """One part of the data that a run was trained with."""

    dataset: str
    part: str  # "train" or "test"
    place: str
    """Folder or file of the part below the folder of the data set; ``.`` where one folder holds both."""
    class_names: Tuple[str, ...]
    input_shape: Tuple[int, int, int]
    streamed: bool
    skipped: SkippedNames
    """Is told of what is no part of the images."""
    check: Callable[[Sequence[str], Mapping[str, PartFound]], None]
    """Called with class names and what was listed, before anything is decoded; raises DataError."""


Loader = Callable[[Source], Dataset]
PartLoader = Callable[[Source, Wanted], ImageSet]
_LOADERS: Dict[str, Loader] = {}
_PART_LOADERS: Dict[str, PartLoader] = {}
_SPECS: Dict[str, DatasetSpec] = {}


def register_dataset(name: str, spec: Optional[DatasetSpec] = None) -> Callable[[Loader], Loader]:
    """Make the decorated function the loader of the data set called ``name`` in recipes (``data.name``).

    With a ``spec``, recipes can be tried (``--dry-run``) before the files are there; the loader then raises
    ``MissingData`` for as long as they are not.

    Raises
    ------
    DataError  The name is taken.
    """

    def add(loader: Loader) -> Loader:
        if name in _LOADERS:
            raise DataError(f"a data set called '{name}' is registered already; choose another name")
        _LOADERS[name] = loader
        if spec is not None:
            _SPECS[name] = spec
        return loader

    return add


def register_part(name: str) -> Callable[[PartLoader], PartLoader]:
    """Make the decorated function the loader of single parts of the data set called ``name``.

    A data set without one is loaded whole where a run needs a part of it.
    """

    def add(loader: PartLoader) -> PartLoader:
        _PART_LOADERS[name] = loader
        return loader

    return add


def part_loader(name: str) -> Optional[PartLoader]:
    """The loader of single parts of a data set; None where it is loaded whole."""
    return _PART_LOADERS.get(name)


def list_datasets() -> List[str]:
    """Names of all registered data sets, in alphabetical order."""
    return sorted(_LOADERS)


def data_folder(data_dir: Union[str, Path, None] = None) -> Path:
    """The folder of all data sets: the one given, else that of the environment variable, else ``data``."""
    if data_dir is None:
        data_dir = os.environ.get(DATA_DIR_VARIABLE) or "data"
    return expand_home(Path(data_dir), DataError)


def load_dataset(
    name: str,
    data_dir: Union[str, Path, None] = None,
    *,
    path: Optional[str] = None,
    size: Optional[int] = None,
    streamed: Optional[bool] = None,
) -> Dataset:
    """Load the data set registered as ``name``.

    Parameters
    ----------
    data_dir  Folder of all data sets; None: see ``data_folder``.
    path, size, streamed  As in ``Source``.

    Raises
    ------
    DataError    There is no such data set (the closest name is given), its reader cannot read it, or it is
                 not of the size, or not streamed or kept in memory, as asked for.
    MissingData  Its files are not there; the message holds the command that gets them.
    """
    _check_name(name)
    dataset = _LOADERS[name](Source(data_folder(data_dir), path, size, streamed))
    if size is not None and dataset.input_shape[1:] != (size, size):
        height, width = dataset.input_shape[1:]
        raise DataError(f"data.size: {size}, but the images of '{name}' are {height} x {width}; leave it out")
    if streamed is not None and dataset.streamed != streamed:
        always = "streamed" if dataset.streamed else "kept in memory"
        raise DataError(f"data.streamed: {streamed}, but '{name}' is always {always}; leave it out")
    return dataset


def dataset_spec(name: str) -> DatasetSpec:
    """What is known of the data set called ``name`` without its files.

    Raises
    ------
    DataError  There is no such data set, or nothing is known of it without its files.
    """
    _check_name(name)
    if name not in _SPECS:
        raise DataError(f"data.name: nothing is known of '{name}' without its files")
    return _SPECS[name]


def _check_name(name: str) -> None:
    """Raise DataError for a name that is not registered."""
    if name not in _LOADERS:
        close = difflib.get_close_matches(name, list_datasets(), n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"there are: {', '.join(list_datasets())}"
        raise DataError(f"data.name: no data set called '{name}'; {hint}")
