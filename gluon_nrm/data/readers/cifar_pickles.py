"""Read the dictionaries in CIFAR's python archives with a restricted unpickler.

An unpickler imports and calls whatever a file names. This one knows only the instructions that CIFAR's files
contain, and the three names of numpy in them stand for classes of this module: nothing is imported, and only
these classes are called. It extends Python's own unpickler. The one in C fills memory for all memo entries
up to the largest index in the file, so that ten bytes of file can take 64 GiB.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import struct
from typing import Any, Dict

import numpy as np

from gluon_nrm.data.images.read_errors import UNREADABLE
from gluon_nrm.errors import DataError

#: Largest number of instructions; the largest official file has some 300,000.
MOST = 1_000_000

# fmt: off
_ALLOWED = {code[0] for code in (
    pickle.PROTO, pickle.STOP, pickle.MARK, pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE, pickle.BININT,
    pickle.BININT1, pickle.BININT2, pickle.LONG1, pickle.SHORT_BINSTRING, pickle.BINSTRING, pickle.BINUNICODE,
    pickle.BINPUT, pickle.LONG_BINPUT, pickle.BINGET, pickle.LONG_BINGET, pickle.EMPTY_DICT,
    pickle.EMPTY_LIST, pickle.EMPTY_TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3, pickle.TUPLE,
    pickle.APPEND, pickle.APPENDS, pickle.SETITEM, pickle.SETITEMS, pickle.GLOBAL,
    pickle.REDUCE, pickle.BUILD,
)}
# fmt: on
_NAMES = {ord(opcode.code): opcode.name for opcode in pickletools.opcodes}


class _RefusedError(Exception):
    """The pickle does something that CIFAR's files do not need."""


class _ByteType:
    """Stand-in for ``numpy.dtype``; only bytes are allowed."""

    def __init__(self, code: Any, *_: Any) -> None:
        if code != "u1":
            raise _RefusedError("it holds an array of something else than bytes")

    def __setstate__(self, state: Any) -> None:
        """Ignore byte order and alignment: bytes have none."""


class _ByteArray:
    """Stand-in for an array that ``_reconstruct`` makes; its state holds shape and values."""

    def __init__(self, *_: Any) -> None:
        self.state: Any = ()

    def __setstate__(self, state: Any) -> None:
        """Keep the state."""
        self.state = state

    def array(self) -> np.ndarray:
        """Make the uint8 array."""
        _version, shape, kind, fortran, data = self.state
        if not isinstance(kind, _ByteType):
            raise _RefusedError("it holds an array of something else than bytes")
        values = np.frombuffer(data.encode("latin-1"), dtype=np.uint8)
        return values.reshape(shape, order="F" if fortran else "C")


class _ArrayClass:
    """Stand-in for ``numpy.ndarray``, an argument of ``_reconstruct`` that is never called."""

    def __init__(self, *_: Any) -> None:
        raise _RefusedError("it calls numpy ndarray")

    def __setstate__(self, state: Any) -> None:
        """Without this method, BUILD would set attributes of the class."""


_STAND_INS = {
    "numpy.core.multiarray _reconstruct": _ByteArray,
    "numpy ndarray": _ArrayClass,
    "numpy dtype": _ByteType,
}


class _Entries(Dict[str, Any]):
    """Dictionary with string keys; hashing a tuple of tuples of ... can take for ever."""

    def __setitem__(self, key: Any, value: Any) -> None:
        """Set an entry."""
        if not isinstance(key, str):
            raise _RefusedError("it has a key that is no string")
        super().__setitem__(key, value)


class _Instructions(Dict[int, Any]):
    """Table of the allowed instructions by their codes; counts how many are looked up."""

    count = 0

    def __getitem__(self, code: int) -> Any:
        """Return the function of an instruction."""
        self.count += 1
        if self.count > MOST:
            raise _RefusedError(f"it has more than {MOST} instructions")
        if code not in _ALLOWED:
            raise _RefusedError(f"it has the instruction {_NAMES[code]}")
        return super().__getitem__(code)


class _Unpickler(pickle._Unpickler):
    """Python's unpickler with only the allowed instructions and names."""

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data), encoding="latin-1")
        self.dispatch = _Instructions(pickle._Unpickler.dispatch)  # type: ignore[misc]
        self.dispatch[pickle.EMPTY_DICT[0]] = lambda unpickler: unpickler.append(_Entries())

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in for a name of numpy; import nothing."""
        if f"{module} {name}" not in _STAND_INS:
            raise _RefusedError(f"it names {module[:60]}.{name[:60]}")
        return _STAND_INS[f"{module} {name}"]


def read_dictionary(data: bytes, where: str) -> Dict[str, Any]:
    """Return the dictionary in a pickle of CIFAR, with its array as uint8.

    Raises:
        DataError: the pickle is damaged or does anything else; ``where`` names it in the message.
    """
    try:
        result = _Unpickler(data).load()
        arrays = [key for key, value in result.items() if isinstance(value, _ByteArray)]
        if len(arrays) > 1:  # they could share their bytes, and each would copy them
            raise _RefusedError("it holds more than one array")
        return {**result, **{key: result[key].array() for key in arrays}}
    except _RefusedError as refused:
        raise DataError(f"{where}: no batch of CIFAR: {refused}; {UNREADABLE}") from None
    except (
        ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError, EOFError,
        pickle.UnpicklingError, struct.error,
    ) as problem:  # fmt: skip
        raise DataError(f"{where}: damaged, or no pickle ({problem}); {UNREADABLE}") from problem
