"""Active paths by distance by hand, R of rendered images, and the pairs of paths of a Max-Min mixture."""

from __future__ import annotations

import numpy as np
import pytest
import tiny

from gluon_nrm.errors import DataError
from gluon_nrm.probability import RenderingModel
from gluon_nrm.probability.close_paths import RenderedPaths, count_close, render_paths


def test_counts_by_hand() -> None:
    """Images of norm 2: at 0.5 of it, three renderings are close, on two paths."""
    found = RenderedPaths(
        np.array([0.5, 1.0, 0.9, 1.5]), np.array([1.0, 3.0, 2.0, 4.0]), np.full(4, 2.0),
        np.array([7, 8, 7, 9], dtype=np.uint64),
    )  # fmt: skip
    close = count_close(found, 0.5)
    assert close[:4] == (0.5, 3, 2, 3) and close.median == 0.475
    assert (close.radius, close.image_radius) == (4.0, 2.0)
    assert count_close(found, 0.2).active == 0


def test_renderings_of_a_network() -> None:
    """Distance and norm by numpy, image by image, in two batches; equal images have equal paths."""
    net = tiny.build(norm="none", render_norm="none", path_norm="none")
    model, x = RenderingModel(net), tiny.images(net, 5)
    x[4] = x[0]
    pixels, labels = x.asnumpy(), np.zeros(5)
    found = render_paths(model, [(pixels[:3], labels[:3]), (pixels[3:], labels[3:])])
    inferred = model.infer(x)
    images = model.render(inferred.label, inferred.path).image.asnumpy()
    for place in range(5):
        np.testing.assert_allclose(found.norms[place], np.linalg.norm(images[place]), rtol=1e-5)
        expected = np.linalg.norm(pixels[place] - images[place])
        np.testing.assert_allclose(found.distances[place], expected, rtol=1e-5)
    assert found.radius == found.norms.max()
    assert len(np.unique(found.paths)) == 4 and found.paths[0] == found.paths[4]


def test_no_image() -> None:
    with pytest.raises(DataError, match="no image"):
        render_paths(RenderingModel(tiny.build(norm="none", render_norm="none", path_norm="none")), [])
