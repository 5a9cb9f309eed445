"""Drawing of images beside their renderings, as a PNG file; needs Pillow only."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, List, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gluon_nrm.console.unicode_output import on_one_line
from gluon_nrm.errors import DeployError
from gluon_nrm.predict.predict_images import ImagePrediction
from gluon_nrm.storage.files import atomic_path, exists, os_errors

#: Most images in one file.
MOST = 100
#: Smallest side of a picture, space around it, and height of a line of text, all in pixels.
CELL, MARGIN, LINE = 96, 8, 14
#: Most letters of a file's name that are shown.
LETTERS = 40


def draw(predictions: Sequence[ImagePrediction], names: Sequence[str], path: Path) -> None:
    """Draw one row per image: the image as the network took it, and the rendering of each branch.

    Every picture is scaled to its own range, as in Figure 4.

    Args:
        predictions: with their pictures.
        names: headings of the renderings.
        path: the PNG file.

    Raises:
        DeployError: the file cannot be written.
    """
    font, columns = ImageFont.load_default(), ["image", *names]
    _, height, width = predictions[0].pictures[0].shape
    scale = max(1, -(-CELL // min(height, width)))
    step = (max(width * scale, _width(columns, font)) + MARGIN, height * scale + LINE + MARGIN)
    texts = [_lines(prediction) for prediction in predictions]
    left, top = MARGIN + len(columns) * step[0], LINE + MARGIN
    right = left + _width([line for text in texts for line in text], font) + MARGIN
    sheet = Image.new("RGB", (right, top + len(texts) * step[1]), "white")
    pen = ImageDraw.Draw(sheet)
    for column, name in enumerate(columns):
        pen.text((MARGIN + column * step[0], 2), name, fill="black", font=font)
    for row, (prediction, text) in enumerate(zip(predictions, texts)):
        for column, picture in enumerate(prediction.pictures):
            sheet.paste(_cell(picture, scale), (MARGIN + column * step[0], top + row * step[1]))
        for line, words in enumerate(text):
            pen.text((left, top + row * step[1] + line * LINE), words, fill="black", font=font)
    with os_errors(DeployError, "draw", path), atomic_path(path) as temporary:
        sheet.save(temporary, "PNG")


def check_picture(path: Path, images: int) -> None:
    """Check that a picture can be drawn, before anything is computed.

    Raises:
        DeployError: the file exists or is no PNG file, or there are too many images.
    """
    if path.suffix.lower() != ".png":
        raise DeployError(f"--render: {path} does not end with .png; pictures are PNG files")
    if exists(path, DeployError):
        raise DeployError(f"--render: {path} is there already; give another name, or remove it")
    if images > MOST:
        raise DeployError(f"--render: {images} images, and one picture holds {MOST}; give fewer")


def _cell(picture: np.ndarray, scale: int) -> Image.Image:
    """Draw one picture (C, H, W) with every pixel ``scale`` pixels wide; a constant one is grey."""
    low, high = float(picture.min()), float(picture.max())
    scaled = (picture - low) / (high - low) if high > low else np.full_like(picture, 0.5)
    pixels = np.rint(255 * scaled).astype(np.uint8).transpose(1, 2, 0)
    image = Image.fromarray(np.ascontiguousarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels))
    return image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)


def _width(lines: Sequence[str], font: Any) -> int:
    pen = ImageDraw.Draw(Image.new("L", (1, 1)))
    return math.ceil(max(pen.textlength(line, font) for line in lines))


def _lines(prediction: ImagePrediction) -> List[str]:
    """Make the text beside a row, in the letters that Pillow's font has in every version."""
    name, best = prediction.file.name, prediction.top[0]
    shown = name if len(name) <= LETTERS else f"{name[: LETTERS - 3]}..."
    texts = (on_one_line(shown), f"{on_one_line(best.name)}  {100 * best.probability:.2f} %")
    return [text.encode("latin-1", "replace").decode("latin-1") for text in texts]
