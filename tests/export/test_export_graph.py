"""Networks of every family as graphs that infer: against the network, without what only training needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict

import mxnet as mx
import numpy as np
import pytest
from exports import FAMILIES, images, off, run_graph, runners

from gluon_nrm.errors import DeployError
from gluon_nrm.export.graph.inference_graph import InferenceGraph
from gluon_nrm.export.network_to_graph import network_to_graph
from gluon_nrm.export.trace_network import Normalisation, reference
from gluon_nrm.models import Network
from gluon_nrm.predict.chosen_network import OutputChoice, choose_outputs
from gluon_nrm.predict.manifest import MAX, MIN, MIXTURE

#: Of training alone, or of nothing.
GONE = ("BlockGrad", "Dropout", "_copy", "abs", "broadcast_like", "reshape_like", "negative")


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> Any:
    return request.param, FAMILIES[request.param].build()


def choice_of(net: Network) -> OutputChoice:
    return choose_outputs(net, None, net.options.render, False, "here")


def norms_apart(net: Network) -> int:
    """Count the batch norms of a classifier that do not follow a convolution or dense layer of their own."""
    nodes = json.loads(net(mx.sym.var("data")).logits.tojson())["nodes"]
    readers = [index for node in nodes for index, *_ in node["inputs"]]
    return sum(
        node["op"] == "BatchNorm"
        and not (
            nodes[node["inputs"][0][0]]["op"] in ("Convolution", "FullyConnected")
            and readers.count(node["inputs"][0][0]) == 1
        )
        for node in nodes
    )


def test_the_files_compute_what_the_network_does(family: Any, tmp_path: Path) -> None:
    name, net = family
    choice = choice_of(net)
    graph = network_to_graph(net, choice)
    assert graph.count(*GONE) == 0 and not any("random" in node.op for node in graph.nodes)
    for what, run in runners(graph, tmp_path, net.input_shape).items():
        for batch in (1, 7):
            x = images(net.input_shape, batch)
            assert off(run(x), reference(net, x, choice, None, mx.cpu())) < 1e-5, f"{name}, {what}, {batch}"


def test_every_norm_behind_a_layer_of_its_own_is_folded(family: Any) -> None:
    _, net = family
    graph = network_to_graph(net, choose_outputs(net, None, False, False, "here"))
    assert graph.count("BatchNorm") == norms_apart(net)
    # one branch alone has no other reader of its first layers either
    alone = network_to_graph(net, OutputChoice(MAX))
    assert alone.count("BatchNorm") < norms_apart(net) or norms_apart(net) == 0
    assert alone.count("Convolution") <= graph.count("Convolution")


def test_a_branch_alone_is_no_larger_than_a_plain_network() -> None:
    """The Min branch's signs are in its filters; nothing is left of them but where both branches part."""
    net = FAMILIES["Max-Min"].build()
    ops = [
        sorted(node.op for node in network_to_graph(net, OutputChoice(output)).nodes if not node.variable)
        for output in (MAX, MIN)
    ]
    assert ops[0] == ["Convolution"] * 3 + ["FullyConnected"] + ["LeakyReLU"] * 3 + ["Pooling"] * 2
    assert ops[1] == ops[0]


@pytest.mark.parametrize("output", [MAX, MIN, MIXTURE])
@pytest.mark.parametrize("name", ["Max-Min", "ResNet NRM", "ResNeXt Shake-Shake"])
def test_outputs_softmax_and_pixels(name: str, output: str) -> None:
    net = FAMILIES[name].build()
    choice = choose_outputs(net, output, net.options.render, True, "here")
    normalisation = Normalisation(np.full(net.input_shape[0], 5.0), np.full(net.input_shape[0], 3.0))
    x = images(net.input_shape, 3)
    pixels = (x * normalisation.std + normalisation.mean).astype(np.float32)
    found = run_graph(network_to_graph(net, choice, normalisation), data=pixels)
    scores = getattr(net(mx.nd.array(x)), "logits" if output == MIXTURE else f"logits_{output}")
    expected: Dict[str, np.ndarray] = {"probabilities": mx.nd.softmax(scores).asnumpy()}
    if net.options.render:
        inferences = net.infer(mx.nd.array(x))
        code = mx.nd.one_hot(scores.argmax(axis=1), net.classes)
        for branch, which in enumerate((MAX, MIN)):
            if output in (which, MIXTURE):
                drawn = net.render(mx.nd, code, inferences[branch], branch).image.asnumpy()
                expected[which] = drawn * 3 + 5
    assert off(found, expected) < 1e-5


def test_exports_are_the_same_to_the_bit() -> None:
    """Names count from 0 in every process, however many blocks it has made before."""
    graphs = [network_to_graph(FAMILIES["Max-Min"].build(), OutputChoice(MIXTURE)) for _ in range(2)]
    assert [node.name for node in graphs[0].nodes] == [node.name for node in graphs[1].nodes]
    assert all(np.array_equal(graphs[0].arrays[name], graphs[1].arrays[name]) for name in graphs[0].arrays)


def test_what_draws_in_inference_too_is_refused() -> None:
    from cnns import around

    from gluon_nrm.models import get_model, initialise, register_network

    @register_network
    def drawing(classes: int, channels: int) -> Any:
        noisy = lambda F, x: x + F.random.uniform_like(x)  # noqa: E731
        return around(noisy, classes=classes)

    net = initialise(get_model("drawing", 3, (2, 7, 8), render=False, maxmin=True))
    with pytest.raises(DeployError, match=r"uniform_like.* draws random numbers in inference too"):
        network_to_graph(net, OutputChoice(MIXTURE))


def test_constants_stand_in_the_file_with_their_shapes() -> None:
    """So that whoever binds it says no more than the image's shape."""
    from gluon_nrm.export.symbol_files import to_symbol

    graph: InferenceGraph = network_to_graph(
        FAMILIES["Max-Min"].build(), OutputChoice(MIXTURE), Normalisation(np.ones(1), np.ones(1))
    )
    symbol, *_ = to_symbol(graph)
    shapes, _, _ = symbol.infer_shape(data=(4, 1, 8, 8))
    assert dict(zip(symbol.list_arguments(), shapes))["broadcast_sub0_constant1"] == (1, 1, 1, 1)
