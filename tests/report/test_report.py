"""Tables and figures of runs."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, Dict, List, Sequence

import numpy as np
import pytest
from commands import Ended, run_here
from PIL import Image

from gluon_nrm.errors import RunError
from gluon_nrm.recipe import recipe_from_text, recipe_to_yaml
from gluon_nrm.runs import averages, figures, tables
from gluon_nrm.runs.open_run import load_run, open_run


def recipe(
    name: str = "toy", labels: str = "50", seed: int = 0, teacher: bool = False, more: Sequence[str] = ()
) -> str:
    text = f"""
name: {name}
data: {{name: digits, labels: {labels}}}
model: {{name: digits}}
loss: {{weights: {{consistency: {1.0 if teacher else 0.0}}}}}
teacher: {{enabled: {str(teacher).lower()}}}
optimiser: {{phases: [{{name: adam, lr: 0.001}}]}}
train: {{epochs: 30, batch_labelled: 10, seed: {seed}}}
"""
    return recipe_to_yaml(recipe_from_text(text, "toy.yaml", list(more)))


def make_run(root: Path, folder: str, errors: Sequence[float], finished: bool = True, **what: Any) -> Path:
    with open_run(root, folder, recipe(**what), {"commit": "0123456789abcdef"}) as run:
        for epoch, error in enumerate(errors, start=1):
            row = {"epoch": epoch, "error/student": error + 50 if what.get("teacher") else error}
            run.append_metrics({**row, "error/teacher": error} if what.get("teacher") else row)
        if finished:
            run.mark_finished({})
    return run.path


def test_summary_of_a_run(tmp_path: Path) -> None:
    errors = [90.0] * 5 + [1.0] + [4.0] * 9 + [6.0] * 9 + [5.0]
    path = make_run(tmp_path, "toy-s3", errors, seed=3)
    assert tables.summarise(load_run(path)) == {
        "recipe": "toy",
        "labels": 50,
        "seed": 3,
        "test_error_last": 5.0,
        "test_error_median20": 4.5,
        "test_error_best_optimistic": 1.0,
        "evaluated_on": "test",
        "network": "student",
        "epochs": 25,
        "finished": True,
        "split_seed": 0,
        "settings": tables.summarise(load_run(path))["settings"],
        "commit": "0123456789",
        "run": "toy-s3",
    }


def test_median_is_of_the_last_twenty_evaluations(tmp_path: Path) -> None:
    path = make_run(tmp_path, "toy-s0", [90.0] * 30 + list(range(20)))
    assert tables.summarise(load_run(path))["test_error_median20"] == 9.5
    with open_run(tmp_path, "toy-s1", recipe(seed=1), {}) as run:
        for epoch in range(1, 101):  # evaluated every fourth epoch
            run.append_metrics(
                {"epoch": epoch, **({"error/student": float(epoch)} if epoch % 4 == 0 else {})}
            )
    row = tables.summarise(run)
    assert (row["test_error_last"], row["test_error_median20"]) == (100.0, 62.0)
    assert (row["finished"], row["commit"]) == (False, "unknown")


def test_the_teacher_is_evaluated_where_there_is_one(tmp_path: Path) -> None:
    row = tables.summarise(load_run(make_run(tmp_path, "toy-s0", [7.0, 6.0], teacher=True)))
    assert (row["network"], row["test_error_last"]) == ("teacher", 6.0)


def test_labels_validation_and_commits(tmp_path: Path) -> None:
    path = make_run(tmp_path, "toy-s0", [5.0], labels="null", more=["data.validation=200"], finished=False)
    env = {"commit": "fedcba9876543210", "uncommitted_changes": True}
    changed = recipe(labels="null", more=["data.validation=200"])
    open_run(tmp_path, "toy-s0", changed, env).close()
    row = tables.summarise(load_run(path))
    assert (row["labels"], row["evaluated_on"]) == ("all", "validation")
    assert row["commit"] == "0123456789 fedcba9876+"


def test_no_evaluation_is_an_error(tmp_path: Path) -> None:
    path = make_run(tmp_path, "toy-s0", [])
    with pytest.raises(RunError, match=r"metrics\.jsonl: no evaluation of the student in it"):
        tables.collect([path])


def test_one_experiment_twice_is_an_error(tmp_path: Path) -> None:
    paths = [make_run(tmp_path, "toy-s0", [5.0])]
    with open_run(tmp_path, "toy-s0", recipe(), {}, fresh=True) as run:
        run.append_metrics({"epoch": 1, "error/student": 4.0})
    with pytest.raises(RunError, match=r"toy-s0 and .*toy-s0-2 are one recipe with one seed"):
        tables.collect([*paths, run.path])
    with pytest.raises(RunError, match="one recipe with one seed"):
        tables.collect([*paths, *paths])


def many_runs(root: Path) -> List[Path]:
    return [
        make_run(root, "b-s1", [6.0], name="b", seed=1),
        make_run(root, "b-s0", [4.0], name="b", seed=0),
        make_run(root, "b100-s0", [2.0], name="b", labels="100", finished=False),
        make_run(root, "ball-s0", [1.0], name="b", labels="null"),
        make_run(root, "a-s0", [9.0], name="a", more=["data.validation=100"]),
        make_run(root, "c-s0", [3.0], name="c"),
        make_run(root, "c_other-s0", [8.0], name="c", more=["optimiser.phases.0.lr=0.01"]),
    ]


def test_groups_and_their_markdown(tmp_path: Path) -> None:
    groups = averages.group_mean_std(tables.collect(many_runs(tmp_path)))
    assert [(group["recipe"], group["labels"], group["n"]) for group in groups] == [
        ("a", 50, 1),
        ("b", 50, 2),
        ("b", 100, 1),
        ("b", "all", 1),
        ("c", 50, 1),
        ("c", 50, 1),
    ]
    assert (groups[1]["last_mean"], groups[1]["median20_mean"]) == (5.0, 5.0)
    assert groups[1]["last_std"] == pytest.approx(2**0.5)
    assert groups[0]["last_std"] is None
    lines = averages.to_markdown(groups).splitlines()
    assert lines[2:6] == [
        "| a † | 50 | 1 | 9.00 | 9.00 |",
        "| b | 50 | 2 | 5.00 ± 1.41 | 5.00 ± 1.41 |",
        "| b | 100 | 1 * | 2.00 | 2.00 |",
        "| b | all | 1 | 1.00 | 1.00 |",
    ]
    # Other settings under one name are rows of their own, told apart by their hashes.
    assert {lines[6], lines[7]} == {
        f"| c ({group['settings']}) | 50 | 1 | {group['last_mean']:.2f} | {group['last_mean']:.2f} |"
        for group in groups[4:]
    }
    assert len({line.count("|") for line in lines[:8]}) == 1
    assert [line[:3] for line in lines[8:]] == ["", "\\* ", "", "† e"]


def test_markdown_without_notes(tmp_path: Path) -> None:
    groups = averages.group_mean_std(tables.collect([make_run(tmp_path, "toy-s0", [5.0])]))
    assert averages.to_markdown(groups).splitlines()[2:] == ["| toy | 50 | 1 | 5.00 | 5.00 |"]


def test_csv(tmp_path: Path) -> None:
    rows = tables.collect(many_runs(tmp_path / "runs"))
    tables.write_csv(rows, tmp_path / "table.csv")
    text = (tmp_path / "table.csv").read_bytes().decode("utf-8")
    assert text.startswith("recipe,labels,seed,test_error_last,test_error_median20,")
    assert "\r" not in text
    found = list(csv.DictReader(text.splitlines()))
    assert [(row["recipe"], row["labels"], row["seed"], row["test_error_last"]) for row in found[:3]] == [
        ("a", "50", "0", "9.0"),
        ("b", "50", "0", "4.0"),
        ("b", "50", "1", "6.0"),
    ]


def test_csv_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"cannot write .*nowhere.*; check that the folder exists"):
        tables.write_csv([], tmp_path / "nowhere" / "table.csv")


def run_table(*arguments: object) -> Ended:
    return run_here("table", *arguments)


def test_the_tool_prints_and_writes(tmp_path: Path) -> None:
    path = make_run(tmp_path, "toy-s0", [5.0])
    answer = run_table(path, "--csv", tmp_path / "t.csv")
    assert answer.returncode == 0, answer.stderr
    assert "| toy | 50 | 1 | 5.00 | 5.00 |" in answer.stdout
    assert (tmp_path / "t.csv").read_text(encoding="utf-8").count("\n") == 2


def test_the_tool_names_a_mistake_in_one_line(tmp_path: Path) -> None:
    answer = run_table(tmp_path / "nothing")
    message = answer.stderr
    assert answer.returncode == 2
    assert message.startswith("error: ")
    assert "nothing: there is no such run folder" in message
    assert message.count("\n") == 1


def image(path: Path) -> Any:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def close_to(picture: Any, colour: str) -> int:
    wanted = [int(colour[start : start + 2], 16) for start in (1, 3, 5)]
    return int((np.abs(picture.astype(int) - wanted).max(axis=-1) < 8).sum())


def metrics_rows(count: int, **more: float) -> List[Dict[str, Any]]:
    terms = {f"loss/{term}": 0.0 for term in ("reconstruction", "entropy", "path_norm", "consistency")}
    return [
        {
            "epoch": e,
            "loss/total": 3 / e,
            "loss/cross_entropy": 2 / e,
            **terms,
            "error/student": 90 / e,
            **more,
        }
        for e in range(1, count + 1)
    ]


CURVES: Dict[str, List[Dict[str, Any]]] = {
    "many": metrics_rows(40, **{"error/teacher": 12.0, "error/teacher_min": 13.0}),
    "one": metrics_rows(1),
    "none": [],
    "gaps": [{"epoch": 1}, {"epoch": 2, "loss/total": None, "error/student": None}, *metrics_rows(3)[2:]],
    "zero error": metrics_rows(3) + [{"epoch": 4, "error/student": 0.0}],
    "all right": [{"epoch": 1, "error/student": 0.0}],
    "all wrong": [{"epoch": 1, "error/student": 100.0}],
    "negative": metrics_rows(5, **{"loss/entropy": -0.3}),
    "ramped up": metrics_rows(5) + [{"epoch": 6, "loss/consistency": 0.1}],
}


@pytest.mark.parametrize("name", CURVES)
def test_curves_are_drawn(tmp_path: Path, name: str, recwarn: pytest.WarningsRecorder) -> None:
    figures.plot_curves(CURVES[name], tmp_path / "curves.png", title=name)
    picture = image(tmp_path / "curves.png")
    assert picture.shape[1] > 1000
    has_student = any(row.get("error/student") is not None for row in CURVES[name])
    assert (close_to(picture, "#1f77b4") > 20) == has_student
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]
    assert [str(warning.message) for warning in recwarn] == []


def test_terms_that_are_zero_throughout_are_left_out(tmp_path: Path) -> None:
    figures.plot_curves(metrics_rows(5), tmp_path / "without.png")
    figures.plot_curves(metrics_rows(5, **{"loss/path_norm": 0.5}), tmp_path / "with.png")
    red = [close_to(image(tmp_path / name), "#d62728") for name in ("without.png", "with.png")]
    assert red[0] == 0
    assert red[1] > 100


def test_curves_that_cannot_be_saved(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"cannot draw .*nowhere"):
        figures.plot_curves([], tmp_path / "nowhere" / "curves.png")


def test_rendering_grid(tmp_path: Path) -> None:
    red, blue = np.zeros((2, 3, 4, 4)), np.zeros((2, 3, 4, 4))
    red[:, 0, :2], blue[:, 2, :2] = 5.0, -1.0
    columns = [
        ("image", red),
        ("layer", np.arange(2 * 8 * 2 * 2.0).reshape(2, 8, 2, 2)),
        ("flat", blue * 0 + 9),
    ]
    figures.plot_rendering_grid(columns, tmp_path / "grid.png", ["zero", "one\n(taken for two)"], title="toy")
    picture = image(tmp_path / "grid.png")
    cell = close_to(picture, "#ff0000")
    assert cell > 5000  # two half cells of pure red, scaled to the full range
    assert close_to(picture, "#808080") > 1.5 * cell  # what is the same everywhere is grey


def test_rendering_grid_means_over_channels(tmp_path: Path) -> None:
    maps = np.zeros((1, 2, 1, 2))
    maps[0, :, 0, 0], maps[0, :, 0, 1] = (4.0, -4.0), (1.0, 1.0)  # means 0 and 1: black and white
    figures.plot_rendering_grid([("two", maps)], tmp_path / "a.png", ["x"])
    figures.plot_rendering_grid([("one", maps[:, 1:])], tmp_path / "b.png", ["x"])  # -4 and 1: the same
    figures.plot_rendering_grid(
        [("one", maps[:, :1])], tmp_path / "c.png", ["x"]
    )  # 4 and 1: the other way round
    column = [np.argwhere(close_mask(image(tmp_path / f"{n}.png")))[:, 1].mean() for n in "abc"]
    assert column[0] == pytest.approx(column[1], abs=3)
    assert column[2] > column[0] + 30


def close_mask(picture: Any) -> Any:
    """The black picture elements of the middle of the figure."""
    rows = slice(picture.shape[0] // 2 - 20, picture.shape[0] // 2 + 20)
    mask = np.zeros(picture.shape[:2], bool)
    mask[rows] = picture[rows].max(axis=-1) < 8
    return mask


@pytest.mark.parametrize("labels", [[], ["a"], ["a", "b", "c"]])
def test_rendering_grid_wants_a_label_an_image(tmp_path: Path, labels: List[str]) -> None:
    with pytest.raises(ValueError, match="labels for columns"):
        figures.plot_rendering_grid([("image", np.zeros((2, 1, 2, 2)))], tmp_path / "grid.png", labels)
    assert not list(tmp_path.iterdir())
