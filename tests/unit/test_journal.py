"""The journal: what is appended is read back, whatever kills the writer; damage is named, never skipped."""

from __future__ import annotations

import hashlib
import json
import math
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.errors import InternalError, JournalError
from grader.gradebook.codec import CodecError, dump, load
from grader.gradebook.journal import Journal
from grader.model import (
    CellResult,
    CheckResult,
    CheckSpec,
    ExerciseScore,
    ExerciseSpec,
    Flag,
    Hardware,
    Output,
    Record,
    RecordStatus,
    ScoreStep,
    SubmissionRef,
    Timing,
    Verdict,
)

SOFTMAX = ExerciseSpec(id="softmax", title="Softmax", points=4.0)


def make(
    student="ada", *, assignment="softmax-regression", score=3.0, sha="a" * 64, marked_at="2026-03-03T18:00:00Z", **more
):
    """A record with something in every corner."""
    spec = CheckSpec(id="softmax_values", exercise="softmax", points=4.0, line="Σ exp(x)", depends=("softmax_gate",))
    fields = {
        "submission": SubmissionRef(
            student=student, name="Ada Lovelace", assignment=assignment, path="submitted/ada", sha256=sha
        ),
        "status": RecordStatus.FINAL,
        "score": score,
        "max_score": 4.0,
        "checks": (
            CheckResult(check=spec, verdict=Verdict.PASS, earned=3.0, student_line=3, evidence="\x00 \u2028 é"),
        ),
        "exercises": (ExerciseScore(exercise=SOFTMAX, earned=3.0),),
        "steps": (ScoreStep(text="Softmax: 1 of 1 check passed", points=3.0),),
        "cells": (
            CellResult(
                index=0, cell_type="code", source="x = 1", outputs=(Output(kind="stream", text="1"),), seconds=0.1
            ),
        ),
        "flags": (Flag(id="late", text="Two days late."),),
        "seed": 2**63,
        "assignment_sha256": "b" * 64,
        "limits": {"wall_s": 300.0, "cpu_s": 120.0},
        "timing": Timing(total_s=1.5, guest_peak_bytes=10**12),
        "hardware": Hardware(machine="2 cores", versions={"torch": "2.6", "grader": "0.1"}),
        "marked_at": marked_at,
    }
    return Record(**(fields | more))


def bare(record):
    return replace(record, cells=())


@pytest.fixture
def journal(tmp_path):
    with Journal(tmp_path / "gradebook" / "journal.jsonl") as journal:
        yield journal


def lines(journal):
    return journal.path.read_bytes().splitlines(keepends=True)


# ── what is written is read ──────────────────────────────────────────────────────────────────────────────────────


def test_record_comes_back(journal):
    """A record read back equals the one appended; its cells come when they are asked for."""
    journal.append(make())
    (record,) = Journal(journal.path).records()
    assert record == bare(make())
    assert Journal(journal.path).cells(record) == make().cells


def test_line_is_content_addressed(journal):
    """A line is the record's JSON and its hash, which covers the cells; the same record has the same hash."""
    digest = journal.append(make())
    line = json.loads(lines(journal)[0])
    assert line["sha256"] == digest
    assert line["record"]["submission"]["student"] == "ada"
    body = lines(journal)[0][len(b'{"sha256":"","record":') + 64 : -2]
    assert hashlib.sha256(body).hexdigest() == digest
    artifact = journal.artifacts / line["record"]["cells"][:2] / f"{line['record']['cells']}.json"
    assert hashlib.sha256(artifact.read_bytes()).hexdigest() == line["record"]["cells"]
    assert journal.append(make()) == digest
    other_cells = (replace(make().cells[0], source="x = 2"),)
    assert journal.append(replace(make(), cells=other_cells)) != digest


def test_free_keys_have_one_order(journal):
    """The order in which limits and versions were put together does not change the hash."""
    turned = replace(make(), limits=dict(reversed(make().limits.items())))
    assert journal.append(turned) == journal.append(make())


def test_missing_journal_is_empty(tmp_path):
    """Reading where nothing was ever written finds nothing and makes no file."""
    journal = Journal(tmp_path / "none" / "journal.jsonl")
    assert (list(journal.records()), journal.latest(), journal.history("a", "s")) == ([], {}, ())
    assert not journal.path.parent.exists()


def test_latest_and_history(journal):
    """The newest record of a student counts; the older ones stay in the history."""
    first, second, other = make(score=1.0), make(score=2.0, marked_at="later"), make("bob")
    for record in (first, other, second):
        journal.append(record)
    assert journal.latest() == {
        ("softmax-regression", "ada"): bare(second),
        ("softmax-regression", "bob"): bare(other),
    }
    assert journal.history("softmax-regression", "ada") == (bare(first), bare(second))
    assert [record.submission.student for record in journal.records()] == ["ada", "bob", "ada"]


