"""Checks: what they say of right and wrong work, whose fault each outcome is, and what is wrong with a check file."""

import math
import re
import textwrap

import numpy as np
import pytest
import torch
from in_process import student_of
from marking import HEAD, collect, results

from grader.checks import close, contract, spy, type_names, watch
from grader.errors import CourseError
from grader.model import Verdict
from grader.wall.faults import Forbidden, Mismatch, NotWritten, Raised, SandboxLost

F64 = torch.float64


@pytest.fixture(autouse=True)
def _global_state():
    """Student code of these tests runs in this process: put back what it may change."""
    threads, dtype, deterministic = torch.get_num_threads(), torch.get_default_dtype(), False
    yield
    torch.set_num_threads(threads)
    torch.set_default_dtype(dtype)
    torch.use_deterministic_algorithms(deterministic)


@pytest.fixture
def mark(tmp_path):
    """Run checks (of the exercise ``double``) on a notebook: the result of each."""

    def run(checks, source="", **options):
        return results(tmp_path, checks, source, **options)

    return run


# -- close: what kind of thing is off ----------------------------------------------------------------------------------


def told(actual, expected, **options):
    """What close tells the student; None when the value is right."""
    try:
        close(actual, expected, **options)
    except Mismatch as mismatch:
        return mismatch.rationale, mismatch.kind
    return None


X = torch.tensor([1.0, -2.0, 3.0, 4.0])


@pytest.mark.parametrize(
    ("actual", "expected", "rationale", "kind"),
    [
        (None, X, "The result is None where a tensor is due: is a return missing?", "type"),
        ([1.0], X, "The result is a list where a tensor is due.", "type"),
        (X.numpy(), X, "The result is a numpy array where a tensor is due.", "type"),
        (torch.tensor(2.0), 2.0, "The result is a tensor where a float is due: .item() gives the number.", "type"),
        (True, 1, "The result is a bool where an int is due.", "type"),
        (1, True, "The result is an int where a bool is due.", "type"),
        ("2", 2, "The result is a string where an int is due.", "type"),
        (X, [1.0], "The result is a tensor where a list is due.", "type"),
        (X[None], X, "The result has shape (1, 4) where (4,) is due.", "shape"),
        ([1], [1, 2], "The result has 1 item where 2 items are due.", "shape"),
        (X.double(), X, "The result has dtype float64 where float32 is due.", "dtype"),
        (X.double(), X.long(), "The result has dtype float64 where int64 is due.", "dtype"),
        (X.where(X > 0, math.nan), X, "The result contains NaN where a number is due.", "value"),
        (X.where(X > 0, math.inf), X, "The result contains an infinity where a finite number is due.", "value"),
        (-X, X, "The result has the wrong sign.", "value"),
        (0 * X, X, "The result is zero where it should not be.", "value"),
        (X / 4, X, "The values of the result are off by a constant factor.", "value"),
        (-2 * X, X, "The values of the result are off by a constant factor.", "value"),
        (X + torch.tensor([0.0, 0, 0, 1]), X, "Some values of the result are off.", "value"),
        (X + 1, X, "The values of the result are off.", "value"),
        (torch.tensor([0.0, 5.0]), torch.tensor([0.0, math.inf]), "The values of the result are off.", "value"),
        (torch.tensor([0.0, 5.0]), torch.tensor([0.0, math.nan]), "The values of the result are off.", "value"),
        (torch.tensor([-math.inf]), torch.tensor([math.inf]), "The values of the result are off.", "value"),
        (torch.tensor([1, 2]), torch.tensor([1, 3]), "The values of the result are off.", "value"),
        (torch.tensor([True]), torch.tensor([False]), "The values of the result are off.", "value"),
        (torch.tensor([1j]), torch.tensor([2j]), "The values of the result are off.", "value"),
        (torch.tensor(3.0), torch.tensor(4.0), "The values of the result are off.", "value"),
        (2.0, 3.0, "The value of the result is off.", "value"),
        (math.nan, 3.0, "The value of the result is off.", "value"),
        (math.inf, 3.0, "The value of the result is off.", "value"),
        (3.0, math.nan, "The value of the result is off.", "value"),
        (-math.inf, math.inf, "The value of the result is off.", "value"),
        ("a", "b", "The value of the result is off.", "value"),
        ({"a": 1}, {"a": 1, "b": 2}, "The keys of the result are off.", "type"),
        ({"a": 1, "b": 1}, {"a": 1, "b": 2}, "The value of the result under 'b' is off.", "value"),
        ((X, -X), (X, X), "Part 2 of the result has the wrong sign.", "value"),
        (np.ones(3), np.zeros(3), "The values of the result are off.", "value"),
        ([1.0], np.ones(1), "The result is a list where a numpy array is due.", "type"),
    ],
)
def test_close_tells_what_kind_of_thing_is_off(actual, expected, rationale, kind):
    """A student learns what kind of thing is wrong, and never a value."""
    assert told(actual, expected) == (rationale, kind)


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        (X.clone(), X),
        (X + 1e-6, X),
        (X.requires_grad_(), X.detach()),
        (torch.tensor([math.nan, math.inf]), torch.tensor([math.nan, math.inf])),
        (torch.empty(0, 3), torch.empty(0, 3)),
        (torch.tensor([1, 2]), torch.tensor([1, 2])),
        (3.0, 3),
        (np.float64(3.0), 3.0),
        (np.float32(0.5), np.float64(0.5)),
        (np.bool_(True), True),
        (math.nan, math.nan),
        (math.inf, math.inf),
        ([1.0, 2.0], (1.0, 2.0)),
        ({"a": [X]}, {"a": [X]}),
        (None, None),
        ("a", "a"),
    ],
)
def test_close_accepts_what_is_right(actual, expected):
    """A right result of any kind is right."""
    assert told(actual, expected) is None


@pytest.mark.parametrize("actual", [10**400, -(10**400), complex(1e308, 1e308)])
def test_a_number_larger_than_a_float_is_off(actual):
    """A whole number of 400 digits where a float is due is a wrong value, not a fault of the check's."""
    with pytest.raises(Mismatch, match="The value of the result is off"):
        close(actual, 1.5)


