"""Finding what was handed in: neither names nor kinds of files are trusted."""

import contextlib
import hashlib
import os
import socket
import tempfile
from pathlib import Path

import pytest

from grader.errors import UsageError
from grader.submissions import MAX_SUBMISSION_BYTES, find, load

LINK = "Your notebook cannot be opened: it is a link or is not readable. Hand in the file itself."
NO_FILE = "Your notebook is not a file. Hand in the .ipynb file itself."
NO_FOLDER = "Your submission is not a folder. Hand in the folder itself, with your notebook in it."


@pytest.fixture
def place(tmp_path):
    """The folder in which ada hands in ``a``."""
    place = tmp_path / "submitted" / "ada" / "a"
    place.mkdir(parents=True)
    return place


def loaded(place):
    return load("ada", place, "a", place.parents[2])


def test_submissions_are_found_by_student(tmp_path):
    """Folders of students who handed in the assignment, sorted; hidden folders, files and links to folders are none."""
    folder = tmp_path / "submitted"
    for student in ("zoe", "ada", "ben", ".hidden"):
        (folder / student / "a").mkdir(parents=True)
    (folder / "ben" / "a").rename(folder / "ben" / "b")
    (folder / "notes.txt").write_text("")
    (folder / "link").symlink_to(folder / "ada")
    assert find(folder, "a") == [("ada", folder / "ada" / "a"), ("zoe", folder / "zoe" / "a")]
    assert [student for student, _ in find(folder, "a", students=frozenset({"zoe", "nobody"}))] == ["zoe"]
    assert find(tmp_path / "nowhere", "a") == []


def test_a_notebook_is_read_with_its_hash_and_path(place):
    """The record names the bytes that were marked and where they lay."""
    (place / "a.ipynb").write_bytes(b"{}")
    submission = loaded(place)
    assert (submission.data, submission.problem) == (b"{}", None)
    assert submission.ref.path == "submitted/ada/a/a.ipynb"
    assert submission.ref.sha256 == hashlib.sha256(b"{}").hexdigest()
    assert (submission.ref.student, submission.ref.name, submission.ref.assignment) == ("ada", "ada", "a")


def test_a_renamed_notebook_is_found_when_it_is_the_only_one(place):
    """A browser's ``a (1).ipynb`` and a shouting ``A.IPYNB`` are marked; of several none is guessed."""
    (place / "A (1).IPYNB").write_bytes(b"{}")
    (place / ".ipynb_checkpoints").mkdir()
    (place / ".a-checkpoint.ipynb").write_bytes(b"old")
    (place / "data.csv").write_text("1")
    assert loaded(place).data == b"{}"
    assert loaded(place).ref.path == "submitted/ada/a/A (1).IPYNB"
    (place / "b.ipynb").write_bytes(b"[]")
    told = "There are 2 notebooks in your submission, none of them called a.ipynb. Hand in a.ipynb."
    assert loaded(place).problem == told
    (place / "a.ipynb").write_bytes(b"right")
    assert loaded(place).data == b"right"


def test_an_empty_folder_is_a_sentence(place):
    """Nothing handed in is told as such, and hashes as nothing."""
    assert loaded(place).problem == "There is no notebook in your submission. Hand in a.ipynb."
    assert loaded(place).ref.path == "submitted/ada/a"
    assert loaded(place).ref.sha256 == hashlib.sha256(b"").hexdigest()


def _link(path):
    path.symlink_to("/etc/passwd")


def _dangling(path):
    path.symlink_to("nowhere")


def _socket(path):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (_link, LINK),
        (_dangling, LINK),
        (_socket, LINK),
        (os.mkfifo, NO_FILE),
        (os.mkdir, NO_FILE),
    ],
)
def test_what_is_no_file_is_never_opened_and_told(place, make, problem, monkeypatch):
    """A link, a pipe, a socket or a folder in the notebook's place ends in a sentence; nothing waits for it."""
    monkeypatch.chdir(place)  # a socket's path must be short
    make((place / "a.ipynb").relative_to(place))
    submission = loaded(place)
    assert (submission.data, submission.problem) == (b"", problem)


