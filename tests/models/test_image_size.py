"""The warning about networks made for images of another size."""

from __future__ import annotations

from typing import List, Optional, Tuple, Union

import mxnet as mx
import pytest
from fakes import ROOT

from gluon_nrm.layers.architecture import LayerSpec
from gluon_nrm.models import get_architecture
from gluon_nrm.models.image_size import receptive_field, size_warning
from gluon_nrm.recipe import load_recipe

#: Side of the images of each data set.
SIDES = {
    "digits": 8,
    "cifar10": 32,
    "cifar100": 32,
    "svhn": 32,
    "imagenet": 224,
    "mnist": 28,
    "mnist5k": 28,
    "fashion_mnist": 28,
}


def test_the_receptive_field_is_that_of_the_gradient() -> None:
    """Of one value of the last layer with respect to the image, in a network of ones."""
    layers = (LayerSpec(1, kernel=5, pad=2, pool=2), LayerSpec(1), LayerSpec(1, pool=2), LayerSpec(1))
    x = mx.nd.ones((1, 1, 64, 64))
    x.attach_grad()
    with mx.autograd.record():
        y = x
        for layer in layers:
            weight = mx.nd.ones((1, 1, layer.kernel, layer.kernel))
            y = mx.nd.Convolution(
                y, weight, kernel=weight.shape[2:], pad=(layer.pad,) * 2, num_filter=1, no_bias=True
            )
            if layer.pool > 1:  # the sum shows every pixel of a window
                y = mx.nd.Pooling(y, kernel=(2, 2), stride=(2, 2), pool_type="sum")
        middle = y[0, 0, 8, 8]
    middle.backward()
    assert receptive_field(layers) == int((x.grad.asnumpy()[0, 0].sum(axis=0) > 0).sum())


def test_photos_are_seen_whole() -> None:
    assert receptive_field(get_architecture("photos_cnn")) >= 64
    assert receptive_field(get_architecture("digits_cnn")) == 12


@pytest.mark.parametrize(
    ("name", "channels", "side", "message"),
    [
        ("digits_cnn", None, 32, "digits_cnn sees only 12 x 12 of the 32 x 32 pixels; add 'pool'"),
        ("digits_cnn", [8, "pool", 8, "pool", 8, "pool", 8], 32, ""),
        ("photos_cnn", [8, 8], 64, "photos_cnn with these model.channels sees only 5 x 5 of"),
        ("photos_cnn", None, 64, ""),
        ("gluoncv.cifar_resnet20_v1", None, 224, "made for images of 32 x 32 pixels, and"),
        ("gluon.resnet18_v1", None, 32, "gluon.resnet18_v1 was made for images of 224 x 224 pixels"),
        ("gluon.resnet18_v1", None, 128, ""),
        ("my_network", None, 128, ""),
    ],
)  # fmt: skip
def test_the_warning(name: str, channels: Optional[List[Union[int, str]]], side: int, message: str) -> None:
    shape: Tuple[int, int, int] = (3, side, side)
    warning = size_warning(name, channels, shape)
    assert message in warning and bool(message) == bool(warning)


def test_no_recipe_of_the_package_is_warned_of() -> None:
    for path in sorted((ROOT / "recipes").glob("*.yaml")):
        recipe = load_recipe(path)
        side = recipe.data.size or SIDES[recipe.data.name]
        assert not size_warning(recipe.model.name, recipe.model.channels, (3, side, side)), path.name