def test_reader_sees_what_is_appended_later(journal):
    """A reader that has read before finds the records that another process has appended since."""
    reader = Journal(journal.path)
    journal.append(make())
    assert len(list(reader.records())) == 1
    journal.append(make("bob"))
    assert len(list(reader.records())) == 2


def test_cells_of_the_right_marking(journal):
    """Two markings of the same bytes in the same second keep their own cells."""
    one = replace(make(), seed=1, cells=(CellResult(index=0, cell_type="code", source="one"),))
    two = replace(make(), seed=2, cells=(CellResult(index=0, cell_type="code", source="two"),))
    journal.append(one)
    journal.append(two)
    assert [journal.cells(record)[0].source for record in journal.records()] == ["one", "two"]


def test_record_without_cells(journal):
    """A submission that never ran has no cells and needs no artifact."""
    journal.append(bare(make()))
    assert journal.cells(next(journal.records())) == ()
    assert not journal.artifacts.exists()


def test_cells_of_an_unknown_record(journal):
    """Cells of a record that is not in this journal are an error, not an empty notebook."""
    with pytest.raises(JournalError, match="there is no such record of 'ada'"):
        journal.cells(bare(make()))


text = st.text(st.characters(), max_size=20)


@given(text, text, st.none() | st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 2**64))
def test_any_text_and_number_survives(name, evidence, score, seed):
    """Any text without lone surrogates and any finite number comes back as it was."""
    record = bare(make(student=name, score=score, seed=seed, message=evidence, limits={evidence: 1.5}))
    clean = load(dump(record))
    whole = all(not 0xD800 <= ord(sign) <= 0xDFFF for sign in name + evidence)
    assert clean == record if whole else clean.score == score


def test_lone_surrogates_are_replaced(journal):
    """Half a character in a name or an output is written as U+FFFD, and the student is still found by the old id."""
    journal.append(make(student="ad\udc80a", message="\ud83d"))
    (record,) = journal.records()
    assert (record.submission.student, record.message) == ("ad\ufffda", "\ufffd")
    assert journal.history("softmax-regression", "ad\udc80a") == (record,)
    assert journal.latest_of("softmax-regression") == {"ad\ufffda": record}


@pytest.mark.parametrize(
    "wrong",
    [
        {"score": math.nan},
        {"score": math.inf},
        {"max_score": math.nan},
        {"limits": {"cpu_s": math.nan}},
        {"timing": Timing(total_s=math.inf)},
        {"seed": "one"},
        {"message": object()},
    ],
)
def test_what_cannot_be_read_back_is_not_written(journal, wrong):
    """NaN, infinity and values of the wrong type are our own mistake; the journal stays as it was."""
    with pytest.raises(InternalError, match="a record cannot be written to the journal"):
        journal.append(make(**wrong))
    assert not journal.path.exists() or journal.path.read_bytes() == b""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"seed":', b'"extra":1,"seed":'),
        (b'"max_score":4.0', b'"max_score":"4.0"'),
        (b'"max_score":4.0', b'"max_score":NaN'),
        (b'"max_score":4.0', b'"max_score":1e999'),
        (b'"status":"final"', b'"status":"maybe"'),
        (b'"points":4.0', b'"points":4.0,"bonus":1'),
        (b'"max_score":4.0,', b""),
    ],
)
def test_reading_is_strict(old, new):
    """Unknown keys, missing ones, other types, NaN and infinities are not read."""
    body = dump(make())
    assert old in body
    with pytest.raises(CodecError):
        load(body.replace(old, new, 1))


# ── damage ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("keep", [1, 40, 200, -2])
def test_torn_last_line_is_set_aside(journal, keep):
    """The half line of a killed grader is moved to .torn, said, and the rest goes on."""
    journal.append(make())
    journal.append(make("bob"))
    journal.close()
    whole = lines(journal)
    journal.path.write_bytes(whole[0] + whole[1][:keep])

    reader = Journal(journal.path)
    assert [record.submission.student for record in reader.records()] == ["ada"]
    assert "journal.jsonl:2 is not complete" in reader.notices[0]
    assert not reader.torn.exists()

    with Journal(journal.path) as writer:
        writer.append(make("carol"))
        assert [record.submission.student for record in writer.records()] == ["ada", "carol"]
        assert writer.torn.read_bytes() == whole[1][:keep] + b"\n"
        assert "journal.jsonl:2 was not complete" in writer.notices[0]
        assert "and that submission is marked again" in writer.notices[0]


