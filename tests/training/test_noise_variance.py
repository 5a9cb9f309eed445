"""sigma^2 from residuals: the mean square over all pixels of all images."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest
import tiny

from gluon_nrm.data.pipeline.streams import Batch
from gluon_nrm.models import NRM
from gluon_nrm.models.reconstruct import Reconstructor
from gluon_nrm.training.noise_variance import estimate_noise_variance


def residual(net: NRM, x: mx.nd.NDArray) -> np.ndarray:
    rendered = Reconstructor(net)(x, -mx.nd.ones(len(x))).images[0]
    return (x - rendered).asnumpy()


@pytest.mark.parametrize("render_norm", ["none", "batch"])
def test_mean_square_over_all_pixels_of_all_batches(render_norm: str) -> None:
    """Batches of different size count by their images."""
    net = tiny.build(render_norm=render_norm, path_norm="none")
    x = tiny.images(net, 7)
    batches = [Batch(x[:5].asnumpy(), np.zeros(5)), Batch(x[5:].asnumpy(), np.zeros(2))]
    expected = (residual(net, x) ** 2).mean()
    np.testing.assert_allclose(estimate_noise_variance(net, batches, mx.cpu(0)), expected, rtol=1e-5)
    assert expected > 0.1


def test_a_network_that_renders_zeros_leaves_the_variance_of_the_images() -> None:
    net = tiny.build(render_norm="none", path_norm="none")
    net.classifier.weight.set_data(0 * net.classifier.weight.data())
    x = 2 * np.random.default_rng(0).standard_normal((200, *net.input_shape)).astype(np.float32)
    found = estimate_noise_variance(net, [Batch(x, np.zeros(200))], mx.cpu(0))
    np.testing.assert_allclose(found, 4, rtol=0.03)
