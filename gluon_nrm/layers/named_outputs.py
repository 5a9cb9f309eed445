"""Blocks whose outputs have names."""

from __future__ import annotations

from typing import Any, ClassVar, Tuple, Type

from gluon_nrm.layers.quiet_block import QuietBlock


class NamedBlock(QuietBlock):
    """A HybridBlock that returns an instance of ``result_type``, a ``NamedTuple``.

    A hybridised block returns a plain list. This class restores the names, so that eager, traced and
    hybridised calls return the same type. ``hybrid_forward`` may leave out the last fields, which then keep
    their defaults (the Min branch of a network without one).
    """

    result_type: ClassVar[Type[Tuple[Any, ...]]]

    def __call__(self, *args: Any) -> Any:
        """Run the block and name its outputs."""
        values = super().__call__(*args)
        return values if isinstance(values, self.result_type) else self.result_type(*values)
