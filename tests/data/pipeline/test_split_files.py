"""Labelled subsets in files: the same as the draw, and refused where anything in them is not so."""

from __future__ import annotations

import hashlib
import importlib
from pathlib import Path
from typing import Any, Callable

import mxnet as mx
import numpy as np
import official_files as official
import pytest
from fakes import ROOT
from official_files import SPECS
from short_runs import SUPERVISED, recipe

from gluon_nrm.data import Dataset, DataSource, Split, draw_split, load_dataset, read_split, write_splits
from gluon_nrm.data.pipeline.split_files import TABLE_LABELS
from gluon_nrm.data.readers.cifar import CIFAR10_FORMS, read_cifar
from gluon_nrm.errors import DataError, RecipeError
from gluon_nrm.training.assemble import assemble

DIGITS = load_dataset("digits")
SHIPPED = sorted((ROOT / "recipes" / "splits").glob("*.txt"))


def drawn(dataset: Dataset, labels: int, seed: int, **settings: Any) -> Split:
    return draw_split(
        dataset.train.labels, labelled=labels, split_seed=seed, classes=dataset.classes, **settings
    )


def assert_same(first: Split, second: Split) -> None:
    for a, b in zip(first, second):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == np.int64


def test_what_is_shipped_is_what_is_drawn() -> None:
    names = {f"digits_{labels}_s{seed}.txt" for labels in TABLE_LABELS["digits"] for seed in range(5)}
    assert {path.name for path in SHIPPED} == names
    for path in SHIPPED:
        _, labels, seed = path.stem.split("_")
        read = read_split(path, DIGITS, labels=int(labels), seed=int(seed[1:]))
        assert_same(read, drawn(DIGITS, int(labels), int(seed[1:])))


@pytest.mark.parametrize("include", [False, True])
def test_a_file_of_official_images(include: bool, tmp_path: Path) -> None:
    official.archive(
        tmp_path / "cifar-10-binary.tar.gz",
        "cifar-10-batches-bin",
        official.cifar10_binary(SPECS["cifar10"]),
    )
    data = read_cifar(SPECS["cifar10"], CIFAR10_FORMS, DataSource(tmp_path))
    (first, second) = write_splits(data, [20], [0, 7], tmp_path / "splits")
    assert (first.name, second.name) == ("cifar10_20_s0.txt", "cifar10_20_s7.txt")
    found = read_split(second, data, labels=20, seed=7, include_labelled=include)
    assert_same(found, drawn(data, 20, 7, include_labelled=include))
    # made again, they stay as they are
    before = second.stat().st_mtime_ns
    write_splits(data, [20], [7], tmp_path / "splits")
    assert second.stat().st_mtime_ns == before
    second.write_text("mine")
    with pytest.raises(DataError, match="cifar10_20_s7.txt is there and holds another split"):
        write_splits(data, [20], [7], tmp_path / "splits")
    assert second.read_text() == "mine"


