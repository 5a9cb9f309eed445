"""Neural Rendering Models in MXNet Gluon: classifiers that render, and so learn from unlabelled images.

    from gluon_nrm import Run, classify, fit, get_model, list_models, load_recipe, maxmin, nrm
    from gluon_nrm import open_classifier, tune

The names are imported at their first use. Importing the package checks the versions of Python, numpy and
MXNet without importing MXNet, and raises a ``gluon_nrm.errors.SetupError`` of one line that says what to
install. Without MXNet only the parts that need it raise the error (``gluon_nrm.system.needs_mxnet``):
``gluon_nrm.predict`` runs exported networks without it.

Importing the package changes no environment variable, allocator setting or warning filter. ``tune`` does, to
make MXNet faster.
"""

from __future__ import annotations

import importlib
from importlib import util
from typing import TYPE_CHECKING, Any, List

from gluon_nrm.system.commands import is_command
from gluon_nrm.version import __version__

if TYPE_CHECKING:  # for editors and type checkers, which do not run __getattr__
    from gluon_nrm.models import get_model, list_models, maxmin, nrm
    from gluon_nrm.predict.classify import classify
    from gluon_nrm.predict.open_classifier import open_classifier
    from gluon_nrm.recipe import load_recipe
    from gluon_nrm.runs.run import Run
    from gluon_nrm.system.tune import tune
    from gluon_nrm.training.fit import fit

__all__ = [
    "Run",
    "__version__",
    "classify",
    "fit",
    "get_model",
    "list_models",
    "load_recipe",
    "maxmin",
    "nrm",
    "open_classifier",
    "tune",
]

_HOMES = {
    "Run": "gluon_nrm.runs.run",
    "classify": "gluon_nrm.predict.classify",
    "fit": "gluon_nrm.training.fit",
    "get_model": "gluon_nrm.models",
    "list_models": "gluon_nrm.models",
    "load_recipe": "gluon_nrm.recipe",
    "maxmin": "gluon_nrm.models",
    "nrm": "gluon_nrm.models",
    "open_classifier": "gluon_nrm.predict.open_classifier",
    "tune": "gluon_nrm.system.tune",
}

# A command checks by itself, and prints what is wrong as a line.
if not is_command() and util.find_spec("mxnet") is not None:
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
