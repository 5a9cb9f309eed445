"""Official data files, RecordIO, class folders and split files."""

from __future__ import annotations

import hashlib
import random
import re
from pathlib import Path
from typing import Any, Callable

import numpy as np

from fuzz.cases import Files, Target


def _put(folder: Path, files: Files) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)


def mnist(folder: Path) -> None:
    import official_files as official

    for name, zipped in (("gz", True), ("plain", False)):
        _put(folder / name / "mnist", official.mnist(official.SPECS["mnist"], zipped))


def read_mnist(folder: Path, rng: random.Random) -> None:
    from official_files import SPECS

    from gluon_nrm.data import DataSource
    from gluon_nrm.data.readers.mnist import read_mnist as read

    read(SPECS["mnist"], DataSource(folder))


def svhn(folder: Path) -> None:
    import official_files as official

    for name, zipped in (("zipped", True), ("plain", False)):
        _put(folder / name / "svhn", official.svhn(official.SPECS["svhn"], zipped))


def read_svhn(folder: Path, rng: random.Random) -> None:
    from official_files import SPECS

    from gluon_nrm.data import DataSource
    from gluon_nrm.data.readers.svhn import read_svhn as read

    read(SPECS["svhn"], DataSource(folder))


def cifar(name: str, archived: bool) -> Callable[[Path], None]:
    """Write both forms of CIFAR-10 or CIFAR-100, as archives or unpacked."""

    def write(folder: Path) -> None:
        import official_files as official

        number = name[5:]
        for form, folders in (
            ("binary", f"cifar-{number}-{'batches-bin' if number == '10' else 'binary'}"),
            ("python", f"cifar-{number}-{'batches-py' if number == '10' else 'python'}"),
        ):
            files = getattr(official, f"{name}_{form}")(official.SPECS[name])
            place = folder / form / name
            place.mkdir(parents=True)
            if archived:
                official.archive(place / f"cifar-{number}-{form}.tar.gz", folders, files)
            else:
                _put(place / folders, files)

    return write


def read_cifar(name: str) -> Callable[[Path, random.Random], None]:
    def read(folder: Path, rng: random.Random) -> None:
        from official_files import SPECS

        from gluon_nrm.data import DataSource
        from gluon_nrm.data.readers.cifar import CIFAR10_FORMS, CIFAR100_FORMS
        from gluon_nrm.data.readers.cifar import read_cifar as reader

        reader(SPECS[name], CIFAR10_FORMS if name == "cifar10" else CIFAR100_FORMS, DataSource(folder))

    return read


def records(folder: Path) -> None:
    from picture_files import record_parts

    for name in ("bare", "listed"):
        labels = record_parts(folder / name, 9, 4)
        if name == "listed":
            for part, count in (("train", 9), ("val", 4)):
                lines = [f"{n}\t{float(labels[n])}\t{n}.jpg\n" for n in range(count)]
                (folder / name / f"{part}.lst").write_text("".join(lines))


def read_folder(folder: Path, rng: random.Random) -> None:
    from gluon_nrm.data import load_dataset

    streamed = rng.random() < 0.4
    size = rng.choice((None, 8, 16)) if not streamed else rng.choice((8, 16))
    found = load_dataset("folder", path=str(folder), size=size, streamed=streamed)
    for images in (found.train.images, found.test.images):
        np.asarray(images[np.arange(len(images))])


def class_folders(folder: Path) -> None:
    from picture_files import class_folders as write

    write(folder / "flat", {"ant": 3, "bee": 3})
    write(folder / "split" / "train", {"ant": 2, "bee": 2})
    write(folder / "split" / "test", {"ant": 1, "bee": 1})


def splits(folder: Path) -> None:
    from gluon_nrm.data.pipeline.split_files import write_splits

    (folder / "digits").mkdir()
    write_splits(_dataset(), [20], [0], folder / "digits")


def _dataset() -> Any:
    from gluon_nrm.data import load_dataset

    return load_dataset("digits")


def mend_split(files: Files, rng: random.Random) -> None:
    """Write the digest of the positions as they are now."""
    for name, data in files.items():
        words = data.decode("utf-8", errors="replace").split("\n")[7:]
        numbers = [int(word) for word in " ".join(words).split() if re.fullmatch(r"[0-9]{1,15}", word)]
        digest = hashlib.sha256(np.array(numbers, dtype="<i8").tobytes()).hexdigest().encode()
        files[name] = re.sub(rb"(?m)^positions_sha256 .*$", b"positions_sha256 " + digest, data)


def read_splits(folder: Path, rng: random.Random) -> None:
    from gluon_nrm.data.pipeline.split_files import read_split

    read_split(folder / "digits_20_s0.txt", _dataset(), labels=20, seed=0)


TARGETS = [
    Target("idx", mnist, read_mnist),
    Target("mat", svhn, read_svhn),
    Target("tar10", cifar("cifar10", True), read_cifar("cifar10")),
    Target("tar100", cifar("cifar100", True), read_cifar("cifar100")),
    Target("batches10", cifar("cifar10", False), read_cifar("cifar10")),
    Target("batches100", cifar("cifar100", False), read_cifar("cifar100"), share=0.5),
    Target("rec", records, read_folder, share=1.5),
    Target("folder", class_folders, read_folder),
    Target("split", splits, read_splits, mend=mend_split, share=0.5),
]
