"""tools/generate.py and tools/paths.py as a user runs them, and what they leave behind."""

from __future__ import annotations

import csv
import importlib
import io
import re
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest
from matplotlib.image import imread
from short_runs import FULL, contents, no_pictures, recipe

from gluon_nrm.console.tool import run_tool
from gluon_nrm.probability import RenderingModel
from gluon_nrm.probability.annealing import estimate_log_partition
from gluon_nrm.report.path_prior import measure_path_prior
from gluon_nrm.training import fit as fit_module
from gluon_nrm.training.fit import fit
from gluon_nrm.training.restore import restore

EXACT = ("model.render_norm=none", "model.path_norm=mode", "data.validation=0", "train.epochs=2")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs: of a recipe with norms in the rendering pass, and of one without."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        no_pictures(patch)
        patch.setattr(fit_module, "describe_environment", dict)
        for name, changes in (("norms", EXACT[2:]), ("exact", EXACT)):
            fit(
                recipe(FULL, f"name={name}", *changes), root=folder / "runs", devices="cpu",
                stream=io.StringIO(),
            )  # fmt: skip
    return folder


def call(folder: Path, monkeypatch: pytest.MonkeyPatch, tool: str, *arguments: str) -> int:
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.argv", [f"{tool}.py", *arguments])
    with pytest.raises(SystemExit) as left:
        run_tool(importlib.import_module(f"gluon_nrm.cli.{tool}").main)
    return int(left.value.code or 0)


@pytest.mark.parametrize(("run", "note"), [("norms", "a surrogate"), ("exact", "folded into the filters")])
def test_generate(
    run: str, note: str, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:  # fmt: skip
    arguments = [f"runs/{run}-s0", "--classes", "2,0", "--samples", "3", "--sweeps", "4", "--thin", "2"]
    before = contents(trained)
    outputs = []
    for out in ("a", "b"):
        more = ["--chains", "2", "--temperature", "0.3", "--noise", "--out", str(tmp_path / out)]
        assert call(trained, monkeypatch, "generate", *arguments, *more) == 0
        outputs.append(capsys.readouterr().out.replace(str(tmp_path / out), "OUT"))
    assert outputs[0] == outputs[1]
    text = outputs[0]
    assert f"run      runs/{run}-s0 ({run}), after epoch 2" in text
    assert re.search(r"prior    sigma\^2 = 0\.3, 2\^\d+ rendering paths", text)
    assert note in text
    assert re.search(r"\| 2 \| -?\d+\.\d\d ± \d+\.\d\d( \| -?\d+\.\d\d){3} \| [0-3] of 3 \|", text)
    assert contents(trained) == before
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    for name in ("samples.png", "layers.png", "paths.png"):
        picture = imread(tmp_path / "a" / name)
        assert picture.ndim == 3 and picture[..., :3].std() > 0.1
        assert f"OUT/{name}" in text


def test_generate_writes_into_the_run_by_default(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    assert call(trained, monkeypatch, "generate", "runs/exact-s0", "--samples", "1", "--sweeps", "0") == 0
    written = capsys.readouterr().out.splitlines()[-3:]
    expected = [f"runs/exact-s0/figures/{name}.png" for name in ("samples", "layers", "paths")]
    assert written == expected and all(Path(path).is_file() for path in written)


def test_paths(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    table, plot = tmp_path / "paths.csv", tmp_path / "paths.png"
    runs = ["runs/norms-s0", "runs/exact-s0"]
    more = ["--csv", str(table), "--plot", str(plot), "--sweeps", "3"]
    assert call(trained, monkeypatch, "paths", *runs, *more) == 0
    text = capsys.readouterr().out
    assert len(re.findall(r"images: \d\.\d{4} nats a latent .* a flat prior: \d\.\d{4}\nlog Z", text)) == 2
    assert text.count("of a surrogate, because of its rendering norms") == 1
    rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    assert [(row["recipe"], row["layer"]) for row in rows] == [
        (name, layer) for name in ("norms", "exact") for layer in ("1", "2", "joint")
    ]
    assert text.count("vacuous, it says nothing") == 2 and rows[2]["bound_vacuous"] == "True"
    assert "| recipe | labels | runs |" in text and text.count("| 20 | 1 |") == 2
    assert text.count("active paths by distance:") == text.count("generalisation gap") == 2
    assert rows[2]["close_inferred"] == rows[2]["active"] and text.count("Max-Min mixture:") == 2
    for joint in (rows[2], rows[5]):  # a pair of paths tells at least as much apart as one of them
        assert int(joint["mixture_active"]) >= int(joint["active"]) and joint["mixture_log_bound"]
    assert imread(plot)[..., :3].std() > 0.05
    # the count, anew
    restored = restore("runs/exact-s0")
    split = restored.parts.split
    images = restored.parts.dataset.train.images[np.union1d(split.labelled, split.unlabelled)]
    assert len(images) == 1297 and rows[5]["images"] == "1297"
    model = RenderingModel(restored.network)
    measured = measure_path_prior(restored, sweeps=3)
    assert str(measured) in text
    test = mx.nd.array(restored.parts.dataset.normalise(restored.parts.dataset.test.images))
    inferred = model.infer(test)
    eta = model.prior_score(inferred.label, inferred.path).asnumpy()
    log_z = estimate_log_partition(model, range(10), chains=4, sweeps=3).log_z
    expected = log_z[inferred.label.asnumpy().astype(int)] - eta
    np.testing.assert_allclose(measured.images_nats, expected.mean(), rtol=1e-4)
    assert measured.per_latent == measured.images_nats / (4 * 16 + 4 * 16)
    path = model.outcomes(mx.nd.array(restored.parts.dataset.normalise(images)))
    for row, outcomes in zip(rows[3:], [*path, np.concatenate(path, axis=1)]):
        assert int(row["active"]) == len(np.unique(outcomes, axis=0))


def test_a_network_that_does_not_render_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flat.yaml").write_text(
        FULL.replace("name: digits_cnn, channels: [4, pool, 4]", "name: digits_resnet, render: false")
        .replace(", dropout: 0.5", "").replace("reconstruction: 0.5, ", "").replace("entropy: 0.5, ", "")
        .replace("moment_matching: 0.5, path_norm: 1, ", ""),
        encoding="utf-8",
    )  # fmt: skip
    no_pictures(monkeypatch)
    arguments = ["flat.yaml", "--set", "train.epochs=2", "--set", "train.epoch_steps=1", "--devices", "cpu"]
    assert call(tmp_path, monkeypatch, "train", *arguments) == 0
    capsys.readouterr()
    for tool in ("generate", "paths"):
        assert call(tmp_path, monkeypatch, tool, "runs/flat-s0") == 2
        assert "does not render" in capsys.readouterr().err
