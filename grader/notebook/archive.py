"""The notebook in a ZIP archive, as learning platforms hand them out. Read in memory: nothing is ever extracted.

Theory of operation. This code runs in the trusted process on a student's bytes. Of an archive only one member is ever
looked at, the notebook, so what else is in it (and what it is called) cannot matter. Everything that can be known is
asked before a byte is inflated: how many members there are, what kind of file the notebook claims to be, how large and
how well packed. What it claims may be a lie: inflating stops at the limit whatever was claimed. Whatever is wrong ends
in ``BadArchive``, nothing else.
"""

from __future__ import annotations

import io
import re
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections import Counter

__all__ = ["DAMAGED", "MAX_BYTES", "BadArchive", "inflated", "notebook_in"]

MAX_BYTES = 64 << 20
"""Of the notebook, unpacked."""
MAX_MEMBERS = 2_000
MAX_RATIO = 200
"""How many times larger than packed a notebook may be, from ``SMALL`` on; notebooks with long outputs reach 50."""
SMALL = 16 << 20
_CHUNK = 1 << 18
_MEMBER = b"PK\x01\x02"
_LOCKED = 0x1 | 0x40 | 0x2000
"""Flags: encrypted, strongly encrypted, masked."""
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
"""What every tool writes. The others' decompressors cannot be told to stop at so many bytes."""
_OUTSIDE = re.compile(r"(?:^|/)\.\.(?:/|$)|^/|^[A-Za-z]:")
DAMAGED = (
    zipfile.BadZipFile, zlib.error, struct.error, NotImplementedError, RuntimeError, ValueError, OverflowError,
    EOFError, LookupError, OSError,
)  # fmt: skip
"""What ``zipfile`` raises on hostile bytes."""
_MEND = "Hand in the notebook itself (the .ipynb file)."


class BadArchive(Exception):
    """There is no notebook to be had from an archive; ``str`` of it is a sentence for the student."""


def notebook_in(data: bytes, wanted: str) -> bytes:
    """The bytes of the notebook in a ZIP archive: the one called ``wanted``, or the only one.

    Raises:
        BadArchive: with a sentence for the student.
    """
    if data.count(_MEMBER) > MAX_MEMBERS:
        raise BadArchive(f"Your archive holds more than {MAX_MEMBERS} files. {_MEND}")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            member = _chosen([each for each in archive.infolist() if _is_candidate(each)], wanted)
            _check(member)
            return _notebook(archive, member)
    except DAMAGED:
        raise BadArchive(f"Your archive is no ZIP archive, or it is damaged. {_MEND}") from None


def _is_candidate(member: zipfile.ZipInfo) -> bool:
    """Whether it looks like a notebook that somebody put there: not a tool's hidden copy of one."""
    parts = _path(member).split("/")
    hidden = any(part.startswith(".") and part not in (".", "..") for part in parts) or "__MACOSX" in parts
    return not hidden and parts[-1].lower().endswith(".ipynb")


def _chosen(found: list[zipfile.ZipInfo], wanted: str) -> zipfile.ZipInfo:
    if not found:
        raise BadArchive(f"There is no notebook in your archive (archives in it are not opened). {_MEND}")
    same, often = Counter(_path(each).casefold() for each in found).most_common(1)[0]
    if often > 1:
        first = next(_path(each) for each in found if _path(each).casefold() == same)
        raise BadArchive(f"Your archive holds {_shown(first)} {often} times (capital letters aside). {_MEND}")
    named = [each for each in found if _path(each).rpartition("/")[2] == wanted]
    chosen = named or found
    if len(chosen) > 1:
        called = f"{len(named)} of them" if named else "none of them"
        raise BadArchive(f"There are {len(found)} notebooks in your archive, {called} called {wanted}. {_MEND}")
    return chosen[0]


def _check(member: zipfile.ZipInfo) -> None:
    """What can be known before anything is inflated. Raises BadArchive."""
    name = _shown(_path(member))
    kind = stat.S_IFMT(member.external_attr >> 16)
    if _OUTSIDE.search(_path(member)):
        raise BadArchive(f"The notebook in your archive has a path that leads out of it ({name}). {_MEND}")
    if kind not in (0, stat.S_IFREG):
        raise BadArchive(f"The notebook in your archive ({name}) is not a file. {_MEND}")
    if member.flag_bits & _LOCKED:
        raise BadArchive(f"The notebook in your archive ({name}) is locked with a password. {_MEND}")
    if member.compress_type not in _METHODS:
        raise BadArchive(f"Your archive is packed in a way that is not read here. {_MEND}")
    if member.file_size > MAX_BYTES or member.file_size > max(SMALL, MAX_RATIO * member.compress_size):
        raise BadArchive(_too_large())


def _notebook(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """The member's bytes, whole. Raises BadArchive."""
    found = inflated(archive, member, MAX_BYTES)
    if found is None:
        raise BadArchive(_too_large())
    if len(found) != member.file_size:
        raise BadArchive(f"The notebook in your archive is cut off. {_MEND}")
    return found


def inflated(archive: zipfile.ZipFile, member: zipfile.ZipInfo, most: int) -> bytes | None:
    """The member's bytes if there are no more than ``most``, whatever it claims; else None. Checks its checksum.

    Raises one of ``DAMAGED`` when it is damaged.
    """
    found = bytearray()
    with archive.open(member) as file:
        while part := file.read(_CHUNK):
            found += part
            if len(found) > most:
                return None
    return bytes(found)


def _path(member: zipfile.ZipInfo) -> str:
    """Its path with forward slashes: tools on Windows have written the others."""
    return member.orig_filename.replace("\\", "/")


def _shown(path: str) -> str:
    path = path if len(path) <= 80 else f"…{path[-79:]}"
    return "".join(c if unicodedata.category(c)[0] != "C" else "�" for c in path)


def _too_large() -> str:
    return (
        f"The notebook in your archive is larger than {MAX_BYTES >> 20} MiB, or packed far more tightly than notebooks "
        "are. Clear its outputs (Kernel → Restart & Clear Output) and hand in the .ipynb file itself."
    )
