"""Run the command ``paths`` from a checkout; its code is in gluon_nrm/cli/paths.py."""

from __future__ import annotations

from _package import run

if __name__ == "__main__":
    run("paths")
