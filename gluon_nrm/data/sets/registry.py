"""Registry of data sets: their loaders, and their properties before the files are there."""

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
from gluon_nrm.storage.files import expand_path

DATA_DIR_VARIABLE = "GLUON_NRM_DATA"
"""Environment variable with the folder of all data sets, used if a command gives none."""


@dataclass(frozen=True)
class DatasetSpec:
    """Properties of a data set that are known without its files.

    ``mean`` and ``std`` are per channel, in raw pixel values, of the training images alone. A loader that
    reads all images computes them from the images.
    """

    name: str
    class_names: Tuple[str, ...]
    input_shape: Tuple[int, int, int]  # channels, height, width
    train: int  # images
    test: int
    mean: Tuple[float, ...]
    std: Tuple[float, ...]
    streamed: bool = False
    """Images are decoded when they are needed, with the side that the recipe gives."""

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)


@dataclass(frozen=True)
class DataSource:
    """Folder of a data set's files and the recipe's settings for reading them."""

    data_dir: Path
    """Folder of all data sets."""
    path: Optional[str] = None
    """``data.path``: folder of this data set; None: the folder of its name in ``data_dir``."""
    size: Optional[int] = None
    """``data.size``: side in pixels to which images are resized."""
    streamed: Optional[bool] = None
    """``data.streamed``: decode images when they are needed; None: the data set's default."""
    unlabelled: Optional[str] = None
    """``data.unlabelled``: folder or list of the unlabelled images; None: those of the data set, if any."""
    semi_supervised: bool = True
    """False: unlabelled images are not loaded."""

    def folder(self, name: str) -> Path:
        """Return the folder of the data set ``name``."""
        return expand_path(Path(self.path), DataError) if self.path is not None else self.data_dir / name


class PartFound(NamedTuple):
    """Listed images, not decoded."""

    labels: np.ndarray  # (N,) int64
    files: Identified


class Wanted(NamedTuple):
    """Description of one part of a run's data, for a loader of parts."""

    dataset: str
    part: str  # "train" or "test"
    place: str
    """Folder or file of the part in the data set's folder; ``.`` if one folder holds both parts."""
    class_names: Tuple[str, ...]
    input_shape: Tuple[int, int, int]
    streamed: bool
    skipped: SkippedNames
    """Collects the files that are left out."""
    check: Callable[[Sequence[str], Mapping[str, PartFound]], None]
    """Called with the class names and the listed parts before decoding; raises DataError."""


Loader = Callable[[DataSource], Dataset]
PartLoader = Callable[[DataSource, Wanted], ImageSet]
_LOADERS: Dict[str, Loader] = {}
_PART_LOADERS: Dict[str, PartLoader] = {}
_SPECS: Dict[str, DatasetSpec] = {}


def register_dataset(name: str, spec: Optional[DatasetSpec] = None) -> Callable[[Loader], Loader]:
    """Register the decorated function as loader of the data set ``name`` (``data.name`` in recipes).

    With a ``spec``, ``--dry-run`` works without the files; the loader raises ``MissingData`` then.

    Raises:
        DataError: the name is taken.
    """

    def add(loader: Loader) -> Loader:
        """Register ``loader``."""
        if name in _LOADERS:
            raise DataError(f"a data set called '{name}' is registered already; choose another name")
        _LOADERS[name] = loader
        if spec is not None:
            _SPECS[name] = spec
        return loader

    return add


def register_part(name: str) -> Callable[[PartLoader], PartLoader]:
    """Register the decorated function as loader of single parts of the data set ``name``.

    A data set without such a loader is loaded completely.
    """

    def add(loader: PartLoader) -> PartLoader:
        """Register ``loader``."""
        _PART_LOADERS[name] = loader
        return loader

    return add


def part_loader(name: str) -> Optional[PartLoader]:
    """Return the loader of single parts of a data set, or None."""
    return _PART_LOADERS.get(name)


def dataset_loader(name: str) -> Loader:
    """Return the loader of a data set.

    Raises:
        DataError: the name is unknown.
    """
    _check_name(name)
    return _LOADERS[name]


def list_datasets() -> List[str]:
    """Return the names of all registered data sets, in alphabetical order."""
    return sorted(_LOADERS)


def data_folder(data_dir: Union[str, Path, None] = None) -> Path:
    """Return the folder of all data sets: ``data_dir``, else the environment variable, else ``data``."""
    if data_dir is None:
        data_dir = os.environ.get(DATA_DIR_VARIABLE) or "data"
    return expand_path(Path(data_dir), DataError)


def dataset_spec(name: str) -> DatasetSpec:
    """Return the properties of the data set ``name`` that are known without its files.

    Raises:
        DataError: the name is unknown, or the data set has no ``DatasetSpec``.
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
