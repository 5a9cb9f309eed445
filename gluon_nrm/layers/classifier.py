"""The top of the network: global average pooling, and the classifier, whose rows are the class templates."""

from __future__ import annotations

from typing import Any, Optional, Tuple

import mxnet as mx
from mxnet.gluon import HybridBlock
from mxnet.gluon.parameter import Parameter

from gluon_nrm.layers.shared_parameters import share
from gluon_nrm.rules.linear import transpose_fully_connected
from gluon_nrm.rules.pooling import global_average_pool, transpose_global_average_pool
from gluon_nrm.typing import Operators, Tensor

Pair = Tuple[int, int]


class Classifier(HybridBlock):
    """Scores mu_y^T psi(L) + log pi_y: (B, C, H, W) to logits (B, K)."""

    def __init__(self, channels: int, classes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._classes = classes
        with self.name_scope():
            self.weight = self.params.get("weight", shape=(classes, channels))
            self.bias = self.params.get("bias", shape=(classes,), init="zeros")

    def hybrid_forward(self, F: Operators, psi: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return F.FullyConnected(global_average_pool(F, psi), weight, bias, num_hidden=self._classes)


class Tempered(HybridBlock):
    """Divide class scores by sigma^2: mu_y^T psi(L) + log pi_y to mu_y^T psi(L) / sigma^2 + log pi_y, (B, K).

    Args:
        temperature: sigma^2, above 0.
        class_bias: log pi_y, (K,), which is not divided; None where the network has none.
    """

    def __init__(self, temperature: float, class_bias: Optional[Parameter], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._factor = 1.0 / temperature
        if class_bias is not None:
            share(self, "class_bias", class_bias)

    def hybrid_forward(self, F: Operators, logits: Tensor, class_bias: Optional[Tensor] = None) -> Tensor:
        if class_bias is None:
            return logits * self._factor
        return F.broadcast_add(logits * self._factor, F.reshape(class_bias * (1 - self._factor), (1, -1)))


class ClassTemplate(HybridBlock):
    """Render a class code (B, K) through the classifier's weight: the template mu_y, (B, C, 1, 1)."""

    def __init__(self, weight: Parameter, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        share(self, "weight", weight)

    def hybrid_forward(self, F: Operators, code: Tensor, weight: Tensor) -> Tensor:
        return F.reshape(transpose_fully_connected(F, code, weight), shape=(0, 0, 1, 1))


class SpreadTemplate(HybridBlock):
    """Transpose of global average pooling: template (B, C, 1, 1) to h(L), (B, C, *size)."""

    def __init__(self, size: Pair, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._size = size

    def hybrid_forward(self, F: Operators, template: Tensor) -> Tensor:
        return transpose_global_average_pool(F, template, self._size)


class ClassCode(HybridBlock):
    """One-hot class of every image, (B, K): its label or, without a label, the most likely class.

    Called with the labels (B,), -1 for no label, and the logits (B, K). The result is constant.
    """

    def __init__(self, classes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._classes = classes

    def hybrid_forward(self, F: Operators, label: Tensor, logits: Tensor) -> Tensor:
        # not recorded: eager MXNet 1.9.1 crashes in the backward pass of layers without a gradient
        with mx.autograd.pause():
            guess = F.argmax(F.BlockGrad(logits), axis=1)
            known = label >= 0
            return F.one_hot(known * label + (1 - known) * guess, self._classes)


class Mixture(HybridBlock):
    """Weighted sum of the branches' logits, (B, K): alpha_max logits_max + alpha_min logits_min."""

    def __init__(self, alphas: Tuple[float, ...], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._alphas = alphas

    def hybrid_forward(self, F: Operators, *branches: Tensor) -> Tensor:
        if len(branches) == 1:
            return branches[0]
        return branches[0] * self._alphas[0] + branches[1] * self._alphas[1]
