"""Stand-ins that several test files use."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Dict

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Keeps the package from checking when it is imported.
SKIP_CHECK = "GLUON_NRM_SKIP_CHECK"


def fake_distribution(folder: Path, name: str, version: str) -> Path:
    """Metadata in a folder that, put before what is installed, hides the real distribution of this name."""
    metadata = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    metadata.mkdir(parents=True)
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    (metadata / "METADATA").write_text(text, encoding="utf-8")
    return folder


def pretend_installed(
    monkeypatch: pytest.MonkeyPatch, distributions: Dict[str, str], importable: bool = True
) -> None:
    """In this process: exactly these distributions are installed, and MXNet can be found or not."""

    def version(name: str) -> str:
        if name not in distributions:
            raise importlib.metadata.PackageNotFoundError(name)
        return distributions[name]

    find_spec = importlib.util.find_spec
    spec = SimpleNamespace(origin=None) if importable else None
    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: spec if name == "mxnet" else find_spec(name)
    )


def python(code: str, *folders: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter that sees these folders before what is installed."""
    environ = {name: value for name, value in os.environ.items() if name != SKIP_CHECK}
    environ.update(variables, PYTHONPATH=os.pathsep.join(map(str, [*folders, ROOT])))
    return subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, timeout=60
    )
