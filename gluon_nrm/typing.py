"""Type aliases for MXNet's untyped objects."""

from __future__ import annotations

from typing import Any

#: An ``mx.nd.NDArray`` when a block runs eagerly, an ``mx.sym.Symbol`` while it is traced. MXNet has no
#: types, so a checker sees ``Any``; docstrings state the shapes.
Tensor = Any

#: MXNet's operator module that a block gets as ``F``: ``mx.nd`` or ``mx.sym``.
Operators = Any
