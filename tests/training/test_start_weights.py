"""Runs that start from trained weights: names that are found, what is refused, runs that go on."""

from __future__ import annotations

import io
import json
import pickle
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Dict, Tuple

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon import HybridBlock, nn
from short_runs import FULL, SUPERVISED, fit_without_pictures, recipe

from gluon_nrm.errors import ModelError, NRMError, RecipeError
from gluon_nrm.models import NRMOptions, TracedNRM, get_model, initialise, maxmin, model_zoos
from gluon_nrm.models.interface.network import Network
from gluon_nrm.runs.network_arrays import network_arrays
from gluon_nrm.runs.open_run import RunFolder
from gluon_nrm.training.start_weights import start_from
from gluon_nrm.training.weights_file import Weights, read_params

SHAPE = (3, 8, 8)


def network(classes: int = 3, seed: int = 0, **options: Any) -> Network:
    return initialise(get_model("digits_cnn", classes, SHAPE, [4, "pool", 5], **options), seed=seed)


def base(classes: int = 3, seed: int = 1, channels: int = 3) -> HybridBlock:
    """A small network as in a zoo: features and an output."""
    mx.random.seed(seed)
    net = SimpleNet(classes)
    net.initialize(mx.init.Normal(0.5))
    net(mx.nd.zeros((1, channels, *SHAPE[1:])))
    for name, parameter in net.collect_params().items():
        if name.endswith(("mean", "beta")):
            parameter.set_data(mx.nd.random.normal(shape=parameter.shape))
    return net


class SimpleNet(HybridBlock):
    def __init__(self, classes: int) -> None:
        super().__init__(prefix="zoo_")
        with self.name_scope():
            self.features = nn.HybridSequential(prefix="")
            with self.features.name_scope():
                for _ in range(2):
                    for layer in (nn.Conv2D(4, 3), nn.BatchNorm(), nn.Activation("relu")):
                        self.features.add(layer)
                self.features.add(nn.GlobalAvgPool2D())
            self.output = nn.Dense(classes)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        return self.output(self.features(x))


@pytest.fixture
def zoo(monkeypatch: pytest.MonkeyPatch) -> None:
    """A zoo of one network; trained, it has 7 classes."""

    def get(name: str, classes: int = 7, pretrained: bool = False) -> HybridBlock:
        return base(classes, seed=5, channels=1) if pretrained else SimpleNet(classes)

    monkeypatch.setattr(model_zoos, "_import", lambda _: SimpleNamespace(get_model=get))


def saved(net: HybridBlock, path: Path) -> Weights:
    net.save_parameters(str(path))
    return Weights(str(path), read_params(path))


def test_the_same_network_is_loaded_whole(tmp_path: Path) -> None:
    old, new = network(seed=1, maxmin=True), network(seed=2, maxmin=True)
    report = start_from(new, saved(old, tmp_path / "a.params"))
    assert not report.left and not report.missing and not report.replaced
    for name, array in network_arrays(old).items():
        assert np.array_equal(network_arrays(new)[name], array), name
    assert report.line() == f"{tmp_path / 'a.params'}: {len(report.loaded)} arrays loaded"


def test_a_head_of_other_classes_is_new(tmp_path: Path) -> None:
    old, new = network(classes=5, seed=1), network(seed=2)
    before = network_arrays(new)
    report = start_from(new, saved(old, tmp_path / "a.params"))
    assert report.replaced == ["classifier.weight", "classifier.bias"]
    after, trained = network_arrays(new), network_arrays(old)
    for name in after:
        want = before if name in report.replaced else trained
        assert np.array_equal(after[name], want[name]), name
    assert "2 new because the number of classes differs (classifier.weight, classifier.bias)" in report.line()


def test_what_the_file_lacks_or_has_besides_is_named(tmp_path: Path) -> None:
    old, new = network(seed=1, render=False), network(seed=2)
    report = start_from(new, saved(old, tmp_path / "a.params"))
    assert report.missing and all(
        "render_norms" in n or "template_norms" in n or "zero" in n for n in report.missing
    )
    back = start_from(network(render=False), saved(new, tmp_path / "b.params"))
    assert set(back.left) >= set(report.missing) and not back.missing


@pytest.mark.parametrize("kind", ["parameters", "symbol"])
def test_any_cnn_starts_from_its_own_file(tmp_path: Path, kind: str) -> None:
    """Max is the trained network, Min the network of negated features, from both kinds of file."""
    old = base()
    if kind == "symbol":
        old.hybridize()
        images = mx.nd.random.normal(shape=(2, *SHAPE))
        old(images)
        old.export(str(tmp_path / "a"))
        weights = Weights("a", read_params(tmp_path / "a-0000.params"))
    else:
        weights = saved(old, tmp_path / "a.params")
    images = mx.nd.random.normal(shape=(2, *SHAPE))
    trained = maxmin(old)(images)
    new = initialise(traced(3, maxmin=True), seed=3)
    report = start_from(new, weights)
    assert not report.left
    assert len(report.copied) == 4 and all(".min." in name for name in report.copied)
    found = new(images)
    for want, got in zip(trained, found[1:]):
        assert np.allclose(got.asnumpy(), want.asnumpy(), atol=1e-5)


