"""The convolution's rendering rule, with every geometry, is its transpose: autograd is the oracle."""

from __future__ import annotations

from typing import Any, Dict, Tuple

import mxnet as mx
import numpy as np
import pytest
from oracle import both_ways, gradients, some

from gluon_nrm.rules import convolution, normalisation

Pair = Tuple[int, int]


def geometry(
    kernel: Pair, stride: Pair = (1, 1), pad: Pair = (0, 0), dilate: Pair = (1, 1)
) -> Dict[str, Any]:
    return {"kernel": kernel, "stride": stride, "pad": pad, "dilate": dilate}


# kernels 1 to 5, paddings up to kernel + 1 (beyond kernel - 1 the transpose crops), strides 1 to 3
SQUARE = [geometry((k, k), (s, s), (p, p)) for k in range(1, 6) for p in range(k + 2) for s in (1, 2, 3)]
ODD = [
    geometry((1, 3)),
    geometry((3, 1), pad=(0, 2)),
    geometry((2, 5), (3, 2), (1, 4)),
    geometry((5, 2), (1, 3), (5, 0)),
    geometry((3, 3), dilate=(2, 2)),
    geometry((3, 2), (2, 1), (1, 2), (2, 3)),
    geometry((2, 3), (3, 3), (4, 7), (3, 2)),
    geometry((7, 8), pad=(0, 0)),
]


def check_convolution(window: Dict[str, Any], size: Pair, groups: int = 1) -> None:
    """The transpose, and its own gradients: <h, W x> = <W^T h, x> differentiated both ways round."""
    channels, filters = 2 * groups, 3 * groups
    x, weight = some(1, 2, channels, *size), some(2, filters, channels // groups, *window["kernel"])
    height, width = convolution.output_size(size, **window)
    h = some(3, 2, filters, height, width)

    def forward(F: Any, x: Any, weight: Any) -> Any:
        return F.Convolution(x, weight, num_filter=filters, num_group=groups, no_bias=True, **window)

    def rule(F: Any, h: Any, weight: Any) -> Any:
        return convolution.transpose_convolution(
            F, h, weight, channels=channels, size=size, num_group=groups, **window
        )

    (found,) = both_ways(rule, h, weight)
    expected, by_weight = gradients(forward, [x, weight], [h])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    by_h, by_weight_of_rule = gradients(rule, [h, weight], [x])
    np.testing.assert_allclose(by_weight_of_rule, by_weight, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(by_h, both_ways(forward, x, weight)[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("window", SQUARE, ids=lambda w: f"k{w['kernel'][0]}s{w['stride'][0]}p{w['pad'][0]}")
def test_convolution_with_square_filters(window: Dict[str, Pair]) -> None:
    check_convolution(window, (7, 8))


@pytest.mark.parametrize("groups", [1, 2, 3])
@pytest.mark.parametrize("window", ODD, ids=str)
def test_convolution_rectangular_dilated_grouped(window: Dict[str, Pair], groups: int) -> None:
    check_convolution(window, (7, 8), groups)


@pytest.mark.parametrize("window", SQUARE + ODD, ids=str)
def test_output_size_is_the_operators(window: Dict[str, Pair]) -> None:
    symbol = mx.sym.Convolution(mx.sym.var("x"), num_filter=1, no_bias=True, **window)
    _, (shape,), _ = symbol.infer_shape(x=(1, 1, 9, 8))
    assert shape[2:] == convolution.output_size((9, 8), **window)


def test_output_size_of_too_small_an_image_is_below_one() -> None:
    assert max(convolution.output_size((4, 2), (5, 5), pad=(0, 1))) < 1


def test_frozen_normalisation() -> None:
    weight, gamma, mean, var = (
        some(1, 4, 2, 3, 3),
        some(2, 4),
        some(3, 4),
        np.array([0.3, 1, 2, 5], np.float32),
    )
    scale = gamma / np.sqrt(var + 1e-5)

    def forward(F: Any, x: Any) -> Any:
        y = F.Convolution(x, mx.nd.array(weight), kernel=(3, 3), pad=(1, 1), num_filter=4, no_bias=True)
        constants = [mx.nd.array(each) for each in (gamma, np.ones(4), mean, var)]
        return F.BatchNorm(y, *constants, eps=1e-5, fix_gamma=False, use_global_stats=True)

    def rule(F: Any, h: Any, weight: Any, scale: Any) -> Any:
        filters = normalisation.scale_filters(F, weight, scale)
        return convolution.transpose_convolution(
            F, h, filters, channels=2, size=(5, 6), **geometry((3, 3), pad=(1, 1))
        )

    h = some(4, 2, 4, 5, 6)
    (expected,) = gradients(forward, [some(5, 2, 2, 5, 6)], [h])
    np.testing.assert_allclose(both_ways(rule, h, weight, scale)[0], expected, rtol=1e-4, atol=1e-5)
