"""Writing of predictions, one by one, as a table or as JSON."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, TextIO, Type, Union

from gluon_nrm.console.unicode_output import on_one_line, to_json
from gluon_nrm.predict.classifier import FileClassifier
from gluon_nrm.predict.predict_images import Guess, ImagePrediction

TABLE, JSON = "table", "json"
#: Largest width of the columns of files and classes, in letters.
WIDEST = 48


class TableWriter:
    """Writes one line per image: file, class, probability, and the next classes.

    Args:
        classifier: the classifier that predicts.
        files: all files, for the width of their column.
        top: number of classes per image.
        stream: where to write; None: standard output.
    """

    def __init__(
        self, classifier: FileClassifier, files: Sequence[Path], top: int, stream: Optional[TextIO] = None
    ) -> None:
        self._stream, self._header = stream or sys.stdout, ["image", "class", "probability"]
        if min(top, len(classifier.class_names)) > 1:
            self._header.append("then")
        self._widths = [
            _width("image", files), _width("class", classifier.class_names), len("probability"), 0
        ]  # fmt: skip
        self._begun = False

    def write(self, prediction: ImagePrediction) -> None:
        """Write one line; before the first one, the header."""
        if not self._begun:
            self._begun = True
            self._line(self._header)
        first, *others = prediction.top
        row = [on_one_line(prediction.file), on_one_line(first.name), _per_cent(first)]
        self._line([*row, ", ".join(f"{on_one_line(guess.name)} {_per_cent(guess)}" for guess in others)])

    def refuse(self, file: Path, reason: str) -> None:
        """Do nothing: the table holds classified images only."""

    def close(self) -> None:
        """Do nothing: the table needs no end."""

    def _line(self, cells: Sequence[str]) -> None:
        padded = [
            cell.rjust(width) if name == "probability" else cell.ljust(width)
            for name, cell, width in zip(self._header, cells, self._widths)
        ]
        self._stream.write("  ".join(padded).rstrip() + "\n")
        self._stream.flush()


class JsonWriter:
    """Writes one JSON object: the model, a list of images with their classes, and the refused images.

    The object is complete after ``close``, also after an error. Arguments are those of ``TableWriter``.
    """

    def __init__(
        self, classifier: FileClassifier, files: Sequence[Path], top: int, stream: Optional[TextIO] = None
    ) -> None:
        self._stream = stream or sys.stdout
        self._model = {
            "name": classifier.name, "network": classifier.network, "output": classifier.output,
            "backend": classifier.backend,
        }  # fmt: skip
        self._refused: List[Dict[str, str]] = []
        self._images = 0

    def write(self, prediction: ImagePrediction) -> None:
        """Write one image; before the first one, the model."""
        first = prediction.top[0]
        image = {
            "file": str(prediction.file), "class": first.name, "probability": first.probability,
            "top": [
                {"index": guess.index, "class": guess.name, "probability": guess.probability}
                for guess in prediction.top
            ],
        }  # fmt: skip
        self._put(("," if self._images else self._opening()) + "\n" + self._indented(image, 4))
        self._images += 1

    def refuse(self, file: Path, reason: str) -> None:
        """Remember a refused image, to write it at the end of the object."""
        self._refused.append({"file": str(file), "reason": reason})

    def close(self) -> None:
        """End the object, if an image was written or refused."""
        if not self._images and not self._refused:
            return
        ended = "\n  ]" if self._images else self._opening() + "]"
        refused = f',\n  "refused": {self._indented(self._refused, 2).lstrip()}' if self._refused else ""
        self._put(f"{ended}{refused}\n}}\n")

    def _opening(self) -> str:
        return f'{{\n  "model": {self._indented(self._model, 2).lstrip()},\n  "images": ['

    def _indented(self, value: Any, spaces: int) -> str:
        text = to_json(value, self._stream.encoding or "utf-8", indent=2)
        return "\n".join(" " * spaces + line for line in text.split("\n"))

    def _put(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


Writer = Union[TableWriter, JsonWriter]
WRITERS: Dict[str, Type[Writer]] = {TABLE: TableWriter, JSON: JsonWriter}


def _width(title: str, names: Sequence[object]) -> int:
    return max(len(title), min(WIDEST, max(len(on_one_line(name)) for name in names)))


def _per_cent(guess: Guess) -> str:
    return f"{100 * guess.probability:.2f} %"
