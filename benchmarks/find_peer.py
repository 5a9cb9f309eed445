"""The Python whose PyTorch is measured, and the modes in which it can be."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import List, Optional, Sequence, Tuple

from benchmarks.harness import last_line
from benchmarks.peer_modes import PEER_MODES
from gluon_nrm.system.processor import INSTRUCTIONS, has_instructions

REMEDY = 'pip install "gluon_nrm[peers]", or name another Python: --peer-python PATH'
PEER_FILE = Path(__file__).with_name("peer_torch.py")


def add_peer_options(parser: argparse.ArgumentParser) -> None:
    """Add --peer-python and --peer-modes to a benchmark's command line."""
    parser.add_argument("--peer-python", metavar="PATH", help="a Python that has PyTorch")
    parser.add_argument(
        "--peer-modes", nargs="+", choices=tuple(PEER_MODES), default=list(PEER_MODES), metavar="MODE",
        help=f"ways of running PyTorch: {', '.join(PEER_MODES)} (default: all)",
    )  # fmt: skip


def has_bfloat16() -> bool:
    """Return True if the processor has instructions for bfloat16, and libraries may use all of its own."""
    return has_instructions("avx512_bf16") and INSTRUCTIONS not in os.environ


def find_peer(python: Optional[str]) -> Optional[str]:
    """Find the Python whose PyTorch is the peer; where there is none, say so and how to get it."""
    chosen = python or os.environ.get("PEER_PYTHON") or sys.executable
    try:
        found = subprocess.run([chosen, "-c", "import torch"], capture_output=True).returncode == 0
    except OSError:
        found = False
    if not found:
        print(f"no row for PyTorch: {chosen} cannot import it; {REMEDY}", file=sys.stderr)
    return chosen if found else None


def without_bfloat16(modes: Sequence[str]) -> List[str]:
    """Leave out the modes in bfloat16, and say so."""
    print("no rows in bfloat16: the processor has no flag avx512_bf16, or may not use it", file=sys.stderr)
    return [name for name in modes if not PEER_MODES[name].bfloat16]


def choose_peer(python: Optional[str], wanted: Sequence[str]) -> Tuple[Optional[str], List[str]]:
    """Choose the Python and the modes that are measured on this processor; say what is left out and why.

    Args:
        python: as for ``find_peer``.
        wanted: keys of ``PEER_MODES``.
    """
    peer = find_peer(python)
    modes = list(wanted) if has_bfloat16() else without_bfloat16(wanted)
    return peer, usable_modes(peer, modes) if peer else []


def usable_modes(peer: str, wanted: Sequence[str]) -> List[str]:
    """Choose the modes that can be measured; say which are left out and why.

    Args:
        peer: the Python that has PyTorch.
        wanted: keys of ``PEER_MODES``.

    Raises:
        BenchmarkError: the peer does not start.
    """
    reasons = json.loads(last_line([peer, str(PEER_FILE), "--obstacles"]))
    for name in wanted:
        if name in reasons:
            print(f"no row for PyTorch, {PEER_MODES[name].title}: {reasons[name]}", file=sys.stderr)
    return [name for name in PEER_MODES if name in wanted and name not in reasons]
