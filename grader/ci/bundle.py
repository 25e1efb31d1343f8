"""A bundle of blobs that an unprivileged job packed, read as hostile bytes and believed only as far as they hash.

Theory of operation. A bundle is a ZIP archive whose members are called by the ids of their git blobs. Nothing is
extracted: members are read in memory, those with other names are ignored, sizes and numbers are bounded before and
while they are inflated, and a member counts only if its bytes *are* that blob. Which blobs belong to the head commit is
the forge's word; the manifest is compared with it for the sake of an honest remark, and decides nothing.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from grader.ci.change import Entry, NotThere, Touched
from grader.ci.pack import MOST_BYTES, MOST_BYTES_TOGETHER, MOST_FILES
from grader.notebook.archive import DAMAGED, inflated

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Bundle", "BundleContent", "read_bundle"]

_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_MEMBER = b"PK\x01\x02"
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_MANIFEST = "manifest.json"
_MOST_MANIFEST = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """The blobs of a bundle, and what is odd about it."""

    blobs: Mapping[str, bytes] = field(default_factory=dict)
    """By their ids; each proven."""
    claimed_head: str | None = None
    """What the manifest says; untrusted."""
    problems: tuple[str, ...] = ()
    """A sentence each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleContent:
    """What a change holds: the forge's list of files, the bundle's bytes."""

    entries: Mapping[str, Entry]
    touched: tuple[Touched, ...]
    bundle: Bundle

    def read(self, entry: Entry) -> bytes:
        """The bytes of a file. Raises NotThere."""
        try:
            return self.bundle.blobs[entry.sha]
        except KeyError:
            raise NotThere("is not in the bundle of this run") from None


def read_bundle(data: bytes) -> Bundle:
    """The blobs in a bundle; whatever is wrong with it becomes a sentence."""
    if len(data) > MOST_BYTES_TOGETHER:
        return _refused(f"It is larger than {MOST_BYTES_TOGETHER >> 20} MiB.")
    if data.count(_MEMBER) > 4 * MOST_FILES:
        return _refused(f"It holds more than {MOST_FILES} files.")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _blobs(archive)
    except DAMAGED:
        return _refused("It is no ZIP archive, or it is damaged.")


def _blobs(archive: zipfile.ZipFile) -> Bundle:
    blobs: dict[str, bytes] = {}
    problems: list[str] = []
    claimed, together, odd = None, 0, 0
    for member in archive.infolist():
        name = member.orig_filename
        if name == _MANIFEST and member.file_size <= _MOST_MANIFEST and claimed is None:
            claimed = _head_in(archive, member)
        elif not _ID.fullmatch(name) or member.flag_bits & 1 or member.compress_type not in _METHODS or name in blobs:
            odd += name != _MANIFEST
        elif len(blobs) == MOST_FILES or member.file_size > MOST_BYTES:
            odd += 1
        else:
            found = inflated(archive, member, min(MOST_BYTES, MOST_BYTES_TOGETHER - together))
            if found is None:
                return _refused("It is larger than it says.")
            together += len(found)
            if blob_id(found, name) == name:
                blobs[name] = found
            else:
                odd += 1
    if odd:
        problems.append(f"The bundle of this run holds {odd} file(s) that are not what they are called; left aside.")
    return Bundle(blobs=blobs, claimed_head=claimed, problems=tuple(problems))


def blob_id(data: bytes, like: str) -> str:
    """The id that git gives a file, in the same kind of hash as ``like``."""
    digest = hashlib.sha1(usedforsecurity=False) if len(like) == 40 else hashlib.sha256()
    digest.update(b"blob %d\0" % len(data))
    digest.update(data)
    return digest.hexdigest()


def _head_in(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> str | None:
    try:
        head = json.loads(inflated(archive, member, _MOST_MANIFEST) or b"null")["head"]
    except (ValueError, KeyError, TypeError, RecursionError, *DAMAGED):
        return None
    return head if isinstance(head, str) and _ID.fullmatch(head) else None


def _refused(why: str) -> Bundle:
    return Bundle(problems=(f"The bundle of this run was not read. {why}",))
