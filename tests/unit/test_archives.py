"""A notebook in a ZIP archive: read in memory, within limits, or a sentence; nothing is ever extracted."""

from __future__ import annotations

import io
import os
import stat
import struct
import tracemalloc
import warnings
import zipfile
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.notebook.archive import MAX_BYTES, MAX_MEMBERS, BadArchive, notebook_in
from grader.submissions import find, load

NOTEBOOK = b'{"cells": [{"cell_type": "code", "source": "x = 1"}]}'
MEND = " Hand in the notebook itself (the .ipynb file)."
LARGE = "The notebook in your archive is larger than 64 MiB, or packed far more tightly than notebooks are."
METHOD = f"Your archive is packed in a way that is not read here.{MEND}"
DAMAGED = f"Your archive is no ZIP archive, or it is damaged.{MEND}"


def packed(*members, how=zipfile.ZIP_DEFLATED):
    """An archive of ``(name or ZipInfo, bytes)``."""
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w", how) as archive:
        warnings.simplefilter("ignore")  # names that are there twice
        for name, data in members:
            archive.writestr(name, data, how)
    return out.getvalue()


def info(name, mode=0, **fields):
    """A member with a file type, as Unix tools note it, and whatever else it should claim."""
    member = zipfile.ZipInfo(name)
    member.external_attr = mode << 16
    for field, value in fields.items():
        setattr(member, field, value)
    return member


def claiming(data, *, size=None, flags=None, method=None):
    """The archive with something else in the central directory and in the header of its first member."""
    made = bytearray(data)
    for start, at in ((data.index(b"PK\x01\x02"), 2), (0, 0)):
        for value, offset, form in ((flags, 6 + at, "<H"), (method, 8 + at, "<H"), (size, 22 + at, "<I")):
            if value is not None:
                struct.pack_into(form, made, start + offset, value)
    return bytes(made)


