"""Names of architectures, and the network built from one."""

from __future__ import annotations

import difflib
from dataclasses import fields
from fnmatch import fnmatchcase
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, Union

from gluon_nrm.errors import ModelError
from gluon_nrm.models.architecture import Architecture, architecture_of, with_dropout
from gluon_nrm.models.network import NRM
from gluon_nrm.models.options import NRMOptions

_ARCHITECTURES: Dict[str, Callable[[], Architecture]] = {}


def register_model(function: Callable[[], Architecture]) -> Callable[[], Architecture]:
    """Register an architecture under its function's name (decorator).

    Raises:
        ModelError: the name is taken.
    """
    name = function.__name__
    if name in _ARCHITECTURES:
        raise ModelError(f"model {name!r} is registered already")
    _ARCHITECTURES[name] = function
    return function


def list_models(pattern: str = "*") -> List[str]:
    """Names of the registered architectures that match a wildcard pattern, sorted."""
    return sorted(name for name in _ARCHITECTURES if fnmatchcase(name, pattern))


def get_architecture(name: str) -> Architecture:
    """Look an architecture up by name.

    Raises:
        ModelError: there is no such model; the message names the closest ones.
    """
    if name not in _ARCHITECTURES:
        close = difflib.get_close_matches(name, _ARCHITECTURES, n=3) or list_models()
        raise ModelError(f"model.name: there is no model {name!r}; did you mean {', '.join(close)}?")
    return _ARCHITECTURES[name]()


def get_model(
    name: str,
    classes: int,
    input_shape: Tuple[int, int, int],
    channels: Optional[Sequence[Union[int, str]]] = None,
    **options: Any,
) -> NRM:
    """Build a network; it still has to be initialised (``gluon_nrm.models.initialise``).

    Args:
        name: a registered architecture (``list_models``).
        classes: number of classes K.
        input_shape: channels, height and width of the images.
        channels: a list such as ``[32, 32, "pool", 64]`` in place of the architecture's own layers.
        options: fields of ``NRMOptions``.

    Raises:
        ModelError: unknown name or option, a list that cannot be read, contradicting options, images
            too small.
    """
    architecture = get_architecture(name)
    if channels is not None:
        architecture = architecture_of(channels)
    known = [field.name for field in fields(NRMOptions)]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ModelError(f"model.{unknown[0]}: unknown option; known are {', '.join(known)}")
    settings = NRMOptions(**options)
    return NRM(with_dropout(architecture, settings.dropout), classes, input_shape, settings)