def test_close_can_leave_the_dtype_open():
    """Where the exercise leaves the dtype open, the less exact of the two decides the tolerance."""
    third = torch.tensor([1 / 3], dtype=F64)
    assert told(third.float(), third, check_dtype=False) is None
    assert told(third.float() + 1e-3, third, check_dtype=False) == ("The values of the result are off.", "value")
    assert told(torch.tensor([1.0, 2.0]), torch.tensor([1, 2]), check_dtype=False) is None


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_a_right_answer_in_another_order_of_operations_is_right(dtype):
    """Summing in another order, a matrix product by einsum or a mean as a sum never costs a point."""
    rng = torch.Generator().manual_seed(5)
    for scale in (1e-3, 1.0, 1e3):
        x = scale * torch.randn(40, 60, generator=rng, dtype=dtype)
        w = torch.randn(60, 7, generator=rng, dtype=dtype)
        close(x.flip(1).softmax(1).flip(1), x.softmax(1))
        close(x - x.exp().sum(1, keepdim=True).log() if scale < 1 else x.log_softmax(1), x.log_softmax(1))
        close(torch.einsum("ij,jk->ik", x, w) / scale, (x @ w) / scale, atol=1e-4 if dtype is torch.float32 else 1e-10,
              rtol=1e-4)  # fmt: skip
        close(x.sum(0).sum() / x.numel() / scale, x.mean() / scale)


def test_the_evidence_is_for_instructors_only():
    """How many values are off, and the worst of them, stand in the evidence and not in what students read."""
    with pytest.raises(Mismatch) as caught:
        close(torch.tensor([1.0, 7.5, 3.0]), torch.tensor([1.0, 2.25, 3.0]))
    assert caught.value.evidence == "1 of 3 are off; the worst: 7.5 instead of 2.25 at (1,)"
    assert "2.25" not in caught.value.rationale + str(caught.value)


def test_a_misconception_is_named_only_when_it_is_the_one():
    """The wrong idea whose output the result equals is named; none when it gives the right answer on these inputs."""
    ideas = {"you forgot the mean": X * 4, "you never looked": lambda: 1 / 0 if False else X + 100}
    for actual, named in ((X * 4, "you forgot the mean"), (X + 100, "you never looked"), (X + 3, None)):
        with pytest.raises(Mismatch) as caught:
            close(actual, X, misconceptions=ideas)
        assert caught.value.misconception == named
    with pytest.raises(Mismatch) as caught:
        close(X * 4, X, misconceptions={"this idea is right here": X.clone(), "summed": X * 4})
    assert caught.value.misconception == "summed"
    with pytest.raises(Mismatch) as caught:
        close(X.sum(), X, misconceptions={"you summed over all": X.sum})
    assert caught.value.misconception == "you summed over all"
    close(X, X, misconceptions={"not computed for a right answer": lambda: 1 / 0})


def test_a_check_that_compares_with_something_strange_is_the_checks_fault():
    """An expected value of a kind that cannot be compared is an error of the check."""
    with pytest.raises(TypeError, match=re.escape("close() cannot compare with a object")):
        close(1, object())


# -- verdicts ----------------------------------------------------------------------------------------------------------

DOUBLE = """
@check("double", points=1)
def test_values(student):
    \"\"\"double gives twice its argument.\"\"\"
    close(student.double(torch.tensor([1.0, 2.0])), torch.tensor([2.0, 4.0]),
          misconceptions={"you squared": torch.tensor([1.0, 4.0])})
"""


def test_a_right_answer_passes_with_all_its_points(mark):
    """A check that holds earns its points and says nothing."""
    result = mark(DOUBLE, "def double(x): return 2 * x")["values"]
    assert (result.verdict, result.earned, result.rationale, result.kind) == (Verdict.PASS, 1.0, None, None)
    assert result.check.line == "double gives twice its argument."
    assert result.attempts == 1


def test_a_wrong_value_fails_with_its_kind_and_misconception(mark):
    """A wrong value is FAIL, says what kind of thing is off, and names the known wrong idea."""
    result = mark(DOUBLE, "def double(x): return x ** 2")["values"]
    assert (result.verdict, result.kind, result.earned) == (Verdict.FAIL, "value", 0.0)
    assert (result.rationale, result.misconception) == ("The values of the result are off.", "you squared")
    assert "1.0 instead of 2.0 at (0,)" in result.evidence


def test_an_exception_is_raised_at_the_students_own_line(mark):
    """What the student's code raises is RAISED, with the cell, the line and its text."""
    source = """
        def inner(x):
            return x["a"]

        def double(x):
            return inner([1])
        """
    result = mark(DOUBLE, source)["values"]
    assert (result.verdict, result.kind) == (Verdict.RAISED, "error")
    assert result.rationale == "Your code raised a TypeError here."
    assert (result.student_cell, result.student_line, result.student_source) == (3, 2, 'return x["a"]')
    assert "list indices must be integers" in result.evidence


def test_what_a_student_prints_into_an_exception_is_shown_for_public_checks_only(mark):
    """The message of an exception could carry a hidden input: it is told for public checks only."""
    source = "def double(x): raise ValueError(f'secret {x.tolist()}')"
    assert mark(DOUBLE, source)["values"].rationale == "Your code raised a ValueError here."
    public = mark(DOUBLE, source, public=True)["values"].rationale
    assert public == "Your code raised a ValueError here. ValueError: secret [1.0, 2.0]"


def test_a_stub_is_not_done_yet(mark):
    """NotImplementedError is RAISED and told as "not done yet"."""
    result = mark(DOUBLE, "def double(x): raise NotImplementedError")["values"]
    assert (result.verdict, result.kind) == (Verdict.RAISED, "not-implemented")
    assert result.rationale == "Not done yet: this part still raises NotImplementedError."


@pytest.mark.parametrize("expected", ["RuntimeError", "NotImplementedError", "(ValueError, RuntimeError)"])
def test_a_stub_never_passes_where_an_error_is_due(mark, expected):
    """NotImplementedError is a RuntimeError in Python; a stub is not accepted for one here."""
    checks = f'''
    @check("double", points=1)
    def test_error(student):
        """double refuses strings."""
        with pytest.raises({expected}):
            student.double("a")
    '''
    result = mark(checks, "def double(x): raise NotImplementedError")["error"]
    assert (result.verdict, result.kind) == (Verdict.RAISED, "not-implemented")


