"""Load the libraries of MXNet's CUDA build from pip's ``nvidia-*-cu11`` wheels.

The wheel ``mxnet-cu112`` contains none of the CUDA libraries it is linked to. NVIDIA's wheels put them into
folders that the loader does not search. A library that is in the process already is found by its soname, so
we load all of them, each after those it needs, before MXNet is imported. No CUDA toolkit and no
LD_LIBRARY_PATH is needed.
"""

from __future__ import annotations

import ctypes
import sys
from importlib import util
from pathlib import Path
from typing import Iterator, List, NamedTuple, Tuple

from gluon_nrm.errors import SetupError
from gluon_nrm.storage.files import is_file
from gluon_nrm.system.commands import command
from gluon_nrm.system.wheels import CPU_BUILD, CUDA_BUILD, has_cuda_build, installed_version


class CudaWheel(NamedTuple):
    """A wheel of NVIDIA's and the libraries to load from its folder ``nvidia/<folder>/lib``, in order."""

    name: str
    version: str
    folder: str
    sonames: Tuple[str, ...]


# In loading order. The versions are those of requirements-gpu.txt (a test compares the two).
CUDA_WHEELS = (
    CudaWheel("nvidia-cuda-runtime-cu11", "11.8.89", "cuda_runtime", ("libcudart.so.11.0",)),
    CudaWheel("nvidia-cuda-nvrtc-cu11", "11.8.89", "cuda_nvrtc", ("libnvrtc.so.11.2",)),
    CudaWheel("nvidia-nvtx-cu11", "11.8.86", "nvtx", ("libnvToolsExt.so.1",)),
    CudaWheel("nvidia-cublas-cu11", "11.11.3.6", "cublas", ("libcublasLt.so.11", "libcublas.so.11")),
    CudaWheel("nvidia-cufft-cu11", "10.9.0.58", "cufft", ("libcufft.so.10",)),
    CudaWheel("nvidia-curand-cu11", "10.3.0.86", "curand", ("libcurand.so.10",)),
    CudaWheel("nvidia-cusparse-cu11", "11.7.5.86", "cusparse", ("libcusparse.so.11",)),
    CudaWheel("nvidia-cusolver-cu11", "11.4.1.48", "cusolver", ("libcusolver.so.11",)),
    CudaWheel("nvidia-nccl-cu11", "2.21.5", "nccl", ("libnccl.so.2",)),
    # cuDNN 8 opens its parts by name at the first convolution, and aborts if it cannot find them.
    CudaWheel(
        "nvidia-cudnn-cu11",
        "8.9.6.50",
        "cudnn",
        (
            "libcudnn.so.8",
            "libcudnn_ops_infer.so.8",
            "libcudnn_ops_train.so.8",
            "libcudnn_cnn_infer.so.8",
            "libcudnn_cnn_train.so.8",
            "libcudnn_adv_infer.so.8",
            "libcudnn_adv_train.so.8",
        ),
    ),
)

# Part of NVIDIA's driver alone; MXNet's CUDA build cannot be imported without it.
DRIVER_LIBRARY = "libcuda.so.1"


def preload_cuda() -> None:
    """Load the CUDA libraries of the installed NVIDIA wheels. Do nothing for the CPU build of MXNet.

    A library that is missing or does not load is skipped: the loader may find it elsewhere (a system CUDA),
    and ``missing_cuda_libraries`` names it otherwise.
    """
    if not (has_cuda_build() and sys.platform.startswith("linux")):
        return
    for path in _wheel_files():
        _loads(str(path))


def missing_cuda_libraries() -> List[str]:
    """List the libraries that MXNet's CUDA build needs and this process cannot load: ``soname: remedy``.

    The list is empty for the CPU build.
    """
    if not (has_cuda_build() and sys.platform.startswith("linux")):
        return []
    preload_cuda()
    missing = [
        f"{soname}: {_pip_line(wheel)}"
        for wheel in CUDA_WHEELS
        for soname in wheel.sonames
        if not _loads(soname)
    ]
    if not _loads(DRIVER_LIBRARY):
        to_cpu = f"pip uninstall -y {CUDA_BUILD} && pip install {CPU_BUILD}==1.9.1"
        missing.append(
            f"{DRIVER_LIBRARY}: install NVIDIA's driver, which brings it, or go to the CPU build: {to_cpu}"
        )
    return missing


def check_cuda() -> None:
    """Load the libraries that MXNet's CUDA build needs.

    Raises:
        SetupError: a library is missing; names the first one and the command that installs it.
    """
    missing = missing_cuda_libraries()
    if missing:
        more = f" (and {len(missing) - 1} more: {command('doctor')} lists them)" if len(missing) > 1 else ""
        raise SetupError(f"the CUDA build of MXNet cannot load {missing[0]}{more}")


def _wheel_files() -> Iterator[Path]:
    """Yield the library files of the installed NVIDIA wheels, in loading order."""
    # many wheels share this package, perhaps in several folders
    spec = util.find_spec("nvidia")
    roots = list(spec.submodule_search_locations or ()) if spec is not None else []
    for wheel in CUDA_WHEELS:
        for soname in wheel.sonames:
            for root in roots:
                path = Path(root) / wheel.folder / "lib" / soname
                if is_file(path, SetupError):
                    yield path


def _pip_line(wheel: CudaWheel) -> str:
    """Return the pip command for a wheel; ``--force-reinstall`` where pip takes it for installed."""
    again = "--force-reinstall --no-deps " if installed_version(wheel.name) == wheel.version else ""
    return f"pip install {again}{wheel.name}=={wheel.version}"


def _loads(library: str) -> bool:
    """Load a library by its path or soname; False if that fails."""
    try:
        ctypes.CDLL(library, mode=ctypes.RTLD_GLOBAL)
    except OSError:
        return False
    return True
