"""Every block of the package by itself: hybridised, it returns what it does eagerly."""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
from types import ModuleType
from typing import Any, Callable, Dict, Iterator, List, Set, Tuple, Union

import mxnet as mx
import numpy as np
import pytest
import tiny
from cnns import SHAPE, randomise, residual
from mxnet import autograd
from mxnet.gluon import HybridBlock
from needs import HAS_BFLOAT16
from tiny_models import MODELS

import gluon_nrm.generators
import gluon_nrm.graph
import gluon_nrm.layers
import gluon_nrm.losses
import gluon_nrm.models
import gluon_nrm.models.adversarial
import gluon_nrm.models.interface
import gluon_nrm.models.ladder
import gluon_nrm.models.layered
import gluon_nrm.models.traced
from gluon_nrm import losses
from gluon_nrm.generators.discriminator import make_discriminator
from gluon_nrm.generators.encoder import Reparametrise, make_encoder
from gluon_nrm.generators.generator import DoubleSides, FirstMaps, make_generator
from gluon_nrm.generators.weight_norm import WeightNormConvolution, WeightNormDense
from gluon_nrm.graph.graph_block import trace_branches
from gluon_nrm.layers.classifier import Tempered
from gluon_nrm.layers.named_outputs import NamedBlock
from gluon_nrm.layers.shake_shake import ShakeShake
from gluon_nrm.layers.training_noise import TrainingNoise
from gluon_nrm.losses.moment_matching import MapGradients, match
from gluon_nrm.losses.sampled_path_norm import ChainImages
from gluon_nrm.models import NRMOptions, Reconstructor, TracedClassifier, get_model, maxmin, nrm
from gluon_nrm.models.adversarial.ali_towers import Maxout
from gluon_nrm.models.interface.zero_path import ZeroStates
from gluon_nrm.models.traced.classifier import ReducedClassifier
from gluon_nrm.probability.bridge import Bridge
from gluon_nrm.training.consistency_targets import ClassProbabilities

Case = Tuple[Union[HybridBlock, losses.Objective], Tuple[Any, ...]]


def of_a_network() -> Dict[str, Case]:
    """The blocks of a Max-Min network, and what each is called with there."""
    net = tiny.build(maxmin=True, released_bias=True, alpha_max=0.25, alpha_min=0.75)
    x, label = tiny.images(net), mx.nd.array([0, -1, 2, 1, -1])
    joint = net.joint(mx.nd, x, label)
    low, high = net.layers
    transpose = high.rendering.transpose
    rendering = joint.renderings[1]
    objective = losses.Objective(net, losses.NRM_TERMS)
    states = objective.zero_states
    below, above = net.infer_layers(x)[1]
    convolved, scale = low.convolution(x), below.affine[0]
    return {
        "Convolution": (low.convolution, (x,)),
        "TransposedConvolution": (transpose, (rendering.routed[1],)),
        "TransposedConvolution scaled": (transpose, (rendering.routed[1], above.affine[0])),
        "BatchNorm": (low.branches[1].norm, (convolved,)),
        "InstanceNorm": (low.zero.norm, (convolved,)),
        "Activation": (low.branches[1], (convolved,)),
        "ZeroActivation": (low.zero, (convolved,)),
        "TransposedLayer": (low.rendering, (rendering.features[0], below.latents, scale)),
        "NRMLayer": (low, (x,)),
        "RenderNorms": (high.render_norms, (rendering.matched[0],)),
        "Classifier": (net.classifier, (above.output,)),
        "ClassTemplate": (net.template, (joint.code,)),
        "SpreadTemplate": (net.spread, (mx.nd.reshape(joint.code, (-1, 3, 1, 1)),)),
        "ClassCode": (net.class_code, (label, joint.prediction.logits)),
        "Mixture": (net.mixture, (joint.prediction.logits_max, joint.prediction.logits_min)),
        "NRM": (net, (x,)),
        "Reconstructor": (Reconstructor(net), (x, label)),
        "ClassProbabilities": (ClassProbabilities(net), (x,)),
        "ZeroStates": (states, (x,)),
        "Objective": (objective, (x, label, states(x), mx.nd.ones((5, 3)) / 3, x * 2)),
        "TermGraph": (objective.graph, (x, label, states(x), mx.nd.ones((5, 3)) / 3, x * 2)),
    }  # fmt: skip