def traced(classes: int, **options: Any) -> Network:
    return TracedNRM(SimpleNet(classes), classes, SHAPE, NRMOptions(**options))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda: get_model("digits_cnn", 3, SHAPE, [4, "pool", 6]), "is of another network: .* is "),
        (lambda: get_model("digits_cnn", 3, SHAPE, [9, 9, 9, 9]), "is of another network"),
        (lambda: SimpleNet(3), "is of another network: . of . filters are not in it"),
    ],
)
def test_weights_of_another_network_are_refused(tmp_path: Path, other: Any, message: str) -> None:
    net = other()
    net.initialize()
    net(mx.nd.zeros((1, *SHAPE)))
    mine = network()
    before = network_arrays(mine)
    with pytest.raises(ModelError, match=message):
        start_from(mine, saved(net, tmp_path / "a.params"))
    assert all(np.array_equal(array, before[name]) for name, array in network_arrays(mine).items())


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    good = tmp_path / "good.params"
    weights = saved(network(), good)
    cut, pickled, nameless = (tmp_path / name for name in ("cut", "pickled", "nameless"))
    cut.write_bytes(good.read_bytes()[:-9])
    pickled.write_bytes(pickle.dumps({"layers.0.weight": np.zeros(3)}))
    mx.nd.save(str(nameless), [mx.nd.zeros((2,))])
    for path, message in (
        (cut, "is no .params file of MXNet"),
        (pickled, "is no .params file of MXNet"),
        (nameless, "holds no named array"),
        (
            tmp_path / "absent",
            "is no file; give a .params file, the folder of a run, or a pretrained network",
        ),
    ):
        with pytest.raises(ModelError, match=message):
            read_params(path)
    name = "classifier.weight"
    weights.arrays[name] = weights.arrays[name] * np.nan
    with pytest.raises(ModelError, match="classifier.weight of .* is not finite"):
        start_from(network(), weights)


def run(root: Path, text: str, *overrides: str) -> Tuple[RunFolder, str]:
    stream = io.StringIO()
    found = fit_without_pictures(recipe(text, "train.epochs=1", *overrides), root=root, stream=stream)
    return found, stream.getvalue()


def test_a_run_keeps_what_it_started_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Student and teacher start from the file; without it, and without a checkpoint, the run goes on."""
    trained, _ = run(tmp_path / "first", FULL, "train.seed=7")
    source = f"model.weights={trained.path}"
    rate = ("optimiser.phases.0.lr=1e-30", "optimiser.phases.1.lr=1e-30", "optimiser.phases.1.final_lr=1e-31")
    second, log = run(tmp_path, FULL, source, *rate)
    report = json.loads(second.start_report_path.read_text())
    assert not report["missing"] and not report["left"] and "arrays loaded" in log
    old, new = (folder.checkpoints / "epoch_0001" / "student.npz" for folder in (trained, second))
    filters = "layers.0.convolution.weight"
    with np.load(old.with_name("teacher.npz")) as a, np.load(new) as b:
        assert np.allclose(a[filters], b[filters])
    for folder in (trained.path, second.checkpoints / "epoch_0001"):
        shutil.rmtree(folder)
    for left in second.checkpoints.iterdir():
        left.unlink()
    (second.path / "FINISHED.json").unlink()
    second.metrics_path.write_text("")
    third, log = run(tmp_path, FULL, source, *rate)
    assert third.path == second.path and str(third.start_path) in log
    with np.load(new) as again:
        assert np.allclose(again[filters], np.load(third.start_path)[filters])


def test_a_mistake_makes_no_run_folder(tmp_path: Path) -> None:
    with pytest.raises(NRMError, match="is no file"):
        run(tmp_path, SUPERVISED, f"model.weights={tmp_path / 'absent'}")
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_a_zoo_network_starts_pretrained(tmp_path: Path, zoo: None) -> None:
    text = SUPERVISED.replace(
        "digits_cnn, channels: [4, pool, 4]", "gluon.small, pretrained: true, render: false"
    )
    folder, log = run(tmp_path, text)
    report: Dict[str, Any] = json.loads(folder.start_report_path.read_text())
    assert report["source"] == "pretrained gluon.small" and len(report["replaced"]) == 2
    assert "2 new because the number of classes differs" in log


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        (
            OSError("no route to host"),
            "cannot be downloaded .no route to host.;\nconnect to the network once",
        ),
        (RuntimeError("Failed downloading url"), "cannot be downloaded"),
        (ValueError("Pretrained model for small is not available."), "gluon has no weights of 'small'"),
    ],
)
def test_a_zoo_without_the_weights_is_named(
    monkeypatch: pytest.MonkeyPatch, problem: Exception, message: str
) -> None:
    def get(*_: Any, **__: Any) -> None:
        raise problem

    monkeypatch.setattr(model_zoos, "_import", lambda _: SimpleNamespace(get_model=get))
    with pytest.raises(ModelError, match=message):
        model_zoos.zoo_arrays("gluon.small")


def test_keys_that_do_not_go_together() -> None:
    with pytest.raises(
        RecipeError,
        match="digits_cnn is no network of a zoo; give a file or a pretrained network by model.weights",
    ):
        recipe(SUPERVISED, "model.pretrained=true")
    with pytest.raises(RecipeError, match="leave one of them out"):
        recipe(SUPERVISED, "model.name=gluon.alexnet", "model.channels=null", "model.pretrained=true",
               "model.weights=a.params")  # fmt: skip
