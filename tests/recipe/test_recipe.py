"""Recipes: reading, precedence, defaults, round trip, hash, the shipped recipes and the page about them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import FrozenInstanceError, asdict, fields, replace
from pathlib import Path
from typing import Any, Dict, get_type_hints

import pytest
import yaml
from fakes import ROOT

from gluon_nrm.errors import RecipeError
from gluon_nrm.recipe import (
    Data,
    Loss,
    LossWeights,
    Model,
    Optimiser,
    Phase,
    Recipe,
    Teacher,
    Train,
    Vat,
    check,
    load_recipe,
    recipe_from_text,
    recipe_hash,
    recipe_to_yaml,
)
from gluon_nrm.recipe.describe import main, render
from gluon_nrm.recipe.fields import default_of
from gluon_nrm.recipe.loss_schema import Sampling
from gluon_nrm.report.paper_tables import METHODS, OWN_NETWORKS

RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))
DIGITS = ("supervised", "mt", "nrm", "nrm_rpn", "nrm_rpn_maxmin", "maxmin_mt")
SECTIONS = (Data, Model, LossWeights, Loss, Vat, Sampling, Teacher, Phase, Optimiser, Train, Recipe)

SMALL = """\
data: {name: digits}
model: {name: digits_cnn}
optimiser: {phases: [{name: adam, lr: 1e-3}]}
train: {epochs: 40, batch_labelled: 32}
"""


def small(*overrides: str) -> Recipe:
    """The smallest recipe, with overrides."""
    return recipe_from_text(SMALL, "dir/small.yaml", overrides)


def digits(rung: str) -> Recipe:
    """One of the shipped digits recipes."""
    return load_recipe(ROOT / "recipes" / f"digits_{rung}.yaml")


def test_reads_values_and_defaults() -> None:
    """What the text gives, the schema's defaults for the rest, the file's stem as name."""
    phases = [Phase("adam", 1e-3)]
    data, model, train = Data("digits"), Model("digits_cnn"), Train(40, 32)
    assert small() == Recipe(data, model, Loss(), Teacher(), Optimiser(phases), train, "small")


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("1e-3", 1e-3),
        ("1E5", 1e5),
        (".5", 0.5),
        ("5.", 5.0),
        ("+2", 2.0),
        ("7", 7.0),
        ("1.5e+2", 150.0),
        ("0.10", 0.1),
    ],
)
def test_numbers(written: str, number: float) -> None:
    """The usual ways to write a number all give a float."""
    lr = small(f"optimiser.phases.0.lr={written}").optimiser.phases[0].lr
    assert type(lr) is float and lr == number


@pytest.mark.parametrize(
    "word", ["yes", "no", "on", "off", "y", "none", "010", "2024-01-01", "0x10", "1_0", "inf"]
)
def test_words_stay_strings(word: str) -> None:
    """None of YAML 1.1's surprises: these are strings, as written."""
    assert small(f"data.name={word}").data.name == word


@pytest.mark.parametrize(
    ("written", "value"), [("true", True), ("True", True), ("false", False), ("FALSE", False)]
)
def test_booleans(written: str, value: bool) -> None:
    """true and false, in YAML's three spellings."""
    assert small(f"data.mirror={written}").data.mirror is value


def test_byte_order_mark_and_windows_lines(tmp_path: Path) -> None:
    """Editors on Windows write both."""
    path = tmp_path / "small.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + SMALL.replace("\n", "\r\n").encode("utf-8"))
    assert load_recipe(path) == load_recipe(str(path)) == small()


