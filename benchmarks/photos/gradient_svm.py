"""A support vector machine on histograms of gradients (Dalal and Triggs 2005): the baseline of the photos.

    PYTHONPATH=. python benchmarks/photos/gradient_svm.py FOLDER [--json FILE]

FOLDER is what draw_data_set.py made. Trained on the labelled photos and their mirror images; cross-validation
on the labelled photos alone chooses C. Prints the test error.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Dict, Tuple

import numpy as np
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from benchmarks.harness import write_json
from gluon_nrm.console.tool import run_tool
from gluon_nrm.data.images.decoding import centre_square, decode

#: Side of the photos in pixels, as in recipes/photos.yaml; side of a cell; cells of a block; orientations.
SIDE, CELL, BLOCK, ORIENTATIONS = 64, 8, 2, 9
#: Largest entry of a normalised block.
CLIP = 0.2
FOLDS = 5
CHOICES = (0.1, 1.0, 10.0, 100.0)
"""Values of C that are tried."""


def read_photos(folder: Path) -> Tuple[np.ndarray, np.ndarray]:
    """Read the photos in the class folders of ``folder``: (N, side, side, 3) from 0 to 255, classes (N,)."""
    names = sorted(path.name for path in folder.iterdir())
    images, labels = [], []
    for label, name in enumerate(names):
        for path in sorted((folder / name).iterdir()):
            larger = round(SIDE / 0.875)  # the central crop that the networks are evaluated on
            images.append(np.asarray(centre_square(decode(path, path), larger, SIDE), dtype=np.float64))
            labels.append(label)
    return np.stack(images), np.array(labels)


def gradient_histograms(images: np.ndarray) -> np.ndarray:
    """Return histograms of oriented gradients of ``images`` (N, H, W, 3), (N, features).

    At each pixel the channel with the largest gradient counts. Orientations are unsigned; a gradient is
    divided between the two nearest. Blocks of 2 x 2 cells overlap, and are normalised, clipped and
    normalised again.
    """
    across, down = np.zeros_like(images), np.zeros_like(images)
    across[:, :, 1:-1] = images[:, :, 2:] - images[:, :, :-2]
    down[:, 1:-1] = images[:, 2:] - images[:, :-2]
    strength = np.hypot(across, down)
    strongest = strength.argmax(axis=3)[..., None]
    across, down, strength = (
        np.take_along_axis(each, strongest, axis=3)[..., 0] for each in (across, down, strength)
    )
    place = (np.arctan2(down, across) % np.pi) * ORIENTATIONS / np.pi - 0.5
    low = np.floor(place)
    count, height, width = strength.shape
    cells = np.zeros((count, height // CELL, width // CELL, ORIENTATIONS))
    for orientation, share in ((low, 1 - (place - low)), (low + 1, place - low)):
        for k in range(ORIENTATIONS):
            votes = strength * share * (orientation % ORIENTATIONS == k)
            cells[..., k] += votes.reshape(count, height // CELL, CELL, width // CELL, CELL).sum(axis=(2, 4))
    rows, columns = (side - BLOCK + 1 for side in cells.shape[1:3])
    blocks = np.concatenate(
        [cells[:, i : i + rows, j : j + columns] for i in range(BLOCK) for j in range(BLOCK)], axis=3
    )
    blocks = np.minimum(blocks / _norm(blocks), CLIP)
    return (blocks / _norm(blocks)).reshape(count, -1)


def _norm(blocks: np.ndarray) -> np.ndarray:
    return np.sqrt((blocks**2).sum(axis=3, keepdims=True) + 1e-4)


def svm_error(folder: Path) -> Dict[str, float]:
    """Train on FOLDER/labelled; return the error on FOLDER/test in per cent, and the C that was chosen."""
    images, labels = read_photos(folder / "labelled")
    both = np.concatenate([images, images[:, :, ::-1]])
    groups = np.tile(np.arange(len(labels)), 2)  # a photo and its mirror image are held out together
    choice = GridSearchCV(
        make_pipeline(StandardScaler(with_std=False), SVC(gamma="scale")),
        {"svc__C": CHOICES},
        cv=GroupKFold(FOLDS).split(both, np.tile(labels, 2), _shuffled(groups)),
    ).fit(gradient_histograms(both), np.tile(labels, 2))
    tests, truth = read_photos(folder / "test")
    wrong = choice.predict(gradient_histograms(tests)) != truth
    return {"error": 100 * float(wrong.mean()), "C": float(choice.best_params_["svc__C"])}


def _shuffled(groups: np.ndarray) -> np.ndarray:
    """Renumber the groups at random, so that a fold has photos of all classes."""
    return np.random.RandomState(0).permutation(groups.max() + 1)[groups]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", help="file to write the figures to")
    given = parser.parse_args()
    found = svm_error(given.folder)
    write_json(given.json, found)
    print(f"test error {found['error']:.2f} %, C {found['C']:g}")
    return 0


if __name__ == "__main__":
    run_tool(lambda _: main())
