"""Check Python, MXNet and numpy before MXNet is imported; describe the machine for ``env.json``."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, Optional

from gluon_nrm.errors import SetupError
from gluon_nrm.system.cuda import check_cuda
from gluon_nrm.system.gpus import list_gpus
from gluon_nrm.system.install import install_line, install_mxnet, install_with_python
from gluon_nrm.system.processor import usable_cores
from gluon_nrm.system.tune import describe_tuning
from gluon_nrm.system.wheels import installed_version, mxnet_builds, mxnet_version, release
from gluon_nrm.version import __version__

# Set to 1, the package imports without checks: for an MXNet built from source.
SKIP_CHECK = "GLUON_NRM_SKIP_CHECK"

OLDEST_PYTHON, NEWEST_PYTHON = (3, 8), (3, 11)
FIRST_NUMPY_TOO_NEW = (1, 24)


def prepare_for_mxnet() -> None:
    """Check the set-up and load the CUDA libraries, so that ``import mxnet`` works.

    Importing ``gluon_nrm.system.needs_mxnet`` calls it.

    Raises:
        SetupError: MXNet would not import or not work; says what to install.
    """
    if os.environ.get(SKIP_CHECK) != "1":
        check_environment()
        check_cuda()


def check_environment() -> None:
    """Check Python, MXNet and numpy without importing any of them.

    Raises:
        SetupError: one is missing or of the wrong version; says what to install.
    """
    if not OLDEST_PYTHON <= sys.version_info[:2] <= NEWEST_PYTHON:
        raise SetupError(
            f"Python {platform.python_version()} cannot run MXNet 1.9.1: use Python 3.8 to 3.11, for example "
            f"{install_with_python('3.11')}"
        )
    _check_mxnet(mxnet_version())
    _check_numpy(installed_version("numpy"))


def _check_mxnet(version: Optional[str]) -> None:
    if version is None:
        raise SetupError(f"MXNet is not installed in this Python: {install_mxnet()}")
    if release(version) != (1, 9):
        raise SetupError(f"MXNet {version} is installed and 1.9.1 is needed: run `{install_line('cpu')}`")


def _check_numpy(version: Optional[str]) -> None:
    if version is None:
        raise SetupError('numpy is not installed in this Python: run `pip install "numpy==1.23.5"`')
    if release(version) >= FIRST_NUMPY_TOO_NEW:
        raise SetupError(
            f"numpy {version} is too new for MXNet 1.9.1, which uses names that numpy 1.24 removed: "
            'run `pip install "numpy==1.23.5"`'
        )


def describe_environment() -> Dict[str, Any]:
    """Describe as JSON values what a result may depend on: software, tuning, processor, GPUs, commit.

    Nothing in it names the machine, its user or a folder.
    """
    commit = _git("rev-parse", "HEAD") if _is_tracked() else None
    return {
        "gluon_nrm": __version__,
        "commit": commit,
        "uncommitted_changes": None
        if commit is None
        else bool(_git("status", "--porcelain", "--", ".", "../tools")),
        "python": f"{platform.python_version()} ({platform.python_implementation()})",
        "mxnet": mxnet_version(),
        "mxnet_wheel": " and ".join(mxnet_builds()) or None,
        "numpy": installed_version("numpy"),
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu": _cpu_model(),
        "cores": usable_cores(),
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
        "tuned": describe_tuning(),
        "gpus": [gpu.name for gpu in list_gpus()],
    }


def _cpu_model() -> str:
    """Return the processor's name; "unknown" if the system does not give one."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def _is_tracked() -> bool:
    """Return True if git tracks the package, so that the commit found is that of the package."""
    return bool(_git("ls-files", "--error-unmatch", "__init__.py"))


def _git(*arguments: str) -> Optional[str]:
    """Run a git command in the package's folder; return its output, None if git is absent or fails."""
    command = ["git", "-C", str(Path(__file__).resolve().parents[1]), *arguments]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()
