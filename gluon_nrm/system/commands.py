"""The package's commands as a user types them: ``gluon-nrm train``, or ``python tools/train.py``.

Messages name the kind of command that started this process. Elsewhere they name the scripts of the checkout
that the package lies in, and ``gluon-nrm`` where it was installed.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import List, Sequence

#: The installed command.
CONSOLE = "gluon-nrm"

PACKAGE = Path(__file__).resolve().parents[1]
TOOLS = PACKAGE.parent / "tools"

#: Scripts that are not named like their command.
_SCRIPTS = {"data": "prepare_data"}
_MODULE = ["python", "-m", "gluon_nrm"]


def is_command() -> bool:
    """Return True in a process that runs a command, False where the package is only imported.

    While ``python -m gluon_nrm`` is imported, Python itself calls the program ``-m``.
    """
    return _program().name == "-m" or _is_console() or _is_module() or _program().parent == TOOLS


def in_checkout() -> bool:
    """Return True if the package lies in a checkout, with ``tools/`` beside it."""
    with suppress(OSError):
        return (TOOLS / "train.py").is_file()
    return False


def command_words(name: str) -> List[str]:
    """Return the words that run a command: ``["python", "tools/train.py"]``, ``["gluon-nrm", "train"]``."""
    if _is_module():
        return [*_MODULE, name]
    if _is_console() or not in_checkout():
        return [CONSOLE, name]
    return ["python", f"tools/{_SCRIPTS.get(name, name)}.py"]


def start_words(name: str) -> List[str]:
    """Return the words that start a command in a new process, from any folder."""
    script = TOOLS / f"{_SCRIPTS.get(name, name)}.py"
    return [sys.executable, *([str(script)] if in_checkout() else ["-m", "gluon_nrm", name])]


def command(name: str, *arguments: str) -> str:
    """Return the line that runs a command with some arguments, quoted for a shell."""
    return shlex.join([*command_words(name), *arguments])


def command_name(name: str) -> str:
    """Name a command in a sentence: ``tools/train.py``, ``gluon-nrm train``."""
    words = command_words(name)
    return words[-1] if words[0] == "python" and len(words) == 2 else " ".join(words)


def usage_name(name: str) -> str:
    """Name a command in its own usage: ``train.py``, ``gluon-nrm train``."""
    return command_name(name).rpartition("/")[2]


def line_again(name: str, arguments: Sequence[str]) -> str:
    """Return the line that started this process, to be typed again in the same folder.

    ``--fresh`` is left out: with it, a run would be started anew instead of continued.
    """
    words = [word for word in arguments if word != "--fresh"]
    if _is_console():
        return shlex.join([_shown(sys.argv[0]), name, *words])
    script = ["-m", "gluon_nrm", name] if _is_module() else [sys.argv[0]]
    return shlex.join([_shown(sys.executable), *script, *words])


def with_commands(text: str) -> str:
    """Write the commands of a text that says ``gluon-nrm COMMAND`` as the user types them."""
    return re.sub(rf"\b{CONSOLE} ([a-z]+)\b", lambda found: command(found[1]), text)


def _shown(program: str) -> str:
    """Shorten the path of a program: its name where the shell finds it, else a path from this folder."""
    name, relative = Path(program).name, os.path.relpath(program)
    if shutil.which(name) == program:
        return name
    return program if relative.startswith(os.pardir) else relative


def _program() -> Path:
    """The path of the running script."""
    given = (getattr(sys, "argv", None) or [""])[0]
    with suppress(OSError):
        return Path("-m") if given == "-m" else Path(os.path.realpath(given))
    return Path(given)


def _is_console() -> bool:
    return Path((getattr(sys, "argv", None) or [""])[0]).stem == CONSOLE


def _is_module() -> bool:
    return _program() == PACKAGE / "__main__.py"
