"""Pictures from students: only what is needed to paint a PNG, re-assembled chunk by chunk.

Nothing is decoded here. A picture passes if its chunks are whole (length and CRC), begin with a sane header and end
with ``IEND``; text, profiles, times, animation and anything after the end are left out, so that what reaches the page
is the picture and no carrier.
"""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from dataclasses import dataclass

__all__ = ["Picture", "picture"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KEPT = frozenset({b"IHDR", b"PLTE", b"tRNS", b"gAMA", b"sRGB", b"cHRM", b"pHYs", b"sBIT", b"bKGD", b"IDAT", b"IEND"})
_MAX_SIDE = 8_000
_MAX_PIXELS = 24_000_000
_MAX_CHUNKS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One checked PNG."""

    uri: str
    """``data:image/png;base64,…``"""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    size_bytes: int
    """Of the picture itself, before base64."""


def picture(png_base64: str, *, max_bytes: int = 2_000_000) -> Picture | None:
    """The picture in ``png_base64``, or None when it is no sound PNG, or larger than ``max_bytes`` or 24 Mpx."""
    if len(png_base64) > max_bytes * 3 // 2:
        return None
    try:
        data = base64.b64decode("".join(png_base64.split()), validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(data) > max_bytes or not data.startswith(_SIGNATURE):
        return None
    chunks = _chunks(data)
    if not chunks or chunks[0][0] != b"IHDR" or len(chunks[0][1]) != 13 or chunks[-1][0] != b"IEND":
        return None
    if sum(name == b"IHDR" for name, _ in chunks) != 1 or not any(name == b"IDAT" for name, _ in chunks):
        return None
    width, height = struct.unpack(">II", chunks[0][1][:8])
    if not (0 < width <= _MAX_SIDE and 0 < height <= _MAX_SIDE and width * height <= _MAX_PIXELS):
        return None
    clean = _SIGNATURE + b"".join(_packed(name, body) for name, body in chunks if name in _KEPT)
    uri = "data:image/png;base64," + base64.b64encode(clean).decode("ascii")
    return Picture(uri=uri, width=width, height=height, size_bytes=len(clean))


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Name and body of each chunk up to IEND; empty when a chunk is cut, its CRC is wrong or there are too many."""
    chunks: list[tuple[bytes, bytes]] = []
    at = len(_SIGNATURE)
    while at + 12 <= len(data) and len(chunks) < _MAX_CHUNKS:
        (length,) = struct.unpack_from(">I", data, at)
        name, end = data[at + 4 : at + 8], at + 8 + length
        if end + 4 > len(data) or struct.unpack_from(">I", data, end)[0] != zlib.crc32(data[at + 4 : end]):
            return []
        chunks.append((name, data[at + 8 : end]))
        if name == b"IEND":
            return chunks
        at = end + 4
    return []


def _packed(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
