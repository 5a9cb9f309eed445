"""The site of the documentation builds, and a warning of its builder is an error (mkdocs.yml: strict)."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import List

import pytest

pytest.importorskip("mkdocs", reason="the site is built on Python 3.11, as requirements-dev.txt says")

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    result = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(folder)],
        cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return folder


def test_the_front_page_is_the_readme(site: Path) -> None:
    page = (site / "index.html").read_text(encoding="utf-8")
    assert "Neural Rendering Models in MXNet Gluon" in page


def test_every_local_link_and_picture_of_the_site_is_there(site: Path) -> None:
    missing: List[str] = []
    for page in site.rglob("index.html"):
        for link in re.findall(r'(?:href|src)="([^"#?:]+)(?:#[^"]*)?"', page.read_text(encoding="utf-8")):
            target = (site / link.lstrip("/")) if link.startswith("/") else page.parent / link
            if not target.exists():
                missing.append(f"{page.relative_to(site)}: {link}")
    assert not missing


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("networks", ["get_model", "maxmin", "nrm", "NRMOptions", "Inference", "Rendering", "JointPass"]),
        ("training", ["fit"]),
        ("losses", ["CrossEntropy", "Reconstruction", "LayerwisePathNorm", "Objective"]),
        ("data", ["Dataset", "load_dataset", "register_dataset", "Streams"]),
        ("errors", ["NRMError", "RecipeError"]),
    ],
)
def test_the_reference_has_the_public_names(site: Path, page: str, names: List[str]) -> None:
    text = (site / "api" / page / "index.html").read_text(encoding="utf-8")
    assert [name for name in names if not re.search(rf'id="gluon_nrm\.[\w.]*\b{name}"', text)] == []
