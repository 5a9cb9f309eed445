"""Encoders and discriminators: shapes, sizes, the draw of a code, gradients, eager and hybrid."""

from __future__ import annotations

from typing import Dict, Tuple

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd
from mxnet.gluon import HybridBlock
from oracle import some

from gluon_nrm.errors import ModelError
from gluon_nrm.generators.convolutions import ConvolutionSpec, output_shape
from gluon_nrm.generators.discriminator import make_discriminator
from gluon_nrm.generators.encoder import Reparametrise, make_encoder

SHAPE = (2, 8, 8)


def test_output_shape_is_that_of_convolutions() -> None:
    specs = [ConvolutionSpec(3, 5), ConvolutionSpec(4, 4, 2), ConvolutionSpec(6, 3, 2, 1)]
    x = mx.nd.zeros((1, 2, 21, 16))
    for channels, kernel, stride, pad in specs:
        x = mx.nd.Convolution(
            x, mx.nd.zeros((channels, x.shape[1], kernel, kernel)), no_bias=True, num_filter=channels,
            kernel=(kernel, kernel), stride=(stride, stride), pad=(pad, pad),
        )  # fmt: skip
    assert output_shape(specs, (2, 21, 16)) == x.shape[1:]


@pytest.mark.parametrize("side", [1, 11])
def test_images_too_small_are_refused(side: int) -> None:
    specs = [ConvolutionSpec(3, 5), ConvolutionSpec(4, 4, 2), ConvolutionSpec(6, 3)]
    assert output_shape(specs, (2, 12, 12)) == (6, 1, 1)
    with pytest.raises(ModelError, match=f"images of {side} x 40 pixels are too small .* needs 12 a side"):
        output_shape(specs, (2, side, 40))


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (2, 28, 20), (1, 4, 4)])
def test_shapes(shape: Tuple[int, int, int]) -> None:
    encoder, discriminator = make_encoder(shape, 5, 3), make_discriminator(shape, 3)
    encoder.initialize()
    discriminator.initialize()
    x = mx.nd.array(some(1, 4, *shape))
    found = encoder(x)
    assert found.mean.shape == found.log_variance.shape == (4, 5)
    assert not (found.mean == found.log_variance).asnumpy().any()
    assert discriminator(x).shape == (4,)


def gradients(block: HybridBlock, train: bool = True) -> Dict[str, np.ndarray]:
    with autograd.record(train_mode=train):
        found = block(mx.nd.array(some(1, 6, *SHAPE)))
        outputs = found if isinstance(found, tuple) else (found,)
        loss = sum(mx.nd.square(each - place).sum() for place, each in enumerate(outputs, start=1))
    loss.backward()
    return {n: p.grad().asnumpy() for n, p in block.collect_params().items() if p.grad_req != "null"}


@pytest.mark.parametrize("block", [make_encoder(SHAPE, 5, 3), make_discriminator(SHAPE, 3)])
def test_gradients_reach_every_parameter_eager_and_hybrid(block: HybridBlock) -> None:
    block.initialize()
    eager = gradients(block)
    block.hybridize(static_alloc=True, static_shape=True)
    for name, gradient in gradients(block).items():
        assert np.abs(gradient).max() > 1e-7, name
        np.testing.assert_allclose(gradient, eager[name], rtol=1e-3, atol=1e-5, err_msg=name)


def test_a_score_does_not_depend_on_the_others_of_its_batch() -> None:
    discriminator = make_discriminator(SHAPE, 3)
    discriminator.initialize()
    x = mx.nd.array(some(1, 6, *SHAPE))
    with autograd.train_mode():
        alone = [discriminator(x[place : place + 1]).asscalar() for place in range(6)]
        np.testing.assert_allclose(discriminator(x).asnumpy(), alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("hybrid", [False, True])
def test_a_code_is_drawn_in_training_alone(hybrid: bool) -> None:
    draw = Reparametrise()
    draw.hybridize(hybrid)
    mean, log_variance = mx.nd.ones((50, 80)) * 2, mx.nd.ones((50, 80)) * np.log(0.25)
    assert (draw(mean, log_variance) == mean).asnumpy().all()
    for each in (mean, log_variance):
        each.attach_grad()
    mx.random.seed(1)
    with autograd.record():
        found = draw(mean, log_variance)
    found.backward()
    # 4,000 draws of N(2, 0.25)
    assert abs(found.asnumpy().mean() - 2) < 0.03 and abs(found.asnumpy().std() - 0.5) < 0.02
    assert (mean.grad.asnumpy() == 1).all()
    # d/dv of m + exp(v / 2) e is exp(v / 2) e / 2
    np.testing.assert_allclose(log_variance.grad.asnumpy(), (found - mean).asnumpy() / 2, atol=1e-5)
    assert (draw(mean, log_variance) == mean).asnumpy().all()
