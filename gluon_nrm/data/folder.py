"""A user's own images, in a folder for each class or in RecordIO files; kept in memory or streamed.

In the folder ``data.path`` there is one of

- ``train/CLASS/*.png`` and ``test/CLASS/*.png`` (or ``val/`` for ``test/``);
- ``CLASS/*.png``: a fifth of each class, drawn once and for all, is the test set;
- ``train.rec`` and ``test.rec`` (or ``val.rec``) with their indices, as MXNet's im2rec writes them.
"""

from __future__ import annotations

from pathlib import Path
from typing import List, NamedTuple, Optional, Tuple

import numpy as np

from gluon_nrm.data.class_folders import ImageFiles, class_names, list_images
from gluon_nrm.data.dataset import Dataset, ImageSet, channel_statistics
from gluon_nrm.data.pictures import centre_square, to_array
from gluon_nrm.data.recordio import RecordFile
from gluon_nrm.data.registry import Source, register_dataset
from gluon_nrm.data.splits import take_per_class
from gluon_nrm.data.streamed import Pictures, StreamedImages, threads
from gluon_nrm.errors import DataError
from gluon_nrm.files import exists, is_dir, is_file, list_folder

TEST_PARTS = ("test", "val")
#: Of each class, where no folder says which images are for testing.
TEST_SHARE = 0.2
# Fixes which images these are: changing it makes results incomparable.
TEST_SEED = 20180101
#: Side of streamed images, where the recipe gives none.
STREAMED_SIZE = 224
#: Images, drawn at random, whose mean and deviation normalise a streamed data set.
SAMPLE = 1000
#: Bytes of pixels that may be kept in memory.
MOST_IN_MEMORY = 4 * 2**30


class Parts(NamedTuple):
    """What a folder holds, nothing of it decoded yet."""

    class_names: Tuple[str, ...]
    train: Pictures
    train_labels: np.ndarray  # (N,) int64
    test: Pictures
    test_labels: np.ndarray


@register_dataset("folder")
def load_folder(source: Source) -> Dataset:
    """Load the images in the folder ``data.path``; see the module.

    Raises
    ------
    DataError  There is no folder, no image, or an image that cannot be read (named), is of another size than
               the others, or would not fit into memory with the others.
    """
    if source.path is None:
        raise DataError("data.path: give the folder of the images; data.name 'folder' needs it")
    parts = find_parts(source.folder("folder"))
    if not source.streamed:
        return in_memory("folder", parts, source.size)
    side = source.size or STREAMED_SIZE
    return streamed("folder", parts, side, *_sample_statistics(StreamedImages(parts.train, side)))


def find_parts(folder: Path) -> Parts:
    """List what is in a folder.

    Raises
    ------
    DataError  There is nothing to train on, or nothing to test on.
    """
    if not is_dir(folder, DataError):
        raise DataError(f"{folder}: no such folder; data.path must be the folder that holds the images")
    if is_file(folder / "train.rec", DataError):
        train, test = RecordFile(folder / "train.rec"), RecordFile(_test_part(folder, ".rec"))
        labels = train.labels()
        names = tuple(str(label) for label in range(int(labels.max()) + 1))
        return Parts(names, train, labels, test, test.labels())
    # A folder "train" of images, and not of folders, is a class: the one of railways.
    split = folder / "train"
    if is_dir(split, DataError) and any(is_dir(path, DataError) for path in list_folder(split, DataError)):
        names = class_names(folder / "train")
        files = list_images(folder / "train", names), list_images(_test_part(folder, ""), names)
    else:
        names = class_names(folder)
        files = _hold_out(list_images(folder, names), names)
    return Parts(names, files[0], files[0].labels, files[1], files[1].labels)


def in_memory(name: str, parts: Parts, size: Optional[int]) -> Dataset:
    """Decode everything.

    Parameters
    ----------
    size  Shorter side in pixels to which an image is resized, and side of the square cut out of its middle;
          None: images are taken as they are, and must all be of one size.
    """
    decoded = [_decode_all(pictures, size) for pictures in (parts.train, parts.test)]
    channels = max(len(image) for part in decoded for image in part)
    train, test = (
        ImageSet(_stack(part, pictures, decoded[0][0].shape[1:], channels), labels)
        for part, pictures, labels in zip(
            decoded, (parts.train, parts.test), (parts.train_labels, parts.test_labels)
        )
    )
    return Dataset(name, parts.class_names, train, test, *channel_statistics(train.images))


def streamed(name: str, parts: Parts, side: int, mean: np.ndarray, std: np.ndarray) -> Dataset:
    """Decode nothing yet: images (3, side, side), normalised by ``mean`` and ``std`` (3,)."""
    train, test = (StreamedImages(pictures, side) for pictures in (parts.train, parts.test))
    return Dataset(
        name,
        parts.class_names,
        ImageSet(train, parts.train_labels),
        ImageSet(test, parts.test_labels),
        mean,
        std,
    )


def _test_part(folder: Path, ending: str) -> Path:
    """The folder or file of the test images."""
    for part in TEST_PARTS:
        if exists(folder / f"{part}{ending}", DataError):
            return folder / f"{part}{ending}"
    raise DataError(
        f"{folder} holds train{ending}, but neither test{ending} nor val{ending}; put the test images there"
    )


def _hold_out(files: ImageFiles, names: Tuple[str, ...]) -> Tuple[ImageFiles, ImageFiles]:
    """Draw the test images, and return the training and the test images."""
    sizes = np.bincount(files.labels, minlength=len(names))
    if sizes.min() < 2:
        raise DataError(
            f"{files.folder / names[sizes.argmin()]} holds one image; there must be one for testing too"
        )
    counts = np.maximum(1, np.rint(sizes * TEST_SHARE)).astype(int)
    order = np.random.RandomState(TEST_SEED).permutation(len(files))
    test = take_per_class(files.labels, order, counts)
    return files.subset(np.setdiff1d(np.arange(len(files)), test)), files.subset(test)


def _decode_all(pictures: Pictures, size: Optional[int]) -> List[np.ndarray]:
    """Every image (C, H, W), with 1 channel or 3 as it is stored."""

    def decode(index: int) -> np.ndarray:
        image = pictures.picture(index, "")
        return to_array(image if size is None else centre_square(image, size, size))

    most = decode(0).nbytes * len(pictures)
    if most > MOST_IN_MEMORY:
        raise DataError(
            f"{len(pictures)} images like {pictures.where(0)} would take {most / 2**30:.1f} GiB of memory; "
            "set data.streamed to true, or data.size to fewer pixels"
        )
    with threads(len(pictures)) as pool:
        return list(pool.map(decode, range(len(pictures))))


def _stack(images: List[np.ndarray], pictures: Pictures, shape: Tuple[int, ...], channels: int) -> np.ndarray:
    """One array (N, channels, H, W); grey images among coloured ones get three equal channels."""
    for index, image in enumerate(images):
        if image.shape[1:] != shape:
            height, width = image.shape[1:]
            raise DataError(
                f"{pictures.where(index)}: {height} x {width} pixels, and the first image has "
                f"{shape[0]} x {shape[1]}; set data.size to bring all images to one size"
            )
    result = np.empty((len(images), channels, *shape), dtype=np.uint8)
    for place, image in zip(result, images):
        place[...] = image
    return result


def _sample_statistics(images: StreamedImages) -> Tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each channel over a few images."""
    chosen = np.random.RandomState(TEST_SEED).permutation(len(images))[:SAMPLE]
    return channel_statistics(images[chosen])
