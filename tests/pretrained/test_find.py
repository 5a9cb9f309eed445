"""Pretrained networks by name: what is chosen, what is refused, and the files of the package."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any, Callable, Dict, List

import mxnet as mx
import numpy as np
import pytest
from spoil import cut, edit, flip, remove, write

from gluon_nrm import get_model, list_models
from gluon_nrm.errors import CheckpointError, ModelError
from gluon_nrm.pretrained import find, names
from gluon_nrm.pretrained.description import LARGEST, description_text
from gluon_nrm.pretrained.find import describe_pretrained, read_parameters
from gluon_nrm.pretrained.names import list_pretrained
from gluon_nrm.recipe import recipe_hash
from gluon_nrm.runs.pretrained_run import restore_trained
from gluon_nrm.training.evaluate_pretrained import evaluate_pretrained

NAME = "digits_maxmin_mt_50"
PACKAGED = list_pretrained()


@pytest.fixture
def networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the folder with the one network of the digits."""
    folder = tmp_path / "networks"
    folder.mkdir()
    for kind in ("json", "params"):
        shutil.copy(names.NETWORKS / f"{NAME}.{kind}", folder)
    monkeypatch.setattr(names, "NETWORKS", folder)
    return folder


def change(folder: Path, name: str, **values: Any) -> None:
    """Write the description of another network beside the first, with the same parameters."""
    body: Dict[str, Any] = json.loads((folder / f"{NAME}.json").read_text(encoding="utf-8"))
    (folder / f"{name}.json").write_text(json.dumps({**body, "name": name, **values}), encoding="utf-8")
    shutil.copy(folder / f"{NAME}.params", folder / f"{name}.params")


@pytest.mark.parametrize("name", PACKAGED)
def test_a_packaged_network_is_what_its_description_says(name: str) -> None:
    found = describe_pretrained(name)
    data = (names.NETWORKS / f"{name}.params").read_bytes()
    assert hashlib.sha256(data).hexdigest() == found.params.sha256
    assert len(data) == found.params.bytes <= LARGEST
    recipe = found.load_recipe()
    assert recipe_hash(recipe) == found.recipe_hash
    assert (recipe.name, recipe.train.seed, recipe.data.name) == (found.recipe, found.seed, found.dataset)
    assert len(found.commit) == 40
    assert found.data.test.images == found.test_error.images
    text = (names.NETWORKS / f"{name}.json").read_text(encoding="utf-8")
    assert text == description_text(found)
    assert "/home" not in text and "/work" not in text and "/tmp" not in text
    # MXNet's own reader, by the names that Gluon gives
    stored = mx.nd.load(str(names.NETWORKS / f"{name}.params"))
    net = get_model(found.model, pretrained=name)
    own = net._collect_params_with_prefix()
    assert stored and all(np.array_equal(own[key].data().asnumpy(), stored[key].asnumpy()) for key in stored)


def test_the_error_of_the_digits_is_counted_again() -> None:
    found = evaluate_pretrained(NAME, devices="cpu")
    assert (found.record.error, found.record.images) == (found.published.test_error.per_cent, 500)
    assert found.record.network == found.published.network == "teacher"


def test_the_names() -> None:
    assert list_models(pretrained=True) == PACKAGED
    assert list_models("digits_*", pretrained=True) == [
        name for name in PACKAGED if name.startswith("digits")
    ]
    assert not set(PACKAGED) & set(list_models())


@pytest.mark.parametrize(
    ("network", "pretrained"),
    [("digits_cnn", NAME), ("digits_cnn", "digits"), ("digits_cnn", True), (NAME, True)],
)
def test_ways_to_name_one(networks: Path, network: str, pretrained: Any) -> None:
    assert find.choose_pretrained(network, pretrained).name == NAME


def test_a_data_set_means_its_best_network(networks: Path) -> None:
    change(networks, "digits_all", test_error={"per_cent": 1.25, "images": 500})
    change(networks, "digits_worse", test_error={"per_cent": 99.0, "images": 500})
    assert find.choose_pretrained("digits_cnn", "digits").name == "digits_all"