def test_what_is_no_folder_is_told(tmp_path):
    """A link or a file where the submission's folder should be is a submission with nothing in it."""
    folder = tmp_path / "submitted"
    (folder / "ada" / "a").mkdir(parents=True)
    (folder / "ada" / "a" / "a.ipynb").write_bytes(b"{}")
    (folder / "ben").mkdir()
    (folder / "ben" / "a").symlink_to(folder / "ada" / "a")
    (folder / "cleo").mkdir()
    (folder / "cleo" / "a").write_bytes(b"{}")
    (folder / "dan").mkdir()
    (folder / "dan" / "a").symlink_to("nowhere")
    found = find(folder, "a")
    assert [student for student, _ in found] == ["ada", "ben", "cleo", "dan"]
    problems = [load(student, place, "a", tmp_path).problem for student, place in found]
    assert problems == [None, NO_FOLDER, NO_FOLDER, NO_FOLDER]


def test_a_link_lends_nobody_a_timestamp(tmp_path):
    """Nothing is read through a link in the folder's place, the timestamp in it included."""
    folder = tmp_path / "submitted"
    (folder / "ada" / "a").mkdir(parents=True)
    (folder / "ada" / "a" / "timestamp.txt").write_text("2001-01-01 00:00:00 UTC")
    (folder / "ben").mkdir()
    (folder / "ben" / "a").symlink_to(folder / "ada" / "a")
    received = load("ben", folder / "ben" / "a", "a", tmp_path).ref.received_at
    assert not received.startswith("2001")


def test_a_hard_link_to_somebody_elses_file_is_not_read(place, tmp_path):
    """A second name for a file of another user is told, and not read; where all is one user's it is a file."""
    secret = tmp_path / "test_hidden.py"
    secret.write_bytes(b"{}")
    (place / "a.ipynb").hardlink_to(secret)
    assert loaded(place).data == b"{}"
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    os.chown(place, 65534, 65534)
    told = "Your notebook is a hard link to somebody else's file. Hand in a file of your own."
    assert (loaded(place).data, loaded(place).problem) == (b"", told)


def test_a_files_time_beyond_all_calendars_is_no_time():
    """A file that claims to be of the year 36812 has no time of receipt, and stops nobody's marking."""
    shared = Path("/dev/shm")  # keeps any time; the disk's file system may not
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as folder:
        place = Path(folder, "submitted", "ada", "a")
        place.mkdir(parents=True)
        (place / "a.ipynb").write_bytes(b"{}")
        os.utime(place / "a.ipynb", (0, 2**40))
        if (place / "a.ipynb").stat().st_mtime != 2**40:
            pytest.skip("no file system here keeps such times")
        assert loaded(place).ref.received_at is None


@contextlib.contextmanager
def nobody():
    """Root reads everything: be somebody else for a while."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_what_is_not_readable_is_told():
    """A file or a folder without permission is a sentence."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "submitted", "ada", "a")
        place.mkdir(parents=True)
        Path(folder).chmod(0o755)
        (place / "a.ipynb").touch(0o000)
        with nobody():
            assert loaded(place).problem == LINK
        place.chmod(0o000)
        with nobody():
            told = "Your submission cannot be opened: its folder is not readable. Hand it in again."
            assert loaded(place).problem == told
        place.chmod(0o700)
        place.parent.chmod(0o000)
        with nobody():
            assert find(place.parents[1], "a") == [("ada", place)]
            assert loaded(place).problem == told
        place.parent.chmod(0o700)


