"""Recipes of the package by name, from any folder; keys by the names of other programs."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import ROOT

from gluon_nrm.errors import RecipeError
from gluon_nrm.recipe import load_recipe, shipped
from gluon_nrm.recipe.build_sections import all_keys
from gluon_nrm.recipe.find_key import SYNONYMS, find_key
from gluon_nrm.recipe.load import read_recipe


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_all_are_listed() -> None:
    assert shipped.list_recipes() == sorted(path.stem for path in (ROOT / "recipes").glob("*.yaml"))


@pytest.mark.parametrize("name", ["digits_maxmin_mt", "digits_maxmin_mt.yaml"])
def test_a_recipe_is_found_by_name(name: str) -> None:
    recipe = load_recipe(name, ["train.seed=3"])
    assert (recipe.name, recipe.train.seed) == ("digits_maxmin_mt", 3)
    assert recipe == load_recipe(ROOT / "recipes" / "digits_maxmin_mt.yaml", ["train.seed=3"])
    assert read_recipe(name) == (ROOT / "recipes" / "digits_maxmin_mt.yaml").read_text(encoding="utf-8")


def test_a_file_of_that_name_wins(folder: Path) -> None:
    text = read_recipe("digits_mt").replace("labels: 50", "labels: 30")
    (folder / "digits_mt.yaml").write_text(text, encoding="utf-8")
    (folder / "digits_nrm").mkdir()  # a folder is no recipe
    assert load_recipe("digits_mt").data.labels == load_recipe("digits_mt.yaml").data.labels == 30
    assert load_recipe("digits_nrm").data.labels == 50
    (folder / "digits_vat").write_text(text, encoding="utf-8")
    assert load_recipe("digits_vat").data.labels == 30


def test_an_installed_package_has_them_in_its_own_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "recipes_data").mkdir()
    (folder / "recipes_data" / "mine.yaml").write_text(read_recipe("digits_mt"), encoding="utf-8")
    monkeypatch.setattr(shipped, "_FOLDERS", (folder / "recipes_data", ROOT / "recipes"))
    assert shipped.list_recipes() == ["mine"]
    assert load_recipe("mine").data.name == "digits"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("digits_maxmin_m", "did you mean digits_maxmin_mt, a recipe of the package?"),
        ("recipes/digits_mt.yaml", "did you mean digits_mt, a recipe of the package?"),
        ("zzz", "--list-recipes lists those of the package"),
        ("", "is a folder"),
        ("x" * 300, "cannot read"),
    ],
)
def test_what_is_not_found(name: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        load_recipe(name)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("lr", "optimiser.phases.0.lr"),
        ("learning-rate", "optimiser.phases.0.lr"),
        ("epochs", "train.epochs"),
        ("batch_size", "train.batch_labelled"),
        ("dropuot", "model.dropout"),
        ("path_norm", "model.path_norm"),
        ("loss.consistency", "loss.weights.consistency"),
        ("zzz", None),
    ],
)
def test_the_key_that_is_meant(name: str, key: str) -> None:
    assert find_key(name) == key


def test_synonyms_are_keys() -> None:
    assert set(SYNONYMS.values()) <= set(all_keys())
