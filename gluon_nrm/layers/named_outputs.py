"""Blocks whose results have names."""

from __future__ import annotations

from typing import Any, ClassVar, Type

from mxnet.gluon import HybridBlock


class NamedBlock(HybridBlock):
    """A HybridBlock that returns an instance of ``result_type``, a ``NamedTuple``.

    A hybridised block hands back a plain list; the names are put back here, so that eager, traced and
    hybridised calls all read the same. A branch that does not exist keeps the field's default, ``None``: its
    value is never computed, so ``hybrid_forward`` returns the fields that exist, which come first.
    """

    result_type: ClassVar[Type[Any]]

    def __call__(self, *args: Any) -> Any:
        """Run the block and name what it returns."""
        values = super().__call__(*args)
        return values if isinstance(values, self.result_type) else self.result_type(*values)
