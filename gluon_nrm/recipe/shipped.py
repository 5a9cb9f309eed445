"""The recipes of the package, found by name from any folder: ``load_recipe("digits_maxmin_mt")``."""

from __future__ import annotations

import difflib
from contextlib import suppress
from pathlib import Path
from typing import List

from gluon_nrm.errors import RecipeError
from gluon_nrm.storage.files import find_files, is_dir
from gluon_nrm.system.commands import command

_PACKAGE = Path(__file__).resolve().parents[1]
#: Folders that may hold them: of an installed package, and of a checkout.
_FOLDERS = (_PACKAGE / "recipes_data", _PACKAGE.parent / "recipes")
ENDING = ".yaml"


def recipes_folder() -> Path:
    """Return the folder of the package's recipes: ``recipes/`` in a checkout."""
    return next((folder for folder in _FOLDERS if is_dir(folder, RecipeError)), _FOLDERS[-1])


def list_recipes() -> List[str]:
    """Return the names of the package's recipes, sorted."""
    return [path.stem for path in find_files(recipes_folder(), f"*{ENDING}", RecipeError)]


def find_recipe(path: Path) -> Path:
    """Return the file of a recipe that is given by its path or by its name.

    A file in the current folder wins, with ``.yaml`` or without; then come the recipes of the package. A path
    that is not found is returned as it was given.
    """
    with suppress(OSError):  # a name that is too long, for example
        if path.is_file() or not path.name or path.parent != Path():
            return path
        file = path if path.suffix == ENDING else Path(f"{path}{ENDING}")
        if file.is_file():
            return file
        if file.stem in list_recipes():
            return recipes_folder() / file
    return path


def suggest(path: Path) -> str:
    """Suggest a recipe for a path that does not exist: a file beside it, or a recipe of the package."""
    beside: List[str] = []
    with suppress(OSError):  # no suggestion of a file then
        beside = sorted(p.name for p in path.parent.glob(f"*{ENDING}"))
    close = difflib.get_close_matches(path.name, beside, n=1) or difflib.get_close_matches(
        f"{path.name}{ENDING}", beside, n=1
    )
    if close:
        return f"did you mean '{path.parent / close[0]}'?"
    shipped = difflib.get_close_matches(path.stem, list_recipes(), n=1)
    if shipped:
        return f"did you mean {shipped[0]}, a recipe of the package?"
    return f"{command('train', '--list-recipes')} lists those of the package"
