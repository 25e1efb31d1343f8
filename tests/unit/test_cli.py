"""The command line: what it imports, where it prints, how it ends."""

import io
import json
import signal
import subprocess
import sys

import click
import pytest
from rich.console import Console

from grader import cli
from grader.cli.grade import sentence
from grader.cli.options import plain
from grader.cli.progress import watching
from grader.cli.table import class_table
from grader.errors import CourseError, Place
from grader.jobs import Event, Outcome
from grader.model import (
    CheckResult,
    CheckSpec,
    ExerciseScore,
    ExerciseSpec,
    Flag,
    Record,
    RecordStatus,
    SubmissionRef,
    Verdict,
)

HEAVY = ("torch", "numpy", "nbformat", "nbgrader", "pydantic", "rich", "pytest", "IPython", "jupytext", "matplotlib",
         "sklearn", "docker", "jinja2")  # fmt: skip


def record(student, scores=(("scale", 4, 4), ("total", 0, 3)), *, held=False, flags=(), pending=0.0):
    """A record with points by exercise: (id, earned, most)."""
    exercises = tuple(
        ExerciseScore(exercise=ExerciseSpec(id=name, title=name, points=most), earned=earned, pending=pending)
        for name, earned, most in scores
    )
    total = sum(earned for _, earned, _ in scores)
    return Record(
        submission=SubmissionRef(student=student, name=student, assignment="a", path="p", sha256="0"),
        status=RecordStatus.HELD if held else RecordStatus.FINAL,
        score=None if held else total,
        max_score=sum(most for *_, most in scores),
        checks=(
            CheckResult(
                check=CheckSpec(id="c", exercise="scale", points=1, line="It holds."), verdict=Verdict.PASS, earned=1
            ),
        ),
        exercises=exercises,
        steps=(),
        flags=tuple(Flag(id=flag, text=flag) for flag in flags),
    )


