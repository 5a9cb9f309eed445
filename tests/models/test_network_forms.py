"""Networks as text, and options by name."""

from __future__ import annotations

import pytest
from mxnet.gluon.model_zoo.vision import resnet18_v1

from gluon_nrm import get_model, maxmin, nrm
from gluon_nrm.errors import ModelError
from gluon_nrm.models import initialise

SHAPE = (3, 32, 32)


def test_a_network_of_layers_as_text() -> None:
    net = get_model("digits_cnn", 3, (1, 8, 8), channels=[4, "pool", 5], maxmin=True, dropout=0.5)
    found = initialise(net)
    # first convolution 36, second 180, classifier 15 + 3; the rest are biases and norms
    count = sum(parameter.data().size for parameter in found.collect_params().values())
    assert count > 234
    assert repr(net).splitlines() == [
        f"NRM(classes=3, input_shape=(1, 8, 8), maxmin=True, dropout=0.5), {count:,} parameters",
        "  1: 3x3 convolution, 4 channels, max-pooling 2x2, dropout 0.5 to 4x4",
        "  2: 3x3 convolution, 5 channels to 4x4",
    ]


def test_traced_networks_as_text() -> None:
    net = nrm(resnet18_v1(classes=10), 10, SHAPE, maxmin=True)
    assert repr(net).startswith("TracedNRM(classes=10, input_shape=(3, 32, 32), maxmin=True), 11,")
    both = maxmin(resnet18_v1(classes=10))
    assert repr(both).startswith("MaxMin(") and repr(both).endswith("parameters of unknown shape")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"render_nrom": "none"},
            r"^render_nrom: unknown option; did you mean render_norm\? known are maxmin,",
        ),
        ({"colour": "blue"}, "^colour: unknown option; known are maxmin, .*dropout, noise, denoising$"),
        ({"dropout": 0.5}, r"^dropout: this is for lists of layers \(get_model\)"),
        ({"slope": 0.0}, "^slope: this is for lists of layers"),
        # also where a value is the default, or another option would be named first
        ({"slope": 0.1}, "^slope: this is for lists of layers"),
        ({"bias": False}, "^bias: this is for lists of layers"),
        ({"norm": "batch"}, "^norm: this is for lists of layers"),
        ({"released_bias": False}, "^released_bias: this is for lists of layers"),
        ({"gates": "released"}, "^gates: this is for two branches; give maxmin=True"),
        ({"gates": "negated", "maxmin": False}, "^gates: this is for two branches; give maxmin=True"),
        ({"alpha_max": 0.7, "alpha_min": 0.3}, "^alpha_max: this is for two branches; give maxmin=True"),
        ({"render_norm_branches": "separate"}, "^render_norm_branches: this is for two branches"),
        (
            {"maxmin": True, "render_norm": "none", "path_norm": "mode", "render_norm_branches": "separate"},
            "^render_norm_branches: without rendering norms",
        ),
        ({"render": False, "path_norm": "none", "render_norm": "none"}, "^render: an NRM renders; .*maxmin"),
        ({"path_norm": "some"}, r"^model\.path_norm: 'some' is not a choice"),
    ],
)
def test_options_of_nrm(options: dict, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        nrm(resnet18_v1(classes=10), 10, SHAPE, **options)
