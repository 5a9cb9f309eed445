"""What every tool imports first: finds ``gluon_nrm`` in this checkout; one line where it cannot run.

    import _checkout  # noqa: F401  (first: finds gluon_nrm)

    from gluon_nrm.cli import run_tool

Python puts the folder of a script, and not the checkout it belongs to, where it looks for modules; and the
package refuses to be imported where MXNet would not work, before any tool could catch that. Both are dealt
with here, once.
"""

from __future__ import annotations

import sys
from pathlib import Path

#: The checkout this script belongs to.
ROOT = Path(__file__).resolve().parents[1]

sys.path.insert(0, str(ROOT))

try:
    import gluon_nrm  # noqa: F401
except Exception as problem:
    # By its mark, not its class: that would have to be imported from the package that has just refused to be.
    exit_code = getattr(problem, "exit_code", None)
    if exit_code is None:
        raise
    sys.stderr.write(f"error: {problem}\n")
    raise SystemExit(exit_code) from None