def without_norms() -> Dict[str, Case]:
    net = tiny.build(norm="none", render_norm="none", path_norm="mode")
    x, label = tiny.images(net), tiny.labels(net)
    joint = net.joint(mx.nd, x, label)
    layer, inference, features = net.layers[0], joint.inferences[0], joint.renderings[0].features
    convolved = layer.convolution(x)
    return {
        "Bias": (layer.branches[0].norm, (convolved,)),
        "Activation with bias": (layer.branches[0], (convolved,)),
        "ZeroActivation of the image's norm": (layer.zero, (convolved, *inference.frozen[0])),
        "RenderNorms off": (net.layers[1].render_norms, (features[0],)),
        "NRM of one branch": (net, (x,)),
        "Objective of mode": (
            losses.Objective(net, losses.NRM_TERMS),
            (x, label, mx.nd.ones((5, 3)) / 3, x * 2),
        ),
    }


def of_traced_networks() -> Dict[str, Case]:
    """A residual network with a pooling, in each of the blocks that run one."""
    plain = NRMOptions(render=False, path_norm="none")
    net, mode = (
        nrm(residual(pool=True), 3, SHAPE, **options)
        for options in (dict(maxmin=True), dict(render_norm="none", path_norm="mode"))
    )
    both, classifier = maxmin(residual(pool=True)), TracedClassifier(residual(pool=True), 3, SHAPE, plain)
    x, label = tiny.images(net), mx.nd.array([0, -1, 2, 1, -1])
    for block in (net, mode, both, classifier):
        block.initialize()
        block(x)
        randomise(block)
    code, inferences = mx.nd.one_hot(label, 3), net.infer(x)
    (_, max_latents, max_frozen, *_), (_, min_latents, min_frozen, *_) = inferences
    of_mode = mode.infer(x)[0]
    all_inputs = (x, label, mx.nd.ones((5, 3)) / 3, x * 2)
    objective = losses.Objective(net, losses.NRM_TERMS)
    with_states = (x, label, objective.zero_states(x), *all_inputs[2:])
    reduced = ReducedClassifier(
        trace_branches(residual(pool=True)), "bfloat16" if HAS_BFLOAT16 else "float32"
    )
    reduced.initialize()
    return {
        # a gate drawn forward: tests/layers/test_shake.py
        "ShakeShake": (ShakeShake("even", "shake"), (x, x * x)),
        "ReducedClassifier": (reduced, (x,)),
        "MaxMin": (both, (x,)),
        "TracedClassifier": (classifier, (x,)),
        "TracedNRM": (net, (x,)),
        "TracedNRM of one branch": (mode, (x,)),
        "TracedInference": (net.inference, (x,)),
        "TracedRendering": (net.renderings[1], (code, min_latents, min_frozen)),
        "TracedRendering of the zero image's path": (net.zero_rendering, (code, max_latents, max_frozen)),
        "TracedRendering without norms": (mode.renderings[0], (code, of_mode.latents, of_mode.frozen)),
        "TracedZero": (net.zero, (x[:1] * 0,)),
        "TracedZero of the image's norms": (mode.zero, (x[:1] * 0, of_mode.frozen)),
        "Reconstructor": (Reconstructor(net), (x, label)),
        "ClassProbabilities": (ClassProbabilities(net), (x,)),
        "Objective": (objective, with_states),
        "Objective of mode": (losses.Objective(mode, losses.NRM_TERMS), all_inputs),
    }  # fmt: skip


def of_the_losses() -> Dict[str, Case]:
    net = tiny.build(maxmin=True)
    x, label = tiny.images(net), mx.nd.array([0, -1, 2, 1, -1])
    joint = net.joint(mx.nd, x, label, zero_states=ZeroStates(net)(x))
    logits = (joint.prediction.logits_max, joint.prediction.logits_min)
    q, p = (mx.nd.softmax(each) for each in logits)
    inference, rendering = joint.inferences[0], joint.renderings[0]
    pictures = [each.image for each in joint.renderings]
    matching = losses.MomentMatching(net.matched_layers[:1])
    maps = [rendering.matched[0], inference.convolved[0]]
    _, coefficients = match(matching, maps)
    norm = losses.LayerwisePathNorm([layer.bias for layer in net.layers])
    mode = losses.ModePathNorm(net.classifier.bias)
    # a zero image more likely than these: the loss is cut off at 0
    likely = mx.nd.ones((1, net.classes)) * 9
    arguments = (joint.code, likely, inference.shifts, rendering.routed)
    return {
        "Probabilities": (losses.Probabilities((0.3, 0.7)), logits),
        "Consistency": (losses.Consistency(), (q, p)),
        "Consistency where there is a target": (losses.Consistency(partial=True), (q, p)),
        "VirtualAdversarial": (losses.VirtualAdversarial(), (p, q)),
        "CrossEntropy": (losses.CrossEntropy(3, (0.3, 0.7)), (label, *logits)),
        "Reconstruction": (losses.Reconstruction((0.3, 0.7)), (x, *pictures)),
        "Entropy": (losses.Entropy(3), (q,)),
        "MomentMatching": (matching, (maps, [mx.nd.zeros(3)], [mx.nd.ones(3)])),
        "MapGradients": (MapGradients([3, 3]), (mx.nd.ones(1), maps, *coefficients, [mx.nd.ones(3)])),
        "LayerwisePathNorm": (norm, (rendering.masked, joint.zero_masked)),
        "ModePathNorm": (mode, arguments),
        "ClassPriorNorm": (losses.ClassPriorNorm(net.classifier.bias), (joint.code,)),
        "ExactPathNorm": exact_path_norm(),
        "SampledPathNorm": sampled_path_norm(),
        "ChainImages": chain_images(),
        "Balance": (losses.Balance(3), (q,)),
        "Tempered": (Tempered(0.5, None), (logits[0],)),
        "Tempered with a prior of the classes": (Tempered(0.5, net.classifier.bias), (logits[0],)),
    }  # fmt: skip


