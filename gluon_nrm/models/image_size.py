"""Warn of a network that was made for images of another size."""

from __future__ import annotations

from typing import Optional, Sequence, Tuple, Union

from gluon_nrm.layers.architecture import Architecture, architecture_of
from gluon_nrm.models.registry import get_architecture, is_architecture

#: Side of the images that networks were made for, by the beginning of their names; the first one counts.
MADE_FOR = (
    ("digits_", 8),
    ("gan_digits", 8),
    ("gan_28", 28),
    ("gan_conv9", 32),
    ("ali_digits", 8),
    ("ali_28", 28),
    ("ali_", 32),
    ("cifar_", 32),
    ("shake_", 32),
    ("gluoncv.cifar_", 32),
    ("gluoncv.", 224),
    ("gluon.", 224),
)
#: Largest ratio of the image's side to the receptive field without a warning.
LARGER = 1.5
#: The same for the side that a network was made for, in either direction.
OTHER = 2.5


def receptive_field(architecture: Architecture) -> int:
    """Return the side, in pixels of the image, of the patch that one value of the last layer depends on."""
    side, step = 1, 1
    for layer in architecture:
        side += (layer.kernel - 1) * step
        side += (layer.pool - 1) * step
        step *= layer.pool
    return side


def size_warning(
    name: str, channels: Optional[Sequence[Union[int, str]]], input_shape: Tuple[int, ...]
) -> str:
    """Return a warning if a network does not suit images of this size; empty if it does.

    Args:
        name: ``model.name``.
        channels: ``model.channels``.
        input_shape: channels, height and width of the images.
    """
    height, width = input_shape[1:]
    shown = f"{height} x {width} pixels"
    if is_architecture(name):
        field = receptive_field(get_architecture(name) if channels is None else architecture_of(channels))
        if max(height, width) <= LARGER * field:
            return ""
        whose = f"{name} with these model.channels" if channels is not None else name
        return (
            f"the last layer of {whose} sees only {field} x {field} of the {shown}; add 'pool' to "
            "model.channels, set data.size, or take model.name photos_cnn (64 pixels)"
        )
    made = next((side for begin, side in MADE_FOR if name.startswith(begin)), None)
    if made is None or made / OTHER <= max(height, width) <= made * OTHER:
        return ""
    return f"{name} was made for images of {made} x {made} pixels, and these have {shown}; set data.size"
