"""Predictions as a table for people, or as JSON for programs, written as they come."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, TextIO, Type, Union

from gluon_nrm.console.streams import on_one_line, to_json
from gluon_nrm.predict.classifier import Classifier
from gluon_nrm.predict.predict_images import Guess, Prediction

TABLE, JSON = "table", "json"
#: Columns of files and classes are as wide as their longest name, up to so many letters.
WIDEST = 48


class TableAnswers:
    """Writes a line an image: file, class, probability, and the classes that come after it.

    Args:
        classifier: whose predictions they are.
        files: all that will be classified, for the width of their column.
        top: classes of each image.
        stream: standard output if None.
    """

    def __init__(
        self, classifier: Classifier, files: Sequence[Path], top: int, stream: Optional[TextIO] = None
    ) -> None:
        self._stream, self._header = stream or sys.stdout, ["image", "class", "probability"]
        if min(top, len(classifier.class_names)) > 1:
            self._header.append("then")
        self._widths = [
            _width("image", files), _width("class", classifier.class_names), len("probability"), 0
        ]  # fmt: skip
        self._begun = False

    def write(self, prediction: Prediction) -> None:
        """Write one line, and the header before the first one."""
        if not self._begun:
            self._begun = True
            self._line(self._header)
        first, *others = prediction.top
        row = [on_one_line(prediction.file), on_one_line(first.name), _per_cent(first)]
        self._line([*row, ", ".join(f"{on_one_line(guess.name)} {_per_cent(guess)}" for guess in others)])

    def refuse(self, file: Path, reason: str) -> None:
        """Do nothing: the table holds what was classified."""

    def close(self) -> None:
        """Do nothing: every line stands by itself."""

    def _line(self, cells: Sequence[str]) -> None:
        padded = [
            cell.rjust(width) if name == "probability" else cell.ljust(width)
            for name, cell, width in zip(self._header, cells, self._widths)
        ]
        self._stream.write("  ".join(padded).rstrip() + "\n")
        self._stream.flush()


class JsonAnswers:
    """Writes an object: the model, a list of images with their classes, best first, and those refused.

    It is whole after ``close``, whatever went wrong before. Arguments are those of ``TableAnswers``.
    """

    def __init__(
        self, classifier: Classifier, files: Sequence[Path], top: int, stream: Optional[TextIO] = None
    ) -> None:
        self._stream = stream or sys.stdout
        self._model = {
            "name": classifier.name, "network": classifier.network, "output": classifier.output,
            "backend": classifier.backend,
        }  # fmt: skip
        self._refused: List[Dict[str, str]] = []
        self._images = 0

    def write(self, prediction: Prediction) -> None:
        """Write one image, and the model before the first one."""
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
        """Keep an image that could not be read for the end of the object."""
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


Answers = Union[TableAnswers, JsonAnswers]
ANSWERS: Dict[str, Type[Answers]] = {TABLE: TableAnswers, JSON: JsonAnswers}


def _width(title: str, names: Sequence[object]) -> int:
    return max(len(title), min(WIDEST, max(len(on_one_line(name)) for name in names)))


def _per_cent(guess: Guess) -> str:
    return f"{100 * guess.probability:.2f} %"
