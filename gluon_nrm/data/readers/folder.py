"""Reader of a user's images, in a folder for each class or in RecordIO files; kept in memory or streamed.

The folder ``data.path`` holds one of

- class folders for training and for testing, and a folder of unlabelled images if there are any;
- class folders alone: a fifth of each class is for testing;
- RecordIO files, as MXNet's im2rec writes them.

``folder_layout`` lists their names.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Optional, Tuple

import numpy as np

from gluon_nrm.data.readers.decode_all import decode_all, stack
from gluon_nrm.data.readers.folder_layout import TEST_SEED, FolderParts, find_parts, list_part
from gluon_nrm.data.readers.unlabelled import NOT_USED, add_unlabelled
from gluon_nrm.data.sets.dataset import Dataset, ImageSet, channel_statistics
from gluon_nrm.data.sets.registry import DataSource, PartFound, Wanted, register_dataset, register_part
from gluon_nrm.data.sets.skipped_files import SkippedNames
from gluon_nrm.data.sets.streamed_images import StreamedImages
from gluon_nrm.errors import DataError

#: Side of streamed images if the recipe gives none.
STREAMED_SIZE = 224
#: Number of random images whose mean and standard deviation normalise a streamed data set.
SAMPLE = 1000


@register_dataset("folder")
def load_folder(source: DataSource) -> Dataset:
    """Load the images in the folder ``data.path``; see the module.

    Raises:
        DataError: the folder is missing or holds no image, an image cannot be read or has another size
            than the others, or the images need too much memory.
    """
    if source.path is None:
        raise DataError("data.path: give the folder of the images; data.name 'folder' needs it")
    parts = find_parts(source.folder("folder"))
    if source.streamed:
        side = source.size or STREAMED_SIZE
        dataset = streamed("folder", parts, side, *_sample_statistics(StreamedImages(parts.train, side)))
    else:
        dataset = in_memory("folder", parts, source.size)
    if parts.unlabelled is None:
        return dataset
    if source.unlabelled is not None or not source.semi_supervised:
        skipped = SkippedNames()
        skipped.extend(dataset.skipped)
        skipped.add(
            str(parts.unlabelled), "data.unlabelled replaces it" if source.semi_supervised else NOT_USED
        )
        return replace(dataset, skipped=skipped.record)
    return add_unlabelled(dataset, parts.unlabelled, source.size)


def in_memory(name: str, parts: FolderParts, size: Optional[int]) -> Dataset:
    """Decode all images.

    Args:
        name: name of the data set.
        parts: training and test images.
        size: shorter side in pixels to which an image is resized, and side of its central crop; None: images
            keep their size, which must be the same for all.
    """
    decoded = [decode_all(pictures, size) for pictures in (parts.train, parts.test)]
    channels = max(len(image) for part in decoded for image in part)
    train, test = (
        ImageSet(stack(part, pictures, decoded[0][0].shape[1:], channels), labels)
        for part, pictures, labels in zip(
            decoded, (parts.train, parts.test), (parts.train_labels, parts.test_labels)
        )
    )
    mean, std = channel_statistics(train.images)
    identified = parts.train, parts.test
    return Dataset(name, parts.class_names, train, test, mean, std, parts.skipped, identified)


def streamed(name: str, parts: FolderParts, side: int, mean: np.ndarray, std: np.ndarray) -> Dataset:
    """Make a data set of images (3, side, side) that are decoded later; ``mean`` and ``std`` are (3,)."""
    train, test = (StreamedImages(pictures, side) for pictures in (parts.train, parts.test))
    return Dataset(
        name,
        parts.class_names,
        ImageSet(train, parts.train_labels),
        ImageSet(test, parts.test_labels),
        mean,
        std,
        parts.skipped,
        (parts.train, parts.test),
    )


@register_part("folder")
@register_part("imagenet")
def load_part(source: DataSource, wanted: Wanted) -> ImageSet:
    """Load one part of a run's images.

    Raises:
        DataError: as ``load_folder``, or ``wanted.check`` finds other images.
    """
    names, found = list_part(source.folder(wanted.dataset) / wanted.place, wanted)
    wanted.check(names, {part: PartFound(labels, files) for part, (files, labels) in found.items()})
    files, labels = found[wanted.part]
    if wanted.streamed:
        return ImageSet(StreamedImages(files, wanted.input_shape[1]), labels)
    decoded = decode_all(files, source.size)
    return ImageSet(stack(decoded, files, wanted.input_shape[1:], wanted.input_shape[0]), labels)


def _sample_statistics(images: StreamedImages) -> Tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of each channel, (3,) each, over ``SAMPLE`` images."""
    chosen = np.random.RandomState(TEST_SEED).permutation(len(images))[:SAMPLE]
    return channel_statistics(images[chosen])
