"""A network as a list of layers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import List, Optional, Sequence, Tuple, Union

from gluon_nrm.errors import ModelError

#: Entries of a list of channels that stand for a pooling.
POOL, AVERAGE_POOL = "pool", "average_pool"


@dataclass(frozen=True)
class LayerSpec:
    """One layer of the model: a convolution, and optionally a pooling and dropout."""

    #: feature maps
    channels: int
    #: side of the square filters, in pixels
    kernel: int = 3
    #: zeros around the image, in pixels
    pad: int = 1
    #: side of the pooling windows, in pixels; 1: no pooling
    pool: int = 1
    #: dropout rate after the pooling
    dropout: float = 0.0
    #: average pooling in place of max-pooling
    average: bool = False

    def describe(self) -> str:
        """Return a line such as "3x3 convolution, 64 channels, max-pooling 2x2, dropout 0.5"."""
        words = [f"{self.kernel}x{self.kernel} convolution, {self.channels} channels"]
        if self.pool > 1:
            words.append(f"{'average' if self.average else 'max'}-pooling {self.pool}x{self.pool}")
        if self.dropout:
            words.append(f"dropout {self.dropout:g}")
        return ", ".join(words)


Architecture = Tuple[LayerSpec, ...]


def with_dropout(architecture: Architecture, dropout: Optional[float]) -> Architecture:
    """Set the dropout rate after the poolings of an architecture; None leaves it unchanged."""
    if dropout is None:
        return architecture
    return tuple(replace(layer, dropout=dropout) if layer.pool > 1 else layer for layer in architecture)


def architecture_of(channels: Sequence[Union[int, str]]) -> Architecture:
    """Read a list such as ``[32, 32, "pool", 64]``: 3x3 convolutions with padding 1, and 2x2 poolings.

    Args:
        channels: numbers of feature maps; "pool" stands for max-pooling, "average_pool" for average pooling.

    Raises:
        ModelError: another entry, an empty list, or a pooling that does not follow a convolution.
    """
    layers: List[LayerSpec] = []
    for place, entry in enumerate(channels):
        if isinstance(entry, int) and not isinstance(entry, bool) and entry > 0:
            layers.append(LayerSpec(entry))
        elif entry not in (POOL, AVERAGE_POOL):
            raise ModelError(
                f"model.channels.{place}: {entry!r} is neither a number of channels nor '{POOL}' or "
                f"'{AVERAGE_POOL}'"
            )
        elif not layers or layers[-1].pool > 1:
            raise ModelError(f"model.channels.{place}: '{entry}' must follow a convolution")
        else:
            layers[-1] = replace(layers[-1], pool=2, average=entry == AVERAGE_POOL)
    if not layers:
        raise ModelError("model.channels: the list is empty; give at least one number of channels")
    return tuple(layers)
