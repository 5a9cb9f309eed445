"""Commands that install what is missing: from a requirements file in a checkout, else with pip's extras."""

from __future__ import annotations

from gluon_nrm.system.commands import in_checkout

#: Extra of the package -> the requirements file that holds the same.
_FILES = {
    "cpu": "requirements.txt",
    "cu112": "requirements-gpu.txt",
    "onnx": "requirements-dev.txt",
    "tensorboard": "requirements-dev.txt",
    "zoo": "requirements.txt",
}


def install_line(extra: str, option: str = "") -> str:
    """Return the command that installs an extra: ``pip install "gluon_nrm[cpu]"``.

    Args:
        extra: cpu, cu112, onnx, tensorboard or zoo.
        option: an option of pip, such as ``--force-reinstall``.
    """
    what = f"-r {_FILES[extra]}" if in_checkout() else f'"gluon_nrm[{extra}]"'
    return " ".join(filter(None, ["pip install", option, what]))


def reinstall_line() -> str:
    """Return what to run where a file of the package is damaged."""
    if in_checkout():
        return "restore it: git checkout -- gluon_nrm"
    return "install the package again: pip install --force-reinstall --no-deps gluon_nrm"


def install_mxnet() -> str:
    """Return what to run where MXNet is missing: in a checkout also the line of make."""
    line = f"run `{install_line('cpu')}`"
    return f"{line}, or `make install` and then use .venv/bin/python" if in_checkout() else line


def install_with_python(version: str) -> str:
    """Return the commands that install the package into another Python, such as "3.11"."""
    if in_checkout():
        return f"`make install PYTHON=python{version}`"
    return f"`python{version} -m venv env` and `env/bin/{install_line('cpu')}`"
