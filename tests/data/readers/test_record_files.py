"""Index, list and records must agree: what would give wrong labels in silence is refused."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Callable, Dict, Mapping, Sequence, Tuple

import mxnet as mx
import numpy as np
import picture_files as files
import pytest

from gluon_nrm.data import load_dataset
from gluon_nrm.data.readers import recordio as module
from gluon_nrm.data.readers.recordio import RecordFile
from gluon_nrm.errors import DataError

PNG = files.encoded(files.pixels())


def write(
    path: Path, items: Sequence[Tuple[int, float]], listed: Mapping[int, object], image: bytes = PNG
) -> None:
    """Records of (key, label), with MXNet's own writer, and a list key -> label unless it is empty."""
    writer = mx.recordio.MXIndexedRecordIO(str(path.with_suffix(".idx")), str(path), "w")
    for key, label in items:
        writer.write_idx(key, mx.recordio.pack(mx.recordio.IRHeader(0, label, key, 0), image))
    writer.close()
    if listed:
        text = "".join(f"{key}\t{label}\tä.png\n" for key, label in listed.items())
        path.with_suffix(".lst").write_text(text, encoding="latin-1")


def test_two_lists_of_im2rec_that_were_joined_are_refused(tmp_path: Path) -> None:
    """Each of them is numbered 0 to 29, with the classes in another order."""
    lines = ""
    for part, classes in (("one", "ab"), ("two", "bca")):
        files.class_folders(tmp_path / part, dict.fromkeys(classes, 30 // len(classes)), height=8, width=8)
        names = sorted((tmp_path / part).glob("*/*"))
        for key, path in enumerate(names):  # as im2rec --list writes it
            lines += f"{key}\t{sorted(classes).index(path.parent.name):f}\t{path.relative_to(tmp_path)}\n"
    (tmp_path / "train.lst").write_text(lines)
    files.im2rec(tmp_path / "train", tmp_path)
    with pytest.raises(DataError, match=r"train.idx: key 0 is repeated; number the lines"):
        RecordFile(tmp_path / "train.rec")
    # without the list it is no better: a record could not be named
    (tmp_path / "train.lst").unlink()
    with pytest.raises(DataError, match="key 0 is repeated"):
        RecordFile(tmp_path / "train.rec")


def test_a_list_with_a_repeated_key_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.rec", [(0, 0), (1, 1)], {})
    (tmp_path / "a.lst").write_text("0\t0\ta.png\n1\t1\tb.png\n1\t0\tc.png\n")
    with pytest.raises(DataError, match=r"a.lst: key 1 is repeated"):
        RecordFile(tmp_path / "a.rec").labels()


def test_a_list_that_disagrees_with_any_record_is_refused(tmp_path: Path) -> None:
    items = [(key, key % 3) for key in range(9)]
    write(tmp_path / "a.rec", items, {**dict(items), 7: 2})
    with pytest.raises(DataError, match="key 7 has label 2 in it, and the record has 1; remove the list"):
        RecordFile(tmp_path / "a.rec").labels()
    (tmp_path / "a.lst").unlink()
    assert RecordFile(tmp_path / "a.rec").labels().tolist() == [label for _, label in items]


def test_an_index_with_the_keys_of_other_records_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.rec", [(0, 1), (1, 1), (2, 1)], {0: 1, 1: 1, 2: 1})
    index = tmp_path / "a.idx"
    (_, zero), (_, one), (_, two) = (line.split("\t") for line in index.read_text().splitlines())
    index.write_text(f"1\t{zero}\n0\t{one}\n2\t{two}\n")
    with pytest.raises(DataError, match=r"record 1: the record itself has key 0; remove .*a.lst"):
        RecordFile(tmp_path / "a.rec").labels()


def test_a_long_list_is_compared_as_images_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COMPARED", 3)
    items = [(key, key % 3) for key in range(20)]
    write(tmp_path / "a.rec", items, {**dict(items), 7: 2})
    found = RecordFile(tmp_path / "a.rec")
    assert found.labels()[7] == 2
    found.picture(6)
    with pytest.raises(DataError, match="key 7 has label 2 in it, and the record has 1"):
        found.picture(7)


def test_records_in_parts_are_compared_as_well(tmp_path: Path) -> None:
    awkward = files.MAGIC + b"abcd" + files.MAGIC
    write(tmp_path / "a.rec", [(0, 0), (1, 1)], {0: 0, 1: 1}, awkward)
    assert RecordFile(tmp_path / "a.rec").labels().tolist() == [0, 1]
    write(tmp_path / "a.rec", [(0, 0), (1, 1)], {0: 0, 1: 0}, awkward)
    with pytest.raises(DataError, match="key 1 has label 0 in it, and the record has 1"):
        RecordFile(tmp_path / "a.rec").labels()


@pytest.mark.parametrize("line", [0, 2, 4], ids=["first", "middle", "last"])
def test_an_index_that_leaves_records_out_is_refused(tmp_path: Path, line: int) -> None:
    write(tmp_path / "a.rec", [(key, 0) for key in range(5)], {})
    lines = (tmp_path / "a.idx").read_text().splitlines(keepends=True)
    (tmp_path / "a.idx").write_text("".join(lines[:line] + lines[line + 1 :]))
    with pytest.raises(DataError, match="bytes after it are in no record of NAME.idx|is not the index of"):
        RecordFile(tmp_path / "a.rec").labels()


def edit_index(change: Callable[[str], str]) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        index = path.with_suffix(".idx")
        index.write_text(change(index.read_text()))

    return edit


def put_label(value: float) -> Callable[[Path], None]:
    def put(path: Path) -> None:
        data = path.read_bytes()
        path.write_bytes(data[:12] + struct.pack("<f", value) + data[16:])

    return put


def lay_list(text: str) -> Callable[[Path], None]:
    def lay(path: Path) -> None:
        path.with_suffix(".lst").write_text(text)

    return lay


MISTAKES: Dict[str, Tuple[Callable[[Path], None], str]] = {
    "an offset of 2^63 - 1": (edit_index(lambda text: text + f"3\t{2**63 - 1}\n"), "is not the index of"),
    "only that offset": (edit_index(lambda text: f"0\t{2**63 - 1}\n"), "is not the index of"),
    "an offset of 2^64": (edit_index(lambda text: f"0\t{2**64}\n"), "is damaged or not an index of im2rec"),
    "an offset between words": (edit_index(lambda text: text + "3\t2\n"), "is not the index of"),
    "a large index": (edit_index(lambda text: text * 10**5), "it has [0-9]+ bytes, and at most"),
    "an infinite label": (put_label(np.inf), "record 0: label inf; expected an integer from 0"),
    "a label of 1e8": (put_label(1e8), "labels go up to 100000000, and no record has label 0; number"),
    "a label of 1e30": (put_label(1e30), "record 0: label 1.*30; expected an integer"),
    "a class without images": (put_label(4), "labels go up to 4, and no record has label 0"),
    "an infinite label in the list": (lay_list("0\tinf\ta\n1\t1\tb\n2\t2\tc\n"), "record 0: label inf"),
    "a list of two columns": (lay_list("0\t0\n1\t1\n2\t2\n"), "a.lst:1: 2 fields; expected a key, a label"),
    "a list of several labels": (lay_list("0\t0\t1\ta\n"), "a.lst:1: 4 fields"),
    "an empty list": (lay_list(""), "a.lst is not the list of .*a.rec: key 0 is not in it"),
    "a list of large keys": (lay_list(f"{2**64}\t0\ta\n"), "a.lst is damaged or not a list"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_in_a_line(tmp_path: Path, mistake: str) -> None:
    path = tmp_path / "a.rec"
    write(path, [(0, 0), (1, 1), (2, 2)], {})
    spoil, message = MISTAKES[mistake]
    spoil(path)
    with pytest.raises(DataError, match=message) as caught:
        module.count_classes(RecordFile(path).labels(), path)
    assert len(str(caught.value).splitlines()) <= 2


def test_a_folder_of_records_with_a_gap_is_refused(tmp_path: Path) -> None:
    files.record_file(tmp_path / "train.rec", [(label, PNG) for label in (0, 1, 3)])
    files.record_file(tmp_path / "test.rec", [(0, PNG)])
    with pytest.raises(DataError, match="no record has label 2"):
        load_dataset("folder", path=str(tmp_path))
