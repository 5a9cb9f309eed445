"""The contents of an export's ``model.json``, gathered from its run."""

from __future__ import annotations

from typing import Dict, Optional

from gluon_nrm.export.finished_run import FinishedRun
from gluon_nrm.predict.manifest import CALLER, GRAPH, VERSION, File, Manifest, Quantised, Source
from gluon_nrm.recipe import recipe_hash
from gluon_nrm.runs.open_run import run_name
from gluon_nrm.version import __version__


def describe_export(run: FinishedRun, files: Dict[str, File], int8: Optional[Quantised]) -> Manifest:
    """Describe an export and the run it comes from."""
    chosen = run.chosen
    return Manifest(
        version=VERSION,
        name=export_name(run),
        input=chosen.describe_input(CALLER if run.normalisation is None else GRAPH),
        outputs=list(chosen.choice.outputs),
        class_names=chosen.class_names,
        network=chosen.name,
        source=_source(run),
        test_error=run.error,
        int8=int8,
        files=files,
    )


def export_name(run: FinishedRun) -> str:
    """Name of the run, with which the names of the export's files begin."""
    recipe = run.chosen.trained.recipe
    return run_name(recipe, recipe.train.seed)


def _source(run: FinishedRun) -> Source:
    trained = run.chosen.trained
    recipe, environment = trained.recipe, trained.run.env()
    # a run that was continued with other code lists what had changed
    for later in environment.get("resumed", []):
        environment = {**environment, **later}
    return Source(
        recipe=recipe.name,
        recipe_hash=recipe_hash(recipe),
        seed=recipe.train.seed,
        model=recipe.model.name,
        dataset=recipe.data.name,
        labels=len(run.split.labelled),
        epochs=trained.epoch,
        commit=environment.get("commit"),
        uncommitted_changes=environment.get("uncommitted_changes"),
        gluon_nrm=__version__,
    )
