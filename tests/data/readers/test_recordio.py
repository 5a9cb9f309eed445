"""RecordIO files as im2rec writes them, and ImageNet."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable

import mxnet as mx
import numpy as np
import picture_files as files
import pytest

from gluon_nrm.data import DataSource, dataset_spec, load_dataset
from gluon_nrm.data.readers.imagenet import IMAGENET, read_imagenet
from gluon_nrm.data.readers.recordio import RecordFile
from gluon_nrm.errors import DataError, MissingData

PNG = files.encoded(files.pixels())


def test_records_that_mxnet_wrote(tmp_path: Path) -> None:
    """One label or several fields, any length of the image, the magic number inside it."""
    awkward = [PNG, b"", b"12345", files.MAGIC, b"abcd" + files.MAGIC * 2 + b"efgh" + files.MAGIC + b"x"]
    writer = mx.recordio.MXIndexedRecordIO(str(tmp_path / "a.idx"), str(tmp_path / "a.rec"), "w")
    for key, image in enumerate(awkward):
        label = float(key) if key % 2 else [float(key)]
        writer.write_idx(key, mx.recordio.pack(mx.recordio.IRHeader(0, label, key, 0), image))
    writer.close()
    found = RecordFile(tmp_path / "a.rec")
    assert [found.record(i).image for i in range(len(found))] == awkward
    assert [found.record(i).label for i in range(len(found))] == [0, 1, 2, 3, 4]
    assert found.labels().tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(np.asarray(found.picture(0)), files.pixels())


def test_what_the_tests_write_is_what_mxnet_writes(tmp_path: Path) -> None:
    images = [PNG, b"abcd" + files.MAGIC + b"z", files.MAGIC]
    writer = mx.recordio.MXIndexedRecordIO(str(tmp_path / "a.idx"), str(tmp_path / "a.rec"), "w")
    for key, image in enumerate(images):
        writer.write_idx(key, mx.recordio.pack(mx.recordio.IRHeader(0, key, key, 0), image))
    writer.close()
    files.record_file(tmp_path / "b.rec", enumerate(images))
    for ending in ("rec", "idx"):
        assert (tmp_path / f"b.{ending}").read_bytes() == (tmp_path / f"a.{ending}").read_bytes()


def test_files_that_im2rec_made(tmp_path: Path) -> None:
    """Shuffled, resized and encoded anew, with and without its list of labels."""
    files.class_folders(tmp_path / "pictures", {"b": 3, "a": 4}, height=16, width=24)
    for arguments in (["--list", "--recursive"], ["--resize", "8"]):
        files.im2rec(tmp_path / "train", tmp_path / "pictures", *arguments)
    found = RecordFile(tmp_path / "train.rec")
    labels = found.labels()
    assert np.bincount(labels).tolist() == [4, 3] and found.picture(0).size == (12, 8)
    (tmp_path / "train.lst").unlink()
    np.testing.assert_array_equal(RecordFile(tmp_path / "train.rec").labels(), labels)


def test_labels_from_the_list(tmp_path: Path) -> None:
    """im2rec shuffles: keys are places in the list, the index has them in the order of the file."""
    path = tmp_path / "a.rec"
    files.record_file(path, [(2, PNG), (0, PNG), (1, PNG)], first_key=5)
    path.with_suffix(".lst").write_text("7\t1\tx.png\n5\t2.000000\ty.png\n6\t0\tz.png\n8\t9\tother.png\n")
    assert RecordFile(path).labels().tolist() == [2, 0, 1]
    path.with_suffix(".lst").write_text("7\t1\tx.png\n5\t2\ty.png\n")
    with pytest.raises(DataError, match="a.lst is not the list of .*a.rec"):
        RecordFile(path).labels()
    path.with_suffix(".lst").write_text("7\t1\tx.png\n5\t1\ty.png\n6\t0\tz.png\n")
    with pytest.raises(DataError, match="a.lst is not the list of"):
        RecordFile(path).labels()
    path.with_suffix(".lst").write_text("seven\t1\tx.png\n")
    with pytest.raises(DataError, match="a.lst is damaged or not a list of im2rec"):
        RecordFile(path).labels()


def put(place: int, new: bytes) -> Callable[[bytes], bytes]:
    return lambda data: data[:place] + new + data[place + len(new) :]


def read_all(path: Path) -> None:
    found = RecordFile(path)
    found.labels()
    for index in range(len(found)):
        found.picture(index)


NO_INDEX, DAMAGED = "a.idx is not the index of", "a.idx is damaged or not an index"
CASES: Any = {
    "cut": (".rec", lambda data: data[:-5], r"a.rec, record 2: \d+ of \d+ bytes"),
    "magic": (".rec", lambda data: b"\0" + data[1:], "a.rec, record 0 does not begin with RecordIO's magic"),
    "label": (".rec", put(12, struct.pack("<f", 0.5)), "record 0: label 0.5; expected an integer"),
    "negative": (".rec", put(12, struct.pack("<f", -1)), "record 0: label -1.0"),
    "not a number": (".rec", put(12, struct.pack("<f", np.nan)), "record 0: label nan"),
    "two labels": (".rec", put(8, struct.pack("<I", 2)), "record 0: 2 labels; an image needs one class"),
    "no image": (".rec", put(40, bytes(20)), "record 0 is damaged or not an image"),
    "index of another": (".idx", lambda data: data.replace(b"0\t0", b"0\t99999"), NO_INDEX),
    "index twice": (".idx", lambda data: data + b"9\t0\n", NO_INDEX),
    "no index": (".idx", lambda data: b"", NO_INDEX),
    "index cut": (".idx", lambda data: data[:-4], DAMAGED),
    "index of words": (".idx", lambda data: b"a\tb\n", DAMAGED),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_is_named(case: str, tmp_path: Path) -> None:
    ending, change, message = CASES[case]
    path = tmp_path / "a.rec"
    files.record_file(path, [(i, PNG) for i in range(3)])
    changed = path.with_suffix(ending)
    read_all(path)
    changed.write_bytes(change(changed.read_bytes()))
    with pytest.raises(DataError, match=message):
        read_all(path)


def test_missing_files(tmp_path: Path) -> None:
    files.record_parts(tmp_path)
    (tmp_path / "val.idx").unlink()
    with pytest.raises(DataError, match="val.idx is missing; im2rec writes it"):
        load_dataset("folder", path=str(tmp_path), streamed=True)
    (tmp_path / "val.rec").unlink()
    with pytest.raises(DataError, match="holds train.rec, but neither test.rec nor val.rec"):
        load_dataset("folder", path=str(tmp_path), streamed=True)


def test_records_in_memory_and_streamed(tmp_path: Path) -> None:
    labels = files.record_parts(tmp_path)
    kept = load_dataset("folder", path=str(tmp_path), size=16)
    streamed = load_dataset("folder", path=str(tmp_path), size=16, streamed=True)
    for found in (kept, streamed):
        assert found.input_shape == (3, 16, 16) and found.class_names == ("0", "1", "2")
        assert found.train.labels.tolist() == labels and found.test.labels.tolist() == [0, 1, 2, 0]
    assert (kept.streamed, streamed.streamed) == (False, True)
    # for a streamed set the constants come from a sample, which is here all there is
    evaluated = np.asarray(streamed.train.images)
    np.testing.assert_allclose(streamed.mean, evaluated.mean(axis=(0, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(streamed.std, evaluated.std(axis=(0, 2, 3)), rtol=1e-5)


def test_a_test_label_out_of_range(tmp_path: Path) -> None:
    files.record_parts(tmp_path)
    files.record_file(tmp_path / "val.rec", [(3, PNG)])
    with pytest.raises(DataError, match="test images: labels from 3 to 3; expected 0 to 2"):
        load_dataset("folder", path=str(tmp_path), size=6)


# ImageNet

SMALL = replace(IMAGENET, class_names=("0", "1", "2"), train=12, test=4)


def write_folders(folder: Path) -> None:
    files.class_folders(folder / "train", dict.fromkeys(("n01", "n02", "n03"), 4), height=20, width=24)
    files.class_folders(folder / "val", {"n01": 2, "n02": 1, "n03": 1}, height=20, width=24)


@pytest.mark.parametrize("write", [files.record_parts, write_folders], ids=["records", "folders"])
def test_imagenet(write: Callable[[Path], Any], tmp_path: Path) -> None:
    write(tmp_path / "imagenet")
    found = read_imagenet(SMALL, DataSource(tmp_path))
    assert found.streamed and found.input_shape == (3, 224, 224) and found.classes == 3
    np.testing.assert_allclose(found.mean, IMAGENET.mean, rtol=1e-6)
    np.testing.assert_allclose(found.std, IMAGENET.std, rtol=1e-6)
    assert read_imagenet(SMALL, DataSource(tmp_path, size=32)).input_shape == (3, 32, 32)
    elsewhere = DataSource(tmp_path / "no", path=str(tmp_path / "imagenet"), size=8)
    assert np.asarray(read_imagenet(SMALL, elsewhere).test.images).shape == (4, 3, 8, 8)
    with pytest.raises(DataError, match="data.streamed: false, but 'imagenet' is always streamed"):
        read_imagenet(SMALL, DataSource(tmp_path, streamed=False))
    with pytest.raises(DataError, match="12 training and 4 test images in 3 classes, and ImageNet"):
        load_dataset("imagenet", tmp_path)


def test_no_imagenet(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match="imagenet/train.rec is missing; .*prepare_data.py imagenet"):
        load_dataset("imagenet", tmp_path)
    assert (dataset_spec("imagenet").train, dataset_spec("imagenet").test) == (1281167, 50000)