def test_submissions_that_may_not_be_listed_are_an_error():
    """The folder itself is the instructor's: what is wrong with it is told to them, with its place."""
    with tempfile.TemporaryDirectory() as folder:
        submitted = Path(folder, "submitted")
        submitted.mkdir()
        for closed in (submitted, Path(folder)):
            Path(folder).chmod(0o755)
            closed.chmod(0o000)
            with nobody(), pytest.raises(UsageError, match="cannot be listed: Permission denied") as caught:
                find(submitted, "a")
            assert caught.value.place.file == str(submitted)
        Path(folder).chmod(0o700)


def test_a_notebook_that_is_too_large_is_not_read(place):
    """More than 64 MiB is told with what to do about it; not a byte is kept."""
    with (place / "a.ipynb").open("wb") as file:
        file.truncate(MAX_SUBMISSION_BYTES + 1)
    told = "Your notebook is larger than 64 MiB. Clear its outputs (Kernel → Restart & Clear Output)."
    assert (loaded(place).data, loaded(place).problem) == (b"", told)


@pytest.mark.parametrize(
    ("text", "received"),
    [
        ("2026-01-01 12:00:00.5 UTC", "2026-01-01T12:00:00.500000+00:00"),
        ("2026-01-01 12:00:00 Europe/Berlin\n", "2026-01-01T11:00:00+00:00"),
        ("2026-01-01 12:00:00 CET", "2026-01-01T11:00:00+00:00"),
        ("2026-01-01T12:00:00+02:00", "2026-01-01T12:00:00+02:00"),
        ("2026-01-01T12:00:00Z", "2026-01-01T12:00:00+00:00"),
        ("2026-01-01 12:00:00", "2026-01-01T12:00:00+00:00"),
    ],
)
def test_nbgraders_timestamp_says_when_it_was_handed_in(place, text, received):
    """The timestamp beside the notebook decides; without a zone it is UTC."""
    (place / "a.ipynb").write_bytes(b"{}")
    (place / "timestamp.txt").write_text(text)
    assert loaded(place).ref.received_at == received


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "yesterday",
        "2026-01-01 12:00:00 PST",
        "2026-13-01 00:00",
        "0001-01-01 UTC",
        "9999-12-31 23:59:59-12:00",
        "0001-01-01 00:00:00+12:00",
    ],
)
def test_without_a_timestamp_the_files_time_counts(place, text):
    """A timestamp that is missing or unreadable leaves the file's own time."""
    (place / "a.ipynb").write_bytes(b"{}")
    os.utime(place / "a.ipynb", (0, 86_400))
    if text is not None:
        (place / "timestamp.txt").write_text(text)
    expected = "0001-01-01T00:00:00+00:00" if text == "0001-01-01 UTC" else "1970-01-02T00:00:00+00:00"
    assert loaded(place).ref.received_at == expected


def test_a_timestamp_that_is_no_file_is_not_waited_for(place):
    """A pipe in the timestamp's place is passed over."""
    (place / "a.ipynb").write_bytes(b"{}")
    os.utime(place / "a.ipynb", (0, 86_400))
    os.mkfifo(place / "timestamp.txt")
    assert loaded(place).ref.received_at == "1970-01-02T00:00:00+00:00"


def test_names_are_shown_without_control_characters(tmp_path):
    """A folder name with escapes or bytes that are no text is shown as text, and different bytes are different ids."""
    folder = tmp_path / "submitted"
    name = os.fsdecode(b"\xff\x1b[31mada")
    place = folder / name / "a"
    place.mkdir(parents=True)
    (place / "a.ipynb").write_bytes(b"{}")
    (folder / os.fsdecode(b"\xfe\x1b[31mada") / "a").mkdir(parents=True)
    (other, _), (student, found) = find(folder, "a")
    ref = load(student, found, "a", tmp_path).ref
    assert (student, ref.student) == ("\\xff\x1b[31mada", student)
    assert other == "\\xfe\x1b[31mada"
    assert find(folder, "a", students=frozenset({student})) == [(student, found)]
    assert "\x1b" not in ref.name + ref.path
    ref.name.encode()
    ref.path.encode()
