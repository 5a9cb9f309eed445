"""What cannot be built is a ModelError of one or two lines that names the culprit."""

from __future__ import annotations

from typing import Any, Dict, List, Tuple

import pytest
import tiny

from gluon_nrm.errors import ModelError
from gluon_nrm.losses import Objective
from gluon_nrm.models import get_model

BAD: List[Tuple[Dict[str, Any], str]] = [
    (dict(name="allconv_13"), "no model 'allconv_13'; did you mean allconv13"),
    (dict(name="zzz"), r"no model 'zzz'; gluon_nrm.list_models\(\) lists them all"),
    (dict(channels=[]), "model.channels: the list is empty"),
    (dict(channels=["pool", 3]), "model.channels.0: 'pool' must follow"),
    (dict(channels=[3, "pool", "pool"]), "model.channels.2: 'pool' must follow"),
    (dict(channels=["average_pool"]), "model.channels.0: 'average_pool' must follow"),
    (dict(channels=[3, "pol"]), "model.channels.1: 'pol' is neither"),
    (dict(channels=[3, 0]), "model.channels.1: 0 is neither"),
    (dict(channels=[-3]), "model.channels.0: -3 is neither"),
    (dict(channels=[3, True]), "model.channels.1: True is neither"),
    (dict(channels=[2.5]), "model.channels.0: 2.5 is neither"),
    (dict(classes=1), "at least 2 classes, not 1"),
    (dict(input_shape=(1, 1, 8)), "a 1x8 image is too small"),
    (dict(channels=[2, "pool", 2, "pool", 2, "pool", 2, "pool"]), "a 1x1 image is too small"),
    (dict(name="lenet_small", input_shape=(1, 2, 2)), "too small"),
    (dict(norm="bach"), "model.norm: 'bach' is not a choice; did you mean 'batch'"),
    (dict(render_norm="layer"), "model.render_norm: 'layer'"),
    (dict(render_norm_branches="own"), "model.render_norm_branches: 'own'"),
    (dict(path_norm="exact"), "model.path_norm: 'exact'"),
    (dict(path_norm="mode"), "set model.render_norm to none"),
    (dict(slope=1.0), "model.slope: must be at least 0 and below 1, found 1.0"),
    (dict(norm=3), "model.norm: '3' is not a choice; valid here: batch, none"),
    (dict(slope="0.1"), "model.slope: must be at least 0 and below 1, found '0.1'"),
    (dict(slope=True), "model.slope: must be at least 0 and below 1, found True"),
    (dict(dtype="float64"), "model.dtype: 'float64' is not one of float32, float16, bfloat16"),
    (dict(slope=-0.1), "model.slope: must be at least 0 and below 1, found -0.1"),
    (dict(slope=float("nan")), "model.slope: must be a finite number, found nan"),
    (dict(dropout=1.0), "model.dropout: must be at least 0 and below 1, found 1.0"),
    (dict(dropout=-0.5), "model.dropout: must be at least 0 and below 1, found -0.5"),
    (dict(alpha_max=0.7), "model.alpha_max: alpha_max . alpha_min must be 1, found 0.7 . 0.5"),
    (dict(alpha_max=1.5, alpha_min=-0.5), "model.alpha_max: must be at least 0 and at most 1, found 1.5"),
]


@pytest.mark.parametrize(("change", "message"), BAD, ids=[str(change) for change, _ in BAD])
def test_mistakes_are_model_errors(change: Dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message) as error:
        get_model(**{"name": "digits_cnn", "classes": 10, "input_shape": (1, 8, 8), **change})
    assert len(str(error.value).splitlines()) <= 2


@pytest.mark.parametrize(
    ("names", "message"), [((), "none given"), (("entropie",), "entropie; known are cross_entropy")]
)
def test_mistakes_in_loss_terms(names: Tuple[str, ...], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Objective(tiny.build(), names)


def test_path_norm_needs_a_network_with_one() -> None:
    with pytest.raises(ModelError, match="built with model.path_norm 'none'"):
        Objective(tiny.build(path_norm="none"), ["path_norm"])


def test_a_term_of_another_kind_of_network() -> None:
    message = "loss.weights.denoising: NRM has no decoder; use a ladder_. network"
    with pytest.raises(ModelError, match=message):
        Objective(tiny.build(), ["cross_entropy", "denoising"])


def test_an_objective_is_called_with_what_it_lists() -> None:
    net = tiny.build()
    message = "path_norm is called with image, label, zero_states; it was called with 2 arguments"
    with pytest.raises(ModelError, match=message):
        Objective(net, ["path_norm"])(tiny.images(net), tiny.labels(net))