def refusal(data):
    with pytest.raises(BadArchive) as caught:
        notebook_in(data, "a.ipynb")
    return str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        packed(("a.ipynb", NOTEBOOK)),
        packed(("a.ipynb", NOTEBOOK), how=zipfile.ZIP_STORED),
        packed(("My Homework (1).IPYNB", NOTEBOOK)),
        packed(("hw/", b""), ("hw/a.ipynb", NOTEBOOK), ("hw/other.ipynb", b"x"), ("hw/data.csv", b"1")),
        packed(("hw\\a.ipynb", NOTEBOOK)),
        packed(("__MACOSX/._a.ipynb", b"x"), ("a.ipynb", NOTEBOOK), (".ipynb_checkpoints/a-checkpoint.ipynb", b"old")),
        packed((info("a.ipynb", stat.S_IFREG | 0o644), NOTEBOOK), (info("link", stat.S_IFLNK), b"/etc/passwd")),
        packed(("../../../etc/cron.d/x", b"x"), ("a.ipynb", NOTEBOOK)),
        b"#!/bin/sh\n" + packed(("a.ipynb", NOTEBOOK)),
    ],
    ids=["plain", "stored", "renamed", "folder", "Windows", "Mac", "a link", "a path", "a script"],
)  # fmt: skip
def test_the_notebook_is_found(data):
    """The notebook with the assignment's name, or the only one, is read; nothing else in the archive matters."""
    assert notebook_in(data, "a.ipynb") == NOTEBOOK


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", DAMAGED),
        (b"PK\x03\x04", DAMAGED),
        (b"Rar!\x1a\x07\x00" + b"x" * 100, DAMAGED),
        (packed(("a.ipynb", NOTEBOOK))[:-30], DAMAGED),
        (packed(("a.ipynb", NOTEBOOK), how=zipfile.ZIP_STORED).replace(b"x = 1", b"x = 2"), DAMAGED),
        (packed(("notes.txt", b"x")),
         f"There is no notebook in your archive (archives in it are not opened).{MEND}"),
        (packed(("inner.zip", packed(("a.ipynb", NOTEBOOK)))),
         f"There is no notebook in your archive (archives in it are not opened).{MEND}"),
        (packed(("b.ipynb", b"1"), ("c.ipynb", b"2")),
         f"There are 2 notebooks in your archive, none of them called a.ipynb.{MEND}"),
        (packed(("x/a.ipynb", b"1"), ("y/a.ipynb", b"2"), ("b.ipynb", b"3")),
         f"There are 3 notebooks in your archive, 2 of them called a.ipynb.{MEND}"),
        (packed(("a.ipynb", b"1"), ("A.IPYNB", b"2")),
         f"Your archive holds a.ipynb 2 times (capital letters aside).{MEND}"),
        (packed(("a.ipynb", b"1"), ("a.ipynb", b"2")),
         f"Your archive holds a.ipynb 2 times (capital letters aside).{MEND}"),
        *(
            (packed((name, NOTEBOOK)),
             f"The notebook in your archive has a path that leads out of it ({shown}).{MEND}")
            for name, shown in (
                ("../a.ipynb", "../a.ipynb"), ("x/../../a.ipynb", "x/../../a.ipynb"), ("/etc/a.ipynb", "/etc/a.ipynb"),
                ("..\\a.ipynb", "../a.ipynb"), ("C:\\a.ipynb", "C:/a.ipynb"), ("\\\\host\\a.ipynb", "//host/a.ipynb"),
            )
        ),
        *(
            (packed((info("a.ipynb", kind | 0o644), b"/etc/passwd")),
             f"The notebook in your archive (a.ipynb) is not a file.{MEND}")
            for kind in (stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK, stat.S_IFDIR)
        ),
        (claiming(packed(("a.ipynb", NOTEBOOK)), flags=1),
         f"The notebook in your archive (a.ipynb) is locked with a password.{MEND}"),
        (packed(("a.ipynb", NOTEBOOK), how=zipfile.ZIP_LZMA), METHOD),
        (packed(("a.ipynb", NOTEBOOK), how=zipfile.ZIP_BZIP2), METHOD),
        (claiming(packed(("a.ipynb", NOTEBOOK)), method=9), METHOD),
        (packed(*((f"{number}.txt", b"") for number in range(MAX_MEMBERS)), ("a.ipynb", NOTEBOOK)),
         f"Your archive holds more than {MAX_MEMBERS} files.{MEND}"),
        (packed(("\x1b[2J\u202e.ipynb", b""), ("\x1b[2J\u202e.IPYNB", b"")),
         f"Your archive holds �[2J�.ipynb 2 times (capital letters aside).{MEND}"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_a_sentence(data, told):
    """Whatever an archive may be made to do ends in a sentence for the student."""
    assert refusal(data) == told


def test_a_bomb_is_refused_before_it_is_inflated():
    """A notebook that claims too much, or is packed too tightly, is refused by its claim: nothing is inflated."""
    bomb = packed(("a.ipynb", b"x" * (40 << 20)))
    assert len(bomb) < 100_000
    tracemalloc.start()
    try:
        assert refusal(bomb).startswith(LARGE)
        assert refusal(claiming(packed(("a.ipynb", NOTEBOOK)), size=MAX_BYTES + 1)).startswith(LARGE)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("claim", [100, 1 << 20])
def test_a_bomb_that_lies_is_not_inflated_either(claim):
    """A bomb that claims to be small is inflated as far as its claim, and then found out."""
    bomb = packed(("a.ipynb", b"x" * (40 << 20)))
    lying = claiming(bomb, size=claim)
    tracemalloc.start()
    try:
        assert refusal(lying) == DAMAGED
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_members_that_overlap_are_no_bomb():
    """Many members over the same bytes cost nothing: only one of them is ever inflated."""
    kernel = packed(("a.ipynb", NOTEBOOK))
    start = kernel.index(b"PK\x01\x02")
    entry, end = kernel[start : kernel.index(b"PK\x05\x06")], bytearray(kernel[kernel.index(b"PK\x05\x06") :])
    others = b"".join(entry.replace(b"a.ipynb", b"%05d.x" % number) for number in range(1_000))
    struct.pack_into("<HHI", end, 8, 1_001, 1_001, len(entry) + len(others))
    try:
        found = notebook_in(kernel[:start] + others + entry + bytes(end), "a.ipynb")
    except BadArchive:
        return  # newer Pythons refuse such an archive whole
    assert found == NOTEBOOK


def test_a_long_honest_notebook_is_read():
    """Outputs that repeat themselves pack well; below 16 MiB nobody asks how well."""
    large = NOTEBOOK + b" " * (8 << 20)
    assert notebook_in(packed(("a.ipynb", large)), "a.ipynb") == large


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_bytes_in_an_archive(data):
    """An archive with any bytes changed is read, or is a sentence."""
    made = bytearray(packed(("x/", b""), ("x/a.ipynb", NOTEBOOK), ("b.txt", os.urandom(0))))
    for at in data.draw(st.lists(st.integers(0, len(made) - 1), max_size=6)):
        made[at] = data.draw(st.integers(0, 255))
    try:
        found = notebook_in(bytes(made), "a.ipynb")
    except BadArchive as error:
        assert str(error).endswith(".")
    else:
        assert zlib.crc32(found) >= 0


# ── where archives lie ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def own(tmp_path):
    """Ada's folder in ``submitted``."""
    folder = tmp_path / "submitted" / "ada"
    folder.mkdir(parents=True)
    return folder


def handed_in(own):
    """What is found of ada's, and read."""
    ((student, place),) = find(own.parent, "a")
    return load(student, place, "a", own.parents[1])


@pytest.mark.parametrize("where", ["a.zip", "a/a.zip", "a/My Homework.ZIP"])
def test_an_archive_stands_for_the_notebook(own, where):
    """An archive beside or in the assignment's folder is read; the record names the archive and its hash."""
    (own / where).parent.mkdir(exist_ok=True)
    data = packed(("a.ipynb", NOTEBOOK))
    (own / where).write_bytes(data)
    submission = handed_in(own)
    assert (submission.data, submission.problem) == (NOTEBOOK, None)
    assert submission.ref.path == f"submitted/ada/{where}"
    assert submission.ref.received_at is not None
    (own / where).write_bytes(data[:-9])
    other = handed_in(own)
    assert (other.data, other.problem) == (b"", DAMAGED)
    assert other.ref.sha256 != submission.ref.sha256


def test_a_notebook_counts_before_an_archive(own):
    """A notebook in the folder is what was handed in, whatever archives lie beside it; of two none is guessed."""
    (own / "a").mkdir()
    for name in ("x.zip", "y.zip"):
        (own / "a" / name).write_bytes(packed(("a.ipynb", NOTEBOOK)))
    told = "There are 2 archives in your submission, none of them called a.ipynb. Hand in a.ipynb."
    assert handed_in(own).problem == told
    (own / "a.zip").write_bytes(b"")
    (own / "a" / "b.ipynb").write_bytes(b"{}")
    assert (handed_in(own).data, handed_in(own).problem) == (b"{}", None)


LINK = "Your archive cannot be opened: it is a link or is not readable. Hand in the file itself."
NO_FILE = "Your archive is not a file. Hand in the .zip file itself."
NO_FOLDER = "Your submission is not a folder. Hand in the folder itself, with your notebook in it."


@pytest.mark.parametrize("where", ["a.zip", "a/hw.zip"])
@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_an_archive_that_is_no_file_is_not_opened(own, where, kind, tmp_path):
    """A link or a pipe in an archive's place is told; nothing is read through it and nothing waits."""
    (tmp_path / "other.zip").write_bytes(packed(("a.ipynb", NOTEBOOK)))
    (own / where).parent.mkdir(exist_ok=True)
    if kind == "link":
        (own / where).symlink_to(tmp_path / "other.zip")
    else:
        os.mkfifo(own / where)
    told = NO_FOLDER if where == "a.zip" else LINK if kind == "link" else NO_FILE
    assert (handed_in(own).data, handed_in(own).problem) == (b"", told)
