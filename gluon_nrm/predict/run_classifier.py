"""A classifier that runs the network of a run, or a pretrained one; needs no training code and no data."""

from __future__ import annotations

from pathlib import Path
from typing import Any, List, Tuple

import mxnet as mx
import numpy as np

from gluon_nrm.layers.quiet_block import QuietBlock
from gluon_nrm.models import Network
from gluon_nrm.option_names import either
from gluon_nrm.predict.backends import MXNET, BatchFunction
from gluon_nrm.predict.chosen_network import OutputChoice, choose_network, run_network
from gluon_nrm.predict.classifier import FileClassifier
from gluon_nrm.predict.manifest import CALLER
from gluon_nrm.predict.predict_options import PredictOptions
from gluon_nrm.runs.open_run import run_name
from gluon_nrm.runs.pretrained_run import restore_trained
from gluon_nrm.typing import Operators, Tensor


class OutputBlock(QuietBlock):
    """A network with the outputs of an export: normalised images (B, C, H, W) to the outputs in order."""

    def __init__(self, net: Network, choice: OutputChoice, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.net, self._choice = net, choice

    def hybrid_forward(self, F: Operators, x: Tensor) -> Tuple[Tensor, ...]:
        return tuple(run_network(F, self.net, x, self._choice).values())


def open_run(folder: Path, options: PredictOptions) -> FileClassifier:
    """Restore a run's newest checkpoint, or a pretrained network; the run may be training at this moment.

    Raises:
        NRMError: the run cannot be restored, or has no such network or output, or does not render.
    """
    trained = restore_trained(folder, devices=options.devices, data_dir=options.data_dir)
    chosen = choose_network(
        trained,
        options.network,
        options.output,
        rendering=options.rendering,
        named=either("--render", "rendering"),
    )
    return FileClassifier(
        where=folder,
        name=run_name(trained.recipe, trained.recipe.train.seed),
        network=chosen.name,
        backend=MXNET,
        given=chosen.describe_input(CALLER),
        outputs=list(chosen.choice.outputs),
        class_names=chosen.class_names,
        run=_runner(OutputBlock(chosen.net, chosen.choice), trained.device),
    )


def _runner(block: OutputBlock, device: mx.Context) -> BatchFunction:
    block.hybridize()  # as a whole: block by block MXNet warns of every unused input

    def run(images: np.ndarray) -> List[np.ndarray]:
        """Return the outputs for a batch of images."""
        found = block(mx.nd.array(images, ctx=device))
        return [each.asnumpy() for each in found]

    return run