# -- help ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("args", [["--help"], ["-h"], ["--version"], ["nonsense"]])
def test_help_imports_nothing_heavy(args):
    """Help answers at once because it imports click and hardly anything else."""
    code = (
        "import sys\n"
        "from grader.cli import run\n"
        f"code = run({args!r})\n"
        f"loaded = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "print(loaded, code, file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == f"[] {2 if args == ['nonsense'] else 0}"


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_explains_itself(name, capsys):
    """Each command has help, and the list of commands says what it is for."""
    assert cli.run([name, "--help"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"Usage: grader {name} ")
    assert err == ""
    assert cli.run(["--help"]) == 0
    listed = capsys.readouterr().out
    assert name in listed
    assert cli.COMMANDS[name][1].split()[0] in listed


def test_a_mistyped_command_is_guessed(capsys):
    """A command that does not exist is answered with what was meant."""
    assert cli.run(["garde"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1] == "Error: There is no command 'garde'. Did you mean grade?"


# -- how it ends -----------------------------------------------------------------------------------------------------


@pytest.fixture
def failing(monkeypatch):
    """A command ``grade`` that raises what it is given."""

    def use(error):
        @click.command()
        @click.option("--json", "as_json", is_flag=True)
        def command(as_json):
            raise error

        monkeypatch.setattr("grader.cli.grade.grade", command)

    return use


def test_an_error_is_a_sentence_with_its_place_and_remedy(failing, capsys):
    """What a person can mend is told on stderr, and with --json on stdout as JSON too."""
    failing(CourseError("it is wrong", place=Place(file="course.yaml", line=3, key="id"), remedy="mend it"))
    assert cli.run(["grade"]) == 3
    assert capsys.readouterr() == ("", "grader: course.yaml:3 id: it is wrong\n  → mend it\n")
    assert cli.run(["grade", "--json"]) == 3
    out, err = capsys.readouterr()
    assert json.loads(out) == {
        "error": "CourseError", "what": "it is wrong", "place": "course.yaml:3 id", "remedy": "mend it",
    }  # fmt: skip
    assert err == "grader: course.yaml:3 id: it is wrong\n  → mend it\n"


def test_a_fault_of_ours_is_not_taken_for_a_students(failing, capsys):
    """An unexpected error ends with 8, never with 1, and asks to be reported."""
    failing(ZeroDivisionError("oh"))
    assert cli.run(["grade", "--json"]) == 8
    out, err = capsys.readouterr()
    assert json.loads(out)["what"] == "ZeroDivisionError: oh"
    assert err.splitlines()[-1] == "grader: this is a fault of the grader itself; please report the lines above"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_ctrl_c_anywhere_is_no_traceback(failing, capsys, error):
    """Stopped before there was anything to keep."""
    failing(error)
    assert cli.run(["grade"]) == 7
    out, err = capsys.readouterr()
    assert (out, err.strip()) == ("", "Stopped.")


def test_a_wrong_option_is_told_in_json_too(capsys):
    """A usage error with --json leaves JSON on stdout."""
    assert cli.run(["grade", "--nope", "--json"]) == 2
    out, err = capsys.readouterr()
    assert json.loads(out)["error"] == "UsageError"
    assert "No such option" in json.loads(out)["what"]
    assert "Usage: grader grade" in err


def test_a_missing_course_is_told(tmp_path, monkeypatch, capsys):
    """Outside of a course every command that needs one says what it looked for."""
    monkeypatch.chdir(tmp_path)
    for command in ("grade", "feedback", "report", "release"):
        assert cli.run([command]) == 3
        assert "course.yaml" in capsys.readouterr().err


def test_a_stopped_run_puts_the_signal_back():
    """SIGTERM means Ctrl-C while a class is being marked, and what it meant before afterwards."""
    from grader.cli.grade import stoppable

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), stoppable():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


# -- what it shows ---------------------------------------------------------------------------------------------------


def shown(records, width):
    console = Console(width=width, file=io.StringIO(), highlight=False)
    console.print(class_table(records, width))
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


CLASS = [
    record("ada"),
    record("ben", flags=("late", "restarted", "late")),
    record("cleo", held=True),
    record("a-student-with-a-very-long-name", pending=1.0),
]


def test_the_table_has_a_row_for_everybody():
    """Student, points in all, points by exercise, flags; held is said, and what a person has yet to give."""
    assert shown(CLASS, 80) == [
        "                    points  scale  total",
        "student                 /7     /4     /3  flags",
        "ada                      4      4      0",
        "ben                      4      4      0  late, restarted",
        "cleo                  held      4      0",
        "a-student-with-a-…       4    4+?      ?",
    ]


def test_a_narrow_terminal_gets_numbers_and_then_the_sum_only():
    """Names of exercises that do not fit become numbers that are told below; then only the points in all are left."""
    many = [record("ada", [(f"exercise_{n}", n, 10) for n in range(8)], flags=("late",))]
    assert shown(many, 140)[0].split() == ["points", *(f"exercise_{n}" for n in range(8))]
    middle = shown(many, 80)
    assert middle[0].split() == ["points", "1", "2", "3", "4", "5", "6", "7", "8"]
    assert middle[2].split() == ["ada", "28", *map(str, range(8)), "late"]
    assert " ".join(middle[3:]).startswith("1 exercise_0, 2 exercise_1")
    assert shown(many, 40) == ["         points", "student     /80  flags", "ada          28  late"]
    assert shown(many, 24) == ["         points", "student     /80", "ada          28"]


def test_an_empty_table_is_a_table():
    """Nobody at all is shown as such."""
    assert shown([], 40) == ["student  points"]


def test_untrusted_text_cannot_write_to_the_terminal():
    """Escapes, direction marks and markup in a student's id are shown, not obeyed."""
    assert plain("\x1b[31mred\u202e[bold]x[/]") == r"�[31mred�\[bold]x\[/]"
    lines = shown([record("\x1b[2J[bold]x")], 60)
    assert lines[2].startswith("�[2J[bold]x")


def outcome(marked, unchanged=()):
    return Outcome(assignment="a", seed=5, marked=tuple(marked), unchanged=tuple(unchanged), seconds=1.25)


def test_a_run_is_told_in_a_sentence():
    """How many were marked, how long it took, who is held, and the seed of what was marked."""
    assert sentence(outcome([record("ada")])) == "1 marked in 1.2 s. Run seed 5."
    assert sentence(outcome([], [record("ada")])) == "0 marked in 1.2 s, 1 unchanged."
    assert sentence(outcome([record("ada", held=True)], [record("b")])) == (
        "1 marked in 1.2 s, 1 unchanged, 1 held for you to look at. Run seed 5."
    )


EVENTS = [
    Event(kind="start", total=2, unchanged=3),
    Event(kind="ready", total=2),
    Event(kind="begin", student="\x1b[31mada", total=2),
    Event(kind="begin", student="ben", total=2),
    Event(kind="record", student="ben", record=record("ben"), done=1, total=2),
    Event(
        kind="record", student="\x1b[31mada", record=record("\x1b[31mada", held=True, flags=("held",)), done=2, total=2
    ),
    Event(kind="end", done=2, total=2),
]


def progress(*, terminal, quiet=False):
    console = Console(file=io.StringIO(), force_terminal=terminal, width=70, legacy_windows=False)
    with watching(console, "An assignment", quiet=quiet) as listener:
        for event in EVENTS:
            listener(event)
    return console.file.getvalue()


def test_progress_without_a_terminal_is_lines():
    """In a log: how many are to be marked, and how far it is; no escapes."""
    lines = progress(terminal=False).splitlines()
    assert lines[0] == "An assignment: 2 to mark, 3 unchanged; making ready …"
    assert lines[-1].startswith("2/2 marked")
    assert "\x1b" not in "".join(lines)


def test_progress_on_a_terminal_is_live_and_safe():
    """On a terminal: done of total and who is being marked, without the student's own escapes."""
    said = progress(terminal=True)
    assert "2/2" in said
    assert "\x1b[31mada" not in said


def test_progress_says_what_is_held_and_why():
    """A held submission is named with its reason, on a terminal and in a log; what limits the run is said first."""
    assert "Held: �[31mada: held" in progress(terminal=False)
    console = Console(file=io.StringIO(), force_terminal=False, width=100)
    with watching(console, "An assignment", quiet=False) as listener:
        listener(Event(kind="start", total=2, at_a_time=3, why="memory, 2148 MiB each"))
    assert "2 to mark, 0 unchanged; 3 at a time (memory, 2148 MiB each); making ready" in console.file.getvalue()


def test_the_rate_is_that_of_the_last_submissions(monkeypatch):
    """The time left follows from how fast it goes now, not an hour ago; who takes long is named."""
    from grader.cli import progress as module

    clock = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    pace = module._Pace("x")
    pace.note(Event(kind="start", total=200))
    pace.note(Event(kind="ready", total=200))
    assert pace.rate() == ""
    pace.note(Event(kind="begin", student="zoe", total=200))
    for number in range(100):  # a minute each, then two seconds each
        clock[0] += 60 if number < 40 else 2
        pace.note(Event(kind="record", student="b", record=record("b"), done=number + 1, total=200))
    assert pace.rate() == "30/min, 3 min left"
    assert pace.now() == "marking zoe (42 min)"
    clock[0] += 100
    assert pace.rate() == "15/min, 7 min left"


@pytest.fixture
def told(monkeypatch):
    """How a class of four, half of it marked beside one another and all of it timed, looks at some seconds."""
    from grader.cli import progress as module

    clock = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    pace = module._Pace("x")

    def tell(at, kind, student=None, *, done=0, why=""):
        clock[0] = at
        made = record(student) if kind == "record" else None
        pace.note(Event(kind=kind, student=student, why=why, record=made, done=done, total=4))
        return pace.now(), pace.rate(), pace.steps()

    tell(0, "start")
    tell(10, "ready")
    return tell


def test_who_waits_for_the_lane_is_counted_and_not_called_marked(told):
    """Untimed checks first, then one at a time: who is at what; no time left is named before one was timed."""
    told(10, "begin", "ada")
    assert told(10, "begin", "ben") == ("marking ada, ben", "", 0)
    assert told(14, "waiting", "ada", why="lane") == ("1 waits to be timed; marking ben (4 s)", "", 0.5)
    told(14, "begin", "cy")
    told(18, "waiting", "ben", why="lane")
    told(18, "begin", "dan")
    told(20, "waiting", "cy", why="lane")
    assert told(22, "waiting", "dan", why="lane") == ("4 wait to be timed", "", 2)
    assert told(24, "timed", "ada") == ("3 wait to be timed; timing ada", "", 2)
    # three seconds each through the untimed checks; two seconds until the lane was had, and five in it
    assert told(29, "record", "ada", done=1) == ("3 wait to be timed", "6.0/min, 21 s left", 2.5)
    told(29, "timed", "ben")
    assert told(33, "waiting", "ben", done=1, why="again")[0] == "2 wait to be timed; 1 to be timed again"
    told(33, "timed", "cy", done=1)
    told(34, "record", "cy", done=2)
    told(34, "timed", "dan", done=2)
    assert told(34, "record", "dan", done=3) == ("1 to be timed again", "10/min, 3 s left", 3.5)
    assert told(36, "timed", "ben", done=3)[0] == "timing ben"
    assert told(37, "record", "ben", done=4)[0::2] == ("", 4)


def test_the_time_left_is_that_of_both_ways(told):
    """Those who have yet to begin are thought to be timed as often as those before them, as slowly as those."""
    told(10, "begin", "ada")
    told(12, "waiting", "ada", why="lane")
    told(12, "timed", "ada")
    assert told(22, "record", "ada", done=1)[1] == "5.0/min, 36 s left"  # three, two and ten seconds each
    told(22, "begin", "ben")
    assert told(24, "record", "ben", done=2)[1] == "8.6/min, 14 s left"  # every other one is timed


def test_who_is_begun_anew_while_waiting_is_marked_again(told):
    """A submission whose guest was lost is no longer said to wait."""
    told(10, "begin", "ada")
    told(11, "waiting", "ada", why="lane")
    assert told(12, "begin", "ada")[::2] == ("marking ada", 0)
    told(13, "waiting", "ada", why="lane")
    told(14, "timed", "ada")
    assert told(15, "begin", "ada")[0] == "marking ada"


def test_who_waits_is_told_in_lines_and_in_events(capsys, monkeypatch):
    """A log counts those that wait for the lane; a program is told of each, with the reason."""
    from grader.cli import progress as module

    monkeypatch.setattr(module, "PLAIN_EVERY_S", 0.0)
    events = [
        Event(kind="ready", total=1),
        Event(kind="begin", student="ada", total=1),
        Event(kind="waiting", student="ada", why="lane", total=1),
        Event(kind="timed", student="ada", total=1),
        Event(kind="record", student="ada", record=record("ada"), done=1, total=1),
    ]
    console = Console(file=io.StringIO(), width=70)
    for each in (False, True):
        with watching(console, "x", quiet=each, events=each) as listener:
            for event in events:
                listener(event)
    assert console.file.getvalue().splitlines()[0] == "0/1 marked; 1 waits to be timed"
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event"] for line in lines] == ["ready", "begin", "waiting", "timed", "record"]
    assert [(line["student"], line.get("why")) for line in lines[2:4]] == [("ada", "lane"), ("ada", None)]


def test_events_are_json_lines(capsys):
    """For other programs: one JSON object a line, with what is known at that time."""
    with watching(Console(file=io.StringIO()), "An assignment", quiet=True, events=True) as listener:
        for event in EVENTS:
            listener(event)
    said = capsys.readouterr().out
    lines = [json.loads(line) for line in said.splitlines()]
    assert [line["event"] for line in lines] == ["start", "ready", "begin", "begin", "record", "record"]
    assert (lines[0]["to_mark"], lines[0]["unchanged"], lines[2]["student"]) == (2, 3, "\x1b[31mada")
    assert (lines[4]["held"], lines[4]["done"], lines[4]["total"], lines[5]["left_s"]) == (None, 1, 2, 0.0)
    assert lines[5]["held"] == "held"
    assert "\x1b" not in said


def test_progress_can_be_silent():
    """With --json nobody is told anything."""
    assert progress(terminal=True, quiet=True) == ""
    assert progress(terminal=False, quiet=True) == ""