def test_line_that_lacks_only_its_end_is_kept(journal):
    """When only the newline is missing the record is whole, and stays."""
    journal.append(make())
    journal.close()
    journal.path.write_bytes(journal.path.read_bytes()[:-1])
    with Journal(journal.path) as writer:
        writer.append(make("bob"))
        assert [record.submission.student for record in writer.records()] == ["ada", "bob"]
        assert not writer.torn.exists()
        assert writer.notices == ()


def test_zeros_after_a_power_cut_are_set_aside(journal):
    """A block of zeros that a power cut left at the end is a torn line."""
    journal.append(make())
    journal.close()
    with journal.path.open("ab") as file:
        file.write(bytes(4096))
    with Journal(journal.path) as writer:
        writer.lock()
        assert len(list(writer.records())) == 1
        assert writer.torn.stat().st_size == 4097


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (b"Lovelace", b"Lovelocx", "its content does not match its hash"),
        (b'{"sha256"', b'{ "sha256"', "it does not have the form of a record"),
    ],
)
def test_damaged_line_is_named(journal, old, new, why):
    """A damaged line in the middle stops reading, with its number and what to do."""
    for student in ("ada", "bob", "carol"):
        journal.append(make(student))
    journal.close()
    whole = lines(journal)
    journal.path.write_bytes(whole[0] + whole[1].replace(old, new, 1) + whole[2])
    for use in (
        lambda: list(Journal(journal.path).records()),
        Journal(journal.path).lock,
        Journal(journal.path).latest,
    ):
        with pytest.raises(JournalError) as caught:
            use()
        assert str(caught.value) == (
            f"{journal.path}:2: this line is damaged: {why}\n"
            "  → put the journal back from a backup, or cut this one line out into a file of its own: what it recorded "
            "is then marked again"
        )


def test_record_of_a_newer_grader_is_named(journal):
    """A record with a field that this version does not know is an error, not a guess."""
    body = dump(make())[:-1] + b',"mood":"good","cells":null}'
    digest = hashlib.sha256(body).hexdigest().encode()
    journal.path.parent.mkdir()
    journal.path.write_bytes(b'{"sha256":"' + digest + b'","record":' + body + b"}\n")
    with pytest.raises(JournalError, match=r"jsonl:1: this version of the grader does not know such a record \(mood"):
        journal.latest()


@pytest.mark.parametrize("damage", ["gone", "changed"])
def test_damaged_cells_are_named(journal, damage):
    """Lost cells are an error that says that the marks stand; the marks still list."""
    journal.append(make())
    (path,) = journal.artifacts.glob("*/*.json")
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes().replace(b"x = 1", b"x = 2"))
    (record,) = journal.records()
    with pytest.raises(JournalError, match="its marks are not affected"):
        journal.cells(record)


def whole(body):
    """A line whose hash is right, whatever it holds."""
    return b'{"sha256":"%s","record":%s}\n' % (hashlib.sha256(body).hexdigest().encode(), body)


JUNK = st.one_of(
    st.binary(max_size=200),
    st.binary(max_size=60).map(whole),
    st.sampled_from([b"{}", b"[]", b'{"cells":null}', b'{"submission":{},"cells":null}', b"[" * 500]).map(whole),
)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 3), st.lists(JUNK, max_size=3), st.integers(0, 4_000), st.data())
def test_any_bytes_in_a_journal(tmp_path_factory, count, junk, cut, data):
    """Torn, changed or random bytes: the records before them are read and kept, or an error names the line."""
    path = tmp_path_factory.mktemp("junk") / "journal.jsonl"
    with Journal(path) as writer:
        for number in range(count):
            writer.append(make(f"s{number}"))
    kept = path.read_bytes() if count else b""
    raw = bytearray(kept + b"".join(junk))
    if raw and data.draw(st.booleans()):
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(raw[: len(raw) - cut] if cut < len(raw) and data.draw(st.booleans()) else raw)
    try:
        before = list(Journal(path).records())
        with Journal(path) as writer:
            writer.append(make("last"))
        after = list(Journal(path).records())
    except JournalError as error:
        assert error.place is not None
        assert error.place.file.endswith("journal.jsonl")
        assert error.place.line is not None
    else:
        assert (after[: len(before)], after[-1]) == (before, bare(make("last")))
        assert len(after) - len(before) <= 2  # the writer also mends a line that lacks nothing but its end


