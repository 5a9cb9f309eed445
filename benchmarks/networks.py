"""Networks and methods whose training step is measured, for both sides.

It imports the standard library alone, because the Python of PyTorch reads it too.
"""

from __future__ import annotations

from typing import Dict, NamedTuple, Optional, Tuple, Union


class Layer(NamedTuple):
    """A convolution, and optionally a 2x2 max-pooling with dropout behind it."""

    #: feature maps
    channels: int
    #: side of the filters, in pixels
    kernel: int = 3
    #: zeros around the image, in pixels
    pad: int = 1
    pools: bool = False
    #: dropout rate behind the pooling
    dropout: float = 0.0


class MeasuredNetwork(NamedTuple):
    """A network, the shape of its images, and the size of its batches."""

    #: title in tables
    title: str
    #: name for ``get_model``, and its list of channels; None: the architecture's own
    model: str
    channels: Optional[Tuple[Union[int, str], ...]]
    #: the same layers, for PyTorch
    layers: Tuple[Layer, ...]
    #: channels, height and width
    shape: Tuple[int, int, int]
    #: images of each of the two streams
    batch: int
    #: numbers of threads that are tried; the best is shown. None: all cores
    threads: Tuple[Optional[int], ...] = (None,)


class Method(NamedTuple):
    """A method of Table 3: NRM + RPN, with these two additions or without them."""

    title: str
    maxmin: bool
    teacher: bool


CLASSES = 10
NETWORKS: Dict[str, MeasuredNetwork] = {
    "allconv13": MeasuredNetwork(
        "AllConv13", "allconv13", None,
        (
            Layer(128), Layer(128), Layer(128, pools=True, dropout=0.5),
            Layer(256), Layer(256), Layer(256, pools=True, dropout=0.5),
            Layer(512, pad=0), Layer(256), Layer(128),
        ),
        (3, 32, 32), 8,
    ),
    "lenet": MeasuredNetwork(
        "LeNet", "lenet_small", None,
        (
            Layer(32, kernel=5, pad=4, pools=True), Layer(64, pad=0),
            Layer(64, pad=2, pools=True), Layer(128, pad=0),
        ),
        (1, 28, 28), 50, threads=(1, None),
    ),
    # of the recipes fashion_mnist_*.yaml
    "fashion_mnist": MeasuredNetwork(
        "Fashion-MNIST's recipes", "digits_cnn", (16, "pool", 32, "pool", 64, "pool", 64),
        (Layer(16, pools=True), Layer(32, pools=True), Layer(64, pools=True), Layer(64)),
        (1, 28, 28), 32, threads=(1, None),
    ),
}  # fmt: skip
METHODS = {
    "nrm_rpn": Method("NRM + RPN", False, False),
    "nrm_rpn_maxmin_mt": Method("NRM + RPN + Max-Min + Mean Teacher", True, True),
}
#: weights of the loss terms in the paper's recipes; consistency is of the teacher alone
WEIGHTS = {
    "cross_entropy": 1.0, "reconstruction": 0.5, "entropy": 0.5, "moment_matching": 0.5, "path_norm": 1.0,
}  # fmt: skip
CONSISTENCY, DECAY = 33.0, 0.99
RATE, WEIGHT_DECAY = 0.01, 5e-4
