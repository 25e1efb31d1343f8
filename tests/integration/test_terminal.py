"""A real terminal: nothing that a student wrote, as output, name or file, steers it."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import termios
import warnings
import zipfile

import pytest
from tiny_class import command, hand_in, lay_out, notebook

TITLE = "\x1b]0;owned\x07"
PAYLOAD = f"{TITLE}\x1b[2J\x1b[6n\x1b[8m\x1b[5;31;7m\x1bPq\x1b\\\x9b31m\x9d0;owned\x9c\u202e\x08\x7f[bold red]x[/]"
NAMES = {
    "title": f"{TITLE}eve",
    "clear": "\x1b[2J\x1b[Hmallory",
    "c1": "\x9b2Jzoe",
    "backwards": "\u202eadA",
    "markup": "[blink]bob[",
    "lines": "carol\n999 points\rdave",
    "bytes": os.fsdecode(b"\xff\x1b[8mfrank"),
}
OURS = re.compile(
    r"\x1b\[\?25[hl]"  # the cursor, while progress is shown
    r"|\x1b\[(?:1A|2K)"  # up a line, clear it
    r"|\x1b\[(?:0|1|2|7|3\d|9\d|38;5;\d+)(?:;(?:1|2|7|3\d|38;5;\d+))*m"  # colours and weights of ours
)
"""What rich writes for tables and progress; the payloads use none of these."""
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A class whose names, outputs, errors and archives are full of escapes."""
    folder = lay_out(tmp_path_factory.mktemp("terminal"))
    shout = f"print({PAYLOAD!r})\nimport sys\nprint({PAYLOAD!r}, file=sys.stderr)"
    raises = f"raise type({PAYLOAD!r}, (ValueError,), {{}})({PAYLOAD!r})"
    for name in NAMES.values():
        hand_in(folder, name, notebook(first=shout, last=raises))
    hand_in(folder, "timed", notebook(), at=PAYLOAD)
    hand_in(folder, "wrong", notebook(scale=f"def scale(x, factor):\n    {raises}"))
    archive = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(archive, "w") as made:
        warnings.simplefilter("ignore")  # the same name twice
        for _ in range(2):
            made.writestr(f"{PAYLOAD}.ipynb", b"x")
    hand_in(folder, "packer", archive.getvalue(), name="x.zip")
    return folder


def on_terminal(course, *args):
    """What a command of ``grader`` writes to a terminal of 100 columns, and its exit code."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR", "CI")}
    process = subprocess.Popen(
        command(*args),
        cwd=course,
        env={**environment, "TERM": "xterm-256color"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    written = bytearray()
    with open(ours, "rb", buffering=0) as screen:  # noqa: PTH123 - a descriptor has no path
        while True:
            try:
                part = screen.read(1 << 16)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            written += part
    return written.decode("utf-8"), process.wait()


COMMANDS = [
    (("grade", "tiny", "--seed", "3"), 0),
    (("grade", "tiny"), 0),
    (("grade", "tiny", "--json"), 0),
    (("feedback", "tiny"), 0),
    (("feedback", "tiny", "--json"), 0),
    (("report", "tiny"), 0),
    (("grade", "tiny", "--student", PAYLOAD), 2),
    (("grade", "tiny", "--student", PAYLOAD, "--json"), 2),
    (("feedback", PAYLOAD), 2),
]


def test_nothing_of_a_students_steers_the_terminal(course):
    """Marking, feedback, report and errors, as tables and as JSON: every escape that is written is one of ours."""
    for args, code in COMMANDS:
        text, done = on_terminal(course, *args)
        assert done == code, text
        left = OURS.sub("", text)
        assert not CONTROL.search(left), (args, repr(left[max(0, CONTROL.search(left).start() - 80) :][:200]))
        assert TITLE not in text
        if args == ("grade", "tiny", "--seed", "3"):
            assert text != left, "control: this is a terminal, and progress is shown on it"
            assert "mallory" in text
            assert "[blink]bob[" in text
        if "--json" not in args:
            assert not re.search(r"^999 points", left, re.MULTILINE)


def test_different_bytes_in_a_name_are_different_students(course):
    """A name that is no UTF-8 is marked under its bytes, written out."""
    text, code = on_terminal(course, "feedback", "tiny", "--json")
    assert code == 0
    assert "\\\\xff" in text
