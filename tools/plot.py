"""Run the command ``plot`` from a checkout; its code is in gluon_nrm/cli/plot.py."""

from __future__ import annotations

from _package import run

if __name__ == "__main__":
    run("plot")
