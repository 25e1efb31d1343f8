"""Scoring: what earns points, what holds a score, what lateness costs, and that the sum is always a sum."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.model import CheckResult, CheckSpec, ExerciseSpec, RecordStatus, Verdict
from grader.scoring import Lateness, score

DUE = datetime(2026, 3, 3, 18, 0, tzinfo=UTC)
STUDENTS_FAULT = [verdict for verdict in Verdict if not verdict.is_ours]


def result(check_id, exercise="softmax", points=1.0, verdict=Verdict.PASS, earned=None, *, line="It holds."):
    check = CheckSpec(id=check_id, exercise=exercise, points=points, line=line)
    return CheckResult(check=check, verdict=verdict, earned=points if earned is None else earned)


def exercise(exercise_id="softmax", points=1.0, manual=0.0):
    return ExerciseSpec(id=exercise_id, title=exercise_id.capitalize(), points=points, manual_points=manual)


def late(*, by, **policy):
    return Lateness(received_at=DUE + by, due=DUE, **policy)


def texts(scored):
    return [step.text for step in scored.steps]


def test_pass_earns_its_points():
    """A check that passes earns its points; the steps say how many of how many."""
    scored = score(
        [result("a", points=3), result("b", points=2, verdict=Verdict.FAIL)], [exercise(points=5)], lateness=None
    )
    assert (scored.score, scored.max_score, scored.status) == (3.0, 5.0, RecordStatus.FINAL)
    assert texts(scored) == ["Softmax: 1 of 2 checks passed, 3 of 5 points"]
    assert scored.exercises[0].earned == 3.0


@pytest.mark.parametrize("verdict", [verdict for verdict in STUDENTS_FAULT if verdict is not Verdict.PASS])
def test_only_pass_earns(verdict):
    """Any other verdict earns nothing, whatever its `earned` says."""
    assert score([result("a", verdict=verdict, earned=1.0)], [exercise()], lateness=None).score == 0.0


def test_tenths_add_up():
    """Three checks of 0.1 give 0.3, not 0.30000000000000004."""
    results = [result(name, points=0.1) for name in "abc"]
    scored = score(results, [exercise(points=0.3)], lateness=None)
    assert scored.score == 0.3
    assert texts(scored) == ["Softmax: 3 of 3 checks passed, 0.3 of 0.3 points"]


def test_thirds_add_up():
    """Three checks of a third of a point give one point."""
    assert score([result(name, points=1 / 3) for name in "abc"], [exercise(points=1)], lateness=None).score == 1.0


def test_ramp_gives_part_of_the_points():
    """A check that passes on a ramp earns the part that it was given."""
    assert score([result("a", points=4, earned=2.5)], [exercise(points=4)], lateness=None).score == 2.5


@pytest.mark.parametrize(("earned", "counted"), [(7.0, 4.0), (-1.0, 0.0)])
def test_earned_is_kept_within_the_check(earned, counted):
    """No check earns more than its points, or less than none."""
    assert score([result("a", points=4, earned=earned)], [exercise(points=4)], lateness=None).score == counted


def test_broken_check_holds_the_score():
    """A check that broke on our side gives no score at all, and the step says that it is not the student's fault."""
    results = [result("a"), result("b", verdict=Verdict.BROKEN, earned=0, line="Rows sum to one.")]
    scored = score(results, [exercise(points=2)], lateness=None)
    assert (scored.score, scored.status) == (None, RecordStatus.HELD)
    assert texts(scored) == [
        "The check “Rows sum to one.” could not be carried out. That is not your fault; an instructor will look."
    ]
    assert scored.exercises[0].earned == 1.0
    assert scored.max_score == 2.0


def test_missing_result_holds_the_score():
    """A check of the rubric that was not run is ours: held, not zero."""
    scored = score([result("a", points=2)], [exercise(points=5)], lateness=None)
    assert scored.score is None
    assert texts(scored) == [
        "The checks of “Softmax” that were carried out are worth 2 points, not 5; an instructor will look."
    ]


def test_no_results_at_all_hold_the_score():
    """A submission of which nothing was checked is held."""
    assert score([], [exercise(points=5)], lateness=None).score is None


def test_double_result_holds_the_score():
    """A check that is counted twice is ours."""
    scored = score([result("a"), result("a")], [exercise(points=2)], lateness=None)
    assert texts(scored) == ["The check a was counted 2 times; an instructor will look."]


def test_stray_result_holds_the_score():
    """A check of an exercise that the rubric does not have is ours."""
    scored = score([result("a"), result("b", exercise="other")], [exercise()], lateness=None)
    assert texts(scored) == ["The check b belongs to no exercise of the rubric; an instructor will look."]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_no_nan_becomes_a_score(bad):
    """Points that are no number hold the score, wherever they stand."""
    for results, exercises in (
        ([result("a", points=1, earned=bad)], [exercise()]),
        ([result("a", points=bad, earned=1)], [exercise()]),
        ([result("a")], [exercise(points=bad)]),
        ([result("a")], [exercise(manual=bad)]),
    ):
        scored = score(results, exercises, lateness=None)
        assert (scored.score, scored.status) == (None, RecordStatus.HELD)
        assert math.isfinite(scored.max_score)
        assert all(math.isfinite(item.earned + item.pending) for item in scored.exercises)