def test_the_right_error_passes_and_a_missing_one_is_told(mark):
    """Where ValueError is due: it passes, none is FAIL, another one is RAISED."""
    checks = '''
    @check("double", points=1)
    def test_error(student):
        """double refuses strings."""
        with pytest.raises(ValueError):
            student.double("a")
    '''
    own = "class Mine(ValueError): pass\ndef double(x): raise Mine('no')"
    assert mark(checks, "def double(x): raise ValueError('no')")["error"].verdict is Verdict.PASS
    assert mark(checks, own)["error"].verdict is Verdict.PASS
    silent = mark(checks, "def double(x): return 2 * x")["error"]
    assert (silent.verdict, silent.kind) == (Verdict.FAIL, "error")
    assert silent.rationale == "An error (ValueError) is due here, and none was raised."
    assert mark(checks, "def double(x): raise TypeError('no')")["error"].verdict is Verdict.RAISED


def test_a_plain_assertion_fails_without_a_word_of_the_test(mark):
    """A bare assert is FAIL; students read the docstring and the hint, never the assertion."""
    checks = '''
    @check("double", points=1, hint="Twice.")
    def test_plain(student):
        """double gives twice its argument."""
        assert student.double(21) == 42, "the answer is 42"
    '''
    result = mark(checks, "def double(x): return x")["plain"]
    assert (result.verdict, result.kind, result.rationale, result.check.hint) == (Verdict.FAIL, "value", None, "Twice.")
    assert "the answer is 42" in result.evidence


def test_fail_ends_a_check_with_a_sentence(mark):
    """A check can say in its own words what is wrong."""
    checks = '''
    @check("double", points=1)
    def test_own(student):
        """double keeps its promise."""
        fail("Your function is too slow.", kind="cost", misconception="you loop")
    '''
    result = mark(checks)["own"]
    assert (result.verdict, result.rationale) == (Verdict.FAIL, "Your function is too slow.")
    assert (result.kind, result.misconception) == ("cost", "you loop")


def test_a_name_that_is_not_defined_is_missing(mark):
    """A check of a name that the notebook lacks is MISSING and names it."""
    result = mark(DOUBLE, "x = 1")["values"]
    assert (result.verdict, result.kind) == (Verdict.MISSING, "missing")
    assert result.rationale == "The notebook does not define `double`."


@pytest.mark.parametrize("returned", ["[1, 2]", "'text'", "{}", "7", "(lambda: 1)"])
def test_a_result_that_the_test_cannot_use_is_the_students_fault(mark, returned):
    """When a test trips over what the student returned, it is FAIL: the reference has passed the same test."""
    checks = '''
    @check("double", points=1)
    def test_uses(student):
        """double gives a tensor."""
        assert student.double(1).mean().item() == 2
    '''
    result = mark(checks, f"def double(x): return {returned}")["uses"]
    assert result.verdict in (Verdict.FAIL, Verdict.RAISED)
    assert result.earned == 0


def test_a_result_that_agrees_with_everything_agrees_with_nobody(mark):
    """An object whose __eq__ is always true is FAIL."""
    checks = '''
    @check("double", points=1)
    def test_equal(student):
        """double gives twice its argument."""
        assert student.double(1) == 2
    '''
    result = mark(checks, "class Yes:\n    def __eq__(self, o): return True\ndef double(x): return Yes()")["equal"]
    assert (result.verdict, result.kind) == (Verdict.FAIL, "type")
    assert result.rationale == "Returned an object of type Yes where a number or a tensor was due."


SLOW = """
import time
def double(x):
    time.sleep(0.6)
    return 2 * x
"""


def impatient(wall, _):
    wall.extend(0.1)
    return wall


SWALLOWING = '''
@check("double", points=1)
def test_swallows(student):
    """double gives twice its argument."""
    try:
        assert student.double(1) == 2
    except BaseException:
        pass
'''


def test_a_call_that_takes_too_long_is_a_timeout(mark):
    """Time used up is TIMEOUT and says how long it was given."""
    result = mark(DOUBLE, SLOW, opened=impatient)["values"]
    assert (result.verdict, result.kind, result.earned) == (Verdict.TIMEOUT, "time", 0.0)
    assert result.rationale == "Your code was still running after 0.1 s."


def test_a_test_that_catches_everything_cannot_hide_a_timeout(mark):
    """Whatever a test does with the exception, a spoiled wall decides the verdict."""
    assert mark(SWALLOWING, SLOW, opened=impatient)["swallows"].verdict is Verdict.TIMEOUT


HOSTILE = """
import sys
def double(x):
    frame = sys._getframe()
    while "channel" not in dir(frame.f_locals.get("self")):
        frame = frame.f_back
    frame.f_locals["self"].channel.sock.sendall(b"PASS" * 100)
    return 2 * x
"""


@pytest.mark.parametrize(("checks", "name"), [(DOUBLE, "values"), (SWALLOWING, "swallows")])
def test_breaking_the_protocol_is_a_violation(mark, checks, name):
    """A process that writes to the wall itself gets VIOLATION, also where the test catches everything."""
    result = mark(checks, HOSTILE)[name]
    assert (result.verdict, result.kind) == (Verdict.VIOLATION, "protocol")
    assert result.rationale == "Your code broke the marker's protocol."


def test_running_out_of_memory_is_memory(mark):
    """A MemoryError of the student's is MEMORY."""
    result = mark(DOUBLE, "def double(x): raise MemoryError")["values"]
    assert (result.verdict, result.kind) == (Verdict.MEMORY, "memory")


CHAIN = '''
@check("double", points=1)
def test_last(student):
    """double works for all."""
    assert student.double(3) == 6

@check("double", points=1, depends="last")
def test_after(student):
    """double works for all of all."""

@check("double", points=2, gate=True)
def test_gate(student):
    """double works at all."""
    assert student.double(1) == 2
'''


