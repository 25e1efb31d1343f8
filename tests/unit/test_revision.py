"""Marking again: which checks a change touches, how fresh verdicts join those that are kept, what is remembered."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from grader.checkfile import check_versions
from grader.jobs import _again
from grader.model import (
    CheckResult,
    CheckSpec,
    ExerciseSpec,
    Flag,
    Record,
    RecordStatus,
    SubmissionRef,
    Timing,
    Verdict,
)
from grader.revision import changes, merged, rescored, revised, with_dependents
from grader.scoring import score
from grader.submissions import Submission
from grader.versions import Versions, stale

RUBRIC = (ExerciseSpec(id="a", title="A", points=3), ExerciseSpec(id="b", title="B", points=1))
ASSIGNMENT = SimpleNamespace(specs=RUBRIC, due=None, late=None)
FILE = '''
import torch

LIMIT = 3

def helper():
    return LIMIT

@check("a", points=1, gate=True)
def test_gate(student):
    """Gate."""
    assert helper()

@check("a", points=2)
def test_more(student):
    """More."""
    test_shared(student)

@check("b", points=1)
def test_shared(student):
    """Shared."""

class TestGroup:
    @check("b", points=0)
    def test_inner(self, student):
        """Inner."""
'''


def spec(name, exercise="a", points=1.0, **more):
    return CheckSpec(id=name, exercise=exercise, points=points, line=f"{name}.", source_hash=f"v1 of {name}", **more)


SPECS = (
    spec("gate", gate=True),
    spec("more", points=2.0, depends=("gate",)),
    spec("other", "b"),
)


def result(check, verdict=Verdict.PASS, **more):
    return CheckResult(check=check, verdict=verdict, earned=check.points if verdict is Verdict.PASS else 0.0, **more)


def record(*verdicts, specs=SPECS, sha="1" * 64, **more):
    results = tuple(result(check, verdict) for check, verdict in zip(specs, verdicts, strict=True))
    scored = score(results, RUBRIC, lateness=None)
    fields = {
        "submission": SubmissionRef(student="ada", name="Ada", assignment="t", path="p", sha256=sha),
        "status": scored.status,
        "score": scored.score,
        "max_score": scored.max_score,
        "checks": results,
        "exercises": scored.exercises,
        "steps": scored.steps,
        "seed": 1,
        "marked_at": "2026-01-01T00:00:00.000+00:00",
        "setting_sha256": "s",
        "assignment_sha256": "old",
        "timing": Timing(total_s=7.0),
    }
    return Record(**fields | more)


def fresh(*results, reason="a reason"):
    """What the marker sends back of a few checks: their verdicts, in a record that adds up to nothing."""
    made = record(Verdict.PASS, Verdict.PASS, Verdict.PASS, seed=2, marked_at="2026-02-02T00:00:00.000+00:00")
    return replace(
        made, checks=results, reason=reason, status=RecordStatus.HELD, score=None, timing=Timing(total_s=1.0)
    )


P, F, S, B = Verdict.PASS, Verdict.FAIL, Verdict.SKIPPED, Verdict.BROKEN


# -- what a change touches ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "touched"),
    [
        ("# nothing", "# nothing at all", set()),
        ("import torch", "import torch  # comment", set()),
        ("assert helper()", "assert  helper( )", set()),
        ("assert helper()", "assert helper() == 3", {"gate"}),
        ("points=2", "points=2.5", {"more"}),
        ('"""Inner."""', '"""Inner one."""', {"Group.inner"}),
        ("LIMIT = 3", "LIMIT = 4", {"gate", "more", "shared", "Group.inner"}),
        ('"""Shared."""', '"""Shared by more."""', {"gate", "more", "shared", "Group.inner"}),
    ],
)
def test_a_check_changes_with_its_function_and_its_helpers(old, new, touched):
    """A check's version is that of its own function and of all that is no check; comments and layout are nothing."""
    before, after = check_versions(FILE.encode()), check_versions(FILE.replace(old, new).encode())
    assert set(before) == {"gate", "more", "shared", "Group.inner"}
    assert {name for name in before if before[name] != after[name]} == touched


