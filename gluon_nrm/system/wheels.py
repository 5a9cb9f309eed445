"""Which MXNet is installed, found without importing it.

Importing MXNet with the wrong numpy, or with a CUDA library missing, ends in a traceback that does not name
the remedy. So whatever has to be known beforehand is read from the installed packages' metadata.
"""

from __future__ import annotations

import re
from importlib import util
from pathlib import Path
from typing import List, Optional, Tuple

CPU_BUILD = "mxnet"
CUDA_BUILD = "mxnet-cu112"


def installed_version(distribution: str) -> Optional[str]:
    """Version of an installed pip package, or None where it is not installed."""
    # Python 3.7 lacks it: the check of the Python version is to say so, and not a traceback of an import.
    try:
        from importlib import metadata
    except ImportError:
        return None
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def mxnet_builds() -> List[str]:
    """Names of the MXNet wheels that pip knows here: none, one, or (by accident) both."""
    return [name for name in (CUDA_BUILD, CPU_BUILD) if installed_version(name) is not None]


def has_cuda_build() -> bool:
    """Whether the MXNet that would be imported is the CUDA 11.2 wheel."""
    return CUDA_BUILD in mxnet_builds()


def mxnet_version() -> Optional[str]:
    """Version of the importable MXNet, or None where there is none.

    An MXNet built from source has no metadata; its version then stands in its file ``libinfo.py``.
    """
    spec = util.find_spec("mxnet")
    if spec is None:
        return None
    builds = mxnet_builds()
    return installed_version(builds[0]) if builds else _version_in_source(spec.origin)


def _version_in_source(origin: Optional[str]) -> str:
    """The version written in ``libinfo.py`` beside a module's file; "unknown" where it is not to be read."""
    try:
        text = (Path(origin or "").parent / "libinfo.py").read_text(encoding="utf-8")
    except OSError:
        return "unknown"
    found = re.search(r"^__version__ = ['\"]([^'\"]+)['\"]", text, re.MULTILINE)
    return found.group(1) if found else "unknown"


def release(version: str) -> Tuple[int, ...]:
    """The first two numbers of a version, for comparing: ``release("1.23.5") == (1, 23)``."""
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])