def test_what_depends_on_a_failed_check_is_skipped(mark):
    """Without its gate an exercise earns nothing, and the skipped checks name what they wait for."""
    found = mark(CHAIN, "def double(x): return x * 3")
    assert list(found) == ["gate", "last", "after"], "gates come before what depends on them"
    assert [each.verdict for each in found.values()] == [Verdict.FAIL, Verdict.SKIPPED, Verdict.SKIPPED]
    assert found["last"].rationale == "Waits for another check that does not pass yet: “double works at all.”"
    assert found["last"].kind == "dependency"
    partly = mark(CHAIN, "def double(x): return 2")
    assert [each.verdict for each in partly.values()] == [Verdict.PASS, Verdict.FAIL, Verdict.SKIPPED]
    assert partly["after"].rationale == "Waits for another check that does not pass yet: “double works for all.”"
    assert {each.verdict for each in mark(CHAIN, "def double(x): return 2 * x").values()} == {Verdict.PASS}


THREE = '''
@check("double", points=1)
def test_one(student):
    """double works for 1."""
    assert student.double(1) == 2

@check("double", points=1)
def test_two(student):
    """double works for 2."""
    assert student.double(2) == 4

@check("double", points=2, depends="two")
def test_three(student):
    """double works for 3."""
    assert student.double(3) == 6
'''


def test_an_audit_stops_when_it_knows_enough(mark):
    """What it wants to know of comes first, with what that depends on; the rest only until one has failed."""
    triple = "def double(x): return 3 * x"
    found = mark(THREE, triple, enough=())
    assert [(name, each.verdict, each.kind) for name, each in found.items()] == [
        ("one", Verdict.FAIL, "value"),
        ("two", Verdict.SKIPPED, "left out"),
        ("three", Verdict.SKIPPED, "left out"),
    ]
    found = mark(THREE, triple, enough=("three",))
    assert [(name, each.verdict, each.kind) for name, each in found.items()] == [
        ("two", Verdict.FAIL, "value"),
        ("three", Verdict.SKIPPED, "dependency"),
        ("one", Verdict.SKIPPED, "left out"),
    ]
    found = mark(THREE, "def double(x): return 2 * x", enough=("three",))
    assert {each.verdict for each in found.values()} == {Verdict.PASS}


@pytest.mark.parametrize(
    "checks",
    [
        "    undefined_name\n",
        "    student.double(1); undefined_name\n",
        "    open('/nowhere/at/all')\n",
        "    import nothing_there\n",
        "    raise MemoryError\n",
        "    pytest.skip('later')\n",
        "    [].pop()\n",
    ],
)
def test_a_bug_in_a_test_is_ours_and_tried_twice(mark, checks):
    """A check that fails by its own fault is BROKEN: run once more, never scored, and the student is told so."""
    header = '@check("double", points=1)\ndef test_bug(student):\n    """double is checked."""\n'
    result = mark(header + checks, "def double(x): return 2 * x")["bug"]
    assert (result.verdict, result.attempts, result.earned) == (Verdict.BROKEN, 2, 0.0)
    assert result.kind == "ours"
    assert result.rationale == "This check could not be run. That is not your fault: your instructor looks."


def test_a_broken_fixture_is_ours(mark):
    """A fixture of the check file that fails, before or after the test, is BROKEN."""
    checks = '''
    @pytest.fixture
    def data():
        return 1 / 0

    @pytest.fixture
    def late():
        yield 1
        raise ValueError("clean-up")

    @check("double", points=1)
    def test_before(student, data):
        """double is checked."""

    @check("double", points=1)
    def test_after(student, late):
        """double is checked again."""
        assert student.double(1) == 5
    '''
    found = mark(checks, "def double(x): return 2 * x")
    assert {(each.verdict, each.attempts) for each in found.values()} == {(Verdict.BROKEN, 2)}


def test_a_check_is_run_again_when_only_the_first_try_broke(mark):
    """A sandbox that fails once costs nobody anything: the second try decides, and the record says so."""

    def flaky(wall, number):
        if number == 1:
            raise SandboxLost("gone")
        return wall

    result = mark(DOUBLE, "def double(x): return 2 * x", opened=flaky)["values"]
    assert (result.verdict, result.attempts, result.earned) == (Verdict.PASS, 2, 1.0)

    def gone(wall, number):
        raise SandboxLost("gone")

    result = mark(DOUBLE, "def double(x): return 2 * x", opened=gone)["values"]
    assert (result.verdict, result.attempts, result.evidence) == (Verdict.BROKEN, 2, "sandbox: gone")


def test_cases_of_a_function_form_one_check(mark):
    """A parametrised function is one check: all of its cases must hold."""
    checks = '''
    @check("double", points=3)
    @pytest.mark.parametrize("x", [1, 2, 3])
    @pytest.mark.parametrize("sign", [1, -1])
    def test_cases(student, x, sign):
        """double gives twice its argument."""
        assert student.double(sign * x) == 2 * sign * x
    '''
    right = mark(checks, "def double(x): return 2 * x")
    assert [(name, each.verdict, each.earned) for name, each in right.items()] == [("cases", Verdict.PASS, 3.0)]
    wrong = mark(checks, "def double(x): return 2 * x if x != -3 else 0")
    assert [(name, each.verdict, each.earned) for name, each in wrong.items()] == [("cases", Verdict.FAIL, 0.0)]


def test_checks_in_a_class_are_checks(mark):
    """Checks can be grouped in a class, which gives them its name."""
    checks = '''
    class TestDouble:
        @check("double", points=1)
        def test_values(self, student):
            """double gives twice its argument."""
            assert student.double(1) == 2
    '''
    assert mark(checks, "def double(x): return 2 * x")["Double.values"].verdict is Verdict.PASS


def test_inputs_are_the_same_for_everybody_and_follow_the_seed(mark):
    """The same seed gives every student the same inputs, on both sides of the wall; another seed gives others."""
    checks = '''
    @check("double", points=1)
    def test_numbers(student, rng):
        """double gives twice its argument."""
        fail(f"{torch.rand(1, generator=rng).item()} {torch.rand(1).item()} {np.random.rand()} {student.draw(0)}")

    @check("double", points=1)
    def test_others(student, rng):
        """double gives twice its argument."""
        fail(f"{torch.rand(1, generator=rng).item()}")
    '''
    source = "import random\ndef draw(_): return [torch.rand(1).item(), random.random()]"
    one, same, other = (mark(checks, source, seed=seed) for seed in (1, 1, 2))
    assert {name: each.rationale for name, each in one.items()} == {name: each.rationale for name, each in same.items()}
    assert one["numbers"].rationale != other["numbers"].rationale
    assert one["numbers"].rationale.split()[0] != one["others"].rationale


