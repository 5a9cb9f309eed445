"""The losses of traced networks: eager and hybridised, what each term reaches, differences, a teacher."""

from __future__ import annotations

import re
from typing import Any, Callable, Dict, List, Optional, Tuple

import mxnet as mx
import numpy as np
import pytest
import tiny
from cnns import SHAPE, chain, convolution, dense, randomise, residual
from mxnet import autograd
from mxnet.gluon import HybridBlock, nn

from gluon_nrm.layers.options import NRMOptions
from gluon_nrm.losses import NRM_TERMS, Objective
from gluon_nrm.models import TracedClassifier, TracedNRM, nrm
from gluon_nrm.models.interface.network import Network
from gluon_nrm.models.interface.parameters import named_parameters
from gluon_nrm.recipe.schema import Teacher as TeacherRecipe
from gluon_nrm.training.teacher import MeanTeacher

Build = Callable[[], HybridBlock]
BOTH: Dict[str, Any] = dict(maxmin=True)
SEPARATE: Dict[str, Any] = dict(maxmin=True, render_norm_branches="separate")
MODE: Dict[str, Any] = dict(maxmin=True, path_norm="mode", render_norm="none")


def pooled() -> HybridBlock:
    return residual(pool=True)


def built(
    build: Build = residual, seed: int = 2, shape: Tuple[int, int, int] = SHAPE, **options: Any
) -> TracedNRM:
    net = nrm(build(), 3, shape, **options)
    net.initialize()
    return randomise(net, seed)


def arguments(net: TracedNRM, known: bool = True) -> Tuple[mx.nd.NDArray, ...]:
    """Images, labels, a teacher's probabilities, and the images perturbed."""
    teacher = np.random.default_rng(5).dirichlet(np.ones(net.classes), 5)
    x = tiny.images(net)
    return x, tiny.labels(net, known=known), mx.nd.array(teacher), x + 0.3 * tiny.images(net, seed=2)


@pytest.mark.parametrize("options", [BOTH, SEPARATE, MODE, dict(render_norm="none")], ids=str)
@pytest.mark.parametrize("build", [residual, dense, pooled])
def test_hybrid_is_eager(build: Build, options: Dict[str, Any]) -> None:
    """Terms, the gradient of their sum, and the statistics that training moves."""
    outcomes = []
    for hybridise in (False, True):
        net = built(build, **options)
        objective = Objective(net, NRM_TERMS)
        if hybridise:
            objective.hybridize(static_alloc=True, static_shape=True)
        outcomes.append(tiny.differentiate(objective, *arguments(net), weights=dict.fromkeys(NRM_TERMS, 1.0)))
    eager, hybrid = outcomes
    assert (np.abs(eager.terms).max(axis=1) > 1e-4).all()
    np.testing.assert_allclose(hybrid.terms, eager.terms, rtol=1e-4, atol=1e-5)
    for ours, theirs in ((hybrid.gradients, eager.gradients), (hybrid.statistics, eager.statistics)):
        assert ours.keys() == theirs.keys()
        for name, value in theirs.items():
            bound = 1e-3 * np.abs(value).max() + 1e-5
            np.testing.assert_allclose(ours[name], value, rtol=0, atol=bound, err_msg=name)


def matched_by_autograd(net: Network, x: mx.nd.NDArray, label: mx.nd.NDArray) -> mx.nd.NDArray:
    """Moment matching of a pass in operators that autograd goes back through."""
    total = 0.0
    matched = net.joint(mx.nd, x, label).matched
    for branch, sides in enumerate(matched):
        for layer, *maps in zip(net.matched_layers, *sides):
            means = [each.mean(axis=(0, 2, 3), keepdims=True) for each in maps]
            v, V = (((each - mean) ** 2).mean(axis=(0, 2, 3)) for each, mean in zip(maps, means))
            m, M = (mean.reshape((-1,)) for mean in means)
            M = -M if branch == 1 and layer.negated else M
            total = total + (((m - M) ** 2 + v) / V - mx.nd.log(v / V) - 1).mean() / (2 * len(matched))
    return total