def test_manual_points_are_pending():
    """Points that a person gives are listed, not counted, and hold nothing up."""
    scored = score([result("a", points=3)], [exercise(points=5, manual=2)], lateness=None)
    assert (scored.score, scored.max_score, scored.exercises[0].pending) == (3.0, 5.0, 2.0)
    assert texts(scored) == [
        "Softmax: 1 of 1 check passed, 3 of 3 points",
        "Softmax: 2 points will be given by a person, not counted yet",
    ]


def test_question_without_checks_is_pending():
    """An exercise that only a person marks has one step."""
    scored = score([], [exercise("essay", points=1, manual=1)], lateness=None)
    assert texts(scored) == ["Essay: 1 point will be given by a person, not counted yet"]
    assert scored.score == 0.0


def test_bonus_comes_on_top():
    """A bonus exercise adds to the score and not to what the assignment is worth."""
    bonus = ExerciseSpec(id="poison", title="Poison", points=5.0, bonus=True)
    scored = score([result("a", points=3), result("b", "poison", points=5)], [exercise(points=3), bonus], lateness=None)
    assert (scored.score, scored.max_score) == (8.0, 3.0)
    assert texts(scored)[1] == "Poison (bonus): 1 of 1 check passed, 5 of 5 points"


# ── lateness ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("by", "grace_s", "days"),
    [
        (timedelta(0), 0, 0),
        (timedelta(hours=-5), 0, 0),
        (timedelta(microseconds=1), 0, 1),
        (timedelta(days=1), 0, 1),
        (timedelta(days=1, seconds=1), 0, 2),
        (timedelta(minutes=15), 900, 0),
        (timedelta(minutes=15, seconds=1), 900, 1),
        (timedelta(days=1, minutes=15), 900, 1),
    ],
)
def test_days_late(by, grace_s, days):
    """Days begun are counted from the deadline and its grace."""
    assert late(by=by, grace_s=grace_s).days_late == days


def test_time_zones_are_respected():
    """19:30 in Berlin is half an hour late for 18:00 UTC."""
    berlin = timezone(timedelta(hours=1))
    lateness = Lateness(received_at=datetime(2026, 3, 3, 19, 30, tzinfo=berlin), due=DUE)
    assert lateness.days_late == 1


def test_late_day_costs_a_share_of_what_was_earned():
    """Two days late at 10 % a day costs a fifth of the points earned, as a step of its own."""
    lateness = late(by=timedelta(days=1, hours=1), percent_per_day=10)
    scored = score([result("a", points=8)], [exercise(points=8)], lateness=lateness)
    assert scored.score == 6.4
    assert scored.steps[-1].points == -1.6
    assert texts(scored)[-1] == (
        "Handed in 2 days late (due 2026-03-03 18:00 UTC): 10 % of the points for each day begun"
    )
    assert scored.exercises[0].earned == 8.0


def test_lateness_takes_no_more_than_everything():
    """Twelve days at 10 % a day leave zero, not less."""
    lateness = late(by=timedelta(days=12), percent_per_day=10)
    scored = score([result("a", points=8)], [exercise(points=8)], lateness=lateness)
    assert (scored.score, scored.status) == (0.0, RecordStatus.FINAL)
    assert texts(scored)[-1].endswith("10 % of the points for each day begun, all of them by now")


def test_work_after_the_last_day_earns_nothing():
    """After max_days nothing counts, and nothing waits for a person."""
    lateness = late(by=timedelta(days=3, seconds=1), max_days=3)
    scored = score([result("a", points=3)], [exercise(points=5, manual=2)], lateness=lateness)
    assert (scored.score, scored.exercises[0].pending) == (0.0, 0.0)
    assert texts(scored)[-1] == (
        "Handed in 4 days late (due 2026-03-03 18:00 UTC): work that comes more than 3 days late earns no points"
    )


def test_last_day_still_counts():
    """Work that comes on the last day that counts, counts."""
    scored = score([result("a")], [exercise()], lateness=late(by=timedelta(days=3), max_days=3))
    assert scored.score == 1.0


def test_no_late_work_at_all():
    """max_days 0: one second late is too late."""
    scored = score([result("a")], [exercise()], lateness=late(by=timedelta(seconds=1), max_days=0))
    assert scored.score == 0.0
    assert texts(scored)[-1].endswith("work that comes after the deadline earns no points")


def test_free_lateness_is_still_said():
    """Where a day costs nothing, the step says that it was late, for zero points."""
    scored = score([result("a")], [exercise()], lateness=late(by=timedelta(hours=1)))
    assert (scored.score, scored.steps[-1].points) == (1.0, 0.0)


