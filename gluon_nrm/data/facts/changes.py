"""Compare the images of a run with the images that are there now, and describe the differences."""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence

from gluon_nrm.data.facts.facts import Facts, PartFacts, describe_part
from gluon_nrm.data.sets.registry import PartFound
from gluon_nrm.errors import ChangedData
from gluon_nrm.option_names import either, option


def check_part(
    facts: Facts, part: str, class_names: Sequence[str], found: Mapping[str, PartFound], folder: Path
) -> None:
    """Compare the listed images of a part with those of the run.

    Args:
        facts: facts of the run.
        part: "train" or "test".
        class_names: present names of the classes.
        found: the part; both parts if one folder holds both.
        folder: folder of the data set.

    Raises:
        ChangedData: they differ; the message names the change and the remedy.
    """
    now = {
        name: describe_part(each.labels, len(class_names), each.files, None, folder)
        for name, each in found.items()
    }
    compare(facts, part, class_names, now, folder)


def compare(
    facts: Facts, part: str, class_names: Sequence[str], now: Mapping[str, PartFacts], folder: Path
) -> None:
    """Compare the facts of a part with those of the run, as ``check_part`` does."""
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
    raise ChangedData(f"{where}: {what} are not those that the run was trained with: {changes};\n{_remedy()}")


def _remedy() -> str:
    return (
        f"put them back as they were, or give the folder of the unchanged images ({option('data_dir')}; in "
        f"training {either('--set data.path=...', 'data.path of the recipe')}); to use these images, train a "
        f"new run ({option('fresh', True)})"
    )


def _classes(before: Sequence[str], after: Sequence[str]) -> str:
    """Describe removed and added classes."""
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
    """Describe removed, added and changed images; None if the images have no names or are the same."""
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
    """Describe the first class whose number of images changed."""
    before = [sum(each) for each in zip(*(facts.part(name).per_class for name in now))]
    after = [sum(each) for each in zip(*(each.per_class for each in now.values()))]
    for name, old, new in zip(facts.class_names, before, after):
        if old != new:
            return f"class {name!r} had {old} images and has {new}; "
    return ""


def _counts(facts: Facts, part: str, after: PartFacts) -> str:
    """Describe the change of images without stored names."""
    before = facts.part(part)
    if before.images != after.images or before.per_class != after.per_class:
        found = _class_counts(facts, {part: after}) if len(after.per_class) == len(facts.class_names) else ""
        return f"{found}there were {before.images} images, and there are {after.images}"
    if before.labels != after.labels:
        return f"some of the {before.images} images have another label"
    return f"the {before.images} images are others, or in another order"