@pytest.mark.parametrize("options", [BOTH, SEPARATE, dict(path_norm="none")], ids=str)
@pytest.mark.parametrize("build", [residual, dense, pooled, None])
def test_gradient_of_moment_matching_is_autograds(build: Optional[Build], options: Dict[str, Any]) -> None:
    """Of traced networks and, without one, of a list-built one; several layers there share their maps."""
    net = tiny.build((3, "pool", 4, 5), (2, 6, 8), **options) if build is None else built(build, **options)
    x, label = tiny.images(net), tiny.labels(net)
    objective = Objective(net, ["moment_matching"])
    found = tiny.differentiate(objective, x, label, weights={"moment_matching": 1.0})
    tiny.clear_gradients(net)
    with autograd.record():
        expected = matched_by_autograd(net, x, label)
    expected.backward()
    np.testing.assert_allclose(found.terms, np.full((1, len(label)), expected.asscalar()), rtol=1e-4)
    mx.nd.waitall()
    gradients = tiny.parameter_gradients(net)
    assert found.gradients.keys() == gradients.keys()
    largest = max(np.abs(value).max() for value in gradients.values())
    for name, value in gradients.items():
        np.testing.assert_allclose(found.gradients[name], value, rtol=0, atol=1e-4 * largest, err_msg=name)


#: of ``residual``: 0 and 1 are the stem and its norm, 3 and 4 the blocks, 6 the classifier
FILTERS = [r"inference\.(0|\d\.body\.\d|4\.shortcut|6)\.weight"]
GAMMAS = r"inference\.{}\d\.(body\.\d\.)?gamma"
BETAS = r"inference\.{}\d\.(body\.\d\.)?beta"
CLASSIFY = [*FILTERS, r"inference\.6\.bias", *(each.format(r"(min\.)?") for each in (GAMMAS, BETAS))]
#: but for the stem, which ends on the image
UPPER = [r"inference\.(\d\.body\.\d|4\.shortcut|6)\.weight"]
#: rendering norms of the rectifiers are 0 to 4, from the image upwards; 5 is the image's
RENDERING = r"render_norms\.[{}]\.branches\.{}\.(gamma|beta)"
LAYERWISE = [*UPPER, BETAS.format(""), RENDERING.format("0-4", "0"), r"render_norms\.[0-4]\.zero\.beta"]
#: a norm that a convolution follows
FOLLOWED = r"inference\.{}(1|3\.body\.\d|4\.body\.1)\.(gamma|beta)"

FLOWS: List[Tuple[Build, Dict[str, Any], str, List[str]]] = [
    (residual, BOTH, "cross_entropy", CLASSIFY),
    (residual, SEPARATE, "entropy", CLASSIFY),
    (residual, MODE, "consistency", CLASSIFY),
    (residual, BOTH, "virtual_adversarial", CLASSIFY),
    # states, positions and the class carry nothing
    (residual, BOTH, "reconstruction", [*FILTERS, RENDERING.format("0-5", "0")]),
    (residual, SEPARATE, "reconstruction", [*FILTERS, RENDERING.format("0-5", "[01]")]),
    (pooled, MODE, "reconstruction", [
        r"inference\.(0|\d\.body\.\d|5\.shortcut|7)\.weight", GAMMAS.format(r"(min\.)?"),
    ]),
    # rendered maps are taken before their norms, and the image's is not matched
    (residual, BOTH, "moment_matching", [
        *FILTERS, FOLLOWED.format(r"(min\.)?"), RENDERING.format("1-4", "0"),
    ]),
    (residual, SEPARATE, "moment_matching", [
        *FILTERS, FOLLOWED.format(r"(min\.)?"), RENDERING.format("1-4", "[01]"),
    ]),
    # of the Max branch only
    (residual, BOTH, "path_norm", LAYERWISE),
    (residual, SEPARATE, "path_norm", LAYERWISE),
    (residual, MODE, "path_norm", [*UPPER, GAMMAS.format(""), BETAS.format("")]),
    # the blocks of a dense network are 1, 2 and 4, its last norm 5
    (dense, BOTH, "cross_entropy", [
        r"inference\.(0|\d\.body\.2|8)\.weight", r"inference\.8\.bias",
        r"inference\.(min\.)?(\d\.body\.0|5)\.(gamma|beta)",
    ]),
    (dense, BOTH, "reconstruction", [
        r"inference\.(0|\d\.body\.2|8)\.weight", RENDERING.format("0-4", "0"),
    ]),
    (dense, MODE, "path_norm", [
        r"inference\.(\d\.body\.2|8)\.weight", r"inference\.(\d\.body\.0|5)\.(gamma|beta)",
    ]),
]  # fmt: skip