def test_late_held_submission_is_held():
    """Lateness makes no score of a held submission."""
    results = [result("a", verdict=Verdict.BROKEN, earned=0)]
    assert score(results, [exercise()], lateness=late(by=timedelta(days=9), max_days=1)).score is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"received_at": DUE.replace(tzinfo=None)},
        {"percent_per_day": math.nan},
        {"percent_per_day": -1.0},
        {"grace_s": -1.0},
        {"max_days": -1},
    ],
)
def test_senseless_lateness_is_refused(wrong):
    """A time without an offset or a negative figure never gets as far as a score."""
    with pytest.raises(ValueError, match=r"lateness needs|must be finite"):
        Lateness(**({"received_at": DUE, "due": DUE} | wrong))


# ── properties ───────────────────────────────────────────────────────────────────────────────────────────────────

points = st.floats(0, 1000, allow_nan=False)
latenesses = st.none() | st.builds(
    lambda by, grace, percent, last: late(by=by, grace_s=grace, percent_per_day=percent, max_days=last),
    st.timedeltas(timedelta(days=-5), timedelta(days=20)),
    st.floats(0, 1e5),
    st.floats(0, 200),
    st.none() | st.integers(0, 10),
)


@st.composite
def submissions(draw):
    """Results and a rubric that fits them."""
    results, exercises = [], []
    for name in draw(st.lists(st.sampled_from("abcdef"), unique=True, max_size=4)):
        worth = draw(st.lists(points, min_size=1, max_size=5))
        for number, value in enumerate(worth):
            earned = draw(st.one_of(st.just(value), st.floats(-1, 2000)))
            results.append(result(f"{name}{number}", name, value, draw(st.sampled_from(STUDENTS_FAULT)), earned))
        manual = draw(st.sampled_from([0.0, 0.5, 2.0]))
        total = sum(map(Fraction, map(repr, worth)), Fraction(manual))
        exercises.append(exercise(name, points=float(total), manual=manual))
    return results, exercises


@given(submissions(), latenesses)
def test_steps_add_up_to_the_score(submission, lateness):
    """The steps always add up to the score, which lies between zero and the maximum."""
    scored = score(*submission, lateness=lateness)
    assert scored.status is RecordStatus.FINAL
    assert round(sum(step.points for step in scored.steps), 6) == pytest.approx(scored.score, abs=1e-6)
    assert sum(round(step.points * 10**6) for step in scored.steps) == round(scored.score * 10**6)
    assert 0 <= scored.score <= scored.max_score + 1e-6


@given(submissions(), latenesses, st.randoms(use_true_random=False))
def test_order_of_checks_does_not_matter(submission, lateness, random):
    """The same results in another order give the very same score and steps."""
    results, exercises = submission
    shuffled = list(results)
    random.shuffle(shuffled)
    assert score(shuffled, exercises, lateness=lateness) == score(results, exercises, lateness=lateness)


@given(submissions(), latenesses, st.data())
def test_passing_one_more_check_never_costs(submission, lateness, data):
    """Turning any check into a pass never lowers the score."""
    results, exercises = submission
    if not results:
        return
    index = data.draw(st.integers(0, len(results) - 1))
    spec = results[index].check
    better = [
        *results[:index],
        CheckResult(check=spec, verdict=Verdict.PASS, earned=spec.points),
        *results[index + 1 :],
    ]
    assert score(better, exercises, lateness=lateness).score >= score(results, exercises, lateness=lateness).score


@given(submissions(), st.timedeltas(timedelta(0), timedelta(days=9)), st.timedeltas(timedelta(0), timedelta(days=9)))
def test_handing_in_later_never_pays(submission, by, more):
    """Of two hand-ins of the same work the later one never scores higher."""
    policy = {"percent_per_day": 15.0, "max_days": 5, "grace_s": 600}
    earlier = score(*submission, lateness=late(by=by, **policy))
    assert score(*submission, lateness=late(by=by + more, **policy)).score <= earlier.score


@given(
    st.lists(
        st.builds(
            result,
            st.sampled_from("abcdefgh"),
            st.sampled_from(["softmax", "other"]),
            st.floats(),
            st.sampled_from(list(Verdict)),
            st.floats(),
        ),
        max_size=6,
    ),
    st.lists(st.builds(exercise, st.sampled_from(["softmax", "other"]), st.floats(), st.floats()), max_size=2),
    latenesses,
)
def test_nothing_makes_a_nan(results, exercises, lateness):
    """Whatever comes in, a score is a finite number, or None on a held record."""
    scored = score(results, exercises, lateness=lateness)
    assert (scored.score is None) == (scored.status is RecordStatus.HELD)
    assert scored.score is None or math.isfinite(scored.score)
    assert all(math.isfinite(step.points) for step in scored.steps)
    assert all(step.text for step in scored.steps)
    assert any(item.verdict.is_ours for item in results) <= (scored.score is None)