def test_full_disk_takes_nothing_along(journal, monkeypatch):
    """When the disk fills in the middle of a line, what went through is taken back and the error says what to do."""
    journal.append(make())
    before = journal.path.read_bytes()
    write = os.write
    room = [100]

    def short_write(fd, data):
        if room[0] == 0:
            raise OSError(28, "No space left on device")
        written = write(fd, data[: room[0]])
        room[0] -= written
        return written

    monkeypatch.setattr(os, "write", short_write)
    with pytest.raises(JournalError, match=r"No space left on device(.|\n)*free space"):
        journal.append(bare(make("bob")))
    monkeypatch.undo()
    assert journal.path.read_bytes() == before
    journal.append(make("bob"))
    assert len(list(journal.records())) == 2


def test_full_disk_leaves_no_draft_of_cells(journal, monkeypatch):
    """Cells that did not fit are taken away again, and what a killed grader left of some goes with the next writer."""
    journal.append(make())
    write = os.write

    def full(fd, data):
        if b"cell_type" in bytes(data[:200]):
            raise OSError(28, "No space left on device")
        return write(fd, data)

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(JournalError, match="No space left on device"):
        journal.append(make("bob", cells=(CellResult(index=9, cell_type="code", source="x"),)))
    monkeypatch.undo()
    assert not list(journal.artifacts.rglob("*.part"))
    journal.close()
    left = next(journal.artifacts.glob("??")) / f"{'0' * 64}.part"
    left.write_bytes(b"[{")
    with Journal(journal.path) as later:
        later.lock()
        assert not left.exists()


def test_unwritable_place_is_said(tmp_path):
    """A journal where none can be made ends in an error with a remedy."""
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match=r"cannot be used: (Not a directory|File exists)"):
        Journal(tmp_path / "file" / "journal.jsonl").lock()


def test_marks_are_not_world_readable(journal):
    """Nobody else on the machine may read marks."""
    journal.append(make())
    for path in (journal.path, *journal.artifacts.glob("*/*.json")):
        assert path.stat().st_mode & 0o007 == 0


# ── one writer ───────────────────────────────────────────────────────────────────────────────────────────────────

CHILD = """
    import sys, time
    sys.path.insert(0, {tests!r})
    from test_journal import Journal, make
    journal = Journal({path!r})
    {body}
"""


def child(journal, body):
    """Another process that has the tests' records at hand."""
    tests = str(pathlib.Path(__file__).parent)
    code = textwrap.dedent(CHILD).format(tests=tests, path=str(journal.path), body=body)
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def test_second_writer_in_this_process_is_refused(journal):
    """Two writers in one process are one too many; reading goes on, and closing lets the next one in."""
    journal.append(make())
    with Journal(journal.path) as second:
        with pytest.raises(JournalError, match="is being written to by this same process"):
            second.append(make("bob"))
        assert len(list(second.records())) == 1
        journal.append(make("carol"))
        journal.close()
        second.append(make("bob"))


def test_second_process_is_refused_until_the_first_is_killed(journal):
    """A writer that lives keeps others out, who are told its number; one that was killed with -9 does not."""
    process = child(journal, 'journal.append(make("child")); print("ready", flush=True); time.sleep(600)')
    try:
        assert process.stdout.readline() == "ready\n"
        with pytest.raises(JournalError, match=f"being written to by process {process.pid} on "):
            journal.append(make())
        assert [record.submission.student for record in journal.records()] == ["child"]
    finally:
        process.kill()
        process.communicate()
    journal.append(make())
    assert [record.submission.student for record in journal.records()] == ["child", "ada"]


def test_forked_child_does_not_write_nor_unlock(journal):
    """A process forked from the writer is refused, and its end leaves the writer's lock in place."""
    journal.append(make())
    pid = os.fork()
    if pid == 0:
        try:
            journal.append(make("child"))
        except JournalError:
            journal.close()
            os._exit(0)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    process = child(journal, 'journal.append(make("other"))')
    with process:
        assert process.wait() == 1
    assert [record.submission.student for record in journal.records()] == ["ada"]
    journal.append(make("bob"))


def test_killed_writer_loses_at_most_the_record_in_flight(journal):
    """Whenever -9 comes, every record whose append had returned is there, whole."""
    process = child(
        journal,
        'n = 0\nwhile True:\n    journal.append(make(f"s{n}", message="x" * 50000)); print(n, flush=True); n += 1',
    )
    seen = [process.stdout.readline() for _ in range(20)]
    process.send_signal(signal.SIGKILL)
    rest, _ = process.communicate()
    done = len(seen) + rest.count("\n")
    with Journal(journal.path) as writer:
        writer.lock()
        students = [record.submission.student for record in writer.records()]
    assert students[:done] == [f"s{number}" for number in range(done)]
    assert len(students) <= done + 1
