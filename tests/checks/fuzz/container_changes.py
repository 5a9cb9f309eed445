"""Changes of archives and of files with checksums and sizes that get past the outermost check."""

from __future__ import annotations

import gzip
import io
import random
import struct
import tarfile
import zipfile
import zlib
from typing import Callable, Dict, List

from fuzz import byte_changes
from fuzz.byte_changes import BOUNDARIES

BLOCK = 512
#: Bytes that a bomb unpacks to.
BOMB = 3 * 2**30
#: Bytes of a packed file that are looked at.
MOST_UNPACKED = 10_000_000


def bomb(head: bytes = b"", total: int = BOMB) -> bytes:
    """A deflate stream of ``head`` and zeros; made fast by repeating what a flush has ended."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    piece = 2**24
    first = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(bytes(piece)) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + again * (total // piece) + packer.flush()


def unpacked(data: bytes) -> bytes:
    """What a .gz file holds, up to a bound: it may be a bomb already; empty where it is damaged."""
    try:
        return zlib.decompressobj(31).decompress(data, MOST_UNPACKED)
    except zlib.error:
        return b""


def change_gzip(rng: random.Random, data: bytes) -> bytes:
    """Change what is inside, or put a bomb in its place."""
    inside = unpacked(data)
    if not inside:
        return byte_changes.change(rng, data)
    if rng.random() < 0.03:
        return b"\x1f\x8b\x08" + bytes(6) + b"\xff" + bomb(inside[: rng.choice((0, 16, len(inside)))])
    changed = byte_changes.change(rng, inside)
    return gzip.compress(changed, 1) + (gzip.compress(b"more") if rng.random() < 0.1 else b"")


def change_tar(rng: random.Random, data: bytes) -> bytes:
    """Change a .tar.gz: a header, with its checksum mended, whole members, or a member's contents."""
    inside = bytearray(unpacked(data))
    if not inside:
        return byte_changes.change(rng, data)
    what = rng.randrange(8)
    if what == 0:
        return change_gzip(rng, data)
    if what < 5:
        headers = [
            at for at in range(0, len(inside) - BLOCK, BLOCK) if inside[at + 257 : at + 262] == b"ustar"
        ]
        if headers:
            _spoil_header(rng, inside, rng.choice(headers))
        return gzip.compress(bytes(inside), 1)
    try:
        return _other_members(rng, bytes(inside))
    except (tarfile.TarError, ValueError, IndexError, OSError):  # changed before
        return byte_changes.change(rng, data)


def _spoil_header(rng: random.Random, tar: bytearray, at: int) -> None:
    """Change a field of the header at ``at`` and mend its checksum."""
    numbers = {100: 8, 108: 8, 116: 8, 124: 12, 136: 12, 329: 8, 337: 8}
    place = rng.choice([124, 124, 124, 156, 156, 0, 157, 345, 482, *numbers])
    if place == 156:
        tar[at + 156 : at + 157] = rng.choice(
            (b"0", b"1", b"2", b"3", b"5", b"6", b"S", b"L", b"K", b"x", b"g", b"\xff")
        )
    elif place in numbers:
        size = numbers[place]
        tar[at + place : at + place + size] = _tar_number(rng, size)
    else:
        text = rng.choice(
            (b"/etc/passwd", b"../../x", b"\xff\xfe", b"a\nb", b"\x1b[31m", bytes(9), b"./" * 40)
        )
        tar[at + place : at + place + len(text)] = text
    tar[at + 148 : at + 156] = b" " * 8
    tar[at + 148 : at + 156] = b"%06o\0 " % sum(tar[at : at + BLOCK])


def _tar_number(rng: random.Random, size: int) -> bytes:
    value = rng.choice(BOUNDARIES)
    if rng.random() < 0.5 and 0 <= value < 8 ** (size - 1):
        return b"%0*o\0" % (size - 1, value)
    value = max(-(2**55), min(value, 2**55 - 1)) if size == 8 else value
    sign = b"\x80" if value >= 0 else b"\xff"  # GNU's numbers of base 256
    return rng.choice(
        (sign + value.to_bytes(size - 1, "big", signed=True), b"99999999999\0"[:size], b"-1".ljust(size))
    )


def _other_members(rng: random.Random, inside: bytes) -> bytes:
    """Write the archive again with one member as a link, twice, left out, changed or of odd headers."""
    out = io.BytesIO()
    form = rng.choice((tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT))
    with tarfile.open(fileobj=io.BytesIO(inside)) as old, tarfile.open(
        fileobj=out, mode="w:gz", format=form
    ) as new:
        members = [member for member in old.getmembers() if member.isfile()]
        chosen = rng.choice(members)
        for member in members:
            content = old.extractfile(member)
            data = content.read() if content else b""
            if member is not chosen:
                new.addfile(member, io.BytesIO(data))
                continue
            for changed, body in _versions(rng, member, data, members):
                new.addfile(changed, io.BytesIO(body))
    return out.getvalue()


