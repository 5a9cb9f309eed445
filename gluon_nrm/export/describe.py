"""What ``model.json`` says of an export, gathered from its run."""

from __future__ import annotations

from typing import Dict, Optional

from gluon_nrm.data.sets.streamed_images import KEPT
from gluon_nrm.export.inference_graph import IMAGE
from gluon_nrm.export.load import Chosen
from gluon_nrm.predict.manifest import CALLER, GRAPH, VERSION, File, Input, Manifest, Quantised, Source
from gluon_nrm.recipe import recipe_hash
from gluon_nrm.runs.open_run import run_name
from gluon_nrm.training.assemble import Parts
from gluon_nrm.version import __version__


def describe(chosen: Chosen, files: Dict[str, File], int8: Optional[Quantised]) -> Manifest:
    """Write down what was exported and where it comes from."""
    parts = chosen.restored.parts
    return Manifest(
        version=VERSION,
        name=run_name(parts.recipe, parts.recipe.train.seed),
        input=_input(chosen),
        outputs=list(chosen.wanted.outputs),
        class_names=list(parts.dataset.class_names),
        network=chosen.network,
        source=_source(chosen),
        test_error=chosen.error,
        int8=int8,
        files=files,
    )


def _input(chosen: Chosen) -> Input:
    dataset = chosen.restored.parts.dataset
    return Input(
        name=IMAGE,
        shape=[None, *dataset.input_shape],
        dtype="float32",
        pixels=list(dataset.pixel_range),
        normalised_by=GRAPH if chosen.folded else CALLER,
        mean=[float(value) for value in dataset.mean],
        std=[float(value) for value in dataset.std],
        shorter_side=_shorter_side(chosen.restored.parts),
    )


def _shorter_side(parts: Parts) -> Optional[int]:
    """To what images of any size are brought before the middle is cut out, where they may be of any size."""
    if parts.dataset.streamed:
        return int(round(parts.dataset.input_shape[1] / KEPT))
    return parts.recipe.data.size


def _source(chosen: Chosen) -> Source:
    parts, run = chosen.restored.parts, chosen.restored.run
    environment = run.env()
    # a run that went on elsewhere says what had changed
    for later in environment.get("resumed", []):
        environment = {**environment, **later}
    return Source(
        recipe=parts.recipe.name,
        recipe_hash=recipe_hash(parts.recipe),
        seed=parts.recipe.train.seed,
        model=parts.recipe.model.name,
        dataset=parts.recipe.data.name,
        labels=len(parts.split.labelled),
        epochs=chosen.restored.epoch,
        commit=environment.get("commit"),
        uncommitted_changes=environment.get("uncommitted_changes"),
        gluon_nrm=__version__,
    )
