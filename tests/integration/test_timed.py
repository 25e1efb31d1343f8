"""Timed checks in a real run: the lane, the loaded reference that all share, and notebooks that wait for their turn."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tiny_class import grader, hand_in, journal_lines, lay_out, notebook

from grader.sandbox.bubblewrap import obstacle

pytestmark = pytest.mark.skipif(obstacle() is not None, reason=f"no bubblewrap sandbox here: {obstacle()}")

RACE = '''

@check("scale", points=1)
def test_scale_race(student, reference, rng):
    """scale takes at most 10 times as long as our solution."""
    race(student.scale, reference.scale, lambda: (torch.randn(100_000, generator=rng), 3.0), at_most=10)


@check("scale", points=1)
def test_scale_memory(student, reference, rng):
    """scale holds at most 3 times the memory of our solution."""
    holds(student.scale, reference.scale, lambda: (torch.randn(3_000_000, generator=rng), 3.0), at_most=3)


@check("scale", points=2)
def test_scale_memory_by_degrees(student, reference, rng):
    """scale earns all points up to 3 times the memory of our solution, and ever fewer up to 30 times."""
    limits = ramp(3, 30, steps=3)
    holds(student.scale, reference.scale, lambda: (torch.randn(3_000_000, generator=rng), 3.0), at_most=limits)
'''
SLOW = "import time\ndef scale(x, factor):\n    time.sleep(0.5)\n    return x * factor"
WASTE = "def scale(x, factor):\n    return torch.stack([x * factor for _ in range(12)])[0]"
HOG = "import os\nfor _ in range(2):\n    if os.fork() == 0:\n        while True:\n            pass"
LATER = """
import threading
def scale(x, factor):
    y = torch.empty_like(x)
    threading.Thread(target=lambda: torch.mul(x, factor, out=y), daemon=True).start()
    return y
"""
CLASS = {
    "ada": {"first": "leaderboard_alias = 'Countess'"},
    "ben": {"scale": SLOW},
    "cy": {"first": "kept = torch.ones(80_000_000)"},
    "dan": {"first": HOG},
    "eve": {"scale": WASTE},
    "flo": {"scale": LATER},
}


@pytest.fixture(scope="module")
def marked(tmp_path_factory):
    """A class whose scale is timed in two checks, marked once, and what ``--events`` told."""
    course = lay_out(tmp_path_factory.mktemp("timed"))
    checks = course / "solutions" / "tiny" / "test_hidden.py"
    text = checks.read_text().replace(
        "import check, close, contract", "import check, close, contract, holds, race, ramp"
    )
    checks.write_text(text + RACE)
    settings = course / "course.yaml"
    settings.write_text(
        settings.read_text()
        .replace("    points: 10", "    leaderboard: true\n    points: 10", 1)
        .replace("memory: 256 MiB", "memory: 1 GiB")
        .replace("points: 10", "points: 14")
        .replace("title: Scaling, points: 4", "title: Scaling, points: 8")
        .replace("check: 1 s", "check: 5 s")
        .replace("cell: 1 s", "cell: 5 s")
    )
    for student, answers in CLASS.items():
        hand_in(course, student, notebook(**answers))
    done = grader(course, "grade", "--events", "--seed", 3)
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert (events[-1]["marked"], events[-1]["held"]) == (len(CLASS), 0)
    return course, events


@pytest.fixture(scope="module")
def course(marked):
    """The class."""
    return marked[0]


@pytest.fixture(scope="module")
def verdicts(course):
    """By student and check: the verdict."""
    return {
        line["submission"]["student"]: {each["check"]["id"]: each["verdict"] for each in line["checks"]}
        for line in journal_lines(course)
    }


def missed(verdicts, student):
    """Checks that a student does not pass."""
    return {name for name, verdict in verdicts[student].items() if verdict != "PASS"}


def test_who_is_quick_passes(verdicts):
    """Also a notebook that is too large to wait in memory, and one whose own processes never rest."""
    assert [missed(verdicts, student) for student in ("ada", "cy", "dan")] == [set(), set(), set()]


def test_who_is_slow_or_wasteful_loses_that_check(verdicts):
    """A hundred times too slow loses the race; a dozen copies lose the memory, and perhaps the race."""
    assert missed(verdicts, "ben") == {"scale_race"}
    assert "scale_memory" in missed(verdicts, "eve") <= {"scale_memory", "scale_race"}


def test_a_ramp_takes_a_part_of_the_points(course, verdicts):
    """A dozen copies earn some of them; the record has the share, the student's page the points."""
    assert verdicts["eve"]["scale_memory_by_degrees"] == "PASS"
    (eve,) = (line for line in journal_lines(course) if line["submission"]["student"] == "eve")
    (ramped,) = (each for each in eve["checks"] if each["check"]["id"] == "scale_memory_by_degrees")
    (measured,) = ramped["measurements"]
    assert measured["share"] in (0.25, 0.5, 0.75)
    assert ramped["earned"] == 2 * measured["share"]
    assert grader(course, "feedback").returncode == 0
    page = re.sub("<[^>]+>", " ", (course / "feedback" / "tiny" / "eve.html").read_text(encoding="utf-8"))
    words = f"Memory: {measured['value']:.2g} × the reference. Up to 3 earns all points, up to 30 a part."
    assert re.search(f"Passed in part .* {re.escape(words)}", " ".join(page.split()))


