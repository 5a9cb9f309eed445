"""The training loop: steps, epochs, evaluation, checkpoints."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Callable, Dict, Mapping, Optional, Union

from mxnet.gluon import Trainer

from gluon_nrm.console.signals import StopRequest
from gluon_nrm.distributed.workers import Arrays
from gluon_nrm.errors import CheckpointError, RunError
from gluon_nrm.optimisation.schedules import Stretch, learning_rate, loss_weights, stretches
from gluon_nrm.option_names import option
from gluon_nrm.runs.checkpoint import load_checkpoint, save_checkpoint
from gluon_nrm.runs.curves import draw_curves
from gluon_nrm.runs.network_arrays import finite_arrays, load_network, network_arrays
from gluon_nrm.runs.run_folder import RunFolder
from gluon_nrm.runs.tensorboard_log import TensorBoardLog
from gluon_nrm.storage.json_io import SourceFile, read_keys
from gluon_nrm.training.assemble import Parts
from gluon_nrm.training.device_statistics import (
    average,
    device_statistics,
    load_device_statistics,
    synchronise_statistics,
)
from gluon_nrm.training.evaluate import evaluate_network
from gluon_nrm.training.optimisers import load_trainer, make_trainer, trainer_arrays
from gluon_nrm.training.progress import Progress
from gluon_nrm.training.seeding import seed_step
from gluon_nrm.training.server_updates import ServerUpdates
from gluon_nrm.training.stream_terms import TermSums

#: Types of the counters in a checkpoint; earlier versions have no loss_scale.
STATE = {"step": int, "phase_start": float, "tally": Dict[str, float]}
#: Least seconds between two drawings of the curves.
REDRAW_AFTER = 5.0


class Loop:
    """Train ``parts`` in a run folder, from its newest checkpoint.

    A step depends only on the parameters, the state of the optimiser and the number of the step, so a run can
    stop after any step and resume with the same bits.

    Every worker runs this loop; only worker 0 reads and writes the run folder, and evaluates.
    """

    def __init__(self, parts: Parts, run: RunFolder) -> None:
        self.parts, self.run, self.recipe = parts, run, parts.recipe
        self.workers = parts.workers
        self.epoch_steps = parts.streams.steps_per_epoch
        self._stretches = stretches(self.recipe.optimiser.phases, self.recipe.train.epochs)
        self._parameters = parts.parameters
        self._trainer: Optional[Union[Trainer, ServerUpdates]] = None
        self._phase_start = -1
        self.number = 0  # steps taken
        self._tally = self._new_tally()
        self.tensorboard: Optional[TensorBoardLog] = None
        self._tell: Callable[[str], None] = lambda text: None
        self._drawn_at = time.monotonic()
        self._start()
        if self.workers.first:
            run.truncate_metrics(self.number // self.epoch_steps)

    def train(self, progress: Progress, stop: StopRequest) -> None:
        """Train the remaining epochs.

        Args:
            progress: shows and logs the progress.
            stop: checked after every step.

        Raises:
            NonFiniteLoss: a loss term is infinite or not a number; the last checkpoint stands.
            Stopped: asked to stop; the step under way was finished and saved.
        """
        self._tell = progress.show
        while self.number < self.recipe.train.epochs * self.epoch_steps:
            self._train_epoch(progress, stop)

    def _train_epoch(self, progress: Progress, stop: StopRequest) -> None:
        epoch, done = divmod(self.number, self.epoch_steps)
        started, images = time.monotonic(), 0
        for step in self.parts.streams.epoch(epoch, done):
            at = self.number / self.epoch_steps
            trainer, weights = self._trainer_for(at), loss_weights(self.recipe.loss, at)
            rate = trainer.learning_rate / self._stretch_at(at).phase.lr
            if self.parts.draws:
                seed_step(self.recipe.train.seed, self.number, self.parts.devices, self.workers.rank)
            self.number += 1
            terms = self.parts.step(step, weights, trainer, self.number, rate)
            self._tally.add(terms, weights, self.parts.step.companion_losses)
            size = self.recipe.train.batch_labelled + self.recipe.train.batch_unlabelled
            images += size
            progress.step(size)
            # all workers stop after the same step; with dist_async they meet only at the end of an epoch
            asked = not self.workers.asynchronous and self.workers.any(stop.asked)
            if asked and self.number % self.epoch_steps:
                self._save(stop)
                raise stop.stopped()
        self._end_epoch(progress, stop, time.monotonic() - started, images)
        if self.workers.any(stop.asked) and epoch + 1 < self.recipe.train.epochs:
            self._save(stop)
            raise stop.stopped()

    def _end_epoch(self, progress: Progress, stop: StopRequest, seconds: float, images: int) -> None:
        if isinstance(self._trainer, ServerUpdates):
            self._bring_together(self._trainer)
        for net in self.parts.saved.values():
            synchronise_statistics(net, self.workers)
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
        self._tally = self._new_tally()
        # the row comes before the checkpoint: a resumed run drops rows after its checkpoint and writes them
        # again
        if self.workers.first:
            self.run.append_metrics(row)
            if self.tensorboard is not None:
                self.tensorboard.row(row)
        progress.epoch(row)
        if epoch % self.recipe.train.checkpoint_every_epochs == 0 or epoch == self.recipe.train.epochs:
            self._save(stop)

    def _bring_together(self, updates: ServerUpdates) -> None:
        """Equalise the parameters of all workers of dist_async, and average their sums and teachers."""
        updates.pull()
        self._tally.average(self.workers)
        teacher = self.parts.networks.get("teacher")
        if teacher is not None:
            average(teacher.collect_params().values(), self.workers)

    def _errors(self) -> Dict[str, float]:
        """Compute error rates on worker 0; the other workers wait for it at the next exchange.

        Without labels, also the agreement of clusters with classes, under keys ``clustering/NETWORK_nmi``.
        """
        errors: Dict[str, float] = {}
        if not self.workers.first:
            return errors
        for name, net in self.parts.networks.items():
            found = evaluate_network(net, self.parts.evaluation(), self.parts.devices[0], self.parts.clusters)
            errors.update({f"error/{name}{suffix}": rate for suffix, rate in found.errors.items()})
            if found.clustering is not None:
                errors[f"clustering/{name}_nmi"] = found.clustering.nmi
                errors[f"clustering/{name}_ari"] = found.clustering.ari
        return errors

    def _new_tally(self, sums: Mapping[str, float] = {}) -> TermSums:
        companion = self.parts.companion
        return TermSums(self.parts.objective.names, sums, companion.terms if companion is not None else ())

    def _stretch_at(self, epoch: float) -> Stretch:
        return next(stretch for stretch in self._stretches if epoch < stretch.end)

    def _trainer_for(self, epoch: float) -> Union[Trainer, ServerUpdates]:
        """Return the trainer of the phase at ``epoch``, new at the start of a phase, with its rate."""
        stretch = self._stretch_at(epoch)
        if self._trainer is None or stretch.start != self._phase_start:
            self._trainer = self._make_trainer(stretch)
            self._phase_start = stretch.start
        self._trainer.set_learning_rate(learning_rate(stretch, epoch))
        return self._trainer

    def _make_trainer(self, stretch: Stretch) -> Union[Trainer, ServerUpdates]:
        optimiser = self.recipe.optimiser
        if self.workers.asynchronous:
            return ServerUpdates(
                self.workers, self._parameters, optimiser, stretch, self.epoch_steps, self.number
            )
        return make_trainer(self._parameters, optimiser, stretch.phase, self.recipe.train.kvstore)

    def _save(self, stop: StopRequest) -> None:
        """Save a checkpoint, and draw the curves so far unless they were drawn a moment ago."""
        with stop.saving():
            self._save_uninterrupted()
        due = stop.asked or time.monotonic() - self._drawn_at >= REDRAW_AFTER
        if self.workers.first and self.number >= self.epoch_steps and due:
            self._drawn_at = time.monotonic()
            try:
                draw_curves(self.run)
            except RunError as problem:  # a figure is no reason to stop
                self._tell(str(problem))

    def _save_uninterrupted(self) -> None:
        networks = self.parts.saved
        arrays = {name: finite_arrays(net, name, self.number) for name, net in networks.items()}
        if len(self.parts.devices) * self.workers.size > 1 and self.number % self.epoch_steps:
            for name, net in networks.items():
                arrays[f"{name}_devices"] = device_statistics(net, self.workers)
        targets = self.parts.teacher.arrays() if self.parts.teacher is not None else {}
        if targets:
            arrays["targets"] = targets
        if self.parts.step.chains is not None:
            arrays["chains"] = self.parts.step.chains.arrays(self.workers)
        if self.parts.companion is not None:
            arrays["companion_optimiser"] = self.parts.companion.arrays()
        if isinstance(self._trainer, Trainer):
            arrays["optimiser"] = trainer_arrays(self._trainer)
        state = {
            "step": self.number,
            "phase_start": self._phase_start,
            "tally": self._tally.state(),
            "loss_scale": self.parts.step.scale.state(),
        }
        if targets and self.parts.facts is not None:
            state["training_images"] = self.parts.facts.targets_of
        if self.workers.first:
            save_checkpoint(self.run.checkpoints, self.number // self.epoch_steps, arrays, state)

    def _start(self) -> None:
        """Load worker 0's newest checkpoint, or its initial networks if there is none."""
        checkpoint = load_checkpoint(self.run.checkpoints) if self.workers.first else None
        if checkpoint is not None:
            arrays, state, path = checkpoint.arrays, checkpoint.state, checkpoint.path
        else:
            self._start_companion()
            if self.workers.size == 1:
                return
            arrays = {name: network_arrays(net) for name, net in self.parts.saved.items()}
            state, path = {}, self.run.checkpoints
        arrays, state = self.workers.arrays_from_first(arrays, state)
        self._restore_networks(arrays, path)
        if state:
            self._restore(arrays, state, path)

    def _start_companion(self) -> None:
        """Start the companion of a new run from the first batch of the stream without labels."""
        if self.parts.companion is not None and self.workers.first:
            step = next(iter(self.parts.streams.epoch(0)))
            self.parts.companion.start((step.unlabelled or step.labelled).images)

    def _restore_networks(self, arrays: Arrays, path: Path) -> None:
        for name, net in self.parts.saved.items():
            load_network(net, arrays.get(name, {}), str(path / f"{name}.npz"))
            load_device_statistics(net, arrays.get(f"{name}_devices", {}), self.workers.rank)

    def _restore(self, arrays: Arrays, state: Mapping[str, Any], path: Path) -> None:
        remedy = f"put it back as it was, or give {option('fresh', True)}"
        source = SourceFile(str(path / "state.json"), CheckpointError, remedy)
        read_keys(state, STATE, source, optional={"loss_scale": Dict[str, Any], "training_images": str})
        if "loss_scale" in state:
            numbers = {"value": float, "steps": int}
            read_keys(state["loss_scale"], numbers, source, optional={}, key="loss_scale")
        if self.parts.teacher is not None:
            self._check_images(state, path)
            self.parts.teacher.load(arrays.get("targets", {}), str(path / "targets.npz"))
        if self.parts.step.chains is not None:
            self.parts.step.chains.load(arrays.get("chains", {}), str(path / "chains.npz"))
        self.number = int(state["step"])
        self._tally = self._new_tally(state["tally"])
        if "loss_scale" in state:
            self.parts.step.scale.restore(state["loss_scale"])
        if self.parts.companion is not None:
            where = str(path / "companion_optimiser.npz")
            self.parts.companion.load(arrays.get("companion_optimiser", {}), self.number, where)
        epoch = self.number / self.epoch_steps
        if epoch >= self.recipe.train.epochs or self._stretch_at(epoch).start != state["phase_start"]:
            return  # the next step starts a phase with a new optimiser
        updates = self.number - self.epoch_steps * self._stretch_at(epoch).start
        trainer = self._trainer_for(epoch)
        if isinstance(trainer, Trainer):  # with dist_async the optimiser's state was the servers'
            load_trainer(trainer, arrays.get("optimiser", {}), updates, str(path / "optimiser.npz"))

    def _check_images(self, state: Mapping[str, Any], path: Path) -> None:
        """Check that the targets of the checkpoint belong to the training images of this run.

        Raises:
            CheckpointError: they belong to other images.
        """
        facts, stored = self.parts.facts, state.get("training_images")
        if facts is not None and stored not in (None, facts.targets_of):
            raise CheckpointError(
                f"{path}: its targets belong to other training images; use the run's own checkpoint"
            )
