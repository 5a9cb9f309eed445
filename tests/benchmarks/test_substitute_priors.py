"""Substitute priors: frequencies by hand, draws that follow them, priors that know more and less."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest
import tiny_models

from benchmarks.prior.substitute_priors import (
    PRIORS,
    Share,
    draw_outcomes,
    frequencies,
    pool_by_map,
    table,
)
from gluon_nrm.probability.rendering_model import RenderingModel

PATHS = np.array([[0, 1, 2, 1], [0, 1, 1, 1], [0, 2, 2, 1], [0, 1, 2, 0]], np.uint16)


def test_frequencies_by_hand() -> None:
    shares = frequencies(PATHS, 3)
    expected = np.array([[1, 0, 0], [0, 0.75, 0.25], [0, 0.25, 0.75], [0.25, 0.75, 0]])
    np.testing.assert_array_equal(shares, expected)
    pooled = pool_by_map(shares, 2)
    np.testing.assert_array_equal(pooled[:2], [[0.5, 0.375, 0.125]] * 2)
    np.testing.assert_array_equal(pooled[2:], [[0.125, 0.5, 0.375]] * 2)


def test_draws_follow_the_frequencies() -> None:
    shares = frequencies(PATHS, 3)
    drawn = draw_outcomes(shares, 20_000, np.random.default_rng(0))
    assert drawn.shape == (20_000, 4) and drawn.dtype.kind == "i"
    np.testing.assert_allclose(frequencies(drawn, 3), shares, atol=0.015)  # 4 standard errors
    assert (drawn[:, 0] == 0).all() and (drawn[:, 3] != 2).all()


def test_blocks_of_a_model_list_their_maps_one_after_the_other() -> None:
    """``pool_by_map`` relies on it: the latents of a feature map lie side by side."""
    net = tiny_models.MODELS["pool_small"]()
    model = RenderingModel(net)
    for block, latent in enumerate(model.latents):
        outcomes = np.zeros((1, latent.variables), np.uint16)
        before = model.path_of_block(block, outcomes).asnumpy()
        places = latent.variables // latent.shape[0]
        outcomes[0, :places] = 1  # of the first feature map alone
        after = model.path_of_block(block, outcomes).asnumpy()
        changed = (before != after).reshape(1, latent.shape[0], -1).any(axis=2)[0]
        assert changed[0] and not changed[1:].any()
    mx.nd.waitall()


def test_the_table_has_a_row_for_each_prior() -> None:
    lines = table(
        [Share(run, prior, 10.0 * run_place) for run_place, run in enumerate("ab") for prior in PRIORS]
    )
    assert lines.count("\n") == len(PRIORS) + 1
    assert "| by_place | 2 | 5.0 ± 7.1 |" in lines


@pytest.mark.parametrize("kind", [1, 2])
def test_a_sure_outcome_is_always_drawn(kind: int) -> None:
    shares = np.zeros((3, 4))
    shares[:, kind] = 1.0
    assert (draw_outcomes(shares, 50, np.random.default_rng(1)) == kind).all()
