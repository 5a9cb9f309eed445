"""A case: the files of a sample, some of them changed, in a folder that a reader is given."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence

from fuzz.changes import change_file

#: Path below the folder -> contents.
Files = Dict[str, bytes]
#: What stands in a file's place where it is no file.
SPECIAL = (
    "missing",
    "folder",
    "fifo",
    "link to nowhere",
    "link to itself",
    "link to /dev/zero",
    "link to /dev/null",
)


@dataclass(frozen=True)
class Target:
    """A kind of files and what reads them.

    Attributes:
        name: of the kind.
        samples: writes folders, each a whole and sound sample, into the given one.
        read: reads the files of a case, given its folder and a generator for options.
        chosen: whether a file may be changed.
        mend: makes checksums right again, so that what is behind them is reached.
        share: of the time, relative to other kinds.
    """

    name: str
    samples: Callable[[Path], None]
    read: Callable[[Path, random.Random], Any]
    chosen: Callable[[str], bool] = lambda name: True
    mend: Optional[Callable[[Files, random.Random], None]] = None
    share: float = 1.0


@dataclass(frozen=True)
class Case:
    """What a reader is given."""

    files: Files
    special: Dict[str, str]
    how: List[str]


def load_samples(folder: Path) -> List[Files]:
    """Every folder in ``folder`` as a sample."""
    return [
        {
            str(path.relative_to(place)): path.read_bytes()
            for path in sorted(place.rglob("*"))
            if path.is_file()
        }
        for place in sorted(folder.iterdir())
    ]


def make_case(rng: random.Random, target: Target, samples: Sequence[Files], others: Sequence[Files]) -> Case:
    """Change one to three files of a sample; ``others``: samples of other kinds to paste from."""
    files = dict(rng.choice(samples))
    names = [name for name in files if target.chosen(name)]
    special: Dict[str, str] = {}
    how: List[str] = []
    for name in rng.sample(names, min(len(names), rng.choice((1, 1, 1, 2, 3)))):
        luck = rng.random()
        if luck < 0.02:
            special[name] = rng.choice(SPECIAL)
            how.append(f"{name}: {special[name]}")
        elif luck < 0.05 and others:
            other = rng.choice(others)
            pasted = rng.choice(sorted(other))
            files[name] = other[pasted]
            how.append(f"{name}: {pasted} of another kind")
        else:
            files[name], what = change_file(rng, name, files[name])
            how.append(what)
    if target.mend is not None and rng.random() < 0.8:
        target.mend(files, rng)
        how.append("checksums mended")
    return Case(files, special, how)


def write_case(case: Case, folder: Path) -> None:
    """Put the files of a case into a new folder."""
    for name, data in case.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name in case.special:
            _special(path, case.special[name])
        else:
            path.write_bytes(data)


def _special(path: Path, what: str) -> None:
    if what == "folder":
        path.mkdir()
    elif what == "fifo":
        os.mkfifo(path)
    elif what.startswith("link to "):
        where = {"nowhere": "nowhere-at-all", "itself": path.name}.get(what[8:], what[8:])
        path.symlink_to(where)


def case_random(seed: int, kind: str, number: int, use: str) -> random.Random:
    """A generator of a case's own: for its ``changes`` or for the ``options`` of its reader."""
    return random.Random(f"{seed}/{kind}/{number}/{use}")