def exact_path_norm() -> Case:
    net = MODELS["pool_small"](path_norm="exact")
    x, label = tiny.images(net), tiny.labels(net)
    joint = net.joint(mx.nd, x, label)
    constants = Bridge(net).constants(mx.nd, joint.inferences[0])
    return losses.ExactPathNorm(net), (joint.code, constants, joint.prior.shifts, joint.prior.routed)


def sampled_path_norm() -> Case:
    net = MODELS["pool_small"](path_norm="sampled")
    x, label = tiny.images(net), tiny.labels(net)
    joint, bridge = net.joint(mx.nd, x, label), Bridge(net)
    inference = joint.inferences[0]
    states = sum(int(np.prod(latent.shape)) for latent in bridge.latents)
    chains = np.random.default_rng(0).integers(0, 2, (2 * net.classes, states)).astype(np.float32)
    constants = bridge.constants(mx.nd, inference)
    arguments = (joint.code, mx.nd.array(chains), constants, inference.shifts, joint.renderings[0].routed)
    return losses.SampledPathNorm(net), arguments


def chain_images() -> Case:
    block, (_, chains, constants, *_) = sampled_path_norm()
    return ChainImages(block.net), (chains, constants)


def of_adversarial_losses() -> Dict[str, Case]:
    scores, other = (mx.nd.array(np.random.default_rng(seed).standard_normal((5, 3))) for seed in (1, 2))
    label, one, two = mx.nd.array([0, -1, 2, 1, -1]), scores[:, 0], other[:, 1]
    return {
        "RealImage": (losses.RealImage(), (scores, label)),
        "GeneratedSample": (losses.GeneratedSample(), (scores,)),
        "FoolingLoss": (losses.FoolingLoss(), (scores, other)),
        "FeatureMatching": (losses.FeatureMatching(), (scores, other[:4])),
        "Smoothness": (losses.Smoothness(), (scores, other, mx.nd.arange(1, 6))),
        "Discrimination": (losses.Discrimination(), (one, two)),
        "Deception": (losses.Deception(), (one,)),
    }


def of_generators() -> Dict[str, Case]:
    code = mx.nd.array(np.random.default_rng(1).standard_normal((5, 4)))
    generator = make_generator((2, 8, 8), 4, 3, [-1, -2], [1, 3])
    generator.initialize()
    image = generator(code)
    encoder, discriminator = make_encoder((2, 8, 8), 4, 3), make_discriminator((2, 8, 8), 3)
    convolution, dense = WeightNormConvolution(2, 3, 3, 2, 1), WeightNormDense(4, 3)
    doubling, maps = DoubleSides(WeightNormConvolution(2, 4, 3, pad=1)), FirstMaps((2, 1, 2))
    for block in (convolution, dense, doubling, encoder, discriminator):
        block.initialize()
    return {
        "ImageGenerator": (generator, (code,)),
        "WeightNormConvolution": (convolution, (image,)),
        "WeightNormDense": (dense, (code,)),
        "DoubleSides": (doubling, (image,)),
        "FirstMaps": (maps, (code,)),
        "ImageEncoder": (encoder, (image,)),
        # a code drawn: tests/generators/test_encoder.py
        "Reparametrise": (Reparametrise(), (code, code - 300)),
        "ImageDiscriminator": (discriminator, (image,)),
    }


