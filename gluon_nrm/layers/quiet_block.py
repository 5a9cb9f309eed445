"""Blocks that may leave parameters and inputs unused."""

from __future__ import annotations

import warnings
from typing import Any

from mxnet.gluon import HybridBlock


class QuietBlock(HybridBlock):
    """A HybridBlock that may leave parameters and inputs unused, without Gluon's warnings about them.

    A network that only classifies uses no parameter of its rendering norms, and the prior score ignores some
    inputs of the rendering pass.
    """

    def _build_cache(self, *args: Any) -> None:
        """Trace the block; Gluon calls this at the first call after ``hybridize``."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".* is not used by any computation")
            super()._build_cache(*args)
