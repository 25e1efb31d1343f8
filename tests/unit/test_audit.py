"""The parts of an audit: variants are read strictly, mutants are small and honest, findings say what to mend."""

import ast
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.audit import Subject, planned
from grader.audit.generic import KINDS, wrapping
from grader.audit.mutants import mutants
from grader.audit.variants import Variant, read_declared, read_variants
from grader.config import load_course
from grader.errors import CourseError

ROOT = Path(__file__).parents[2]


def changes(source):
    """What becomes of one cell: (was, now) of each mutant."""
    return {(mutant.was, mutant.now) for mutant in mutants(source, exercise="one", cell=0)}


def of_line(line):
    """What becomes of one line in a function."""
    return {now for _, now in changes(f"def f(x, y):\n    {line}\n")}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("return x < y", {"return x <= y"}),
        ("return x is None", {"return x is not None"}),
        ("return 0 <= x < y", {"return 1 <= x < y", "return 0 < x < y", "return 0 <= x <= y"}),
        ("return x + y", {"return x - y"}),
        ("return (x) * (y)", {"return (x) / (y)"}),
        ("return x ** y", {"return x * y"}),
        ("return -x", {"return (x)"}),
        ("return x.sum(dim=-1)", {"return x.sum(dim=-2)", "return x.mean(dim=-1)"}),
        ("return x.sum(0, keepdim=True)", {"return x.sum(1, keepdim=True)", "return x.mean(0, keepdim=True)",
                                           "return x.sum(0, keepdim=False)"}),
        ("return x.clone()", {"return x"}),
        ("x[0] = y", {"x[1] = y", "pass"}),
        ("x += y", {"x -= y", "pass"}),
        ("x.add_(y)", {"pass"}),
        ("return x and not y", {"return x or not y", "return x and (y)"}),
        ("return x if y else 2.5", {"return x if not (y) else 2.5", "return x if y else 5.0"}),
        ("return 'é' + x", {"return 'é' - x"}),
    ],
)  # fmt: skip
def test_operators_of_mutation(line, expected):
    """Each kind of change is made once, in its place, and the rest of the line stays."""
    assert of_line(line) == expected


def test_guards_are_dropped():
    """A guard that raises is taken away; what it says is not touched."""
    source = 'def f(x):\n    if x < 1:\n        raise ValueError(f"{x + 1} is less than 1")\n'
    assert changes(source) == {("if x < 1:", "if False:"), ("if x < 1:", "if x <= 1:"), ("if x < 1:", "if x < 2:")}


def test_text_that_is_no_code_is_left_alone():
    """Docstrings, annotations, imports and plain decorators have no mutants."""
    source = '''\
from torch import Tensor


class A:
    """1 < 2."""

    @staticmethod
    def f(x: "1 + 1", y: tuple[int, ...]) -> "2 < 1":
        """3 + 4."""
        z: "5 - 1" = x
        return z
'''
    assert changes(source) == set()


@pytest.mark.parametrize("path", sorted((ROOT / "solutions").glob("*/correct/*.py")), ids=lambda path: path.stem)
def test_mutants_of_real_code_compile_and_differ(path):
    """Every mutant of real code is other code that compiles, and none is made twice."""
    source = path.read_text(encoding="utf-8")
    found = mutants(source, exercise="one", cell=3)
    assert found
    assert len({mutant.source for mutant in found}) == len(found)
    for mutant in found:
        compile(mutant.source, path.name, "exec")
        assert mutant.source != source
        assert mutant.was != mutant.now
        assert (mutant.exercise, mutant.cell) == ("one", 3)


@given(st.lists(st.sampled_from(["x = x + 1", "if x > 2:\n    y = 3", "x.clone()", "# é", "", "y = 'ü' + x"])))
def test_mutants_change_one_place(lines):
    """A mutant differs from the source in one run of characters."""
    source = "\n".join(lines)
    for mutant in mutants(source, exercise="one", cell=0):
        before, after = source.encode(), mutant.source.encode()
        start = next(i for i, (a, b) in enumerate(zip(before + b"\0", after + b"\1", strict=False)) if a != b)
        assert mutant.line == before[:start].count(b"\n") + 1 or before[start - 1 : start] == b"\n"
        ast.parse(mutant.source)


