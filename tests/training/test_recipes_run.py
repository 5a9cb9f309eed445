"""Every recipe of recipes/ is read, built and takes a step; its cost can be forecast."""

from __future__ import annotations

import atexit
import math
import re
import shutil
import tempfile
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import mxnet as mx
import pytest
from fakes import ROOT
from short_runs import full_weights, trainer_of, values

from benchmarks.photos.draw_data_set import draw_data_set
from gluon_nrm.data import Dataset, dataset_spec
from gluon_nrm.data.pipeline.stand_in import stand_in
from gluon_nrm.models import list_models
from gluon_nrm.optimisation.schedules import learning_rate, loss_weights, stretches
from gluon_nrm.recipe import Recipe, load_recipe, recipe_from_text, recipe_to_yaml
from gluon_nrm.recipe.terms import TERMS
from gluon_nrm.report.paper_tables import TABLES, get_table
from gluon_nrm.runs import run_data
from gluon_nrm.training import step_cost
from gluon_nrm.training.assemble import Parts, assemble
from gluon_nrm.training.forecast import forecast

pytestmark = pytest.mark.filterwarnings("ignore:Parameter .* is not used by any computation")

RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))


#: Data sets whose images are there; of the others, random ones stand in.
EMBEDDED = "digits"
#: A few images a step; those of ImageNet are made small.
SMALL = ("train.batch_labelled=2", "train.eval_batch=4")


@pytest.fixture(autouse=True)
def _noise_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_data, "stand_in", noise)


@lru_cache(maxsize=None)
def noise(name: str, train: int, size: Optional[int]) -> Dataset:
    return stand_in(name, train=train, size=size)


@lru_cache(maxsize=None)
def photos() -> Path:
    """A few drawn photos, for the recipes of one's own."""
    folder = Path(tempfile.mkdtemp()) / "photos"
    atexit.register(shutil.rmtree, folder.parent, ignore_errors=True)
    draw_data_set(folder, seed=0, labelled=1, unlabelled=4, test=1)
    return folder


def test_every_cell_of_the_tables_has_its_recipe() -> None:
    stems = {path.stem for path in RECIPES}
    tables = [*TABLES.values(), get_table("table3", EMBEDDED)]
    assert stems >= {cell.recipe for table in tables for cell in table.cells}
    for table in tables:
        for cell in table.cells:
            recipe = cell.load(ROOT / "recipes")
            assert (recipe.data.name, recipe.data.labels) == (table.data, cell.column.labels)


def small(path: Path) -> Recipe:
    recipe = load_recipe(path)
    changes = list(SMALL)
    if recipe.train.batch_unlabelled:
        changes.append("train.batch_unlabelled=2")
    if recipe.data.name == "imagenet":
        changes.append("data.size=64")
    if recipe.data.name == "folder":
        changes.append(f"data.path={photos()}")
    return recipe if recipe.data.name == EMBEDDED else load_recipe(path, changes)


class Outcome(NamedTuple):
    """Of one step, or two, with every weight on."""

    names: Tuple[str, ...]
    renders: bool
    terms: List[Dict[str, float]]  # means by name, of each stream
    streams: List[str]
    still: List[str]  # names of the weights that have not moved


#: Outcomes by what a step depends on: CIFAR-10 and SVHN, both of ten classes, have many recipes in common.
OUTCOMES: Dict[str, Outcome] = {}


def what_a_step_depends_on(recipe: Recipe) -> str:
    """All but a recipe's name, data (besides shape and number of classes), labels, lengths and rates."""
    if recipe.data.name == "folder":
        return recipe.name
    spec = dataset_spec(recipe.data.name)
    weights = {name: weight for name, weight in vars(recipe.loss.weights).items() if weight}
    streams = bool(recipe.train.batch_unlabelled), recipe.data.streamed
    first = recipe.optimiser.phases[0]
    parts = [recipe.model, recipe.loss.vat, weights, recipe.teacher, recipe.adversarial, recipe.train.dtype]
    return repr(
        [
            *parts,
            streams,
            first.name,
            first.momentum,
            recipe.data.size,
            spec.input_shape,
            len(spec.class_names),
        ]
    )


