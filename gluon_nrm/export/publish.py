"""Make a pretrained network of the package from a finished run; for maintainers.

    python -m gluon_nrm.export.publish runs/digits_maxmin_mt-s0
    python -m gluon_nrm.export.publish runs/X-s0 --name fashion_mnist_maxmin_mt_1000 --data-dir DIR

Writes NAME.params and NAME.json to gluon_nrm/pretrained/networks/. The error in the JSON file is counted with
the parameters as they were written. CONTRIBUTING.md has the steps.
"""

from __future__ import annotations

import datetime
import hashlib
import re
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Dict, Iterable, NamedTuple, Optional, Sequence, Union

from gluon_nrm.console.display import say
from gluon_nrm.console.tool import ToolParser, add_data_dir, place, run_tool
from gluon_nrm.data.facts.facts import Facts
from gluon_nrm.errors import DeployError
from gluon_nrm.export.finished_run import check_finished
from gluon_nrm.models import list_models
from gluon_nrm.pretrained import find, names
from gluon_nrm.pretrained.description import (
    FORMAT,
    LARGEST,
    ParameterFile,
    PretrainedNetwork,
    TestError,
    description_text,
    without_paths,
)
from gluon_nrm.recipe import Recipe, recipe_hash
from gluon_nrm.runs.evaluation_record import EvaluationRecord
from gluon_nrm.runs.network_arrays import network_arrays
from gluon_nrm.runs.open_run import RunFolder, load_run
from gluon_nrm.runs.pretrained_run import restore_pretrained
from gluon_nrm.runs.restore_networks import TrainedRun, restore_networks
from gluon_nrm.runs.run_data import TEST, evaluated_part
from gluon_nrm.storage import files
from gluon_nrm.storage.params_file import to_bytes
from gluon_nrm.training.evaluate_pretrained import evaluate_on_test
from gluon_nrm.version import __version__

#: Keys of a recipe that name files of the machine that trained.
FILE_KEYS = ("data.split_file", "data.unlabelled", "model.weights")
#: Share of the test images that another machine's rounding may classify otherwise.
ROUNDING = 0.001


class Origin(NamedTuple):
    """The parts of a run that a description needs, checked."""

    recipe: Recipe
    facts: Facts
    commit: str


def publish(
    path: Union[str, Path],
    name: Optional[str] = None,
    *,
    data_dir: Union[str, Path, None] = None,
) -> PretrainedNetwork:
    """Make a pretrained network from a finished run: the teacher where there is one.

    Args:
        path: the run's folder.
        name: DATA_METHOD_LABELS; None: the recipe's name and the number of labels.
        data_dir: as for ``fit``.

    Raises:
        DeployError: the run is not finished, was evaluated on validation images, has no clean commit, uses
            files of its own, or is too large; the name does not fit or is taken; the error on the test images
            is not the run's.
        NRMError: the run cannot be restored, or its data are missing.
    """
    run = load_run(path)
    origin = _check_run(run)
    labels = origin.facts.train.images if origin.facts.labelled is None else len(origin.facts.labelled)
    name = name or _default_name(origin.recipe, labels)
    paths = {kind: names.NETWORKS / f"{name}.{kind}" for kind in ("params", "json")}
    _check_name(name, origin.recipe, paths.values())
    trained = restore_networks(path, devices="cpu", data_dir=data_dir, dtype="float32")
    network, net = list(trained.networks.items())[-1]
    data = to_bytes(network_arrays(net))
    if len(data) > LARGEST:
        raise DeployError(f"{run.path}: its parameters take {len(data)} bytes, and {LARGEST} are allowed")
    found = PretrainedNetwork(
        format=FORMAT, name=name, network=network, recipe=origin.recipe.name,
        recipe_hash=recipe_hash(origin.recipe), seed=origin.recipe.train.seed,
        dataset=origin.recipe.data.name, labels=labels, test_error=TestError(0.0, 0), epochs=trained.epoch,
        commit=origin.commit, date=datetime.date.today().isoformat(), gluon_nrm=__version__,
        params=ParameterFile(hashlib.sha256(data).hexdigest(), len(data)), settings=asdict(origin.recipe),
        data=without_paths(origin.facts),
    )  # fmt: skip
    found = replace(found, test_error=_count_errors(found, data, paths["params"], trained, data_dir))
    with files.os_errors(DeployError, "write", paths["json"]):
        files.write_bytes(paths["params"], data)
        files.write_text(paths["json"], description_text(found))
    return found


