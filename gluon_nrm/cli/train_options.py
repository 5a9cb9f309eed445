"""Options of other programs, for ``gluon-nrm train``: a key of the recipe or our own option instead."""

from __future__ import annotations

from typing import List, Optional

from gluon_nrm.recipe.find_key import find_key

_OPTIONS = {
    "out": "--runs", "output": "--runs", "output-dir": "--runs", "save-dir": "--runs", "logdir": "--runs",
    "root": "--runs", "gpu": "--devices", "gpus": "--devices", "device": "--devices", "ctx": "--devices",
    "cuda": "--devices", "overwrite": "--fresh", "restart": "--fresh", "debug": "--eager",
    "dryrun": "--dry-run", "data-path": "--data-dir", "data-root": "--data-dir", "override": "--set",
}  # fmt: skip
#: A run goes on by itself.
_NEEDLESS = ("resume", "continue", "auto-resume")


def replace_option(name: str, value: Optional[str]) -> Optional[List[str]]:
    """Return the words in place of an option; None if it is not known.

    Args:
        name: of the option, without ``--``.
        value: given with it; None: none.
    """
    plain = name.replace("_", "-")
    if plain in _NEEDLESS:
        return []
    if plain in _OPTIONS:
        option = _OPTIONS[plain]
        if option == "--devices":
            return [option, _device(plain, value)]
        return [option] if option in ("--fresh", "--eager", "--dry-run") else [option, value or "DIR"]
    key = find_key(name)
    return None if key is None else ["--set", f"{key}={'VALUE' if value is None else value}"]


def _device(name: str, value: Optional[str]) -> str:
    """Write a device as ``--devices`` takes it: a number is a GPU."""
    if value is None:
        return "gpu(0)"
    return f"gpu({value})" if value.replace(",", "").isdigit() and name != "gpus" else value