def take_a_step(path: Path) -> Outcome:
    """Of the recipe as it is on the digits, with small batches of random images on other data."""
    whole = load_recipe(path).data.name == EMBEDDED
    # traced, a large network takes longer to build than to run once; that it is the same is shown elsewhere
    noisy = load_recipe(path).data.name not in (EMBEDDED, "folder")
    parts = assemble(small(path), [mx.cpu(0)], hybridise=whole, noise=noisy)
    weights, names = full_weights(parts), parts.objective.names
    trainer, before = trainer_of(parts), values(parts.net)
    trainer.set_learning_rate(1e-3)
    for number, step in enumerate(islice(parts.streams.epoch(0), 2 if whole else 1), start=1):
        terms = parts.step(step, weights, trainer, number)
    after = values(parts.net)
    still = [name for name in after if name.endswith("weight") and (after[name] == before[name]).all()]
    means = [dict(zip(names, stream.means().tolist())) for stream in terms]
    return Outcome(names, parts.objective.renders, means, [stream.name for stream in terms], still)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_step_with_every_weight_on(path: Path) -> None:
    recipe = load_recipe(path)
    assert recipe.name == path.stem
    assert recipe_from_text(recipe_to_yaml(recipe), "again.yaml") == recipe
    assert recipe.model.name in list_models() or "." in recipe.model.name
    key = what_a_step_depends_on(recipe)
    if key not in OUTCOMES:
        OUTCOMES[key] = take_a_step(path)
    outcome, weights = OUTCOMES[key], vars(recipe.loss.weights)
    assert outcome.names == tuple(name for name in TERMS if weights[name] > 0)
    assert outcome.renders == any(TERMS[name].renders for name in outcome.names)
    batches = {"unlabelled": recipe.train.batch_unlabelled, "labelled": recipe.train.batch_labelled}
    assert outcome.streams == [stream for stream, images in batches.items() if images]
    for found in outcome.terms:
        assert all(math.isfinite(value) for value in found.values()), found
        assert found.get("cross_entropy", 0) >= 0 and found.get("reconstruction", 1) > 0
    assert not outcome.still


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_rates_and_weights_over_the_whole_run(path: Path) -> None:
    recipe = load_recipe(path)
    laid_out = stretches(recipe.optimiser.phases, recipe.train.epochs)
    assert (laid_out[0].start, laid_out[-1].end) == (0, recipe.train.epochs)
    for epoch in range(recipe.train.epochs):
        stretch = next(each for each in laid_out if epoch < each.end)
        assert 0 <= learning_rate(stretch, epoch) <= stretch.phase.lr
    assert loss_weights(recipe.loss, recipe.train.epochs) == vars(recipe.loss.weights)


def test_forecast(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    short = ["train.epochs=7", "train.epoch_steps=4"]
    text = forecast(load_recipe(ROOT / "recipes" / "digits_maxmin_mt.yaml", short), devices="cpu")
    patterns = [
        r"step     \d+\.\d ms \(median of 2\), \d+ images a second",
        r"epoch    4 steps, .+ without evaluation",
        r"run      7 epochs, .+",
        r"memory   \d+\.\d\d GiB at the most so far, on the host",
    ]
    for line, pattern in zip(text.splitlines(), patterns):
        assert re.fullmatch(pattern, line), line
    assert len(text.splitlines()) == len(patterns)
    assert list(tmp_path.iterdir()) == []


def test_forecast_where_the_batch_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reckoned from few images of each stream; nothing is run at the whole batch."""
    seen: List[Parts] = []
    time_steps = step_cost._time_steps

    def time_and_keep(parts: Parts, *others: Any) -> List[float]:
        """Keep the parts that steps are taken with."""
        seen.append(parts)
        return time_steps(parts, *others)

    # less than nothing: what a step takes may have been taken by an earlier test
    monkeypatch.setattr(step_cost, "free_memory", lambda: -1.0)
    monkeypatch.setattr(step_cost, "_time_steps", time_and_keep)
    short = ["train.epoch_steps=4", "train.batch_labelled=64"]
    lines = forecast(load_recipe(ROOT / "recipes" / "digits_nrm.yaml", short), devices="cpu").splitlines()
    assert re.match(r"batch    2 images a step in place of 96, which would need about \d", lines[0])
    assert {(p.recipe.train.batch_labelled, p.recipe.train.batch_unlabelled) for p in seen} == {(1, 1)}
    assert re.match(r"step     \d+\.\d ms \(estimated, median of 2\)", lines[2]) and "4 steps" in lines[3]


def test_forecast_of_a_cell_of_the_paper_without_its_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(step_cost, "STEPS", 1)
    monkeypatch.setattr(run_data, "stand_in", noise)
    few = ["train.batch_labelled=2", "train.batch_unlabelled=2"]
    text = forecast(load_recipe(ROOT / "recipes" / "cifar10_maxmin_mt.yaml", few), devices="cpu")
    expected = r"data     data/cifar10/\S+ is missing; get it: python tools/prepare_data.py cifar10\n"
    assert re.match(expected, text)
    assert "epoch    23000 steps" in text and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("labels", "steps"), [("100", 299), ("null", 300)])
def test_forecast_without_the_data(
    labels: str, steps: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps are counted as on the real images: 60,000 of MNIST, in batches of 200."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(step_cost, "STEPS", 2)
    changes = ["data.name=mnist", f"data.labels={labels}", "train.epoch_steps=null", "data.shift=0"]
    changes += ["train.epochs=1"]  # of more, a busy machine would take more than a day
    changes += ["train.batch_labelled=200"] if labels == "null" else ["train.batch_unlabelled=200"]
    name = "digits_supervised" if labels == "null" else "digits_nrm"
    text = forecast(load_recipe(ROOT / "recipes" / f"{name}.yaml", changes), devices="cpu")
    lines = text.splitlines()
    assert lines[0] == (
        "data     data/mnist/train-images-idx3-ubyte.gz is missing; "
        "get it: python tools/prepare_data.py mnist"
    )
    # a busy machine takes smaller steps, and says so
    said = [line.split()[0] for line in lines if not line.startswith("batch")]
    assert said == ["data", "images", "warning", "step", "epoch", "run", "memory"]
    assert "the last layer of digits_cnn sees only 12 x 12 of the 28 x 28 pixels" in lines[2]
    assert f"epoch    {steps} steps" in text
    assert list(tmp_path.iterdir()) == []
