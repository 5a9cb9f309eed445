"""The classifier of a run, straight from its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any, List, Tuple

import mxnet as mx
import numpy as np
from mxnet.gluon import HybridBlock

from gluon_nrm.errors import DeployError
from gluon_nrm.export.describe import describe
from gluon_nrm.export.load import Chosen
from gluon_nrm.export.source import Wanted, choose, run_network
from gluon_nrm.models import Network
from gluon_nrm.predict.backends import MXNET, Run
from gluon_nrm.predict.classifier import Classifier
from gluon_nrm.predict.request import Request
from gluon_nrm.training.restore import restore
from gluon_nrm.typing import Operators, Tensor


class Served(HybridBlock):
    """What an export of a network computes: normalised images (B, C, H, W) to its outputs in order."""

    def __init__(self, net: Network, wanted: Wanted, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.net, self._wanted = net, wanted

    def hybrid_forward(self, F: Operators, x: Tensor) -> Tuple[Tensor, ...]:
        return tuple(run_network(F, self.net, x, self._wanted).values())


def open_run(folder: Path, asked: Request) -> Classifier:
    """Restore a run's newest checkpoint; the run may be training at this moment.

    Raises:
        NRMError: the run cannot be restored, or has no such network or head, or does not render.
    """
    restored = restore(folder, devices=asked.devices, data_dir=asked.data_dir)
    networks = restored.parts.networks
    name = asked.network or ("teacher" if "teacher" in networks else "student")
    if name not in networks:
        raise DeployError(f"--network teacher: {folder} was trained without one; leave it out")
    net = networks[name]
    if asked.rendering and not net.options.render:
        raise DeployError(f"--render: the network of {folder} does not render (model.render is false)")
    wanted = choose(net, asked.head, asked.rendering, False, str(folder))
    about = describe(Chosen(restored, name, wanted, None), {}, None)
    return Classifier(
        folder, about.name, name, MXNET, about.input, about.outputs, about.class_names,
        _runner(Served(net, wanted), restored.device),
    )  # fmt: skip


def _runner(served: Served, device: Any) -> Run:
    served.hybridize()  # block by block, MXNet would warn of every input that a block leaves unused

    def run(images: np.ndarray) -> List[np.ndarray]:
        found = served(mx.nd.array(images, ctx=device))
        return [each.asnumpy() for each in found]

    return run
