"""A drawn photo: one object before a textured background, among clutter, lit, blurred and noisy."""

from __future__ import annotations

import colorsys
from typing import List, Optional, Sequence, Tuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from benchmarks.photos.shapes import SHAPES, Part

#: Sizes (width, height) of the photos in pixels.
SIZES = ((96, 96), (112, 84), (84, 112))
#: Drawing is done at this multiple of the size, so that edges are smooth.
FINER = 2
#: Least distance of an object's colours from the mean background, in values of 0 to 255.
APART = 90
#: Share of grey in the colours of a background; clutter has half of it.
DULL = 0.7
#: Share of the objects that have their class's usual hue, and its standard deviation (hues go from 0 to 1).
USUAL, HUE_SPREAD = 1.0, 0.03
#: Usual hue of each class.
HUES = {name: place / len(SHAPES) for place, name in enumerate(SHAPES)}

Colour = Tuple[int, int, int]


def draw_photo(name: str, rng: np.random.Generator) -> Image.Image:
    """Draw a photo of an object of the class ``name``."""
    width, height = SIZES[rng.integers(len(SIZES))]
    image = _background((width * FINER, height * FINER), rng)
    canvas = ImageDraw.Draw(image)
    behind = np.asarray(image).mean(axis=(0, 1))
    for _ in range(rng.integers(2, 6)):
        _draw_clutter(canvas, image.size, rng, largest=0.16)
    scale = rng.uniform(0.3, 0.42) * min(image.size)
    reach = [max(0.0, side / 2 - scale) for side in image.size]
    centre = [side / 2 + rng.uniform(-1, 1) * far for side, far in zip(image.size, reach)]
    place = _placement(centre, scale, rng.normal(0, 0.15), rng.uniform(0.85, 1.18))
    colours = [_colour(rng, unlike=behind) for _ in range(3)]
    if rng.random() < USUAL:
        colours[0] = _usual_colour(name, rng)
    _draw_parts(canvas, SHAPES[name](rng), place, colours)
    for _ in range(rng.integers(0, 2)):
        _draw_clutter(canvas, image.size, rng, largest=0.1)
    image = image.resize((width, height), Image.Resampling.BOX)
    image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0, 1.0)))
    return Image.fromarray(_light(np.asarray(image, dtype=np.float64), rng))


def _colour(rng: np.random.Generator, unlike: Optional[np.ndarray] = None) -> Colour:
    """Draw a colour; a distance of at least ``APART`` from the colour ``unlike`` (3,)."""
    while True:
        red, green, blue = (int(value) for value in rng.integers(20, 236, 3))
        if unlike is None or np.linalg.norm(unlike - (red, green, blue)) >= APART:
            return red, green, blue


def _usual_colour(name: str, rng: np.random.Generator) -> Colour:
    """Draw a colour of the class's usual hue."""
    hue = rng.normal(HUES[name], HUE_SPREAD) % 1.0
    red, green, blue = colorsys.hsv_to_rgb(hue, rng.uniform(0.5, 1.0), rng.uniform(0.4, 1.0))
    return int(255 * red), int(255 * green), int(255 * blue)


def _dull(colour: Colour, share: float) -> Colour:
    """Mix a colour with the grey of its mean."""
    grey = sum(colour) / 3
    red, green, blue = (int(value + share * (grey - value)) for value in colour)
    return red, green, blue


def _background(size: Tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """Blend two colours by smooth noise of a random grain, or by stripes."""
    cells = int(rng.integers(2, 24))
    mix = np.asarray(
        Image.fromarray((rng.random((cells, cells)) * 255).astype(np.uint8)).resize(
            size, Image.Resampling.BICUBIC
        ),
        dtype=np.float64,
    )
    if rng.random() < 0.3:
        rows, columns = np.mgrid[: size[1], : size[0]]
        angle, length = rng.uniform(0, np.pi), rng.uniform(12, 50)
        wave = np.sin((rows * np.sin(angle) + columns * np.cos(angle)) * 2 * np.pi / length)
        mix = 0.5 * mix + 64 * (1 + wave)
    first, second = (np.array(_dull(_colour(rng), DULL)) for _ in range(2))
    second = first + rng.uniform(0.3, 0.9) * (second - first)
    weight = (mix / 255)[..., None]
    return Image.fromarray(np.clip(first * (1 - weight) + second * weight, 0, 255).astype(np.uint8))


def _placement(centre: Sequence[float], scale: float, angle: float, aspect: float) -> np.ndarray:
    """Return the affine map (2, 3) of an object's coordinates to pixels."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    stretch = np.diag([scale * aspect**0.5, scale / aspect**0.5])
    return np.hstack([turn @ stretch, np.array(centre)[:, None]])


def _draw_parts(
    canvas: ImageDraw.ImageDraw, parts: List[Part], place: np.ndarray, colours: Sequence[Colour]
) -> None:
    """Fill the parts, each with a darker outline."""
    for part in parts:
        corners = np.array(part.corners) @ place[:, :2].T + place[:, 2]
        fill = colours[part.colour]
        outline = tuple(int(value * 0.6) for value in fill)
        canvas.polygon([(float(x), float(y)) for x, y in corners], fill=fill, outline=outline)


def _draw_clutter(
    canvas: ImageDraw.ImageDraw, size: Tuple[int, int], rng: np.random.Generator, largest: float
) -> None:
    """Draw a random polygon, an ellipse, or one part of an object of any class."""
    scale = rng.uniform(0.05, largest) * min(size)
    centre = rng.random(2) * size
    kind = rng.integers(3)
    if kind == 0:
        corners = [(float(x), float(y)) for x, y in rng.uniform(-1, 1, (rng.integers(3, 6), 2))]
        parts = [Part(corners, 0)]
    elif kind == 1:
        angles = np.linspace(0, 2 * np.pi, 24)
        parts = [Part([(np.cos(a), np.sin(a)) for a in angles], 0)]
    else:
        object_parts = list(SHAPES.values())[rng.integers(len(SHAPES))](rng)
        parts = [object_parts[rng.integers(len(object_parts))]]
    place = _placement(centre.tolist(), scale, rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 2))
    _draw_parts(canvas, parts, place, [_dull(_colour(rng), 0.5 * DULL)] * 3)


def _light(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Light (H, W, 3) from one side, tint it, change contrast, add noise; returns unsigned bytes."""
    height, width = pixels.shape[:2]
    rows, columns = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    angle, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.45)
    light = 1 + strength * (rows * np.sin(angle) + columns * np.cos(angle))
    tint = rng.uniform(0.85, 1.15, 3) * rng.uniform(0.6, 1.2)
    contrast = rng.uniform(0.6, 1.1)
    pixels = (pixels - 128) * contrast + 128
    pixels = pixels * light[..., None] * tint + rng.normal(0, rng.uniform(2, 9), pixels.shape)
    return np.clip(pixels, 0, 255).astype(np.uint8)