def replaced(old: str, new: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return change


def forged(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[str], str]:
    """Other positions, with the right sum for them."""

    def spoil(text: str) -> str:
        *head, _, body = text.split("\n", 7)
        values = change(np.array(body.split(), dtype="<i8"))
        digest = hashlib.sha256(values.astype("<i8").tobytes()).hexdigest()
        return "\n".join([*head, f"positions_sha256 {digest}", " ".join(map(str, values))])

    return spoil


def other_of_class(positions: np.ndarray) -> np.ndarray:
    """One labelled image is exchanged for one of another class."""
    labels = DIGITS.train.labels
    rest = np.setdiff1d(np.arange(len(labels)), positions)
    other = rest[labels[rest] != labels[positions[0]]][0]
    return np.sort(np.append(positions[1:], other))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda _: "", "is no split file: it does not begin with 'gluon_nrm split 1'"),
        (replaced("split 1", "split 2"), "is no split file"),
        (replaced("seed 0\n", ""), "is no split file"),
        (replaced("data digits", "data mnist"), "data is mnist; but data.name is digits"),
        (replaced("labels 50", "labels 100"), "labels is 100; but data.labels is 50"),
        (replaced("seed 0", "seed 1"), "seed is 1; but data.split_seed is 0"),
        (replaced("images 1297", "images 50000"), "images is 50000; but there are 1297 training images"),
        (replaced("labels_sha256 1", "labels_sha256 2"), "it belongs to other images"),
        (replaced("\n33 ", "\n34 "), "the file was changed: make it anew"),
        (replaced("\n33 ", "\n33x "), "33x where positions should be"),
        (replaced("\n33 ", "\n-33 "), "-33 where positions should be"),
        (lambda text: "\n".join(text.split("\n")[:7]), "nothing where positions should be"),
        (forged(lambda p: p[:-1]), "49 positions, and the header says 50"),
        (forged(lambda p: np.append(p[:-1], 1297)), "points outside the 1297 training images"),
        (forged(lambda p: np.append(p[:-1], p[-2])), "ascending order, without repetition"),
        (forged(lambda p: p[::-1]), "ascending order"),
        (forged(other_of_class), "a class has 4 labelled images and another 6"),
    ],
)
def test_what_is_wrong_is_named(change: Callable[[str], str], message: str, tmp_path: Path) -> None:
    (path,) = write_splits(DIGITS, [50], [0], tmp_path)
    path.write_text(change(path.read_text()))
    with pytest.raises(DataError, match=message) as caught:
        read_split(path, DIGITS, labels=50, seed=0)
    assert str(caught.value).startswith(str(path)) and len(str(caught.value).splitlines()) == 1


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read .*no.txt: No such file"):
        read_split(tmp_path / "no.txt", DIGITS, labels=50, seed=0)
    (tmp_path / "binary.txt").write_bytes(bytes(range(256)))
    with pytest.raises(DataError, match="is no split file"):
        read_split(tmp_path / "binary.txt", DIGITS, labels=50, seed=0)
    (tmp_path / "large.txt").write_bytes(b"1 " * 600_000)
    with pytest.raises(DataError, match="it has 1200000 bytes, and at most 1069328 are expected"):
        read_split(tmp_path / "large.txt", DIGITS, labels=50, seed=0)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write"):
        write_splits(DIGITS, [50], [0], tmp_path / "file")
    with pytest.raises(DataError, match="data.labels: 55 is not the same number"):
        write_splits(DIGITS, [55], [0], tmp_path)


def test_a_recipe_with_a_file_means_the_same_as_one_without(tmp_path: Path) -> None:
    (path,) = write_splits(DIGITS, [20], [3], tmp_path)
    text = SUPERVISED.replace("validation: 50, ", "split_seed: 3, ")
    plain = assemble(recipe(text), [mx.cpu()])
    filed = assemble(recipe(text, f"data.split_file={path}"), [mx.cpu()])
    assert_same(filed.split, plain.split)
    for step, other in zip(filed.streams.epoch(0), plain.streams.epoch(0)):
        np.testing.assert_array_equal(step.labelled.images, other.labelled.images)
    with pytest.raises(DataError, match="seed is 3; but data.split_seed is 4"):
        assemble(recipe(text, f"data.split_file={path}", "data.split_seed=4"), [mx.cpu()])
    # without the data there is nothing to compare it with
    noise = assemble(recipe(text, f"data.split_file={path}"), [mx.cpu()], noise=True)
    assert len(noise.split.labelled) == 20


def test_recipes_that_contradict_the_file() -> None:
    with pytest.raises(RecipeError, match="data.validation: 50, but data.split_file holds no validation"):
        recipe(SUPERVISED, "data.split_file=a.txt")
    with pytest.raises(RecipeError, match="data.split_file: needs data.labels"):
        recipe(SUPERVISED, "data.split_file=a.txt", "data.labels=null", "data.validation=0")


def test_the_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    tool = importlib.import_module("gluon_nrm.cli.data")
    assert tool.main(["digits", "--splits", "--split-dir", str(tmp_path), "--seeds", "0", "1"]) == 0
    made = sorted(tmp_path.iterdir())
    assert capsys.readouterr().out.split() == [
        str(tmp_path / f"digits_{n}_s{s}.txt") for n in (50, 100) for s in (0, 1)
    ]
    for path in made:
        assert path.read_bytes() == (ROOT / "recipes" / "splits" / path.name).read_bytes()
    arguments = ["digits", "--splits", "--split-dir", str(tmp_path), "--labels", "10", "--seeds", "5"]
    assert tool.main(arguments) == 0
    assert (tmp_path / "digits_10_s5.txt").exists()
