"""Folding and simplifying on graphs of a few nodes: what is folded, what is not, and that values stay."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Callable, Dict, NamedTuple, Tuple

import mxnet as mx
import numpy as np
import pytest
from exports import graph_of, image, images, run_graph

from gluon_nrm.export.common_operators import use_common_operators
from gluon_nrm.export.fold import fold
from gluon_nrm.export.graph.inference_graph import InferenceGraph
from gluon_nrm.export.graph.shapes import infer_shapes
from gluon_nrm.export.mixtures import merge_mixtures
from gluon_nrm.export.simplify import compute_constants, simplify

SHAPE = (3, 5, 6)
S = mx.sym
Operators = Dict[str, int]


@lru_cache(maxsize=None)
def var(name: str) -> Any:
    """The variable of a name: one, however often it is read."""
    return S.var(name)


def convolve(x: Any, name: str, bias: bool = True, **options: Any) -> Any:
    return S.Convolution(
        x, var(f"{name}_weight"), *([var(f"{name}_bias")] if bias else []), num_filter=4, kernel=(3, 3),
        no_bias=not bias, **options,
    )  # fmt: skip


def norm(x: Any, name: str, **options: Any) -> Any:
    parts = [var(f"{name}_{part}") for part in ("gamma", "beta", "mean", "var")]
    return S.BatchNorm(x, *parts, eps=0.01, **{"fix_gamma": False, **options})


def dense(x: Any, **options: Any) -> Any:
    return S.FullyConnected(x, var("d_weight"), var("d_bias"), num_hidden=4, **options)


def relu(x: Any) -> Any:
    return S.Activation(x, act_type="relu")


def shake(x: Any) -> Any:
    """Shake-Shake's formula, of two convolutions, in inference."""
    first, second = (convolve(x, name, bias=False) for name in "ab")
    flat = [S.reshape(each, shape=(0, -1)) for each in (first, second)]
    difference = flat[0] - flat[1]
    one = S.slice_axis(difference, axis=1, begin=0, end=1)
    training = S.abs(S.Dropout(S.ones_like(S.BlockGrad(one)), p=0.5) - 1)
    gate = training * S.random.uniform_like(training, low=-0.5, high=0.5)
    mixed = S.add_n(
        flat[1], difference * S.broadcast_like(gate + 0.5, difference),
        S.BlockGrad(difference * S.broadcast_like(gate - gate, difference)),
    )  # fmt: skip
    return S.reshape_like(mixed, second)


def turned(name: str) -> Any:
    return S.slice(var(name), begin=(None,) * 4, end=(None,) * 4, step=(1, 1, -1, -1))


class Case(NamedTuple):
    """A graph of the image, and how many nodes of each operator are left of it."""

    build: Callable[[Any], Any]
    left: Operators


