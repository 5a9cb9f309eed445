"""What inference is measured of: the plain CNN, the network itself, and its exports, built and loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, List, Sequence, Tuple

#: name of the network -> (side of its images, outputs exported)
NETWORKS: Dict[str, Tuple[int, Sequence[str]]] = {
    "allconv13": (32, ("max",)),
    "gluon.resnet18_v1": (64, ("mixture", "max")),
}
BASE, NETWORK = "plain CNN", "network"


def build(name: str) -> Any:
    """Make the network that training runs, with all that it renders by, or Max-Min of a zoo's."""
    from gluon_nrm.models import get_model, initialise

    side, outputs = NETWORKS[name]
    maxmin = "mixture" in outputs
    return initialise(get_model(name, 10, (3, side, side), render=not maxmin, maxmin=maxmin), seed=0)


def plain(name: str) -> Any:
    """Make the same CNN without the NRM."""
    from mxnet.gluon import nn

    from gluon_nrm.models import NRMOptions, get_architecture
    from gluon_nrm.models.model_zoos import zoo_builder

    if "." in name:
        net = zoo_builder(*name.split(".", 1))(10, 3)
    else:
        net = nn.HybridSequential()
        for spec in get_architecture(name):
            net.add(nn.Conv2D(spec.channels, spec.kernel, padding=spec.pad, use_bias=False), nn.BatchNorm())
            net.add(nn.LeakyReLU(NRMOptions().slope) if NRMOptions().slope else nn.Activation("relu"))
            if spec.pool > 1:
                net.add(nn.MaxPool2D(spec.pool), nn.Dropout(spec.dropout))
        net.add(nn.GlobalAvgPool2D(), nn.Dense(10))
    net.initialize()
    return net


def export(name: str, folder: Path) -> List[str]:
    """Export the network with each output; returns what there is to measure."""
    import numpy as np

    from gluon_nrm.export.network_to_graph import network_to_graph
    from gluon_nrm.export.quantise import quantise
    from gluon_nrm.export.symbol_files import to_symbol, write_files
    from gluon_nrm.export.to_onnx.convert import write_onnx
    from gluon_nrm.predict.chosen_network import OutputChoice

    (side, outputs), net, found = NETWORKS[name], build(name), []
    images = np.random.default_rng(0).standard_normal((64, 3, side, side)).astype(np.float32)
    for output in outputs:
        graph = network_to_graph(net, OutputChoice(output))
        write_files(files(folder, f"symbol {output}"), *to_symbol(graph))
        write_onnx(graph, (3, side, side), folder / f"onnxruntime {output}.onnx", "net")
        quantise(graph, images, files(folder, f"int8 {output}"))
        found += [f"{kind} {output}" for kind in ("symbol", "onnxruntime", "int8")]
    return found


def files(folder: Path, kind: str) -> Tuple[Path, Path]:
    """The symbol's and the parameters' file."""
    return folder / f"{kind}-symbol.json", folder / f"{kind}-0000.params"


def runner(name: str, kind: str, folder: Path) -> Callable[[Any], Any]:
    """Load what is measured: images (B, C, H, W) to scores, both NumPy's."""
    if kind.startswith("onnxruntime"):
        from gluon_nrm.predict.onnx_backend import open_session

        session = open_session(folder / f"{kind}.onnx")
        return lambda images: session.run(None, {"data": images})
    import mxnet as mx

    if kind not in (BASE, NETWORK):
        from gluon_nrm.predict.mxnet_backend import run_files

        return run_files(files(folder, kind), "data", mx.cpu())
    net = plain(name) if kind == BASE else build(name)
    net.hybridize(static_alloc=True, static_shape=True)
    if kind == BASE:
        return lambda images: net(mx.nd.array(images)).asnumpy()
    return lambda images: net(mx.nd.array(images)).logits.asnumpy()
