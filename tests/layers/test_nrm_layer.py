"""One NRM layer by itself: the example of its docstring, and rendering as the gradient of inference."""

from __future__ import annotations

import doctest

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from gluon_nrm.layers import nrm_layer
from gluon_nrm.layers.architecture import LayerSpec
from gluon_nrm.layers.nrm_layer import NRMLayer
from gluon_nrm.layers.options import NRMOptions


def test_the_example_of_the_docstring_runs() -> None:
    result = doctest.testmod(nrm_layer, extraglobs={"mx": mx})
    assert result.attempted >= 6 and result.failed == 0


@pytest.mark.parametrize("spec", [LayerSpec(8), LayerSpec(8, pool=2), LayerSpec(8, pool=2, average=True)])
def test_rendering_through_the_latents_is_the_gradient(spec: LayerSpec) -> None:
    layer = NRMLayer(spec, 3, (6, 6), NRMOptions(norm="none", render_norm="none"), first=True)
    layer.initialize()
    images = mx.nd.random.normal(shape=(4, 3, 6, 6))
    images.attach_grad()
    with autograd.record():
        inference = layer.infer(images)
    h = mx.nd.random.normal(shape=inference.output.shape)
    inference.output.backward(h)
    rendering = layer.render(h, inference.latents, inference.affine[0])
    np.testing.assert_allclose(rendering.image.asnumpy(), images.grad.asnumpy(), rtol=1e-4, atol=1e-5)
