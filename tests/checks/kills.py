"""Kill a short run at every operation on its files, resume it, and compare it with one that was not killed.

python tests/checks/kills.py                     every moment (`make kill-test`)
python tests/checks/kills.py --moments 10        ten of them, evenly spread
python tests/checks/kills.py --twice             kill the resuming process as well; a third one finishes

A moment is just before a file is opened for writing, before its first write and in the midst of it, before
it is flushed to the disk, truncated, renamed, removed or locked, and before a folder is made or removed. The
process dies there by SIGKILL. The run is then resumed to its end, and must have the metrics (timings left
out), the arrays and counters of the newest checkpoint, the summary and the list of files of the whole run.

MXNet is imported once; each process is forked from the importing one, which itself computes nothing.
"""

from __future__ import annotations

import argparse
import builtins
import io
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "helpers")]
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import sklearn.datasets  # noqa: E402  (before the first fork, like all that is imported later)
import sklearn.metrics  # noqa: E402, F401
from short_runs import FULL, newest, recipe  # noqa: E402

from gluon_nrm.runs.figures import new_figure, save  # noqa: E402
from gluon_nrm.runs.open_run import load_run  # noqa: E402
from gluon_nrm.training import evaluate_run, loop  # noqa: E402
from gluon_nrm.training import fit as fit_module  # noqa: E402

TIMINGS = ("seconds", "images_per_second")
#: Of the summary, what says where it was trained rather than what came out.
SURROUNDINGS = ("commit",)
#: Audit events of Python that name a path, and the place of the path among their arguments.
EVENTS = {"os.mkdir": 0, "os.rmdir": 0, "os.rename": 1, "os.remove": 0, "os.truncate": 0, "fcntl.flock": 0}
#: The longest that a process may take.
LIMIT = 300.0


def draw(parts: Any, run: Any) -> None:
    """Write pictures as a run does, but empty ones: drawing takes four fifths of the time."""
    for name in ("curves.png", "renderings.png"):
        save(new_figure(1, 1), run.figures / name)


def draw_empty_figures() -> None:
    """Write every figure of this process as an empty one, the curves at each checkpoint."""

    def empty(_: Any, *others: Any) -> None:
        """Write an empty figure; the path is the one argument of that type."""
        save(new_figure(1, 1), next(each for each in others if isinstance(each, Path)))

    settings: Dict[Any, Dict[str, Any]] = {
        fit_module: {"draw": draw},
        evaluate_run: {"plot_confusion": empty, "plot_mistakes": empty},
        loop: {"REDRAW_AFTER": 0.0, "draw_curves": lambda run: empty(run, run.figures / "curves.png")},
    }
    for module, values in settings.items():
        for name, value in values.items():
            setattr(module, name, value)


class Moments:
    """Counts the moments of this process at which files below ``root`` change, and kills it at one of them.

    Args:
        root: folder of the runs.
        at: number of the moment to die at, from 1; 0: none.
    """

    def __init__(self, root: Path, at: int) -> None:
        self.root, self.at = os.path.realpath(root), at
        self.names: List[str] = []
        self._open, self._fsync = io.open, os.fsync
        sys.addaudithook(self._audit)
        io.open = builtins.open = self._opened  # type: ignore[assignment]
        os.fsync = self._synced  # type: ignore[assignment]

    def reach(self, what: str, last: Callable[[], Any] = lambda: None) -> None:
        """A moment: before ``what``. ``last`` is done if the process dies here."""
        self.names.append(what)
        if len(self.names) == self.at:
            last()
            os.kill(os.getpid(), signal.SIGKILL)

    def below(self, path: Any) -> Optional[str]:
        """The path below the root, by which a moment is called; None if it is not there."""
        if isinstance(path, int):
            path = os.readlink(f"/proc/self/fd/{path}")
        text = os.path.abspath(os.fsdecode(path))
        return os.path.relpath(text, self.root) if text.startswith(self.root) else None

    def _audit(self, event: str, arguments: Any) -> None:
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, int) or not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                return
        elif event in EVENTS:
            path = arguments[EVENTS[event]]
        else:
            return
        name = self.below(path) if path is not None else None
        # what shutil.rmtree removes is named relative to an open folder
        if event in ("os.remove", "os.rmdir") and arguments[1] != -1:
            name = self.below(arguments[1])
        if name is not None:
            self.reach(f"{event} {name}")

    def _opened(self, file: Any, mode: str = "r", *arguments: Any, **settings: Any) -> Any:
        opened = self._open(file, mode, *arguments, **settings)
        name = None if isinstance(file, int) or not set(mode) & set("wax+") else self.below(file)
        return opened if name is None else Written(opened, name, self)

    def _synced(self, descriptor: int) -> None:
        name = self.below(descriptor)
        if name is not None:
            self.reach(f"fsync {name}")
        self._fsync(descriptor)


