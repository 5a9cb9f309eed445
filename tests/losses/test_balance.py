"""The balance term against its equation and by differences; its extremes."""

from __future__ import annotations

import mxnet as mx
import numpy as np
from mxnet import autograd

from gluon_nrm.losses import Balance


def expected(q: np.ndarray) -> float:
    mean = q.mean(axis=0)
    return float(sum(each * np.log(q.shape[1] * each + 1e-8) for each in mean))


def test_value_and_gradient() -> None:
    rng = np.random.default_rng(0)
    q = rng.dirichlet(np.ones(4), 6)
    loss, x = Balance(4), mx.nd.array(q)
    loss.hybridize()
    x.attach_grad()
    with autograd.record():
        found = loss(x)
        total = found.mean()
    total.backward()
    np.testing.assert_allclose(found.asnumpy(), np.full(6, expected(q)), rtol=1e-5)
    step = rng.standard_normal(q.shape)
    slope = (expected(q + 1e-5 * step) - expected(q - 1e-5 * step)) / 2e-5
    np.testing.assert_allclose((x.grad.asnumpy() * step).sum(), slope, rtol=1e-4)


def test_extremes() -> None:
    """log K where all images are of one class, 0 where every class has as many, however confident."""
    one, even = np.eye(4)[np.zeros(8, int)], np.eye(4)[np.arange(8) % 4]
    np.testing.assert_allclose(Balance(4)(mx.nd.array(one)).asnumpy(), np.log(4), rtol=1e-6)
    np.testing.assert_allclose(Balance(4)(mx.nd.array(even)).asnumpy(), 0, atol=1e-6)
    np.testing.assert_allclose(Balance(4)(mx.nd.ones((3, 4)) / 4).asnumpy(), 0, atol=1e-6)