def reached(found: Dict[str, np.ndarray]) -> List[str]:
    largest = max(np.abs(gradient).max() for gradient in found.values())
    return sorted(name for name, gradient in found.items() if np.abs(gradient).max() > 1e-6 * largest)


@pytest.mark.parametrize(
    ("build", "options", "term", "patterns"), FLOWS, ids=[f"{b.__name__}-{t}-{o}" for b, o, t, _ in FLOWS]
)
def test_term_reaches(build: Build, options: Dict[str, Any], term: str, patterns: List[str]) -> None:
    """Beside all other terms, whose weights are 0."""
    net = built(build, **options)
    found = tiny.differentiate(Objective(net, NRM_TERMS), *arguments(net), weights={term: 1.0}).gradients
    expected = [name for name in found if any(re.fullmatch(pattern, name) for pattern in patterns)]
    assert all(any(re.fullmatch(pattern, name) for name in found) for pattern in patterns)
    assert reached(found) == sorted(expected)
    class_bias = next(name for name, p in named_parameters(net).items() if p is net.class_bias)
    for name, gradient in found.items():
        exact = term == "path_norm" and name == class_bias  # its two halves cancel but for rounding
        assert name in expected or exact or not gradient.any(), name


@pytest.mark.parametrize("options", [SEPARATE, MODE], ids=str)
def test_weight_zero_means_no_gradient_at_all(options: Dict[str, Any]) -> None:
    """Also where variances vanish or numbers are large."""
    net = built(pooled, **options)
    x, label, *others = arguments(net, known=False)
    objective = Objective(net, NRM_TERMS)
    for images in (x, x * 0, x * 1e3):
        outcome = tiny.differentiate(objective, images, label, *others, weights={})
        assert np.isfinite(outcome.terms).all()
        assert not any(gradient.any() for gradient in outcome.gradients.values())
        everything = tiny.differentiate(
            objective, images, label, *others, weights=dict.fromkeys(NRM_TERMS, 1.0)
        )
        assert all(np.isfinite(gradient).all() for gradient in everything.gradients.values())


def sloped(first: HybridBlock, second: HybridBlock, norm: bool) -> HybridBlock:
    """A small network of two given rectifiers."""
    return chain(
        *convolution(4, norm), first, *convolution(3, norm), second,
        nn.GlobalAvgPool2D(), nn.Flatten(), nn.Dense(3),
    )  # fmt: skip


def parametric(norm: bool = True) -> HybridBlock:
    """Slopes that are learned, for each feature map and for all."""
    return sloped(nn.PReLU(in_channels=4), nn.PReLU(), norm)


def fixed(norm: bool = True) -> HybridBlock:
    return sloped(nn.LeakyReLU(0.25), nn.LeakyReLU(0.25), norm)


def test_a_slope_that_is_learned_is_a_slope() -> None:
    """Where it is 0.25, all terms are those of leaky ReLUs of slope 0.25."""
    learned, plain = (built(build, maxmin=True) for build in (parametric, fixed))
    ours, theirs = (named_parameters(net) for net in (learned, plain))
    alphas = [parameter for name, parameter in ours.items() if name.endswith("alpha")]
    assert len(alphas) == 2
    for alpha in alphas:
        alpha.set_data(mx.nd.full(alpha.shape, 0.25))
    others = [parameter for name, parameter in ours.items() if not name.endswith("alpha")]
    assert len(others) == len(theirs)
    for one, other in zip(others, theirs.values()):
        other.set_data(one.data())
    found, expected = (tiny.terms_of(Objective(net, NRM_TERMS), *arguments(net)) for net in (learned, plain))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert expected[NRM_TERMS.index("path_norm")].min() > 1e-3


