"""The dictionaries in CIFAR's python archives, which are pickles, without running a pickle.

Unpickling runs whatever a file says. Here the file's instructions are only walked through
(``pickletools.genops``), and those that build what such a file holds are carried out on plain values:
numbers, texts, lists, tuples, one dictionary, and arrays of bytes. Any other instruction is an error.
"""

from __future__ import annotations

import pickletools
from typing import Any, Callable, Dict, List

import numpy as np

from gluon_nrm.data.images.read_errors import UNREADABLE
from gluon_nrm.errors import DataError

#: Instructions of a pickle; the largest official one has some 300,000.
MOST = 1_000_000

_RECONSTRUCT, _ARRAY, _TYPE = "numpy.core.multiarray _reconstruct", "numpy ndarray", "numpy dtype"


class _RefusedError(Exception):
    """An instruction, or a use of one, that such a file does not need."""


class _Mark:
    """Where a list of arguments begins on the stack."""


class _Global:
    """A name, never looked up."""

    def __init__(self, name: str) -> None:
        if name not in (_RECONSTRUCT, _ARRAY, _TYPE):
            raise _RefusedError(f"it names {name.replace(' ', '.')}")
        self.name = name


class _Built:
    """What a call of a name would give: ``state`` is set by the instruction that follows."""

    def __init__(self, name: str, arguments: Any) -> None:
        self.name, self.arguments = name, arguments
        self.state: Any = ()

    def array(self) -> np.ndarray:
        """The array of bytes that this is."""
        _version, shape, kind, fortran, data = self.state
        if self.name != _RECONSTRUCT or kind.name != _TYPE or kind.arguments[0] != "u1":
            raise _RefusedError("it holds an array of something else than bytes")
        values = np.frombuffer(data.encode("latin-1"), dtype=np.uint8)
        return values.reshape(shape, order="F" if fortran else "C")


class _Machine:
    """The stack and the memory of a pickle, for plain values."""

    def __init__(self) -> None:
        self.stack: List[Any] = []
        self.memory: Dict[int, Any] = {}

    def since_mark(self) -> List[Any]:
        """Take everything above the last mark off the stack, and the mark."""
        place = len(self.stack) - 1
        while not isinstance(self.stack[place], _Mark):
            place -= 1
            if place < 0:
                raise IndexError("it takes arguments where none begin")
        taken = self.stack[place + 1 :]
        del self.stack[place:]
        return taken

    def push_tuple(self, length: int) -> None:
        """Replace the last values by a tuple of them."""
        taken = tuple(self.stack[-length:])
        del self.stack[-length:]
        self.stack.append(taken)

    def set_items(self, flat: List[Any]) -> None:
        """Set keys and values, in turn, of the dictionary on top."""
        self.stack[-1].update(zip(flat[::2], flat[1::2]))

    def call(self) -> None:
        """Replace a name and its arguments by what the call stands for."""
        arguments, function = self.stack.pop(), self.stack.pop()
        if function.name not in (_RECONSTRUCT, _TYPE):
            raise _RefusedError(f"it calls {function.name}")
        self.stack.append(_Built(function.name, arguments))

    def set_state(self) -> None:
        """Give the object below its state."""
        state = self.stack.pop()
        self.stack[-1].state = state


_Instruction = Callable[[_Machine, Any], Any]
_PUSH: _Instruction = lambda m, value: m.stack.append(value)  # noqa: E731
_PUT: _Instruction = lambda m, place: m.memory.__setitem__(place, m.stack[-1])  # noqa: E731
_GET: _Instruction = lambda m, place: m.stack.append(m.memory[place])  # noqa: E731
_NOTHING: _Instruction = lambda m, _: None  # noqa: E731

_INSTRUCTIONS: Dict[str, _Instruction] = {
    "PROTO": _NOTHING,
    "STOP": _NOTHING,
    "MARK": lambda m, _: m.stack.append(_Mark()),
    "NONE": lambda m, _: m.stack.append(None),
    "NEWTRUE": lambda m, _: m.stack.append(True),
    "NEWFALSE": lambda m, _: m.stack.append(False),
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1"), _PUSH),
    **dict.fromkeys(("SHORT_BINSTRING", "BINSTRING", "BINUNICODE"), _PUSH),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), _PUT),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), _GET),
    "EMPTY_DICT": lambda m, _: m.stack.append({}),
    "EMPTY_LIST": lambda m, _: m.stack.append([]),
    "EMPTY_TUPLE": lambda m, _: m.stack.append(()),
    "TUPLE1": lambda m, _: m.push_tuple(1),
    "TUPLE2": lambda m, _: m.push_tuple(2),
    "TUPLE3": lambda m, _: m.push_tuple(3),
    "TUPLE": lambda m, _: m.stack.append(tuple(m.since_mark())),
    "APPEND": lambda m, _: m.stack[-2].append(m.stack.pop()),
    "APPENDS": lambda m, _: (lambda values: m.stack[-1].extend(values))(m.since_mark()),
    "SETITEM": lambda m, _: m.set_items([m.stack.pop(-2), m.stack.pop()]),
    "SETITEMS": lambda m, _: m.set_items(m.since_mark()),
    "GLOBAL": lambda m, name: m.stack.append(_Global(name)),
    "REDUCE": lambda m, _: m.call(),
    "BUILD": lambda m, _: m.set_state(),
}


def read_dictionary(data: bytes, where: str) -> Dict[str, Any]:
    """Return the dictionary that a pickle of CIFAR describes, its arrays as uint8 arrays.

    Raises
    ------
    DataError  The pickle is damaged, or asks for anything but that; ``where`` names it in the message.
    """
    machine = _Machine()
    try:
        for number, (instruction, argument, _) in enumerate(pickletools.genops(data)):
            if number >= MOST:
                raise _RefusedError(f"it has more than {MOST} instructions")
            if instruction.name not in _INSTRUCTIONS:
                raise _RefusedError(f"it has the instruction {instruction.name}")
            _INSTRUCTIONS[instruction.name](machine, argument)
        (result,) = machine.stack
        return {key: value.array() if isinstance(value, _Built) else value for key, value in result.items()}
    except _RefusedError as refused:
        raise DataError(f"{where}: no batch of CIFAR: {refused}; {UNREADABLE}") from None
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as problem:
        raise DataError(f"{where}: damaged, or no pickle ({problem}); {UNREADABLE}") from problem
