"""What every benchmark's command line does: measure in child processes, write the figures to a file."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Dict, Hashable, List, Mapping, Optional, Sequence, TypeVar

from gluon_nrm.errors import NRMError, RunError
from gluon_nrm.storage.files import atomic_path, os_errors
from gluon_nrm.system.environment import describe_environment
from gluon_nrm.system.processor import INSTRUCTIONS, thread_defaults
from gluon_nrm.system.tune import tune

Key = TypeVar("Key", bound=Hashable)
ROOT = Path(__file__).resolve().parents[1]


class BenchmarkError(NRMError):
    """A benchmark cannot be run as asked, or a process of it failed."""


def command_line(description: str, repeats: Optional[int] = 7) -> argparse.ArgumentParser:
    """Tune the process, and return a parser with the arguments that all benchmarks have.

    Args:
        description: the text of ``--help``.
        repeats: the default of ``--repeats``; None: the benchmark has no such argument.
    """
    tune()
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", metavar="FILE", help="also write the figures to a file")
    if repeats is not None:
        parser.add_argument(
            "--repeats", type=count, default=repeats, help=f"timed repetitions (default: {repeats})"
        )
    return parser


def count(text: str) -> int:
    """Read a number of repetitions, for argparse. Raises ValueError below 1."""
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


def child_environment(**environment: str) -> Dict[str, str]:
    """Environment variables of a process that measures.

    MXNet uses all cores in every operator, unless the environment says otherwise.
    """
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**thread_defaults(), **environment, **os.environ, "PYTHONPATH": path}


def measure_in_child(file: str, *arguments: str, **environment: str) -> Any:
    """Run ``file --measure ARGUMENTS`` in a process of its own and read the JSON it prints last.

    Peak memory never falls, so what it is measured of needs a process each.

    Raises:
        BenchmarkError: the process failed; its message is on standard error.
    """
    return json.loads(last_line([sys.executable, file, "--measure", *arguments], **environment))


def last_line(command: Sequence[str], **environment: str) -> str:
    """Run a command and return the last line it prints. Raises BenchmarkError if it fails or prints none."""
    child = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=child_environment(**environment))
    if child.returncode or not child.stdout:
        raise _failed(command, child.returncode)
    return child.stdout.splitlines()[-1]


def _failed(command: Sequence[str], code: int) -> BenchmarkError:
    return BenchmarkError(
        f"{' '.join(command[1:])}: ended with code {code};\n"
        "what went wrong is above: mend that and run it again"
    )


class Child:
    """A process that holds something ready and measures it whenever it is asked (``serve.py``).

    Several of them take turns, so that what else the machine does slows all of them alike; one that is not
    asked waits, and takes no processor.

    Args:
        command: what to run.
        environment: its own environment variables, which come before those of this process.

    """

    def __init__(self, command: Sequence[str], **environment: str) -> None:
        self._command = list(command)
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**child_environment(), **environment},
        )  # fmt: skip
        self._ready: Optional[Dict[str, Any]] = None

    @property
    def ready(self) -> Dict[str, Any]:
        """Wait until the process is ready, and return what it said then. Raises BenchmarkError if it ends."""
        if self._ready is None:
            self._ready = self._answer()
        return self._ready

    def ask(self) -> Dict[str, Any]:
        """Have one measurement taken and return it. Raises BenchmarkError if the process ends."""
        assert self.ready is not None
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended, which shows in its answer
            self._process.stdin.write("\n")
            self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def _answer(self) -> Dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):  # libraries print too
                found: Dict[str, Any] = json.loads(line)
                return found
        raise _failed(self._command, self._process.wait())


def take_turns(children: Mapping[Key, Child], rounds: int, pause: float = 0.0) -> Dict[Key, List[Any]]:
    """Wait until all processes are ready, then ask each of them once a round; end them in any case.

    Args:
        children: the processes.
        rounds: measurements of each.
        pause: seconds before each measurement.

    Returns:
        The answers of each, in order.
    """
    with ExitStack() as stack:
        for child in children.values():
            stack.callback(child.close)
        for child in children.values():
            _ = child.ready  # waits
        found: Dict[Key, List[Any]] = {key: [] for key in children}
        for _ in range(rounds):
            for key, child in children.items():
                time.sleep(pause)
                found[key].append(child.ask())
    return found


def write_json(path: Optional[str], figures: Any) -> None:
    """Write what was measured to ``path``, and on what; None: nowhere.

    Raises:
        RunError: the file cannot be written.
    """
    if not path:
        return
    environment = dict(
        describe_environment(),
        omp_num_threads=int(child_environment()["OMP_NUM_THREADS"]),
        instructions_up_to=os.environ.get(INSTRUCTIONS),
    )
    target = Path(path)
    with os_errors(RunError, "write", target), atomic_path(target) as temporary:
        text = json.dumps({"environment": environment, "figures": figures}, indent=2)
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read the figures of a file that ``write_json`` wrote."""
    return json.loads(path.read_text(encoding="utf-8"))["figures"]
