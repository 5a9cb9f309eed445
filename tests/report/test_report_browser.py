"""The report in a real browser: every picture is shown, nothing is asked from outside."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import List

import numpy as np
import pytest
from pages import Page
from PIL import Image
from short_runs import FULL, recipe

from gluon_nrm.report.run_report import POLICY, write_report
from gluon_nrm.training.fit import fit

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
BROWSER = next((found for found in map(shutil.which, NAMES) if found), None)
#: Prints the width of every picture, and what the page loaded from elsewhere.
PROBE = """<script>addEventListener("load", () => {
  const widths = [...document.images].map(image => image.complete ? image.naturalWidth : 0);
  const loaded = performance.getEntriesByType("resource").map(entry => entry.name)
    .filter(name => !name.startsWith("data:"));
  document.body.append("found" + JSON.stringify({widths, loaded}) + "end");
});</script></body>"""


def browse(folder: Path, *arguments: str) -> str:
    """Run the browser without a window, and return what it prints."""
    assert BROWSER is not None
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage"]
    command = [
        BROWSER,
        *options,
        f"--user-data-dir={folder / 'profile'}",
        "--enable-logging=stderr",
        *arguments,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    refused = re.findall(r"CONSOLE.*", done.stderr)
    assert not refused
    return done.stdout


@pytest.mark.skipif(
    BROWSER is None, reason="no Chromium or Chrome is installed; the page is parsed elsewhere"
)
def test_it_is_shown(tmp_path: Path) -> None:
    short = recipe(FULL, "train.epochs=1")
    run = fit(short, root=tmp_path / "runs", devices="cpu", stream=io.StringIO())
    report = write_report([run.path])
    text = report.read_text(encoding="utf-8")
    count = len(Page(text).pictures)
    assert count >= 2 and POLICY in text.replace("&#39;", "'")
    picture = tmp_path / "page.png"
    browse(tmp_path, f"--screenshot={picture}", "--window-size=1100,1400", report.as_uri())
    with Image.open(picture) as shown:
        pixels = np.asarray(shown.convert("RGB"))
    assert pixels.shape == (1400, 1100, 3)
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 100  # text and curves, not a blank page
    # the same page, but that a script may look at it
    probed = tmp_path / "probed.html"
    probed.write_text(
        re.sub(r"<meta[^>]*Content-Security-Policy[^>]*>", "", text).replace("</body>", PROBE),
        encoding="utf-8",
    )
    found = re.search(r"found(\{.*?\})end", browse(tmp_path, "--dump-dom", probed.as_uri()))
    assert found is not None
    seen = json.loads(found[1])
    widths: List[int] = seen["widths"]
    assert len(widths) == count and all(width > 100 for width in widths) and seen["loaded"] == []