def test_a_check_that_changes_torch_does_not_change_it_for_the_next(mark):
    """Grad mode and default dtype are put back between checks."""
    checks = '''
    @check("double", points=1)
    def test_first(student):
        """double is checked."""
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)

    @check("double", points=1)
    def test_second(student):
        """double is checked again."""
        assert torch.get_default_dtype() is torch.float32
        assert torch.is_grad_enabled()
    '''
    assert {each.verdict for each in mark(checks).values()} == {Verdict.PASS}


def test_a_gradient_that_does_not_flow_is_told_as_such(mark):
    """A detached result, and a wrong derivative, are FAIL of the kind "gradient"."""
    checks = '''
    @check("double", points=1)
    def test_flows(student):
        """The gradient of double is 2."""
        x = torch.ones(2, dtype=torch.float64, requires_grad=True)
        student.double(x).sum().backward()
        close(x.grad, torch.full((2,), 2.0, dtype=torch.float64), what="the gradient")

    @check("double", points=1)
    def test_derivative(student):
        """The gradient of double is its derivative."""
        torch.autograd.gradcheck(student.double, torch.ones(2, dtype=torch.float64, requires_grad=True))
    '''
    wrong = """
    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x): return 2 * x
        @staticmethod
        def backward(ctx, g): return 3 * g
    def double(x): return Double.apply(x)
    """
    right = mark(checks, "def double(x): return 2 * x")
    assert {each.verdict for each in right.values()} == {Verdict.PASS}
    found = mark(checks, wrong)
    assert found["flows"].rationale == "The values of the gradient are off by a constant factor."
    assert (found["derivative"].verdict, found["derivative"].kind) == (Verdict.FAIL, "gradient")
    assert found["derivative"].rationale == "The gradient is not the derivative of the result."
    detached = mark(checks, "def double(x): return 2 * x.detach()")
    assert {(each.verdict, each.kind) for each in detached.values()} == {(Verdict.FAIL, "gradient")}
    no_gradient = "No gradient flows through the result: it does not depend on the input."
    assert detached["flows"].rationale == no_gradient


def test_students_never_read_the_test(mark):
    """No rationale holds a path, a traceback or an expected value."""
    checks = '''
    @check("double", points=1)
    def test_secret(student):
        """double gives twice its argument."""
        secret = 123.456
        assert student.double(secret) == 246.912
    '''
    for source in ("def double(x): return 1", "def double(x): return None", "def double(x): return []", ""):
        result = mark(checks, source)["secret"]
        shown = f"{result.rationale} {result.misconception} {result.student_source}"
        assert not re.search(r"/|Traceback|123\.456|246\.912|File", shown), shown


# -- contract ----------------------------------------------------------------------------------------------------------

CONTRACT = """
import random
import numpy as np

class Scaler:
    def __init__(self, x): self.x = x

def honest(x, y=None): return 2 * x
def number(x): return x.sum().item()
def count(x): return int(x.numel())
def several(x): return {"a": [x * 2, 3.0], "b": ("text", None, True)}
def thing(x): return Scaler(x * 2)
def array(x): return np.ones(3)
def scalar(x): return np.float32(3.0)
def other_array(x): return np.random.default_rng().random(3)
def nan(x): return x * float("nan")
def labels(x, y): return x[torch.arange(len(y)), y]
def cached(x): return (x - x.max(dim=-1, keepdim=True).values).exp()
def stepwise(x):
    y = x.clone()
    y += 1
    return y
def with_grad(x):
    inner = x.detach().clone().requires_grad_()
    (g,) = torch.autograd.grad((inner ** 2).sum(), inner)
    return g
def draws(x, generator): return torch.rand(3, generator=generator)
def local_seed(x):
    state = torch.get_rng_state()
    torch.manual_seed(0)
    r = torch.rand(3)
    torch.set_rng_state(state)
    return r
def dropout(x): return torch.nn.functional.dropout(x, 0.5)

def adds(x):
    x.add_(1)
    return 2 * x
def adds_and_takes_back(x):
    x.add_(1)
    y = 2 * x
    x.sub_(1)
    return y
def through_data(x):
    x.data[0] = 9
    return 2 * x.detach()
def switches(x):
    x.requires_grad_(True)
    return (2 * x).detach()
def fills_grad(x):
    with torch.enable_grad():
        (2 * x).sum().backward()
    return (2 * x).detach()
def zeroes_grad(x):
    x.grad = None
    return (2 * x).detach()
def list_grows(xs):
    xs.append(torch.zeros(1))
    return xs[0] * 2
def changes_y(x, y):
    y += 1
    return 2 * x
def view(x): return x.view(-1)
def same(x): return x
def part(x): return {"a": [2 * x, x[0]]}
def torch_rng(x): return 2 * x + 0 * torch.rand(1)
def numpy_rng(x): return 2 * x + 0 * np.random.rand()
def python_rng(x): return 2 * x + 0 * random.random()
def seeds(x):
    torch.manual_seed(0)
    return 2 * x
def grad_off(x):
    torch.set_grad_enabled(False)
    return 2 * x
def dtype(x):
    torch.set_default_dtype(torch.float64)
    return 2 * x
def threads(x):
    torch.set_num_threads(torch.get_num_threads() + 1)
    return 2 * x
def deterministic(x):
    torch.use_deterministic_algorithms(True)
    return 2 * x
def contiguous_only(x):
    if not x.is_contiguous():
        raise RuntimeError("view size is not compatible")
    return 2 * x
def wrong_when_strided(x): return 2 * torch.as_strided(x, x.shape, (x.shape[-1], 1))
calls = 0
def counts(x):
    global calls
    calls += 1
    return x * calls
def stub(x): raise NotImplementedError
def raises(x): return x[100]
"""


