"""Find the installed MXNet and its version without importing it.

With a wrong numpy or a missing CUDA library, importing MXNet ends in a traceback that names no remedy. So
versions are read from the metadata of installed packages.
"""

from __future__ import annotations

import re
from importlib import util
from pathlib import Path
from typing import List, Optional, Tuple

CPU_BUILD = "mxnet"
CUDA_BUILD = "mxnet-cu112"


def installed_version(distribution: str) -> Optional[str]:
    """Return the version of an installed pip package, or None."""
    # Python 3.7 lacks it; the check of Python's version then says what is wrong
    try:
        from importlib import metadata
    except ImportError:
        return None
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def mxnet_builds() -> List[str]:
    """Return the names of the installed MXNet wheels: none, one, or by accident both."""
    return [name for name in (CUDA_BUILD, CPU_BUILD) if installed_version(name) is not None]


def has_cuda_build() -> bool:
    """Return True if the installed MXNet is the CUDA 11.2 wheel."""
    return CUDA_BUILD in mxnet_builds()


def mxnet_version() -> Optional[str]:
    """Return the version of the importable MXNet, or None.

    An MXNet built from source has no metadata; its version is in ``libinfo.py``.
    """
    spec = util.find_spec("mxnet")
    if spec is None:
        return None
    builds = mxnet_builds()
    return installed_version(builds[0]) if builds else _version_in_source(spec.origin)


def _version_in_source(origin: Optional[str]) -> str:
    """Read the version in ``libinfo.py`` beside a module's file; "unknown" if that fails."""
    try:
        text = (Path(origin or "").parent / "libinfo.py").read_text(encoding="utf-8")
    except OSError:
        return "unknown"
    found = re.search(r"^__version__ = ['\"]([^'\"]+)['\"]", text, re.MULTILINE)
    return found.group(1) if found else "unknown"


def release(version: str) -> Tuple[int, ...]:
    """Return the first two numbers of a version: ``release("1.23.5") == (1, 23)``."""
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])
