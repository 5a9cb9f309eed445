"""Data sets, splits, augmentation and the two training streams, with numpy and Pillow; MXNet is not imported.

Order of use: ``load_dataset``, ``draw_split``, then ``Streams`` for training and ``evaluation_batches`` for
evaluation.
"""

from __future__ import annotations

from gluon_nrm.data.pipeline.augment import Augment, Cutout
from gluon_nrm.data.pipeline.crops import RandomCrops, make_augmentation
from gluon_nrm.data.pipeline.split_files import read_split, write_splits
from gluon_nrm.data.pipeline.splits import Split, check_split, draw_split
from gluon_nrm.data.pipeline.stand_in import stand_in
from gluon_nrm.data.pipeline.streams import Batch, Step, Streams, evaluation_batches

# Importing a reader registers its data set.
from gluon_nrm.data.readers import (
    cifar,  # noqa: F401
    digits,  # noqa: F401
    folder,  # noqa: F401
    imagenet,  # noqa: F401
    mnist,  # noqa: F401
    mnist5k,  # noqa: F401
    svhn,  # noqa: F401
)
from gluon_nrm.data.readers.load_dataset import load_dataset
from gluon_nrm.data.sets.dataset import Dataset, ImageSet
from gluon_nrm.data.sets.registry import (
    DatasetSpec,
    DataSource,
    data_folder,
    dataset_spec,
    list_datasets,
    register_dataset,
)

__all__ = [
    "Augment",
    "Batch",
    "Cutout",
    "Dataset",
    "DatasetSpec",
    "ImageSet",
    "RandomCrops",
    "DataSource",
    "Split",
    "Step",
    "Streams",
    "check_split",
    "data_folder",
    "dataset_spec",
    "draw_split",
    "evaluation_batches",
    "list_datasets",
    "load_dataset",
    "make_augmentation",
    "read_split",
    "register_dataset",
    "stand_in",
    "write_splits",
]
