"""Diagnose the set-up: problems, and the command that solves each, for the command doctor.

Imports neither MXNet nor numpy. The convolution runs in a process of its own under a time limit, because a
wrong CUDA library may hang or abort its process.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple

from gluon_nrm.errors import SetupError
from gluon_nrm.system.cuda import missing_cuda_libraries
from gluon_nrm.system.environment import SKIP_CHECK, check_environment
from gluon_nrm.system.gpus import NEWEST, Gpu, has_code_for, list_gpus
from gluon_nrm.system.install import install_line
from gluon_nrm.system.wheels import has_cuda_build, mxnet_builds

OK, NOTE, PROBLEM = "ok", "note", "problem"


class Finding(NamedTuple):
    """Result of one check. ``level``: ok, note (works, could be better) or problem (must be solved)."""

    level: str
    text: str


def diagnose(time_limit: float = 120.0) -> Iterator[Finding]:
    """Run all checks, the cheap ones first, and yield their findings; ``time_limit``: seconds a convolution.

    The convolutions are skipped if MXNet cannot be imported.
    """
    found = [*_software(), *_cuda_libraries()]
    yield from found
    gpus = list_gpus()
    yield from _gpus(gpus)
    if any(finding.level == PROBLEM for finding in found):
        return
    yield try_convolution("cpu(0)", time_limit)
    if has_cuda_build() and gpus:
        yield try_convolution("gpu(0)", time_limit)


def _software() -> Iterator[Finding]:
    try:
        check_environment()
    except SetupError as error:
        yield Finding(PROBLEM, str(error))
    else:
        yield Finding(OK, "Python, MXNet and numpy fit together")
    builds = mxnet_builds()
    if len(builds) > 1:
        # both write the same files, so the installed ones are a mixture
        mend = (
            f"pip uninstall -y {' '.join(builds)}, then {install_line('cpu')} (GPU: {install_line('cu112')})"
        )
        yield Finding(PROBLEM, f"{' and '.join(builds)} are installed over one another: {mend}")


def _cuda_libraries() -> Iterator[Finding]:
    if not has_cuda_build():
        return
    missing = missing_cuda_libraries()
    for line in missing:
        yield Finding(PROBLEM, f"missing CUDA library {line}")
    if not missing:
        yield Finding(OK, "every CUDA library loads")


def _gpus(gpus: List[Gpu]) -> Iterator[Finding]:
    if gpus and not has_cuda_build():
        mend = f"pip uninstall -y mxnet && {install_line('cu112')}"
        yield Finding(NOTE, f"there is an NVIDIA GPU ({gpus[0].name}) and the CPU build of MXNet: {mend}")
    if has_cuda_build() and not gpus:
        yield Finding(
            NOTE, "the CUDA build of MXNet is installed and nvidia-smi lists no GPU: only the CPU can be used"
        )
    for gpu in gpus if has_cuda_build() else []:
        yield _gpu(gpu)


def _gpu(gpu: Gpu) -> Finding:
    if gpu.capability is None:
        return Finding(
            NOTE, f"{gpu.name}: nvidia-smi does not tell its compute capability; MXNet needs 5.0 to {NEWEST}"
        )
    version = "{}.{}".format(*gpu.capability)
    if has_code_for(gpu.capability):
        return Finding(OK, f"{gpu.name}: compute capability {version}")
    mend = "use another GPU (CUDA_VISIBLE_DEVICES) or --devices 'cpu(0)'"
    return Finding(
        PROBLEM, f"{gpu.name}: compute capability {version}, MXNet has code for 5.0 to {NEWEST}: {mend}"
    )


def try_convolution(device: str, time_limit: float) -> Finding:
    """Run one convolution on ``device`` (``cpu(0)``, ``gpu(0)``) in another process."""
    code = f"from gluon_nrm.system.diagnosis import convolve; convolve({device!r})"
    started = time.monotonic()
    try:
        child = subprocess.run(
            [sys.executable, "-c", code],
            env=_child_environment(),
            capture_output=True,
            text=True,
            timeout=time_limit,
        )
    except subprocess.TimeoutExpired:
        return Finding(
            PROBLEM, f"the convolution on {device} gave no answer in {time_limit:g} s: {_mend(device)}"
        )
    seconds = time.monotonic() - started
    if child.returncode == 0:
        return Finding(OK, f"one convolution on {device}, with MXNet's import: {seconds:.1f} s")
    return Finding(PROBLEM, f"the convolution on {device} failed, {_how_it_ended(child)}: {_mend(device)}")


def convolve(device: str) -> None:
    """Run one convolution; raise SystemExit with a message if the result is wrong."""
    import mxnet as mx

    kind, _, index = device.rstrip(")").partition("(")
    context = mx.Context(kind, int(index))
    images, weight = mx.nd.ones((2, 3, 8, 8), ctx=context), mx.nd.ones((4, 3, 3, 3), ctx=context)
    result = mx.nd.Convolution(images, weight, kernel=(3, 3), num_filter=4, no_bias=True).asnumpy()
    if result.shape != (2, 4, 6, 6) or not (result == 27).all():
        raise SystemExit(f"result between {result.min()} and {result.max()}, 27 everywhere is right")


def _child_environment() -> Dict[str, str]:
    """Copy the environment, with the checks on and this package importable."""
    environment = {name: value for name, value in os.environ.items() if name != SKIP_CHECK}
    root = str(Path(__file__).resolve().parents[2])
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, environment.get("PYTHONPATH")]))
    return environment


def _how_it_ended(child: subprocess.CompletedProcess[str]) -> str:
    """The signal that ended a process, or the last line it wrote."""
    if child.returncode < 0:
        return f"ended by {signal.Signals(-child.returncode).name}"
    lines = [line.strip() for line in child.stderr.splitlines() if line.strip()]
    return lines[-1] if lines else f"exit code {child.returncode}"


def _mend(device: str) -> str:
    """Return advice for a convolution that failed although nothing is missing."""
    if device.startswith("gpu"):
        again = install_line("cu112", "--force-reinstall")
        return f"NVIDIA's driver has to be 450.80 or later; {again}"
    return install_line("cpu", "--force-reinstall")
