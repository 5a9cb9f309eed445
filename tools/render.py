"""Run the command ``render`` from a checkout; its code is in gluon_nrm/cli/render.py."""

from __future__ import annotations

from _package import run

if __name__ == "__main__":
    run("render")