@pytest.fixture(scope="module")
def functions():
    with student_of(CONTRACT) as student:
        yield student


@pytest.mark.parametrize(
    ("name", "kind", "sentence"),
    [
        ("adds", "mutation", "Your function changes its first argument."),
        ("adds_and_takes_back", "mutation", "Your function changes its first argument."),
        ("through_data", "mutation", "Your function changes its first argument."),
        ("switches", "mutation", "Your function changes its first argument."),
        ("view", "alias", "The result shares memory with the first argument: return a new tensor."),
        ("same", "alias", "The result shares memory with the first argument: return a new tensor."),
        ("part", "alias", "The result shares memory with the first argument: return a new tensor."),
        ("torch_rng", "randomness", "Your function touches the global random generator of torch."),
        ("seeds", "randomness", "Your function touches the global random generator of torch."),
        ("numpy_rng", "randomness", "Your function touches the global random generator of numpy."),
        ("python_rng", "randomness", "Your function touches the global random generator of random."),
        ("grad_off", "side-effect", "Your function leaves a global setting changed: grad mode."),
        ("dtype", "side-effect", "Your function leaves a global setting changed: default dtype."),
        ("threads", "side-effect", "Your function leaves a global setting changed: number of threads."),
        ("deterministic", "side-effect", "Your function leaves a global setting changed: deterministic algorithms."),
        (
            "contiguous_only",
            "strided",
            "Your function fails, or gives something else, for tensors that are not contiguous (such as x.t()).",
        ),
        (
            "wrong_when_strided",
            "strided",
            "Your function fails, or gives something else, for tensors that are not contiguous (such as x.t()).",
        ),
        ("other_array", "determinism", "Called again with the same arguments, your function gives something else."),
        ("counts", "determinism", "Called again with the same arguments, your function gives something else."),
    ],
)
def test_the_contract_names_what_a_function_does_besides_returning(name, kind, sentence):
    """Every side effect is FAIL, with a sentence that says which."""
    with student_of(CONTRACT) as student, pytest.raises(Mismatch) as caught:
        contract(getattr(student, name), torch.randn(3, 4))
    assert (caught.value.kind, caught.value.rationale) == (kind, sentence)


def test_the_contract_sees_a_function_seed_although_it_did_so_before():
    """The generator is not where the function's own seed would leave it."""
    with student_of(CONTRACT) as student:
        student.seeds(torch.ones(3))
        with pytest.raises(Mismatch, match="touches the global random generator of torch"):
            contract(student.seeds, torch.ones(3))


def test_the_contract_watches_grad_and_every_argument(functions):
    """A gradient that is filled or thrown away, a list that grows, and the second argument are seen too."""
    x = torch.randn(3, requires_grad=True)
    with pytest.raises(Mismatch, match="changes its first argument"):
        contract(functions.fills_grad, x)
    x.grad = torch.ones(3)
    with pytest.raises(Mismatch, match="changes its first argument"):
        contract(functions.zeroes_grad, x)
    with pytest.raises(Mismatch, match="changes its first argument"):
        contract(functions.list_grows, [torch.ones(3)])
    with pytest.raises(Mismatch, match="changes its second argument"):
        contract(functions.changes_y, torch.ones(3), torch.zeros(3))
    with pytest.raises(Mismatch, match="changes its argument y"):
        contract(functions.changes_y, torch.ones(3), y=torch.zeros(3))


@pytest.mark.parametrize(
    "name",
    ["honest", "number", "count", "several", "nan", "cached", "stepwise", "with_grad", "array", "scalar", "local_seed"],
)
def test_the_contract_lets_honest_functions_pass(functions, name):
    """Functions that only return keep the contract, whatever kind of thing they return."""
    value = contract(getattr(functions, name), torch.randn(3, 4, dtype=F64))
    assert value is not None
    contract(getattr(functions, name), torch.randn(3, 4, requires_grad=True))


def test_the_contract_gives_the_result_back(functions):
    """It returns what the first call returned, gradients attached; objects too."""
    x = torch.ones(3, requires_grad=True)
    result = contract(functions.honest, x, y=None)
    result.sum().backward()
    assert x.grad.tolist() == [2, 2, 2]
    assert contract(functions.labels, torch.eye(3), torch.tensor([0, 1, 2])).tolist() == [1, 1, 1]
    assert contract(functions.thing, torch.ones(2)).x.tolist() == [2, 2]


def test_randomness_is_allowed_where_the_exercise_asks_for_it(functions):
    """With draws_rng the global generator may be used; a generator that is handed in is set back before each call."""
    contract(functions.dropout, torch.ones(8), draws_rng=True)
    contract(functions.draws, torch.ones(8), torch.Generator().manual_seed(3))
    contract(functions.same, torch.ones(8), may_alias=True)
    with pytest.raises(Mismatch, match="global random generator of torch"):
        contract(functions.dropout, torch.ones(8))


def test_what_the_function_raises_is_told_as_it_is(functions):
    """In the contract's first call a stub is a stub, and an error is an error."""
    with pytest.raises(NotWritten):
        contract(functions.stub, torch.ones(3))
    with pytest.raises(Raised, match="Your code raised an IndexError here"):
        contract(functions.raises, torch.ones(3))


def test_contract_and_watch_need_a_function_of_the_students():
    """A check that hands them something else is in error, and says how it should read."""
    with pytest.raises(TypeError, match=r"contract\(\) needs a function of the student's, such as student.softmax"):
        contract(torch.softmax, torch.ones(3), 0)
    with pytest.raises(TypeError, match=r"watch\(\) needs a function of the student's, such as student.softmax"):
        watch(torch.softmax, torch.ones(3), 0)


# -- watch, forbid, probe, spy -----------------------------------------------------------------------------------------