def test_overrides_beat_the_recipe() -> None:
    """Scalars, null, lists, entries of lists, sections left out of the text; the later of two holds."""
    recipe = small(
        "train.epochs=3",
        "train.epochs=5",
        "data.labels=50",
        "model.channels=[32, pool, 64]",
        "optimiser.phases.0.name=sgd",
        "teacher.enabled=true",
        "loss.weights.consistency=33",
        "optimiser.weight_decay = 0",
    )
    assert (recipe.train.epochs, recipe.data.labels, recipe.model.channels) == (5, 50, [32, "pool", 64])
    assert recipe.optimiser == Optimiser([Phase("sgd", 1e-3)], weight_decay=0.0)
    assert recipe.teacher.enabled and recipe.loss.weights == LossWeights(consistency=33.0)
    assert small("data.labels=50", "data.labels=null").data.labels is None


def test_an_override_mends_a_recipe() -> None:
    """Overrides go in before the values are typed and checked."""
    broken = SMALL.replace("epochs: 40", "epochs: many")
    with pytest.raises(RecipeError):
        recipe_from_text(broken, "small.yaml")
    assert recipe_from_text(broken, "dir/small.yaml", ["train.epochs=40"]) == small()


@pytest.mark.parametrize("stem", ["a b", "-x", "é"])
def test_name_of_an_odd_file_fits_a_folder(stem: str) -> None:
    """The stem is mended; a name that is given is not."""
    assert recipe_from_text(SMALL, f"dir/{stem}.yaml").name in ("a-b", "x", "é")
    assert small("name=other").name == "other"


#: The keys there were first, each off its default.
FIRST_DATA = Data("true", 100, 3, 200, True, 2, True)
FULL = Recipe(
    replace(
        FIRST_DATA,
        path="a",
        size=5,
        streamed=True,
        crop_area=0.5,
        crop_aspect=1.5,
        jitter=0.1,
        lighting=0.2,
        cutout=3,
    ),
    Model(
        "1e-3",
        True,
        0.25,
        0.75,
        "none",
        "none",
        "separate",
        "mode",
        released_bias=True,
        slope=0.0,
        dropout=0.5,
        channels=[32, 32, "pool", 64],
    ),
    Loss(LossWeights(2.0, 0.5, 1e-7, 1 / 3, 1.0, 33.0), 15.0, 2.5),
    Teacher(True, 0.9, 0.999, 12, "copy", "independent"),
    Optimiser(
        [
            Phase("adam", 1e-3, 20, warmup_epochs=0.5),
            Phase("sgd", 0.15, 100, 0.9, "exponential", 1e-4, 498.0),
            Phase("nag", 0.1, 30, 0.9, "steps", milestones=[125, 130], factor=0.2),
            Phase("sgd", 1e22, None, 0.0, "cosine", 0.0),
        ],
        1e-4,
        "weights",
    ),
    Train(400, 64, 64, 40, 100, 5, "local", 7, "float16"),
    "full-1.0",
)
#: A file of labelled images goes with no validation part.
FILED = replace(FULL, data=replace(FULL.data, validation=0, split_file="b"))
#: A network that does not render goes without the terms that need it.
FLAT = replace(
    FULL,
    model=replace(FULL.model, render=False, gates="released", initialiser="he"),
    loss=replace(
        FULL.loss,
        weights=LossWeights(2.0, entropy=0.5, consistency=33.0, virtual_adversarial=0.3, balance=0.2),
        vat=Vat(2.0, 0.1, 3),
    ),
    teacher=Teacher(True, method="temporal_ensembling", ensemble_decay=0.7),
)
#: One without biases.
UNBIASED = replace(
    FULL,
    model=replace(FULL.model, path_norm="none", released_bias=False, bias=False),
    loss=replace(FULL.loss, weights=LossWeights(reconstruction=0.5, consistency=33.0)),
)
#: One that weighs the class beside the path.
WEIGHED = replace(FULL, model=replace(FULL.model, class_prior=True))
#: One with a joint prior of class and path, whose class part is fixed.
JOINT = replace(FULL, model=replace(FULL.model, joint_prior=True, fixed_class_prior=True))
#: One with another sigma^2, whose prior is sampled.
SAMPLED = replace(
    FULL,
    model=replace(FULL.model, path_norm="sampled", temperature=0.3),
    loss=replace(FULL.loss, sampling=Sampling(3, 2)),
)
#: One with a folder of unlabelled images.
FOLDERS = replace(FULL, data=replace(FULL.data, name="folder", unlabelled="true"))
#: Networks that start from weights of a file, and from those of a zoo.
STARTED = replace(FULL, model=replace(FULL.model, weights="true"))
PRETRAINED = replace(FULL, model=replace(FULL.model, name="gluon.1e3", pretrained=True))
#: A Ladder network.
DENOISED = replace(
    FLAT,
    model=replace(FLAT.model, name="ladder_1e3", noise=0.25, denoising=[1e-3, 0.0, 2.0]),
    loss=replace(FLAT.loss, weights=LossWeights(consistency=33.0, denoising=0.7)),
)
#: Where a field is off its default, if not in FULL.
ELSEWHERE = {
    "split_file": FILED.data,
    "class_prior": WEIGHED.model,
    "temperature": SAMPLED.model,
    "sampling": SAMPLED.loss,
    **dict.fromkeys(("joint_prior", "fixed_class_prior"), JOINT.model),
    "unlabelled": FOLDERS.data,
    "weights": STARTED.model,
    "pretrained": PRETRAINED.model,
    **dict.fromkeys(("render", "gates", "initialiser"), FLAT.model),
    "bias": UNBIASED.model,
    **dict.fromkeys(("noise", "denoising"), DENOISED.model),
    "vat": FLAT.loss,
    **dict.fromkeys(("method", "ensemble_decay"), FLAT.teacher),
}


