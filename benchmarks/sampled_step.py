"""Training step of sampled RPN on the digits, beside the layerwise and the mode form, in turns.

    PYTHONPATH=. python benchmarks/sampled_step.py [--repeats 20] [--json FILE]

The steps are those of the recipes, with their own batches: 32 + 32 images, and for the sampled form two
chains of each class and one Gibbs sweep. The sampled step may take at most twice the layerwise one.
"""

from __future__ import annotations

from itertools import cycle, islice
from statistics import median
from typing import Any, Callable, Dict

import mxnet as mx

from benchmarks.harness import ROOT, command_line, write_json
from gluon_nrm.console.tool import run_tool
from gluon_nrm.optimisation.schedules import loss_weights
from gluon_nrm.recipe import load_recipe
from gluon_nrm.training.assemble import assemble
from gluon_nrm.training.optimisers import make_trainer

RECIPES = {"layerwise": "digits_nrm_rpn", "mode": "digits_nrm_rpn_mode", "sampled": "digits_nrm_rpn_sampled"}
#: Images that the steps take from, and the most that a sampled step may take of a layerwise one.
STEPS, LIMIT = 4, 2.0


def step_of(name: str) -> Callable[[], Any]:
    """Build a recipe's training step, past its ramp-ups."""
    recipe = load_recipe(ROOT / "recipes" / f"{name}.yaml")
    parts = assemble(recipe, [mx.cpu(0)])
    trainer = make_trainer(parts.parameters, recipe.optimiser, recipe.optimiser.phases[0], "device")
    weights, batches = loss_weights(recipe.loss, 30.0), cycle(islice(parts.streams.epoch(0), STEPS))
    numbers = iter(range(1, 10**9))
    return lambda: parts.step(next(batches), weights, trainer, next(numbers))


def main() -> int:
    """Print a line for each form."""
    from benchmarks.timing import take_turns

    options = command_line(__doc__ or "", repeats=20).parse_args()
    found = take_turns([step_of(name) for name in RECIPES.values()], options.repeats)
    seconds: Dict[str, float] = dict(zip(RECIPES, map(median, found)))
    print("| form | step (ms) | of the layerwise step |\n|---|---|---|")
    for form, each in seconds.items():
        print(f"| {form} | {1e3 * each:.1f} | {each / seconds['layerwise']:.2f} |")
    ratio = seconds["sampled"] / seconds["layerwise"]
    write_json(options.json, {"seconds": seconds, "ratio": ratio, "limit": LIMIT})
    return 0


if __name__ == "__main__":
    run_tool(lambda _: main())
