"""Recipes, overrides, run folders with their checkpoints, and tables of results."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import List

import pytest

from fuzz.cases import Files, Target
from fuzz.text_changes import ODD_WORDS

ROOT = Path(__file__).resolve().parents[3]
RECIPES = ("digits_maxmin_mt", "digits_nrm_rpn_mode", "table1_max_only_cifar10_4000", "digits_resnet")


def recipes(folder: Path) -> None:
    from short_runs import FULL, SUPERVISED

    texts = {"full": FULL, "supervised": SUPERVISED}
    texts.update(
        {path.stem: path.read_text("utf-8") for path in sorted((ROOT / "recipes").glob("*.yaml"))[::6]}
    )
    for name, text in texts.items():
        (folder / name).mkdir()
        (folder / name / "recipe.yaml").write_text(text, encoding="utf-8")


def read_recipe(folder: Path, rng: random.Random) -> None:
    from gluon_nrm.recipe import load_recipe, recipe_from_text, recipe_hash, recipe_to_yaml

    recipe = load_recipe(folder / "recipe.yaml", _overrides(rng) if rng.random() < 0.3 else ())
    text = recipe_to_yaml(recipe)
    # What is accepted has to survive the run folder: written, read and compared.
    assert recipe_to_yaml(recipe_from_text(text, "recipe.yaml")) == text, (
        "the recipe does not come back as it went"
    )
    recipe_hash(recipe)


def _overrides(rng: random.Random) -> List[str]:
    """Values of --set: a key that there is, mostly, and an odd value."""
    keys = (
        "train.epochs",
        "data.labels",
        "data.path",
        "optimiser.phases.0.lr",
        "model.channels",
        "model.name",
        "data",
        "optimiser.phases",
        "train.seed",
        "data.classes",
        "model",
        "name",
        "a.b.c",
        ".",
        "",
        "a." * 3000 + "b",
        "optimiser.phases.-1.lr",
        "optimiser.phases.²",
        "\0",
        "a\nb",
        "\x1b[1m",
        "optimiser.phases.99999999999",
    )
    values = (
        *ODD_WORDS,
        "[1, 2]",
        "{a: 1}",
        "[" * 3000,
        "&a [*a]",
        "!!python/name:os.system x",
        "'" * 3,
        "x: y: z",
    )
    return [
        f"{rng.choice(keys)}{rng.choice(('=', '=', '=', '=', '', '==', ':'))}{rng.choice(values)}"
        for _ in range(rng.choice((1, 1, 2)))
    ]


def overrides(folder: Path) -> None:
    recipes(folder)
    for place in folder.iterdir():
        (place / "given.set").write_text("train.epochs=3\noptimiser.phases.0.lr=1e-2\ndata: {labels: 20}\n")


def read_overrides(folder: Path, rng: random.Random) -> None:
    from gluon_nrm.recipe import load_recipe

    path = folder / "given.set"
    given = (
        (path.read_bytes() if path.is_file() else b"").decode("utf-8", errors="surrogateescape").split("\n")
    )
    load_recipe(folder / "recipe.yaml", given if rng.random() < 0.5 else _overrides(rng))


@lru_cache(maxsize=None)
def train(text: str) -> Path:
    """Train a short run, without pictures; in the folder of temporary files."""
    from short_runs import no_pictures, recipe

    from gluon_nrm.training import fit as module

    no_pictures(pytest.MonkeyPatch())  # of a process of its own
    root = Path(tempfile.mkdtemp(prefix="trained-"))
    return Path(module.fit(recipe(text), root=root, devices="cpu", stream=io.StringIO()).path)


def runs(folder: Path) -> None:
    from short_runs import FULL, TEMPORAL

    for name, text in (("full", FULL), ("temporal", TEMPORAL)):
        path = train(text)
        shutil.copytree(path, folder / name)
        shutil.copytree(path, folder / f"{name}-stopped")
        (folder / f"{name}-stopped" / "FINISHED.json").unlink()


def mend_run(files: Files, rng: random.Random) -> None:
    """Write the SHA-256 of all files, and of itself, into every state.json."""
    for name in [name for name in files if name.endswith("state.json")]:
        try:
            body = json.loads(files[name])
            body.pop("sha256", None)
            for file in list(body["files"]):
                content = files.get(f"{name[: -len('state.json')]}{file}")
                if content is not None:
                    body["files"][file] = hashlib.sha256(content).hexdigest()
            body["sha256"] = hashlib.sha256(json.dumps(body, sort_keys=True).encode("utf-8")).hexdigest()
            files[name] = json.dumps(body, indent=2).encode("utf-8")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue


def is_of_a_run(name: str) -> bool:
    return not name.endswith((".lock", ".log", ".png", ".svg", ".pdf"))


def read_run(folder: Path, rng: random.Random) -> None:
    """Read a run as the tools do that do not train."""
    from gluon_nrm.recipe import recipe_from_text, recipe_to_yaml
    from gluon_nrm.runs.averages import group_mean_std, to_markdown
    from gluon_nrm.runs.checkpoint import load_checkpoint
    from gluon_nrm.runs.open_run import load_run, open_run
    from gluon_nrm.runs.tables import collect

    choice = rng.randrange(5)
    if choice == 0:
        load_checkpoint(folder / "checkpoints")
    elif choice == 1:
        to_markdown(group_mean_std(collect([folder])))
    elif choice == 2:
        run = load_run(folder)
        if run.finished:
            run.summary()
        load_checkpoint(run.checkpoints)
    else:
        from short_runs import FULL

        text = recipe_to_yaml(recipe_from_text(FULL, "short.yaml"))
        with open_run(folder.parent, folder.name, text, {"commit": "x", "python": "3"}) as run:
            run.read_metrics()


def read_trained(folder: Path, rng: random.Random) -> None:
    """Build the networks of a run and load its newest checkpoint."""
    from gluon_nrm.training.evaluate_run import evaluate_run
    from gluon_nrm.training.restore import restore

    if rng.random() < 0.3:
        evaluate_run(folder, devices="cpu")
    else:
        restore(folder, devices="cpu")


def read_resumed(folder: Path, rng: random.Random) -> None:
    """Go on with a run, for the one epoch that is left of it."""
    from short_runs import FULL, no_pictures, recipe

    from gluon_nrm.training import fit as module

    no_pictures(pytest.MonkeyPatch())
    shutil.rmtree(folder.parent / "root", ignore_errors=True)
    (folder.parent / "root").mkdir()
    # cp, and not shutil: pipes are copied as what they are
    os.spawnlp(os.P_WAIT, "cp", "cp", "-a", str(folder), str(folder.parent / "root" / "short-s0"))
    module.fit(recipe(FULL), root=folder.parent / "root", devices="cpu", stream=io.StringIO())


def stopped(folder: Path) -> None:
    """A run of three epochs whose newest checkpoint is of the second."""
    from short_runs import FULL

    path = folder / "full"
    shutil.copytree(train(FULL), path)
    shutil.rmtree(path / "checkpoints" / "epoch_0003")
    (path / "checkpoints" / "LAST").write_text("epoch_0002\n")
    (path / "FINISHED.json").unlink()


def source(name: str) -> Path:
    return ROOT / ("gluon_nrm/report" if name == "published.csv" else "results") / name


def tables(folder: Path) -> None:
    (folder / "results").mkdir()
    for name in ("published.csv", "digits.csv", "table1.csv"):
        if source(name).exists():
            shutil.copy(source(name), folder / "results")


def read_tables(folder: Path, rng: random.Random) -> None:
    from gluon_nrm.report.published import read_published
    from gluon_nrm.runs.averages import group_mean_std, to_markdown
    from gluon_nrm.runs.tables import read_csv

    if rng.random() < 0.5:
        read_published(folder / "published.csv")
    else:
        to_markdown(group_mean_std(read_csv(folder / "digits.csv")))


TARGETS = [
    Target("recipe", recipes, read_recipe, share=1.5),
    Target("override", overrides, read_overrides, chosen=lambda name: name == "given.set"),
    Target("run", runs, read_run, is_of_a_run, mend_run, share=2.0),
    Target(
        "checkpoint", runs, read_trained, lambda name: name.startswith("checkpoints"), mend_run, share=1.5
    ),
    Target("restore", runs, read_trained, is_of_a_run, mend_run),
    Target("resume", stopped, read_resumed, is_of_a_run, mend_run),
    Target("table", tables, read_tables),
]
