"""What is killed, when, and what is lost: at most the submission in flight, and never a mark.

One class lives through all of it, in the order of this file: a run that is interrupted, one whose main process is
killed, one whose marker is killed, and a last one that loses its zygote and one of its forks and ends all the same.
Each notebook takes half a second of sleep, so that there is always somebody in the middle of being marked.
"""

import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest
from tiny_class import command, grader, hand_in, journal_lines, lay_out, notebook

from grader.config import load_course
from grader.errors import RunInterrupted
from grader.jobs import mark
from grader.sandbox.zygotes import FOLDER

STUDENTS = [f"student{number:02}" for number in range(16)]
PATIENCE_S = 120


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """Sixteen slow notebooks; every third of them wrong."""
    course = lay_out(tmp_path_factory.mktemp("faults"))
    wrong = "def scale(x, factor):\n    return x + factor"
    for number, student in enumerate(STUDENTS):
        slow = f"import time\ntime.sleep(0.5)  # {student}"
        answers = {"scale": wrong} if number % 3 == 0 else {}
        hand_in(course, student, notebook(first=slow, **answers))
    return course


def marked(course):
    """Students in the journal, in order."""
    return [record["submission"]["student"] for record in journal_lines(course)]


@contextlib.contextmanager
def running(course, *args):
    """``grader grade`` in the background, and everything it started ended afterwards."""
    process = subprocess.Popen(
        command("grade", "--workers", "2", *args),
        cwd=course,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONWARNINGS": ""},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - under nohup it is ignored
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def until(what, *, process=None):
    """Wait until something is so."""
    deadline = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < deadline, "it never came to be"
        assert process is None or process.poll() is None, process.stderr.read()
        time.sleep(0.01)


def one_more(course, process):
    """Wait until the run has marked somebody."""
    before = len(marked(course))
    until(lambda: len(marked(course)) > before, process=process)


def children(pid):
    """Direct children of a process: (pid, command line)."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError, IndexError):
            stat = (entry / "stat").read_text()
            if int(stat.rpartition(")")[2].split()[1]) == pid:
                found.append((int(entry.name), (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()))
    return found


def family(pid):
    """A process's descendants: (pid, command line)."""
    found = children(pid)
    return [*found, *(each for child, _ in found for each in family(child))]


def is_gone(pid):
    """Whether a process has ended (a zombie is nobody)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def kill_one(parent, name):
    """Kill a child with ``name`` in its command line; whether there was one."""
    for pid, line in children(parent):
        if name in line:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                return True
    return False


def marker_of(process):
    (marker,) = [pid for pid, line in children(process.pid) if "grader.marker" in line]
    return marker


def remains_of(marker):
    """Folders in the temporary folder and control groups that bear a marker's pid."""
    folders = Path(tempfile.gettempdir()).glob(f"{FOLDER}{marker}-*")
    return [
        *folders,
        *Path("/sys/fs/cgroup").glob(f"grader-{marker}-*"),
        *Path("/sys/fs/cgroup").glob(f"*/grader-{marker}-*"),
    ]


def sound(course):
    """The journal can be read by a program of its own, and nobody stands in it twice."""
    names = marked(course)
    assert len(names) == len(set(names))
    assert not (course / "journal" / "records.jsonl.torn").exists()
    return names


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_can_be_stopped_while_it_makes_ready(course, number):
    """Before anybody is marked, too: exit code 7, no process left, and no gradebook of nobody."""
    with running(course) as process:
        assert re.search(r" 0 unchanged; .+; making ready …\n$", process.stderr.readline())
        until(lambda: children(process.pid), process=process)
        started = [pid for pid, _ in family(process.pid)]
        process.send_signal(number)
        _, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 7
        assert err.startswith(f"grader: stopped; 0 of {len(STUDENTS)} submissions are marked and kept\n")
        until(lambda: all(map(is_gone, started)))
    assert not (course / "gradebook.db").exists()


def test_a_run_can_be_stopped_the_moment_its_marker_starts(course, monkeypatch):
    """A Ctrl-C that comes before the marker has heard a word ends the run like any other, and the marker with it."""
    started = []

    def is_seen():
        """A new program is there a moment before its command line is."""
        started.extend(pid for pid, line in children(os.getpid()) if "grader.marker" in line)
        return started

    class Stopped(threading.Thread):
        def start(self):
            super().start()
            until(is_seen)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(threading, "Thread", Stopped)
    opened = load_course(course)
    handled = signal.signal(signal.SIGINT, signal.default_int_handler)  # under nohup it is ignored
    try:
        with pytest.raises(RunInterrupted, match=f"stopped; 0 of {len(STUDENTS)} submissions are marked and kept"):
            mark(opened, opened.assignment("tiny"))
    finally:
        signal.signal(signal.SIGINT, handled)
    assert len(started) == 1
    until(lambda: all(map(is_gone, started)))


def test_interrupting_keeps_what_was_marked(course):
    """Ctrl-C ends with exit code 7 and a sentence; marks are in journal and gradebook, and no process is left."""
    with running(course) as process:
        one_more(course, process)
        started = [pid for pid, _ in family(process.pid)]
        assert len(started) >= 3, "marker, sandbox and guests"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 7
        names = sound(course)
        assert 0 < len(names) < len(STUDENTS)
        assert out == ""
        assert err.splitlines()[-2:] == [
            f"grader: stopped; {len(names)} of {len(STUDENTS)} submissions are marked and kept",
            "  → run the same command again: it goes on from there",
        ]
        until(lambda: all(map(is_gone, started)))
    with sqlite3.connect(course / "gradebook.db") as book:
        (count,) = book.execute("select count(*) from submitted_assignment").fetchone()
    assert count == len(names)


def test_a_forced_run_that_is_stopped_does_not_promise_to_go_on(tmp_path):
    """With ``--force`` the same command marks everybody anew, and says so."""
    course = lay_out(tmp_path)
    for student in ("ada", "ben", "cleo", "dora"):
        hand_in(course, student, notebook(first=f"import time\ntime.sleep(2)  # {student}"))
    with running(course, "--force") as process:
        one_more(course, process)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 7
        assert err.splitlines()[-1] == "  → run the same command again: with --force it begins anew"


def test_a_second_run_at_the_same_time_is_refused(course):
    """Two runs never write one journal: the second ends at once with who has it; killing the first harms nothing."""
    before = sound(course)
    with running(course) as process:
        one_more(course, process)
        process.send_signal(signal.SIGSTOP)  # so that it is not done, and the class marked, before the second begins
        second = grader(course, "grade", "--json")
        assert second.returncode == 6
        error = json.loads(second.stdout)
        assert error["error"] == "JournalError"
        assert error["what"].startswith(f"the journal is being written to by process {process.pid} on ")
        assert error["remedy"] == "wait until that run has ended, or stop it; a run that died is never in the way"
        started = [pid for pid, _ in family(process.pid)]
        process.kill()
        process.wait()
        until(lambda: all(map(is_gone, started)))
    assert sound(course)[: len(before)] == before


def test_a_marker_that_is_killed_is_said(course):
    """The marker's death ends the run with what to do about it; forks and guests die with it; nothing is left."""
    before = sound(course)
    with running(course) as process:
        one_more(course, process)
        started = [pid for pid, _ in family(process.pid)]
        marker = marker_of(process)
        assert remains_of(marker)
        os.kill(marker, signal.SIGKILL)
        _, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 8
        assert "grader: the marker process ended; " in err
        assert err.splitlines()[-1] == "  → run the same command again: it goes on from there"
        until(lambda: all(map(is_gone, started)))
        assert remains_of(marker) == []
    assert sound(course)[: len(before)] == before


def test_a_run_survives_the_loss_of_its_sandbox_and_of_a_fork(course):
    """With the zygote killed, and then a marking process, the same run still marks everybody, once, and fairly."""
    before = sound(course)
    assert len(before) < len(STUDENTS) - 4, "enough is left to do"
    with running(course, "--json") as process:
        one_more(course, process)
        marker = marker_of(process)
        (sandbox,) = [pid for pid, line in children(marker) if "bwrap" in line]
        inside = [pid for pid, _ in family(sandbox)]
        os.kill(inside[0], signal.SIGKILL)
        until(lambda: all(map(is_gone, inside)))
        until(lambda: kill_one(marker, "grader.marker"), process=process)
        out, err = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, err) == (0, "")
    names = sound(course)
    assert sorted(names) == STUDENTS
    assert names[: len(before)] == before
    result = json.loads(out)
    assert result["held"] == 0
    scores = {each["student"]: each["score"] for each in result["students"]}
    assert scores == {student: 5.0 if number % 3 == 0 else 9.0 for number, student in enumerate(STUDENTS)}
    assert {each["marked"] for each in (json.loads(grader(course, "grade", "--json").stdout),)} == {0}
    with sqlite3.connect(course / "gradebook.db") as book:
        (count,) = book.execute("select count(*) from submitted_assignment").fetchone()
        assert book.execute("pragma integrity_check").fetchone() == ("ok",)
    assert count == len(STUDENTS)


def test_nothing_is_left_behind(course):
    """After all that, no folder of a sandbox and no unfinished file lies around the course."""
    assert not list(course.rglob("*.part"))
    assert not list(course.glob("gradebook.db-journal"))
