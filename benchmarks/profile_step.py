"""Where a hybridised training step's time goes: MXNet's operator profile, in groups.

    PYTHONPATH=. python benchmarks/profile_step.py [--repeats 3] [--json FILE] [--plot FILE.png]

The methods are those of ``step.py``, each in a process of its own. Usually the engine is handed long
stretches of a graph as one piece of work, and the profiler sees those only. MXNET_EXEC_BULK_EXEC_TRAIN=0 (for
the student) and MXNET_EXEC_BULK_EXEC_INFERENCE=0 (for the teacher, which is not recorded) have it handed one
operator at a time, whatever sizes the blocks were hybridised with. The step's time is therefore a little
longer than that of ``step.py``; what of it no operator accounts for is Python and the engine's own work.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Sequence

from benchmarks.harness import command_line, measure_in_child, write_json
from benchmarks.networks import METHODS
from gluon_nrm.console.tool import run_tool

#: group -> operators, without what their names begin with
GROUPS = {
    "convolutions": r"Convolution|Deconvolution",
    "norms": r"\w*Norm",
    "pooling and upsampling": r"Pooling|UpSampling|max_pool\w*",
    "statistics": r"AdaptiveAvgPooling2D|mean|sum|sum_axis|max|min|norm|square|sqrt|rsqrt|moments",
    "activations and masks": r"LeakyReLU|Activation|relu|abs|sign|clip|where|"
    r"(broadcast_)?(not_)?(greater|lesser|equal|maximum|minimum)\w*",
    "dropout": r"Dropout",
    "element-wise sums and products": r"((elemwise|broadcast|r)_?)?(add|plus|sub|minus|mul|div)(_scalar)?|"
    r"add_n|negative",
    "flips and copies": r"transpose|slice\w*|reverse|flip|SwapAxis|Concat|stack|[Rr]eshape\w*|Flatten|"
    r"expand_dims|copy|BlockGrad|SliceChannel|split\w*|pad|Pad|repeat|tile|broadcast_(axis|to|like|backward)|"
    r"zeros\w*|ones\w*|Cast|amp_\w+",
    # statistics, spreads and turned filters; of the classifier's own there are two a pass
    "products with ones": r"FullyConnected|dot",
    "probabilities": r"softmax|log_softmax|log|exp|one_hot|argmax|pick|arange_like",
    "optimiser and teacher": r"\w*_update",
    "engine": r"Delete\w+|CopyCPU2CPU|Set\w+|ResourceParallelRandomSetSeed|Reduce\w*",
}
OTHER, OUTSIDE = "other operators", "outside operators"
#: Waiting of one thread for another; the work it waits for is counted already.
_WAITS = "WaitForVar"
#: One operator at a time.
_APART = {"MXNET_EXEC_BULK_EXEC_TRAIN": "0", "MXNET_EXEC_BULK_EXEC_INFERENCE": "0"}
_PREFIX = re.compile(r"^(_?backward_|_contrib_|contrib_|_)+")


def group_of(operator: str) -> str:
    """Find the group of an operator, in either direction."""
    name = _PREFIX.sub("", operator) or operator
    return next((group for group, names in GROUPS.items() if re.fullmatch(names, name)), OTHER)


def profile(method: str, steps: int) -> Dict[str, Any]:
    """Profile steps of one method in this process; milliseconds are per step."""
    import mxnet as mx

    from benchmarks.serve import WARM_UP
    from benchmarks.step_methods import build
    from benchmarks.timing import seconds_of

    built = build(method, hybridised=True)
    for _ in range(WARM_UP):
        built.step()
    with tempfile.TemporaryDirectory() as folder:
        mx.profiler.set_config(
            profile_symbolic=True, profile_imperative=True, aggregate_stats=True,
            filename=str(Path(folder) / "profile.json"),
        )  # fmt: skip
        mx.nd.waitall()
        mx.profiler.set_state("run")
        milliseconds = 1e3 * seconds_of(lambda: [built.step() for _ in range(steps)]) / steps
        mx.profiler.set_state("stop")
        found = json.loads(mx.profiler.dumps(format="json"))["Time"]["operator"]
    operators = [
        {"operator": name, "calls": each["Count"] / steps, "milliseconds": each["Total"] / steps}
        for name, each in found.items() if name != _WAITS
    ]  # fmt: skip
    return summarise_profile(METHODS[method].title, milliseconds, operators)


def summarise_profile(method: str, milliseconds: float, operators: List[Dict[str, Any]]) -> Dict[str, Any]:
    """Add operators up in groups, the costliest first, and last what none of them accounts for."""
    sums: Dict[str, float] = {}
    for each in operators:
        each["group"] = group_of(each["operator"])
        sums[each["group"]] = sums.get(each["group"], 0.0) + each["milliseconds"]
    groups = sorted(sums.items(), key=lambda item: -item[1])
    groups.append((OUTSIDE, max(milliseconds - sum(sums.values()), 0.0)))
    return {
        "method": method,
        "milliseconds": milliseconds,
        "groups": [
            {"group": group, "milliseconds": taken, "share": taken / milliseconds} for group, taken in groups
        ],
        "operators": sorted(operators, key=lambda each: -float(each["milliseconds"])),
    }


def table(profiles: Sequence[Dict[str, Any]], costliest: int = 3) -> str:
    """Lay out the groups in Markdown, with the operators that cost most in each."""
    lines = ["| method | group | ms a step | share (%) | costliest operators (ms) |", "|---|---|---|---|---|"]
    for found in profiles:
        for row in found["groups"]:
            own = [each for each in found["operators"] if each["group"] == row["group"]][:costliest]
            named = ", ".join(f"{each['operator']} {each['milliseconds']:.0f}" for each in own)
            share = f"{row['milliseconds']:.0f} | {100 * row['share']:.1f}"
            lines.append(f"| {found['method']} | {row['group']} | {share} | {named} |")
    return "\n".join(lines)


def plot(profiles: Sequence[Dict[str, Any]], path: Path) -> None:
    """Draw each method's groups as bars, in seconds a step."""
    from gluon_nrm.runs.figures import new_figure, save

    figure = new_figure(10.0, 0.5 + 3.2 * len(profiles))
    every = figure.subplots(len(profiles), 1, squeeze=False)[:, 0]
    for axes, found in zip(every, profiles):
        rows = found["groups"][::-1]
        bars = axes.barh([row["group"] for row in rows], [row["milliseconds"] / 1e3 for row in rows])
        axes.bar_label(bars, [f"{100 * row['share']:.1f} %" for row in rows], padding=3, fontsize=8)
        axes.set_title(f"{found['method']}: {found['milliseconds'] / 1e3:.2f} s a step", fontsize=10)
        axes.set_xlabel("seconds")
        axes.margins(x=0.1)
        axes.spines[["top", "right"]].set_visible(False)
    save(figure, path)


def main() -> int:
    """Profile each method in a process of its own, print the table and draw the bars."""
    parser = command_line(__doc__ or "", repeats=3)
    parser.add_argument("--plot", metavar="FILE.png", type=Path, help="also draw the groups as bars")
    parser.add_argument("--measure", choices=tuple(METHODS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(profile(options.measure, options.repeats)))
        return 0
    found = [
        measure_in_child(__file__, method, "--repeats", str(options.repeats), **_APART) for method in METHODS
    ]
    print(f"Hybridised, batch 8 + 8, float32: means of {options.repeats} steps\n{table(found)}")
    write_json(options.json, found)
    if options.plot:
        plot(found, options.plot)
    return 0


if __name__ == "__main__":
    run_tool(lambda _: main())
