"""Networks of Gluon's and GluonCV's model zoos, by name."""

from __future__ import annotations

import difflib
import importlib
from types import ModuleType
from typing import Callable, Dict, List

import numpy as np
from mxnet.gluon import HybridBlock

from gluon_nrm.errors import ModelError
from gluon_nrm.system.install import install_line

ZOOS = {"gluon": "mxnet.gluon.model_zoo.vision", "gluoncv": "gluoncv.model_zoo"}


def zoo_builder(zoo: str, name: str) -> Callable[[int, int], HybridBlock]:
    """Return a function that builds a zoo's network from the numbers of classes and channels.

    The network infers the number of channels itself. When called, the function raises ``ModelError`` if the
    zoo is not installed or has no such network.
    """

    def build(classes: int, _: int) -> HybridBlock:
        """Build the network for so many classes."""
        module = _import(zoo)
        try:
            net: HybridBlock = module.get_model(name, classes=classes)
            return net
        except (ValueError, KeyError) as problem:
            names = getattr(module, "get_model_list", list)() or _names(problem)
            close = difflib.get_close_matches(name, list(names), n=3)
            hint = f"; did you mean {', '.join(f'{zoo}.{each}' for each in close)}?" if close else ""
            raise ModelError(f"model.name: {zoo} has no network {name!r}{hint}") from problem

    return build


def zoo_arrays(name: str) -> Dict[str, np.ndarray]:
    """Download the trained weights of a zoo's network, or read them from the zoo's cache.

    Returns:
        Arrays of float32 by structural name.

    Raises:
        ModelError: the zoo cannot be imported, has no weights of this network, or cannot be reached.
    """
    zoo, _, own = name.partition(".")
    module = _import(zoo)
    remedy = "give a file by model.weights, or set model.pretrained to false"
    try:
        net = module.get_model(own, pretrained=True)
    except (ValueError, KeyError, TypeError, AssertionError) as problem:
        reason = (str(problem).strip().splitlines() or [type(problem).__name__])[0]
        raise ModelError(
            f"model.pretrained: {zoo} has no weights of {own!r} ({reason});\n{remedy}"
        ) from problem
    except (OSError, RuntimeError) as problem:
        reason = (str(problem).strip().splitlines() or [type(problem).__name__])[0]
        raise ModelError(
            f"model.pretrained: the weights of {name} cannot be downloaded ({reason});\n"
            f"connect to the network once, or {remedy}"
        ) from problem
    return {
        key: each.data().asnumpy().astype(np.float32)
        for key, each in net._collect_params_with_prefix().items()
    }


def _import(zoo: str) -> ModuleType:
    try:
        return importlib.import_module(ZOOS[zoo])
    except ImportError as problem:
        raise ModelError(
            f"model.name: {zoo} cannot be imported ({problem}); run: {install_line('zoo')}"
        ) from problem


def _names(problem: Exception) -> List[str]:
    """Read the names of Gluon's networks from its error message, the only place that lists them."""
    return [word.strip() for word in str(problem).splitlines()[1:]]
