"""Figure 4 of a run: which images, what is drawn of each layer, and the tool."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Dict, List, Tuple

import mxnet as mx
import numpy as np
import picture_files as files
import pytest
from matplotlib.image import imread
from short_runs import FULL, SUPERVISED, recipe

from gluon_nrm.errors import CheckpointError, RunError
from gluon_nrm.models import Reconstructor
from gluon_nrm.runs.figures import plot_layer_rows
from gluon_nrm.runs.run_folder import RunFolder
from gluon_nrm.training import draw_renderings as drawing
from gluon_nrm.training import fit as fit_module
from gluon_nrm.training.draw_renderings import one_of_each, render_run, shown_layers
from gluon_nrm.training.fit import fit
from gluon_nrm.training.restore import restore

pytestmark = pytest.mark.filterwarnings("ignore:.* is not used by any computation")


def train(root: Path, text: str, *overrides: str) -> RunFolder:
    short = recipe(text, "train.epochs=1", "train.epoch_steps=1", *overrides)
    return fit(short, root=root, devices="cpu", stream=io.StringIO())


def test_one_of_each_class_after_the_other() -> None:
    labels = np.array([1, 0, 2, 0, 1, 1, 0, 2, 1, 0])
    assert one_of_each(labels, 3, 3).tolist() == [1, 4, 7]
    assert one_of_each(labels, 2, 4).tolist() == [1, 4, 6, 8]
    # behind the last, from the beginning again; of class 2 there are two
    assert one_of_each(labels, 3, 10).tolist() == [1, 4, 7, 9, 0, 2, 3, 5, 6, 8]


def test_images_sorted_by_class_are_picked_by_class() -> None:
    labels = np.repeat([0, 1, 2], 4)
    assert one_of_each(labels, 3, 10).tolist() == [0, 4, 8, 1, 5, 9, 2, 6, 10, 3]
    assert one_of_each(labels[::-1], 3, 4).tolist() == [8, 4, 0, 9]
    assert one_of_each(np.array([0, 2, 2]), 3, 10).tolist() == [0, 1, 2]  # none of class 1
    assert sorted(one_of_each(labels, 3, 99)) == list(range(12))


def test_shown_layers() -> None:
    assert shown_layers(4) == shown_layers(4, 8) == [4, 3, 2, 1]
    assert shown_layers(9, 3) == [9, 5, 1]


def test_what_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit_module, "draw", lambda *_: None)
    run = train(tmp_path, FULL, "model.channels=[6, pool, 12]", "model.dropout=0")
    seen: Dict[str, Any] = {}

    def look(columns: Any, path: Path, **more: Any) -> None:
        seen.update(columns, **more)

    monkeypatch.setattr(drawing, "plot_rendering_grid", look)
    assert render_run(run.path, 4, devices="cpu") == run.figures / "figure4.png"
    branches = ["rendered,\nMax branch", "rendered,\nMin branch"]
    assert list(seen) == ["image", "layer 2,\nclass template", "layer 1", *branches, "labels", "title"]
    assert "after epoch 1" in seen["title"]
    parts = restore(run.path, devices="cpu").parts
    result = Reconstructor(parts.networks["teacher"])(mx.nd.array(seen["image"]), mx.nd.arange(4))
    np.testing.assert_allclose(seen[branches[0]], result.images[0].asnumpy(), atol=1e-5)
    guesses = parts.networks["teacher"](mx.nd.array(seen["image"])).logits.asnumpy().argmax(axis=1)
    assert seen["labels"] == [f"true {true}\npredicted {guess}" for true, guess in enumerate(guesses)]
    np.testing.assert_allclose(seen["layer 1"], result.features[0][0].asnumpy(), atol=1e-5)
    # the class template, the same on all pixels, is laid out as a picture
    template = result.features[0][1].asnumpy()
    laid_out = seen["layer 2,\nclass template"]
    assert (laid_out.shape, template.shape) == ((4, 1, 3, 4), (4, 12, 4, 4))
    np.testing.assert_allclose(laid_out.reshape(4, 12), template[:, :, 2, 1], atol=1e-5)
    # the paper's layout has the same pictures, the image last
    columns = dict(seen)
    rows: Dict[str, Any] = {}
    monkeypatch.setattr(drawing, "plot_layer_rows", lambda *given: rows.update(given[0], heads=given[2]))
    render_run(run.path, 4, by_layer=True, devices="cpu")
    lowest = ["layer 0,\nMax branch", "layer 0,\nMin branch", "original"]
    assert list(rows) == ["layer 2,\nclass template", "layer 1", *lowest, "heads"]
    for row, column in zip(rows, ["layer 2,\nclass template", "layer 1", *branches, "image"]):
        np.testing.assert_allclose(rows[row], columns[column], atol=1e-6)
    assert rows["heads"] == [
        str(true) if true == guess else f"{true}\npredicted {guess}" for true, guess in enumerate(guesses)
    ]


def test_the_paper_s_layout_has_layers_below_each_other(tmp_path: Path) -> None:
    """One image of six is exchanged, and the picture changes where that image is."""
    path, image = tmp_path / "rows.png", np.eye(4)[None]

    def draw(*exchanged: Tuple[int, int]) -> np.ndarray:
        maps = np.stack([[image[:, ::-1] if (row, column) in exchanged else image for column in range(3)]
                         for row in range(2)])  # fmt: skip
        plot_layer_rows([("layer 1", maps[0]), ("original", maps[1])], path, ["a", "b", "c"])
        return imread(str(path))[..., :3].mean(axis=-1)

    before = draw()
    for row, column in ((0, 2), (1, 0)):
        y, x = np.nonzero(np.abs(draw((row, column)) - before) > 0.5)
        assert (y.mean() > before.shape[0] / 2, x.mean() > before.shape[1] / 2) == (row == 1, column == 2)
        assert np.ptp(x) < before.shape[1] / 3
    with pytest.raises(ValueError, match="2 heads for rows of"):
        plot_layer_rows([("layer 1", np.zeros((3, 1, 2, 2)))], path, ["a", "b"])


def test_the_picture_and_the_mistakes(tmp_path: Path) -> None:
    run = train(tmp_path, FULL)
    picture = render_run(run.path, 3, tmp_path / "mine.png", devices="cpu")
    assert imread(str(picture)).shape[0] > 300
    with pytest.raises(RunError, match=r"images: 501, but there are 500 test images; ask for fewer"):
        render_run(run.path, 501, devices="cpu")
    flat = train(tmp_path / "flat", SUPERVISED, "model.render=false")
    with pytest.raises(RunError, match="its network does not render"):
        render_run(flat.path, devices="cpu")
    for path in flat.checkpoints.glob("*/state.json"):
        path.unlink()
    with pytest.raises(CheckpointError):
        render_run(flat.path, devices="cpu")


@pytest.mark.parametrize("classes", [("apple", "bee", "cat"), ("apple", "bee"), tuple("abcdefghijkl")])
def test_one_image_of_each_class_is_drawn_by_default(
    classes: Tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their test images are sorted by class."""
    files.class_folders(tmp_path / "m", dict.fromkeys(classes, 20), height=12, width=12)
    seen: List[Any] = []
    monkeypatch.setattr(drawing, "plot_rendering_grid", lambda *_, **more: seen.append(more["labels"]))
    data = f"data: {{name: folder, path: {tmp_path / 'm'}, labels: {2 * len(classes)}}}"
    run = train(tmp_path / "runs", data + FULL[FULL.index("\n") :], "model.channels=[4, pool, 4]")
    render_run(run.path, devices="cpu")
    expected = [f"true {name}" for name in classes[:10]]
    assert [[label.split("\n")[0] for label in labels] for labels in seen] == [expected, expected]
