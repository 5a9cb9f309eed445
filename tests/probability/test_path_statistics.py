"""Counting of rendering paths against their definition; the margin bound against its formula."""

from __future__ import annotations

from typing import Iterator, Tuple

import numpy as np
import pytest
import tiny

from gluon_nrm.errors import DataError
from gluon_nrm.probability import RenderingModel
from gluon_nrm.probability.latents import States, TiledWindows
from gluon_nrm.probability.margin import (
    GAMMAS,
    log_complexity,
    margin_bound,
    margin_curve,
    margins,
)  # fmt: skip
from gluon_nrm.probability.path_counts import PathCounter, count_paths

#: Four images: the first two share the path of layer 1, the last two that of layer 2.
FIRST = np.array([[0, 1, 1], [0, 1, 1], [1, 0, 0], [1, 1, 0]], dtype=np.uint8)
SECOND = np.array([[0], [3], [4], [4]], dtype=np.uint8)
LATENTS = [States((3,)), TiledWindows((1, 2, 2), (2, 2), 0.0)]
LABELS = np.array([0, 0, 0, 1])


@pytest.mark.parametrize("batch", [1, 3, 4])
def test_paths_by_hand(batch: int) -> None:
    counter = PathCounter(LATENTS)
    for start in range(0, 4, batch):
        part = slice(start, start + batch)
        counter.add([FIRST[part], SECOND[part]], LABELS[part])
    first, second, joint = counter.layers()
    assert [each.layer for each in (first, second, joint)] == ["1", "2", "joint"]
    assert [each.active for each in (first, second, joint)] == [3, 3, 4]
    assert [each.sharing for each in (first, second, joint)] == [2, 2, 0]
    assert [each.across_classes for each in (first, second, joint)] == [0, 2, 0]
    assert [each.active_per_class for each in (first, second, joint)] == [1.5, 2.0, 2.0]
    assert (first.log2_all, second.log2_all) == (3, np.log2(5))
    assert joint.log2_all == 3 + np.log2(5)
    assert first.log2_ratio == np.log2(3) - 3
    # bits of a coin of 2:2, of 3:1 and of 2:2; of 1:1:2
    assert first.entropy_bits == pytest.approx(1 + 0.8112781 + 1)
    assert second.entropy_bits == pytest.approx(1.5)
    assert joint.entropy_bits == pytest.approx(first.entropy_bits + 1.5)


def test_paths_of_a_network_are_those_it_infers() -> None:
    """Counted anew from the latents themselves."""
    net = tiny.build((2, "pool", 1), (1, 2, 4), slope=0.1, norm="none", render_norm="none")
    model = RenderingModel(net)
    x = tiny.images(net, 60)
    labels = np.arange(60) % 3

    def batches() -> Iterator[Tuple[np.ndarray, np.ndarray]]:
        for start in range(0, 60, 25):
            yield x[start : start + 25].asnumpy(), labels[start : start + 25]

    layers = count_paths(model, batches())
    path = [map_.asnumpy().reshape(60, -1) for map_ in model.infer(x).path]
    for found, maps in zip(layers, [*path, np.concatenate(path, axis=1)]):
        distinct = np.unique(maps, axis=0)
        assert found.active == len(distinct) and 1 < found.active < 60
        own = [len(np.unique(maps[labels == label], axis=0)) for label in range(3)]
        assert found.active_per_class == np.mean(own)
    assert layers[0].log2_all == pytest.approx(4 * 3) and layers[1].log2_all == 2


def test_margins() -> None:
    posterior = np.array([[0.7, 0.2, 0.1], [0.3, 0.3, 0.4], [0.1, 0.1, 0.8]])
    found = margins(posterior, np.array([0, 0, 2]))
    np.testing.assert_allclose(found, [0.5, -0.1, 0.7])
    np.testing.assert_allclose(margin_curve(found, [0.01, 0.6, 1.0]), [1 / 3, 2 / 3, 1])


def test_the_bound_is_its_formula() -> None:
    rng = np.random.default_rng(0)
    found, n = rng.uniform(-0.2, 1, 100_000), 100_000
    complexity = 4 * 3 * 5 * 2 * (1.5**2 + 1) * (abs(np.log(0.2)) + 1)
    assert log_complexity(3, 2, 1.5, 0.2) == pytest.approx(np.log(complexity))
    every = [
        (found <= gamma).mean() + complexity / (gamma * np.sqrt(n))
        + np.sqrt(np.log(np.log2(2 / gamma)) / n) + np.sqrt(np.log(2 / 0.05) / (2 * n))
        for gamma in GAMMAS
    ]  # fmt: skip
    bound = margin_bound(found, np.log(complexity))
    assert bound.log_bound == pytest.approx(np.log(min(every)))
    assert bound.gamma == GAMMAS[int(np.argmin(every))]
    assert bound.vacuous == (min(every) >= 1)
    tiny_complexity = margin_bound(found, np.log(1e-3))
    assert not tiny_complexity.vacuous and np.exp(tiny_complexity.log_bound) < 0.6
    assert margin_bound(found, 5000.0).vacuous


def test_nothing_to_count() -> None:
    with pytest.raises(DataError, match="no image"):
        PathCounter(LATENTS).layers()
    with pytest.raises(DataError, match="no labelled image"):
        margin_bound(np.zeros(0), 0.0)