def test_watch_counts_operators_bytes_and_what_is_printed():
    """One call with facts: operators by name, peak bytes, printed text, changed arguments, aliases."""
    source = """
        def loop(x):
            print("hello")
            total = torch.zeros(())
            for i in range(len(x)):
                total = total + x[i] * 2
            return total
        def vector(x): return (x * 2).sum()
        def views(x): return x.t().reshape(-1)[:2]
        """
    with student_of(source) as student:
        x = torch.ones(50)
        slow, fast = watch(student.loop, x), watch(student.vector, x)
        assert slow.value == fast.value == 100
        assert (slow.stdout, fast.stdout) == ("hello\n", "")
        assert (slow.ops["aten::mul"], fast.ops["aten::mul"]) == (50, 1)
        assert slow.op_count > 100
        assert fast.op_count < 10
        assert fast.peak_bytes >= 200
        assert watch(student.vector, x, backward=True).op_count > fast.op_count
        flat = watch(student.views, torch.ones(1, 4))
        assert (flat.op_count, flat.aliases) == (0, (("", "0"),))
        assert flat.mutated == flat.rng_used == flat.flags_changed == ()


FORBIDDING = '''
FORBIDDEN = [forbid("double", names=("torch.softmax", "torch.Tensor.softmax"), ops=("aten::_softmax",),
                    instead="exp and sum"), forbid("*", names=("torch.exp2",))]

@check("double", points=1)
def test_values(student):
    """double is right."""
    student.double(torch.ones(3))

@check("double", points=1)
def test_swallows(student):
    """double is right."""
    try:
        student.double(torch.ones(3))
    except ValueError:
        pass
'''


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ("torch.softmax(x, 0)", "torch.softmax"),
        ("x.softmax(0)", "torch.Tensor.softmax"),
        ("torch.nn.functional.softmax(x, 0)", "aten::_softmax"),
        ("torch.exp2(x)", "torch.exp2"),
    ],
)
def test_forbidden_functions_end_the_check(mark, body, name):
    """A forbidden function is FAIL under every name, and says what to write instead."""
    found = mark(FORBIDDING, f"def double(x): return {body}")
    for result in found.values():
        assert (result.verdict, result.kind) == (Verdict.FAIL, "forbidden")
        assert result.rationale.endswith("is not allowed in this exercise; use exp and sum.")


def test_a_student_cannot_hide_the_use_of_something_forbidden(mark):
    """Catching the error changes nothing: the use was noted."""
    source = """
        def double(x):
            try:
                return torch.softmax(x, 0)
            except BaseException:
                return 2 * x
        """
    assert {each.kind for each in mark(FORBIDDING, source).values()} == {"forbidden"}
    assert {each.verdict for each in mark(FORBIDDING, "def double(x): return 2 * x").values()} == {Verdict.PASS}


def test_a_probe_runs_beside_the_students_code(mark):
    """A probe sees the notebook's names and ends in a value that is judged outside; its errors name no hidden line."""
    checks = '''
    @probe
    def doubled(student, values):
        return [student.double(v) for v in values]

    @check("double", points=1)
    def test_probe(student):
        """double gives twice its argument."""
        close(doubled(student, [1, 2, 3]), [2, 4, 6])

    @check("double", points=1)
    def test_without(student):
        """double is checked."""
        doubled(None, [1])
    '''
    found = mark(checks, "def double(x): return 2 * x")
    assert found["probe"].verdict is Verdict.PASS
    assert found["without"].verdict is Verdict.BROKEN
    assert "the probe doubled must be called with `student`" in found["without"].evidence
    wrong = mark(checks, "def double(x): return 2 * x if x < 3 else 0")["probe"]
    assert (wrong.verdict, wrong.rationale) == (Verdict.FAIL, "The value of part 3 of the result is off.")
    assert mark(checks, "def double(x): raise NotImplementedError")["probe"].kind == "not-implemented"
    assert mark(checks, "")["probe"].verdict in (Verdict.MISSING, Verdict.RAISED)


def test_a_spy_counts_and_refuses():
    """A spied function counts calls and samples, and answers no more than its budget."""
    with student_of("def ask(f, n): return sum(f(torch.ones(4)).item() for _ in range(n))") as student:
        counted = spy(torch.sum)
        assert student.ask(counted, 3) == 12
        assert (counted.calls, counted.samples) == (3, 12)
        with pytest.raises(Raised) as caught:
            student.ask(spy(torch.sum, max_calls=2), 3)
        assert "only 2 calls of this function are allowed" in caught.value.evidence
        with pytest.raises(Raised) as caught:
            student.ask(spy(torch.sum, max_samples=7), 2)
        assert "only 7 samples may be put to this function" in caught.value.evidence


def test_type_names_tell_an_objects_classes(functions):
    """A check can ask what a student's object is; plain data is no object of a class of theirs."""
    assert type_names(functions.thing(torch.ones(1)))[0].endswith("Scaler")
    with pytest.raises(Mismatch, match="An object of your own class is due here"):
        type_names(torch.ones(1))


def test_forbidden_is_a_fault_of_its_own():
    """What is forbidden is no exception that a test could expect."""
    assert not issubclass(Forbidden, AssertionError | ValueError | RuntimeError)


# -- what is wrong with a check file -----------------------------------------------------------------------------------

FIRST = HEAD.count("\n") + 1
"""Line of the first line below the head."""

ONE = '@check("double", points=1)\ndef test_{}(student):\n    """It holds."""\n'