def of_adversarial_classifiers() -> Dict[str, Case]:
    """Without noise and dropout, which draw anew: tests/models/adversarial."""
    x = mx.nd.array(np.random.default_rng(1).standard_normal((5, 1, 8, 8)))
    gan = get_model("gan_digits", 3, (1, 8, 8), render=False, noise=0.0, dropout=0.0)
    ali = get_model("ali_digits", 3, (1, 8, 8), render=False, dropout=0.0)
    for net in (gan, ali):
        net.initialize()
    bias = ali.encoder.moments.bias.data()
    bias[ali.code :] = -300  # the logarithm of the variance
    ali.encoder.moments.bias.set_data(bias)
    code = ali.encode(x).mean
    return {
        "AliClassifier": (ali, (x,)),
        "HeldCode": (ali.held_code, (x,)),
        "PairTower": (ali.tower, (x, code)),
        "SplitPair": (ali.split_pair, (ali.pair(x, code),)),
        "JoinPair": (ali.join_pair, (x, code)),
        "Maxout": (Maxout(32), (code,)),
        "GanClassifier": (gan, (x,)),
        # noise drawn: tests/layers/test_training_noise.py
        "TrainingNoise": (TrainingNoise(0.0), (x,)),
    }


def of_a_ladder_network() -> Dict[str, Case]:
    """One convolution, one pooling, and the classifier; without noise, whose draws are its own."""
    net = get_model("ladder_digits", 3, (1, 8, 8), render=False, noise=0.0)
    net.initialize()
    x, label = tiny.images(net), mx.nd.array([0, -1, 2, 1, -1])
    net(x)
    randomise(net)
    objective = losses.Objective(net, ["cross_entropy", "denoising"])
    first, above = net.encoder[0], net.decoder[len(net.encoder) - 1]
    before, activations = first(x)
    noisy = first.corrupted(before)[0]
    pooled = net.encoder[1].operation(activations)
    return {
        "LadderOperation": (first.operation, (x,)),
        "CleanActivation": (first.clean, (before,)),
        "CorruptedActivation": (first.corrupted, (before,)),
        "EncoderLayer": (first, (x,)),
        "Combinator": (above.combinator, (noisy, before)),
        "DecoderLayer": (above, (pooled, noisy)),
        "DenoisingCost": (net.costs[len(net.encoder) - 1], (noisy, before)),
        "LadderNetwork": (net, (x,)),
        "Objective": (objective, (x, label)),
    }


SOURCES = (
    of_a_network, without_norms, of_traced_networks, of_the_losses, of_adversarial_losses, of_generators,
    of_adversarial_classifiers, of_a_ladder_network,
)  # fmt: skip
#: What the others derive from, and which do nothing by themselves.
ABSTRACT = {
    "AdversarialClassifier", "GraphBlock", "Network", "PathNorm", "QuietBlock", "WeightNormLayer",
}  # fmt: skip
PACKAGES = (
    gluon_nrm.generators, gluon_nrm.layers, gluon_nrm.graph, gluon_nrm.models, gluon_nrm.models.adversarial,
    gluon_nrm.models.interface, gluon_nrm.models.ladder, gluon_nrm.models.layered, gluon_nrm.models.traced,
    gluon_nrm.losses,
)  # fmt: skip


@functools.lru_cache(maxsize=None)
def cases(source: Callable[[], Dict[str, Case]]) -> Dict[str, Case]:
    """Build the blocks of a source once for all tests."""
    return source()


def flat(values: Any) -> Iterator[np.ndarray]:
    """The arrays in a nest of lists, tuples and gaps."""
    if isinstance(values, (list, tuple)):
        for value in values:
            yield from flat(value)
    elif values is not None:
        yield values.asnumpy()


def run(
    block: Union[HybridBlock, losses.Objective], arguments: Tuple[Any, ...], train: bool
) -> List[np.ndarray]:
    with autograd.train_mode() if train else autograd.predict_mode():
        return list(flat(block(*arguments)))


@pytest.mark.filterwarnings("ignore:.*not used by any computation")
@pytest.mark.parametrize("source", SOURCES)
def test_hybrid_is_eager(source: Callable[[], Dict[str, Case]]) -> None:
    modes = (True, False, True)
    for name, (block, arguments) in cases(source).items():
        expected = [run(block, arguments, train) for train in modes]
        assert any(value.any() for value in expected[0]), name
        block.hybridize(static_alloc=True, static_shape=True)
        found = [run(block, arguments, train) for train in modes]
        block.hybridize(False)
        for ours, theirs in zip(found, expected):
            assert len(ours) == len(theirs), name
            for mine, other in zip(ours, theirs):
                np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-6, err_msg=name)


def blocks_of(package: ModuleType) -> Set[str]:
    found = set()
    for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        for name, value in vars(importlib.import_module(module.name)).items():
            own = inspect.isclass(value) and value.__module__ == module.name
            if own and issubclass(value, HybridBlock) and value is not NamedBlock:
                found.add(name)
    return found


def test_no_block_is_left_out() -> None:
    tried = {type(block).__name__ for source in SOURCES for block, _ in cases(source).values()}
    for package in PACKAGES:
        assert blocks_of(package)
        assert blocks_of(package) <= tried | ABSTRACT