@pytest.mark.parametrize("kind", KINDS)
def test_wrappers_wrap(kind):
    """A wrapped function, static method and method do something else than the right ones; other values become None."""
    source = """\
import torch


def double(x):
    return 2 * x


class Doubler:
    def __init__(self, factor=2):
        self.factor = factor

    def scale(self, x):
        return self.factor * x

    @staticmethod
    def double(x):
        return 2 * x


answer = {"a": 1}
"""
    grad, state = None, None
    import torch

    space = {}
    exec(source + wrapping(kind, ["double", "Doubler", "answer"]), space)
    assert space["answer"] is None
    for function in (space["double"], space["Doubler"]().scale, space["Doubler"].double):
        x = torch.arange(6.0, dtype=torch.float64).reshape(2, 3).t().requires_grad_()
        before, grad, state = x.detach().clone(), torch.is_grad_enabled(), torch.get_rng_state()
        seen = []
        try:
            result = function(x)
            seen += [result is None or result is x, not torch.equal(x.detach(), before)]
            if isinstance(result, torch.Tensor):
                seen += [not torch.equal(result, 2 * before), result.dtype != x.dtype, not result.requires_grad]
        except (NotImplementedError, RuntimeError):
            seen.append(True)
        seen += [torch.is_grad_enabled() != grad, not torch.equal(torch.get_rng_state(), state)]
        torch.set_grad_enabled(grad)
        torch.set_rng_state(state)
        if kind != "float64":  # the input is float64
            assert any(seen), kind


def variants_in(folder, **files):
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return read_variants(SimpleNamespace(solution_folder=folder), ["one", "two", "last"])


def test_variants_are_read(tmp_path):
    """A variant knows what it replaces, what it breaks, who catches it and what the student is told."""
    about = "No sign.\n\nexercise: one\ncaught-by: a, b\nalso-breaks: two\nmay-break: last\ntold: the sign is lost\n"
    text = f'"""{about}"""\n\n\ndef f(): ...\n'
    right, wrong = variants_in(tmp_path, correct__plain='"""Plainly."""\nx = 1\n', wrong__sign=text)
    assert (right.name, right.right, right.line, right.defines) == ("plain", True, "Plainly.", ("x",))
    assert (wrong.exercise, wrong.caught_by) == ("one", ("a", "b"))
    assert (wrong.also_breaks, wrong.may_break) == (("two",), ("last",))
    assert (wrong.told, wrong.defines) == ("the sign is lost", ("f",))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = 1\n", "wrong/bad.py: a variant without a docstring"),
        ('"""Wrong."""\n', "wrong/bad.py: it does not say what it breaks and which checks catch it"),
        ('"""Wrong.\n\nexercise: three\ncaught-by: a\n"""\n', "wrong/bad.py: there is no exercise 'three'"),
        ("def", "wrong/bad.py: it is no Python: "),
    ],
)
def test_bad_variants_are_named(tmp_path, text, says):
    """What is wrong with a variant is said with its file."""
    with pytest.raises(CourseError) as caught:
        variants_in(tmp_path, wrong__bad=text)
    assert str(caught.value).startswith(says)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("equivalent:\n  mutants:\n    - {exercise: one}\n", "a/audit.yaml:3 equivalent.mutants[0].was: "),
        ("kept: {}\n", "a/audit.yaml:1 kept: "),
        ("keep: [a]\n", "a/audit.yaml:1 keep: "),
    ],
)
def test_bad_declarations_are_named(tmp_path, text, says):
    """What is wrong in audit.yaml is said with line and key."""
    (tmp_path / "audit.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(CourseError) as caught:
        read_declared(SimpleNamespace(solution_folder=tmp_path, name="a"))
    assert str(caught.value).startswith(says)


def test_a_quick_audit_times_right_answers_once():
    """With each seed they are marked, with the first they are timed, too; an audit that is not quick times them all."""
    course = load_course(ROOT)
    subject = Subject.of(course, course.assignment("softmax-regression"))
    for quick, expected in ((True, {5: {True}, 6: {False}}), (False, {5: {True}, 6: {True}})):
        trials = planned(subject, seeds=[5, 6], quick=quick)
        right = [trial for trial in trials if isinstance(trial.about, Variant) and trial.about.right]
        assert {seed: {trial.timed for trial in right if trial.seed == seed} for seed in (5, 6)} == expected
        assert all(trial.timed for trial in trials if trial not in right)
