"""Pictures of a confusion matrix and of mistakes, of few, many and odd classes; curves of several runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, List

import numpy as np
import pytest
from matplotlib.image import imread

from gluon_nrm.runs import evaluation_figures as figures
from gluon_nrm.runs import overlay_figure
from gluon_nrm.runs.evaluation_figures import Mistake, plot_confusion, plot_mistakes
from gluon_nrm.runs.figures import figure_text
from gluon_nrm.runs.overlay_figure import RunCurves, plot_runs


def drawn(monkeypatch: pytest.MonkeyPatch) -> List[Any]:
    """Keep the figures that are saved, beside the files."""
    kept: List[Any] = []
    for module in (figures, overlay_figure):
        save = module.save

        def keep(figure: Any, path: Path, save: Any = save) -> None:
            kept.append(figure)
            save(figure, path)

        monkeypatch.setattr(module, "save", keep)
    return kept


def test_a_small_confusion_matrix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = drawn(monkeypatch)
    counts = np.array([[8, 2, 0], [0, 9, 1], [0, 0, 0]])  # no image of the last class
    plot_confusion(counts, ["cat", "$dog$", "a very long name of a class"], tmp_path / "a.png", "title")
    axes = kept[0].axes[0]
    names = ["cat", r"\$dog\$", "a very long name …"]
    texts = [text.get_text() for text in axes.texts]
    assert texts[:4] == ["8", "2", "9", "1"] and texts[4::2] == texts[5::2] == names
    picture = axes.images[0].get_array()
    assert picture[0, 1, 0] > picture[0, 1, 1] + 0.3  # a mistake is red
    assert np.ptp(picture[0, 0, :3]) == 0 and picture[0, 0, 0] < 0.7  # right predictions are grey
    assert imread(tmp_path / "a.png").shape[1] > 400


def test_a_hundred_classes_stay_legible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every class has its name, in letters that are not smaller than six points and do not overlap."""
    kept, rng = drawn(monkeypatch), np.random.default_rng(0)
    counts = np.diag(np.full(100, 90)) + rng.integers(0, 2, (100, 100))
    plot_confusion(counts, [f"class_number_{k}" for k in range(100)], tmp_path / "a.png")
    axes = kept[0].axes[0]
    labels = axes.texts[::2]
    assert len(axes.texts) == 200 and min(label.get_fontsize() for label in labels) >= 6
    boxes = sorted((label.get_window_extent() for label in labels), key=lambda box: box.y0)
    assert all(low.y1 <= high.y0 + 1 for low, high in zip(boxes, boxes[1:]))
    assert min(box.x0 for box in boxes) > 30  # beside them is the axis' name
    assert max(imread(tmp_path / "a.png").shape) < 4000


def test_of_a_thousand_classes_the_worst_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = drawn(monkeypatch)
    monkeypatch.setattr(figures, "MOST_CLASSES", 3)
    counts = np.diag(np.full(1000, 50))
    counts[700, 20], counts[20, 20], counts[5, 6] = 9, 41, 1
    plot_confusion(counts, [str(k) for k in range(1000)], tmp_path / "a.png")
    assert [text.get_text() for text in kept[0].axes[0].texts][-6::2] == ["5", "20", "700"]
    assert kept[0]._suptitle.get_text() == "the 3 of 1000 classes with the most mistakes"


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 12, 6), (3, 4, 20)])
def test_mistakes(shape: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, rng = drawn(monkeypatch), np.random.default_rng(0)
    found = [
        Mistake(rng.random(shape), f"true {k}", "猫 $x$", 0.5 + k / 100, f"a/{k}.png") for k in range(30)
    ]
    plot_mistakes(found, tmp_path / "a.png", "toy")
    texts = [text.get_text() for text in kept[0].axes[0].texts]
    assert texts[:3] == ["true true 0", r"predicted 猫 \$x\$, 50.0 %", "a/0.png"]
    images = kept[0].axes[0].images
    assert (len(texts), len(images)) == (3 * figures.MOST_MISTAKES, figures.MOST_MISTAKES)
    boxes = [image.get_window_extent() for image in images[:2]]
    assert boxes[0].width / boxes[0].height == pytest.approx(shape[2] / shape[1], rel=0.02)
    assert boxes[0].x1 < boxes[1].x0
    assert imread(tmp_path / "a.png")[..., :3].std() > 0.1


def test_no_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = drawn(monkeypatch)
    plot_mistakes([], tmp_path / "a.png")
    assert [text.get_text() for text in kept[0].axes[0].texts] == ["no mistakes"]


def test_text_of_figures() -> None:
    assert figure_text("a\nb\udcff", 20) == r"a\nb\xff"
    assert figure_text("$" * 30, 4) == r"\$\$\$…"


def curves(name: str, group: str, network: str = "student") -> RunCurves:
    rows = [
        {"epoch": e, "loss/total": 3 / e, f"error/{network}": 90 / e, "error/student": 95 / e}
        for e in (1, 2, 3)
    ]
    return RunCurves(name, group, rows, network)


def legend(figure: Any) -> List[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_curves_of_several_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = drawn(monkeypatch)
    runs = [
        curves("a-s0", "a"),
        curves("a-s1", "a"),
        curves("b-s0", "b", "teacher"),
        RunCurves("new", "c", [], "student"),
    ]
    plot_runs(runs, tmp_path / "a.png", "toy")
    losses, errors = kept[0].axes
    assert [line.get_label() for line in errors.lines] == [
        "a-s0",
        "a-s1",
        "b-s0",
    ]  # nothing is known of "new"
    assert [line.get_color() == errors.lines[0].get_color() for line in errors.lines] == [True, True, False]
    assert errors.lines[2].get_ydata()[0] == 90  # the teacher's
    assert len(losses.lines) == 3 and losses.lines[2].get_color() == errors.lines[2].get_color()
    assert legend(kept[0]) == ["a-s0", "a-s1", "b-s0"]
    many = [curves(f"a-s{seed}", "a") for seed in range(13)]
    plot_runs(many, tmp_path / "b.png")
    assert legend(kept[1]) == ["a (13 runs)"]
    plot_runs([], tmp_path / "c.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png", "c.png"]
