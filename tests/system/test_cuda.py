"""The CUDA build's libraries and GPUs, on a machine that has neither."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Callable, Dict, List, NamedTuple, Sequence, Set, Tuple

import pytest
from fakes import ROOT, fake_distribution, pretend_installed, python

from gluon_nrm.errors import SetupError
from gluon_nrm.system import cuda, gpus

Install = Callable[..., None]


class Loader(NamedTuple):
    """Names of libraries that were asked for, and of those that are not to be found."""

    loaded: List[str]
    absent: Set[str]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Pretend that exactly the given distributions are installed."""
    return partial(pretend_installed, monkeypatch)


def pins() -> Dict[str, str]:
    lines = (ROOT / "requirements-gpu.txt").read_text(encoding="utf-8").splitlines()
    split = (line.partition("==") for line in lines if line.startswith("nvidia-"))
    return {name: version for name, _, version in split}


def test_the_cuda_wheels_are_those_of_the_requirements() -> None:
    assert {wheel.name: wheel.version for wheel in cuda.CUDA_WHEELS} == pins()


@pytest.fixture
def loader(monkeypatch: pytest.MonkeyPatch) -> Loader:
    """Stand in for the system's loader."""
    state = Loader([], set())

    def load(name: str, mode: int) -> None:
        assert mode == ctypes.RTLD_GLOBAL
        state.loaded.append(Path(name).name)
        if Path(name).name in state.absent:
            raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(cuda, "ctypes", SimpleNamespace(CDLL=load, RTLD_GLOBAL=ctypes.RTLD_GLOBAL))
    monkeypatch.setattr(sys, "platform", "linux")
    return state


def nvidia_wheels(folder: Path, monkeypatch: pytest.MonkeyPatch, without: Sequence[str] = ()) -> None:
    """Lay out the wheels' files as pip does."""
    for wheel in cuda.CUDA_WHEELS:
        libraries = folder / "nvidia" / wheel.folder / "lib"
        libraries.mkdir(parents=True)
        for soname in set(wheel.sonames) - set(without):
            (libraries / soname).touch()
    spec = SimpleNamespace(submodule_search_locations=[str(folder / "nvidia")])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec if name == "nvidia" else None)


