"""Registry of architectures and networks by name, and ``get_model``, which builds one."""

from __future__ import annotations

import difflib
from dataclasses import asdict, replace
from fnmatch import fnmatchcase
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import mxnet as mx
import numpy as np
from mxnet.gluon import HybridBlock

from gluon_nrm.errors import CheckpointError, ModelError
from gluon_nrm.layers.architecture import Architecture, architecture_of, with_dropout
from gluon_nrm.layers.options import OF_LAYERS, NRMOptions, read_options
from gluon_nrm.models.initialise import initialise
from gluon_nrm.models.interface.network import Network
from gluon_nrm.models.interface.parameters import named_parameters, set_parameters
from gluon_nrm.models.layered.nrm import NRM
from gluon_nrm.models.model_zoos import ZOOS, zoo_builder
from gluon_nrm.models.traced.classifier import TracedClassifier
from gluon_nrm.models.traced.nrm import TracedNRM
from gluon_nrm.option_names import either
from gluon_nrm.pretrained.description import PretrainedNetwork
from gluon_nrm.pretrained.find import choose_pretrained, read_parameters
from gluon_nrm.pretrained.names import list_pretrained
from gluon_nrm.system.commands import command_name
from gluon_nrm.system.install import reinstall_line

#: Build a base network from the number of classes and of image channels.
Builder = Callable[[int, int], HybridBlock]

#: Build a finished network from the number of classes, the shape of the images and its options.
ClassifierBuilder = Callable[[int, Tuple[int, int, int], NRMOptions], Network]

#: Options of networks that do not render, besides those that ``get_model`` sets for every such network.
OF_CLASSIFIERS = ("render", "path_norm", "render_norm", "dropout", "noise", "denoising")

_ARCHITECTURES: Dict[str, Callable[[], Architecture]] = {}
_NETWORKS: Dict[str, Builder] = {}
_CLASSIFIERS: Dict[str, ClassifierBuilder] = {}


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


def register_classifier(function: ClassifierBuilder) -> ClassifierBuilder:
    """Register a function that builds a classifier which does not render and is used as it is (decorator).

    Raises:
        ModelError: the name is taken.
    """
    _CLASSIFIERS[_free(function.__name__)] = function
    return function


def _free(name: str) -> str:
    if any(name in registered for registered in (_ARCHITECTURES, _NETWORKS, _CLASSIFIERS)):
        raise ModelError(f"model {name!r} is registered already")
    return name


def list_models(pattern: str = "*", *, pretrained: bool = False) -> List[str]:
    """Names of networks that match a wildcard pattern, sorted.

    Args:
        pattern: wildcards, such as ``"digits_*"``.
        pretrained: list the pretrained networks of the package instead of the registered architectures and
            networks; ``get_model(name, pretrained=True)`` loads one.
    """
    names = list_pretrained() if pretrained else (*_ARCHITECTURES, *_NETWORKS, *_CLASSIFIERS)
    return sorted(name for name in names if fnmatchcase(name, pattern))


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
    classes: Optional[int] = None,
    input_shape: Optional[Tuple[int, int, int]] = None,
    channels: Optional[Sequence[Union[int, str]]] = None,
    *,
    pretrained: Union[str, bool] = False,
    **options: Any,
) -> Network:
    """Build a network, not yet initialised (see ``gluon_nrm.models.initialise``), or load a pretrained one.

        get_model("digits_cnn", classes=10, input_shape=(1, 8, 8), maxmin=True)
        get_model("digits_cnn", pretrained="digits")
        get_model("digits_maxmin_mt_50", pretrained=True)  # a name of list_models(pretrained=True)

    A pretrained network lies on the CPU and takes normalised images; ``gluon_nrm.open_classifier`` also
    normalises them.

    Args:
        name: a registered architecture or network (``list_models``), or any network of a model zoo by the
            zoo's name and its own: ``gluon.resnet18_v1``, ``gluoncv.cifar_resnet20_v1``.
        classes: number of classes K; not needed with ``pretrained``.
        input_shape: channels, height and width of the images; not needed with ``pretrained``.
        channels: a list such as ``[32, 32, "pool", 64]`` in place of an architecture's own layers.
        pretrained: name of a pretrained network, or of a data set, which means the one with the lowest test
            error; True: ``name`` is that of a pretrained network, or of a network with only one.
        options: fields of ``NRMOptions``; a pretrained network has those that it was trained with.

    Raises:
        ModelError: an unknown name or option, an invalid list, options that contradict each other or do not
            apply to the network, images too small; there is no such pretrained network, or several.
        CheckpointError: the files of a pretrained network are damaged.
    """
    if pretrained:
        given = [*options, *["channels"] * (channels is not None)]
        return _load_pretrained(choose_pretrained(name, pretrained), classes, input_shape, given)
    if classes is None or input_shape is None:
        raise ModelError(
            f"get_model({name!r}): give classes and input_shape, such as 10 and (1, 28, 28), or pretrained"
        )
    settings = read_options(options, "model.")
    if not settings.render:
        settings = replace(settings, path_norm="none", render_norm="none")
    changed = settings.changed
    if settings.denoising is not None and not name.startswith("ladder_"):
        raise ModelError(
            f"model.denoising: {name} has no decoder; leave this key out, or use a ladder_* network"
        )
    if name in _CLASSIFIERS:
        return _build_classifier(name, classes, input_shape, channels, settings)
    if settings.noise is not None:
        raise ModelError(f"model.noise: {name} adds no noise of its own; leave this key out")
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