class Written:
    """A file opened for writing, whose first write is two moments: before it, and when half of it is done."""

    def __init__(self, file: Any, name: str, moments: Moments) -> None:
        self._file, self._name, self._moments = file, name, moments
        self._begun = False

    def write(self, data: Any) -> Any:
        """Write; dies in the midst of the first write if this is the moment."""
        if not self._begun:
            self._begun = True
            self._moments.reach(f"write {self._name}")
            self._moments.reach(f"half a write {self._name}", lambda: self._half(data))
        return self._file.write(data)

    def _half(self, data: Any) -> None:
        self._file.write(data[: len(data) // 2])
        self._file.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> "Written":
        return self

    def __exit__(self, *_: Any) -> None:
        self._file.close()


def train(root: Path, at: int = 0, record: Optional[Path] = None) -> int:
    """Train in a process of its own, killed at a moment; returns its exit code (-9: killed).

    Args:
        root: folder of the runs.
        at: number of the moment; 0: none.
        record: file for the names of all moments.
    """
    child = os.fork()
    if not child:
        code = 1
        try:
            root.mkdir(exist_ok=True)
            log = os.open(root.parent / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(log, 1)
            os.dup2(log, 2)
            moments = Moments(root, at)
            with open(os.devnull, "w") as nowhere:
                draw_empty_figures()
                fit_module.fit(recipe(FULL), root=root, devices="cpu", stream=nowhere)
            if record is not None:
                record.write_text(json.dumps(moments.names), encoding="utf-8")
            code = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(code)
    give_up = time.monotonic() + LIMIT
    while time.monotonic() < give_up:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    raise SystemExit(f"moment {at}: no end after {LIMIT:.0f} s; see {root.parent / 'output.txt'}")


def outcome(root: Path) -> Dict[str, Any]:
    """All of a finished run that must not depend on kills."""
    run = load_run(root / "short-s0")
    checkpoint = newest(run)
    rows = [{key: value for key, value in row.items() if key not in TIMINGS} for row in run.read_metrics()]
    files = sorted(
        str(path.relative_to(root)) for path in root.rglob("*") if "epoch_" not in str(path.relative_to(root))
    )
    arrays = {
        f"{group}/{name}": (str(array.dtype), array.shape, array.tobytes())
        for group, entries in checkpoint.arrays.items()
        for name, array in entries.items()
    }
    summary = {key: value for key, value in run.summary().items() if key not in SURROUNDINGS}
    return {
        "metrics": rows, "arrays": arrays, "state": (checkpoint.epoch, checkpoint.state), "files": files,
        "summary": summary, "recipe": run.recipe_text(),
    }  # fmt: skip


def differences(found: Dict[str, Any], expected: Dict[str, Any]) -> List[str]:
    """The parts in which two outcomes differ."""
    return [part for part in expected if found[part] != expected[part]]


def kill_all(folder: Path, count: Optional[int], twice: bool, seed: int) -> int:
    """Kill at all moments, or at ``count`` of them; returns how many resumed runs differ."""
    if train(folder / "whole", record=folder / "moments.json"):
        raise SystemExit(f"the run that is not killed fails; see {folder / 'output.txt'}")
    names = json.loads((folder / "moments.json").read_text(encoding="utf-8"))
    expected = outcome(folder / "whole")
    chosen = list(range(1, len(names) + 1))
    if count is not None and count < len(names):
        chosen = sorted({1 + round(i * (len(names) - 1) / max(count - 1, 1)) for i in range(count)})
    draw, killed, bad, started = random.Random(seed), 0, 0, time.monotonic()
    for done, at in enumerate(chosen, 1):
        root = folder / f"killed-{at}"
        codes = [train(root, at)]
        if twice:
            codes.append(train(root, draw.randint(1, len(names))))
        killed += codes.count(-signal.SIGKILL)
        problem = "it was not killed" if codes[0] != -signal.SIGKILL else ""
        if not problem and train(root):
            problem = f"it does not go on; see {folder / 'output.txt'}"
        if not problem:
            problem = ", ".join(differences(outcome(root), expected))
        bad += bool(problem)
        if problem:
            print(f"moment {at} ({names[at - 1]}): {problem}", flush=True)
        if done % 10 == 0:
            print(f"{done} of {len(chosen)} moments, {time.monotonic() - started:.0f} s", flush=True)
    print(f"{len(names)} moments, {len(chosen)} tried, {killed} kills:"
          f" {len(chosen) - bad} resumed to the same bits, {bad} not")  # fmt: skip
    return bad


def main(arguments: Sequence[str]) -> int:
    """Kill and compare; 0 if all resumed runs are the same."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--moments", type=int, metavar="N", help="so many, evenly spread (default: all)")
    parser.add_argument("--twice", action="store_true", help="kill the resuming process as well")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the second kills (default: 0)")
    options = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="kills-"))
    bad = kill_all(folder, options.moments, options.twice, options.seed)
    if bad:
        print(f"the runs are in {folder}")
    else:
        shutil.rmtree(folder)
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
