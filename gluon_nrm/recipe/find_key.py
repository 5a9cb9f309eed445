"""Search for the key of a recipe that somebody means: ``lr`` is ``optimiser.phases.0.lr``."""

from __future__ import annotations

import difflib
from functools import lru_cache
from typing import Dict, Optional

from gluon_nrm.recipe.build_sections import all_keys

#: Names of other programs.
SYNONYMS = {
    "lr": "optimiser.phases.0.lr",
    "learning_rate": "optimiser.phases.0.lr",
    "optimizer": "optimiser.phases.0.name",
    "optimiser": "optimiser.phases.0.name",
    "wd": "optimiser.weight_decay",
    "epoch": "train.epochs",
    "num_epochs": "train.epochs",
    "batch": "train.batch_labelled",
    "batch_size": "train.batch_labelled",
    "batchsize": "train.batch_labelled",
    "dataset": "data.name",
    "data": "data.name",
    "num_labels": "data.labels",
    "labeled": "data.labels",
    "image_size": "data.size",
    "img_size": "data.size",
    "model": "model.name",
    "net": "model.name",
    "arch": "model.name",
    "network": "model.name",
    "precision": "train.dtype",
    "fp16": "train.dtype",
    "rpn": "loss.weights.path_norm",
    "split": "data.split_seed",
}


def find_key(name: str) -> Optional[str]:
    """Return the dotted key that a name means: a synonym, the last part of a key, or one like it; else None.

    Args:
        name: the name, or a dotted key of which a part may be missing or misspelt.
    """
    plain = name.lower().replace("-", "_")
    if plain in SYNONYMS:
        return SYNONYMS[plain]
    last = plain.rpartition(".")[2]
    keys = _by_last_part()
    if last in keys:
        return keys[last]
    close = difflib.get_close_matches(last, [*keys, *SYNONYMS], n=1, cutoff=0.75)
    return keys.get(close[0]) or SYNONYMS.get(close[0]) if close else None


@lru_cache(maxsize=None)
def _by_last_part() -> Dict[str, str]:
    """Map the last part of every key with a value to the key; of several, the one with the fewest parts."""
    keys = sorted(all_keys(), key=lambda key: key.count("."))
    found: Dict[str, str] = {}
    for key in keys:
        if not any(other.startswith(f"{key}.") for other in keys):
            found.setdefault(key.rpartition(".")[2], key)
    return found
