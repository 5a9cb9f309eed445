"""Parameters shared by several blocks."""

from __future__ import annotations

from mxnet.gluon import HybridBlock
from mxnet.gluon.parameter import Parameter


def share(block: HybridBlock, name: str, parameter: Parameter) -> None:
    """Give ``block`` another block's parameter, as argument ``name`` of its ``hybrid_forward``.

    The parameter is also registered with the block, so that the block can be hybridised and saved by itself.
    """
    setattr(block, name, parameter)
    block.params.update({parameter.name: parameter})
