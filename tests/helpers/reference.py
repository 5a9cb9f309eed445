"""Comparison with numbers computed by the implementation the paper's authors released.

``compare(path)`` reads a file in the format of the conformance data (arrays of inputs, parameters, outputs,
losses, gradients and running statistics of a small network), builds the network from it in the released form,
and measures how far ours are off.
"""

from __future__ import annotations

from pathlib import Path
from typing import Dict, Iterator, List, Mapping, Tuple

import mxnet as mx
import numpy as np

from gluon_nrm.losses import TERMS, CrossEntropy, Objective
from gluon_nrm.models import NRM, NRMOptions, Reconstructor, architecture_of
from gluon_nrm.models.layered.released_parameters import load_released, read_released, released_parameters

WEIGHTS = {
    "cross_entropy": 1.0,
    "reconstruction": 0.5,
    "entropy": 0.5,
    "moment_matching": 0.5,
    "path_norm": 1.0,
}
FILE_NAMES = {"moment_matching": "mm", "path_norm": "rpn"}

Arrays = Mapping[str, np.ndarray]


def build(arrays: Arrays) -> NRM:
    """Build the released form of the network a file describes, without its parameters."""
    channels = ["pool" if entry < 0 else int(entry) for entry in arrays["config_channels"]]
    options = NRMOptions(maxmin="layer1_bn_min_gamma" in arrays, released_bias=True)
    _, depth, height, width = arrays["x"].shape
    net = NRM(architecture_of(channels), int(arrays["num_classes"]), (depth, height, width), options)
    net.initialize()
    return net


def parameters(net: NRM) -> Iterator[Tuple[str, mx.gluon.Parameter]]:
    """Pair the file's name of every parameter with ours."""
    return ((each.name, each.parameter) for each in released_parameters(net))


def load(net: NRM, arrays: Arrays) -> None:
    """Copy the file's parameters into the network; every one of the network's is in the file."""
    known = dict(parameters(net))
    assert len({id(p) for p in known.values()}) == len(net.collect_params().keys()), (
        "a parameter has no counterpart in the file"
    )
    load_released(net, arrays)


def relative_error(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Largest absolute difference over the largest absolute value; infinite where theirs is not finite."""
    if not np.isfinite(theirs).all():
        return float("inf")
    difference = float(np.abs(ours.reshape(theirs.shape) - theirs).max())
    scale = float(np.abs(theirs).max())
    return difference / scale if scale else difference


def outputs(net: NRM, x: mx.nd.NDArray, label: mx.nd.NDArray) -> Dict[str, np.ndarray]:
    """Logits and renderings under the file's names."""
    reconstructor = Reconstructor(net)
    reconstructor.hybridize(static_alloc=True, static_shape=True)
    result = reconstructor(x, label)
    prediction = net(x)
    found = {"logits": result.logits, "xhat": result.images[0]}
    if len(result.images) > 1:
        found.update(logits_max=prediction.logits_max, logits_min=prediction.logits_min)
        found.update(xhat_max=result.images[0], xhat_min=result.images[1])
    return {name: value.asnumpy() for name, value in found.items()}


def losses(
    objective: Objective, terms: mx.nd.NDArray, labelled: bool, cross_entropy: mx.nd.NDArray
) -> Dict[str, np.ndarray]:
    """Loss vectors under the file's names; cross-entropy is listed for both streams, weighed in one."""
    rows = dict(zip(objective.names, terms.asnumpy()))
    total = sum(WEIGHTS[name] * row for name, row in rows.items() if labelled or name != "cross_entropy")
    rows["cross_entropy"] = cross_entropy.asnumpy()
    found = {f"loss_{FILE_NAMES.get(name, name)}": row for name, row in rows.items()}
    return {**found, "loss_total": total}


def _pass(arrays: Arrays, train: bool, labelled: bool) -> Dict[str, np.ndarray]:
    """Everything one pass gives, under the file's names without their first two words."""
    net = build(arrays)
    load(net, arrays)
    x, y = mx.nd.array(arrays["x"]), mx.nd.array(arrays["y"])
    label = y if labelled else -mx.nd.ones_like(y)
    with mx.autograd.record(train_mode=train):
        found = outputs(net, x, label)
    load(net, arrays)
    objective = Objective(net, [name for name in TERMS if name in WEIGHTS])
    objective.hybridize(static_alloc=True, static_shape=True)
    zero_states = objective.zero_states(x)
    with mx.autograd.record(train_mode=train):
        outcome = objective(x, label, zero_states)
    objective.backward([outcome], [mx.nd.array([[WEIGHTS[name]] * len(label) for name in objective.names])])
    # MXNet moves the running statistics in the backward pass of the norm, behind the back of its own
    # scheduler
    mx.nd.waitall()
    after = read_released(net)
    with mx.autograd.record(train_mode=train):
        inferences = net.infer(x)
    cross_entropy = CrossEntropy(net.classes, net.options.alphas)(y, *[each.logits for each in inferences])
    found.update(losses(objective, outcome.terms, labelled, cross_entropy))
    for name, p in parameters(net):
        found[f"grad_{name}"] = p.grad().asnumpy() if p.grad_req != "null" else np.zeros(p.shape, np.float32)
        found[f"after_{name}"] = after[name]
    return found


def compare(path: str) -> Dict[str, float]:
    """Measure the largest relative error of every quantity in the file, in float32 and hybridised.

    Infinite where the file's own number is not finite (the released code divides by a zero variance there).
    """
    with np.load(Path(path), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    errors: Dict[str, float] = {}
    for mode in ("eval", "train"):
        for stream in ("labelled", "unlabelled"):
            prefix = f"{mode}_{stream}_"
            names: List[str] = [name for name in arrays if name.startswith(prefix)]
            found = _pass(arrays, mode == "train", stream == "labelled") if names else {}
            errors.update({name: relative_error(found[name[len(prefix) :]], arrays[name]) for name in names})
    return errors