@pytest.mark.parametrize("source", [b"def test_x(:\n", b"\xff\xfe\x00", b"\x00"])
def test_what_is_no_python_has_no_checks(source):
    """A file that cannot be parsed has no versions; collecting names its error."""
    assert check_versions(source) == {}


NOW = Versions(whole="new", setting="s", rubric="r", checks={c.id: c.source_hash for c in SPECS}, extended={})


def test_stale_names_the_checks_that_changed():
    """Only the checks whose version differs are stale; other settings or another set of checks make all of it so."""
    mark = record(P, P, P)
    assert stale(replace(mark, assignment_sha256="new"), NOW) == frozenset()
    assert stale(mark, NOW) == frozenset()
    assert stale(mark, replace(NOW, checks=NOW.checks | {"more": "v2"})) == {"more"}
    assert stale(mark, replace(NOW, setting="t")) is None
    assert stale(mark, replace(NOW, checks=NOW.checks | {"new": "v1"})) is None
    assert stale(replace(mark, setting_sha256=""), NOW) is None


def handed_in(sha="1" * 64, **more):
    ref = replace(record(P, P, P).submission, sha256=sha, **more)
    return Submission(ref=ref, data=b"")


@pytest.mark.parametrize(
    ("before", "submission", "again"),
    [
        (None, handed_in(), None),
        (record(P, P, P), handed_in(), frozenset()),
        (record(P, P, P), handed_in(received_at="2026-04-01T00:00:00+00:00", name="A. L."), frozenset()),
        (record(P, P, P), handed_in("2" * 64), None),
        (record(P, P, B), handed_in(), None),
        (record(P, P, P, setting_sha256="older"), handed_in(), None),
        (record(P, P, P, specs=(replace(SPECS[0], source_hash="older"), *SPECS[1:])), handed_in(), {"gate", "more"}),
    ],
    ids=["never marked", "the same", "handed in again", "other bytes", "held", "other setting", "other check"],
)
def test_what_must_be_marked(before, submission, again):
    """All of it when it is new, changed or held, or the assignment is another; else the checks that changed."""
    assert _again(before, submission, NOW) == again


def test_dependents_come_along():
    """Whoever waits for a check is run again with it, and whoever waits for those."""
    chain = [result(spec("c", depends=("b",))), result(spec("b", depends=("a",))), result(spec("a")), result(spec("d"))]
    assert with_dependents({"a"}, chain) == {"a", "b", "c"}
    assert with_dependents({"b"}, chain) == {"b", "c"}
    assert with_dependents(set(), chain) == set()


# -- the new record ----------------------------------------------------------------------------------------------


def test_only_the_selected_verdicts_change():
    """A selected check gets its fresh verdict and seed; what else came back with it is not taken."""
    before = record(P, F, F, flags=(Flag(id="repaired", text="."),))
    again = merged(before, fresh(result(SPECS[1], P), result(SPECS[2], P)), {"more"}, ASSIGNMENT)
    assert [each.verdict for each in again.checks] == [P, P, F]
    assert [each.seed for each in again.checks] == [None, 2, None]
    assert (again.score, again.status, again.seed, again.timing.total_s) == (3.0, RecordStatus.FINAL, 1, 7.0)
    assert (again.flags, again.reason, again.marked_at[:7]) == (before.flags, "a reason", "2026-02")
    assert before.checks[1].verdict is F


def test_a_gate_that_was_kept_decides():
    """A check whose gate does not hold earns nothing, even if it passed when it was run again by itself."""
    again = merged(record(F, S, P), fresh(result(SPECS[1], P)), {"more"}, ASSIGNMENT)
    assert (again.checks[1].verdict, again.checks[1].earned, again.score) == (S, 0.0, 1.0)
    assert "gate." in again.checks[1].rationale