def test_preload_order(
    install: Install, loader: Loader, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install({"mxnet-cu112": "1.9.1"})
    nvidia_wheels(tmp_path, monkeypatch)
    cuda.preload_cuda()
    order = [re.sub(r"^lib|\.so.*$", "", name) for name in loader.loaded]
    expected = "cudart, nvrtc, nvToolsExt, cublasLt, cublas, cufft, curand, cusparse, cusolver, nccl, cudnn"
    assert ", ".join(order[:11]) == expected
    assert set(order[11:]) == {
        f"cudnn_{part}_{use}" for part in ("ops", "cnn", "adv") for use in ("infer", "train")
    }
    for later, earlier in [
        ("ops_train", "ops_infer"),
        ("cnn_train", "cnn_infer"),
        ("adv_train", "ops_train"),
    ]:
        assert order.index(f"cudnn_{later}") > order.index(f"cudnn_{earlier}")


def test_preload_passes_over_what_is_absent_or_damaged(
    install: Install, loader: Loader, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install({"mxnet-cu112": "1.9.1"})
    nvidia_wheels(tmp_path, monkeypatch, without=["libcufft.so.10"])
    loader.absent.add("libcurand.so.10")
    cuda.preload_cuda()
    assert "libcufft.so.10" not in loader.loaded
    assert "libcudnn.so.8" in loader.loaded


def test_preload_without_any_wheel(install: Install, loader: Loader, monkeypatch: pytest.MonkeyPatch) -> None:
    install({"mxnet-cu112": "1.9.1"})
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    cuda.preload_cuda()
    assert loader.loaded == []


def test_the_cpu_build_needs_no_cuda(
    install: Install, loader: Loader, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install({"mxnet": "1.9.1", "numpy": "1.23.5"})
    nvidia_wheels(tmp_path, monkeypatch)
    cuda.preload_cuda()
    assert cuda.missing_cuda_libraries() == []
    cuda.check_cuda()
    assert loader.loaded == []


def test_every_missing_library_has_its_pip_line(
    install: Install, loader: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    install({"mxnet-cu112": "1.9.1"})
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert cuda.missing_cuda_libraries() == []
    sonames = [soname for wheel in cuda.CUDA_WHEELS for soname in wheel.sonames]
    loader.absent.update(sonames, ["libcuda.so.1"])
    lines = cuda.missing_cuda_libraries()
    assert [line.split(":")[0] for line in lines] == [*sonames, "libcuda.so.1"]
    assert "libcudnn.so.8: pip install nvidia-cudnn-cu11==8.9.6.50" in lines
    assert "driver" in lines[-1]
    assert "pip install mxnet==1.9.1" in lines[-1]
    with pytest.raises(SetupError, match=r"libcudart\.so\.11\.0: pip install .*and 17 more.*doctor"):
        cuda.check_cuda()


def test_a_wheel_that_lost_its_library_is_installed_again(
    install: Install, loader: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    install({"mxnet-cu112": "1.9.1", "nvidia-nccl-cu11": "2.21.5"})
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    loader.absent.add("libnccl.so.2")
    again = "pip install --force-reinstall --no-deps nvidia-nccl-cu11==2.21.5"
    assert cuda.missing_cuda_libraries() == [f"libnccl.so.2: {again}"]
    with pytest.raises(SetupError, match=r"libnccl\.so\.2: .*2\.21\.5$"):
        cuda.check_cuda()


@pytest.mark.skipif(
    shutil.which("gcc") is None or sys.platform != "linux", reason="makes shared libraries with gcc"
)
def test_a_preloaded_library_is_found_by_its_soname(tmp_path: Path) -> None:
    """With real shared objects: cuBLAS needs cuBLASLt, which only the preload makes known to the loader."""
    folder = fake_distribution(tmp_path, "mxnet-cu112", "1.9.1") / "nvidia" / "cublas" / "lib"
    folder.mkdir(parents=True)
    build = ["gcc", "-shared", "-fPIC", "-x", "c", "-"]
    for soname, source, needs in [
        ("libcublasLt.so.11", "int lt(void) { return 41; }", []),
        (
            "libcublas.so.11",
            "int lt(void); int answer(void) { return lt() + 1; }",
            ["-L.", "-l:libcublasLt.so.11"],
        ),
    ]:
        command = [*build, f"-Wl,-soname,{soname}", "-o", soname, *needs]
        subprocess.run(command, input=source, cwd=folder, check=True, text=True, capture_output=True)
    code = (
        "from gluon_nrm.system.cuda import ctypes, preload_cuda; {}; "
        "print(ctypes.CDLL('libcublas.so.11').answer())"
    )
    with_preload = python(code.format("preload_cuda()"), tmp_path, GLUON_NRM_SKIP_CHECK="1")
    assert with_preload.stdout == "42\n", with_preload.stderr
    without = python(code.format("pass"), tmp_path, GLUON_NRM_SKIP_CHECK="1")
    assert without.returncode == 1
    assert "libcublas" in without.stderr


# --- GPUs ---


@pytest.mark.parametrize(
    ("capability", "runs"),
    [((3, 7), False), ((5, 0), True), ((5, 2), True), ((6, 1), True), ((7, 5), True), ((8, 0), True)]
    + [((8, 6), True), ((8, 9), True), ((9, 0), False), ((10, 0), False), ((12, 0), False)],
)
def test_gpus_the_wheel_has_code_for(capability: Tuple[int, int], runs: bool) -> None:
    assert gpus.has_code_for(capability) is runs


def nvidia_smi(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a driver's tool on PATH that runs this script."""
    tool = folder / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


def test_gpus_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nvidia_smi(tmp_path, "printf 'Tesla T4, 7.5\\nNVIDIA H100 PCIe, 9.0\\n'", monkeypatch)
    assert gpus.list_gpus() == [gpus.Gpu("Tesla T4", (7, 5)), gpus.Gpu("NVIDIA H100 PCIe", (9, 0))]


def test_an_old_driver_tells_names_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = "case $1 in *compute_cap*) echo 'not a valid field'; exit 2;; esac; echo Tesla K80"
    nvidia_smi(tmp_path, script, monkeypatch)
    assert gpus.list_gpus() == [gpus.Gpu("Tesla K80", None)]


@pytest.mark.parametrize("script", ["echo could not reach the driver; exit 9", "exec sleep 30"])
def test_a_driver_that_fails_or_hangs_lists_no_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    nvidia_smi(tmp_path, script, monkeypatch)
    assert gpus.list_gpus(time_limit=0.3) == []


def test_no_driver_lists_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus.list_gpus() == []
