"""Data of a run: loaded and split when it starts, restored from its stored facts afterwards."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, Optional, Union

from gluon_nrm.console.display import say
from gluon_nrm.data import (
    Dataset,
    DataSource,
    Split,
    data_folder,
    dataset_spec,
    draw_split,
    load_dataset,
    read_split,
)
from gluon_nrm.data.facts.facts import Facts, absolute, describe_data
from gluon_nrm.data.facts.stored_dataset import StoredDataset, find_source
from gluon_nrm.data.pipeline.splits import add_unlabelled_images
from gluon_nrm.data.pipeline.stand_in import stand_in
from gluon_nrm.errors import visible
from gluon_nrm.recipe.schema import Recipe
from gluon_nrm.runs.run_folder import RunFolder

#: Parts of the data that a run is evaluated on.
TEST, VALIDATION = "test", "validation"


def evaluated_part(recipe: Recipe) -> str:
    """Return the part of the data that a run is evaluated on while it trains: "test" or "validation"."""
    return VALIDATION if recipe.data.validation > 0 else TEST


class RunData(NamedTuple):
    """Images and their split into labelled, unlabelled and validation images."""

    dataset: Dataset
    split: Split
    #: None for noise, and for runs of early versions
    facts: Optional[Facts] = None


def new_data(recipe: Recipe, data_dir: Union[str, Path, None] = None) -> RunData:
    """Load the data set of a recipe and draw its labelled images.

    Raises:
        DataError: they cannot be loaded, or the draw is impossible.
    """
    settings = recipe.data
    dataset = load_dataset(
        settings.name,
        data_dir,
        path=settings.path,
        size=settings.size,
        streamed=settings.streamed,
        unlabelled=settings.unlabelled,
        semi_supervised=recipe.train.batch_unlabelled > 0,
    )
    return RunData(dataset, _draw(recipe, dataset))


def noise_data(recipe: Recipe) -> RunData:
    """Make a stand-in for the data: as many random images of the same shape."""
    train = dataset_spec(recipe.data.name).train
    dataset = stand_in(recipe.data.name, train=train, size=recipe.data.size)
    if recipe.data.unlabelled is not None and recipe.train.batch_unlabelled:
        dataset = replace(dataset, unlabelled=dataset.train.images)
    no_file = replace(recipe, data=replace(recipe.data, split_file=None))
    return RunData(dataset, _draw(no_file, dataset))


def with_facts(data: RunData, recipe: Recipe, data_dir: Union[str, Path, None] = None) -> RunData:
    """Add the facts of the data, taken from the files as they are now."""
    source = DataSource(data_folder(data_dir), recipe.data.path)
    return data._replace(facts=describe_data(data.dataset, data.split, source, recipe.data.labels is None))


def stored_data(recipe: Recipe, facts: Facts, data_dir: Union[str, Path, None] = None) -> RunData:
    """Restore the data of a run from its facts; images are loaded and compared on demand."""
    settings = recipe.data
    source = find_source(
        facts, data_dir, size=settings.size, streamed=settings.streamed, unlabelled=settings.unlabelled
    )
    split = facts.split(settings.unlabelled_includes_labelled)
    return RunData(StoredDataset(facts, source), split, facts)


def moved(facts: Facts, source: DataSource) -> Facts:
    """Return the facts with the present path of the data."""
    path = None if source.path is None else str(absolute(Path(source.path)))
    apart = facts.unlabelled
    if apart is not None and source.unlabelled is not None:
        apart = replace(apart, place=str(absolute(Path(source.unlabelled))))
    return replace(facts, path=path, data_dir=str(absolute(source.data_dir)), unlabelled=apart)


def data_of_run(run: RunFolder, recipe: Recipe, data_dir: Union[str, Path, None] = None) -> RunData:
    """Restore the data of a run; without stored facts, load the data set and warn.

    Raises:
        NRMError: the facts are damaged, or there are none and the data set cannot be loaded.
    """
    facts = run.facts()
    if facts is not None:
        return stored_data(recipe, facts, data_dir)
    warn_of_missing_facts(run)
    return new_data(recipe, data_dir)


def warn_of_missing_facts(run: RunFolder) -> None:
    """Warn that a run has no facts, so its data cannot be compared with those it was trained with."""
    text = (
        f"{run.path} has no {run.facts_path.name}: it was started by an earlier version, so nothing shows "
        "whether the images are still those that it was trained with; train it again to be sure"
    )
    say(f"warning: {visible(text)}")


def _draw(recipe: Recipe, dataset: Dataset) -> Split:
    split = _draw_labelled(recipe, dataset)
    return add_unlabelled_images(split, dataset.training_images, dataset.unlabelled_images)


def _draw_labelled(recipe: Recipe, dataset: Dataset) -> Split:
    settings, include = recipe.data, recipe.data.unlabelled_includes_labelled
    if settings.split_file is not None and settings.labels is not None:
        return read_split(
            settings.split_file,
            dataset,
            labels=settings.labels,
            seed=settings.split_seed,
            include_labelled=include,
        )
    return draw_split(
        dataset.train.labels,
        labelled=settings.labels,
        split_seed=settings.split_seed,
        validation=settings.validation,
        include_labelled=include,
        classes=dataset.classes,
    )
