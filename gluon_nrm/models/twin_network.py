"""The stateless twin of a network: the same parameters, but running statistics of its own.

In training, a batch norm updates its running statistics with every batch. A training step also passes
perturbed images, or the same images again, through the network. These passes go through the twin, so that
the network's running statistics, which evaluation uses, come from the images alone.
"""

from __future__ import annotations

from typing import Dict, Iterator, Tuple

from mxnet.gluon import HybridBlock
from mxnet.gluon.parameter import Parameter

from gluon_nrm.layers.shared_parameters import share

STATISTICS = ("running_mean", "running_var")


def share_parameters(twin: HybridBlock, network: HybridBlock) -> None:
    """Replace all parameters of ``twin`` by those of ``network``, except the running statistics.

    Args:
        twin: built like ``network``; its own parameters are dropped.
        network: the network; it does not change.
    """
    taken: Dict[int, Parameter] = {}
    for mine, theirs in _pairs(twin, network):
        for name, parameter in mine._reg_params.items():
            if not name.endswith(STATISTICS):
                taken[id(parameter)] = theirs._reg_params[name]
    for mine, _ in _pairs(twin, network):
        _forget(mine, taken)
        for name, parameter in list(mine._reg_params.items()):
            if id(parameter) not in taken:
                continue
            del mine._reg_params[name]
            if getattr(mine, name, None) is parameter:
                share(mine, name, taken[id(parameter)])
            else:  # a block of a traced network, whose parameters are no attributes
                mine._reg_params[name] = taken[id(parameter)]
                mine.params.update({taken[id(parameter)].name: taken[id(parameter)]})


def _pairs(twin: HybridBlock, network: HybridBlock) -> Iterator[Tuple[HybridBlock, HybridBlock]]:
    """Yield corresponding blocks of both."""
    yield twin, network
    for mine, theirs in zip(twin._children.values(), network._children.values()):
        yield from _pairs(mine, theirs)


def _forget(block: HybridBlock, taken: Dict[int, Parameter]) -> None:
    """Remove replaced parameters from the block's own dictionary."""
    listed = block.params._params
    for name in [name for name, parameter in listed.items() if id(parameter) in taken]:
        del listed[name]