def _versions(rng: random.Random, member: tarfile.TarInfo, data: bytes, members: List[tarfile.TarInfo]):  # type: ignore
    """What stands in the place of a member: headers and contents."""
    what = rng.randrange(6)
    if what == 0:
        return []
    if what == 1:
        return [(member, data), (member, data)]
    if what == 2:
        member.type = rng.choice(
            (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE)
        )
        member.linkname = rng.choice(
            (member.name, "nowhere", "/etc/passwd", "..", rng.choice(members).name, "a\nb", "\x1b[1m")
        )
        member.size = 0
        return [(member, b"")]
    if what == 3:
        key = rng.choice(
            ("size", "path", "linkpath", "GNU.sparse.map", "GNU.sparse.size", "GNU.sparse.realsize", "mtime")
        )
        value = rng.choice(
            ("-1", "0", "99999999999999", "0,99999999999,5,5", "x", "1" * 5000, "../x", "1e400")
        )
        member.pax_headers = {key: value, "GNU.sparse.major": "0", "GNU.sparse.name": member.name}
        return [(member, data)]
    changed = byte_changes.change(rng, data)
    member.size = len(changed)
    return [(member, changed)]


def change_zip(rng: random.Random, data: bytes) -> bytes:
    """Change one array of an .npz file, its header above all, and pack all of it again."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = [(name, archive.open(name).read(MOST_UNPACKED)) for name in archive.namelist()]
    except Exception:  # whatever zipfile makes of what was changed before
        return byte_changes.change(rng, data)
    if not entries or rng.random() < 0.2:
        return byte_changes.change(rng, data)
    place = rng.randrange(len(entries))
    name, array = entries[place]
    changes: List[Callable[[], None]] = [
        lambda: entries.__setitem__(place, (name, _spoil_npy(rng, array))),
        lambda: entries.__setitem__(place, (name, _spoil_npy(rng, array))),
        lambda: entries.__setitem__(place, (name, byte_changes.change(rng, array))),
        lambda: entries.__setitem__(
            place, (rng.choice(("", "x", "../x.npy", "a\nb.npy", "\x1b.npy")), array)
        ),
        lambda: entries.append((name, array)),
        lambda: entries.__delitem__(place),
    ]
    rng.choice(changes)()
    out = io.BytesIO()
    packing = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(out, "w", packing) as archive:
        for name, array in entries:
            archive.writestr(zipfile.ZipInfo(name), array, packing)
    packed = out.getvalue()
    return _spoil_directory(rng, packed) if rng.random() < 0.2 else packed


def _spoil_npy(rng: random.Random, array: bytes) -> bytes:
    """Put other text into the header of an .npy file, and mend its length."""
    descr = rng.choice(
        (
            "<f4",
            "<f4",
            "<f4",
            "O",
            "|O",
            ">f4",
            "<f8",
            "<U4",
            "V9",
            "<M8[s]",
            "x",
            "<f99",
            ",".join(["f4"] * 500),
        )
    )
    shape = rng.choice(
        (
            "(3,)",
            "()",
            "(-1,)",
            "(0,)",
            f"({2**31},)",
            f"({2**40},)",
            f"({2**63},)",
            "(1,)*9**9",
            "(True,)",
            "(1.5,)",
            f"({2**32}, {2**32})",
            "[3]",
            "'3'",
            "(" * 300,
            "(1,)," * 30,
        )
    )
    order = rng.choice(("False", "False", "True", "None", "9**9**9"))
    head = f"{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}"
    version = rng.choice((b"\x01\x00", b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x09\x00"))
    text = (
        head.encode("latin-1") + b" " * rng.choice((0, 10, 60_000 if version != b"\x01\x00" else 100)) + b"\n"
    )
    size = struct.pack("<H" if version == b"\x01\x00" else "<I", len(text))
    return b"\x93NUMPY" + version + size + text + array[128 : 128 + rng.choice((0, 12, len(array)))]


def _spoil_directory(rng: random.Random, packed: bytes) -> bytes:
    """Change a field of a header in the zip's directory."""
    starts = [at for at in range(len(packed) - 46) if packed[at : at + 4] == b"PK\x01\x02"]
    if not starts:
        return packed
    at, (place, form) = (
        rng.choice(starts),
        rng.choice(((8, "H"), (10, "H"), (16, "I"), (20, "I"), (24, "I"), (28, "H"), (42, "I"))),
    )
    value = struct.pack(f"<{form}", rng.choice(BOUNDARIES) & (2 ** (8 * struct.calcsize(form)) - 1))
    return packed[: at + place] + value + packed[at + place + len(value) :]


