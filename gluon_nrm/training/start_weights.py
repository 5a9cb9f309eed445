"""Start a network from the weights of another: match names, replace the head, and say what was done.

The arrays of a file are found under the network's own structural names (``layers.0.convolution.weight``),
those of the base network (``features.0.weight``), or the names of a symbol file (``resnetv10_conv0_weight``).
"""

from __future__ import annotations

from os.path import commonprefix
from typing import Any, Dict, List, Mapping, NamedTuple, Set

import numpy as np
from mxnet.gluon.parameter import Parameter

from gluon_nrm.errors import ModelError
from gluon_nrm.graph.graph_block import OWN
from gluon_nrm.models import Network
from gluon_nrm.models.interface.parameters import named_parameters
from gluon_nrm.runs.network_arrays import load_network, network_arrays
from gluon_nrm.training.weights_file import Weights

#: Blocks that hold the base network in the networks made of any CNN.
BASE = ("inference.", "net.")
#: Ends of the names of values that change sign in the Min branch, which runs on negated features.
NEGATED = ("beta", "running_mean")
#: Names that a line of the report shows.
SHOWN = 3


class StartReport(NamedTuple):
    """Names of arrays: in the file for ``left``, in the network for all others."""

    source: str
    loaded: List[str]
    #: norms of the Min branch that started as copies of the Max branch's
    copied: List[str]
    #: the head, which has another number of classes in the file
    replaced: List[str]
    left: List[str]
    missing: List[str]

    def line(self) -> str:
        """Summarise the report in a line of the log."""
        parts = [f"{len(self.loaded)} arrays loaded"]
        for names, what in (
            (self.copied, "copied to the Min branch"),
            (self.replaced, "new because the number of classes differs"),
            (self.left, "left out"),
            (self.missing, "not in the file, so as initialised"),
        ):
            if names:
                parts.append(f"{len(names)} {what} ({_some(names)})")
        return f"{self.source}: {', '.join(parts)}"

    def plain(self) -> Dict[str, Any]:
        """Return all names, for the run's folder."""
        return dict(self._asdict())


def start_from(net: Network, weights: Weights) -> StartReport:
    """Set the parameters of an initialised network from the weights of a network of the same kind.

    The head is the classifier's weight and bias. If the file has another number of classes, the head keeps
    its initial values. Parameters that the file does not have, such as those of rendering, keep theirs too.

    Raises:
        ModelError: the weights are of another network: a shape differs, or most filters are not in the file.
    """
    parameters = named_parameters(net)
    aliases = _aliases(net, parameters, weights.arrays)
    found: Dict[str, str] = {}
    for alias, name in aliases.items():
        if alias in weights.arrays:
            found.setdefault(name, alias)
    arrays, replaced = network_arrays(net), []
    for name, key in found.items():
        given, wanted = weights.arrays[key], arrays[name]
        if given.shape == wanted.shape:
            continue
        if given.shape[1:] != wanted.shape[1:] or len(wanted) != net.classes:
            raise ModelError(
                f"model.weights: {weights.source} is of another network: {key} is {given.shape} in it, "
                f"{wanted.shape} in this one;\ngive the model.name and the options that it was trained with"
            )
        replaced.append(name)
    loaded = [name for name in found if name not in replaced]
    _check_enough(parameters, loaded, replaced, weights.source)
    for name in loaded:
        if not np.isfinite(weights.arrays[found[name]]).all():
            raise ModelError(
                f"model.weights: {found[name]} of {weights.source} is not finite; give another file"
            )
        arrays[name] = weights.arrays[found[name]]
    copied = _copy_to_min_branch(arrays, set(loaded))
    load_network(net, arrays, weights.source)
    return StartReport(
        weights.source,
        loaded,
        copied,
        replaced,
        sorted(set(weights.arrays) - set(aliases)),
        [name for name in parameters if name not in found and name not in copied],
    )


def _aliases(
    net: Network, parameters: Mapping[str, Parameter], arrays: Mapping[str, np.ndarray]
) -> Dict[str, str]:
    """Return the parameters' names by their names in the file; a shared parameter may have several."""
    first = {id(parameter): name for name, parameter in parameters.items()}
    own: Dict[str, str] = {}
    base: Dict[str, str] = {}
    for alias, parameter in net._collect_params_with_prefix().items():
        own[alias] = first[id(parameter)]
        for prefix in BASE:
            if alias.startswith(prefix):
                base[alias[len(prefix) :]] = first[id(parameter)]
    known = [own, base, *_by_symbol_name(net, base, arrays)]
    return max(known, key=lambda names: len(set(names) & set(arrays)))


def _by_symbol_name(
    net: Network, base: Mapping[str, str], arrays: Mapping[str, np.ndarray]
) -> List[Dict[str, str]]:
    """Map the names of a symbol file to parameters; the prefix of either network is ignored."""
    names = {name: parameter.name for name, parameter in named_parameters(net).items()}
    of_base = [name for alias, name in base.items() if not alias.startswith(OWN)]
    chosen = {name: names[name] for name in of_base or names}
    own, theirs = (_prefix(list(group)) for group in (chosen.values(), arrays))
    return [{theirs + symbol[len(own) :]: name for name, symbol in chosen.items() if symbol.startswith(own)}]


def _prefix(names: List[str]) -> str:
    """Return the part up to the last ``_`` that all names begin with."""
    common = commonprefix(names)
    return common[: common.rfind("_") + 1]


def _check_enough(
    parameters: Mapping[str, Parameter], loaded: List[str], replaced: List[str], source: str
) -> None:
    """Raise ModelError if fewer than half of the filters are loaded."""
    filters = [name for name, each in parameters.items() if len(each.shape) > 1 and name not in replaced]
    absent = [name for name in filters if name not in loaded]
    if len(absent) * 2 > len(filters):
        raise ModelError(
            f"model.weights: {source} is of another network: {len(absent)} of {len(filters)} filters are "
            f"not in it ({_some(absent)});\n"
            "give the model.name that it was trained with, or leave model.weights out"
        )


def _copy_to_min_branch(arrays: Dict[str, np.ndarray], loaded: Set[str]) -> List[str]:
    """Start norms of the Min branch that are not in the file as the negated network's."""
    copied = []
    for name in arrays:
        block, own, rest = name.partition(OWN)
        original = block + rest
        if own and block in BASE and name not in loaded and original in loaded:
            sign = -1.0 if name.endswith(NEGATED) else 1.0
            arrays[name] = (sign * arrays[original]).astype(np.float32)
            copied.append(name)
    return copied


def _some(names: List[str]) -> str:
    more = ", ..." if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
