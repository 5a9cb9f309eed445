"""The one alias every block's signature uses."""

from __future__ import annotations

from typing import Any

#: An ``mx.nd.NDArray`` when a block runs eagerly, an ``mx.sym.Symbol`` while it is traced. MXNet ships no
#: type information, so a checker sees ``Any``; the shape is in the comment beside each argument.
Tensor = Any

#: The module of operators a block is handed: ``mx.nd`` or ``mx.sym``.
Operators = Any