def test_yaml_gives_the_recipe_back() -> None:
    """Every field off its default, strings that look like other types, floats to the last bit."""
    for section in (FULL.data, FULL.model, FULL.loss, FULL.teacher, FULL.optimiser, FULL.train):
        for field in fields(section):
            elsewhere = ELSEWHERE.get(field.name, section)
            assert getattr(elsewhere, field.name) != default_of(field), f"{field.name} is not tried"
    tried = (FULL, FILED, FLAT, UNBIASED, WEIGHED, JOINT, SAMPLED, FOLDERS, STARTED, PRETRAINED, DENOISED)
    for recipe in tried:
        check(recipe)
        text = recipe_to_yaml(recipe)
        assert recipe_from_text(text, "elsewhere/recipe.yaml") == recipe
        assert recipe_to_yaml(recipe_from_text(text, "x")) == text


def test_yaml_is_complete() -> None:
    """Each key of the schema is in the text, defaults included."""

    def keys(tree: Any) -> Any:
        return {name: keys(value) for name, value in tree.items()} if isinstance(tree, dict) else None

    assert keys(yaml.safe_load(recipe_to_yaml(small()))) == keys(asdict(small()))


def test_check_works_for_a_recipe_built_in_python() -> None:
    """Ranges and rules hold there too, with the source in place of a line."""
    with pytest.raises(
        RecipeError, match="^mine: train.epochs: must be at least 1 and at most 1000000, found 0"
    ):
        check(replace(small(), train=Train(0, 32)), source="mine")


def test_recipes_are_frozen() -> None:
    """A run cannot change its recipe."""
    with pytest.raises(FrozenInstanceError):
        small().train.epochs = 3  # type: ignore[misc]


def test_hash_tells_settings_apart_and_nothing_else() -> None:
    """Name and seed do not count, nor does writing out a default; any other value does."""
    same = recipe_hash(small())
    assert len(same) == 12 and int(same, 16) >= 0
    assert recipe_hash(small("train.seed=5", "name=other")) == same
    assert recipe_hash(recipe_from_text(recipe_to_yaml(small()), "x")) == same
    changes = [
        "data.split_seed=1",
        "optimiser.phases.0.lr=2e-3",
        "loss.weights.entropy=1",
        "model.channels=[8]",
    ]
    hashes = {recipe_hash(small(change)) for change in changes}
    assert len(hashes | {same}) == 5


