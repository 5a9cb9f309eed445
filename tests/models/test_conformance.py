"""Ours against the numbers of the implementation the paper's authors released (``reference.compare``).

The released numbers stand beside the repository, in ``../shared/conformance``; where they are not, only the
comparison itself is tested, on files written here.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Dict, List

import mxnet as mx
import numpy as np
import pytest
import reference
import tiny
from fakes import ROOT
from mxnet import autograd
from reference import WEIGHTS

from gluon_nrm.errors import ModelError
from gluon_nrm.losses import NRM_TERMS, Objective
from gluon_nrm.models import Reconstructor
from gluon_nrm.models.interface.parameters import named_parameters
from gluon_nrm.models.layered.released_parameters import load_released, read_released, released_parameters

SHARED = ROOT.parent / "shared" / "conformance"
RELEASED = sorted(SHARED.glob("*.npz"))
LIMIT = 1e-3

pytestmark = pytest.mark.filterwarnings("ignore:.*not used by any computation")


def excused(arrays: Dict[str, np.ndarray]) -> List[str]:
    """The quantities that may differ, as the data's README says.

    What is not finite in the file, where the released code divides by a variance of zero; and what its extra
    pass of the zero image moves: statistics and gradients of the last rendering norm.
    """
    norms = [int(name.split("_")[1][2:]) for name in arrays if name.startswith("render_bn")]
    last = f"_render_bn{max(norms)}_"
    return [
        name
        for name, value in arrays.items()
        if not np.isfinite(value).all() or (last in name and ("_grad_" in name or "_after_" in name))
    ]


def quantities(arrays: Dict[str, np.ndarray]) -> List[str]:
    return [name for name in arrays if name.startswith(("eval_", "train_"))]


def read(path: Path) -> Dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


@functools.lru_cache(maxsize=None)
def compare_once(path: Path) -> Dict[str, float]:
    return reference.compare(str(path))


@pytest.mark.skipif(not RELEASED, reason=f"no released numbers in {SHARED}")
@pytest.mark.parametrize("path", RELEASED, ids=lambda path: path.stem)
def test_released_numbers(path: Path) -> None:
    arrays = read(path)
    errors = compare_once(path)
    assert sorted(errors) == sorted(quantities(arrays)), (
        "every quantity of the file is compared, and nothing else"
    )
    off = {name: error for name, error in errors.items() if not error < LIMIT}
    assert set(off) <= set(excused(arrays)), off
    for name in set(off) - {name for name, value in arrays.items() if not np.isfinite(value).all()}:
        assert np.isfinite(off[name]), name
    assert len(off) < len(errors) / 10


@pytest.mark.skipif(not RELEASED, reason=f"no released numbers in {SHARED}")
def test_the_exceptions_in_the_released_numbers_are_the_named_ones() -> None:
    not_finite = ["eval_unlabelled_loss_mm", "eval_unlabelled_loss_total"]
    path = SHARED / "nrm_released_small.npz"
    arrays = read(path)
    assert sorted(name for name, value in arrays.items() if not np.isfinite(value).all()) == not_finite
    streams, kinds = ("labelled", "unlabelled"), ("gamma", "beta")
    last = [f"train_{stream}_grad_render_bn6_{kind}" for stream in streams for kind in kinds]
    last += [f"train_labelled_after_render_bn6_running_{kind}" for kind in ("mean", "var")]
    assert sorted(excused(arrays)) == sorted(not_finite + last)
    off = [name for name, error in compare_once(path).items() if error > LIMIT]
    assert set(not_finite) <= set(off) <= set(not_finite + last)


@pytest.mark.skipif(not RELEASED, reason=f"no released numbers in {SHARED}")
def test_the_exceptions_in_the_released_max_min_numbers_are_zero_variances() -> None:
    """Unlabelled images in evaluation are all given one class, so variances at the top are 0."""
    path = SHARED / "maxmin_released_small.npz"
    not_finite = {"eval_unlabelled_loss_mm", "eval_unlabelled_loss_total"}
    assert {name for name, value in read(path).items() if not np.isfinite(value).all()} == not_finite
    assert {name for name, error in compare_once(path).items() if not error < 2e-5} == not_finite


def own_file(maxmin: bool) -> Dict[str, np.ndarray]:
    """A file in the released numbers' format: a network of ours and its training results, run eagerly."""
    net = tiny.build((3, "pool", 4), (2, 6, 8), maxmin=maxmin, released_bias=True)
    x, y = tiny.images(net, 4), mx.nd.array([0, 2, 1, 1])
    arrays = {
        "config_channels": np.array([3, -1, 4]),
        "num_classes": np.array(3),
        "x": x.asnumpy(),
        "y": y.asnumpy(),
    }
    released = {id(each.parameter): each for each in released_parameters(net)}
    paths = {path: released[id(parameter)] for path, parameter in named_parameters(net).items()}
    for name, values in read_released(net).items():
        wide = name.startswith("layer") and name.endswith("_bias")
        arrays[name] = values.reshape((1, -1, 1, 1) if wide else values.shape)
    with autograd.train_mode():
        prediction, rendered = net(x), Reconstructor(net)(x, y).images
    if maxmin:
        found = {"logits_max": prediction.logits_max, "logits_min": prediction.logits_min}
        found.update(xhat_max=rendered[0], xhat_min=rendered[1])
    else:
        found = {"logits": prediction.logits, "xhat": rendered[0]}
    results = {name: value.asnumpy() for name, value in found.items()}
    outcome = tiny.differentiate(
        Objective(net, list(WEIGHTS)), x, y, weights={n: 4 * w for n, w in WEIGHTS.items()}
    )
    results["loss_rpn"] = outcome.terms[NRM_TERMS.index("path_norm")]
    results["loss_total"] = sum(WEIGHTS[name] * row for name, row in zip(NRM_TERMS, outcome.terms))
    results.update({f"grad_{paths[path].name}": value for path, value in outcome.gradients.items()})
    for path, value in outcome.statistics.items():
        results[f"after_{paths[path].name}"] = paths[path].sign * value
    return {**arrays, **{f"train_labelled_{name}": value for name, value in results.items()}}


