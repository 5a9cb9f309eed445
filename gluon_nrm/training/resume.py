"""Find the run to resume and load its data, before anything is built."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Optional, Sequence, Tuple, Union

from gluon_nrm.data.facts.facts import Facts, absolute
from gluon_nrm.data.facts.stored_dataset import StoredDataset
from gluon_nrm.distributed.agreement import check_data
from gluon_nrm.distributed.workers import Workers
from gluon_nrm.errors import ChangedData, DataError, RunError
from gluon_nrm.option_names import option
from gluon_nrm.recipe import Recipe, recipe_to_yaml
from gluon_nrm.runs.continuing import CHANGEABLE, EPOCHS, PATH, check_rates, value_of
from gluon_nrm.runs.facts_file import facts_from_plain, facts_to_plain
from gluon_nrm.runs.open_run import run_name
from gluon_nrm.runs.run_data import (
    RunData,
    moved,
    new_data,
    stored_data,
    warn_of_missing_facts,
    with_facts,
)
from gluon_nrm.runs.run_search import Found, find_run
from gluon_nrm.storage import files


def with_absolute_path(recipe: Recipe) -> Recipe:
    """Make ``data.path``, ``data.unlabelled`` and ``model.weights`` of a recipe absolute."""
    data, model = recipe.data, recipe.model
    return replace(
        recipe,
        data=replace(data, path=_absolute(data.path), unlabelled=_absolute(data.unlabelled)),
        model=replace(model, weights=_absolute(model.weights)),
    )


def _absolute(path: Optional[str]) -> Optional[str]:
    return None if path is None else str(absolute(files.expand_path(Path(path), DataError)))


def earlier_run(root: Path, recipe: Recipe, accept: Sequence[str]) -> Optional[Found]:
    """Find the run that a recipe resumes; None if it starts a new one.

    Raises:
        RunError: no run of that name can resume with this recipe, or a key of ``accept`` may not change.
    """
    for key in accept:
        if key not in CHANGEABLE:
            raise RunError(
                f"{option('accept', [key])}: this key may not change; give {EPOCHS}, or leave it out"
            )
    found = find_run(root, run_name(recipe, recipe.train.seed), recipe_to_yaml(recipe))
    if found is not None and found.changes:
        epochs = len(found.run.read_metrics())
        begun = epochs or files.find_files(found.run.checkpoints, "epoch_*", RunError)
        if begun:
            old = found.run.settings
            check_rates(old, recipe, epochs, accept)
    return found


def data_to_train(
    workers: Workers, earlier: Optional[Found], recipe: Recipe, data_dir: Union[str, Path, None]
) -> Tuple[Recipe, RunData]:
    """Load the data: for a resumed run, those that it was started with.

    Args:
        workers: the workers of the job; each loads the data, and all must have equal data.
        earlier: worker 0's run, if it is resumed.
        recipe: with an absolute ``data.path``.
        data_dir: as for ``fit``.

    Returns:
        The recipe, with the current path of the data, and the data with their facts.

    Raises:
        DataError: the data cannot be loaded, or differ from those of the run.
        DistributedError: the workers have different data.
    """
    stored = None if earlier is None else earlier.run.facts()
    plain = workers.from_first(None if stored is None else facts_to_plain(stored))
    if plain is None:
        if earlier is not None:
            warn_of_missing_facts(earlier.run)
        data = with_facts(new_data(recipe, data_dir), recipe, data_dir)
    else:
        recipe, data = _stored(facts_from_plain(plain), earlier, recipe, data_dir)
    assert data.facts is not None
    check_data(workers, data.facts)
    return recipe, data


def _stored(
    facts: Facts, earlier: Optional[Found], recipe: Recipe, data_dir: Union[str, Path, None]
) -> Tuple[Recipe, RunData]:
    """Load the data of a run from their current folder, and compare all of them."""
    path = recipe.data.path
    found = path is not None and files.is_dir(Path(path), DataError)
    data = stored_data(recipe, replace(facts, path=path), None if found else data_dir)
    dataset = data.dataset
    assert isinstance(dataset, StoredDataset)
    try:
        dataset.load()
    except ChangedData as problem:
        change = value_of(earlier.changes, PATH) if earlier is not None else None
        if change is None:
            raise
        raise ChangedData(f"data.path is {change.old} in the run, {change.new} here: {problem}") from None
    source = dataset.source
    recipe = replace(recipe, data=replace(recipe.data, path=source.path, unlabelled=source.unlabelled))
    return recipe, data._replace(facts=moved(facts, source))
