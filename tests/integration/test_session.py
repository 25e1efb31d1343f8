"""What checks get of a notebook: each a copy, the last one the notebook itself."""

import pytest

from grader.sandbox.base import Limits
from grader.wall.faults import Crashed, Forbidden
from grader.wall.host import Student
from grader.wall.session import Budget, CodeCell, Policy, Session

SOURCE = """
import os, random, torch
seen = []
def where():
    seen.append(1)
    return os.getpid(), len(seen)
def daemon():
    child = os.fork()
    if child == 0:
        import time
        time.sleep(600)
    return child
def reap_all():
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return "all gone"
def draw():
    return random.random(), torch.rand(3).tolist()
def use():
    return torch.softmax(torch.zeros(2), 0)
def leave():
    os._exit(3)
"""


@pytest.fixture
def session(sandbox):
    with Session(sandbox=sandbox, limits=Limits(), budget=Budget()) as session:
        session.load([CodeCell(index=0, source=SOURCE)])
        yield session


def test_the_last_check_gets_the_notebook_itself(session):
    """As it was loaded: no trace of the checks before it, and nothing that they started still runs."""
    copy, calls = Student(session.for_check(1)).where()
    assert copy != 1
    assert calls == 1
    assert Student(session.for_check(2)).daemon() > 1
    last = Student(session.for_check(3, last=True))
    assert tuple(last.where()) == (1, 1)
    assert last.reap_all() == "all gone"  # pid 1 is parent to what others left; a daemon alive would keep it waiting


def test_the_last_check_is_seeded_and_forbids_as_any_other(session):
    """Which check is the last makes no difference to what it draws and to what it may use."""
    policy = Policy(names=("torch.softmax",), instead="exp and sum")
    drawn = Student(session.for_check(7, policy)).draw()
    last = Student(session.for_check(7, policy, last=True))
    assert last.draw() == drawn
    with pytest.raises(Forbidden):
        last.use()


def test_a_last_check_that_is_run_again_gets_a_fresh_notebook(session):
    """A check may be run a second time, whatever the first did to the notebook."""
    for _ in range(2):
        last = Student(session.for_check(1, last=True))
        assert tuple(last.where()) == (1, 1)
    with pytest.raises(Crashed):
        last.leave()
    assert tuple(Student(session.for_check(1, last=True)).where()) == (1, 1)
    assert session.remarks == []


def loaded(sandbox, *sources):
    """The student's names after these cells, and what each cell did."""
    session = Session(sandbox=sandbox, limits=Limits(), budget=Budget())
    ran = session.load([CodeCell(index=index, source=source) for index, source in enumerate(sources)])
    return session, Student(session.for_check(1)), [ran[index] for index in range(len(sources))]


def test_what_only_ipython_understands_is_run_as_jupyter_runs_it(sandbox):
    """Magics, shell commands, help and pasted prompts, also where a prompt's line is valid Python."""
    session, student, ran = loaded(
        sandbox,
        "%time magic = 1",
        "said = !echo word",
        ">>> pasted = 2",
        "first = 0\nIn [3]: prompted = 3",
        "    indented = 5",
        "len?",
    )
    with session:
        assert [cell.status for cell in ran] == ["ok"] * 6
        assert (student.magic, student.said[0], student.pasted, student.prompted) == (1, "word", 2, 3)
        assert student.indented == 5


def test_what_a_notebook_adds_to_ipython_changes_the_cells_below(sandbox):
    """A transformation of cells that a student registers is applied to what is valid Python without it."""
    register = (
        "get_ipython().input_transformers_cleanup.append(lambda lines: [x.replace('eleven', '11') for x in lines])"
    )
    session, student, ran = loaded(sandbox, "a = 'eleven'", register, "b = 'eleven'")
    with session:
        assert [cell.status for cell in ran] == ["ok"] * 3
        assert (student.a, student.b) == ("eleven", "11")


def test_lines_are_counted_as_the_student_sees_them(sandbox):
    """Empty lines at the top of a cell count."""
    session, _, ran = loaded(sandbox, "\n\n1 / 0")
    with session:
        assert ran[0].outputs[-1].text == "division by zero (line 3)"
