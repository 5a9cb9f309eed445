"""Train a recipe: open or resume its run, train to the last epoch, and draw its figures."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, TextIO, Union

import numpy as np

from gluon_nrm.console.display import Display
from gluon_nrm.console.signals import StopRequest
from gluon_nrm.data.facts.describe_counts import describe_counts
from gluon_nrm.distributed.agreement import check_software
from gluon_nrm.distributed.connect import connect
from gluon_nrm.distributed.workers import Workers
from gluon_nrm.errors import NRMError
from gluon_nrm.option_names import option
from gluon_nrm.recipe import Recipe, recipe_hash, recipe_to_yaml
from gluon_nrm.runs.curves import draw_curves
from gluon_nrm.runs.open_run import RunFolder, open_run, run_name
from gluon_nrm.runs.run import Run
from gluon_nrm.runs.run_data import evaluated_part
from gluon_nrm.runs.tables import summarise
from gluon_nrm.runs.tensorboard_log import TensorBoardLog, import_tensorboard
from gluon_nrm.system.devices import check_kvstore, parse_devices
from gluon_nrm.system.environment import describe_environment
from gluon_nrm.system.tune import tune
from gluon_nrm.training.assemble import Parts, assemble
from gluon_nrm.training.describe_evaluation import closing_lines
from gluon_nrm.training.draw_generated import draw_generated
from gluon_nrm.training.draw_renderings import default_images, draw_renderings, one_of_each
from gluon_nrm.training.evaluate_run import errors_of_row, evaluate_parts, write_files
from gluon_nrm.training.first_weights import keep_first_weights, set_first_weights
from gluon_nrm.training.loop import Loop
from gluon_nrm.training.progress import Progress
from gluon_nrm.training.resume import data_to_train, earlier_run, with_absolute_path

#: Largest number of layers in the figure of renderings.
SHOWN_LAYERS = 8


def fit(
    recipe: Recipe,
    *,
    seed: Optional[int] = None,
    devices: Optional[str] = None,
    kvstore: Optional[str] = None,
    root: Union[str, Path] = "runs",
    fresh: bool = False,
    hybridise: bool = True,
    go_on: Optional[str] = None,
    data_dir: Union[str, Path, None] = None,
    accept: Sequence[str] = (),
    tensorboard: bool = False,
    stream: Optional[TextIO] = None,
    verbose: bool = False,
) -> Run:
    """Train a recipe to its last epoch, resuming an unfinished run; a finished run is left unchanged.

    With a distributed kvstore every worker of the job calls it; only worker 0 has the run folder, shows
    progress, evaluates and draws. It tunes the process as far as that is possible after MXNet's import
    (``gluon_nrm.tune``). A script that catches its exceptions must end the process by ``os._exit``, as the
    tools do: at a normal exit, MXNet waits for all other workers.

    Args:
        recipe: what to train (``gluon_nrm.load_recipe``).
        seed: replaces the recipe's ``train.seed``.
        devices: for example ``"cpu(0),cpu(1)"`` or ``"gpu(0-3)"``; None: all GPUs, or the CPU.
        kvstore: replaces the recipe's ``train.kvstore``.
        root: folder of all runs.
        fresh: start a new run in a new folder.
        hybridise: False runs operator by operator, for debugging.
        go_on: the command that resumes the run, shown when it is interrupted; None: the same call.
        data_dir: folder of all data sets; None: that of the run, else the environment variable
            GLUON_NRM_DATA, else ``data``.
        accept: keys of the recipe that may change although they change the learning rates of completed epochs
            (``continuing``): ``train.epochs``.
        tensorboard: also write the metrics for TensorBoard, to the folder ``tensorboard`` of the run.
        stream: where progress is shown (standard error).
        verbose: show every loss term and every error of an epoch.

    Returns:
        The finished run: its error, metrics, settings and network.

    Raises:
        NRMError: see its subclasses; the message says what to do.
        Stopped: a ``KeyboardInterrupt``; Ctrl-C, SIGTERM or SIGHUP came, and the last step was saved.
    """
    tune()
    if tensorboard:
        import_tensorboard()  # a missing package is told before anything else is done
    changes: Dict[str, Any] = {
        key: value for key, value in (("seed", seed), ("kvstore", kvstore)) if value is not None
    }
    recipe = replace(recipe, train=replace(recipe.train, **changes))
    contexts = parse_devices(devices)
    check_kvstore(recipe.train.kvstore)
    with connect(recipe.train.kvstore) as workers:
        environment = describe_environment()
        check_software(workers, environment, recipe, contexts)
        recipe = with_absolute_path(recipe)
        earlier = earlier_run(Path(root), recipe, accept) if workers.first and not fresh else None
        done = workers.from_first(earlier.run.path.name if earlier and earlier.complete else None)
        if done is not None:
            return _finished(RunFolder(Path(root) / done), workers, stream)
        recipe, data = data_to_train(workers, earlier, recipe, data_dir)
        parts = assemble(recipe, contexts, hybridise, workers=workers, data=data)
        first = None
        if workers.first:  # the others get its networks when the loop starts
            first = set_first_weights(parts, earlier.run if earlier is not None else None)
        environment.update(devices=[str(context) for context in contexts], workers=workers.size)
        run = _open(workers, Path(root), parts, environment, fresh)
        with run:
            if workers.from_first(run.finished):
                return _finished(run, workers, stream)
            if first is not None:
                keep_first_weights(run, first)
            again = go_on or "call fit again with the same arguments"
            _train(parts, run, stream, again, tensorboard, verbose)
    return Run(run.path, check=workers.first, resumed=run.resumed)


def _finished(run: RunFolder, workers: Workers, stream: Optional[TextIO]) -> Run:
    """Print that the run is finished, and return it."""
    if workers.first:
        Display(sys.stderr if stream is None else stream).write(
            f"{run.path} is finished; give {option('fresh', True)} to train it again in a new folder\n"
        )
    return Run(run.path, check=workers.first, resumed=True)


def _open(workers: Workers, root: Path, parts: Parts, environment: Dict[str, Any], fresh: bool) -> RunFolder:
    """Open and lock the run on worker 0; other workers get its folder, which they never use."""
    run, recipe = None, parts.recipe
    if workers.first:
        run = open_run(
            root,
            run_name(recipe, recipe.train.seed),
            recipe_to_yaml(recipe),
            environment,
            fresh=fresh,
            facts=parts.facts,
        )
    name = workers.from_first(run.path.name if run is not None else None)
    return run if run is not None else RunFolder(root / name)


def _train(
    parts: Parts, run: RunFolder, stream: Optional[TextIO], go_on: str, tensorboard: bool, verbose: bool
) -> None:
    """Train the remaining epochs of a run, show progress, and draw its figures at the end."""
    loop, first = Loop(parts, run), parts.workers.first
    epochs = parts.recipe.train.epochs
    log_path = run.log_path if first else None
    with Progress(
        epochs, loop.epoch_steps, loop.number // loop.epoch_steps, log_path, stream=stream, verbose=verbose
    ) as progress, StopRequest(progress.show) as stop, ExitStack() as closing:
        if tensorboard and first:
            loop.tensorboard = closing.enter_context(TensorBoardLog(run))
        for line in opening_lines(parts, run, loop.number):
            progress.note(line)
        try:
            loop.train(progress, stop)
            stop.release()  # nothing is left to be saved
            last_lines: List[str] = []
            if first:
                draw(parts, run)
                last_lines = evaluate_at_the_end(parts, run)
                if loop.tensorboard is not None:
                    loop.tensorboard.write_figures()
                run.mark_finished(summarise(run))
        except KeyboardInterrupt:
            progress.note(f"stopped after step {loop.number}; to go on: {go_on}")
            raise
        except NRMError as problem:
            progress.note(str(problem))
            raise
        for line in [f"finished: {run.path}", *last_lines]:
            progress.note(line)
        if stop.asked:  # in the last epoch, too late to stop this run; the caller may have others
            raise stop.stopped()


def opening_lines(parts: Parts, run: RunFolder, steps_done: int) -> List[str]:
    """Summarise the run in a few lines, so that a wrong run can be stopped early."""
    recipe, split = parts.recipe, parts.split
    count = sum(int(np.prod(p.shape)) for p in parts.net.collect_params().values())
    switches = "Max-Min, " if recipe.model.maxmin else ""
    held_out = f", {len(split.validation)} held out for validation" if len(split.validation) else ""
    labelled = f"{len(split.labelled)} labelled" + (
        f", {len(split.unlabelled)} unlabelled" if recipe.train.batch_unlabelled else ""
    )
    skipped = str(parts.dataset.skipped)
    return [
        f"recipe   {recipe.name} ({recipe_hash(recipe)}), seed {recipe.train.seed}",
        f"data     {recipe.data.name}: {labelled}{held_out}, split seed {recipe.data.split_seed}",
        *(describe_counts(parts.facts) if parts.facts is not None else []),
        *([f"skipped  {skipped}"] if skipped else []),
        f"model    {recipe.model.name}: {switches}{count:,} parameters",
        *parts.warnings,
        *([f"start    {parts.start}"] if parts.start else []),
        f"terms    {', '.join(parts.objective.names)}"
        + (f"; beside it {', '.join(parts.companion.terms)}" if parts.companion is not None else ""),
        f"devices  {', '.join(map(str, parts.devices))}"
        + (f" of each of {parts.workers.size} workers" if parts.workers.size > 1 else ""),
        f"run      {run.path}" + (f", going on after step {steps_done}" if steps_done else ""),
    ]


def draw(parts: Parts, run: RunFolder) -> None:
    """Draw a run's curves, generated images, and renderings of an image of each class, if it learned them."""
    draw_curves(run)
    draw_generated(parts, run)
    if not parts.objective.renders:
        return
    evaluated, dataset = parts.evaluated(), parts.dataset
    shown = evaluated.subset(one_of_each(evaluated.labels, dataset.classes, default_images(parts)))
    images, labels = dataset.normalise(shown.images), shown.labels.astype(int)
    draw_renderings(parts, images, labels, run.figures / "renderings.png", most=SHOWN_LAYERS)


def evaluate_at_the_end(parts: Parts, run: RunFolder) -> List[str]:
    """Evaluate a trained run by class, write the files, and return the last lines of its log."""
    part = evaluated_part(parts.recipe)
    last = run.read_metrics()[-1]
    found = evaluate_parts(parts, run, last["epoch"], part, errors_of_row(last, list(parts.networks)))
    write_files(found)
    return closing_lines(found, renders=parts.objective.renders)
