"""Official files, written by hand, load right; whatever is wrong with one is said, with its name."""

from __future__ import annotations

import gzip
import pickle
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Dict, NamedTuple, Tuple

import numpy as np
import official_files as official
import pytest
from official_files import SPECS, Files, a_part

from gluon_nrm.data import Dataset, DataSource, dataset_spec, list_datasets, load_dataset
from gluon_nrm.data.pipeline.stand_in import stand_in
from gluon_nrm.data.readers.cifar import CIFAR10_FORMS, CIFAR100_FORMS, read_cifar
from gluon_nrm.data.readers.cifar_pickles import read_dictionary
from gluon_nrm.data.readers.mnist import read_mnist
from gluon_nrm.data.readers.svhn import read_svhn
from gluon_nrm.errors import DataError, MissingData

OFFICIAL = ("cifar10", "cifar100", "svhn", "mnist")
READ: Dict[str, Callable[[DataSource], Dataset]] = {
    "cifar10": lambda source: read_cifar(SPECS["cifar10"], CIFAR10_FORMS, source),
    "cifar100": lambda source: read_cifar(SPECS["cifar100"], CIFAR100_FORMS, source),
    "svhn": lambda source: read_svhn(SPECS["svhn"], source),
    "mnist": lambda source: read_mnist(SPECS["mnist"], source),
}
Writer = Callable[[Any], Files]

FOLDERS: Dict[Writer, str] = {
    official.cifar10_binary: "cifar-10-batches-bin",
    official.cifar10_python: "cifar-10-batches-py",
    official.cifar100_binary: "cifar-100-binary",
    official.cifar100_python: "cifar-100-python",
}
ARCHIVES: Dict[Writer, str] = {
    official.cifar10_binary: "cifar-10-binary.tar.gz",
    official.cifar10_python: "cifar-10-python.tar.gz",
    official.cifar100_binary: "cifar-100-binary.tar.gz",
    official.cifar100_python: "cifar-100-python.tar.gz",
}


def put(folder: Path, files: Files) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)


