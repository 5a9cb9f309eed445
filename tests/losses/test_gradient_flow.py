"""Which parameter each term of the objective reaches, and which it exactly does not.

Three layers (3, pool, 4, 5); a rendering norm has the name of the layer it follows, ``template_norms`` at the
top.
"""

from __future__ import annotations

import re
from typing import Any, Dict, List, Tuple

import mxnet as mx
import numpy as np
import pytest
import tiny
from mxnet import autograd

from gluon_nrm.losses import NRM_TERMS, Objective, Probabilities
from gluon_nrm.losses.consistency import NO_TARGET
from gluon_nrm.models import NRM
from gluon_nrm.models.interface.parameters import named_parameters
from gluon_nrm.recipe.schema import Teacher as TeacherRecipe
from gluon_nrm.training.teacher import MeanTeacher

pytestmark = pytest.mark.filterwarnings("ignore:.*not used by any computation")

LAYERS = (3, "pool", 4, 5)
SEPARATE: Dict[str, Any] = dict(maxmin=True, render_norm_branches="separate")
MODE: Dict[str, Any] = dict(path_norm="mode", render_norm="none", maxmin=True)

CLASSIFY = [
    r"layers\.\d\.convolution\.weight", r"layers\.\d\.bias", r"layers\.\d\.branches\.\d\.norm\.gamma",
    r"classifier\.(weight|bias)",
]  # fmt: skip
FILTERS = [r"layers\.\d\.convolution\.weight", r"classifier\.weight"]
#: every rendering norm but those of the layers named
RENDERING = r"(template_norms|layers\.[{}]\.render_norms)\.branches\.{}\.(gamma|beta)"

UPPER = [r"layers\.[12]\.convolution\.weight", r"classifier\.weight"]
ZERO = r"(template_norms|layers\.[12]\.render_norms)\.zero\.beta"
LAYERWISE = [*UPPER, r"layers\.\d\.bias", RENDERING.format("12", "0"), ZERO]

#: (options, term, patterns of all the parameters it reaches)
FLOWS: List[Tuple[Dict[str, Any], str, List[str]]] = [
    ({}, "cross_entropy", CLASSIFY),
    (SEPARATE, "cross_entropy", CLASSIFY),
    ({}, "entropy", CLASSIFY),
    (SEPARATE, "entropy", CLASSIFY),
    ({}, "consistency", CLASSIFY),
    (SEPARATE, "consistency", CLASSIFY),
    ({}, "virtual_adversarial", CLASSIFY),
    (SEPARATE, "virtual_adversarial", CLASSIFY),
    # without biases, nothing that would get a gradient
    (dict(bias=False, path_norm="none"), "cross_entropy", [
        *FILTERS, r"layers\.\d\.branches\.\d\.norm\.gamma", r"classifier\.bias",
    ]),
    # states, positions and the class carry nothing: no bias, no inference norm, no bias of the classifier
    ({}, "reconstruction", [*FILTERS, RENDERING.format("012", "0")]),
    (SEPARATE, "reconstruction", [*FILTERS, RENDERING.format("012", "[01]")]),
    # rendering by the exact transpose goes through the inference norm's scale
    (MODE, "reconstruction", [*FILTERS, r"layers\.\d\.branches\.[01]\.norm\.gamma"]),
    (dict(norm="none", render_norm="none"), "reconstruction", FILTERS),
    # against the convolutions' outputs, so no norm or bias of the last layer; the rendered ones are taken
    # before their norms, and the first layer's, the image, is not
    ({}, "moment_matching", [
        *FILTERS, r"layers\.[01]\.(bias|branches\.0\.norm\.gamma)", RENDERING.format("2", "0"),
    ]),
    (SEPARATE, "moment_matching", [
        *FILTERS, r"layers\.[01]\.(bias|branches\.[01]\.norm\.gamma)", RENDERING.format("2", "[01]"),
    ]),
    # down to the first layer's mask: not through its filters; of the Max branch only
    ({}, "path_norm", LAYERWISE),
    (SEPARATE, "path_norm", LAYERWISE),
    # the zero image gives the first filters nothing; the classifier's bias is no part of eta
    (MODE, "path_norm", [*UPPER, r"layers\.\d\.(bias|branches\.0\.norm\.gamma)"]),
]  # fmt: skip


