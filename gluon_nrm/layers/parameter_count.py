"""Number of parameters of a block."""

from __future__ import annotations

from math import prod
from typing import Optional

from mxnet.gluon import Block


def count_parameters(block: Block) -> Optional[int]:
    """Count the numbers in all parameters; None while a shape is not known."""
    shapes = [parameter.shape for parameter in block.collect_params().values()]
    if any(shape is None or 0 in shape or -1 in shape for shape in shapes):
        return None
    return sum(prod(shape) for shape in shapes)


def describe_size(block: Block) -> str:
    """Return "12,345 parameters", as far as they are known."""
    count = count_parameters(block)
    return "parameters of unknown shape" if count is None else f"{count:,} parameters"
