"""Training step of every method of Table 3 on the digits, beside the supervised step, in turns.

    PYTHONPATH=. python benchmarks/methods_step.py [--repeats 20] [--json FILE]

The steps are those of the recipes with their own batches, so the supervised one has half as many images as
most others; the last column divides by the images too.
"""

from __future__ import annotations

from statistics import median
from typing import Any, Dict, List, Mapping, Sequence

from benchmarks.harness import ROOT, command_line, write_json
from benchmarks.recipe_step import recipe_step
from gluon_nrm.console.tool import run_tool
from gluon_nrm.report.paper_tables import get_table

#: The method that the others are divided by.
SUPERVISED = "Supervised only"
#: Methods that are no rows of the tables, and their recipes.
OTHERS = {"NRM + RPN + discriminator": "digits_nrm_rpn_adversarial"}


def methods() -> Dict[str, str]:
    """Return the recipe of each method that has one on the digits, in the tables' order, then others."""
    cells = get_table("table3", "digits").runnable(ROOT / "recipes")
    return {**{cell.method: cell.recipe for cell in cells}, **OTHERS}


def rows(seconds: Mapping[str, Sequence[float]], images: Mapping[str, int]) -> List[Dict[str, Any]]:
    """Divide the median step of each method, in seconds, by the supervised one."""
    medians = {method: median(each) for method, each in seconds.items()}
    one = medians[SUPERVISED]
    return [
        {
            "method": method, "images": images[method], "seconds": each, "over_supervised": each / one,
            "image_over_supervised": each / one * images[SUPERVISED] / images[method],
        }
        for method, each in medians.items()
    ]  # fmt: skip


def table(found: Sequence[Dict[str, Any]]) -> str:
    """Format a line for each method."""
    lines = [
        "| method | images | step (ms) | of the supervised step | the same, per image |",
        "|---|---:|---:|---:|---:|",
    ]
    for row in found:
        ratios = f"{row['over_supervised']:.2f} | {row['image_over_supervised']:.2f}"
        lines.append(f"| {row['method']} | {row['images']} | {1e3 * row['seconds']:.1f} | {ratios} |")
    return "\n".join(lines)


def main() -> int:
    """Measure and print the table."""
    from benchmarks.timing import take_turns

    options = command_line(__doc__ or "", repeats=20).parse_args()
    steps = {method: recipe_step(recipe) for method, recipe in methods().items()}
    seconds = take_turns([step.run for step in steps.values()], options.repeats)
    found = rows(dict(zip(steps, seconds)), {method: step.images for method, step in steps.items()})
    print(table(found))
    write_json(options.json, found)
    return 0


if __name__ == "__main__":
    run_tool(lambda _: main())
