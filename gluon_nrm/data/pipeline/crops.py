"""Augmentation of streamed images, as in ImageNet training: random crop, flip, colour, lighting.

The distributions are those of GluonCV's ImageNet training. GluonCV's transforms draw from three generators of
the process (Python's, numpy's, MXNet's), which cannot be seeded for each image in several threads. Here every
number comes from a generator of the image, and Pillow transforms the pixels.
"""

from __future__ import annotations

import math
from typing import List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from PIL import Image, ImageEnhance

from gluon_nrm.data.images.decoding import centre_square
from gluon_nrm.data.pipeline.augment import Augment, Augmentation
from gluon_nrm.data.sets.dataset import Dataset
from gluon_nrm.data.sets.streamed_images import StreamedImages
from gluon_nrm.errors import DataError

#: Attempts at a crop that fits; after that the centre is used.
ATTEMPTS = 10

# Principal components of ImageNet's RGB values (Krizhevsky et al. 2012, section 4.1), for values 0 to 255.
_EIGENVALUES = np.array([55.46, 4.794, 1.148])
_EIGENVECTORS = np.array([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])


class CropSettings(NamedTuple):
    """Ranges of random crops and colours."""

    area: float = 0.08  # smallest share of the image; the largest is all of it
    aspect: float = 4 / 3  # largest ratio of width to height; the smallest is its inverse
    jitter: float = 0.4  # brightness, contrast and saturation: factors from 1 - jitter to 1 + jitter
    lighting: float = 0.1  # standard deviation of the shift along each principal component of the colours


class RandomCrops:
    """Augmentation of streamed images; draws a seed for each image and decodes nothing.

    Args:
        side: height and width of a crop, in pixels.
        mirror: flip half of the images horizontally.
        settings: ranges of crops and colours; None: the defaults.
    """

    def __init__(self, side: int, mirror: bool, settings: Optional[CropSettings] = None) -> None:
        self.side = side
        self.mirror = mirror
        self.settings = settings or CropSettings()

    def __call__(self, images: StreamedImages, rng: np.random.Generator) -> StreamedImages:
        """Return the images (B, 3, side, side) with this augmentation, applied when they are decoded."""
        return self.apply(images, self.draw(len(images), rng))

    def draw(self, count: int, rng: np.random.Generator) -> List[np.ndarray]:
        """Draw a seed for each image."""
        return [rng.integers(2**63, size=count)]

    def apply(self, images: StreamedImages, drawn: Sequence[np.ndarray]) -> StreamedImages:
        """Return the images with the augmentation of seeds ``drawn[0]``, applied when they are decoded."""
        return images.changed(self.change, drawn[0])

    def check(self, input_shape: Tuple[int, ...]) -> None:
        """Accept images of any size: crops are resized."""

    def change(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        """Crop, resize, flip and recolour one RGB image; the result has ``side`` x ``side`` pixels."""
        box = random_box(image.size, self.settings, rng)
        if box is None:
            image = centre_square(image, self.side, self.side)
        else:
            image = image.resize((self.side, self.side), Image.Resampling.BILINEAR, box)
        if self.mirror and rng.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return relight(jittered(image, self.settings.jitter, rng), self.settings.lighting, rng)


def random_box(
    size: Tuple[int, int], settings: CropSettings, rng: np.random.Generator
) -> Optional[Tuple[int, int, int, int]]:
    """Draw left, top, right and bottom of a crop of an image of ``size`` (width, height).

    Its share of the area and the logarithm of its aspect ratio are uniform (Szegedy et al. 2015, section 6).
    None if no attempt fits into the image.
    """
    width, height = size
    limit = math.log(settings.aspect)
    for _ in range(ATTEMPTS):
        area = rng.uniform(settings.area, 1) * width * height
        aspect = math.exp(rng.uniform(-limit, limit))
        across, down = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < across <= width and 0 < down <= height:
            left, top = rng.integers(width - across + 1), rng.integers(height - down + 1)
            return int(left), int(top), int(left) + across, int(top) + down
    return None


def jittered(image: Image.Image, jitter: float, rng: np.random.Generator) -> Image.Image:
    """Change brightness, contrast and saturation, in random order, by factors within ``jitter`` of 1."""
    if not jitter:
        return image
    kinds = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
    for kind in rng.permutation(len(kinds)):
        image = kinds[kind](image).enhance(rng.uniform(1 - jitter, 1 + jitter))
    return image


def relight(image: Image.Image, deviation: float, rng: np.random.Generator) -> Image.Image:
    """Add to all pixels a random colour along the principal components of ImageNet's colours."""
    if not deviation:
        return image
    shift = _EIGENVECTORS @ (rng.normal(0, deviation, 3) * _EIGENVALUES)
    values = np.arange(256) + shift[:, None]
    return image.point(np.clip(np.rint(values), 0, 255).astype(int).ravel().tolist())


def make_augmentation(
    dataset: Dataset,
    *,
    shift: int,
    mirror: bool,
    area: Optional[float] = None,
    aspect: Optional[float] = None,
    jitter: Optional[float] = None,
    lighting: Optional[float] = None,
) -> Augmentation:
    """Make the augmentation of a recipe: random crops if the data set is streamed, else translation and flip.

    Those of the settings that are None have the default of ``CropSettings``.

    Args:
        dataset: the data set that is augmented.
        shift: as in ``Augment``.
        mirror: as in ``Augment``.
        area: as in ``CropSettings``.
        aspect: as in ``CropSettings``.
        jitter: as in ``CropSettings``.
        lighting: as in ``CropSettings``.

    Raises:
        DataError: a setting is for the other kind of data set.
    """
    given = {"area": area, "aspect": aspect, "jitter": jitter, "lighting": lighting}
    chosen = {key: value for key, value in given.items() if value is not None}
    if dataset.streamed:
        if shift:
            raise DataError(
                f"data.shift: {shift} pixels, but the images of '{dataset.name}' are streamed and cropped at "
                "random; set data.shift to 0"
            )
        return RandomCrops(dataset.input_shape[1], mirror, CropSettings(**chosen))
    for key in chosen:
        name = f"crop_{key}" if key in ("area", "aspect") else key
        raise DataError(f"data.{name}: '{dataset.name}' is kept in memory and not cropped; leave it out")
    return Augment(shift, mirror)
