"""Error of a pretrained network on the test images, counted again."""

from __future__ import annotations

from pathlib import Path
from typing import List, NamedTuple, Optional, Union

from gluon_nrm.data import evaluation_batches
from gluon_nrm.errors import ModelError
from gluon_nrm.option_names import option
from gluon_nrm.pretrained.description import PretrainedNetwork
from gluon_nrm.pretrained.find import describe_pretrained, read_parameters
from gluon_nrm.runs.evaluation_record import EvaluationRecord, confusion_counts, make_record
from gluon_nrm.runs.pretrained_run import restore_pretrained
from gluon_nrm.runs.restore_networks import TrainedRun
from gluon_nrm.runs.run_data import TEST
from gluon_nrm.training.describe_evaluation import class_lines, readable_errors
from gluon_nrm.training.evaluate import evaluate_network


class PretrainedEvaluation(NamedTuple):
    """Errors of a pretrained network on all test images."""

    published: PretrainedNetwork
    record: EvaluationRecord


def evaluate_pretrained(
    name: str,
    *,
    devices: Optional[str] = None,
    part: Optional[str] = None,
    data_dir: Union[str, Path, None] = None,
) -> PretrainedEvaluation:
    """Compare the SHA-256 of a pretrained network, and count its errors on the test images.

    The images are compared with those of the published error. Nothing is written.

    Args:
        name: of ``list_models(pretrained=True)``.
        devices: as for ``fit``; the first one is used.
        part: "test" or None.
        data_dir: as for ``fit``.

    Raises:
        NRMError: there is no such network, its files are damaged, or the test images are missing or others.
    """
    found = describe_pretrained(name)
    if part not in (None, TEST):
        raise ModelError(f"{option('part', part)}: {name} is a pretrained network; evaluate it on {TEST!r}")
    trained = restore_pretrained(found, read_parameters(found), devices=devices, data_dir=data_dir)
    return PretrainedEvaluation(found, evaluate_on_test(trained))


def evaluate_on_test(trained: TrainedRun) -> EvaluationRecord:
    """Count the errors of the network that predicts on all test images."""
    name, net = list(trained.networks.items())[-1]
    dataset, recipe = trained.data.dataset, trained.recipe
    batches = evaluation_batches(dataset, dataset.test, recipe.train.eval_batch)
    result = evaluate_network(net, batches, trained.device)
    counts = confusion_counts(result.predicted, dataset.classes)
    return make_record(recipe, trained.epoch, TEST, {name: result.errors}, counts, dataset.class_names)


def pretrained_text(found: PretrainedEvaluation) -> str:
    """Describe the evaluation: origin, SHA-256, data, error beside the published one, errors by class."""
    published, record = found
    own = {name[len(record.network) :]: rate for name, rate in record.errors.items()}
    origin = f"{published.recipe}, seed {published.seed}, {published.labels} labels"
    lines: List[str] = [
        f"network  {published.name} ({published.model}; {published.network} of {origin})",
        f"params   SHA-256 {published.params.sha256[:16]}... as in {published.name}.json",
        f"data     {record.dataset}, {record.images} {record.part} images",
        f"{record.network}  error {readable_errors(own)}; published: {published.test_error.per_cent:.2f} %",
    ]
    return "\n".join([*lines, "", *class_lines(record)])
