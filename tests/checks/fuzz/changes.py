"""One change of one file, chosen by what the file is."""

from __future__ import annotations

import random
from typing import Tuple

from fuzz import byte_changes, text_changes
from fuzz.container_changes import CONTAINERS
from fuzz.model_changes import change_onnx, change_params

#: Share of changes that know nothing of the format.
BLIND = 0.3


def change_file(rng: random.Random, name: str, data: bytes) -> Tuple[bytes, str]:
    """Return the file changed, and how."""
    times = rng.choice((1, 1, 1, 1, 2, 3))
    how = []
    for _ in range(times):
        data, kind = _change(rng, name, data)
        how.append(kind)
    return data, f"{name}: {', '.join(how)}"


def _change(rng: random.Random, name: str, data: bytes) -> Tuple[bytes, str]:
    ending = ending_of(name)
    if rng.random() < BLIND:
        return byte_changes.change(rng, data), "bytes"
    if ending in text_changes.TEXTS:
        return text_changes.change(rng, data, ending), f"as {ending}"
    if ending in CONTAINERS:
        return CONTAINERS[ending](rng, data), f"as {ending}"
    if ending == ".onnx":
        return change_onnx(rng, data), "as .onnx"
    if ending == ".params":
        return change_params(rng, data), "as .params"
    return byte_changes.change(rng, data), "bytes"


def ending_of(name: str) -> str:
    """The ending that says what a file is."""
    if name.endswith(".tar.gz"):
        return ".tar.gz"
    return "." + name.rsplit(".", 1)[-1] if "." in name else ""
