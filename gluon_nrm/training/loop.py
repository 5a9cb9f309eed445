"""The training loop: steps, epochs, evaluation, checkpoints."""

from __future__ import annotations

import time
from typing import Any, Dict, Optional

from mxnet.gluon import Trainer

from gluon_nrm.training.arrays import (
    device_statistics,
    finite_arrays,
    load_device_statistics,
    load_network,
    synchronise_statistics,
)
from gluon_nrm.training.assemble import Parts, seed_step
from gluon_nrm.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from gluon_nrm.training.evaluate import error_rates
from gluon_nrm.training.optimisers import load_trainer, make_trainer, trainer_arrays
from gluon_nrm.training.progress import Progress
from gluon_nrm.training.run_folder import RunFolder
from gluon_nrm.training.schedules import Stretch, learning_rate, loss_weights, stretches
from gluon_nrm.training.stopping import StopRequest
from gluon_nrm.training.tally import Tally


class Loop:
    """Trains ``parts`` in a run folder, from where the folder's newest checkpoint stands.

    Everything a step depends on is its parameters, the optimiser's state and the step's number, so a run may
    stop after any step and go on to the same bits.
    """

    def __init__(self, parts: Parts, run: RunFolder) -> None:
        self.parts, self.run, self.recipe = parts, run, parts.recipe
        self.epoch_steps = parts.streams.steps_per_epoch
        self._stretches = stretches(self.recipe.optimiser.phases, self.recipe.train.epochs)
        self._parameters = parts.parameters
        self._trainer: Optional[Trainer] = None
        self._phase_start = -1
        self.number = 0  # steps taken
        self._tally = Tally(parts.objective.names)
        checkpoint = load_checkpoint(run.checkpoints)
        if checkpoint is not None:
            self._restore(checkpoint)
        run.truncate_metrics(self.number // self.epoch_steps)

    def train(self, progress: Progress) -> None:
        """Run the epochs that are left.

        Raises:
            NonFiniteLoss: a loss term is infinite or not a number; the last checkpoint stands.
            KeyboardInterrupt: asked to stop; the step under way was finished and saved.
        """
        with StopRequest() as stop:
            while self.number < self.recipe.train.epochs * self.epoch_steps:
                self._train_epoch(progress, stop)

    def _train_epoch(self, progress: Progress, stop: StopRequest) -> None:
        epoch, done = divmod(self.number, self.epoch_steps)
        started, images = time.monotonic(), 0
        for step in self.parts.streams.epoch(epoch, done):
            trainer = self._trainer_for(self.number / self.epoch_steps)
            weights = loss_weights(self.recipe.loss, self.number / self.epoch_steps)
            seed_step(self.parts.net, self.recipe.train.seed, self.number)
            self.number += 1
            self._tally.add(self.parts.step(step, weights, trainer, self.number), weights)
            size = self.recipe.train.batch_labelled + self.recipe.train.batch_unlabelled
            images += size
            progress.step(size)
            if stop.asked and self.number % self.epoch_steps:
                self._save()
                raise KeyboardInterrupt
        self._end_epoch(progress, time.monotonic() - started, images)
        if stop.asked and epoch + 1 < self.recipe.train.epochs:
            self._save()
            raise KeyboardInterrupt

    def _end_epoch(self, progress: Progress, seconds: float, images: int) -> None:
        for net in self.parts.networks.values():
            synchronise_statistics(net)
        if self.parts.teacher is not None:
            self.parts.teacher.end_epoch()
        epoch = self.number // self.epoch_steps
        row: Dict[str, Any] = {
            "epoch": epoch,
            "step": self.number,
            "lr": self._trainer_for(epoch - 1 / self.epoch_steps).learning_rate,
            "seconds": seconds,
            "images_per_second": images / seconds,
            **self._tally.means(),
            **self._errors(),
        }
        self._tally = Tally(self.parts.objective.names)
        # first the row, then the checkpoint: a run that goes on forgets rows after its checkpoint, and makes
        # them again
        self.run.append_metrics(row)
        progress.epoch(row)
        if epoch % self.recipe.train.checkpoint_every_epochs == 0 or epoch == self.recipe.train.epochs:
            self._save()

    def _errors(self) -> Dict[str, float]:
        errors: Dict[str, float] = {}
        for name, net in self.parts.networks.items():
            rates = error_rates(net, self.parts.evaluation(), self.parts.devices[0])
            errors.update({f"error/{name}{suffix}": rate for suffix, rate in rates.items()})
        return errors

    def _stretch_at(self, epoch: float) -> Stretch:
        return next(stretch for stretch in self._stretches if epoch < stretch.end)

    def _trainer_for(self, epoch: float) -> Trainer:
        """Return the trainer of the phase at ``epoch``, fresh where a phase begins, at its rate."""
        stretch = self._stretch_at(epoch)
        if self._trainer is None or stretch.start != self._phase_start:
            self._trainer = make_trainer(
                self._parameters, self.recipe.optimiser, stretch.phase, self.recipe.train.kvstore
            )
            self._phase_start = stretch.start
        self._trainer.set_learning_rate(learning_rate(stretch, epoch))
        return self._trainer

    def _save(self) -> None:
        networks = self.parts.networks
        arrays = {name: finite_arrays(net, name, self.number) for name, net in networks.items()}
        if len(self.parts.devices) > 1 and self.number % self.epoch_steps:
            arrays.update({f"{name}_devices": device_statistics(net) for name, net in networks.items()})
        targets = self.parts.teacher.arrays() if self.parts.teacher is not None else {}
        if targets:
            arrays["targets"] = targets
        if self._trainer is not None:
            arrays["optimiser"] = trainer_arrays(self._trainer)
        state = {
            "step": self.number,
            "phase_start": self._phase_start,
            "tally": self._tally.state(),
            "loss_scale": self.parts.step.scale.state(),
        }
        save_checkpoint(self.run.checkpoints, self.number // self.epoch_steps, arrays, state)

    def _restore(self, checkpoint: Checkpoint) -> None:
        for name, net in self.parts.networks.items():
            load_network(net, checkpoint.arrays.get(name, {}), str(checkpoint.path / f"{name}.npz"))
            load_device_statistics(net, checkpoint.arrays.get(f"{name}_devices", {}))
        if self.parts.teacher is not None:
            self.parts.teacher.load(
                checkpoint.arrays.get("targets", {}), str(checkpoint.path / "targets.npz")
            )
        self.number = int(checkpoint.state["step"])
        self._tally = Tally(self.parts.objective.names, checkpoint.state["tally"])
        if "loss_scale" in checkpoint.state:  # checkpoints of earlier versions have none
            self.parts.step.scale.restore(checkpoint.state["loss_scale"])
        epoch = self.number / self.epoch_steps
        if (
            epoch >= self.recipe.train.epochs
            or self._stretch_at(epoch).start != checkpoint.state["phase_start"]
        ):
            return  # the next step starts a phase, whose optimiser starts afresh
        updates = self.number - self.epoch_steps * self._stretch_at(epoch).start
        where = str(checkpoint.path / "optimiser.npz")
        load_trainer(self._trainer_for(epoch), checkpoint.arrays.get("optimiser", {}), updates, where)