def test_a_gate_that_passes_now_frees_what_waited():
    """Gate and dependents run again together: the points of all of them are back."""
    again = merged(record(F, S, P), fresh(result(SPECS[0]), result(SPECS[1])), {"gate", "more"}, ASSIGNMENT)
    assert ([each.verdict for each in again.checks], again.score) == ([P, P, P], 4.0)


def test_a_new_gate_needs_all_of_it_anew():
    """When a check becomes a gate, others depend on it that did not before: the parts no longer fit."""
    gate = replace(SPECS[2], gate=True)
    assert merged(record(P, P, P), fresh(result(gate)), {"other"}, ASSIGNMENT) is None


def test_a_check_that_breaks_holds_the_record():
    """What is ours when marking again holds the record; when it is mended, the record counts again."""
    held = Flag(id="held", text="sandbox")
    broken = merged(record(P, P, P), replace(fresh(result(SPECS[2], B)), flags=(held,)), {"other"}, ASSIGNMENT)
    assert (broken.status, broken.score, broken.flags) == (RecordStatus.HELD, None, (held,))
    mended = merged(broken, fresh(result(SPECS[2], P)), {"other"}, ASSIGNMENT)
    assert (mended.status, mended.score, mended.flags) == (RecordStatus.FINAL, 4.0, ())


# -- what is remembered --------------------------------------------------------------------------------------------


def test_history_says_what_when_and_why():
    """Each marking that changed something is kept, oldest first; one that changed nothing is not."""
    first = record(P, F, P)
    second = revised(first, merged(first, fresh(result(SPECS[1], P), reason="too strict"), {"more"}, ASSIGNMENT))
    third = revised(second, merged(second, fresh(result(SPECS[1], P)), {"more"}, ASSIGNMENT))
    fourth = revised(third, merged(third, fresh(result(SPECS[2], F), reason="too lax"), {"other"}, ASSIGNMENT))
    assert [(each.reason, each.score_before, each.score_after) for each in fourth.revisions] == [
        ("too strict", 2.0, 4.0),
        ("too lax", 4.0, 3.0),
    ]
    (change,) = fourth.revisions[0].changes
    assert (change.check, change.before, change.after) == ("more", F, P)
    assert (change.earned_before, change.earned_after) == (0.0, 2.0)
    assert third.revisions == second.revisions


def test_a_new_submission_begins_a_new_history():
    """Other bytes are other work: what was said of the old ones stays in the journal only."""
    first = record(P, F, P)
    second = revised(first, record(P, P, P))
    assert len(second.revisions) == 1
    assert revised(second, record(P, P, P, sha="2" * 64)).revisions == ()
    assert revised(None, record(P, P, P)).revisions == ()


def test_checks_that_came_and_went_are_changes():
    """A check that one of the records lacks is a change from, or to, nothing."""
    old, new = record(P, P, P), replace(record(P, P, P), checks=(*record(P, P, P).checks[:2], result(spec("new"), F)))
    found = {change.check: (change.before, change.after) for change in changes(old, new)}
    assert found == {"new": (None, F), "other": (P, None)}


def test_a_new_due_date_changes_the_sum_only():
    """Points for lateness are taken off, and given back, without a check being run."""
    from datetime import UTC, datetime

    late = SimpleNamespace(grace_s=0.0, percent_per_day=50.0, max_days=None)
    strict = SimpleNamespace(specs=RUBRIC, due=datetime(2026, 1, 1, tzinfo=UTC), extensions={}, late=late)
    mark = record(P, P, P)
    mark = replace(mark, submission=replace(mark.submission, received_at="2026-01-01T12:00:00+00:00"))
    reduced = rescored(mark, strict)
    assert (reduced.score, [flag.id for flag in reduced.flags], reduced.checks) == (2.0, ["late"], mark.checks)
    assert rescored(reduced, ASSIGNMENT) == mark