def _check_run(run: RunFolder) -> Origin:
    """Check that a run may be published.

    Raises:
        DeployError: see ``publish``.
    """
    check_finished(run, "publish it")
    recipe, facts = run.settings, run.facts()
    if evaluated_part(recipe) != TEST:
        raise DeployError(
            f"{run.path} was evaluated on validation images; train it with data.validation=0, then publish it"
        )
    for key in FILE_KEYS:
        section, field = key.split(".")
        if getattr(getattr(recipe, section), field) is not None:
            raise DeployError(
                f"{run.recipe_path}: {key} names a file that the package has not; train without it"
            )
    if facts is None:
        raise DeployError(f"{run.path} is of an early version, without facts of its data; train it again")
    starts = [run.env(), *run.env().get("resumed", [])]
    if any(start.get("uncommitted_changes") for start in starts):
        raise DeployError(
            f"{run.path} was trained with changes that were not committed; commit, and train it again"
        )
    commit = [start["commit"] for start in starts if start.get("commit")][-1:]
    if not commit:
        raise DeployError(f"{run.env_path} names no commit; train the recipe in a clone of the repository")
    return Origin(replace(recipe, data=replace(recipe.data, path=None)), facts, str(commit[0]))


def _default_name(recipe: Recipe, labels: int) -> str:
    return recipe.name if recipe.data.labels is None else f"{recipe.name}_{labels}"


def _check_name(name: str, recipe: Recipe, paths: Iterable[Path]) -> None:
    """Check the form of a name, and that nothing is called so."""
    data = recipe.data.name
    if not re.fullmatch(rf"{re.escape(data)}_[a-z0-9_]+", name):
        raise DeployError(
            f"--name {name}: give DATA_METHOD_LABELS in small letters and digits, as {data}_maxmin_mt_1000"
        )
    if name in list_models():
        raise DeployError(f"--name {name}: a network is called so; add the number of labels")
    for path in paths:
        if files.is_taken(path, DeployError):
            raise DeployError(
                f"{path} is there already; give another --name, or remove NAME.params and NAME.json"
            )


def _count_errors(
    found: PretrainedNetwork,
    data: bytes,
    where: Path,
    trained: TrainedRun,
    data_dir: Union[str, Path, None],
) -> TestError:
    """Count the errors of the written parameters on the test images, and compare them with the run's."""
    arrays = find.parameters_of_bytes(found, data, where)
    restored = restore_pretrained(found, arrays, devices="cpu", data_dir=data_dir)
    # the images are where the run says, unless a folder is given
    record = evaluate_on_test(restored._replace(data=trained.data))
    _compare(record, trained)
    return TestError(record.error, record.images)


def _compare(record: EvaluationRecord, trained: TrainedRun) -> None:
    rows = trained.run.read_metrics()
    last: Dict[str, Any] = dict(rows[-1]) if rows else {}
    stored = last.get(f"error/{record.network}")
    allowed = 100 * max(ROUNDING, 1.5 / record.images)
    if stored is None or abs(stored - record.error) > allowed:
        raise DeployError(
            f"{trained.run.path}: its parameters have an error of {record.error:.2f} % on the test images, "
            f"and its last epoch says {stored}; evaluate the run to see which is right"
        )


def main(arguments: Sequence[str]) -> int:
    """Publish a run and name what was written."""
    parser = ToolParser(description=__doc__, prog="python -m gluon_nrm.export.publish")
    parser.add_argument("run", type=place, metavar="RUN", help="a finished run's folder")
    parser.add_argument("--name", help="DATA_METHOD_LABELS (default: the recipe's name and its labels)")
    add_data_dir(parser)
    options = parser.parse_args(arguments)
    found = publish(options.run, options.name, data_dir=options.data_dir)
    error = found.test_error
    size = f"{found.params.bytes / 1e6:.2f} MB"
    say(f"{found.name}: {error.per_cent:.2f} % of {error.images} test images wrong; {size}")
    for kind in ("params", "json"):
        say(str(names.NETWORKS / f"{found.name}.{kind}"))
    return 0


if __name__ == "__main__":
    run_tool(main, sys.argv[1:])
