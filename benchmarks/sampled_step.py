"""Training step of sampled RPN on the digits, beside the layerwise and the mode form, in turns.

    PYTHONPATH=. python benchmarks/sampled_step.py [--repeats 20] [--json FILE]

The steps are those of the recipes, with their own batches: 32 + 32 images, and for the sampled form two
chains of each class and one Gibbs sweep. The sampled step may take at most twice the layerwise one.
"""

from __future__ import annotations

from statistics import median
from typing import Dict

from benchmarks.harness import command_line, write_json
from benchmarks.recipe_step import recipe_step
from gluon_nrm.console.tool import run_tool

RECIPES = {"layerwise": "digits_nrm_rpn", "mode": "digits_nrm_rpn_mode", "sampled": "digits_nrm_rpn_sampled"}
#: The most that a sampled step may take of a layerwise one.
LIMIT = 2.0


def main() -> int:
    """Print a line for each form."""
    from benchmarks.timing import take_turns

    options = command_line(__doc__ or "", repeats=20).parse_args()
    found = take_turns([recipe_step(name).run for name in RECIPES.values()], options.repeats)
    seconds: Dict[str, float] = dict(zip(RECIPES, map(median, found)))
    print("| form | step (ms) | of the layerwise step |\n|---|---|---|")
    for form, each in seconds.items():
        print(f"| {form} | {1e3 * each:.1f} | {each / seconds['layerwise']:.2f} |")
    ratio = seconds["sampled"] / seconds["layerwise"]
    write_json(options.json, {"seconds": seconds, "ratio": ratio, "limit": LIMIT})
    return 0


if __name__ == "__main__":
    run_tool(lambda _: main())