def assert_read(name: str, data_dir: Path) -> None:
    """The data set is what was written, and its constants are those of its training images."""
    found, spec = READ[name](DataSource(data_dir)), SPECS[name]
    for part, image_set in (("train", found.train), ("test", found.test)):
        images, labels = a_part(spec, part)
        np.testing.assert_array_equal(image_set.images, images)
        np.testing.assert_array_equal(image_set.labels, labels)
        assert np.asarray(image_set.images).flags.c_contiguous
    assert (found.name, found.class_names) == (name, spec.class_names)
    assert found.input_shape == spec.input_shape
    pixels = a_part(spec, "train")[0].astype(np.float64)
    np.testing.assert_allclose(found.mean, pixels.mean(axis=(0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(found.std, pixels.std(axis=(0, 2, 3)), rtol=1e-6)


@pytest.mark.parametrize("own_folder", [True, False])
@pytest.mark.parametrize("prefix", ["", "./"])
@pytest.mark.parametrize("write", ARCHIVES, ids=lambda write: write.__name__)
def test_cifar_archives(write: Writer, prefix: str, own_folder: bool, tmp_path: Path) -> None:
    name = write.__name__.partition("_")[0]
    place = tmp_path / name if own_folder else tmp_path
    place.mkdir(exist_ok=True)
    official.archive(place / ARCHIVES[write], FOLDERS[write], write(SPECS[name]), prefix)
    before = sorted(tmp_path.rglob("*"))
    assert_read(name, tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("write", FOLDERS, ids=lambda write: write.__name__)
def test_cifar_folders(write: Writer, tmp_path: Path) -> None:
    name = write.__name__.partition("_")[0]
    official.unpacked(tmp_path / name / FOLDERS[write], write(SPECS[name]))
    assert_read(name, tmp_path)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("write", [official.svhn, official.mnist], ids=lambda write: write.__name__)
def test_svhn_and_mnist(write: Callable[..., Files], zipped: bool, tmp_path: Path) -> None:
    name = write.__name__
    put(tmp_path / name, write(SPECS[name], zipped=zipped))
    assert_read(name, tmp_path)


@pytest.mark.parametrize("folder", ["MNIST/raw", "mnist/MNIST/raw", "mnist/raw"])
@pytest.mark.parametrize("zipped", [True, False])
def test_mnist_where_torchvision_keeps_it(folder: str, zipped: bool, tmp_path: Path) -> None:
    files = official.mnist(SPECS["mnist"], zipped)
    put(tmp_path / folder, files)
    assert_read("mnist", tmp_path)
    source = DataSource(tmp_path, path=str((tmp_path / folder).parent))
    assert len(READ["mnist"](source).train.labels) == official.TRAIN
    # the usual places come first
    put(tmp_path / "mnist", dict.fromkeys(files, b""))
    with pytest.raises(DataError, match="mnist/train-images"):
        READ["mnist"](DataSource(tmp_path))


def test_mnist_with_dots(tmp_path: Path) -> None:
    files = official.mnist(SPECS["mnist"], zipped=False)
    put(tmp_path, {name.replace("-idx", ".idx"): data for name, data in files.items()})
    assert_read("mnist", tmp_path)


def test_a_folder_of_its_own(tmp_path: Path) -> None:
    put(tmp_path / "elsewhere", official.mnist(SPECS["mnist"]))
    source = DataSource(tmp_path, path=str(tmp_path / "elsewhere"))
    assert len(READ["mnist"](source).train.labels) == official.TRAIN
    put(tmp_path, official.mnist(SPECS["mnist"]))
    with pytest.raises(MissingData, match="nowhere/train-images-idx3-ubyte.gz is missing"):
        READ["mnist"](DataSource(tmp_path, path=str(tmp_path / "nowhere")))


def test_an_archive_is_read_before_a_folder(tmp_path: Path) -> None:
    """A folder half unpacked beside its archive does no harm."""
    files = official.cifar10_binary(SPECS["cifar10"])
    official.archive(tmp_path / "cifar-10-binary.tar.gz", "cifar-10-batches-bin", files)
    official.unpacked(tmp_path / "cifar-10-batches-bin", {"data_batch_1.bin": b""})
    assert_read("cifar10", tmp_path)


# Pickles


def test_a_pickle_in_fortran_order() -> None:
    images, labels = a_part(SPECS["cifar10"], "test")
    found = read_dictionary(official.pickled("labels", images, labels, fortran=True), "here")
    np.testing.assert_array_equal(found["data"], images.reshape(len(images), -1))
    assert found["labels"] == found["coarse_labels"] == labels.tolist()
    assert found["filenames"] == ["leptodactylus_s_000004.png"]


def test_our_pickles_are_pickles() -> None:
    """What the tests write by hand is what unpickling would take it for."""
    images, labels = a_part(SPECS["cifar10"], "test")
    found = pickle.loads(official.pickled("labels", images, labels), encoding="latin-1")
    np.testing.assert_array_equal(found["data"], images.reshape(len(images), -1))
    assert found["labels"] == labels.tolist()


class _Touch:
    """Unpickled, it makes a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Tuple[Any, ...]:
        return open, (self.path, "w")


@pytest.mark.parametrize("protocol", range(6))
def test_nothing_in_a_pickle_is_run(protocol: int, tmp_path: Path) -> None:
    target = tmp_path / "made"
    if protocol > pickle.HIGHEST_PROTOCOL:
        pytest.skip("this Python does not write it")
    data = pickle.dumps({"data": _Touch(str(target))}, protocol=protocol)
    with pytest.raises(DataError, match="no batch of CIFAR: it (names|has the instruction)"):
        read_dictionary(data, "here")
    assert not target.exists()
    pickle.loads(data)
    assert target.exists()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "damaged, or no pickle"),
        (b"<html>", "damaged, or no pickle"),
        (b"\x80\x02]q\x01.", "damaged, or no pickle"),  # a list
        (b"\x80\x02h\x07.", "damaged, or no pickle"),  # memory that was never set
        (b"\x80\x02}q\x01U\x01au.", "damaged, or no pickle"),  # items without a mark
        (b"\x80\x02}U\x01acos\nsystem\ns.", "it names os.system"),
        (b"\x80\x02}U\x01acnumpy\nndarray\n)Rs.", "it calls numpy ndarray"),
        (b"\x80\x02}U\x01a\x8c\x02os\x8c\x06system\x93s.", "the instruction SHORT_BINUNICODE"),
    ],
)
def test_other_pickles_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(DataError, match=f"somewhere: .*{message}"):
        read_dictionary(data, "somewhere")


# What is wrong


class Case(NamedTuple):
    """A file of a data set that was changed, and what the message must hold beside its name."""

    name: str
    write: Writer
    file: str
    change: Callable[[bytes], bytes]
    expected: str


def cut(data: bytes) -> bytes:
    return data[:-9]


def longer(data: bytes) -> bytes:
    return data + bytes(9)


def page(_: bytes) -> bytes:
    return b"<html>404</html>"


def at(place: int, value: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:place] + bytes([value]) + data[place + 1 :]


def zipped(change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    return lambda data: gzip.compress(change(gzip.decompress(data)))


def swapped(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        assert old in data
        return data.replace(old, new, 1)

    return change


def small(**shape: Tuple[int, ...]) -> Callable[[bytes], bytes]:
    """A MATLAB file of images of another shape, or of other labels."""
    spec = SPECS["svhn"]
    return lambda data: official.matlab(
        np.zeros(shape.get("images", (32, 32, 3, spec.train)), np.uint8),
        np.array(shape.get("labels", (1,) * spec.train)),
    )


C10, P10, C100, P100 = FOLDERS
SVHN, MNIST = official.svhn, official.mnist
IMAGES, LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"
TRAIN_MAT, TEST_MAT = "train_32x32.mat", "test_32x32.mat"
NO_GZIP, NO_MATLAB = "is damaged or not a .gz", "is damaged or not a MATLAB"

CASES = [
    Case("binary, cut", C10, "data_batch_3.bin", cut, "6 images of 3073 bytes are 18438"),
    Case("binary, longer", C10, "test_batch.bin", longer, "61469 bytes"),
    Case("binary, empty", C10, "test_batch.bin", lambda _: b"", "0 bytes"),
    Case("binary, label", C10, "data_batch_1.bin", at(3073, 10), "to 10; expected 0 to 9"),
    Case("binary, too large", C10, "test_batch.bin", lambda d: bytes(100000), "at most 68096"),
    Case("fine label", C100, "test.bin", at(1, 100), "to 100; expected 0 to 99"),
    Case("record of CIFAR-10", C100, "train.bin", lambda d: d[: 30 * 3073], "92190 bytes"),
    Case("python, cut", P10, "data_batch_2", cut, "damaged, or no pickle"),
    Case("python, no pickle", P10, "test_batch", page, "damaged, or no pickle"),
    Case("python, no data", P10, "test_batch", swapped(b"\x04data", b"\x04dada"), "'data' is missing"),
    Case("python, floats", P10, "test_batch", swapped(b"U\x02u1", b"U\x02f4"), "array of something else"),
    Case("python, shape", P10, "test_batch", swapped(b"K\x14M", b"K\x13M"), "damaged"),
    Case("python, labels", P100, "train", swapped(b"fine", b"fime"), "'fine_labels' is no list of 30"),
    Case("python, label", P10, "data_batch_1", swapped(b"]q\x05(K", b"]q\x05(K\x63K"), "no list of 6"),
    Case("svhn, cut", SVHN, TRAIN_MAT, lambda d: d[: len(d) // 2], NO_MATLAB),
    Case("svhn, page", SVHN, TEST_MAT, page, NO_MATLAB),
    Case("svhn, empty", SVHN, TEST_MAT, lambda _: b"", NO_MATLAB),
    Case("svhn, bit", SVHN, TRAIN_MAT, at(5000, 1), NO_MATLAB),
    Case("svhn, size", SVHN, TRAIN_MAT, small(images=(28, 28, 3, 30)), "(28, 28, 3, 30)"),
    Case("svhn, grey", SVHN, TRAIN_MAT, small(images=(32, 32, 1, 30)), "(32, 32, 1, 30)"),
    Case("svhn, count", SVHN, TRAIN_MAT, small(labels=(1,) * 29), "(29, 1)"),
    Case("svhn, label 0", SVHN, TRAIN_MAT, small(labels=(0,) * 30), "from 0 to 0; expected 1"),
    Case("svhn, label 11", SVHN, TRAIN_MAT, small(labels=(11,) * 30), "to 11; expected 1 to 10"),
    Case("mnist, gzip cut", MNIST, IMAGES, cut, NO_GZIP),
    Case("mnist, page", MNIST, TEST_LABELS, page, NO_GZIP),
    Case("mnist, bit", MNIST, IMAGES, at(9000, 1), NO_GZIP),
    Case("mnist, cut", MNIST, IMAGES, zipped(cut), "23527 of 23536 bytes"),
    Case("mnist, longer", MNIST, LABELS, zipped(longer), "more than 38 bytes"),
    Case("mnist, magic", MNIST, TEST_IMAGES, zipped(at(2, 9)), "begins with [2307, 20, 28, 28]"),
    Case("mnist, size", MNIST, TEST_IMAGES, zipped(at(11, 32)), "begins with [2051, 20, 32, 28]"),
    Case("mnist, count", MNIST, TEST_LABELS, zipped(at(7, 10)), "begins with [2049, 10]"),
    Case("mnist, empty", MNIST, TEST_LABELS, zipped(lambda _: b""), "only 0 bytes"),
    Case("mnist, label", MNIST, TEST_LABELS, zipped(at(9, 10)), "up to 10; expected 0 to 9"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_wrong_file_is_named(case: Case, tmp_path: Path) -> None:
    name = case.write.__name__.partition("_")[0]
    files = case.write(SPECS[name])
    files[case.file] = case.change(files[case.file])
    folder = tmp_path / name / FOLDERS.get(case.write, "")
    put(folder, files)
    with pytest.raises(DataError, match=re.escape(case.expected)) as caught:
        READ[name](DataSource(tmp_path))
    assert str(folder / case.file) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    if case.write in ARCHIVES:
        official.archive(tmp_path / ARCHIVES[case.write], FOLDERS[case.write], files)
        with pytest.raises(DataError, match=re.escape(case.expected)) as caught:
            READ[name](DataSource(tmp_path))
        assert str(tmp_path / ARCHIVES[case.write]) in str(caught.value) and case.file in str(caught.value)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda data: data[: len(data) // 2], "is damaged or not a .tar.gz"),
        (page, "is damaged or not a .tar.gz"),
        (lambda data: gzip.compress(b"no archive" * 100), "is damaged or not a .tar.gz"),
        (at(20000, 1), "damaged"),
        (lambda _: b"", "damaged"),
    ],
)
def test_a_wrong_archive_is_named(change: Callable[[bytes], bytes], expected: str, tmp_path: Path) -> None:
    path = tmp_path / "cifar-10-binary.tar.gz"
    official.archive(path, "cifar-10-batches-bin", official.cifar10_binary(SPECS["cifar10"]))
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DataError, match=expected) as caught:
        READ["cifar10"](DataSource(tmp_path))
    assert str(path) in str(caught.value)


def test_another_archive_and_an_incomplete_folder(tmp_path: Path) -> None:
    files = official.cifar100_binary(SPECS["cifar100"])
    official.archive(tmp_path / "cifar-10-binary.tar.gz", "cifar-100-binary", files)
    with pytest.raises(DataError, match="does not hold cifar-10-batches-bin/data_batch_1.bin; is it another"):
        READ["cifar10"](DataSource(tmp_path))
    official.unpacked(tmp_path / "cifar-100-python", {"train": b""})
    with pytest.raises(DataError, match="cifar-100-python does not hold test; "):
        READ["cifar100"](DataSource(tmp_path))


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "train_32x32.mat").mkdir()
    with pytest.raises(DataError, match="cannot read .*train_32x32.mat: Is a directory"):
        READ["svhn"](DataSource(tmp_path))


# Without files


@pytest.mark.parametrize("name", OFFICIAL)
def test_the_real_numbers_are_asked_for(name: str, tmp_path: Path) -> None:
    """The registered loader takes nothing smaller than the real data set."""
    write = {"cifar10": official.cifar10_binary, "cifar100": official.cifar100_binary}.get(name)
    if write is None:
        put(tmp_path, getattr(official, name)(SPECS[name]))
    else:
        official.unpacked(tmp_path / FOLDERS[write], write(SPECS[name]))
    with pytest.raises(DataError, match="0000|73257") as caught:
        load_dataset(name, tmp_path)
    assert not isinstance(caught.value, MissingData)


@pytest.mark.parametrize("name", OFFICIAL)
def test_a_missing_data_set_names_file_and_command(name: str, tmp_path: Path, monkeypatch: Any) -> None:
    first = {
        "cifar10": "cifar-10-binary.tar.gz",
        "cifar100": "cifar-100-binary.tar.gz",
        "svhn": "train_32x32.mat",
        "mnist": "train-images-idx3-ubyte.gz",
    }[name]
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GLUON_NRM_DATA", raising=False)
    with pytest.raises(MissingData) as caught:
        load_dataset(name)
    assert str(caught.value) == (
        f"data/{name}/{first} is missing; get it: python tools/prepare_data.py {name}"
    )
    monkeypatch.setenv("GLUON_NRM_DATA", "my images")
    with pytest.raises(MissingData) as caught:
        load_dataset(name)
    assert str(caught.value) == (
        f"my images/{name}/{first} is missing; get it: "
        f"python tools/prepare_data.py {name} --data-dir 'my images'"
    )


@pytest.mark.parametrize("name", [*OFFICIAL, "digits"])
def test_stand_ins(name: str) -> None:
    spec, found, again = dataset_spec(name), stand_in(name), stand_in(name)
    assert (found.name, found.class_names, found.input_shape) == (name, spec.class_names, spec.input_shape)
    np.testing.assert_allclose(found.mean, spec.mean, rtol=1e-6)
    np.testing.assert_allclose(found.std, spec.std, rtol=1e-6)
    np.testing.assert_array_equal(found.train.images, again.train.images)
    assert np.bincount(found.train.labels).tolist() == [4] * spec.classes
    assert not np.array_equal(found.train.images, found.test.images)
    more = stand_in(name, train=3 * spec.classes, test=1)
    assert (len(more.train.labels), len(more.test.labels)) == (3 * spec.classes, 1)


def test_every_registered_set_has_its_published_numbers() -> None:
    assert {*OFFICIAL, "digits"} <= set(list_datasets())
    counts = {name: (dataset_spec(name).train, dataset_spec(name).test) for name in OFFICIAL}
    assert counts == {
        "cifar10": (50000, 10000),
        "cifar100": (50000, 10000),
        "svhn": (73257, 26032),
        "mnist": (60000, 10000),
    }
    assert [len(set(dataset_spec(name).class_names)) for name in OFFICIAL] == [10, 100, 10, 10]
    names = dataset_spec("cifar100").class_names
    assert list(names) == sorted(names)


def test_the_constants_known_of_digits_are_those_of_its_images() -> None:
    spec, found = dataset_spec("digits"), load_dataset("digits")
    np.testing.assert_allclose(found.mean, spec.mean, rtol=1e-5)
    np.testing.assert_allclose(found.std, spec.std, rtol=1e-5)
    assert (len(found.train.labels), len(found.test.labels)) == (spec.train, spec.test)
    assert replace(spec, name="x").classes == 10
