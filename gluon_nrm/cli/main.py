"""Entry point of ``gluon-nrm COMMAND``: check the set-up, import the command that is called, run it.

Importing this module imports neither MXNet nor numpy.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from contextlib import suppress
from importlib import util
from types import ModuleType
from typing import Dict, List, NamedTuple, NoReturn, Sequence

from gluon_nrm.console.start_process import prepare_process
from gluon_nrm.system.commands import CONSOLE, command
from gluon_nrm.version import __version__

NEVER, IF_INSTALLED, ALWAYS = "never", "if installed", "always"


class Command(NamedTuple):
    """A command: one line of help, and whether MXNet is checked before it is imported."""

    help: str
    checks_mxnet: str = ALWAYS


#: In the order of a first day's work; each is a module of this folder.
COMMANDS: Dict[str, Command] = {
    "doctor": Command("check this machine's set-up; print what solves each problem", NEVER),
    "data": Command("find or download the files of a data set, and verify them"),
    "train": Command("train a recipe; a run that was stopped goes on"),
    "evaluate": Command("compute the errors of a run, by class"),
    "plot": Command("draw the curves of one run, or of several in one figure"),
    "predict": Command("classify image files with a run or an export", IF_INSTALLED),
    "render": Command("draw test images and their renderings at every layer"),
    "table": Command("print a table of runs, or a table of the paper"),
    "report": Command("write settings, curves and pictures of runs as one HTML file"),
    "export": Command("write a run as files for MXNet or onnxruntime alone"),
    "generate": Command("draw images from the prior of a run"),
    "paths": Command("count the rendering paths of a run's training images"),
    "launch": Command("start several processes that train together"),
}


def main() -> NoReturn:
    """Run ``gluon-nrm`` with the arguments of this process, and exit."""
    prepare_process()
    name, arguments = (sys.argv[1:2] or [""])[0], sys.argv[2:]
    if name in COMMANDS:
        run_command(name, arguments)
    from gluon_nrm.console.tool import run_tool

    run_tool(_no_command, sys.argv[1:])


def run_command(name: str, arguments: Sequence[str]) -> NoReturn:
    """Run one command with its arguments, and exit.

    The set-up is checked first, and threads and memory are tuned: MXNet reads some settings when it is
    imported.
    """
    prepare_process()
    checks = COMMANDS[name].checks_mxnet
    if checks == ALWAYS or (checks == IF_INSTALLED and util.find_spec("mxnet") is not None):
        _import_or_leave("gluon_nrm.system.needs_mxnet")
    importlib.import_module("gluon_nrm.system.tune").tune()
    command = _import_or_leave(f"gluon_nrm.cli.{name}")
    from gluon_nrm.console.tool import run_tool

    run_tool(command.main, arguments)


def _import_or_leave(name: str) -> ModuleType:
    """Import a module; if the package raises its own error, print it as one line and exit."""
    try:
        return importlib.import_module(name)
    except Exception as problem:
        # told by its attribute, so that this module need not import the errors
        exit_code = getattr(problem, "exit_code", None)
        if exit_code is None:
            raise
        with suppress(OSError):
            sys.stderr.write(f"error: {problem}\n")
        raise SystemExit(exit_code) from None


def _no_command(arguments: Sequence[str]) -> int:
    """Print the list of commands or the version, where that is asked for.

    Raises:
        NRMError: there is no command of that name, or none is given.
    """
    from gluon_nrm.errors import NRMError

    first = arguments[0] if arguments else ""
    if first in ("-h", "--help", "help"):
        print(overview(), end="")
        return 0
    if first in ("-V", "--version", "version"):
        print(f"{CONSOLE} {__version__}")
        return 0
    if not first:
        example = command("train", "digits_maxmin_mt")
        raise NRMError(f"give a command, such as {example}; {command('--help')} lists them")
    raise NRMError(f"there is no command {first!r}; {_closest(first)}")


def _closest(name: str) -> str:
    """Return ``did you mean ...`` for a mistyped command; where a recipe was given alone, its command."""
    stem = name.replace("-", "_")
    close = difflib.get_close_matches(_SYNONYMS.get(stem, stem), COMMANDS, n=1)
    if close:
        return f"did you mean {command(close[0])}?"
    if name.endswith((".yaml", ".yml")):
        return f"to train a recipe: {command('train', name)}"
    return f"{command('--help')} lists them: {', '.join(COMMANDS)}"


#: Names that other programs use, or that scripts in ``tools/`` have.
_SYNONYMS = {
    "prepare_data": "data", "prepare": "data", "download": "data", "fit": "train", "test": "evaluate",
    "eval": "evaluate", "classify": "predict", "inference": "predict", "sample": "generate",
    "check": "doctor", "onnx": "export", "tables": "table", "results": "table", "html": "report",
}  # fmt: skip


def overview() -> str:
    """List the commands with their subjects."""
    width = max(map(len, COMMANDS))
    lines: List[str] = [f"usage: {CONSOLE} COMMAND ...", ""]
    lines += [f"  {name:<{width}}  {command.help}" for name, command in COMMANDS.items()]
    return "\n".join([*lines, "", f"{CONSOLE} COMMAND --help lists the options of a command."]) + "\n"
