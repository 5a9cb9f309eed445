"""Run the command ``train`` from a checkout; its code is in gluon_nrm/cli/train.py."""

from __future__ import annotations

from _package import run

if __name__ == "__main__":
    run("train")
