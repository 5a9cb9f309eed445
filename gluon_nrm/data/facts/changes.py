"""Differences between the images that a run was trained with and those that are there now, in words."""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence

from gluon_nrm.data.facts.facts import Facts, PartFacts, describe_part
from gluon_nrm.data.sets.registry import PartFound
from gluon_nrm.errors import ChangedData

REMEDY = (
    "put them back as they were, or say where they lie unchanged (--data-dir; in training --set "
    "data.path=...); for these images, train a new run (--fresh)"
)


def check_part(
    facts: Facts, part: str, class_names: Sequence[str], found: Mapping[str, PartFound], folder: Path
) -> None:
    """Compare the images of a part, as they were listed, with those of the run.

    Parameters
    ----------
    part         "train" or "test": what is needed.
    class_names  As they are now.
    found        The part, and the other one too where one folder holds both.
    folder       That of the data set.

    Raises
    ------
    ChangedData  They are not the same; the message says what changed and what can be done.
    """
    now = {
        name: describe_part(each.labels, len(class_names), each.files, None, folder)
        for name, each in found.items()
    }
    compare(facts, part, class_names, now, folder)


def compare(
    facts: Facts, part: str, class_names: Sequence[str], now: Mapping[str, PartFacts], folder: Path
) -> None:
    """As ``check_part``, for facts that were taken already."""
    before, after = facts.part(part), now[part]
    same_names = list(class_names) == facts.class_names
    same = (before.images, before.labels, before.identities) == (after.images, after.labels, after.identities)
    if same and same_names:
        return
    changes = _classes(facts.class_names, class_names) if not same_names else None
    if changes is None:
        changes = _images(facts, now) or _counts(facts, part, after)
    where = folder / before.place if before.place else f"data set {facts.name!r}"
    what = f"the {part} images" if before.place != "." else "the images"
    raise ChangedData(f"{where}: {what} are not those that the run was trained with: {changes};\n{REMEDY}")


def _classes(before: Sequence[str], after: Sequence[str]) -> str:
    """Say which classes went and came."""
    gone = [name for name in before if name not in after]
    new = [name for name in after if name not in before]
    said = [
        f"class {_few(names)} is {state}" if len(names) == 1 else f"classes {_few(names)} are {state}"
        for names, state in ((gone, "missing"), (new, "new"))
        if names
    ]
    return ", ".join(said) or "the classes are in another order"


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:3])
    return shown + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _images(facts: Facts, now: Mapping[str, PartFacts]) -> Optional[str]:
    """Say which images went, came or have another size; None where their names do not tell."""
    before: Dict[str, List[Any]] = {}
    after: Dict[str, List[Any]] = {}
    for name, each in now.items():
        for part, contents in ((facts.part(name), before), (each, after)):
            if part.names is None:
                return None
            marks = zip_longest(part.names, part.sizes or [], part.sums or [])
            for image, *mark in marks:
                contents[image] = mark
    added, removed = (after.keys() - before.keys()), (before.keys() - after.keys())
    changed = [image for image, mark in before.items() if mark != after.get(image, mark)]
    if added or removed:
        first = min(added | removed)
        counts = _class_counts(facts, now)
        return f"{counts}{len(added)} added, {len(removed)} removed, the first {first!r}"
    if changed:
        return f"{len(changed)} of them have other contents, the first {min(changed)!r}"
    return None


def _class_counts(facts: Facts, now: Mapping[str, PartFacts]) -> str:
    """The first class whose number of images changed."""
    before = [sum(each) for each in zip(*(facts.part(name).per_class for name in now))]
    after = [sum(each) for each in zip(*(each.per_class for each in now.values()))]
    for name, old, new in zip(facts.class_names, before, after):
        if old != new:
            return f"class {name!r} had {old} images and has {new}; "
    return ""


def _counts(facts: Facts, part: str, after: PartFacts) -> str:
    """Say what changed where no names are stored."""
    before = facts.part(part)
    if before.images != after.images or before.per_class != after.per_class:
        found = _class_counts(facts, {part: after}) if len(after.per_class) == len(facts.class_names) else ""
        return f"{found}there were {before.images} images, and there are {after.images}"
    if before.labels != after.labels:
        return f"of the {before.images} images some have another label"
    return f"the {before.images} images are others, or in another order"