def arguments(net: NRM, known: bool = True) -> Tuple[mx.nd.NDArray, ...]:
    teacher = np.random.default_rng(5).dirichlet(np.ones(net.classes), 5)
    perturbed = tiny.images(net) + tiny.images(net, seed=6)
    return tiny.images(net), tiny.labels(net, known=known), mx.nd.array(teacher), perturbed


def reached(found: Dict[str, np.ndarray]) -> List[str]:
    return sorted(name for name, gradient in found.items() if np.abs(gradient).max() > 1e-7)


@pytest.mark.parametrize(("options", "term", "patterns"), FLOWS, ids=[f"{t}-{o}" for o, t, _ in FLOWS])
def test_term_reaches(options: Dict[str, Any], term: str, patterns: List[str]) -> None:
    """Beside all other terms, whose weights are 0."""
    net = tiny.build(LAYERS, (2, 6, 8), **options)
    terms = [each for each in NRM_TERMS if each != "path_norm" or net.options.path_norm != "none"]
    objective = Objective(net, terms)
    found = tiny.differentiate(objective, *arguments(net), weights={term: 1.0}).gradients
    expected = [name for name in found if any(re.fullmatch(pattern, name) for pattern in patterns)]
    assert len(expected) >= len(patterns)
    assert reached(found) == sorted(expected)
    for name, gradient in found.items():
        exact = term == "path_norm" and name == "classifier.bias"  # the two halves cancel but for rounding
        assert name in expected or exact or not gradient.any(), name


@pytest.mark.parametrize("term", [term for term in NRM_TERMS if term != "cross_entropy"])
def test_the_predicted_class_carries_no_gradient(term: str) -> None:
    """Unlabelled images reach nothing that labelled ones do not."""
    for options in ({}, SEPARATE):
        net = tiny.build(LAYERS, (2, 6, 8), **options)
        objective = Objective(net, NRM_TERMS)
        labelled, unlabelled = (
            reached(tiny.differentiate(objective, *arguments(net, known), weights={term: 1.0}).gradients)
            for known in (True, False)
        )
        assert unlabelled
        assert set(unlabelled) <= set(labelled)


def test_an_unlabelled_batch_gets_no_cross_entropy() -> None:
    net = tiny.build(LAYERS, (2, 6, 8), maxmin=True)
    outcome = tiny.differentiate(
        Objective(net, NRM_TERMS), *arguments(net, False), weights={"cross_entropy": 1.0}
    )
    assert not outcome.terms[0].any()
    assert reached(outcome.gradients) == []
    assert not any(gradient.any() for gradient in outcome.gradients.values())


@pytest.mark.parametrize("options", [{}, SEPARATE, MODE, dict(norm="none", slope=0.0)], ids=str)
@pytest.mark.parametrize("hybridise", [False, True])
def test_weight_zero_means_no_gradient_at_all(options: Dict[str, Any], hybridise: bool) -> None:
    """Also where a variance or a probability vanishes, or numbers are large: 0 times infinity is not 0."""
    net = tiny.build(LAYERS, (2, 6, 8), **options)
    x, label, teacher, perturbed = arguments(net, known=False)
    objective = Objective(net, NRM_TERMS)
    if hybridise:
        objective.hybridize(static_alloc=True, static_shape=True)
    for images in (x, x * 0, x * 1e4, mx.nd.broadcast_like(x[:1], x)):
        inputs = (images, label, teacher, images + perturbed)
        outcome = tiny.differentiate(objective, *inputs, weights={})
        assert np.isfinite(outcome.terms).all()
        assert not any(gradient.any() for gradient in outcome.gradients.values())
        everything = tiny.differentiate(objective, *inputs, weights=dict.fromkeys(NRM_TERMS, 1.0))
        assert all(np.isfinite(gradient).all() for gradient in everything.gradients.values())


@pytest.mark.parametrize("partial", [False, True])
def test_the_teachers_probabilities_get_no_gradient(partial: bool) -> None:
    net = tiny.build(LAYERS, (2, 6, 8))
    x, label, teacher, _ = arguments(net)
    teacher.attach_grad()
    with autograd.record():
        objective = Objective(net, ["consistency"], partial=partial)
        outcome = objective(x, label, teacher)
    objective.backward([outcome], [mx.nd.ones_like(outcome.terms)])
    assert outcome.terms.asnumpy().any()
    assert not teacher.grad.asnumpy().any()


