"""Max-Min on networks of the zoos: against the base network, through training, saving and exporting."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, Dict, List, NamedTuple

import mxnet as mx
import numpy as np
import pytest
from cnns import (
    CLASSES,
    SHAPE,
    SIZES,
    Case,
    chain,
    images,
    learned,
    norms_of_max,
    of_zoo,
    residual,
    scores,
    with_min,
)
from mxnet import autograd, gluon
from mxnet.gluon import HybridBlock, nn

from gluon_nrm.models import maxmin

#: SE-ResNeXt is a ResNeXt too, and GoogLeNet an Inception.
LEFT_OUT = ("gluon.inceptionv3", "gluoncv.resnext50_32x4d")
#: Their layers of 4096 units are slow to save.
HEAVY = ("gluon.alexnet", "gluon.vgg11", "gluon.vgg11_bn")
LIGHT = tuple(name for name in SIZES if name not in (*LEFT_OUT, *HEAVY))
NETWORKS = (*LIGHT, *HEAVY)  # in this order a fixture of the module serves all tests of a network
STATISTICS = ("running_mean", "running_var")


@pytest.fixture(scope="module")
def built(request: pytest.FixtureRequest) -> Case:
    """A network of a zoo with Max-Min and three images, built once for the tests of it."""
    size = SIZES[request.param]
    return with_min(of_zoo(request.param), (3, size, size), 3)


@pytest.fixture
def case(built: Case) -> Case:
    """The network as it was built: not hybridised."""
    built.net.hybridize(False)
    built.both.hybridize(False)
    return built


@pytest.mark.parametrize("built", NETWORKS, indirect=True)
def test_the_max_branch_is_the_network(case: Case) -> None:
    """To the bit; and hybridised, both branches are what they are eagerly."""
    net, both, x = case.net, case.both, case.x[:2]
    by_hand = scores(net, x)[0]
    net.hybridize()  # eager arrays are added by another operator than those of a graph
    base, eager = scores(net, x)[0], scores(both, x)
    largest = np.abs(base).max()
    np.testing.assert_allclose(base, by_hand, rtol=1e-5, atol=1e-5 * largest)
    np.testing.assert_array_equal(eager[0], base)
    assert np.isfinite(eager).all()
    assert np.abs(eager[1] - eager[0]).max() > 1e-3 * largest
    both.hybridize(static_alloc=True, static_shape=True)
    hybrid = scores(both, x)
    np.testing.assert_allclose(hybrid[0], base, rtol=1e-5, atol=1e-5 * largest)
    np.testing.assert_allclose(hybrid[1], eager[1], rtol=1e-5, atol=1e-5 * largest)
    names, theirs = both._collect_params_with_prefix(), net._collect_params_with_prefix()
    assert {each for each in names if not each.startswith("min.")} == set(theirs)
    assert all(names[each] is parameter for each, parameter in theirs.items())


@pytest.mark.parametrize("built", LIGHT, indirect=True)
def test_saving_and_exporting(request: Any, case: Case, tmp_path: Path) -> None:
    """Its own files, the base network's, and the graph by itself."""
    name = request.node.callspec.params["built"]
    net, both, x = case.net, case.both, case.x[:2]
    both.hybridize()
    expected = scores(both, x)
    tolerance = dict(rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    symbol, parameters, own, base = (
        str(tmp_path / each) for each in ("n-symbol.json", "n-0000.params", "own.params", "base.params")
    )
    both.export(str(tmp_path / "n"))
    for ours, theirs in zip(scores(gluon.SymbolBlock.imports(symbol, ["data"], parameters), x), expected):
        np.testing.assert_allclose(ours, theirs, **tolerance)
    again, pretrained = maxmin(of_zoo(name)), maxmin(of_zoo(name))
    both.save_parameters(own)
    again.load_parameters(own)
    for ours, theirs in zip(scores(again, x), expected):
        np.testing.assert_allclose(ours, theirs, **tolerance)
    net.save_parameters(base)
    pretrained.initialize()
    pretrained.load_parameters(base, allow_missing=True)
    np.testing.assert_allclose(scores(pretrained, x)[0], expected[0], **tolerance)


class Trained(NamedTuple):
    """What training on one branch's scores does: gradients, and the statistics that have moved."""

    gradients: Dict[str, np.ndarray]
    statistics: Dict[str, np.ndarray]


def train(block: HybridBlock, x: mx.nd.NDArray, branch: int) -> Trained:
    """Gradients and statistics of one step from where the statistics are, which are put back."""
    everything = block._collect_params_with_prefix()
    before = {name: p.data().copy() for name, p in everything.items() if name.endswith(STATISTICS)}
    for parameter in learned(block).values():
        parameter.zero_grad()
    with autograd.record():
        found = block(x)
        branches = found if isinstance(found, (list, tuple)) else [found]
        weight = images((CLASSES,), len(x), 5)
        score = (branches[branch] * weight).sum()
    score.backward()
    mx.nd.waitall()
    gradients = {name: parameter.grad().asnumpy() for name, parameter in learned(block).items()}
    after = {name: everything[name].data().asnumpy() for name in before}
    for name, value in before.items():
        everything[name].set_data(value)
    return Trained(gradients, {n: v for n, v in after.items() if (v != before[n].asnumpy()).any()})


@pytest.mark.parametrize("built", NETWORKS, indirect=True)
def test_both_branches_train_what_they_share(case: Case) -> None:
    """The Max branch as the base network does; what one branch has of its own, the other leaves alone."""
    net, both, x = case
    net.hybridize()
    base, of_max, of_min = train(net, x, 0), train(both, x, 0), train(both, x, 1)
    own = norms_of_max(both)
    trained = {each for each, gradient in base.gradients.items() if gradient.any()}
    assert len(trained) > 0.9 * len(base.gradients)
    assert {each for each, gradient in of_max.gradients.items() if gradient.any()} == trained
    for each in trained:
        ours, theirs = of_max.gradients[each], base.gradients[each]
        assert np.abs(ours - theirs).max() <= 1e-3 * np.abs(theirs).max(), each
    expected = {each if each not in own else f"min.{each}" for each in trained}
    assert {each for each, gradient in of_min.gradients.items() if gradient.any()} == expected
    # statistics: once for what is shared, and each branch its own
    assert of_max.statistics.keys() == base.statistics.keys()
    for each, value in base.statistics.items():
        np.testing.assert_allclose(of_max.statistics[each], value, rtol=1e-5, atol=1e-6, err_msg=each)
    assert set(of_min.statistics) == {each if each not in own else f"min.{each}" for each in base.statistics}
    for each in set(of_min.statistics) & set(base.statistics):
        np.testing.assert_allclose(of_min.statistics[each], base.statistics[each], rtol=1e-5, atol=1e-6)


#: Operators that begin what differs between the branches; average pooling is none.
FIRST = ("Activation", "LeakyReLU", "clip", "_plus_scalar", "Pooling")


def nodes(symbol: Any) -> List[Dict[str, Any]]:
    return [node for node in json.loads(symbol.tojson())["nodes"] if node["op"] != "null"]


@pytest.mark.parametrize("name", NETWORKS)
def test_what_comes_before_the_first_non_linearity_is_computed_once(name: str) -> None:
    net = of_zoo(name)
    base = [node["op"] for node in nodes(net(mx.sym.var("data")))]
    stem = min(base.index(op) for op in FIRST if op in base)
    assert stem > 0
    expected = Counter(base[:stem]) + Counter(base[stem:] * 2)
    found = Counter(node["op"] for node in nodes(mx.sym.Group(list(maxmin(net)(mx.sym.var("data"))))))
    # what the Min branch has besides: changes of sign
    del expected["_mul_scalar"], found["_mul_scalar"]
    assert found == expected


def test_of_a_network_whose_initialisation_is_deferred() -> None:
    net = residual()
    net.initialize()
    both, x = maxmin(net), images(SHAPE)
    both.initialize()
    np.testing.assert_array_equal(both(x).logits_max.asnumpy(), net(x).asnumpy())


def test_settings_of_the_norms_are_the_networks() -> None:
    net = chain(
        nn.Conv2D(4, 3), nn.Activation("relu"), nn.Conv2D(4, 3), nn.BatchNorm(center=False, scale=False),
        nn.Activation("relu"), nn.Dense(3),
    )  # fmt: skip
    net[3].running_mean.lr_mult = 0.5
    everything = maxmin(net)._collect_params_with_prefix()
    for name in ("gamma", "beta", "running_mean", "running_var"):
        own, theirs = everything[f"min.3.{name}"], everything[f"3.{name}"]
        assert (own.grad_req, own.lr_mult, own.wd_mult) == (theirs.grad_req, theirs.lr_mult, theirs.wd_mult)
        assert own.name != theirs.name
