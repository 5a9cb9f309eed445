"""Errors that a user can cause and solve.

A message says in one or two lines what is wrong, where (file, key, value), and what to do. The tools print it
without a traceback and end with ``exit_code``. Any other exception is a defect of this package.
"""

from __future__ import annotations

import re

_NAMED = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
# A line break of our own messages follows a punctuation mark or precedes an indented line.
_OWN_BREAK = re.compile(r"(?<=[;:.,])\n|\n(?=  )")
#: Largest number of characters in a line of a message.
LONGEST_LINE = 1000


def visible(text: str) -> str:
    r"""Replace every unprintable character by an escape such as ``\n`` or ``\x1b``.

    Unprintable are control characters, line ends, marks of writing direction, surrogates (bytes of a file
    name that are not UTF-8) and unassigned code points.
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else _escape(c) for c in text)


def _escape(character: str) -> str:
    """Return the escape of one character."""
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if code < 256:
        return _NAMED.get(character) or f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


def _cut(line: str) -> str:
    """Cut the middle out of a line that is too long; its end says what to do."""
    return line if len(line) <= LONGEST_LINE else f"{line[: LONGEST_LINE - 300]} ... {line[-290:]}"


class NRMError(Exception):
    """Base of all errors that a user can cause and solve; the message is safe to print."""

    exit_code = 2
    #: Lines of a message at most.
    most_lines = 2

    def __str__(self) -> str:
        """Return the message: at most ``most_lines`` lines of limited length, all characters printable."""
        lines = _OWN_BREAK.split(super().__str__())
        if len(lines) > self.most_lines:
            last = self.most_lines - 1
            lines[last:] = [" ".join(lines[last:])]
        return "\n".join(_cut(visible(line)) for line in lines)


class SetupError(NRMError):
    """Python, MXNet, numpy or a CUDA library is missing or of the wrong version."""


class RecipeError(NRMError):
    """A recipe or an override of one is wrong."""


class DataError(NRMError):
    """A data set, split or image is missing, damaged or too small."""


class MissingData(DataError):
    """The files of a known data set are missing; the message has the command that fetches them."""


class ChangedData(DataError):
    """The files of a run's data are not those that it was trained with."""


class ModelError(NRMError):
    """A network cannot be built from the given description."""


class CheckpointError(NRMError):
    """A checkpoint is missing, damaged or belongs to another network."""


class RunError(NRMError):
    """A run folder is missing, damaged, busy or holds another recipe."""


class DeployError(NRMError):
    """A run cannot be exported as asked, an export is damaged, or what it needs is not installed."""


class DeviceError(NRMError):
    """A device or kvstore does not exist here, or does not suit the batch."""


class DistributedError(NRMError):
    """A job of several processes cannot start, or its processes differ in code, recipe or data."""


class NonFiniteLoss(NRMError):
    """A loss term or a parameter became infinite or not-a-number; the last good checkpoint is kept."""

    exit_code = 3


class Stopped(KeyboardInterrupt):
    """A signal asked the process to stop; ``exit_code`` is a shell's code for that signal."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number
