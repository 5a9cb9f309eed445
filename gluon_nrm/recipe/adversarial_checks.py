"""Checks between the keys of section ``adversarial``, its loss terms and the other sections."""

from __future__ import annotations

from typing import Dict, Tuple

from gluon_nrm.recipe.adversarial_schema import Adversarial
from gluon_nrm.recipe.fields import default_at
from gluon_nrm.recipe.problems import Problem, Problems
from gluon_nrm.recipe.schema import Recipe
from gluon_nrm.recipe.terms import ALI, IMPROVED_GAN, RENDERING, TANGENTS, TERMS

#: method -> terms that it cannot do without
NEEDED: Dict[str, Tuple[str, ...]] = {
    IMPROVED_GAN: ("generated",), ALI: ("generated",), TANGENTS: ("generated",), RENDERING: ("adversarial",),
}  # fmt: skip
#: method -> prefix of its networks' names; no entry: any network that renders
NETWORKS: Dict[str, str] = {IMPROVED_GAN: "gan_", ALI: "ali_", TANGENTS: "gan_"}
#: key -> methods that use it; the other keys are for all
KEYS: Dict[str, Tuple[str, ...]] = {
    "code": (IMPROVED_GAN, TANGENTS),
    "step": (TANGENTS,),
    "draws": (RENDERING,),
}


def adversarial_problems(recipe: Recipe) -> Problems:
    """The method has its loss terms, its network and no key of another method."""
    section, weights = recipe.adversarial, vars(recipe.loss.weights)
    for term, methods in ((name, term.methods) for name, term in TERMS.items()):
        if methods and weights[term] > 0 and section.method not in methods:
            yield Problem(
                f"loss.weights.{term}",
                f"{weights[term]:g} needs adversarial.method {' or '.join(methods)} (found "
                f"'{section.method}'); set that, or this weight to 0",
            )
    yield from _keys_of_others(section)
    if section.method == "none":
        return
    for term in NEEDED[section.method]:
        if weights[term] == 0:
            yield Problem(
                "adversarial.method",
                f"'{section.method}' trains networks for loss.weights.{term}, which is 0; set a weight, or "
                "the method to none",
            )
    yield from _draws_problems(recipe)
    yield from _network_problems(recipe)


def _keys_of_others(section: Adversarial) -> Problems:
    """A key of another method must not be set."""
    for key in vars(section):
        if key == "method" or getattr(section, key) == default_at(Adversarial, key):
            continue
        if section.method == "none":
            yield Problem(f"adversarial.{key}", "is set, but adversarial.method is none; remove it")
        elif section.method not in KEYS.get(key, (section.method,)):
            yield Problem(
                f"adversarial.{key}",
                f"is for {' and '.join(KEYS[key])}, not for {section.method}; remove it",
            )


def _draws_problems(recipe: Recipe) -> Problems:
    """Draws from the prior need chains."""
    sampled = recipe.model.path_norm == "sampled" and recipe.loss.weights.path_norm > 0
    if recipe.adversarial.draws and not sampled:
        yield Problem(
            "adversarial.draws",
            f"true needs the chains of model.path_norm sampled (found '{recipe.model.path_norm}') and "
            "loss.weights.path_norm above 0; set both, or this to false",
        )


def _network_problems(recipe: Recipe) -> Problems:
    """The classifier is one of the method's, and there are unlabelled images and ordinary precision."""
    method, name, train = recipe.adversarial.method, recipe.model.name, recipe.train
    prefix = NETWORKS.get(method)
    if prefix is not None and not name.startswith(prefix):
        yield Problem(
            "model.name",
            f"'{name}' has no scores of generated images; adversarial.method {method} is for the networks "
            f"{prefix}*",
        )
    if method != RENDERING and train.batch_unlabelled == 0:
        yield Problem(
            "train.batch_unlabelled",
            f"0, but adversarial.method {method} compares unlabelled with generated images; give at least 1",
        )
    if train.dtype != "float32":
        yield Problem(
            "train.dtype", f"{train.dtype}, but adversarial.method {method} trains in float32; set it to that"
        )
    if train.kvstore == "dist_async":
        yield Problem(
            "train.kvstore",
            f"dist_async, but adversarial.method {method} takes turns with the classifier; use dist_sync",
        )