def test_what_is_computed_after_the_reply_is_not_there(verdicts):
    """A thread that goes on computing leaves a wrong answer."""
    assert missed(verdicts, "flo")


def test_who_waits_to_be_timed_is_told(marked):
    """Each begins, waits for the lane, is timed and has a record; the lane is one student's until they leave it."""
    events = [event for event in marked[1] if "student" in event]
    for student in ("ada", "cy", "dan"):
        own = [(event["event"], event.get("why")) for event in events if event["student"] == student]
        assert own[:3] == [("begin", None), ("waiting", "lane"), ("timed", None)]
        assert own[-2:] == [("timed", None), ("record", None)]
    in_lane = None
    for event in events:
        if in_lane is not None:
            assert event["student"] == in_lane
        in_lane = event["student"] if event["event"] == "timed" else None


def test_the_record_keeps_what_was_measured(course):
    """Ratio, interval, pairs and what the machine said; the wall's own cost was taken off."""
    (ada,) = (line for line in journal_lines(course) if line["submission"]["student"] == "ada")
    measured = {each["kind"]: each for check in ada["checks"] for each in check["measurements"]}
    assert set(measured) == {"time", "memory"}
    time = measured["time"]
    assert time["pairs"] >= 9
    assert (time["share"], time["clear"], time["of"]) == (1.0, True, "scale")
    assert time["low"] <= time["value"] <= time["high"]
    assert time["machine"]["cores"] >= 1
    assert time["wall_s"] > 0


def test_the_leaderboard_ranks_those_who_hold_the_races(course, verdicts):
    """Under the alias that a notebook gives; whoever lost a race is not on it, and nobody's id is."""
    done = grader(course, "report", "--json")
    page = Path(json.loads(done.stdout)["leaderboard"]).read_text(encoding="utf-8")
    page = page.partition("<main")[2]
    holds_all = [student for student in CLASS if not missed(verdicts, student)]
    assert page.count("<tr><td") == len(holds_all)
    assert "<bdi>Countess</bdi>" in page
    assert page.count(">unnamed<") == len(holds_all) - 1
    assert not set(re.findall(r"\w+", page)) & CLASS.keys()


def test_an_unchanged_class_is_not_timed_again(course):
    """A timed check is marked once, as any other."""
    again = json.loads(grader(course, "grade", "--json").stdout)
    assert (again["marked"], again["unchanged"]) == (0, len(CLASS))


def test_an_edited_timed_check_is_run_by_itself(course):
    """Only what an edit touches is marked again, beside the reference."""
    checks = course / "solutions" / "tiny" / "test_hidden.py"
    text = checks.read_text()
    checks.write_text(text.replace("at_most=10)", "at_most=11)"))
    again = json.loads(grader(course, "grade", "--json").stdout)
    assert again["marked"] == len(CLASS)
    last = {line["submission"]["student"]: line for line in journal_lines(course)}
    assert last["ada"]["score"] == last["ada"]["max_score"] - 1  # the essay is a person's