def compare(arrays: Dict[str, np.ndarray], folder: Path) -> Dict[str, float]:
    np.savez(folder / "own.npz", **arrays)
    return reference.compare(str(folder / "own.npz"))


@pytest.mark.parametrize("maxmin", [False, True])
def test_comparison_with_ourselves_finds_nothing(maxmin: bool, tmp_path: Path) -> None:
    arrays = own_file(maxmin)
    errors = compare(arrays, tmp_path)
    assert sorted(errors) == sorted(quantities(arrays))
    assert len(errors) > 30
    assert max(errors.values()) < 1e-4


@pytest.mark.parametrize("maxmin", [False, True])
def test_comparison_finds_every_wrong_number(maxmin: bool, tmp_path: Path) -> None:
    """One entry of each quantity is off, by more from one quantity to the next."""
    arrays = own_file(maxmin)
    expected = {}
    for place, name in enumerate(quantities(arrays)):
        wrong = arrays[name].copy()
        entry = np.abs(wrong).argmin()  # the largest, by which errors are measured, stays
        expected[name] = 0.01 * (1 + place % 7)
        scale = np.abs(wrong).max()
        wrong.reshape(-1)[entry] += -np.sign(wrong.reshape(-1)[entry]) * expected[name] * (scale or 1)
        arrays[name] = wrong
    errors = compare(arrays, tmp_path)
    for name, error in errors.items():
        np.testing.assert_allclose(error, expected[name], rtol=0.1, err_msg=name)


def test_comparison_cannot_be_passed_by_what_is_not_a_number(tmp_path: Path) -> None:
    arrays = own_file(False)
    arrays["train_labelled_loss_rpn"] = arrays["train_labelled_loss_rpn"] * np.nan
    errors = compare(arrays, tmp_path)
    assert errors["train_labelled_loss_rpn"] == float("inf")
    assert errors["train_labelled_loss_total"] < 1e-4


def test_comparison_reads_each_parameter_into_its_own_place(tmp_path: Path) -> None:
    """Another gamma in the Min branch's second layer changes that branch's scores, not the Max branch's."""
    arrays = own_file(True)
    arrays["layer2_bn_min_gamma"] = arrays["layer2_bn_min_gamma"] * 1.1
    errors = compare(arrays, tmp_path)
    for name in ("logits_max", "xhat_max", "loss_rpn", "after_layer2_bn_running_mean"):
        assert errors[f"train_labelled_{name}"] < 1e-4, name
    for name in ("logits_min", "loss_total", "grad_layer2_conv_weight"):
        assert errors[f"train_labelled_{name}"] > LIMIT, name


def test_comparison_refuses_a_file_that_lacks_a_parameter(tmp_path: Path) -> None:
    arrays = own_file(False)
    del arrays["render_instancenorm2_beta"]
    with pytest.raises(ModelError, match="render_instancenorm2_beta is missing"):
        compare(arrays, tmp_path)


def test_means_of_the_min_branch_are_written_with_the_released_sign() -> None:
    """Behind its first layer the Min branch keeps means of negated features; nothing else has a sign."""
    net = tiny.build((3, "pool", 4), (2, 6, 8), maxmin=True, released_bias=True)
    for parameter in net.collect_params(".*running_mean").values():
        parameter.set_data(mx.nd.ones(parameter.shape))
    means = {name: set(value.ravel()) for name, value in read_released(net).items() if "running_mean" in name}
    assert {name for name, values in means.items() if values == {-1.0}} == {"layer2_bn_min_running_mean"}
    assert all(values == {1.0} for name, values in means.items() if name != "layer2_bn_min_running_mean")


@pytest.mark.parametrize("maxmin", [False, True])
def test_released_parameters_come_back_as_they_went(maxmin: bool) -> None:
    one, other = (tiny.build((3, "pool", 4), (2, 6, 8), maxmin=maxmin, released_bias=True) for _ in range(2))
    load_released(other, read_released(one))
    copies = named_parameters(other)
    for path, parameter in named_parameters(one).items():
        np.testing.assert_array_equal(parameter.data().asnumpy(), copies[path].data().asnumpy())


def test_released_parameters_of_another_network_are_refused() -> None:
    net = tiny.build((3, "pool", 4), (2, 6, 8), released_bias=True)
    arrays = {**read_released(net), "layer1_bias": np.zeros(7, np.float32)}
    with pytest.raises(ModelError, match=r"layer1_bias has shape \(7,\)"):
        load_released(net, arrays)