def test_hash_is_stable() -> None:
    """Result files hold hashes: a changed canonical form would cut them off from their recipes."""
    first = replace(FULL, data=FIRST_DATA, train=replace(FULL.train, dtype="float32"))
    assert (recipe_hash(small()), recipe_hash(first)) == ("1ec6846522bf", "5eccdb1f4954")


DEFAULTS = """\
data: {name: digits, labels: null, split_seed: 0, validation: 0, unlabelled_includes_labelled: false,
  shift: 0, mirror: false}
model: {name: digits_cnn, maxmin: false, alpha_max: 0.5, alpha_min: 0.5, norm: batch, render_norm: batch,
  render_norm_branches: shared, path_norm: layerwise, released_bias: false, slope: 0.1, dropout: null,
  channels: null}
loss:
  weights: {cross_entropy: 1, reconstruction: 0, entropy: 0, moment_matching: 0, path_norm: 0, consistency: 0}
  consistency_rampup_epochs: 0
  generative_rampup_epochs: 0
teacher: {enabled: false, decay: 0.99, late_decay: null, late_decay_from_step: 40000, bn_statistics: average,
  augmentation: same}
optimiser:
  phases:
    - {name: adam, lr: 1e-3, epochs: null, momentum: 0, schedule: constant, final_lr: null,
       decay_epochs: null, milestones: [], factor: 0.1, warmup_epochs: 0, restart_epochs: null,
       restart_factor: 1}
  weight_decay: 5e-4
  weight_decay_on: all
train: {epochs: 40, batch_labelled: 32, batch_unlabelled: 0, epoch_steps: null, eval_batch: 500,
  checkpoint_every_epochs: 1, kvstore: device, seed: 0}
name: small
"""


def test_defaults_are_what_they_were() -> None:
    """Hashes leave defaults out, so a default must never change: old lines stay, new keys need none."""
    assert recipe_from_text(DEFAULTS, "x") == small()


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_schema_declares_itself(section: type) -> None:
    """Every field has a meaning; every text but a name has choices; defaults have the declared type."""
    hints = get_type_hints(section)
    for field in fields(section):  # type: ignore[arg-type]
        assert field.metadata["doc"].strip() and not field.metadata["doc"].endswith(".")
        if hints[field.name] is str and field.name != "name":
            assert field.default in field.metadata["choices"]
        if hints[field.name] in (int, float, bool) and isinstance(field.default, (int, float)):
            assert type(field.default) is hints[field.name], field.name


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_shipped_recipe(path: Path) -> None:
    """It loads, survives the round trip, and opens with what it is, its command and where its result is."""
    recipe = load_recipe(path)
    assert recipe.name == path.stem and recipe_from_text(recipe_to_yaml(recipe), "x") == recipe
    head = path.read_text(encoding="utf-8").split("\n\n")[0]
    assert all(line.startswith("#") for line in head.splitlines())
    assert f"python tools/train.py recipes/{path.name} --seed 0" in head
    assert "# measured: see results/" in head and "# expect:" in head


def shared(recipe: Recipe) -> Dict[str, Any]:
    """What the rows of the digits table must have in common."""
    model = replace(recipe.model, maxmin=False, path_norm="none", bias=True)
    train = replace(recipe.train, batch_unlabelled=0)
    return asdict(replace(recipe, model=model, train=train, loss=Loss(), teacher=Teacher(), name=""))


