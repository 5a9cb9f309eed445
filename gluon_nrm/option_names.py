"""Spelling of an option in a message: as on the command line in a command, as in Python elsewhere."""

from __future__ import annotations

import shlex
from contextlib import contextmanager
from typing import Iterator, List

#: Options whose name on the command line is not that of the argument in Python.
COMMAND_NAMES = {"formats": "format", "overrides": "set", "rendering": "with-rendering", "root": "runs"}


class _Caller:
    """The caller of the package: a command, or a Python program."""

    command = False


@contextmanager
def command_line() -> Iterator[None]:
    """Spell options as on the command line within the ``with`` body."""
    before, _Caller.command = _Caller.command, True
    try:
        yield
    finally:
        _Caller.command = before


def option(name: str, value: object = None) -> str:
    """Spell an option, with a value if one is given.

    Args:
        name: of the argument in Python, such as ``data_dir``.
        value: True for an option without a value on the command line; a list for one that takes several.

    Returns:
        ``--data-dir data`` in a command, ``data_dir='data'`` in Python; without a value ``--data-dir`` and
        ``data_dir``.
    """
    if not _Caller.command:
        return name if value is None else f"{name}={value!r}"
    words = [f"--{COMMAND_NAMES.get(name, name).replace('_', '-')}"]
    return " ".join(words + _command_values(value))


def either(command: str, python: str) -> str:
    """Return the first text in a command, the second in Python."""
    return command if _Caller.command else python


def _command_values(value: object) -> List[str]:
    """Format the value of an option as words of a shell."""
    if value is None or value is True:
        return []
    values = value if isinstance(value, (list, tuple)) else [value]
    return [shlex.quote(str(each)) for each in values]
