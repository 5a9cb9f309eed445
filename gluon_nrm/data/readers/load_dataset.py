"""Load a data set by its name, with the unlabelled images that a recipe adds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Optional, Union

from gluon_nrm.data.readers.unlabelled import NOT_USED, add_unlabelled
from gluon_nrm.data.sets.dataset import Dataset
from gluon_nrm.data.sets.registry import DataSource, data_folder, dataset_loader
from gluon_nrm.data.sets.skipped_files import SkippedNames
from gluon_nrm.errors import DataError
from gluon_nrm.storage.files import expand_path


def load_dataset(
    name: str,
    data_dir: Union[str, Path, None] = None,
    *,
    path: Optional[str] = None,
    size: Optional[int] = None,
    streamed: Optional[bool] = None,
    unlabelled: Optional[str] = None,
    semi_supervised: bool = True,
) -> Dataset:
    """Load the data set registered as ``name``.

    Args:
        name: see ``list_datasets``.
        data_dir: folder of all data sets; None: see ``data_folder``.
        path: as in ``DataSource``.
        size: as in ``DataSource``.
        streamed: as in ``DataSource``.
        unlabelled: as in ``DataSource``.
        semi_supervised: as in ``DataSource``.

    Raises:
        DataError: the name is unknown, the files cannot be read, or ``size`` or ``streamed`` does not fit.
        MissingData: the files are missing; the message holds the command that gets them.
    """
    loader = dataset_loader(name)
    dataset = loader(DataSource(data_folder(data_dir), path, size, streamed, unlabelled, semi_supervised))
    if size is not None and dataset.input_shape[1:] != (size, size):
        height, width = dataset.input_shape[1:]
        raise DataError(f"data.size: {size}, but the images of '{name}' are {height} x {width}; leave it out")
    if streamed is not None and dataset.streamed != streamed:
        always = "streamed" if dataset.streamed else "kept in memory"
        raise DataError(f"data.streamed: {streamed}, but '{name}' is always {always}; leave it out")
    if not semi_supervised:
        return _without(dataset, unlabelled) if unlabelled or dataset.unlabelled_images else dataset
    if unlabelled is None:
        return dataset
    return add_unlabelled(dataset, expand_path(Path(unlabelled), DataError), size)


def _without(dataset: Dataset, place: Optional[str]) -> Dataset:
    """Return a data set without unlabelled images; ``place`` of ``data.unlabelled`` counts as left out."""
    skipped = SkippedNames()
    skipped.extend(dataset.skipped)
    if place is not None:
        skipped.add(place, NOT_USED)
    return replace(dataset, unlabelled=None, unlabelled_contents=None, skipped=skipped.record)
