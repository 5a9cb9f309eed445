"""Equation 9 as printed: which weights make the recipe's terms the negative log joint of image and path."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest
import tiny
from tiny_models import MODELS, redraw

from gluon_nrm.losses import Objective
from gluon_nrm.probability import Enumeration, RenderingModel


@pytest.mark.parametrize("temperature", [1.0, 0.5])
@pytest.mark.parametrize("name", ["pool_small", "skip"])
def test_sums_over_pixels_and_latents(name: str, temperature: float) -> None:
    """pixels / sigma^2 times ``reconstruction``, plus RPN: -log p(x, z* | y) but for a constant."""
    net = MODELS[name](path_norm="exact", temperature=temperature)
    redraw(net, np.random.default_rng(2), False)
    model, x, label = RenderingModel(net), tiny.images(net, 4), mx.nd.array([0, 1, 1, 0])
    terms = tiny.terms_of(Objective(net, ["reconstruction", "path_norm"]), x, label)
    pixels = np.prod(net.input_shape)
    found = terms[0] * pixels / temperature + terms[1] + pixels / 2 * np.log(2 * np.pi * temperature)
    enumeration, labels = Enumeration(model), label.asnumpy().astype(int)
    partition = mx.nd.array([enumeration.log_partition(each) for each in labels])
    joint = model.log_joint(x, label, model.infer(x).path, partition).asnumpy()
    np.testing.assert_allclose(found, model.log_class_prior()[labels] - joint, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("form", ["mode", "layerwise"])
def test_every_form_is_divided_by_sigma_squared(form: str) -> None:
    """The loss at sigma^2 = 2 is half of that at 1, as the posterior's scores are."""
    found, scores = [], []
    for temperature in (1.0, 2.0):
        net = MODELS["pool_small"](path_norm=form, temperature=temperature)
        redraw(net, np.random.default_rng(8), True)
        x = tiny.images(net, 4)
        objective, inputs = Objective(net, ["path_norm"]), [x, mx.nd.array([0, 1, 1, 0])]
        if "zero_states" in objective.inputs:
            inputs.append(objective.zero_states(x))
        found.append(objective(*inputs).terms.asnumpy()[0])
        scores.append(net(x).logits.asnumpy() - net.class_bias.data().asnumpy())
        assert np.allclose(
            RenderingModel(net).posterior(x).asnumpy(), mx.nd.softmax(net(x).logits).asnumpy(), 1e-3
        )
    np.testing.assert_allclose(found[1], found[0] / 2, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(scores[1], scores[0] / 2, rtol=1e-4, atol=1e-6)
    assert found[0].max() > 1e-3
