"""One line for each thing that was measured, of any benchmark: what, the figures, and the aim."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, NamedTuple


class Line(NamedTuple):
    """A row of the summary's table."""

    what: str
    measured: str
    aim: str = ""


RATIOS = (("step_over_floor", "step / floor"), ("over_peer", "ours / strongest PyTorch"))
STEP_AIM = "ours / strongest PyTorch at most 1.0, in no more memory"
INPUT_AIMS = {"cifar": "at least 20,000 images/s", "memory": "flat", "start": "below 15 s to the first step"}


def _step(rows: Any) -> List[Line]:
    lines = []
    for row in rows:
        parts = [f"{row['images_per_second']:.2f} images/s", f"{row['peak_memory_gb']:.2f} GB"]
        for key, name in RATIOS:
            parts += [f"{name} {row[key]:.2f}"] if row[key] is not None else []
        aim = STEP_AIM if row["mode"].startswith("hybridised") else ""
        names = [row.get("network", "AllConv13"), row["method"], row["mode"]]
        lines.append(Line(", ".join(names), ", ".join(parts), aim))
    return lines


def _profile(profiles: Any) -> List[Line]:
    return [
        Line(
            each["method"],
            ", ".join(f"{row['group']} {100 * row['share']:.0f} %" for row in each["groups"][:4]),
        )
        for each in profiles
    ]


def _peer_terms(rows: Any) -> List[Line]:
    return [
        Line(
            ", ".join(row[name] for name in ("network", "method", "mode") if name in row),
            f"terms {row['terms']:.1e}, gradients {row['gradients']:.1e}",
            "rounding only",
        )
        for row in rows
    ]


def _input(found: Any) -> List[Line]:
    def shown(figures: Dict[str, float]) -> str:
        return ", ".join(f"{key} {value:,.{0 if value > 100 else 2}f}" for key, value in figures.items())

    return [Line(name, shown(figures), INPUT_AIMS.get(name, "")) for name, figures in found.items()]


def _end_to_end(found: Any) -> List[Line]:
    beside = ", ".join(f"{name} {100 * share:.1f} %" for name, share in found["shares"].items())
    return [
        Line("first step", f"{found['first_step_at']:.2f} s from the start of Python"),
        Line("epochs", f"{beside} of their time"),
        Line(found["recipe"], f"{found['wall']:.1f} s, the whole run"),
    ]


def _engines(rows: Any) -> List[Line]:
    return [
        Line(
            f"{row['method']}, start {row['start']}",
            f"traced / list of layers {row['ratio']:.3f}",
            "one engine if at most 1.03",
        )
        for row in rows
    ]


def _maxmin(rows: Any) -> List[Line]:
    return [
        Line(
            row["network"],
            f"{row['time_ratio']:.2f} times the step, {row['memory_ratio']:.2f} times the memory",
            "at most 2.05 and 2.1",
        )
        for row in rows
    ]


def _shake(rows: Any) -> List[Line]:
    return [
        Line(f"{row['network']}, {row['gates']}", f"{row['over_even']:.3f} times even", "at most 1.05")
        for row in rows if row["gates"] != "even"
    ]  # fmt: skip


def _gibbs(found: Any) -> List[Line]:
    swept, counted = found["sweep"], found["statistics"]
    return [
        Line("sweep", f"{swept['passes_a_layer']:.2f} rendering passes a layer", "at most 3"),
        Line(f"paths of {counted['images']} images", f"{counted['memory_added_mb']:.1f} MB added", "flat"),
    ]


def _inference(rows: Any) -> List[Line]:
    return [
        Line(
            f"{row['network']}, batch {row['batch']}, {row['kind']}",
            f"{row['images_per_second']:.1f} images/s, {row['over_plain']:.2f} times the plain CNN",
            "at least 1" if row["kind"] == "symbol max" else "",
        )
        for row in rows
    ]


def _folding(rows: Any) -> List[Line]:
    return [
        Line(
            f"{row['network']} {row['output']}, {row['backend']}, batch {row['batch']}",
            f"unfolded / folded {row['unfolded_over_folded']:.2f}",
            "above 1.05 for one network at least",
        )
        for row in rows
    ]


def _devices(rows: Any) -> List[Line]:
    return [Line(row["setting"], f"{row['over_one']:.2f} times one device's images/s") for row in rows]


def _network(rows: Any) -> List[Line]:
    return [Line(row["title"], f"{row['gradient_bytes'] / 1e6:.1f} MB a step, each way") for row in rows]


def _sampled_step(found: Any) -> List[Line]:
    return [Line("digits", f"{found['ratio']:.2f} times the layerwise step", f"at most {found['limit']:g}")]


def _methods_step(rows: Any) -> List[Line]:
    return [
        Line(row["method"], f"{row['over_supervised']:.2f} times the supervised step")
        for row in rows if row["over_supervised"] != 1
    ]  # fmt: skip


def _likelihood(found: Any) -> List[Line]:
    return [
        Line(
            row["model"],
            f"gradient {max(row['distance']):.2f} standard errors off, log Z {row['log_z_error']:.3f} nats",
            "at most 3 and 0.05",
        )
        for row in found["models"]
    ]


SUMMARIES: Dict[str, Callable[[Any], List[Line]]] = {
    "step": _step, "peer_terms": _peer_terms, "profile_step": _profile, "input": _input,
    "end_to_end": _end_to_end,
    "engines": _engines, "maxmin": _maxmin,
    "shake": _shake, "gibbs": _gibbs, "inference": _inference, "folding": _folding, "network": _network,
    "devices": _devices, "sampled_step": _sampled_step, "methods_step": _methods_step,
    "likelihood": _likelihood,
}  # fmt: skip


def table(figures: Dict[str, Any]) -> str:
    """Lay out the figures of several benchmarks, by name, in one table."""
    lines = ["| benchmark | what | measured | aim |", "|---|---|---|---|"]
    for name, found in figures.items():
        lines += [f"| {name} | {' | '.join(line)} |" for line in SUMMARIES[name](found)]
    return "\n".join(lines)
