"""Check before training that all workers run the same code on the same recipe and data."""

from __future__ import annotations

import json
import socket
from typing import Any, Dict, List, Mapping

from gluon_nrm.data.facts.facts import Facts, digest, split_digest
from gluon_nrm.distributed.workers import Workers
from gluon_nrm.errors import DistributedError
from gluon_nrm.recipe import Recipe, recipe_hash

#: Entries of ``describe_environment`` that must be equal on all workers.
SOFTWARE = ("gluon_nrm", "commit", "uncommitted_changes", "mxnet", "numpy")


def check_software(
    workers: Workers, environment: Mapping[str, Any], recipe: Recipe, devices: List[Any]
) -> None:
    """Check versions, recipe and number of devices.

    Args:
        workers: the workers of the job.
        environment: ``describe_environment()``.
        recipe: the recipe to train.
        devices: the devices of this worker.

    Raises:
        DistributedError: on every worker; the message names the difference, both values and both hosts.
    """
    own = {key: environment.get(key) for key in SOFTWARE}
    _compare(
        workers,
        {
            **own,
            "recipe hash": recipe_hash(recipe),
            "train.seed": recipe.train.seed,
            "number of devices": len(devices),
        },
    )


def check_data(workers: Workers, facts: Facts) -> None:
    """Check that all workers have the same images, labels and classes, and drew the same split.

    Raises:
        DistributedError: on every worker.
    """
    own: Dict[str, Any] = {"number of classes": len(facts.class_names), "classes": digest(facts.class_names)}
    for name, part in (("training", facts.train), ("test", facts.test)):
        own[f"{name} images"] = part.images
        own[f"digest of the {name} labels"] = part.labels
        own[f"digest of the {name} images"] = part.identities
    apart = facts.unlabelled
    own["number of unlabelled images"] = facts.unlabelled_images
    own["digest of the unlabelled images"] = "" if apart is None else apart.contents
    _compare(workers, {**own, "digest of the split": split_digest(facts)})


def _compare(workers: Workers, own: Dict[str, Any]) -> None:
    parts = workers.exchange(json.dumps({**own, "host": socket.gethostname()}).encode("utf-8"))
    first, *others = [json.loads(part) for part in parts]
    for rank, other in enumerate(others, start=1):
        for key in own:
            if first[key] != other[key]:
                raise DistributedError(
                    f"the workers differ: {key} is {first[key]} on worker 0 ({first['host']}), {other[key]} "
                    f"on worker {rank} ({other['host']}); give every host the same"
                )