def change_png(rng: random.Random, data: bytes) -> bytes:
    """Change, repeat, leave out or add a chunk of a PNG file, with its checksum mended."""
    chunks, place = [], 8
    while place + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, place)
        chunks.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + size]))
        place += 12 + size
    if not chunks:
        return byte_changes.change(rng, data)
    number = rng.randrange(len(chunks))
    kind, body = chunks[number]
    chunks[number : number + 1] = rng.choice(
        (
            [(kind, byte_changes.change(rng, body))],
            [(kind, byte_changes.change(rng, body))],
            [],
            [(kind, body), (kind, body)],
            [(kind, body), _odd_chunk(rng)],
            [_odd_chunk(rng), (kind, body)],
        )
    )
    return data[:8] + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def _odd_chunk(rng: random.Random) -> "tuple[bytes, bytes]":
    packed = zlib.compress(bytes(2**20))
    return rng.choice(
        (
            (
                b"IHDR",
                struct.pack(
                    ">IIBBBBB",
                    rng.choice((0, 1, 2**31 - 1, 20000)),
                    rng.choice((0, 1, 2**31 - 1, 20000)),
                    rng.choice((1, 8, 16, 3)),
                    rng.choice((0, 2, 3, 4, 6, 7)),
                    0,
                    0,
                    rng.choice((0, 1)),
                ),
            ),
            (b"IDAT", b""),
            (b"PLTE", b"\0" * 5),
            (b"tRNS", b""),
            (b"tRNS", b"\xff" * 300),
            (b"eXIf", b"MM\0*\xff\xff\xff\xff"),
            (b"zTXt", b"a\0\0" + packed),
            (b"iCCP", b"a\0\0" + packed),
            (b"iTXt", b"a\0\x01\0\0\0" + packed),
            (b"acTL", struct.pack(">II", 0, 0)),
            (b"fcTL", bytes(26)),
            (b"gAMA", b""),
            (b"pHYs", b"\0"),
            (b"XXXX", bytes(99)),
        )
    )


def change_mat(rng: random.Random, data: bytes) -> bytes:
    """Change an element inside a MATLAB file, compressed or not."""
    place, parts = 128, []
    while place + 8 <= len(data):
        kind, size = struct.unpack_from("<II", data, place)
        parts.append((kind, data[place + 8 : place + 8 + size]))
        place += 8 + size
    if not parts:
        return byte_changes.change(rng, data)
    number = rng.randrange(len(parts))
    kind, body = parts[number]
    if kind == 15:
        try:
            inside = zlib.decompressobj().decompress(body, MOST_UNPACKED)
        except zlib.error:
            inside = body
        if rng.random() < 0.06:
            body = b"\x78\x9c" + bomb(inside[:64] if rng.random() < 0.5 else inside)
        else:
            body = zlib.compress(_spoil_words(rng, inside), 1)
    else:
        body = _spoil_words(rng, body)
    parts[number] = (kind, body)
    return data[:128] + b"".join(struct.pack("<II", kind, len(body)) + body for kind, body in parts)


def _spoil_words(rng: random.Random, data: bytes) -> bytes:
    """Set an aligned 32-bit word near the beginning, where types, sizes and dimensions are."""
    if rng.random() < 0.3 or len(data) < 80:
        return byte_changes.change(rng, data)
    at = rng.randrange(20) * 4
    value = rng.choice((*BOUNDARIES, *range(20))) & 0xFFFFFFFF
    return data[:at] + struct.pack("<I", value) + data[at + 4 :]


def change_rec(rng: random.Random, data: bytes) -> bytes:
    """Change a field of a record's frame or of im2rec's header."""
    magic = struct.pack("<I", 0xCED7230A)
    starts = [at for at in range(0, len(data) - 32, 4) if data[at : at + 4] == magic]
    if not starts:
        return byte_changes.change(rng, data)
    at, place = rng.choice(starts), rng.choice((0, 4, 4, 4, 8, 8, 12, 12, 16, 20, 24))
    if place == 12:
        value = struct.pack(
            "<f", rng.choice((-1.0, 0.5, 1e8, 3e38, float("inf"), float("nan"), 5.0, 1e18, -0.0))
        )
    elif place == 4:
        value = struct.pack("<I", (rng.randrange(8) << 29 | rng.choice((0, 1, 8, 24, 500, 2**29 - 1))))
    else:
        value = struct.pack("<I", rng.choice(BOUNDARIES) & 0xFFFFFFFF)
    return data[: at + place] + value + data[at + place + 4 :]


CONTAINERS: Dict[str, Callable[[random.Random, bytes], bytes]] = {
    ".gz": change_gzip,
    ".tar.gz": change_tar,
    ".npz": change_zip,
    ".png": change_png,
    ".mat": change_mat,
    ".rec": change_rec,
}
