"""Reader of ImageNet (ILSVRC 2012, Russakovsky et al. 2015) in RecordIO files or class folders, streamed."""

from __future__ import annotations

import numpy as np

from gluon_nrm.data.readers.find_files import missing_file
from gluon_nrm.data.readers.folder import streamed
from gluon_nrm.data.readers.folder_layout import find_parts, has_parts
from gluon_nrm.data.sets.dataset import Dataset
from gluon_nrm.data.sets.registry import DatasetSpec, DataSource, register_dataset
from gluon_nrm.errors import DataError

IMAGENET = DatasetSpec(
    "imagenet",
    class_names=tuple(str(label) for label in range(1000)),
    input_shape=(3, 224, 224),
    train=1281167,
    test=50000,
    mean=(123.675, 116.28, 103.53),
    std=(58.395, 57.12, 57.375),
    streamed=True,
)


@register_dataset("imagenet", IMAGENET)
def load_imagenet(source: DataSource) -> Dataset:
    """Load ImageNet: 1,281,167 training images, and the 50,000 validation images as its test set."""
    return read_imagenet(IMAGENET, source)


def read_imagenet(spec: DatasetSpec, source: DataSource) -> Dataset:
    """Read ``train.rec`` and ``val.rec`` with their indices, or else the folders ``train`` and ``val``.

    Images are decoded when they are needed, (3, side, side) uint8; stored images may have any size. Classes
    are numbered as im2rec does, in alphabetical order of their WordNet names.

    Args:
        spec: expected numbers of images and classes, and the constants that normalise them.
        source: folder of the files, and the size of the images.

    Raises:
        MissingData: neither exists.
        DataError: the files are damaged, or not ImageNet.
    """
    folder = source.folder(spec.name)
    if not has_parts(folder):
        raise missing_file(source, spec.name, "train.rec")
    if source.streamed is False:
        raise DataError(f"data.streamed: false, but '{spec.name}' is always streamed; leave it out")
    parts = find_parts(folder)
    found = (len(parts.train), len(parts.test), len(parts.class_names))
    if found != (spec.train, spec.test, spec.classes):
        raise DataError(
            f"{folder}: {found[0]} training and {found[1]} test images in {found[2]} classes, and ImageNet "
            f"has {spec.train}, {spec.test} and {spec.classes}; for a part of it, set data.name to folder, "
            "data.path and data.streamed"
        )
    mean, std = (np.array(constants, dtype=np.float32) for constants in (spec.mean, spec.std))
    return streamed(spec.name, parts, source.size or spec.input_shape[1], mean, std)
