"""The checks of softmax-regression, tested: right answers of any style get all, wrong ones lose what they should.

All notebooks are marked as one class, through the same door as a real one. To keep that fast, variants that do not
touch each other share a notebook: each brings its functions, which see only the reference. Exercises that nothing
wrong in a notebook can reach are emptied in it.
``test_a_wrong_answer_alone`` marks each in a notebook of its own; it is slow and runs when it is asked for.
"""

import ast
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent

import pytest

from grader.config import load_course
from grader.jobs import mark
from grader.model import Verdict
from grader.notebook import read

ROOT = Path(__file__).resolve().parents[2]
NAME = "softmax-regression"
SOLUTION = ROOT / "solutions" / NAME
SEED = 2025

FIRST = {
    "logsumexp": "logsumexp",
    "softmax": "softmax",
    "one_hot": "one_hot",
    "cross_entropy": "cross_entropy",
    "grads": "softmax_regression_grads",
    "information": "entropy",
    "batches": "accuracy",
    "model": "SoftmaxRegression",
}
"""Exercise to the function that its gate calls."""

SECOND = {"softmax": "log_softmax", "information": "kl_divergence", "batches": "minibatches"}
"""Exercise to the other function that it asks for."""

SECOND_CHECKS = {
    "softmax": {"log_softmax_values", "log_softmax_extremes", "log_softmax_gradients"},
    "information": {"kl_divergence_values", "kl_divergence_zeros", "information_gradients"},
    "batches": {
        "minibatches_values",
        "minibatches_drop_last",
        "minibatches_shuffle",
        "minibatches_global_state",
        "minibatches_order",
    },
}
"""The checks of that function."""

CALLS = {
    "cross_entropy": {"log_softmax"},
    "softmax_regression_grads": {"cross_entropy", "softmax", "one_hot"},
    "SoftmaxRegression": {"softmax", "minibatches", "softmax_regression_grads"},
}
"""What the reference's functions call: what they break when it is wrong."""

GENERIC = {
    "returns None": "return None",
    "echo": "return args[0]",
    "zeros": "return each(right(*args, **kwargs), torch.zeros_like, lambda x: 0.0)",
    "NaN": "return each(right(*args, **kwargs), lambda t: t * float('nan'), lambda x: float('nan'))",
    "plus 1e-3": "return each(right(*args, **kwargs), lambda t: t + 1e-3, lambda x: x + 1e-3)",
    "times 1.001": "return each(right(*args, **kwargs), lambda t: t * 1.001, lambda x: x * 1.001)",
    "detached": "return each(right(*args, **kwargs), torch.Tensor.detach, float)",
    "float32": "return each(right(*args, **kwargs), lambda t: t.float() if t.is_floating_point() else t, float)",
    "float64": "return each(right(*args, **kwargs), lambda t: t.double() if t.is_floating_point() else t, float)",
    "extra dimension": "return each(right(*args, **kwargs), lambda t: t[None], lambda x: torch.tensor([x]))",
    "seeds the global generator": "torch.manual_seed(0)\nreturn right(*args, **kwargs)",
    "leaves grad off": "result = right(*args, **kwargs)\ntorch.set_grad_enabled(False)\nreturn result",
    "writes into its argument": """\
result = right(*args, **kwargs)
with torch.no_grad():
    for value in args[:1]:
        if isinstance(value, torch.Tensor):
            value.add_(1)
return result""",
    "needs contiguous arguments": """\
for value in args:
    if isinstance(value, torch.Tensor) and not value.is_contiguous():
        raise RuntimeError("view size is not compatible with input tensor's size and stride")
return right(*args, **kwargs)""",
}
"""Wrong in a way that has nothing to do with the exercise: the body of a function around the right one."""

EQUIVALENT = {
    # Labels, counts and closed-form gradients carry no graph that the exercise asks for.
    ("detached", "one_hot"),
    ("detached", "softmax_regression_grads"),
    ("detached", "accuracy"),
    ("detached", "minibatches"),
    # A Python float and int64 indices have no floating-point dtype.
    ("float32", "accuracy"),
    ("float64", "accuracy"),
    ("float32", "minibatches"),
    ("float64", "minibatches"),
    # No tensor comes in that could be written to, or that could be strided.
    ("writes into its argument", "minibatches"),
    ("needs contiguous arguments", "minibatches"),
}
"""(kind, function): right answers after all."""

WRAPPER = """
import types


def each(value, on_tensor, on_float):
    if isinstance(value, torch.Tensor):
        return on_tensor(value)
    if isinstance(value, float):
        return on_float(value)
    items = [each(item, on_tensor, on_float) for item in value]
    return tuple(items) if isinstance(value, tuple) else items


def around(right):
    # A copy that sees the right functions only, whatever is put in their place below.
    keywords = right.__kwdefaults__
    right = types.FunctionType(right.__code__, reference, right.__name__, right.__defaults__, right.__closure__)
    right.__kwdefaults__ = keywords

    def wrong(*args, **kwargs):
{body}

    return wrong


reference = dict(globals())
globals().update({{name: around(reference[name]) for name in {names!r}}})
"""

