"""A network for a second pass in one step: the same parameters, running statistics of its own."""

from __future__ import annotations

from typing import Dict, Iterator, Tuple

from mxnet.gluon import HybridBlock
from mxnet.gluon.parameter import Parameter

from gluon_nrm.layers.shared_parameters import share

STATISTICS = ("running_mean", "running_var")


def share_parameters(second: HybridBlock, first: HybridBlock) -> None:
    """Have ``second`` use the parameters of ``first``, all but the running statistics of its norms.

    A batch norm moves its running statistics whenever images go through it in training. Further passes over
    the images of a step (perturbed ones, or the same ones once more) go through ``second``, so that what the
    network is evaluated with comes from the images alone. Each pass still normalises by the statistics of its
    own batch.

    Args:
        second: built like ``first``; its own parameters are given up.
        first: the network; it stays as it is.
    """
    taken: Dict[int, Parameter] = {}
    for mine, theirs in _pairs(second, first):
        for name, parameter in mine._reg_params.items():
            if not name.endswith(STATISTICS):
                taken[id(parameter)] = theirs._reg_params[name]
    for mine, _ in _pairs(second, first):
        _forget(mine, taken)
        for name, parameter in list(mine._reg_params.items()):
            if id(parameter) not in taken:
                continue
            del mine._reg_params[name]
            if getattr(mine, name, None) is parameter:
                share(mine, name, taken[id(parameter)])
            else:  # of a block that keeps its parameters under names that are no attributes
                mine._reg_params[name] = taken[id(parameter)]
                mine.params.update({taken[id(parameter)].name: taken[id(parameter)]})


def _pairs(second: HybridBlock, first: HybridBlock) -> Iterator[Tuple[HybridBlock, HybridBlock]]:
    """Blocks of the same place in both."""
    yield second, first
    for mine, theirs in zip(second._children.values(), first._children.values()):
        yield from _pairs(mine, theirs)


def _forget(block: HybridBlock, taken: Dict[int, Parameter]) -> None:
    """Drop what is given up from the block's own dictionary, where it would still be listed."""
    listed = block.params._params
    for name in [name for name, parameter in listed.items() if id(parameter) in taken]:
        del listed[name]
