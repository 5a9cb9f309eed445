"""int8 quantisation by MXNet and oneDNN, with activations calibrated on training images.

Gates, leaky ReLUs, norms that are not folded and the output stay in float32. The file holds float32 weights,
which MXNet quantises when it loads them, so it is not smaller. Calibration by "entropy" was as accurate on
the digits and took a hundred times as long.
"""

from __future__ import annotations

from pathlib import Path
from typing import List, Optional, Sequence, Tuple

import mxnet as mx
import numpy as np
from mxnet.contrib import quantization

from gluon_nrm.errors import DeployError
from gluon_nrm.export.graph.inference_graph import Builder, InferenceGraph, rewrite
from gluon_nrm.export.symbol_files import to_symbol, write_files
from gluon_nrm.graph.node import Entry, Node
from gluon_nrm.predict.manifest import IMAGE

#: "naive": scales by the smallest and largest value in calibration.
MODE = "naive"
#: Number of training images for calibration, and batch size.
CALIBRATION_IMAGES, CALIBRATION_BATCH = 512, 32


def quantise(graph: InferenceGraph, images: np.ndarray, paths: Tuple[Path, Path]) -> None:
    """Write a quantised classifier as a symbol and its arrays.

    Args:
        graph: the graph to quantise.
        images: training images as the graph takes them, (N, C, H, W).
        paths: paths of the two files.

    Raises:
        DeployError: MXNet cannot quantise this graph.
    """
    symbol, arguments, states = to_symbol(rewrite(graph, _by_name))
    batch = min(CALIBRATION_BATCH, len(images))
    try:
        quantised = quantization.quantize_model_mkldnn(
            symbol,
            arguments,
            states,
            data_names=(IMAGE,),
            label_names=None,
            ctx=mx.cpu(),
            calib_mode=MODE,
            calib_data=mx.io.NDArrayIter(images, batch_size=batch, last_batch_handle="discard"),
            quantized_dtype="auto",
            quantize_mode="smart",
            quantize_granularity="channel-wise",
            logger=None,
        )
    except (mx.MXNetError, ValueError) as problem:
        reason = str(problem).strip().splitlines()[-1]
        raise DeployError(f"MXNet cannot quantise this network ({reason}); leave int8 out") from problem
    write_files(paths, *quantised)


def _by_name(builder: Builder, node: Node, inputs: List[Entry], index: int) -> Optional[Sequence[Entry]]:
    """Rewrite activations without an int8 kernel to operators that MXNet leaves in float32."""
    kind = node.attrs.get("act_type", "")
    if node.op != "Activation" or kind not in ("sigmoid", "softsign", "tanh"):
        return None
    return [builder.add(kind, inputs, node.name)]