def test_several_networks_are_listed(networks: Path) -> None:
    change(networks, "digits_all", test_error={"per_cent": 1.25, "images": 500})
    change(networks, "letters_all", dataset="letters")
    with pytest.raises(
        ModelError,
        match=r"means several.*'digits_all' \(1\.25 % error\), 'digits_maxmin_mt_50' \(.*letters_all",
    ):
        get_model("digits_cnn", pretrained=True)
    assert find.choose_pretrained("digits_cnn", "letters").name == "letters_all"


@pytest.mark.parametrize(
    ("arguments", "options", "said"),
    [
        (["digits_cnn"], {"pretrained": "mnist"}, f"no such network; of digits_cnn there are: '{NAME}'"),
        (["lenet_small"], {"pretrained": True}, f"there are: none; others: '{NAME}' of digits_cnn"),
        (["lenet_small"], {"pretrained": NAME}, "is a digits_cnn, not a lenet_small; give 'digits_cnn'"),
        ([NAME], {"pretrained": True, "maxmin": False}, f"maxmin: .*leave it out.*model.weights: {NAME}"),
        ([NAME], {"pretrained": True, "channels": [4]}, "channels: .*leave it out"),
        ([NAME, 9], {"pretrained": True}, f"classes: 9, and {NAME} has 10; leave it out"),
        ([NAME, 10, (1, 9, 9)], {"pretrained": True}, r"input_shape: \(1, 9, 9\), .*leave it out"),
        (["digits_cnn"], {}, "give classes and input_shape"),
    ],
)  # fmt: skip
def test_what_is_refused_says_what_there_is(
    networks: Path, arguments: List[Any], options: Dict[str, Any], said: str
) -> None:
    with pytest.raises(ModelError, match=said):
        get_model(*arguments, **options)


@pytest.mark.parametrize(("name", "said"), [("digits_maxmin", f"did you mean {NAME}"), ("x", f"are: {NAME}")])
def test_an_unknown_name_is_answered_by_the_names(networks: Path, name: str, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        describe_pretrained(name)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (cut(f"{NAME}.params"), r"\.params is damaged: it is cut short, \d+ bytes of \d+; .*git checkout"),
        (flip(f"{NAME}.params"), rf"its SHA-256 is not the one in {NAME}\.json"),
        (write(f"{NAME}.params", bytes(300_000)), "more than"),
        (remove(f"{NAME}.params"), "cannot read"),
        (edit(f"{NAME}.json", '"params"', '"parms"'), "parms is unknown"),
        (edit(f"{NAME}.json", NAME, "another"), f"name must be {NAME}"),
        (edit(f"{NAME}.json", '"format": 1', '"format": 2'), "format 2, this version reads 1; use a newer"),
        (edit(f"{NAME}.json", '"digits_cnn"', '"lenet_small"'), "not those of lenet_small"),
        (edit(f"{NAME}.json", '"model": {', '"modal": {'), "settings.model must be an object with a name"),
        (edit(f"{NAME}.json", '"mean": [', '"mean": [0.0, '), "mean and std need a value for each channel"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_named(networks: Path, spoil: Callable[[Path], Any], said: str) -> None:
    spoil(networks)
    with pytest.raises(CheckpointError, match=said) as problem:
        get_model(NAME, pretrained=True)
    assert len(str(problem.value).splitlines()) <= 2


def test_another_file_of_arrays_with_a_right_hash_is_refused(networks: Path) -> None:
    data = bytes(64)
    (networks / f"{NAME}.params").write_bytes(data)
    sha256 = hashlib.sha256(data).hexdigest()
    change(networks, "digits_other", params={"sha256": sha256, "bytes": len(data)})
    (networks / "digits_other.params").write_bytes(data)
    with pytest.raises(CheckpointError, match="it does not begin like a file of arrays"):
        read_parameters(describe_pretrained("digits_other"))


def test_a_folder_of_that_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert names.pretrained_name(NAME) == NAME
    assert restore_trained(NAME, devices="cpu").epoch == describe_pretrained(NAME).epochs
    (tmp_path / NAME).mkdir()
    assert names.pretrained_name(NAME) is None