OWN_SPACE = """
def own_space(code, reference):
    space = dict(reference)
    exec(code, space)
    return {{name: new for name, new in space.items() if name[:2] != "__" and new is not reference.get(name)}}


reference = dict(globals())
for code in {codes!r}:
    globals().update(own_space(code, reference))
"""


@dataclass(frozen=True)
class Wrong:
    """A wrong answer and what its docstring says of it."""

    name: str
    code: str
    exercise: str
    caught_by: tuple[str, ...]
    breaks: frozenset[str]
    """The exercises that lose points: its own, and those whose right answers call the wrong function."""


def _wrong(path):
    code = path.read_text(encoding="utf-8")
    lines = (ast.get_docstring(ast.parse(code)) or "").splitlines()
    about = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
    return Wrong(
        name=path.stem,
        code=code,
        exercise=about["exercise"],
        caught_by=tuple(about["caught-by"].split(", ")),
        breaks=frozenset([about["exercise"], *filter(None, about.get("also-breaks", "").split(", "))]),
    )


@dataclass(frozen=True)
class Right:
    """A right answer in a style of its own."""

    name: str
    code: str
    defines: frozenset[str]


def _right(path):
    code = path.read_text(encoding="utf-8")
    found = [node.name for node in ast.parse(code).body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return Right(name=path.stem, code=code, defines=frozenset(found))


def _batched(variants, touches):
    """Few groups of variants, in each of which nothing is touched twice."""
    groups = []
    for one in sorted(variants, key=lambda one: (-len(touches(one)), one.name)):
        group = next((group for group in groups if not any(touches(one) & touches(other) for other in group)), None)
        if group is None:
            groups.append(group := [])
        group.append(one)
    return groups


RIGHT = [_right(path) for path in sorted((SOLUTION / "correct").glob("*.py"))]
WRONG = [_wrong(path) for path in sorted((SOLUTION / "wrong").glob("*.py"))]
RIGHT_BATCHES = _batched(RIGHT, lambda one: one.defines)
WRONG_BATCHES = _batched(WRONG, lambda one: one.breaks)


def _notebook(*added):
    """The released notebook with the reference's solutions in it, and code in last cells."""
    solution = {
        cell.grade_id: cell.source
        for cell in read((SOLUTION / f"{NAME}.py").read_bytes()).cells
        if cell.exercise is not None
    }
    notebook = json.loads((ROOT / "assignments" / NAME / f"{NAME}.ipynb").read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        grade_id = cell["metadata"].get("nbgrader", {}).get("grade_id")
        if grade_id in solution:
            cell["source"] = solution[grade_id]
    for number, code in enumerate(added):
        notebook["cells"].append(
            {
                "cell_type": "code",
                "id": f"added-{number}",
                "metadata": {},
                "source": code,
                "outputs": [],
                "execution_count": None,
            }
        )
    return json.dumps(notebook)


def _functions(exercise):
    return {FIRST[exercise], *filter(None, [SECOND.get(exercise)])}


def _reach(batch):
    """The exercises that wrong answers can break: their own, and those that call them, directly or not."""
    reached = {one.exercise for one in batch}
    while more := {
        exercise
        for exercise in FIRST
        if exercise not in reached
        and any(CALLS.get(name, set()) & _functions(other) for name in _functions(exercise) for other in reached)
    }:
        reached |= more
    return reached


def _shared(batch, live=FIRST):
    """A notebook with the functions of several variants; exercises that are not live are emptied."""
    needed = {name for exercise in live for name in _functions(exercise)}
    while more := {callee for name in needed for callee in CALLS.get(name, ())} - needed:
        needed |= more
    emptied = {name for exercise in FIRST for name in _functions(exercise)} - needed
    added = [OWN_SPACE.format(codes=[one.code for one in batch])]
    return _notebook(*added, *(["\n".join(f"{name} = None" for name in sorted(emptied))] if emptied else []))


def _generic(body, names, emptied):
    """A notebook with functions wrapped, and other names that are not looked at here emptied, to save time."""
    wrapped = WRAPPER.format(body=indent(body, "        "), names=sorted(names))
    return _notebook(wrapped, "\n".join(f"{name} = None" for name in emptied))


def _marked(folder, notebooks):
    """Mark notebooks by student id, as a class; the records by student id."""
    shutil.copy(ROOT / "course.yaml", folder)
    for part in ("assignments", "solutions"):
        shutil.copytree(ROOT / part / NAME, folder / part / NAME, ignore=shutil.ignore_patterns("class", "correct"))
    for student, text in notebooks.items():
        place = folder / "submitted" / student / NAME
        place.mkdir(parents=True)
        (place / f"{NAME}.ipynb").write_text(text, encoding="utf-8")
    course = load_course(folder / "course.yaml")
    outcome = mark(course, course.assignment(NAME), seed=SEED, workers=os.cpu_count())
    return {record.submission.student: record for record in outcome.records}


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Everything but the slow ones, marked as one class."""
    released = (ROOT / "assignments" / NAME / f"{NAME}.ipynb").read_text(encoding="utf-8")
    notebooks = {"reference": _notebook(), "starter": released}
    notebooks |= {f"right-{number}": _shared(batch) for number, batch in enumerate(RIGHT_BATCHES)}
    notebooks |= {f"wrong-{number}": _shared(batch, _reach(batch)) for number, batch in enumerate(WRONG_BATCHES)}
    functions = [function for exercise, function in FIRST.items() if exercise != "model"]
    single = [FIRST[exercise] for exercise in FIRST if exercise not in SECOND]
    for number, body in enumerate(GENERIC.values()):
        notebooks[f"generic-{number}"] = _generic(body, [*functions, *SECOND.values()], ["SoftmaxRegression"])
        notebooks[f"second-{number}"] = _generic(body, SECOND.values(), single)
    return _marked(tmp_path_factory.mktemp("course"), notebooks)


def _earned(record):
    return {each.exercise.id: each.earned for each in record.exercises}


def _lost(record):
    """The exercises that did not get all their points."""
    return {each.exercise.id for each in record.exercises if each.earned != each.exercise.points}


def _failed(record):
    """The checks that ran and did not pass; none of them may be ours."""
    assert not record.is_held
    return {result.check.id for result in record.checks if result.verdict not in (Verdict.PASS, Verdict.SKIPPED)}


def _clean(record):
    """Every cell ran."""
    return [cell for cell in record.cells if cell.status not in ("ok", "text", "skipped")] == []


def test_reference_and_starter(records):
    """The reference gets all 100 points, and the notebook as it is released exactly none."""
    assert sum(_earned(records["reference"]).values()) == 100
    assert _clean(records["reference"])
    assert sum(_earned(records["starter"]).values()) == 0
    assert _clean(records["starter"])


@pytest.mark.parametrize("number", range(len(RIGHT_BATCHES)))
def test_right_answers(records, number):
    """A right answer gets all points, whatever its style."""
    record = records[f"right-{number}"]
    assert (_lost(record), _failed(record)) == (set(), set()), [one.name for one in RIGHT_BATCHES[number]]
    assert _clean(record)


@pytest.mark.parametrize("number", range(len(WRONG_BATCHES)))
def test_wrong_answers(records, number):
    """A wrong answer fails the checks that it names and costs points in the exercises that it names, nowhere else."""
    record, batch = records[f"wrong-{number}"], WRONG_BATCHES[number]
    names = [one.name for one in batch]
    assert _clean(record), names
    assert {check for one in batch for check in one.caught_by} <= _failed(record), names
    assert _lost(record) & _reach(batch) == set().union(*(one.breaks for one in batch)), names


@pytest.mark.parametrize("number", range(len(GENERIC)), ids=list(GENERIC))
def test_generic_wrong_answers(records, number):
    """What is wrong whatever the exercise earns nothing in any function exercise."""
    kind = list(GENERIC)[number]
    record = records[f"generic-{number}"]
    assert _clean(record)
    due = {
        exercise.exercise.id: exercise.exercise.points if (kind, FIRST[exercise.exercise.id]) in EQUIVALENT else 0
        for exercise in record.exercises
        if exercise.exercise.id != "model"
    }
    assert {exercise: points for exercise, points in _earned(record).items() if exercise != "model"} == due


@pytest.mark.parametrize("number", range(len(GENERIC)), ids=list(GENERIC))
def test_generic_wrong_answers_in_second_functions(records, number):
    """Where an exercise asks for two functions, the first alone earns its own points and none of the second's."""
    kind = list(GENERIC)[number]
    record = records[f"second-{number}"]
    for exercise, function in SECOND.items():
        results = [result for result in record.checks if result.check.exercise == exercise]
        passed = {result.check.id for result in results if result.verdict is Verdict.PASS}
        first = {result.check.id for result in results} - SECOND_CHECKS[exercise]
        assert passed == first | (SECOND_CHECKS[exercise] if (kind, function) in EQUIVALENT else set())


def test_wrong_answers_are_many():
    """There are at least 35 wrong and 8 right variants, and every exercise has several wrong ones."""
    assert len(WRONG) >= 35
    assert len(RIGHT) >= 8
    for exercise in FIRST:
        assert sum(one.exercise == exercise for one in WRONG) >= 4


@pytest.mark.slow
@pytest.mark.skipif("GRADER_SLOW" not in os.environ, reason="several minutes; set GRADER_SLOW=1")
def test_a_wrong_answer_alone(tmp_path):
    """The same holds for each wrong answer in a notebook of its own, where no other hides what it breaks."""
    records = _marked(tmp_path, {one.name: _notebook(one.code) for one in WRONG})
    for one in WRONG:
        assert set(one.caught_by) <= _failed(records[one.name]), one.name
        assert _lost(records[one.name]) == one.breaks, one.name
