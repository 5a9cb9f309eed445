"""Recipes that train in a second, and what tests of training look at."""

from __future__ import annotations

import hashlib
import io
from dataclasses import asdict
from pathlib import Path
from typing import Any, Dict, List

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon import Trainer

from gluon_nrm.data import Batch, Step
from gluon_nrm.models.interface.parameters import named_parameters
from gluon_nrm.recipe import Recipe, recipe_from_text
from gluon_nrm.runs.checkpoint import Checkpoint, load_checkpoint
from gluon_nrm.runs.run import Run
from gluon_nrm.runs.run_folder import RunFolder
from gluon_nrm.training import evaluate_run
from gluon_nrm.training import fit as fit_module
from gluon_nrm.training.assemble import Parts, assemble
from gluon_nrm.training.optimisers import make_trainer, trained_parameters

SUPERVISED = """\
data: {name: digits, labels: 20, validation: 50, shift: 1}
model: {name: digits_cnn, channels: [4, pool, 4], path_norm: none}
optimiser:
  phases:
  - {name: nag, lr: 0.05, momentum: 0.9, schedule: cosine, warmup_epochs: 1}
train: {epochs: 3, epoch_steps: 3, batch_labelled: 4}
"""

#: Every term, both branches, dropout, a teacher, and a switch of the optimiser on the way.
FULL = """\
data: {name: digits, labels: 20, validation: 50, shift: 1}
model: {name: digits_cnn, channels: [4, pool, 4], maxmin: true, dropout: 0.5}
loss:
  weights:
    {cross_entropy: 1, reconstruction: 0.5, entropy: 0.5, moment_matching: 0.5, path_norm: 1, consistency: 33}
  consistency_rampup_epochs: 2
teacher: {enabled: true, augmentation: independent}
optimiser:
  phases:
  - {name: adam, lr: 1e-3, epochs: 1}
  - {name: sgd, lr: 1e-2, momentum: 0.9, schedule: exponential, final_lr: 1e-3}
train: {epochs: 3, epoch_steps: 3, batch_labelled: 4, batch_unlabelled: 8}
"""

#: The same on a traced network, with gates that are drawn in every step.
TRACED = FULL.replace(
    "name: digits_cnn, channels: [4, pool, 4], maxmin: true, dropout: 0.5",
    "name: digits_shake_resnext, maxmin: true",
)
NO_TEACHER = "teacher: {enabled: true, augmentation: independent}\n"
TEMPORAL = FULL.replace(NO_TEACHER, "teacher: {enabled: true, method: temporal_ensembling}\n")
PI = FULL.replace("{enabled: true, augm", "{enabled: true, method: pi, augm")
VAT = FULL.replace("consistency: 33}", "virtual_adversarial: 2}").replace(NO_TEACHER, "")
#: Path normalisation by persistent chains; with batch norms, without rendering norms.
SAMPLED = """\
data: {name: digits, labels: 20, validation: 50, shift: 1}
model: {name: digits_cnn, channels: [4, pool, 4], render_norm: none, path_norm: sampled, temperature: 0.5}
loss: {weights: {cross_entropy: 1, reconstruction: 0.5, path_norm: 0.1}, sampling: {chains: 2, sweeps: 2}}
optimiser:
  phases:
  - {name: adam, lr: 1e-3}
train: {epochs: 3, epoch_steps: 3, batch_labelled: 4, batch_unlabelled: 8}
"""
#: A Ladder network, which draws noise in every step.
LADDER = """\
data: {name: digits, labels: 20, validation: 50, shift: 1}
model: {name: ladder_digits, render: false, path_norm: none}
loss: {weights: {cross_entropy: 1, denoising: 0.5}}
optimiser:
  phases:
  - {name: adam, lr: 1e-3}
train: {epochs: 3, epoch_steps: 3, batch_labelled: 4, batch_unlabelled: 8}
"""
#: Clusters in place of classes.
UNSUPERVISED = """\
data: {name: digits, labels: 0, validation: 50, shift: 1}
model: {name: digits_cnn, channels: [4, pool, 4], maxmin: true}
loss:
  weights: {cross_entropy: 0, reconstruction: 0.5, entropy: 0.5, path_norm: 1, balance: 1}
optimiser:
  phases:
  - {name: adam, lr: 1e-3}
train: {epochs: 2, epoch_steps: 3, batch_labelled: 0, batch_unlabelled: 8}
"""
#: Where the consistency target, or the perturbation, comes from the network itself.
METHODS = {"pi": PI, "temporal": TEMPORAL, "vat": VAT}


def recipe(text: str = FULL, *overrides: str) -> Recipe:
    """The recipe of a text, called ``short``."""
    return recipe_from_text(text, "short.yaml", list(overrides))


