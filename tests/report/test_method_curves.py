"""Training curves of all methods: from run folders, from a stored file, and as a figure."""

from __future__ import annotations

from pathlib import Path
from typing import Any, List

import numpy as np
import pytest
from fakes import ROOT

from gluon_nrm.errors import RunError
from gluon_nrm.recipe import recipe_to_yaml
from gluon_nrm.report import method_curves_figure
from gluon_nrm.report.method_curves import Curve, read_curves, write_curves
from gluon_nrm.report.method_curves_figure import mean_and_spread, plot_method_curves
from gluon_nrm.report.paper_tables import get_table
from gluon_nrm.report.table_files import make_table
from gluon_nrm.runs.open_run import open_run

RECIPES = ROOT / "recipes"
DIGITS = get_table("table3", "digits")


def make_run(root: Path, method: str, seed: int, *errors: float) -> None:
    """A finished run of 50 labels, with an error of the student each epoch, and a teacher's 1 % above it."""
    cell = next(each for each in DIGITS.cells if (each.method, each.column.name) == (method, "50"))
    recipe = cell.load(RECIPES, f"train.seed={seed}", f"data.split_seed={seed}")
    with open_run(root, f"{recipe.name}-s{seed}", recipe_to_yaml(recipe), {}) as run:
        for epoch, error in enumerate(errors, start=1):
            run.append_metrics({"epoch": epoch, "error/student": error, "error/teacher": error + 1})
        run.mark_finished({})


def test_curves_are_written_with_the_runs_and_read_again(tmp_path: Path) -> None:
    make_run(tmp_path / "runs", "DRM", 0, 9.0, 5.0, 3.0)
    make_run(tmp_path / "runs", "DRM", 1, 8.0, 6.0, 4.0)
    make_run(tmp_path / "runs", "Mean Teacher", 1, 7.0, 2.0)
    written = make_table(DIGITS, None, tmp_path / "runs", tmp_path / "out", RECIPES, paired=True).paths
    stem = "table3_digits"
    assert [path.name for path in written] == [
        f"{stem}{ending}"
        for ending in (".md", ".csv", "_runs.csv", ".png", "_curves.csv", "_curves.png", "_paired.csv")
    ]
    assert "paired by seed" in written[0].read_text(encoding="utf-8")
    curves = read_curves(tmp_path / "out" / f"{stem}_curves.csv")
    assert curves == {
        ("Mean Teacher", "50", 1): [(1, 8.0), (2, 3.0)],  # the teacher's, which is evaluated
        ("DRM", "50", 0): [(1, 9.0), (2, 5.0), (3, 3.0)],
        ("DRM", "50", 1): [(1, 8.0), (2, 6.0), (3, 4.0)],
    }
    lines = written[4].read_text(encoding="utf-8").split("\n")
    assert lines[:2] == ["method,column,seed,epoch,test_error", "Mean Teacher,50,1,1,8.0"]
    # without the folders, the same files; a run that has a folder is added
    again = make_table(DIGITS, None, tmp_path / "none", tmp_path / "again", RECIPES, written[2], paired=True)
    assert [path.read_bytes() for path in again.paths] == [path.read_bytes() for path in written]
    make_run(tmp_path / "more", "DRM", 2, 7.0)
    more = make_table(DIGITS, None, tmp_path / "more", tmp_path / "again", RECIPES, written[2]).paths
    assert read_curves(more[4]) == {**curves, ("DRM", "50", 2): [(1, 7.0)]}


def test_runs_without_a_curve_and_a_curve_of_another_run(tmp_path: Path) -> None:
    make_run(tmp_path / "runs", "DRM", 0, 9.0, 5.0)
    written = make_table(DIGITS, None, tmp_path / "runs", tmp_path / "out", RECIPES).paths
    written[4].unlink()
    left = make_table(DIGITS, None, tmp_path / "none", tmp_path / "left", RECIPES, written[2]).paths
    assert [path.suffix for path in left] == [".md", ".csv", ".csv", ".png"]
    write_curves([Curve("DRM", "50", 0, [(1, 4.0)])], written[4])
    with pytest.raises(
        RunError, match=r"_curves.csv: the curve of DRM, 50 labels, seed 0 ends at 4.0 %, its run"
    ):
        make_table(DIGITS, None, tmp_path / "none", tmp_path / "left", RECIPES, written[2])


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("DRM,50,0,2,5.0\nDRM,50,0,2,4.0", "c.csv:3: epoch must rise from line to line of a run"),
        ("DRM,50,0,1,x", "c.csv:2: column 'test_error' must be a number"),
        ("DRM,50,zero,1,5.0", "c.csv:2: column 'seed' must be an integer"),
    ],
)
def test_a_damaged_file(lines: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text(f"method,column,seed,epoch,test_error\n{lines}\n")
    with pytest.raises(RunError, match=message):
        read_curves(tmp_path / "c.csv")


def test_mean_and_spread_over_seeds() -> None:
    """Of the epochs that both have: 9 and 7, then 5 and 2."""
    two = [Curve("DRM", "50", 0, [(1, 9.0), (2, 5.0), (3, 1.0)]), Curve("DRM", "50", 1, [(1, 7.0), (2, 2.0)])]
    assert np.allclose(mean_and_spread(two), [(1, 8.0, 2**0.5), (2, 3.5, 4.5**0.5)])
    assert mean_and_spread(two[1:]) == [(1, 7.0, 0.0), (2, 2.0, 0.0)]


def test_the_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A panel for each column that has curves, a line for each method in it, and one legend."""
    figures: List[Any] = []
    monkeypatch.setattr(method_curves_figure, "save", lambda figure, path: figures.append(figure))
    curves = [
        Curve(method, column, seed, [(1, 20.0 + seed), (2, 10.0 + seed)])
        for method, column in (("DRM", "500"), ("NRM + RPN", "500"), ("NRM + RPN", "all"))
        for seed in (0, 1)
    ]
    plot_method_curves(curves, ["500", "1000", "all"], tmp_path / "p.png", "a title")
    (figure,) = figures
    assert [axes.get_title() for axes in figure.axes] == ["500 labels", "all labels"]
    assert [len(axes.lines) for axes in figure.axes] == [2, 1]
    drm, nrm = figure.axes[0].lines
    assert list(nrm.get_ydata()) == [20.5, 10.5] and (drm.get_linestyle(), nrm.get_linestyle()) == ("--", "-")
    band = figure.axes[0].collections[1].get_paths()[0].get_extents()
    assert np.allclose((band.ymin, band.ymax), (10.5 - 0.5**0.5, 20.5 + 0.5**0.5))
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["DRM", "NRM + RPN"]
    with pytest.raises(ValueError, match="no curves to draw"):
        plot_method_curves(curves, ["1000"], tmp_path / "p.png")