@pytest.mark.parametrize(
    ("build", "form"),
    [
        (residual, "mode"), (residual, "layerwise"), (dense, "mode"), (dense, "layerwise"),
        (parametric, "layerwise"),
    ],
)  # fmt: skip
def test_path_norm_by_differences(build: Callable[..., HybridBlock], form: str) -> None:
    """Without norms, some entries of every parameter; on few pixels a small step changes no state."""
    net = built(lambda: build(norm=False), 0, (2, 4, 4), render_norm="none", path_norm=form)
    objective, x, label, step = Objective(net, ["path_norm"]), tiny.images(net, 2), tiny.labels(net, 2), 3e-4
    gradients = tiny.differentiate(objective, x, label, weights={"path_norm": 1.0}).gradients
    rng, moved = np.random.default_rng(3), 0

    def loss() -> float:
        return float(tiny.terms_of(objective, x, label).astype(np.float64).mean())

    for name, parameter in named_parameters(net).items():
        if parameter.grad_req == "null":
            continue
        value = parameter.data().asnumpy()
        for place in rng.choice(value.size, min(3, value.size), replace=False):
            entry = np.unravel_index(place, value.shape)
            sides = []
            for sign in (1, -1):
                other = value.copy()
                other[entry] += sign * step
                parameter.set_data(mx.nd.array(other))
                sides.append(loss())
            by_differences = (sides[0] - sides[1]) / (2 * step)
            moved += by_differences != 0
            bound = 0.01 * np.abs(gradients[name]).max() + 1e-3
            assert abs(gradients[name][entry] - by_differences) < bound, (name, entry)
        parameter.set_data(mx.nd.array(value))
    assert moved > 12


def test_an_image_of_zeros_takes_the_priors_mode() -> None:
    """max eta - eta is 0 for it, and here above 0 for other images, in a network that pools too."""
    net = built(pooled, **MODE)
    objective, (x, label, *_) = Objective(net, ["path_norm"]), arguments(net)
    np.testing.assert_allclose(objective(mx.nd.zeros_like(x), label).terms.asnumpy(), 0, atol=1e-4)
    assert np.abs(objective(x, label).terms.asnumpy()).min() > 1e-3


def test_a_teacher() -> None:
    """It starts as the student, runs as in training, follows it, and gets no gradient."""
    student, other = built(**BOTH), built(seed=9, **BOTH)
    teacher = MeanTeacher(other, student, TeacherRecipe(enabled=True))
    x, label, *_ = arguments(student)
    with autograd.train_mode():
        prediction = student(x)
    expected = sum(mx.nd.softmax(each) / 2 for each in (prediction.logits_max, prediction.logits_min))
    target = teacher.probabilities(x)
    np.testing.assert_allclose(target.asnumpy(), expected.asnumpy(), rtol=1e-4, atol=1e-6)
    assert {id(p) for p in named_parameters(teacher.net).values()}.isdisjoint(
        id(p) for p in named_parameters(student).values()
    )
    randomise(student, 4)
    outcome = tiny.differentiate(
        Objective(student, ["consistency"]), x, label, target, weights={"consistency": 1.0}
    )
    assert len(reached(outcome.gradients)) > 10
    before = {name: p.data().asnumpy() for name, p in named_parameters(teacher.net).items()}
    theirs = {name: p.data().asnumpy() for name, p in named_parameters(student).items()}
    teacher.update(1)
    for name, parameter in named_parameters(teacher.net).items():
        middle = (before[name] + theirs[name]) / 2
        np.testing.assert_allclose(parameter.data().asnumpy(), middle, rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("maxmin", [False, True])
def test_a_classifier_that_does_not_render(maxmin: bool) -> None:
    """Cross-entropy reaches all that it has, hybridised as eagerly; predictions are the network's own."""
    base = residual()
    net = TracedClassifier(base, 3, SHAPE, NRMOptions(maxmin=maxmin, render=False, path_norm="none"))
    net.initialize()
    randomise(net)
    x, label = tiny.images(net), tiny.labels(net)
    found = net(x)
    np.testing.assert_allclose(found.logits_max.asnumpy(), base(x).asnumpy(), rtol=1e-5, atol=1e-5)
    assert (found.logits_min is not None) == maxmin
    objective = Objective(net, ["cross_entropy", "entropy"])
    eager = tiny.differentiate(objective, x, label, weights={"cross_entropy": 1.0})
    assert reached(eager.gradients) == sorted(eager.gradients)
    randomise(net)
    objective.hybridize(static_alloc=True, static_shape=True)
    hybrid = tiny.differentiate(objective, x, label, weights={"cross_entropy": 1.0})
    np.testing.assert_allclose(hybrid.terms, eager.terms, rtol=1e-5, atol=1e-6)
    for name, gradient in eager.gradients.items():
        np.testing.assert_allclose(hybrid.gradients[name], gradient, rtol=1e-3, atol=1e-5, err_msg=name)
