"""What the documents say is true: links lead somewhere, the table is the one that the results give."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any, List

import numpy as np
import pytest
from fakes import ROOT

from benchmarks import devices, end_to_end, inference, network, step_table
from benchmarks.adversarial import compare as adversarial
from benchmarks.comparison import read_lines
from benchmarks.harness import read_json
from benchmarks.photos import compare
from gluon_nrm.pretrained.names import NETWORKS
from gluon_nrm.runs.averages import format_mean_std, group_mean_std, to_markdown
from gluon_nrm.runs.tables import read_csv

RESULTS = ROOT / "results" / "digits.csv"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("re*/*.md")])


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (path.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_files_named_exist(path: Path) -> None:
    folders = "tools|recipes|tests|benchmarks|docs|results"
    named = re.findall(rf"`((?:{folders})/[\w./-]+\.\w+)`", path.read_text(encoding="utf-8"))
    assert not [name for name in named if not (ROOT / name).exists()]


def test_results_are_whole() -> None:
    rows = read_csv(RESULTS)
    runs = Counter((row["recipe"], row["labels"]) for row in rows)
    rungs = re.findall(r"^LADDER = (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    recipes = {f"digits_{rung}" for rung in rungs[0].split()}
    assert runs == Counter({(recipe, labels): 5 for recipe in recipes for labels in (50, 100)})
    assert all(row["finished"] and row["evaluated_on"] == "test" for row in rows)
    # one set of settings a recipe, but for the number of labels
    assert len({(row["recipe"], row["settings"]) for row in rows}) == 2 * len(recipes)


@pytest.mark.parametrize(
    ("name", "networks", "suffix", "labels", "seeds"),
    [
        ("supervised", ["shake_resnext_cutout"], "_maxmin", "all", 5),
        ("skip_connections", ["resnet", "densenet"], "_nrm_rpn_maxmin", 50, 3),
    ],
)
def test_networks_beside_their_twins(
    name: str, networks: List[str], suffix: str, labels: Any, seeds: int
) -> None:
    """All seeds of each; the table of results/README.md is made from them."""
    rows = read_csv(ROOT / "results" / f"{name}.csv")
    runs = Counter((row["recipe"], row["labels"]) for row in rows)
    expected = [f"digits_{net}{ending}" for net in networks for ending in ("", suffix)]
    assert runs == Counter({(recipe, labels): seeds for recipe in expected})
    assert all(row["finished"] and row["evaluated_on"] == "test" for row in rows)
    assert len({(row["recipe"], row["settings"]) for row in rows}) == len(expected)
    text = (ROOT / "results" / "README.md").read_text(encoding="utf-8")
    between = text.split(f"results/{name}.csv -->\n", 1)[1].split("<!-- end of table -->", 1)[0]
    assert between.strip() == to_markdown(group_mean_std(rows)).strip()


def test_what_maxmin_adds_is_what_was_measured() -> None:
    text = (ROOT / "results" / "README.md").read_text(encoding="utf-8")
    for row in read_json(ROOT / "results" / "maxmin.json"):
        line = (
            f"| {row['network']} | {row['batch']} | {row['base_seconds']:.3f} | {row['time_ratio']:.2f} "
            f"| {row['base_memory_gb']:.2f} | {row['memory_ratio']:.2f} |"
        )
        assert line in text


def test_what_gates_add_is_what_was_measured() -> None:
    text = (ROOT / "results" / "README.md").read_text(encoding="utf-8")
    for row in read_json(ROOT / "results" / "shake.json"):
        figures = f"{row['seconds']:.3f} | {row['over_even']:.3f}"
        assert f"| {row['network']} | {row['gates']} | {figures} |" in text


def test_accuracy_before_and_after_the_work_on_speed() -> None:
    """The same fifteen seeds of two commits."""
    runs = read_csv(ROOT / "results" / "digits_fast.csv")
    commits = list(dict.fromkeys(row["commit"] for row in runs))
    expected = [(commit, seed) for commit in commits for seed in range(15)]
    assert [(row["commit"], row["seed"]) for row in runs] == expected
    last, median = (
        np.reshape([row[column] for row in runs], (2, -1))
        for column in ("test_error_last", "test_error_median20")
    )
    assert between("results/README.md", "table: results/digits_fast.csv").splitlines()[2:] == [
        f"| {commit[:7]} | {' | '.join(map(str, found))} | {mean_and_std(found)} |"
        for commit, found in zip(commits, last)
    ]
    text = " ".join((ROOT / "results" / "README.md").read_text(encoding="utf-8").split())
    paired = (mean_and_std(after - before) for before, after in (last, median))
    assert "paired by seed, is {}, in the median of the last 20 evaluations {} ".format(*paired) in text
    assert f"first five seeds give {last[0, :5].mean():.2f} here" in text


def mean_and_std(values: np.ndarray) -> str:
    """As the tables have it."""
    return format_mean_std(values.mean(), values.std(ddof=1))


def test_the_speed_of_a_step_is_what_was_measured() -> None:
    rows = read_json(ROOT / "results" / "step.json")
    assert between("results/README.md", "table: benchmarks/step.py") == step_table.table(rows)
    rows = read_json(ROOT / "results" / "avx2" / "step.json")
    for network_title in {row["network"]: None for row in rows}:
        of_network = [row for row in rows if row["network"] == network_title]
        found = between("results/README.md", f"table: benchmarks/step.py, AVX2, {network_title}")
        assert found == step_table.table(of_network)
    ratios = [row["over_peer"] for row in rows if row["over_peer"] is not None]
    front = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"[{min(ratios):.2f} to {max(ratios):.2f} of compiled PyTorch's time]" in front


def test_the_time_of_a_whole_run_is_what_was_measured() -> None:
    found = read_json(ROOT / "results" / "end_to_end.json")
    assert between("results/README.md", "table: benchmarks/end_to_end.py") == end_to_end.table(found)


def test_the_speed_of_exports_is_what_was_measured() -> None:
    tables = {"inference.json": "", "avx2/inference.json": ", AVX2"}
    for file, where in tables.items():
        rows = read_json(ROOT / "results" / file)
        found = between("results/README.md", f"table: benchmarks/inference.py{where}")
        assert found.splitlines()[2:] == [inference.line(row) for row in rows]


def test_the_speed_over_devices_is_what_was_measured() -> None:
    rows = read_json(ROOT / "results" / "devices.json")
    assert between("results/README.md", "table: benchmarks/devices.py") == devices.table(rows)


def test_how_far_training_scales_is_what_is_reckoned() -> None:
    found = network.models()
    expected = {
        "traffic": network.traffic(found),
        "limits": network.limits(found, network.STEP_SECONDS),
        "speedups": network.speedups(found, network.STEP_SECONDS[-1]),
        "--bigarray-bound 100000 traffic": network.traffic(network.models(100_000)),
    }
    for name, table in expected.items():
        assert between("docs/scaling.md", f"table: benchmarks/network.py {name}") == table
    text = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
    assert text.count("<!-- table:") == len(expected)
    assert network.figures(found) == read_json(ROOT / "results" / "network.json")


def test_the_table_of_the_digits_is_made_from_the_results() -> None:
    table = to_markdown(group_mean_std(read_csv(RESULTS)))
    assert between("results/README.md", "table: python tools/table.py results/digits.csv") == table.strip()


def test_the_figures_of_the_readme_are_those_of_the_results() -> None:
    digits = {
        row["recipe"]: format_mean_std(row["last_mean"], row["last_std"])
        for row in group_mean_std(read_csv(RESULTS))
        if row["labels"] == 50
    }
    fashion = {
        row["recipe"]: format_mean_std(row["last_mean"], row["last_std"])
        for row in group_mean_std(read_csv(ROOT / "results" / "table3_fashion_mnist_runs.csv"))
        if row["labels"] == 500
    }
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for method in ("supervised", "mt", "nrm_rpn", "nrm_rpn_maxmin", "maxmin_mt"):
        assert f"| {fashion[f'fashion_mnist_{method}']} | {digits[f'digits_{method}']} |" in readme
    for path in NETWORKS.glob("fashion_mnist_*.json"):
        packaged = json.loads(path.read_text(encoding="utf-8"))
        assert f"{path.stem}`" in readme
        assert f"{packaged['test_error']['per_cent']:.2f} %" in readme


def test_the_tables_of_fashion_mnist_are_those_of_the_results() -> None:
    """The last errors, and what each part adds, seed by seed."""
    kept = (ROOT / "results" / "table3_fashion_mnist.md").read_text(encoding="utf-8").strip().split("\n\n")
    (paired,) = (place for place, text in enumerate(kept) if "paired by seed" in text)
    found = between("results/README.md", "table: python tools/table.py table3 --data fashion_mnist --paired")
    assert found.split("\n\n") == [*kept[:2], *kept[paired:]]


def between(path: str, first: str) -> str:
    """The lines of a document from the one after ``first`` to the end of the table."""
    text = (ROOT / path).read_text(encoding="utf-8")
    return text.split(f"<!-- {first} -->\n", 1)[1].split("<!-- end of table -->", 1)[0].strip()


def test_the_forms_of_path_normalisation_are_what_was_measured() -> None:
    rows = read_csv(ROOT / "results" / "path_norm.csv")
    assert Counter(row["recipe"] for row in rows) == dict.fromkeys(
        ("digits_nrm", "digits_nrm_rpn", "digits_nrm_rpn_mode"), 5
    )
    expected = to_markdown(group_mean_std(rows)).strip()
    assert between("results/README.md", "python tools/table.py results/path_norm.csv") == expected


def test_the_comparison_of_rendering_paths_is_what_was_measured() -> None:
    with open(ROOT / "results" / "paths.csv", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["layer"] == "joint"]
    lines = between("results/README.md", "python tools/paths.py").splitlines()[2:]
    assert [line.split("|")[1].strip() for line in lines] == ["digits_nrm", "digits_nrm_rpn"]
    columns = [("active", 1), ("entropy_bits", 0), ("eta_images", 2), ("eta_even", 2), ("eta_above", 2)]
    for line in lines:
        own = [row for row in rows if row["recipe"] == line.split("|")[1].strip()]
        assert len(own) == 5 and all(row["bound_vacuous"] == "True" for row in own)
        for (column, digits), cell in zip(columns, line.split("|")[4:]):
            values = np.array([float(row[column]) for row in own])
            assert cell.strip() == f"{values.mean():.{digits}f} ± {values.std(ddof=1):.{digits}f}"


def test_the_adversarial_methods_are_what_was_measured() -> None:
    """Errors of the runs, and the figures of generated digits."""
    errors = to_markdown(group_mean_std(read_csv(ROOT / "results" / "digits_adversarial.csv")))
    first = "table: python tools/table.py results/digits_adversarial.csv"
    assert between("results/README.md", first) == errors.strip()
    generated = read_lines(ROOT / "results" / "adversarial_generation.csv", adversarial.Line)
    shown = between("results/README.md", "table: benchmarks/adversarial/compare.py")
    assert shown == adversarial.table(generated)


def test_the_comparison_on_drawn_photos_is_what_was_measured() -> None:
    rows = read_lines(ROOT / "results" / "photos.csv", compare.Row)
    assert between("results/README.md", "table: benchmarks/photos/compare.py") == compare.table(rows)


def test_the_speed_of_the_probability_model_is_what_was_measured() -> None:
    text = (ROOT / "results" / "README.md").read_text(encoding="utf-8")
    found = read_json(ROOT / "results" / "gibbs.json")
    swept, counted = found["sweep"], found["statistics"]
    seconds = (1e3 * swept["rendering_seconds"], 1e3 * swept["sweep_seconds"], swept["passes_a_layer"])
    assert " | ".join(f"{value:.2f}" for value in seconds) in text and swept["passes_a_layer"] <= 3
    memory = f"{counted['peak_memory_gb']:.2f} | {counted['memory_added_mb']:.1f} |"
    assert f"| {counted['images']} |" in text and memory in text
