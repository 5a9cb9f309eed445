"""Run the command `report` from a checkout; its code is in gluon_nrm/cli/report.py."""

from __future__ import annotations

from _package import run

if __name__ == "__main__":
    run("report")
