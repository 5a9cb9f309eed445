"""Check a user's folder of images: decode every image, count them, and find what prevents training."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple, Union

from gluon_nrm.data.facts.describe_counts import count_classes
from gluon_nrm.data.readers.class_folders import ImageFiles
from gluon_nrm.data.readers.folder_layout import FolderParts, find_parts
from gluon_nrm.data.readers.recordio import RecordFile
from gluon_nrm.data.readers.unlabelled_files import UnlabelledFiles, list_unlabelled
from gluon_nrm.data.sets.skipped_files import SkippedNames
from gluon_nrm.data.sets.streamed_images import threads
from gluon_nrm.errors import DataError

#: Number of images of one kind that are named.
NAMED = 5
#: Side of the images in the advice for images of several sizes, in pixels.
SIDE = 64

Files = Union[ImageFiles, RecordFile, UnlabelledFiles]


class FolderCheck(NamedTuple):
    """Result of a check."""

    lines: List[str]
    """Counts and findings, each beginning with a word of at most 8 letters."""
    problem: Optional[str]
    """Reason why training would fail, with the remedy; None if it would not."""


class _Look(NamedTuple):
    """One image: height, width and channels, or the reason why it cannot be read."""

    shape: Optional[Tuple[int, int, int]]
    reason: str


def check_folder(folder: Path, unlabelled: Optional[Path] = None) -> FolderCheck:
    """Check the images of a folder of one's own, and unlabelled images.

    Every image is decoded. Images of the same contents in the test set and elsewhere are counted.

    Args:
        folder: as ``data.path``.
        unlabelled: as ``data.unlabelled``; None: the folder ``unlabelled`` in ``folder``, if there is one.

    Raises:
        DataError: the folder has none of the layouts, or a class has no image.
    """
    skipped = SkippedNames()
    parts = find_parts(folder)
    skipped.extend(parts.skipped)
    files: Dict[str, Files] = {"train": parts.train, "test": parts.test}
    apart = unlabelled or parts.unlabelled
    if apart is not None:
        files["unlabelled"] = list_unlabelled(apart, skipped)
    looks = {part: _look_at(each) for part, each in files.items()}
    unread = [look.reason for each in looks.values() for look in each if look.shape is None]
    lines = [
        f"classes  {len(parts.class_names)}",
        *_counts(parts, files),
        *_sizes([look.shape for each in looks.values() for look in each if look.shape is not None]),
        *_shared(files),
        *([f"skipped  {skipped.record}"] if skipped.record.number else []),
        *(f"error    {reason}" for reason in unread[:NAMED]),
    ]
    if len(unread) > NAMED:
        lines.append(f"error    and {len(unread) - NAMED} more")
    images = sum(map(len, files.values()))
    problem = f"{folder}: {len(unread)} of {images} images cannot be read; save them again, or move them away"
    return FolderCheck(lines, problem if unread else None)


def _look_at(files: Files) -> List[_Look]:
    """Decode all images of a part."""

    def look(index: int) -> _Look:
        """Decode one image; return its size, or why it cannot be read."""
        try:
            image = files.picture(index, "")
        except DataError as problem:
            return _Look(None, str(problem))
        return _Look((image.height, image.width, len(image.getbands())), "")

    with threads(len(files)) as pool:
        return list(pool.map(look, range(len(files))))


def _counts(parts: FolderParts, files: Dict[str, Files]) -> List[str]:
    """Count the images of each class."""
    lines = []
    for part, labels in (("train", parts.train_labels), ("test", parts.test_labels)):
        found = Counter(labels.tolist())
        counts = [found[label] for label in range(len(parts.class_names))]
        deep = _in_subfolders(files[part])
        below = f" ({deep} of them in subfolders of the classes)" if deep else ""
        lines.append(f"{part:<9}{count_classes(counts, parts.class_names)}{below}")
    if "unlabelled" in files:
        lines.append(f"without  {len(files['unlabelled'])} images without a class")
    return lines


def _in_subfolders(files: Files) -> int:
    """Count the images that are not directly in the folder of their class."""
    return sum(name.count("/") > 1 for name in files.files) if isinstance(files, ImageFiles) else 0


def _sizes(shapes: Sequence[Tuple[int, int, int]]) -> List[str]:
    """Describe the smallest and the largest image, and the numbers of grey and coloured images."""
    if not shapes:
        return []
    sides = sorted({shape[:2] for shape in shapes}, key=lambda each: (each[0] * each[1], each))
    (height, width), (tall, wide) = sides[0], sides[-1]
    if len(sides) == 1:
        lines = [f"sizes    all {height} x {width} (height x width)"]
    else:
        lines = [
            f"sizes    from {height} x {width} to {tall} x {wide} (height x width): set data.size, e.g. "
            f"data.size: {min(SIDE, tall, wide)}"
        ]
    grey = sum(shape[2] == 1 for shape in shapes)
    if 0 < grey < len(shapes):
        lines.append(f"colours  {grey} of {len(shapes)} images are grey; all are read as coloured")
    return lines


def _shared(files: Dict[str, Files]) -> List[str]:
    """Describe the test images that are training or unlabelled images too."""
    hashes = {
        part: each.hashes if isinstance(each, UnlabelledFiles) else each.content_hashes()
        for part, each in files.items()
    }
    lines = []
    for part in ("train", "unlabelled"):
        places = {each: index for index, each in enumerate(hashes.get(part, ()))}
        shared = [index for index, each in enumerate(hashes["test"]) if each in places]
        if not shared:
            continue
        first = shared[0]
        pair = f"{files['test'].where(first)} = {files[part].where(places[hashes['test'][first]])}"
        kind = {"train": "training", "unlabelled": "unlabelled"}[part]
        lines.append(
            f"warning  {len(shared)} of {len(hashes['test'])} test images are {kind} images too, so "
            "the test error would be too low; "
            f"the first: {pair}"
        )
    return lines
