"""Neural Rendering Models in MXNet Gluon: classifiers that run backwards, and learn from unlabelled images.

Importing the package checks Python, numpy and MXNet (without importing MXNet) and raises a one-line
``gluon_nrm.errors.SetupError`` that says what to install. Where there is no MXNet at all, that comes with the
first part that needs it (``gluon_nrm.system.needs_mxnet``): ``gluon_nrm.predict`` runs exported networks
without. The names below are imported when they are first used, so that what does not need MXNet does not wait
for it.

    from gluon_nrm import fit, get_model, list_models, load_recipe, maxmin, nrm
"""

from __future__ import annotations

import importlib
import os
from typing import Any, List

from gluon_nrm.system.memory import keep_freed_memory, use_huge_pages
from gluon_nrm.system.processor import set_thread_defaults
from gluon_nrm.system.wheels import mxnet_version
from gluon_nrm.version import __version__

__all__ = ["__version__", "fit", "get_model", "list_models", "load_recipe", "maxmin", "nrm"]

_HOMES = {
    "fit": "gluon_nrm.training.fit",
    "get_model": "gluon_nrm.models",
    "list_models": "gluon_nrm.models",
    "load_recipe": "gluon_nrm.recipe",
    "maxmin": "gluon_nrm.models",
    "nrm": "gluon_nrm.models",
}

# MXNet logs a warning whenever an operator has no sparse form; none of our arrays are sparse.
os.environ.setdefault("MXNET_STORAGE_FALLBACK_LOG_VERBOSE", "0")
set_thread_defaults()
if mxnet_version() is not None:
    if keep_freed_memory():
        use_huge_pages()
    importlib.import_module("gluon_nrm.system.needs_mxnet")


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'gluon_nrm' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> List[str]:
    return sorted({*globals(), *__all__})
