"""The report of one run and of several: everything in one file, parsed and decoded."""

from __future__ import annotations

import io
from pathlib import Path
from typing import List

import numpy as np
import pytest
from pages import Page
from short_runs import FULL, SUPERVISED, recipe

from gluon_nrm.cli import report as command
from gluon_nrm.errors import RunError
from gluon_nrm.recipe import recipe_from_text
from gluon_nrm.report.run_report import write_report
from gluon_nrm.runs.evaluation_record import (
    EvaluationRecord,
    class_results,
    confused_pairs,
    mean_class_error,
    write_evaluation,
)
from gluon_nrm.runs.run import Run
from gluon_nrm.training.fit import fit

#: Images by true class (row) and predicted class (column).
COUNTS = np.array([[8, 2, 0], [0, 4, 0], [3, 1, 2]])
NAMES = ["ship", "<script>alert(1)</script>", "a & b"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> List[Run]:
    """A supervised run without renderings, and one of every term."""
    root = tmp_path_factory.mktemp("runs")
    short = "train.epochs=1"
    return [
        fit(recipe(text, short, f"name={name}"), root=root, devices="cpu", stream=io.StringIO())
        for name, text in (
            ("plain", SUPERVISED.replace("path_norm: none", "path_norm: none, render: false")),
            ("whole", FULL),
        )
    ]


@pytest.fixture(scope="module", autouse=True)
def evaluated(runs: List[Run]) -> None:
    """Write evaluation.json of the first run by hand, and remove every other trace of evaluation."""
    for run in runs:
        for path in [
            run.path / "evaluation.json",
            *run.figures.glob("confusion*"),
            *run.figures.glob("mis*"),
        ]:
            path.unlink(missing_ok=True)
    results = class_results(COUNTS, NAMES)
    record = EvaluationRecord(
        format=1, recipe="plain", dataset="digits", epoch=1, epochs=1, part="validation", images=20,
        network="student", error=30.0, balanced_error=mean_class_error(results), errors={"student": 30.0},
        classes=results, confusions=confused_pairs(COUNTS, NAMES), confusion_matrix=COUNTS.tolist(),
    )  # fmt: skip
    write_evaluation(record, runs[0].path / "evaluation.json")
    curves = (runs[0].figures / "curves.png").read_bytes()
    for name in ("confusion", "mistakes"):
        (runs[0].figures / f"{name}.png").write_bytes(curves)


def page_of(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def test_one_run(runs: List[Run]) -> None:
    run = runs[0]
    path = write_report([run.path])
    assert path == run.path / "report.html"
    page = page_of(path)
    assert page.of("title") == ["plain-s0 - gluon_nrm"]
    assert {"name": "generator", "content": "gluon_nrm report"} in page.metas
    # curves, confusion, mistakes; no renderings, and the page says why
    assert len(page.decode_pictures()) == 3
    assert "The network does not render (model.render is false)." in page.of("p")
    assert ["validation error", f"{run.error:.2f} % (student)"] in page.rows
    (settings,) = page.of("pre")
    assert recipe_from_text(settings, "page") == run.settings


def test_errors_by_class_by_hand(runs: List[Run]) -> None:
    page = page_of(write_report([runs[0].path]))
    # largest error first; class 1 has no mistake
    assert ["a & b", "4 of 6", "66.7 %", "100.0 %"] in page.rows
    assert ["ship", "2 of 10", "20.0 %", "72.7 %"] in page.rows
    places = [page.rows.index(row) for row in page.rows if row[0] in ("a & b", "ship") and "of" in row[1]]
    assert page.rows[places[0]][0] == "a & b"
    pairs = [row for row in page.rows if len(row) == 4 and row[3].endswith("%") and "of" not in row[1]]
    assert pairs == [
        ["a & b", "ship", "3", "50.0 %"],
        ["ship", NAMES[1], "2", "20.0 %"],
        ["a & b", NAMES[1], "1", "16.7 %"],
    ]
    # (20 + 0 + 66.67) / 3
    assert any("30.00 % of 20 validation images" in text and "28.89 %" in text for text in page.of("p"))


def test_several_runs(runs: List[Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = write_report([run.path for run in runs])
    assert path == Path("report.html")
    page = page_of(path)
    assert page.of("h2")[-2:] == [str(run.path) for run in runs]
    overview = [row for row in page.rows if row[0] in ("plain-s0", "whole-s0")]
    assert [row[1] for row in overview] == [
        f"{run.evaluated_on} error {run.error:.2f} % ({run.predicts})" for run in runs
    ]
    # of both together, the first's three, the second's curves and renderings
    assert len(page.decode_pictures()) == 6
    assert ["model.maxmin", "false", "true"] in page.rows and ["name", "plain", "whole"] in page.rows
    assert not [row for row in page.rows if row[0] in ("train.epochs", "data.labels")]
    # not drawn of the second, with the command that does so
    drawn = page.of("code")
    assert len(drawn) == 2 and all("evaluate" in text and str(runs[1].path) in text for text in drawn)


def test_a_run_in_its_first_epoch(runs: List[Run], tmp_path: Path) -> None:
    for path in (runs[1].recipe_path, runs[1].env_path):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "metrics.jsonl").write_text("", encoding="utf-8")
    page = page_of(write_report([tmp_path]))
    assert "No epoch is completed yet." in page.of("p") and not page.pictures
    both = page_of(write_report([tmp_path, runs[0].path], tmp_path / "both.html"))
    assert len(both.decode_pictures()) == 4


def test_the_command(runs: List[Run], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "seen.html"
    for _ in range(2):  # an earlier report is replaced
        assert command.main([str(runs[1].path), "--out", str(out)]) == 0
        assert capsys.readouterr().out == f"{out}\n"
    assert page_of(out).of("h1") == ["whole-s0"]


def test_nothing_but_a_report_is_replaced(runs: List[Run], tmp_path: Path) -> None:
    mine = tmp_path / "report.html"
    mine.write_text("<p>my own", encoding="utf-8")
    with pytest.raises(
        RunError, match="report.html is there and is no report of gluon_nrm; give another name"
    ):
        write_report([runs[0].path], mine)
    assert mine.read_text(encoding="utf-8") == "<p>my own"
    with pytest.raises(RunError, match="is a folder; give the name of a file in it, such as .*report.html"):
        write_report([runs[0].path], tmp_path)
    with pytest.raises(RunError, match="cannot write"):
        write_report([runs[0].path], tmp_path / "none" / "report.html")


def test_mistaken_runs(runs: List[Run], tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run is given; give the folder of one, such as runs/"):
        write_report([])
    with pytest.raises(RunError, match="is given twice; give it once"):
        write_report([runs[0].path, runs[0].path / ".." / runs[0].path.name], tmp_path / "x.html")
    with pytest.raises(RunError, match="there is no such run folder"):
        write_report([tmp_path / "none"])
    with pytest.raises(RunError, match="101 runs, and a report holds 100; give fewer"):
        write_report([runs[0].path] * 101)
    assert not list(tmp_path.iterdir())


def test_damaged_files_are_named(runs: List[Run], tmp_path: Path) -> None:
    for path in (runs[0].recipe_path, runs[0].env_path, runs[0].metrics_path):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "mistakes.png").write_bytes(b"\x89PNG")
    with pytest.raises(RunError, match="mistakes.png is no PNG image .*; remove it and draw it again"):
        write_report([tmp_path])
    (tmp_path / "figures" / "mistakes.png").unlink()
    (tmp_path / "evaluation.json").write_text("{}", encoding="utf-8")
    with pytest.raises(RunError, match="evaluation.json is damaged"):
        write_report([tmp_path])
    assert not (tmp_path / "report.html").exists()
