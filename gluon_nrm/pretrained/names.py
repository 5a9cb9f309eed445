"""Names of the pretrained networks. Reads no description, so it needs neither MXNet nor recipes."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import List, Optional, Union

from gluon_nrm.errors import ModelError
from gluon_nrm.storage import files

#: folder of the parameters and descriptions
NETWORKS = Path(__file__).resolve().parent / "networks"


def list_pretrained() -> List[str]:
    """Names of the pretrained networks of the package, sorted."""
    if not files.is_dir(NETWORKS, ModelError):
        return []
    return [path.stem for path in files.find_files(NETWORKS, "*.json", ModelError)]


def pretrained_name(given: Union[str, Path]) -> Optional[str]:
    """Return the name of the pretrained network that an argument means; None if it means none.

    A file or folder of that name in the current folder is meant first, as with recipes.
    """
    name = str(given)
    if name not in list_pretrained() or files.exists(Path(name), ModelError):
        return None
    return name


def suggest_pretrained(name: str) -> str:
    """Name the pretrained network that is probably meant, or all of them."""
    names = list_pretrained()
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"did you mean {close[0]}?"
    return f"there are: {', '.join(names)}" if names else "the package holds none"
