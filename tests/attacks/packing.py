"""Attacks by what is handed in instead of a notebook: archives, links, devices, pipes, and names of folders."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import struct
import warnings
import zipfile
from typing import TYPE_CHECKING

from attack import NAME, Attack

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["ATTACKS", "stray"]

WANTED = f"{NAME}.ipynb"


def archive(*members: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        warnings.simplefilter("ignore")  # a name that is there twice
        for name, data in members:
            made.writestr(name, data, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def packed(
    members: Callable[[bytes], list[tuple[str | zipfile.ZipInfo, bytes]]], *, where: str = f"{NAME}/homework.zip"
) -> Callable[[Path, bytes], None]:
    """Hands in an archive, made from the honest notebook."""

    def put(own: Path, data: bytes) -> None:
        (own / where).parent.mkdir(exist_ok=True)
        (own / where).write_bytes(archive(*members(data)))

    return put


def special(name: str, kind: int) -> zipfile.ZipInfo:
    """A member that is a link, a device or a pipe."""
    member = zipfile.ZipInfo(name)
    member.external_attr = (kind | 0o644) << 16
    return member


def locked(own: Path, data: bytes) -> None:
    made = bytearray(archive((WANTED, data)))
    struct.pack_into("<H", made, 6, 1)
    struct.pack_into("<H", made, made.index(b"PK\x01\x02") + 8, 1)
    (own / f"{NAME}.zip").write_bytes(made)


def lying_bomb(own: Path, data: bytes) -> None:
    """A hundred megabytes that claim to be a thousand bytes."""
    made = bytearray(archive((WANTED, b" " * (100 << 20))))
    struct.pack_into("<I", made, made.index(b"PK\x01\x02") + 24, 1_000)
    (own / f"{NAME}.zip").write_bytes(made)


def linked(target: str, where: str) -> Callable[[Path, bytes], None]:
    def put(own: Path, data: bytes) -> None:
        (own / where).parent.mkdir(exist_ok=True)
        (own / where).symlink_to(target)

    return put


def hard_link(own: Path, data: bytes) -> None:
    """A second name for a right notebook, in a folder that belongs to somebody else (if we may give it away)."""
    (own / NAME).mkdir()
    (own / NAME / WANTED).hardlink_to(own.parent / "honest-right" / NAME / WANTED)
    with contextlib.suppress(PermissionError):
        os.chown(own / NAME, 65534, 65534)
        return
    (own / NAME / WANTED).unlink()
    (own / NAME / WANTED).write_bytes(data)


def pipe(where: str) -> Callable[[Path, bytes], None]:
    def put(own: Path, data: bytes) -> None:
        (own / where).parent.mkdir(exist_ok=True)
        os.mkfifo(own / where)

    return put


def device(own: Path, data: bytes) -> None:
    """/dev/zero under the notebook's name; a pipe where we may make no devices."""
    (own / NAME).mkdir()
    try:
        os.mknod(own / NAME / WANTED, stat.S_IFCHR | 0o666, os.makedev(1, 5))
    except PermissionError:
        os.mkfifo(own / NAME / WANTED)


def stray(submitted: Path) -> None:
    """What nobody's folder holds: a pipe, links and a file in ``submitted`` itself."""
    os.mkfifo(submitted / "pipe")
    (submitted / "link").symlink_to("/etc")
    (submitted / "own-link").symlink_to("honest-right")
    (submitted / "notes.txt").write_text("x")


ATTACKS = [
    Attack(
        number=52,
        name="archive-with-paths",
        about="an honest notebook beside members that lead out of the archive, links and devices",
        put=packed(
            lambda data: [
                ("../../../../owned", b"x"),
                ("/tmp/owned", b"x"),
                (special("etc", stat.S_IFLNK), b"/etc"),
                (special("zero", stat.S_IFCHR), b""),
                (f"homework/{WANTED}", data),
                ("homework/inner.zip", archive(("x.ipynb", b"x"))),
            ]
        ),
    ),
    Attack(
        number=52,
        name="archive-alone",
        about="an honest notebook in an archive in the place of the folder",
        put=packed(lambda data: [(WANTED, data)], where=f"{NAME}.zip"),
    ),
    *(
        Attack(number=52, name=name, about=about, put=put, spoils_itself=True, record=(said,))
        for name, about, put, said in (
            ("zip-bomb", "a notebook of 60 MiB that is packed to 60 KiB",
             packed(lambda _: [(WANTED, b" " * (60 << 20))]), "packed far more tightly"),
            ("zip-bomb-larger", "a notebook of 66 MiB in an archive",
             packed(lambda _: [(WANTED, b"ab" * (33 << 20))]), "larger than 64 MiB"),
            ("zip-bomb-lies", "a bomb that claims to be small", lying_bomb, "damaged"),
            ("zip-many", "an archive of ten thousand files",
             packed(lambda data: [*((f"{n}", b"") for n in range(10_000)), (WANTED, data)]), "more than 2000 files"),
            ("zip-parent", "a notebook called ../../honest-right/…",
             packed(lambda data: [(f"../../honest-right/{NAME}/{WANTED}", data)]), "leads out of it"),
            ("zip-absolute", "a notebook with an absolute name",
             packed(lambda data: [(f"/tmp/{WANTED}", data)]), "leads out of it"),
            ("zip-symlink", "a link to a right notebook in an archive",
             packed(lambda _: [(special(WANTED, stat.S_IFLNK), b"../honest-right/" + WANTED.encode())]), "is not a file"),
            ("zip-device", "a device in an archive",
             packed(lambda _: [(special(WANTED, stat.S_IFCHR), b"")]), "is not a file"),
            ("zip-case", "two notebooks whose names differ by capital letters",
             packed(lambda data: [(WANTED, data), (WANTED.upper(), data)]), "2 times"),
            ("zip-locked", "an archive with a password", locked, "password"),
            ("zip-nested", "an archive in an archive",
             packed(lambda data: [("inner.zip", archive((WANTED, data)))]), "no notebook in your archive"),
            ("link", "a link to a right notebook",
             linked(f"../../honest-right/{NAME}/{WANTED}", f"{NAME}/{WANTED}"), "it is a link"),
            ("link-to-folder", "a link to somebody's folder", linked(f"../honest-right/{NAME}", NAME), "not a folder"),
            ("link-to-hidden", "a link to the hidden checks",
             linked(f"../../../solutions/{NAME}/test_hidden.py", f"{NAME}/{WANTED}"), "it is a link"),
            ("hard-link", "a hard link to a right notebook", hard_link, "(?s)hard link to somebody else|logsumexp"),
            ("pipe", "a pipe that is never written to", pipe(f"{NAME}/{WANTED}"), "not a file"),
            ("pipe-for-folder", "a pipe in the place of the folder", pipe(NAME), "not a folder"),
            ("pipe-for-archive", "a pipe in the place of an archive", pipe(f"{NAME}.zip"), "not a folder"),
            ("device", "/dev/zero in the notebook's place", device, "not a file"),
        )
    ),
    Attack(
        number=57,
        name="formula",
        about="a formula as the student's name",
        folder='=HYPERLINK("https:%2f%2fevil.example","marks")',
    ),
    Attack(number=57, name="formula-at", about="a command as the student's name", folder="@SUM(1+1)*cmd|' !A0"),
    Attack(number=57, name="formula-behind", about="a formula behind a comma of the name", folder='eve",=1+1,"'),
]  # fmt: skip