@pytest.mark.parametrize(
    ("checks", "message"),
    [
        ("", "test_hidden.py: there is no check in these files\n  → write one, or see docs/writing-checks.md"),
        (
            'def test_a(student):\n    """It holds."""\n',
            'test_hidden.py:5 test_a: a check without points\n  → write @check("<exercise>", points=…) above it',
        ),
        (
            '@check("double")\ndef test_a(student):\n    """It holds."""\n',
            (
                "test_hidden.py:5: cannot be read as a check file: TypeError: check() missing 1 required keyword-only "
                "argument: 'points'\n  → run it with pytest to see the whole traceback"
            ),
        ),
        (
            ONE.format("a").replace("points=1", "points=float('nan')"),
            (
                'test_hidden.py:5 test_a: points=nan is no number of points\n  → write @check("<exercise>", points=…) '
                "above it"
            ),
        ),
        (
            ONE.format("a").replace("points=1", "points=-1"),
            (
                'test_hidden.py:5 test_a: points=-1 is no number of points\n  → write @check("<exercise>", points=…) '
                "above it"
            ),
        ),
        (
            '@check("double", points=1)\ndef test_a(student):\n    pass\n',
            (
                "test_hidden.py:5 test_a: a check without a docstring\n"
                "  → write a docstring: it is the sentence that students read"
            ),
        ),
        (
            ONE.format("a").replace("double", "triple"),
            (
                "test_hidden.py:5 test_a: the exercise 'triple' is not in course.yaml\n"
                "  → use one of double, or add it to course.yaml"
            ),
        ),
        (
            ONE.format("a") + ONE.format("a"),
            "test_hidden.py:9 test_a: two checks are called a, here and in line 6\n  → rename one of them",
        ),
        (
            ONE.format("a").replace("points=1", "points=1, depends='b'"),
            "test_hidden.py:5 test_a: depends on an unknown check 'b'\n  → known checks: a",
        ),
        (
            ONE.format("a").replace("=1", "=1, depends='b'") + ONE.format("b").replace("=1", "=0, depends=['a']"),
            (
                "test_hidden.py:5 test_a: checks depend on each other in a circle: a → b → a\n"
                "  → remove one of these dependencies"
            ),
        ),
        (
            ONE.format("a").replace("points=1", "points=1, depends='a'"),
            (
                "test_hidden.py:5 test_a: checks depend on each other in a circle: a → a\n"
                "  → remove one of these dependencies"
            ),
        ),
        (
            ONE.format("a").replace("points=1", "points=4"),
            (
                "test_hidden.py: the checks of exercise 'double' are worth 4 points in all, course.yaml says 1\n"
                "  → change the points of a check, or the exercise's points in course.yaml"
            ),
        ),
        (
            ONE.format("a").replace("(student)", "(student, model)"),
            (
                "test_hidden.py:5 test_a: there is no fixture 'model'\n"
                "  → checks can use student, reference, rng, device and given, and fixtures of their own file"
            ),
        ),
        (
            "x = 1\ndef broken(:\n",
            (
                "test_hidden.py:6: cannot be read as a check file: SyntaxError: invalid syntax\n"
                "  → run it with pytest to see the whole traceback"
            ),
        ),
        (
            "import nothing_there\n",
            (
                "test_hidden.py:5: cannot be read as a check file: ModuleNotFoundError: No module named 'nothing_there'"
                "\n  → run it with pytest to see the whole traceback"
            ),
        ),
        (
            'def build():\n    raise ValueError("no data\\nat all")\n\nDATA = build()\n',
            (
                "test_hidden.py:6: cannot be read as a check file: ValueError: no data\n"
                "  → run it with pytest to see the whole traceback"
            ),
        ),
        (
            'FORBIDDEN = [forbid("dubble", names=("torch.add",))]\n' + ONE.format("a"),
            (
                "test_hidden.py FORBIDDEN: the exercise 'dubble' is not in course.yaml\n"
                "  → use one of double, or add it to course.yaml"
            ),
        ),
        (
            'FORBIDDEN = forbid("double", names=("torch.add",))\n' + ONE.format("a"),
            (
                "test_hidden.py FORBIDDEN: FORBIDDEN must be a list of forbid(…)\n"
                '  → write FORBIDDEN = [forbid("<exercise>", names=…), …]'
            ),
        ),
    ],
)
def test_a_wrong_check_file_is_told_with_its_place_and_remedy(tmp_path, monkeypatch, checks, message):
    """Whatever is wrong in a check file stops everything before a submission is seen, with file, line and remedy."""
    assert FIRST == 5
    monkeypatch.chdir(tmp_path)
    used = []
    with pytest.raises(CourseError) as caught:
        collect(tmp_path, checks, used.append)
    assert str(caught.value) == message
    assert not used


def test_a_check_file_that_is_missing_is_told(tmp_path, monkeypatch):
    """A missing check file is an error with its path."""
    from grader.checks.collect import CheckFile, collecting
    from grader.model import Visibility

    monkeypatch.chdir(tmp_path)
    with pytest.raises(CourseError) as caught:
        collecting([CheckFile(path=tmp_path / "test_x.py", visibility=Visibility.HIDDEN)], [], lambda _: None)
    assert str(caught.value) == ("test_x.py: there is no such check file\n  → write it, or see docs/writing-checks.md")


def test_two_files_cannot_hold_checks_of_one_name(tmp_path, monkeypatch):
    """The public and the hidden file share one list of names."""
    from grader.checks.collect import CheckFile, collecting
    from grader.model import ExerciseSpec, Visibility

    monkeypatch.chdir(tmp_path)
    files = []
    for name in ("test_public.py", "test_hidden.py"):
        (tmp_path / name).write_text(HEAD + ONE.format("a"))
        files.append(CheckFile(path=tmp_path / name, visibility=Visibility.HIDDEN))
    with pytest.raises(CourseError) as caught:
        collecting(files, [ExerciseSpec(id="double", title="", points=2.0)], lambda _: None)
    assert str(caught.value) == "test_hidden.py:5 test_a: two checks are called a\n  → rename one of them"


def test_a_check_file_is_read_anew_each_time(tmp_path):
    """A student's kernel outlives many versions of its checks: the newest is what counts."""
    lines = []
    for line in ("First.", "Second."):
        collect(
            tmp_path,
            f'@check("double", points=1)\ndef test_a(student):\n    """{line} {"x" * len(lines)}"""\n',
            lambda collected: lines.append(collected.specs[0].line),
        )
    assert lines == ["First.", "Second. x"]


def test_specs_carry_what_the_marker_says(tmp_path):
    """Line, hint, gate, dependencies and version are read from the file."""
    found = []
    collect(
        tmp_path,
        textwrap.dedent('''
        @check("double", points=0.5, gate=True, hint="Think.")
        def test_a(student):
            """It holds,
            even here.

            Not shown.
            """

        @check("double", points=0.5, depends=("a",))
        def test_b(student):
            """It holds too."""
        '''),
        lambda collected: found.extend(collected.specs),
    )
    first, second = found
    assert (first.id, first.line, first.hint, first.gate) == ("a", "It holds, even here.", "Think.", True)
    assert (second.depends, second.hint, second.gate) == (("a",), None, False)
    assert first.source_hash != second.source_hash
    assert re.fullmatch("[0-9a-f]{64}", first.source_hash)
