"""Zoo networks with fewer layers of each kind, which are built and run in a fraction of the time."""

from __future__ import annotations

import importlib
from contextlib import contextmanager
from typing import Any, Dict, Iterator, Tuple

import pytest

#: Tables of depths in the zoos: module, name, key, and a few layers in place of those listed there.
DEPTHS: Dict[str, Tuple[str, int, Any]] = {
    # 6, 12, 24 and 16 dense layers, most of which differ in their width alone
    "mxnet.gluon.model_zoo.vision.densenet": ("densenet_spec", 121, (64, 32, [2, 3, 2, 2])),
    # 3, 4, 6 and 3 blocks
    "gluoncv.model_zoo.resnext": ("resnext_spec", 50, [1, 2, 1, 1]),
}


@contextmanager
def shallow() -> Iterator[None]:
    """Let the zoos' builders make shallow networks of DenseNet-121, ResNeXt-50 and SE-ResNeXt-50."""
    with pytest.MonkeyPatch.context() as patch:
        for module, (table, key, layers) in DEPTHS.items():
            patch.setitem(getattr(importlib.import_module(module), table), key, layers)
        yield
