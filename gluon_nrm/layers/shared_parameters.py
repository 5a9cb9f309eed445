"""Parameters that several blocks use."""

from __future__ import annotations

from mxnet.gluon import HybridBlock
from mxnet.gluon.parameter import Parameter


def share(block: HybridBlock, name: str, parameter: Parameter) -> None:
    """Give ``block`` another block's parameter, under ``name`` in its ``hybrid_forward``.

    Assigning the attribute is enough for a block inside a traced parent; entering it among the block's own
    parameters as well lets the block be hybridised and saved by itself. It stays one parameter.
    """
    setattr(block, name, parameter)
    block.params.update({parameter.name: parameter})
