"""Networks of gluon's and GluonCV's model zoos, by name."""

from __future__ import annotations

import difflib
import importlib
from typing import Any, Callable

from mxnet.gluon import HybridBlock

from gluon_nrm.errors import ModelError

ZOOS = {"gluon": "mxnet.gluon.model_zoo.vision", "gluoncv": "gluoncv.model_zoo"}


def zoo_builder(zoo: str, name: str) -> Callable[[int, int], HybridBlock]:
    """Return what builds a zoo's network from a number of classes; the images' channels it finds out itself.

    Raises:
        ModelError: the zoo is not installed or has no such network; raised when the builder is called.
    """

    def build(classes: int, _: int) -> HybridBlock:
        module = _import(zoo)
        try:
            return module.get_model(name, classes=classes)
        except (ValueError, KeyError) as problem:
            names = getattr(module, "get_model_list", list)() or _names(problem)
            close = difflib.get_close_matches(name, list(names), n=3)
            hint = f"; did you mean {', '.join(f'{zoo}.{each}' for each in close)}?" if close else ""
            raise ModelError(f"model.name: {zoo} has no network {name!r}{hint}") from problem

    return build


def _import(zoo: str) -> Any:
    try:
        return importlib.import_module(ZOOS[zoo])
    except ImportError as problem:
        raise ModelError(
            f"model.name: {zoo} cannot be imported ({problem}); run: pip install -r requirements.txt"
        ) from problem


def _names(problem: Exception) -> "list[str]":
    """Gluon lists what it has in its error only."""
    return [word.strip() for word in str(problem).splitlines()[1:]]
