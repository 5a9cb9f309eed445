"""The objects in the drawn photos: polygons whose proportions vary from one object to the next."""

from __future__ import annotations

from typing import Callable, Dict, List, NamedTuple, Tuple

import numpy as np

Point = Tuple[float, float]


class Part(NamedTuple):
    """One polygon of an object, in coordinates from -1 to 1 with y downwards."""

    corners: List[Point]
    #: index of its colour among the three of the object
    colour: int


def _rectangle(left: float, top: float, right: float, bottom: float, colour: int) -> Part:
    return Part([(left, top), (right, top), (right, bottom), (left, bottom)], colour)


def _ellipse(x: float, y: float, across: float, down: float, colour: int) -> Part:
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    return Part([(x + across * np.cos(a), y + down * np.sin(a)) for a in angles], colour)


def _arc(x: float, y: float, radius: float, width: float, first: float, last: float, colour: int) -> Part:
    """Part of a ring between two angles in radians, 0 to the right and clockwise."""
    angles = np.linspace(first, last, 16)
    outer = [(x + radius * np.cos(a), y + radius * np.sin(a)) for a in angles]
    inner = [(x + (radius - width) * np.cos(a), y + (radius - width) * np.sin(a)) for a in angles[::-1]]
    return Part(outer + inner, colour)


def boat(rng: np.random.Generator) -> List[Part]:
    """A hull with a mast and one or two sails."""
    deck, keel, mast = rng.uniform(0.3, 0.5), rng.uniform(0.75, 0.95), rng.uniform(-0.25, 0.2)
    parts = [Part([(-0.9, deck), (0.9, deck), (0.55, keel), (-0.6, keel)], 0)]
    parts.append(_rectangle(mast - 0.04, -0.95, mast + 0.04, deck, 2))
    parts.append(Part([(mast + 0.06, -0.9), (mast + 0.06, deck - 0.1), (0.85, deck - 0.1)], 1))
    if rng.random() < 0.6:
        parts.append(Part([(mast - 0.06, -0.7), (mast - 0.06, deck - 0.1), (-0.8, deck - 0.1)], 1))
    return parts


def car(rng: np.random.Generator) -> List[Part]:
    """A body on two wheels, with a cabin."""
    roof, sill, wheel = rng.uniform(-0.6, -0.4), rng.uniform(-0.05, 0.1), rng.uniform(0.2, 0.28)
    back, front = rng.uniform(-0.75, -0.45), rng.uniform(0.15, 0.5)
    parts = [Part([(back, sill), (back + 0.2, roof), (front, roof), (front + 0.3, sill)], 1)]
    parts.append(_rectangle(-0.95, sill, 0.95, 0.5, 0))
    return parts + [_ellipse(x, 0.5, wheel, wheel, 2) for x in (-0.55, 0.55)]


def cup(rng: np.random.Generator) -> List[Part]:
    """A vessel with a handle on its right or left side, and steam or none."""
    top, foot, side = rng.uniform(0.55, 0.7), rng.uniform(0.35, 0.6), rng.choice([-1, 1])
    parts = [_arc(side * 0.6, 0.0, rng.uniform(0.3, 0.42), 0.12, 0, 2 * np.pi, 1)]
    parts.append(Part([(-top, -0.55), (top, -0.55), (foot, 0.75), (-foot, 0.75)], 0))
    parts.append(_ellipse(0, -0.55, top, 0.12, 2))
    return parts


def fish(rng: np.random.Generator) -> List[Part]:
    """An oval body with a tail, a fin and an eye, facing left or right."""
    side, thick, tail = rng.choice([-1, 1]), rng.uniform(0.35, 0.55), rng.uniform(0.35, 0.6)
    parts = [Part([(side * -0.4, 0), (side * -0.95, -tail), (side * -0.8, 0), (side * -0.95, tail)], 1)]
    parts.append(Part([(side * -0.2, -thick * 0.8), (side * 0.3, -thick * 0.8), (side * -0.15, -0.8)], 1))
    parts.append(_ellipse(side * 0.15, 0, 0.7, thick, 0))
    return [*parts, _ellipse(side * 0.5, -0.1, 0.08, 0.08, 2)]


def house(rng: np.random.Generator) -> List[Part]:
    """Walls, a gabled roof, a door and a window."""
    eaves, wall, door = rng.uniform(-0.2, 0.05), rng.uniform(0.6, 0.75), rng.uniform(-0.45, 0.1)
    parts = [_rectangle(-wall, eaves, wall, 0.85, 0)]
    parts.append(Part([(-wall - 0.2, eaves), (rng.uniform(-0.2, 0.2), -0.9), (wall + 0.2, eaves)], 1))
    parts.append(_rectangle(door, 0.3, door + 0.3, 0.85, 2))
    if rng.random() < 0.7:
        parts.append(_rectangle(door + 0.42, 0.15, min(door + 0.7, wall), 0.4, 2))
    return parts


def key(rng: np.random.Generator) -> List[Part]:
    """A ring, a shaft and two or three teeth."""
    radius, width = rng.uniform(0.3, 0.4), rng.uniform(0.06, 0.1)
    parts = [_arc(-0.55, 0, radius, 0.16, 0, 2 * np.pi, 0), _rectangle(-0.25, -width, 0.95, width, 0)]
    for place in range(rng.integers(2, 4)):
        right = 0.92 - 0.24 * place
        parts.append(_rectangle(right - 0.13, width, right, width + rng.uniform(0.2, 0.35), 1))
    return parts


def lamp(rng: np.random.Generator) -> List[Part]:
    """A shade on a stem with a foot."""
    top, brim, low = rng.uniform(0.2, 0.4), rng.uniform(0.6, 0.8), rng.uniform(-0.2, 0.05)
    parts = [_rectangle(-0.05, low, 0.05, 0.85, 1), _ellipse(0, 0.85, rng.uniform(0.35, 0.5), 0.12, 1)]
    return [*parts, Part([(-top, -0.9), (top, -0.9), (brim, low), (-brim, low)], 0)]


def tree(rng: np.random.Generator) -> List[Part]:
    """A trunk under a round crown of three parts, or under two or three stacked triangles."""
    trunk = rng.uniform(0.08, 0.14)
    parts = [_rectangle(-trunk, 0.2, trunk, 0.95, 2)]
    if rng.random() < 0.5:
        size = rng.uniform(0.35, 0.45)
        return parts + [_ellipse(x, y, size, size, 0) for x, y in ((-0.35, 0.0), (0.35, 0.0), (0, -0.45))]
    for level in range(rng.integers(2, 4)):
        low = 0.45 - 0.4 * level
        parts.append(Part([(-0.65 + 0.12 * level, low), (0, low - 0.75), (0.65 - 0.12 * level, low)], 0))
    return parts


#: Functions that draw an object of each class.
SHAPES: Dict[str, Callable[[np.random.Generator], List[Part]]] = {
    each.__name__: each for each in (boat, car, cup, fish, house, key, lamp, tree)
}
