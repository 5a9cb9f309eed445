"""Load a recipe from a file or string, with overrides, check it, and write it back to YAML."""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Sequence, Union

from gluon_nrm.errors import RecipeError
from gluon_nrm.recipe.build_sections import SectionBuilder
from gluon_nrm.recipe.checks import check
from gluon_nrm.recipe.chosen import chosen_settings
from gluon_nrm.recipe.overrides import override
from gluon_nrm.recipe.schema import Recipe
from gluon_nrm.recipe.shipped import find_recipe, suggest
from gluon_nrm.recipe.yaml_io import LARGEST, Item, read_yaml, write_yaml
from gluon_nrm.storage.files import fits_in_name, os_errors, read_file
from gluon_nrm.system.commands import command


def load_recipe(path: Union[str, Path], overrides: Sequence[str] = ()) -> Recipe:
    """Load and check a recipe.

    Args:
        path: YAML file, or the name of a recipe of the package, such as "digits_maxmin_mt". The file's name
            without .yaml is the recipe's name unless the file gives one.
        overrides: ``a.b=value`` each, with the value in YAML. List entries are numbered
            (``optimiser.phases.0.lr=1e-2``). They replace values of the file and earlier overrides.

    Raises:
        RecipeError: the message names file, line, key, value and remedy.
    """
    found = find_recipe(Path(path))
    return recipe_from_text(_read(found), str(found), overrides)


def read_recipe(path: Union[str, Path]) -> str:
    """Read the text of a recipe, given as for ``load_recipe``.

    Raises:
        RecipeError: it does not exist, cannot be read, or is not UTF-8.
    """
    return _read(find_recipe(Path(path)))


def recipe_from_text(text: str, source: str, overrides: Sequence[str] = ()) -> Recipe:
    """Load a recipe from a string, as ``load_recipe`` does; ``source`` names it in messages."""
    tree = read_yaml(text, lambda line: source if line is None else f"{source}:{line + 1}")
    if tree is None:
        example = command("train", "digits_maxmin_mt", "--show")
        raise RecipeError(f"{source}: the recipe is empty; copy one and change it ({example} prints it)")
    tree = tree._replace(place=source)
    if isinstance(tree.value, dict):  # SectionBuilder reports anything else
        for given in overrides:
            tree = override(tree, given)
        tree = _named(tree, source)
    builder = SectionBuilder()
    recipe = builder.section(tree, Recipe)
    check(recipe, builder.places, source)
    return recipe


def recipe_to_yaml(recipe: Recipe) -> str:
    """Write the complete recipe, with defaults and name; ``recipe_from_text`` reads it back equal."""
    return write_yaml({"name": recipe.name, **asdict(recipe)})


def recipe_hash(recipe: Recipe) -> str:
    """First 12 hex digits of the SHA-256 of the settings, without ``name`` and ``train.seed``.

    Defaults are left out, so a key added to the schema later does not change the hashes of old recipes.
    """
    canonical = chosen_settings(replace(recipe, name="", train=replace(recipe.train, seed=0)))
    text = json.dumps(canonical, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:12]


def _named(tree: Item, source: str) -> Item:
    """Add a name, taken from ``source``, to a tree without one."""
    if "name" in tree.value:
        return tree
    kept = (char if fits_in_name(char) and char != "+" else " " for char in Path(source).stem)
    stem = re.sub(" +", "-", "".join(kept)).strip("-.") or "recipe"
    return tree._replace(value={**tree.value, "name": Item(stem, source, stem)})


def _read(path: Path) -> str:
    """Read a recipe file. Raises RecipeError unless it is readable UTF-8 of at most ``LARGEST`` bytes."""
    try:
        return read_file(path, LARGEST).decode("utf-8-sig")
    except FileNotFoundError:
        raise RecipeError(f"{path}: no such recipe; {suggest(path)}") from None
    except IsADirectoryError:
        inside = path / "recipe.yaml"
        remedy = f"give a recipe file in it, e.g. {inside}"
        with suppress(OSError):
            if inside.is_file():
                remedy = f"to go on with this run: {command('train', str(inside))}"
        raise RecipeError(f"{path}: is a folder; {remedy}") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise RecipeError(
            f"{path}:{line}: not UTF-8 text; save the recipe as UTF-8, or name another file"
        ) from None
    except OSError:
        with os_errors(RecipeError, "read", path):
            raise
