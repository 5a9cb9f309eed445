"""Run ``tools/train.py`` with a clock at its stages, and write the seconds of each to a file.

    python benchmarks/stamped_train.py STARTED FILE RECIPE [OPTION ...]

``end_to_end.py`` starts it. STARTED is ``time.time()`` just before the start of this process. Nothing is
imported before the command's own modules, in the order in which the command imports them.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from functools import wraps
from pathlib import Path
from typing import Any, Callable, Dict


class Stages:
    """Seconds of the stages of a run, measured by wrapping the functions that they are.

    Args:
        started: ``time.time()`` before the process started.
    """

    def __init__(self, started: float) -> None:
        self._started = self._last = started
        #: seconds of each stage up to the first step, in order
        self.until_first_step: Dict[str, float] = {}
        #: seconds of all calls of what is timed after it
        self.sums: Dict[str, float] = {}

    def stamp(self, stage: str) -> None:
        """End a stage that began when the last one ended."""
        now = time.time()
        self.until_first_step[stage] = now - self._last
        self._last = now

    def ends(self, owner: Any, name: str, stage: str) -> None:
        """Wrap a function whose first return ends a stage."""
        function = getattr(owner, name)

        @wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            found = function(*args, **kwargs)
            if stage not in self.until_first_step:
                _wait()
                self.stamp(stage)
            return found

        setattr(owner, name, wrapped)

    def adds(self, owner: Any, name: str, kind: str) -> None:
        """Wrap a function whose calls are added up."""
        function = getattr(owner, name)

        @wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            _wait()
            began = time.time()
            found = function(*args, **kwargs)
            _wait()
            self.sums[kind] = self.sums.get(kind, 0.0) + time.time() - began
            return found

        setattr(owner, name, wrapped)

    def figures(self) -> Dict[str, Any]:
        """Return all that was measured, with the seconds since the start."""
        return {
            "until_first_step": self.until_first_step, "sums": self.sums, "wall": time.time() - self._started
        }  # fmt: skip


def _wait() -> None:
    """Wait for MXNet's engine."""
    sys.modules["mxnet"].nd.waitall()


def main() -> None:
    """Import the command as ``tools/train.py`` does, wrap its stages, and run it."""
    started, file, *arguments = sys.argv[1:]
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    stages = Stages(float(started))
    from gluon_nrm.cli.main import run_command

    importlib.import_module("gluon_nrm.system.needs_mxnet")
    importlib.import_module("gluon_nrm.system.tune").tune()
    command = importlib.import_module("gluon_nrm.cli.train")
    fit, loop, step = (
        importlib.import_module(f"gluon_nrm.training.{name}") for name in ("fit", "loop", "step")
    )
    stages.stamp("interpreter and imports")
    stages.ends(fit, "data_to_train", "recipe and data")
    stages.ends(fit, "assemble", "network and teacher")
    stages.ends(step.TrainStep, "__call__", "run folder, first step")
    stages.adds(loop.Loop, "_train_epoch", "epochs")
    stages.adds(loop.Loop, "_errors", "evaluation")
    stages.adds(loop.Loop, "_save", "checkpoints and curves")
    stages.adds(fit, "draw", "pictures at the end")
    stages.adds(fit, "evaluate_at_the_end", "evaluation at the end")
    run: Callable[..., Any] = command.fit

    def fit_and_tell(*args: Any, **kwargs: Any) -> Any:
        found = run(*args, **kwargs)
        Path(file).write_text(json.dumps(stages.figures()), encoding="utf-8")
        return found

    command.fit = fit_and_tell  # type: ignore[attr-defined]
    sys.argv = ["train.py", *arguments]
    run_command("train", arguments)


if __name__ == "__main__":
    main()