def built(text: str = FULL, *overrides: str, devices: int = 1, hybridise: bool = True) -> Parts:
    """All parts of a recipe, on CPU contexts."""
    return assemble(recipe(text, *overrides), [mx.cpu(i) for i in range(devices)], hybridise)


def trainer_of(parts: Parts, phase: int = 0) -> Trainer:
    """A fresh trainer of what the objective of ``parts`` reaches."""
    parameters = trained_parameters(parts.objective)
    settings = parts.recipe.optimiser
    return make_trainer(parameters, settings, settings.phases[phase], parts.recipe.train.kvstore)


def full_weights(parts: Parts) -> Dict[str, float]:
    """The weights of the terms, past all ramp-ups."""
    return asdict(parts.recipe.loss.weights)


def a_step(labelled: int = 4, unlabelled: int = 8, seed: int = 0) -> Step:
    """Noise in place of normalised digits, with labels."""
    rng = np.random.RandomState(seed)

    def batch(size: int, labels: Any) -> Batch:
        return Batch(rng.randn(size, 1, 8, 8).astype(np.float32), np.asarray(labels, dtype=np.float32))

    first = batch(labelled, rng.randint(0, 10, labelled))
    return Step(first, batch(unlabelled, np.full(unlabelled, -1)) if unlabelled else None)


def values(net: Any) -> Dict[str, np.ndarray]:
    """All parameters of a network, on all devices: structural name -> (devices, ...)."""
    mx.nd.waitall()  # the norms move their running statistics behind the scheduler's back
    return {
        name: np.stack([copy.asnumpy() for copy in parameter.list_data()])
        for name, parameter in named_parameters(net).items()
    }


def differences(found: Dict[str, np.ndarray], expected: Dict[str, np.ndarray]) -> List[str]:
    """The names whose arrays differ in a single bit, or that only one of both has."""
    return [
        name
        for name in sorted({*found, *expected})
        if name not in found or name not in expected or found[name].tobytes() != expected[name].tobytes()
    ]


def no_pictures(patch: pytest.MonkeyPatch) -> None:
    """Let runs draw nothing: it takes longer than a short training, and no number depends on it."""
    patch.setattr(fit_module, "draw", draw_nothing)
    for name in ("plot_confusion", "plot_mistakes"):
        patch.setattr(evaluate_run, name, draw_nothing)


def fit_without_pictures(which: Recipe, **settings: Any) -> Run:
    """``fit`` on the CPU, silently unless a stream is given."""
    with pytest.MonkeyPatch.context() as patch:
        no_pictures(patch)
        return fit_module.fit(which, **{"devices": "cpu", "stream": io.StringIO(), **settings})


def draw_nothing(*_: Any, **__: Any) -> None:
    """Take the place of a function that draws."""


def newest(run: RunFolder) -> Checkpoint:
    """The newest checkpoint of a run, which must have one."""
    checkpoint = load_checkpoint(run.checkpoints)
    assert checkpoint is not None
    return checkpoint


def contents(folder: Path) -> Dict[str, str]:
    """Hash of every file below a folder; locks, which name their last holder, are left out."""
    paths = [path for path in sorted(folder.rglob("*")) if path.name != ".lock"]
    return {str(path.relative_to(folder)): _hash(path) if path.is_file() else "folder" for path in paths}


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


#: A classifier with a companion: its method, its network, its weights.
ADVERSARIAL = """\
data: {name: digits, labels: 20, validation: 50, shift: 1}
model: {name: NETWORK, render: false, path_norm: none}
loss: {weights: {cross_entropy: 1, WEIGHTS}}
adversarial: {method: METHOD, width: 4, lr: 1e-3}
optimiser:
  phases:
  - {name: adam, lr: 1e-3, beta1: 0.5, schedule: cosine, final_lr: 0}
  weight_decay: 0
train: {epochs: 3, epoch_steps: 3, batch_labelled: 4, batch_unlabelled: 8}
"""


def adversarial(method: str, network: str = "gan_digits", weights: str = "real: 0.5, generated: 0.5") -> str:
    """A recipe's text with a companion."""
    return ADVERSARIAL.replace("METHOD", method).replace("NETWORK", network).replace("WEIGHTS", weights)


COMPANIONS = {
    "improved_gan": adversarial("improved_gan"),
    "ali": adversarial("ali", "ali_digits"),
    "tangents": adversarial("tangents", weights="real: 0.5, generated: 0.5, jacobian: 1, tangent: 1"),
    "rendering": FULL.replace("path_norm: 1,", "path_norm: 1, adversarial: 0.5,").replace(
        "teacher:", "adversarial: {method: rendering, width: 4}\nteacher:"
    ),
    "draws": SAMPLED.replace("path_norm: 0.1}", "path_norm: 0.1, adversarial: 0.5}").replace(
        "optimiser:", "adversarial: {method: rendering, width: 4, draws: true}\noptimiser:"
    ),
}
