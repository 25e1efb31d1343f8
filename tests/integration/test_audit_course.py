"""Every assignment has variants enough for its audit, and an audit sees what is not fair, in the real sandbox."""

import json
import re
from pathlib import Path

import pytest

from grader.audit import Subject
from grader.cli import run as command
from grader.config import load_course

ROOT = Path(__file__).resolve().parents[2]
COURSE = load_course(ROOT)
NAMES = [assignment.name for assignment in COURSE.assignments]
EXAMPLE = ROOT / "docs" / "writing-an-assignment.md"
NAMED_FILE = re.compile(r"^`([\w./-]+)`:\n\n```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_every_assignment_is_audited():
    """Each has a file among the audits."""
    audits = {path.stem for path in (ROOT / "tests" / "audits").glob("test_*.py")}
    assert audits == {f"test_fair_{name.replace('-', '_')}" for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_an_assignment_has_enough_variants(name):
    """At least 8 right and 35 wrong variants, several for each exercise, and 5 misconceptions that are told."""
    subject = Subject.of(COURSE, COURSE.assignment(name))
    wrong = [variant for variant in subject.variants if not variant.right]
    assert sum(variant.right for variant in subject.variants) >= 8
    assert len(wrong) >= 35
    assert len({variant.told for variant in wrong} - {None}) >= 5
    for exercise in subject.exercises:
        assert sum(variant.exercise == exercise for variant in wrong) >= 3, exercise


# An audit sees what is not fair: the guide's example, spoiled.

HIDDEN, PUBLIC = "solutions/standardise/test_hidden.py", "assignments/standardise/test_public.py"
WRONG, RIGHT = "solutions/standardise/wrong", "solutions/standardise/correct"
DECLARED = "solutions/standardise/audit.yaml"
SPOILED = [
    (HIDDEN, "if many > few:", "if False:"),
    (PUBLIC, "gate=True, ", ""),
    (PUBLIC, "contract(student.standardise, x.requires_grad_())", "student.standardise(x.requires_grad_())"),
    (WRONG + "/unbiased.py", "caught-by: standardise_values", "caught-by: standardise_valeus\ntold: another idea"),
    (WRONG + "/unbiased.py", "def standardise(x):", "raise ValueError\ndef standardise(x):"),
    (WRONG + "/constant_deviation.py", ".detach()", ""),
    (RIGHT + "/norm.py", "len(x) ** 0.5", "len(x) ** 0.5 * 2"),
    (DECLARED, "standardise_people:", "standardise_poeple:"),
    (DECLARED, "mutants: []", "mutants: [{exercise: standardise, was: a, now: b, why: c}]"),
    (DECLARED, "generic: []", "generic: [{kind: zeros, exercise: standardise, why: c}]"),
]
SAID = [
    "column_by_column is not caught by standardise_operations",
    "column_by_column loses no points in standardise",
    "standardise: detached earns",
    "standardise: writes into its argument earns",
    "unbiased names standardise_valeus, which is no check",
    "unbiased: the student is not told “another idea” but nothing",
    "unbiased: its cell 7 ended as raised",
    "constant_deviation loses no points in standardise",
    "norm is right, and standardise_values says FAIL",
    "audit.yaml keeps standardise_poeple, which is no check",
    "audit.yaml declares a mutant that is not made: a → b",
    "standardise: zeros is declared equivalent, and loses points",
]


@pytest.fixture
def example(tmp_path):
    """The guide's assignment on disk, released; the arguments of an audit of it."""
    for name, text in NAMED_FILE.findall(EXAMPLE.read_text(encoding="utf-8")):
        place = tmp_path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
    assert command(["release", "standardise", "--course", str(tmp_path)]) == 0
    return ["audit", "--course", str(tmp_path), "--to", str(tmp_path / "out"), "--seeds", "1", "--seed", "7"]


def spoil(folder, file, old, new):
    """Change a file in one place."""
    path = folder / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_an_unfair_assignment_is_told(example, capsys, tmp_path):
    """Each kind of unfairness is named in the terminal and on the page, and the command ends with 1."""
    for change in SPOILED:
        spoil(tmp_path, *change)
    assert command(example) == 1
    said = " ".join(capsys.readouterr().out.split())
    page = " ".join((tmp_path / "out" / "standardise.html").read_text(encoding="utf-8").split())
    for sentence in SAID:
        assert sentence in said
        assert sentence in page
    assert "<script" not in page
    assert "default-src &#39;none&#39;" in page
    assert not re.search(r"(?:src|href)=\"(?!data:|#)", page)


def test_a_check_that_the_reference_fails_ends_it(example, capsys, tmp_path):
    """Without a reference that passes nothing can be judged."""
    spoil(tmp_path, HIDDEN, "if many > few:", "if many > few - 1:")
    assert command(example) > 1
    assert "the reference solution does not pass 1 of 4 checks" in capsys.readouterr().err


def test_survivors_are_shown(example, capsys, tmp_path):
    """Mutants that no check catches are shown as lines before and after, in JSON and on the page."""
    spoil(tmp_path, HIDDEN, "if many > few:", "if False:")
    text = (tmp_path / PUBLIC).read_text(encoding="utf-8")
    start, end = text.index("    close(\n"), text.rindex("    if not result")
    (tmp_path / PUBLIC).write_text(text[:start] + text[end:], encoding="utf-8")
    spoil(tmp_path, HIDDEN, "close(student.standardise(x), (x - x.mean(0)) / x.std(0, correction=0))", "assert len(x)")
    assert command([*example, "--json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)
    assert ("centred = x - x.mean(0)", "centred = x + x.mean(0)") in {
        (each["was"], each["now"]) for each in found["survivors"]
    }
    assert found["kill_rate"] < 0.95
    problems = "\n".join(problem["what"] for problem in found["problems"])
    assert "mutants survive" in problems
    assert "standardise_operations catches no wrong answer" in problems
    assert "+ centred = x + x.mean(0)" in (tmp_path / "out" / "standardise.html").read_text(encoding="utf-8")


def test_only_some_variants(example, capsys):
    """``--only`` marks the variants of that name and demands nothing of what was not tried."""
    assert command([*example, "--only", "unbiased"]) == 0
    out = capsys.readouterr().out
    assert "unbiased" in out
    assert "norm" not in out
    assert "1 wrong variant," in out
