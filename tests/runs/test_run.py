"""The run that fit returns, and the one that is read from a folder."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest
from pages import Page
from short_runs import SUPERVISED, recipe, values

import gluon_nrm
from gluon_nrm.errors import CheckpointError, RunError
from gluon_nrm.runs.checkpoint import load_checkpoint
from gluon_nrm.runs.run import Run
from gluon_nrm.training.fit import fit


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    short = recipe(SUPERVISED, "train.epochs=2")
    return fit(short, root=tmp_path_factory.mktemp("runs"), devices="cpu", stream=io.StringIO())


def test_the_folder_gives_the_run_that_fit_returned(run: Run) -> None:
    again = gluon_nrm.Run(str(run.path))
    rows = [json.loads(line) for line in run.metrics_path.read_text(encoding="utf-8").splitlines()]
    for one in (run, again):
        assert one.settings == recipe(SUPERVISED, "train.epochs=2")
        assert one.error == rows[-1]["error/student"] and one.evaluated_on == "validation"
        assert one.epoch == 2 and one.finished and one.predicts == "student"
        assert one.metrics.keys() == rows[0].keys()
        for name, column in one.metrics.items():
            assert column.tolist() == [row[name] for row in rows]
        assert repr(one) == (
            f"<Run {run.path}: epoch 2 of 2, validation error {rows[-1]['error/student']:.2f} % (student)>"
        )


def test_the_network_is_that_of_the_newest_checkpoint(run: Run) -> None:
    stored = load_checkpoint(run.checkpoints)
    assert stored is not None
    held = values(run.network)
    assert held.keys() == stored.arrays["student"].keys()
    assert all((held[name][0] == array).all() for name, array in stored.arrays["student"].items())
    assert run.network is run.network
    assert run.network(mx.nd.zeros((3, 1, 8, 8))).logits.shape == (3, 10)


def test_its_form_in_a_notebook(run: Run) -> None:
    page = Page(run._repr_html_())
    assert f"{run.error:.2f} % (student)" in page.of("td") and "2 of 2, finished" in page.of("td")
    (picture,) = page.pictures
    assert picture == (run.figures / "curves.png").read_bytes()
    page.decode_pictures()


def copy(run: Run, folder: Path) -> Run:
    """A run of the text files alone."""
    folder.mkdir()
    for path in (run.recipe_path, run.env_path, run.metrics_path):
        (folder / path.name).write_bytes(path.read_bytes())
    return Run(folder)


def test_a_run_without_an_epoch(run: Run, tmp_path: Path) -> None:
    new = copy(run, tmp_path / "new")
    new.metrics_path.write_text("", encoding="utf-8")
    assert repr(new) == f"<Run {new.path}: epoch 0 of 2, not evaluated yet>"
    assert new.metrics == {} and "none yet" in Page(new._repr_html_()).of("td")
    with pytest.raises(RunError, match=r"no evaluation of the student in it; train it for an epoch"):
        _ = new.error
    with pytest.raises(CheckpointError, match="there is no checkpoint yet"):
        _ = new.network


def test_values_that_were_not_finite_are_nan(run: Run, tmp_path: Path) -> None:
    new = copy(run, tmp_path / "new")
    new.metrics_path.write_text(
        '{"epoch": 1, "loss/total": null}\n{"epoch": 2, "loss/total": 1.5, "error/student": 20}\n',
        encoding="utf-8",
    )
    assert new.metrics["epoch"].tolist() == [1, 2]
    np.testing.assert_array_equal(new.metrics["loss/total"], [np.nan, 1.5])
    np.testing.assert_array_equal(new.metrics["error/student"], [np.nan, 20])
    assert new.error == 20


def test_what_is_in_a_recipe_is_text_in_a_notebook(run: Run, tmp_path: Path) -> None:
    new = copy(run, tmp_path / "new")
    text = new.recipe_path.read_text(encoding="utf-8")
    new.recipe_path.write_text(text.replace("name: digits_cnn", "name: <b>cnn</b>&amp;"), encoding="utf-8")
    assert "<b>cnn</b>&amp;" in Page(new._repr_html_()).of("td")


def test_damaged_runs_are_shown_as_such(run: Run, tmp_path: Path) -> None:
    new = copy(run, tmp_path / "new")
    new.figures.mkdir()
    (new.figures / "curves.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    page = Page(new._repr_html_())
    assert not page.pictures and any("is no PNG image" in text for text in page.of("p"))
    new.metrics_path.write_text("no JSON\n", encoding="utf-8")
    assert "metrics.jsonl:1: this line is damaged" in repr(new)
    assert any("this line is damaged" in text for text in Page(new._repr_html_()).of("p"))


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no such run folder"):
        Run(tmp_path / "none")
    with pytest.raises(RunError, match=r"recipe.yaml is missing"):
        Run(tmp_path)


@pytest.mark.parametrize("resumed", [False, True])
def test_a_run_of_a_newer_version(run: Run, tmp_path: Path, resumed: bool) -> None:
    new = copy(run, tmp_path / "new")
    env = json.loads(new.env_path.read_text(encoding="utf-8"))
    env.update({"resumed": [{"gluon_nrm": "9.1.0"}]} if resumed else {"gluon_nrm": "9.1.0"})
    new.env_path.write_text(json.dumps(env), encoding="utf-8")
    assert new.settings == run.settings  # all keys are known
    with new.recipe_path.open("a", encoding="utf-8") as file:
        file.write("telepathy: true\n")
    with pytest.raises(RunError) as caught:
        _ = new.settings
    first, second = str(caught.value).splitlines()
    assert re.match(r".*new is a run of gluon_nrm 9\.1\.0, and this is 0\.\d+\.\d+: .*telepathy", first)
    assert second == "update the package: pip install --upgrade gluon_nrm"
