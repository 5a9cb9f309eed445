"""The child's side of measuring in turns: one measurement for every line that is read.

Nothing but the standard library, for it also runs in a Python without MXNet.
"""

from __future__ import annotations

import json
import sys
from typing import Any, Callable, Dict

#: Runs of everything that is measured before the first one that counts: they build graphs and take memory.
WARM_UP = 2


def serve(ready: Dict[str, Any], measure: Callable[[], Dict[str, Any]]) -> None:
    """Say that everything is built and warm, then measure once a line until there are no more.

    Args:
        ready: what to say then, as JSON.
        measure: takes one measurement and returns it as JSON values.
    """
    print(json.dumps(ready), flush=True)
    for _ in sys.stdin:
        print(json.dumps(measure()), flush=True)
