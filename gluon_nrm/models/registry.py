"""Registry of architectures and networks by name, and ``get_model``, which builds one."""

from __future__ import annotations

import difflib
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, Union

from mxnet.gluon import HybridBlock

from gluon_nrm.errors import ModelError
from gluon_nrm.layers.architecture import Architecture, architecture_of, with_dropout
from gluon_nrm.layers.options import OF_LAYERS, read_options
from gluon_nrm.models.interface.network import Network
from gluon_nrm.models.layered.nrm import NRM
from gluon_nrm.models.model_zoos import ZOOS, zoo_builder
from gluon_nrm.models.traced.classifier import TracedClassifier
from gluon_nrm.models.traced.nrm import TracedNRM
from gluon_nrm.option_names import either
from gluon_nrm.system.commands import command_name

#: Build a base network from the number of classes and of image channels.
Builder = Callable[[int, int], HybridBlock]

_ARCHITECTURES: Dict[str, Callable[[], Architecture]] = {}
_NETWORKS: Dict[str, Builder] = {}


def register_model(function: Callable[[], Architecture]) -> Callable[[], Architecture]:
    """Register an architecture under its function's name (decorator).

    Raises:
        ModelError: the name is taken.
    """
    _ARCHITECTURES[_free(function.__name__)] = function
    return function


def register_network(function: Builder) -> Builder:
    """Register a function that builds a network from the numbers of classes and channels (decorator).

    Raises:
        ModelError: the name is taken.
    """
    _NETWORKS[_free(function.__name__)] = function
    return function


def _free(name: str) -> str:
    if name in _ARCHITECTURES or name in _NETWORKS:
        raise ModelError(f"model {name!r} is registered already")
    return name


def list_models(pattern: str = "*") -> List[str]:
    """Names of the registered architectures and networks that match a wildcard pattern, sorted."""
    return sorted(name for name in (*_ARCHITECTURES, *_NETWORKS) if fnmatchcase(name, pattern))


def is_architecture(name: str) -> bool:
    """Return True if a network of this name is built from a list of layers."""
    return name in _ARCHITECTURES


def get_architecture(name: str) -> Architecture:
    """Look up an architecture by name.

    Raises:
        ModelError: there is no such model; the message names the closest ones.
    """
    if name not in _ARCHITECTURES:
        raise _unknown(name)
    return _ARCHITECTURES[name]()


def _unknown(name: str) -> ModelError:
    close = difflib.get_close_matches(name, list_models(), n=3)
    listed = either(
        f"{command_name('train')} --list-models shows what there is",
        "gluon_nrm.list_models() lists them all",
    )
    hint = f"did you mean {', '.join(close)}?" if close else listed
    return ModelError(f"model.name: there is no model {name!r}; {hint}")


def get_model(
    name: str,
    classes: int,
    input_shape: Tuple[int, int, int],
    channels: Optional[Sequence[Union[int, str]]] = None,
    **options: Any,
) -> Network:
    """Build a network, not yet initialised (see ``gluon_nrm.models.initialise``).

    Args:
        name: a registered architecture or network (``list_models``), or any network of a model zoo by the
            zoo's name and its own: ``gluon.resnet18_v1``, ``gluoncv.cifar_resnet20_v1``.
        classes: number of classes K.
        input_shape: channels, height and width of the images.
        channels: a list such as ``[32, 32, "pool", 64]`` in place of an architecture's own layers.
        options: fields of ``NRMOptions``.

    Raises:
        ModelError: an unknown name or option, an invalid list, options that contradict each other or do not
            apply to the network, images too small.
    """
    settings = read_options(options, "model.")
    if not settings.render:
        settings = replace(settings, path_norm="none", render_norm="none")
    changed = settings.changed
    if name in _ARCHITECTURES:
        if "gates" in changed:
            raise ModelError(f"model.gates: {name} is a list of layers and has no gates; leave this key out")
        architecture = get_architecture(name) if channels is None else architecture_of(channels)
        return NRM(with_dropout(architecture, settings.dropout), classes, input_shape, settings)
    build = _network_builder(name)
    of_layers = [option for option in OF_LAYERS if option in changed] + ["channels"] * (channels is not None)
    if of_layers:
        raise ModelError(f"model.{of_layers[0]}: {name} has layers of its own; this is for lists of layers")
    kind = TracedNRM if settings.render else TracedClassifier
    return kind(build(classes, input_shape[0]), classes, input_shape, settings)


def _network_builder(name: str) -> Builder:
    """Look up the function that builds a base network, registered or of a model zoo.

    Raises:
        ModelError: there is no such network.
    """
    if name in _NETWORKS:
        return _NETWORKS[name]
    zoo, _, own = name.partition(".")
    if zoo in ZOOS and own:
        return zoo_builder(zoo, own)
    raise _unknown(name)
