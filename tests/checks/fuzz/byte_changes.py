"""Changes of bytes that know nothing of what the bytes mean."""

from __future__ import annotations

import random
import struct
from typing import Callable, List

#: Where sizes, counts and offsets go wrong.
BOUNDARIES = (
    0,
    1,
    -1,
    2,
    7,
    8,
    127,
    128,
    255,
    256,
    32767,
    32768,
    65535,
    65536,
    2**24,
    2**28,
    2**29,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**32,
    2**40,
    2**62,
    2**63 - 1,
    -(2**31),
    -(2**63),
)
#: Forms in which a whole number is stored.
INTEGERS = ("<i", "<q", "<h", ">i", ">q", ">h", "<b")
#: No file grows beyond this by one change.
MOST = 4_000_000


def flip_bits(rng: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        if changed:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def flip_early_bits(rng: random.Random, data: bytes) -> bytes:
    """Flip bits among the first bytes, where headers are."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        if changed:
            changed[rng.randrange(min(len(changed), 64))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def random_bytes(rng: random.Random, data: bytes) -> bytes:
    start = rng.randrange(len(data) + 1)
    count = rng.choice((1, 2, 4, 8, 32))
    return data[:start] + bytes(rng.randrange(256) for _ in range(count)) + data[start + count :]


def truncate(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def cut_the_end(rng: random.Random, data: bytes) -> bytes:
    return data[: max(0, len(data) - rng.choice((1, 2, 4, 8, 16, 100)))]


def extend(rng: random.Random, data: bytes) -> bytes:
    tail = rng.choice((bytes(1), bytes(512), b"\n", b"\xff" * 9, data[-64:], data))
    return data + tail


def splice(rng: random.Random, data: bytes) -> bytes:
    """Copy a piece to another place."""
    if not data:
        return data
    start, size = rng.randrange(len(data)), rng.choice((1, 4, 16, 64, 512))
    place = rng.randrange(len(data) + 1)
    return data[:place] + data[start : start + size] + data[place + rng.choice((0, size)) :]


def swap_chunks(rng: random.Random, data: bytes) -> bytes:
    if len(data) < 4:
        return data
    a, b, c, d = sorted(rng.randrange(len(data) + 1) for _ in range(4))
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def remove_piece(rng: random.Random, data: bytes) -> bytes:
    start = rng.randrange(len(data) + 1)
    return data[:start] + data[start + rng.choice((1, 2, 4, 8, 100)) :]


def repeat_piece(rng: random.Random, data: bytes) -> bytes:
    if not data:
        return data
    start, size = rng.randrange(len(data)), rng.choice((1, 4, 64, 512))
    piece = data[start : start + size]
    return data[:start] + piece * min(rng.choice((2, 10, 1000)), MOST // max(1, len(piece))) + data[start:]


def set_integer(rng: random.Random, data: bytes) -> bytes:
    """Write a boundary value over some bytes, aligned as a field would be."""
    form = rng.choice(INTEGERS)
    size = struct.calcsize(form)
    if len(data) < size:
        return data
    place = rng.randrange(len(data) - size + 1) // rng.choice((1, size)) * 1
    if rng.random() < 0.5:
        place = min(place % 256, len(data) - size)
    value = rng.choice(BOUNDARIES) & (2 ** (8 * size) - 1)
    return data[:place] + struct.pack(form.upper(), value) + data[place + size :]


def blank(rng: random.Random, data: bytes) -> bytes:
    return rng.choice(
        (b"", b"\0", b"\n", b"\xff\xfe", b"\xef\xbb\xbf", bytes(len(data)), b"\xff" * len(data))
    )


CHANGES: List[Callable[[random.Random, bytes], bytes]] = [
    flip_bits,
    flip_bits,
    flip_early_bits,
    random_bytes,
    truncate,
    cut_the_end,
    extend,
    splice,
    swap_chunks,
    remove_piece,
    repeat_piece,
    set_integer,
    set_integer,
    set_integer,
    blank,
]


def change(rng: random.Random, data: bytes) -> bytes:
    return rng.choice(CHANGES)(rng, data)
