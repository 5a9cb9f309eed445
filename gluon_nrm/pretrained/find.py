"""Pretrained networks: choose one, read its verified parameters. Needs no MXNet."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Dict, Union

import numpy as np

from gluon_nrm.errors import CheckpointError, ModelError
from gluon_nrm.pretrained import names
from gluon_nrm.pretrained.description import PretrainedNetwork, read_description
from gluon_nrm.pretrained.names import list_pretrained, suggest_pretrained
from gluon_nrm.storage import files
from gluon_nrm.storage.params_file import DamagedArraysError, read_arrays
from gluon_nrm.system.install import reinstall_line

#: Types of parameters, by MXNet's number.
FLOAT32 = {0: np.dtype("<f4")}


def describe_pretrained(name: str) -> PretrainedNetwork:
    """Read the description of a pretrained network.

    Raises:
        ModelError: there is none of that name; the message names what there is.
        CheckpointError: its description is damaged.
    """
    if name not in list_pretrained():
        raise ModelError(f"there is no pretrained network {name!r}; {suggest_pretrained(name)}")
    return read_description(names.NETWORKS / f"{name}.json")


def choose_pretrained(network: str, pretrained: Union[str, bool]) -> PretrainedNetwork:
    """Choose the pretrained network that ``get_model`` is asked for.

    Args:
        network: name of a network, such as "digits_cnn"; with ``pretrained=True`` also that of a pretrained
            network.
        pretrained: name of a pretrained network of this network; or that of its data set, which means the one
            with the lowest test error; True: the only one of the network.

    Raises:
        ModelError: there is none, or True means several; the message lists what there is.
        CheckpointError: a description is damaged.
    """
    known = list_pretrained()
    if pretrained is True and network in known:
        return describe_pretrained(network)
    if isinstance(pretrained, str) and pretrained in known:
        found = describe_pretrained(pretrained)
        if network not in (found.model, found.name):
            raise ModelError(
                f"pretrained={pretrained!r} is a {found.model}, not a {network}; give {found.model!r}"
            )
        return found
    every = [describe_pretrained(name) for name in known]
    fitting = [each for each in every if each.model == network]
    chosen = [each for each in fitting if pretrained in (True, each.dataset)]
    if len(chosen) > 1 and pretrained is True:
        listed = ", ".join(f"{each.name!r} ({each.test_error.per_cent:.2f} % error)" for each in chosen)
        raise ModelError(f"pretrained={pretrained!r} means several networks; give one of {listed}")
    if chosen:
        return min(chosen, key=lambda each: each.test_error.per_cent)
    listed = ", ".join(repr(each.name) for each in fitting) or "none"
    others = ", ".join(f"{each.name!r} of {each.model}" for each in every if each not in fitting)
    raise ModelError(
        f"pretrained={pretrained!r}: there is no such network; of {network} there are: {listed}"
        + (f"; others: {others}" if others and not fitting else "")
    )


def read_parameters(found: PretrainedNetwork) -> Dict[str, np.ndarray]:
    """Read the parameters of a pretrained network after their SHA-256 has been compared.

    Returns:
        Arrays of float32, of any shape, by structural name, such as ``layers.0.convolution.weight``.

    Raises:
        CheckpointError: the file is missing, or is not the one that the description was written for.
    """
    path = names.NETWORKS / f"{found.name}.params"
    return parameters_of_bytes(found, files.read_bounded(path, CheckpointError, found.params.bytes + 1), path)


def parameters_of_bytes(found: PretrainedNetwork, data: bytes, path: Path) -> Dict[str, np.ndarray]:
    """Check the contents of a file of parameters, and convert them to arrays; ``path`` is for messages.

    Raises:
        CheckpointError: as ``read_parameters``.
    """
    if len(data) < found.params.bytes:
        raise _damaged(path, f"it is cut short, {len(data)} bytes of {found.params.bytes}")
    if hashlib.sha256(data).hexdigest() != found.params.sha256:
        raise _damaged(path, f"its SHA-256 is not the one in {found.name}.json")
    try:
        return dict(read_arrays(data, FLOAT32))
    except DamagedArraysError as problem:
        raise _damaged(path, str(problem)) from None


def _damaged(path: Path, what: str) -> CheckpointError:
    return CheckpointError(f"{path} is damaged: {what}; {reinstall_line()}")
