"""The child's side of measuring in turns: one measurement for every line that is read.

Nothing but the standard library, for it also runs in a Python without MXNet.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from typing import Any, Callable, Dict, List

#: Runs of everything that is measured before the first one that counts: they build graphs and take memory.
WARM_UP = 2
#: Seconds that a turn of a short run takes at least.
TURN = 0.5


def serve(ready: Dict[str, Any], measure: Callable[[], Dict[str, Any]]) -> None:
    """Say that everything is built and warm, then measure once a line until there are no more.

    Args:
        ready: what to say then, as JSON.
        measure: takes one measurement and returns it as JSON values.
    """
    print(json.dumps(ready), flush=True)
    for _ in sys.stdin:
        print(json.dumps(measure()), flush=True)


def turn(run: Callable[[], Any]) -> float:
    """Run something again and again for ``TURN`` seconds; the first run, which wakes threads, does not count.

    Returns:
        The median seconds of a run; one run counts at least.
    """
    run()
    ends = time.perf_counter() + TURN
    seconds: List[float] = []
    while not seconds or time.perf_counter() < ends:
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def serve_turns(run: Callable[[], Any]) -> None:
    """Serve turns of a short run, after one that does not count."""
    turn(run)
    serve({}, lambda: {"seconds": turn(run)})