@pytest.mark.parametrize("data", ["digits", "fashion_mnist", "cifar10", "cifar100", "svhn"])
def test_the_methods_of_a_table_share_all_but_the_method(data: str) -> None:
    """Apart from whether they render, the authors' batches and rates, and the steps of what is supervised."""
    found = []
    shared_networks = {method: stem for method, stem in METHODS.items() if method not in OWN_NETWORKS}
    for ending in shared_networks.values():
        recipe = load_recipe(ROOT / "recipes" / f"{data}_{ending}.yaml")
        phases = [replace(phase, lr=0.1) for phase in recipe.optimiser.phases]
        train = replace(recipe.train, batch_labelled=64, epoch_steps=None)
        model, optimiser = replace(recipe.model, render=True), replace(recipe.optimiser, phases=phases)
        found.append(shared(replace(recipe, model=model, train=train, optimiser=optimiser)))
    assert len(found) == len(METHODS) - len(OWN_NETWORKS)
    assert all(each == found[0] for each in found)


@pytest.mark.parametrize("data", ["digits", "fashion_mnist", "cifar10", "svhn"])
def test_methods_with_networks_of_their_own_share_the_images(data: str) -> None:
    """On images that the paper does not use, the steps too, and without an adversary the optimiser."""
    plain = load_recipe(ROOT / "recipes" / f"{data}_mt.yaml")
    for method, stem in METHODS.items():
        path = ROOT / "recipes" / f"{data}_{stem}.yaml"
        if method in OWN_NETWORKS and path.exists():
            recipe = load_recipe(path)
            assert recipe.data == plain.data
            if data in ("digits", "fashion_mnist"):
                assert recipe.train == plain.train
                assert recipe.adversarial.method != "none" or recipe.optimiser == plain.optimiser


def test_digits_recipes_differ_in_the_method_only() -> None:
    """Same data, backbone, steps, augmentation and optimiser; same settings of what two rows both use."""
    recipes = {rung: digits(rung) for rung in DIGITS}
    full = recipes["maxmin_mt"]
    for rung, recipe in recipes.items():
        assert shared(recipe) == shared(full), rung
        assert recipe.train.batch_unlabelled == (0 if rung == "supervised" else full.train.batch_unlabelled)
        for term, weight in vars(recipe.loss.weights).items():
            assert weight in (0, getattr(full.loss.weights, term)), (rung, term)
    assert recipes["mt"].teacher == full.teacher


@pytest.mark.parametrize(
    ("rung", "terms", "maxmin"),
    [
        ("supervised", "", False),
        ("mt", "consistency", False),
        ("nrm", "reconstruction entropy moment_matching", False),
        ("nrm_rpn", "reconstruction entropy moment_matching path_norm", False),
        ("nrm_rpn_maxmin", "reconstruction entropy moment_matching path_norm", True),
        ("maxmin_mt", "reconstruction entropy moment_matching path_norm consistency", True),
    ],
)
def test_digits_ladder(rung: str, terms: str, maxmin: bool) -> None:
    """Each rung has exactly the terms it is named for."""
    recipe = digits(rung)
    used = {term for term, weight in vars(recipe.loss.weights).items() if weight > 0}
    assert used == {"cross_entropy", *terms.split()} and recipe.model.maxmin is maxmin
    assert (recipe.model.path_norm != "none") is ("path_norm" in used)


def test_page_is_up_to_date(tmp_path: Path) -> None:
    """After a change of the schema: python -m gluon_nrm.recipe.describe docs/recipes.md."""
    assert (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8") == render()
    assert main([str(tmp_path / "page.md")]) == 0
    assert [(p.name, p.read_text(encoding="utf-8")) for p in tmp_path.iterdir()] == [("page.md", render())]


def test_page_names_every_key() -> None:
    """A row for each key of each section."""
    page = render()
    for section in SECTIONS[:-1]:
        for field in fields(section):  # type: ignore[arg-type]
            assert f"\n| `{field.name}` | " in page


def test_needs_no_mxnet() -> None:
    """Reading a recipe does not wait for MXNet, nor for numpy, to be loaded."""
    code = "import sys, gluon_nrm.recipe.describe; sys.exit(' '.join({'mxnet', 'numpy'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.PIPE, text=True, check=False
    )
    assert done.stderr.strip() == ""
