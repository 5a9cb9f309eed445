"""docs/recipes.md from the schema: ``python -m gluon_nrm.recipe.describe docs/recipes.md``."""

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

A recipe is a YAML file that holds one experiment, complete. `tools/train.py recipes/NAME.yaml` trains it.

- Defaults are beaten by the recipe, and the recipe by `--set KEY=VALUE` (`--set train.epochs=3`,
  `--set optimiser.phases.0.lr=1e-2`). All that was settled so is written to `recipe.yaml` in the run folder.
- A section, or a key, may be left out where it has a default. A key that is unknown, given twice, missing or
  of the wrong type is an error.
- Numbers may be written `1e-3`, `1E5` or `.5`. A whole number serves as a number, not the other way round.
- Only `true` and `false` are booleans, and `null` is the empty value; `none`, `yes` and `off` are texts.
- Every value is written out where it holds: there are no anchors, tags or included files.
- Batches are per step over all devices, so the number of devices does not change a recipe.
"""

RULES = """\
## Rules between keys

- `model.alpha_max` + `model.alpha_min` is 1.
- `model.path_norm: mode` needs `model.render_norm: none`.
- `loss.weights.path_norm` above 0 needs `model.path_norm` other than `none`.
- `loss.weights.reconstruction`, `moment_matching` and `path_norm` above 0 need `model.render: true`.
- `loss.weights.consistency` above 0 and `teacher.enabled: true` need each other.
- `teacher.method: pi` and `temporal_ensembling` want two passes over an image to differ: a dropout above 0,
  or images that are augmented, for `pi` with `teacher.augmentation: independent`, for which
  `temporal_ensembling` has no use.
- `teacher.late_decay` is for `mean_teacher`.
- `model.bias: false` needs `model.path_norm: none` and goes with `model.released_bias: false`.
- With every image labelled (`data.labels: null`) there is an unlabelled stream only with
  `data.unlabelled_includes_labelled: true`.
- Phases before the last have a length, and all together last for `train.epochs`; longer ones are cut off.
- `final_lr` is for cosine and exponential, `decay_epochs` for exponential, `restart_epochs` for cosine and
  `restart_factor` for cosine with `restart_epochs`, `milestones` and `factor` for steps, and `momentum` for
  sgd and nag.
"""


def render() -> str:
    """The page."""
    return "\n".join([INTRODUCTION, *_sections(Recipe, ""), RULES])


def _sections(section: type, prefix: str) -> Iterator[str]:
    """A heading and a table for ``section``, where it has a name, and for every section below it."""
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
    """One section: what it is, and a row for each key."""
    doc = (section.__doc__ or "").strip()
    head = f"## {prefix}\n\n{doc}\n\n| key | value | default | meaning |\n|---|---|---|---|\n"
    hints = get_type_hints(section)
    return head + "".join(_row(declared, hints[declared.name]) for declared in fields(section))


def _row(declared: Any, hint: Any) -> str:
    """One key."""
    cells = (
        f"`{declared.name}`",
        _allowed(declared, hint),
        _default(declared, hint),
        _sentence(declared.metadata["doc"]),
    )
    return "| " + " | ".join(cells) + " |\n"


def _allowed(declared: Any, hint: Any) -> str:
    """The type of a key, its choices and its range, in words."""
    limits = str(declared.metadata["range"])
    choices = ", ".join(f"`{choice}`" for choice in declared.metadata["choices"])
    words = describe_type(hint)
    return ", ".join(filter(None, (words.replace("a text", choices) if choices else words, limits)))


def _default(declared: Any, hint: Any) -> str:
    """The default as it would be written."""
    default = default_of(declared)
    if default is MISSING:
        return "required"
    if is_section(hint):
        return "see below"
    if default is None or isinstance(default, bool):
        return f"`{'null' if default is None else str(default).lower()}`"
    return f"`{default}`"


def _sentence(text: str) -> str:
    """A field's text as a sentence in a table cell."""
    capital = text if "_" in text.split()[0] else text[0].upper() + text[1:]
    return capital.replace("|", "\\|") + "."


def main(arguments: Sequence[str]) -> int:
    """Write the page to the file named, whole or not at all, or to the standard output."""
    if not arguments:
        sys.stdout.write(render())
        return 0
    write_text(Path(arguments[0]), render())
    return 0


__all__: List[str] = ["main", "render"]

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
