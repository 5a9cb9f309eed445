"""Predictions as a table for people, or as JSON for programs."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Sequence

from gluon_nrm.deploy.classifier import Classifier
from gluon_nrm.deploy.predict import Guess, Prediction


def to_table(predictions: Sequence[Prediction]) -> str:
    """Lay out a line an image: file, class, probability, and the classes that come after it."""
    header = ["image", "class", "probability"]
    rows = [[str(each.file), each.top[0].name, _per_cent(each.top[0])] for each in predictions]
    if any(len(each.top) > 1 for each in predictions):
        header.append("then")
        for row, each in zip(rows, predictions):
            row.append(", ".join(f"{guess.name} {_per_cent(guess)}" for guess in each.top[1:]))
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if name == "probability" else cell.ljust(width)
            for name, cell, width in zip(header, row, widths)
        ).rstrip()
        for row in [header, *rows]
    )


def to_json(classifier: Classifier, predictions: Sequence[Prediction]) -> str:
    """Write an object with the model and a list of images, each with its classes, best first."""
    images: List[Dict[str, Any]] = [
        {
            "file": str(each.file),
            "class": each.top[0].name,
            "probability": each.top[0].probability,
            "top": [
                {"index": guess.index, "class": guess.name, "probability": guess.probability}
                for guess in each.top
            ],
        }
        for each in predictions
    ]
    model = {
        "name": classifier.name, "network": classifier.network, "head": classifier.head,
        "backend": classifier.backend,
    }  # fmt: skip
    return json.dumps({"model": model, "images": images}, indent=2, ensure_ascii=False)


def _per_cent(guess: Guess) -> str:
    return f"{100 * guess.probability:.2f} %"
