"""What the tools that may do without MXNet import first: finds ``gluon_nrm`` in this checkout.

    import _package  # noqa: F401  (first: finds gluon_nrm)

Python puts the folder of a script, and not the checkout it belongs to, where it looks for modules; and the
package refuses to be imported where its MXNet would not work, before any tool could catch that. Both are
dealt with here, once.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

#: The checkout this script belongs to.
ROOT = Path(__file__).resolve().parents[1]


def import_or_leave(name: str) -> None:
    """Import a module; where the package refuses, say why in one line and leave."""
    try:
        importlib.import_module(name)
    except Exception as problem:
        # By its mark, not its class: that would have to be imported from the package that has just refused.
        exit_code = getattr(problem, "exit_code", None)
        if exit_code is None:
            raise
        sys.stderr.write(f"error: {problem}\n")
        raise SystemExit(exit_code) from None


sys.path.insert(0, str(ROOT))
import_or_leave("gluon_nrm")