def _build_classifier(
    name: str,
    classes: int,
    input_shape: Tuple[int, int, int],
    channels: Optional[Sequence[Union[int, str]]],
    settings: NRMOptions,
) -> Network:
    """Build a registered classifier, which does not render.

    Raises:
        ModelError: it should render, or an option is set that it has not.
    """
    if settings.render:
        raise ModelError(f"model.render: {name} does not render; set it to false")
    changed = [option for option in settings.changed if option not in OF_CLASSIFIERS]
    changed += ["channels"] * (channels is not None)
    if changed:
        raise ModelError(f"model.{changed[0]}: {name} has no such option; leave this key out")
    return _CLASSIFIERS[name](classes, input_shape, settings)


def build_pretrained(found: PretrainedNetwork, arrays: Mapping[str, np.ndarray], device: Any) -> Network:
    """Build a pretrained network from its settings, and set its parameters.

    Args:
        found: its description.
        arrays: its parameters, of ``read_parameters``.
        device: an MXNet context.

    Raises:
        ModelError: the network cannot be built.
        CheckpointError: the parameters are those of another network.
    """
    settings = asdict(found.load_recipe().model)
    name, scheme = settings.pop("name"), settings.pop("initialiser")
    for start in ("weights", "pretrained"):
        del settings[start]
    net = initialise(
        get_model(name, len(found.class_names), found.input_shape, **settings), [device], None, scheme
    )
    wanted = {name: tuple(parameter.shape) for name, parameter in named_parameters(net).items()}
    if wanted != {name: array.shape for name, array in arrays.items()}:
        raise CheckpointError(f"{found.name}: its parameters are not those of {name}; {reinstall_line()}")
    set_parameters(net, arrays)
    return net


def _load_pretrained(
    found: PretrainedNetwork,
    classes: Optional[int],
    input_shape: Optional[Tuple[int, int, int]],
    given: Sequence[str],
) -> Network:
    """Load a pretrained network; what the caller says of it must be so."""
    if given:
        raise ModelError(
            f"{given[0]}: {found.name} has the options that it was trained with; leave it out, or train from "
            f"its weights by model.weights: {found.name}"
        )
    for key, wanted, own in (
        ("classes", classes, len(found.class_names)),
        ("input_shape", input_shape and tuple(input_shape), found.input_shape),
    ):
        if wanted not in (None, own):
            raise ModelError(f"{key}: {wanted}, and {found.name} has {own}; leave it out")
    return build_pretrained(found, read_parameters(found), mx.cpu())


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
