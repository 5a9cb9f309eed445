"""Rows of ``step.py``: medians, ratios to the floor and to the strongest peer, and their table."""

from __future__ import annotations

import statistics
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

#: our own rows in bfloat16, which are compared with the peer's in bfloat16
BFLOAT16 = "hybridised, bfloat16"
PEER = "PyTorch"
#: what a process said of itself, and what it measured, round after round
Start = Tuple[Dict[str, float], List[Dict[str, float]]]
HEADER = (
    "| method | step | threads | s | min..max | images/s | peak memory (GB) | floor (s) | step / floor "
    "| ours / strongest PyTorch | memory / its |\n|---|---|---|---|---|---|---|---|---|---|---|"
)


def make_row(names: Mapping[str, str], images: int, threads: int, starts: Sequence[Start]) -> Dict[str, Any]:
    """Medians of a row over all rounds, and of each start, beside what its processes said of themselves.

    Args:
        names: network, method and mode.
        images: images in a step.
        threads: number of threads.
        starts: of each process of the row.
    """
    from benchmarks.timing import spread

    seconds, floors = (
        [[each[key] for each in rounds if key in each] for _, rounds in starts]
        for key in ("step_seconds", "floor_seconds")
    )
    row: Dict[str, Any] = {**names, "threads": threads}
    row.update(spread([each for start in seconds for each in start]))
    row["images_per_second"] = images / row["seconds"]
    for ready, _ in starts:
        row.update(ready)
    row["peak_memory_gb"] = max(ready["peak_memory_gb"] for ready, _ in starts)
    row["seconds_of_starts"] = [statistics.median(start) for start in seconds]
    measured = [each for start in floors for each in start]
    row["floor_seconds"] = statistics.median(measured) if measured else None
    _relate(row, "step_over_floor", [statistics.median(start) for start in floors] if measured else None)
    return row


def fastest(rows: Sequence[Dict[str, Any]]) -> Dict[str, Any]:
    """Choose the row of the best number of threads; it keeps the seconds of the others."""
    best = min(rows, key=lambda row: float(row["seconds"]))
    return {**best, "seconds_of_threads": {str(row["threads"]): row["seconds"] for row in rows}}


def compare(rows: Sequence[Dict[str, Any]]) -> None:
    """Add to each of our rows how it relates to the strongest peer of its method and precision.

    None for the peer itself, and where there is none.
    """
    for row in rows:
        peers = [each for each in rows if _is_peer_of(each, row)]
        strongest = min(peers, key=lambda each: float(each["seconds"]), default=None)
        _relate(row, "over_peer", strongest["seconds_of_starts"] if strongest else None)
        row["strongest_peer"] = strongest["mode"] if strongest else None
        row["memory_over_peer"] = row["peak_memory_gb"] / strongest["peak_memory_gb"] if strongest else None


def _is_peer_of(peer: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    """Return True if ``peer`` is a row of PyTorch with the method and precision of our ``row``."""
    if row["mode"].startswith(PEER) or not peer["mode"].startswith(PEER):
        return False
    same = all(peer[key] == row[key] for key in ("network", "method"))
    return same and ("bfloat16" in peer["mode"]) == (row["mode"] == BFLOAT16)


def _relate(row: Dict[str, Any], name: str, others: Optional[Sequence[float]]) -> None:
    """Add the ratios of a row's time to others, start by start, and their median; None without others."""
    ratios = [ours / other for ours, other in zip(row["seconds_of_starts"], others)] if others else None
    row[f"{name}_of_starts"], row[name] = ratios, statistics.median(ratios) if ratios else None


def table(rows: Sequence[Dict[str, Any]]) -> str:
    """Lay out the rows in Markdown, a ratio as the median of the starts' with their range.

    What was not measured is left empty. Rows of earlier versions know one peer, eager PyTorch.
    """
    lines = [HEADER]
    for row in rows:
        cells = [
            row["method"], row["mode"], str(row.get("threads", "")), _figure(row["seconds"]),
            _range(row["seconds_min"], row["seconds_max"]),
            *[_figure(row[key]) for key in ("images_per_second", "peak_memory_gb", "floor_seconds")],
            _ratio(row["step_over_floor_of_starts"]),
            _ratio(row["over_peer_of_starts"]) + _named(row),
            _figure(row.get("memory_over_peer")),
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _named(row: Mapping[str, Any]) -> str:
    """Name the strongest peer's mode behind a ratio."""
    if row["over_peer"] is None:
        return ""
    mode: str = row.get("strongest_peer", f"{PEER}, eager")
    return f", {mode[len(PEER) + 2 :]}"


def _figure(value: Optional[float]) -> str:
    """Format a figure with two decimals; below 0.1, seconds of small networks, with four."""
    if value is None:
        return ""
    return f"{value:.4f}" if value < 0.1 else f"{value:.2f}"


def _range(least: float, most: float) -> str:
    return f"{_figure(least)}..{_figure(most)}"


def _ratio(of_starts: Optional[Sequence[float]]) -> str:
    if of_starts is None:
        return ""
    return f"{statistics.median(of_starts):.2f} ({_range(min(of_starts), max(of_starts))})"