CASES: Dict[str, Case] = {
    "norm": Case(lambda x: norm(convolve(x, "a"), "n"), {"Convolution": 1}),
    "norm with gamma 1": Case(lambda x: norm(convolve(x, "a"), "n", fix_gamma=True), {"Convolution": 1}),
    "no bias": Case(lambda x: norm(convolve(x, "a", bias=False), "n"), {"Convolution": 1}),
    "dense": Case(lambda x: norm(dense(x), "n"), {"FullyConnected": 1}),
    "along an axis": Case(
        lambda x: norm(dense(x, flatten=False), "n"), {"FullyConnected": 1, "BatchNorm": 1}
    ),
    "norm, then numbers": Case(
        lambda x: 3 - 2 * (norm(convolve(x, "a"), "n") / 4 + 1), {"Convolution": 1}
    ),
    "bias of its own": Case(
        lambda x: S.broadcast_sub(S.broadcast_mul(convolve(x, "a"), var("c_scale")), var("c_shift")),
        {"Convolution": 1},
    ),
    "of every pixel": Case(
        lambda x: S.broadcast_add(convolve(x, "a"), var("p_shift")), {"Convolution": 1, "broadcast_add": 1}
    ),
    "read twice": Case(
        lambda x: (lambda y: norm(y, "n") + relu(y))(convolve(x, "a")),
        {"Convolution": 1, "BatchNorm": 1, "Activation": 1, "elemwise_add": 1},
    ),
    "relu between": Case(
        lambda x: norm(relu(convolve(x, "a")), "n"), {"Convolution": 1, "Activation": 1, "BatchNorm": 1}
    ),
    "signs of a Min branch": Case(
        lambda x: dense(-S.Pooling(-S.negative(relu(-norm(convolve(x, "a"), "n"))), kernel=(2, 2))),
        {"Convolution": 1, "Activation": 1, "Pooling": 1, "FullyConnected": 1},
    ),
    "a factor through a sum": Case(
        lambda x: dense(relu(0.5 * relu(x) + 0.5 * S.abs(x))),
        {"Activation": 2, "abs": 1, "elemwise_add": 1, "FullyConnected": 1},
    ),
    "a difference": Case(
        lambda x: dense(relu(x) + -S.abs(x)),
        {"Activation": 1, "abs": 1, "elemwise_sub": 1, "FullyConnected": 1},
    ),
    "no factor through a sigmoid": Case(
        lambda x: dense(S.sigmoid(-relu(x))),
        {"Activation": 1, "_mul_scalar": 1, "sigmoid": 1, "FullyConnected": 1},
    ),
    "a sign stops at a rectifier": Case(
        lambda x: S.LeakyReLU(-S.abs(x), slope=0.1), {"abs": 1, "_mul_scalar": 1, "LeakyReLU": 1}
    ),
    "no factor from outside a padded mean": Case(
        lambda x: dense(S.Pooling(2 * relu(x), kernel=(2, 2), pad=(1, 1), pool_type="avg")),
        {"Activation": 1, "Pooling": 1, "FullyConnected": 1},
    ),
    "a gate": Case(
        lambda x: dense(S.broadcast_mul(-relu(x), S.sigmoid(S.mean(x, axis=(2, 3), keepdims=True)))),
        {"Activation": 1, "sigmoid": 1, "Pooling": 1, "broadcast_mul": 1, "FullyConnected": 1},
    ),
    "shake": Case(lambda x: relu(shake(x)), {"Convolution": 2, "elemwise_add": 1, "Activation": 1}),
    "filters turned round": Case(
        lambda x: S.Convolution(x, S.transpose(turned("a_weight"), axes=(0, 1, 3, 2)), num_filter=4,
                                kernel=(3, 3), no_bias=True),
        {"Convolution": 1},
    ),
    "zeros that only have a shape": Case(
        lambda x: convolve(x, "a") + S.zeros_like(convolve(x, "b")), {"Convolution": 1}
    ),
    "leaky without leak": Case(
        lambda x: S.LeakyReLU(S.contrib.AdaptiveAvgPooling2D(x, output_size=1), slope=0.0),
        {"Pooling": 1, "Activation": 1},
    ),
    "statistics of a norm": Case(
        lambda x: (lambda y: S.broadcast_mul(y[0], S.reshape(var("n_gamma") * y[2], (1, -1, 1, 1))))(
            norm(convolve(x, "a"), "n", output_mean_var=True)
        ),
        {"Convolution": 1},
    ),
}  # fmt: skip


def shape_of(name: str, axes: int) -> Tuple[int, ...]:
    kind = name.split("_")[1]
    if name == "p_shift":
        return (1, 4, 3, 4)
    if name[0] == "c":
        return (4, 1, 1) if kind == "scale" else (1, 4, 1, 1)
    if name == "d_weight":
        return (4, axes)
    return (4, 3, 3, 3) if kind == "weight" else (4,)


def with_values(symbol: Any) -> InferenceGraph:
    rng = np.random.default_rng(0)
    names = [name for name in symbol.list_arguments() + symbol.list_auxiliary_states() if name != "data"]
    given = {name: shape_of(name, 0) for name in names if not name.startswith("d_")}
    arguments, _, states = symbol.infer_shape(data=(2, *SHAPE), **given)
    shapes = dict(zip(symbol.list_arguments() + symbol.list_auxiliary_states(), [*arguments, *states]))
    return graph_of(out=symbol)(**{
        name: rng.uniform(0.5, 1.5, shapes[name]).astype(np.float32) * sign  # type: ignore[attr-defined]
        for sign, name in ((1 if "var" in name else (-1) ** place, name) for place, name in enumerate(names))
    })  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_fewer_nodes_and_the_same_values(name: str) -> None:
    case = CASES[name]
    graph = with_values(case.build(image()))
    x = images(SHAPE, 3)
    known = compute_constants(graph)
    simple = compute_constants(simplify(known, infer_shapes(known, SHAPE)))
    folded = fold(merge_mixtures(simple, infer_shapes(simple, SHAPE)))
    folded = use_common_operators(folded, infer_shapes(folded, SHAPE))
    ops = {node.op for node in folded.nodes if not node.variable}
    assert {op: folded.count(op) for op in ops} == case.left
    expected, found = run_graph(graph, data=x)[0], run_graph(folded, data=x)[0]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


def test_shared_filters_stay_as_they_are_where_they_are_needed_twice() -> None:
    """A filter that is read by a norm's convolution and by another is folded for the first alone."""
    x = image()
    graph = with_values(norm(convolve(x, "a"), "n") + convolve(x, "a"))
    folded = fold(graph)
    weights = [
        folded.arrays[folded.nodes[node.inputs[1].node].name]
        for node in folded.nodes
        if node.op == "Convolution"
    ]
    assert [np.array_equal(weight, graph.arrays["a_weight"]) for weight in weights] == [False, True]
    found, expected = (run_graph(each, data=images(SHAPE, 2))[0] for each in (folded, graph))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