def test_an_image_without_a_target_gets_no_gradient() -> None:
    net = tiny.build(LAYERS, (2, 6, 8))
    x, label, teacher, _ = arguments(net)
    objective = Objective(net, ["consistency"], partial=True)
    for places in ([], [1, 3], range(5)):
        teacher[:] = NO_TARGET
        for place in places:
            teacher[place] = 1 / net.classes
        outcome = tiny.differentiate(objective, x, label, teacher, weights={"consistency": 1.0})
        assert list(np.flatnonzero(outcome.terms[0])) == list(places)
        assert bool(reached(outcome.gradients)) == bool(len(places))
        assert len(places) or not any(gradient.any() for gradient in outcome.gradients.values())


def test_the_clean_prediction_is_held_constant() -> None:
    """The gradient of virtual_adversarial is that of the cross-entropy with the clean prediction."""
    net = tiny.build(LAYERS, (2, 6, 8), maxmin=True)
    x, label, _, perturbed = arguments(net)
    found = tiny.differentiate(
        Objective(net, ["virtual_adversarial"]), x, label, x, perturbed, weights={"virtual_adversarial": 5.0}
    )
    with autograd.train_mode():
        clean = Probabilities(net.options.alphas)(*net.joint(mx.nd, x, label, render=False).logits)
    tiny.clear_gradients(net)
    with autograd.record():
        q = Probabilities(net.options.alphas)(*net.joint(mx.nd, perturbed, label, render=False).logits)
        loss = -(mx.nd.array(clean.asnumpy()) * mx.nd.log(q + 1e-8)).sum()
    loss.backward()
    mx.nd.waitall()
    for name, gradient in tiny.parameter_gradients(net).items():
        np.testing.assert_allclose(found.gradients[name], gradient, rtol=1e-4, atol=1e-6, err_msg=name)


def test_the_teacher_is_not_recorded() -> None:
    """It has no gradients, and the student's are those beside plain numbers in the teacher's place."""
    student, other = (
        tiny.build(LAYERS, (2, 6, 8), maxmin=True),
        tiny.build(LAYERS, (2, 6, 8), maxmin=True, seed=9),
    )
    teacher = MeanTeacher(other, student, TeacherRecipe(enabled=True))
    tiny.randomise(teacher.net, 4)
    assert all(parameter.grad_req == "null" for parameter in named_parameters(teacher.net).values())
    assert {id(p) for p in named_parameters(teacher.net).values()}.isdisjoint(
        id(p) for p in named_parameters(student).values()
    )
    before = {name: p.data().asnumpy() for name, p in named_parameters(teacher.net).items()}
    x, label, *_ = arguments(student)
    objective = Objective(student, ["consistency"])
    tiny.clear_gradients(student)
    x.attach_grad()
    with autograd.record():
        target = teacher.probabilities(x)
        outcome = objective(x, label, target)
    with pytest.raises(mx.MXNetError, match="not in a computational graph"):
        target.backward()
    objective.backward([outcome], [mx.nd.ones_like(outcome.terms) / 5])
    mx.nd.waitall()
    found = tiny.parameter_gradients(student)
    plain = mx.nd.array(target.asnumpy())
    expected = tiny.differentiate(objective, x, label, plain, weights={"consistency": 1.0}).gradients
    assert reached(found)
    for name, gradient in found.items():
        np.testing.assert_allclose(gradient, expected[name], rtol=1e-5, atol=1e-8, err_msg=name)
    for name, parameter in named_parameters(teacher.net).items():
        np.testing.assert_array_equal(parameter.data().asnumpy(), before[name], err_msg=name)


def test_the_teacher_runs_as_in_training() -> None:
    """Normalised by the batch, as the student is."""
    student, other = tiny.build(LAYERS, (2, 6, 8)), tiny.build(LAYERS, (2, 6, 8), seed=9)
    x = tiny.images(student)
    with autograd.train_mode():
        expected = mx.nd.softmax(student(x).logits).asnumpy()
    found = MeanTeacher(other, student, TeacherRecipe(enabled=True)).probabilities(x).asnumpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert np.abs(mx.nd.softmax(student(x).logits).asnumpy() - expected).max() > 1e-3
