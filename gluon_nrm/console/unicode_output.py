"""Write any file name or class name to standard output and standard error, on one line.

File names may hold any byte, class names any character. Python represents a byte that is not UTF-8 by a lone
surrogate, which a strict stream refuses to write.
"""

from __future__ import annotations

import codecs
import json
import sys
from typing import Any, Tuple, Union

from gluon_nrm.errors import visible

#: Name of the error handler for ``codecs``.
RECOVERABLE = "gluon_nrm.recoverable"


def make_streams_safe() -> None:
    r"""Make standard output and standard error accept every string.

    Bytes of a file name that are not UTF-8 are written unchanged. Characters that the encoding of the stream
    lacks become ``\xe9`` or ``\u2014``. Only for programs, because it changes the whole process.
    """
    codecs.register_error(RECOVERABLE, _recoverable)
    for stream, handler in ((sys.stdout, RECOVERABLE), (sys.stderr, "backslashreplace")):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors=handler)


def _recoverable(problem: UnicodeError) -> Tuple[Union[str, bytes], int]:
    """Encode one character that the encoding lacks."""
    if not isinstance(problem, UnicodeEncodeError):
        raise problem
    character = problem.object[problem.start]
    if "\udc80" <= character <= "\udcff":
        return bytes([ord(character) - 0xDC00]), problem.start + 1
    return character.encode("ascii", "backslashreplace").decode("ascii"), problem.start + 1


def on_one_line(text: object) -> str:
    r"""Write control characters (line ends, escape sequences) of a text as ``\n`` and ``\x1b``.

    Unlike ``visible``, bytes of a file name that are not UTF-8 are left for the stream to write as they are.
    """
    return "".join(each if "\ud800" <= each <= "\udfff" else visible(each) for each in str(text))


def to_json(value: Any, encoding: str = "utf-8", **options: Any) -> str:
    r"""Return JSON that an encoding can write: characters as they are, or all as ``\u`` escapes."""
    text = json.dumps(value, ensure_ascii=False, **options)
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return json.dumps(value, **options)
    return text
