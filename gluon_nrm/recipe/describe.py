"""Write docs/recipes.md from the schema: ``python -m gluon_nrm.recipe.describe docs/recipes.md``."""

from __future__ import annotations

import sys
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, Iterator, List, Sequence, get_args, get_origin, get_type_hints

from gluon_nrm.recipe.build_sections import describe_type
from gluon_nrm.recipe.fields import default_of, is_section
from gluon_nrm.recipe.problems import join
from gluon_nrm.recipe.schema import Recipe
from gluon_nrm.storage.files import write_text

INTRODUCTION = """\
# Recipes

<!-- Generated from gluon_nrm/recipe/schema.py by `python -m gluon_nrm.recipe.describe docs/recipes.md` -->

A recipe is a YAML file with all settings of one experiment. `gluon-nrm train NAME` trains
a recipe of the package, `gluon-nrm train FILE.yaml` one of your own.

- `--set KEY=VALUE` replaces a value of the recipe (`--set train.epochs=3`,
  `--set optimiser.phases.0.lr=1e-2`). `recipe.yaml` in the run folder holds the settings that were used,
  defaults included.
- Sections and keys with a default may be left out. A key that is unknown, given twice, missing or of the
  wrong type is an error.
- Numbers may be written `1e-3`, `1E5` or `.5`. An integer is accepted where a number is expected.
- Booleans are `true` and `false`, and the empty value is `null`. `none`, `yes` and `off` are strings.
- Anchors, tags and included files are not allowed.
- Batch sizes are per step over all devices. A recipe does not depend on the number of devices.
"""

RULES = """\
## Checks between keys

- `model.alpha_max` + `model.alpha_min` is 1.
- `model.path_norm: mode` or `exact` needs `model.render_norm: none`.
- `model.class_prior: true` needs `model.path_norm` other than `none`.
- `model.joint_prior: true` needs `model.path_norm: mode` or `exact`, and `model.class_prior: false`.
- `loss.weights.path_norm` above 0 needs `model.path_norm` other than `none`.
- `loss.weights.reconstruction`, `moment_matching` and `path_norm` above 0 need `model.render: true`.
- `loss.weights.consistency` above 0 and `teacher.enabled: true` need each other.
- `teacher.method: pi` and `temporal_ensembling` need two passes over an image to differ: through a dropout
  above 0 or augmentation. For `pi`, augmentation counts with `teacher.augmentation: independent` only.
- `temporal_ensembling` does not go with `teacher.augmentation: independent`.
- `teacher.late_decay` is for `mean_teacher`.
- `model.bias: false` needs `model.path_norm: none` and `model.released_bias: false`.
- `data.labels: null` (every image is labelled) with an unlabelled stream needs `data.unlabelled` (or a folder
  `unlabelled` in `data.path`), or `data.unlabelled_includes_labelled: true`.
- `data.labels: 0` (unsupervised learning) needs `train.batch_labelled: 0`, `train.batch_unlabelled` above 0,
  `loss.weights.cross_entropy: 0` and no `data.split_file`.
- Every phase but the last needs `epochs`. Together the phases last at least `train.epochs`; training stops
  there.
- Keys of one schedule: `final_lr` (cosine, exponential), `decay_epochs` (exponential), `restart_epochs` and
  `restart_factor` (cosine), `milestones` and `factor` (steps). `momentum` is for sgd and nag.
"""


def render() -> str:
    """Return the page."""
    return "\n".join([INTRODUCTION, *_sections(Recipe, ""), RULES])


def _sections(section: type, prefix: str) -> Iterator[str]:
    """Yield heading and table of each section below ``section``, and of itself unless it is the recipe."""
    hints = get_type_hints(section)
    if prefix:
        yield _table(section, prefix)
    for name, hint in hints.items():
        inner = get_args(hint)[0] if get_origin(hint) is list else hint
        if is_section(inner):
            yield from _sections(inner, join(prefix, name) + (".N" if inner is not hint else ""))
        elif not prefix:
            doc = next(f.metadata["doc"] for f in fields(section) if f.name == name)
            yield f"## {name}\n\n{_sentence(doc)}\n"


def _table(section: type, prefix: str) -> str:
    """Describe one section, with a table row for each key."""
    doc = (section.__doc__ or "").strip()
    head = f"## {prefix}\n\n{doc}\n\n| key | value | default | meaning |\n|---|---|---|---|\n"
    hints = get_type_hints(section)
    return head + "".join(_row(declared, hints[declared.name]) for declared in fields(section))


def _row(declared: Any, hint: Any) -> str:
    """Table row of one key."""
    cells = (
        f"`{declared.name}`",
        _allowed(declared, hint),
        _default(declared, hint),
        _sentence(declared.metadata["doc"]),
    )
    return "| " + " | ".join(cells) + " |\n"


def _allowed(declared: Any, hint: Any) -> str:
    """Describe type, choices and range of a key."""
    limits = str(declared.metadata["range"])
    choices = ", ".join(f"`{choice}`" for choice in declared.metadata["choices"])
    words = describe_type(hint)
    return ", ".join(filter(None, (words.replace("a string", choices) if choices else words, limits)))


def _default(declared: Any, hint: Any) -> str:
    """Format the default as YAML writes it."""
    default = default_of(declared)
    if default is MISSING:
        return "required"
    if is_section(hint):
        return "see below"
    if default is None or isinstance(default, bool):
        return f"`{'null' if default is None else str(default).lower()}`"
    return f"`{default}`"


def _sentence(text: str) -> str:
    """Format the meaning of a key as a sentence in a table cell."""
    capital = text if "_" in text.split()[0] else text[0].upper() + text[1:]
    return capital.replace("|", "\\|") + "."


def main(arguments: Sequence[str]) -> int:
    """Write the page to the given file, or to standard output."""
    if not arguments:
        sys.stdout.write(render())
        return 0
    write_text(Path(arguments[0]), render())
    return 0


__all__: List[str] = ["main", "render"]

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
