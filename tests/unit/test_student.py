"""``check("softmax")`` in a student's notebook: the same checks and words as when marking, in the kernel itself."""

import json
import os
import random
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch

from grader import student
from grader.errors import CourseError, UsageError
from grader.model import Verdict
from grader.student import check, describe, run_here

CHECKS = '''
import pytest
import torch
from grader.checks import check, close, forbid

FORBIDDEN = [
    forbid("hidden_only", names=("torch.exp",)),
    forbid("scale", names=("torch.mul",), instead="the operator *"),
]


@check("scale", points=2, gate=True, hint="Multiply.")
def test_scale_values(student):
    """scale multiplies every entry by the factor."""
    x = torch.tensor([1.0, -2.0, 3.0])
    close(student.scale(x, 2.0), 2 * x, misconceptions={"the factor was added": x + 2.0})


@check("scale", points=1, hint="Gradients.")
def test_scale_gradient(student, rng):
    """Gradients flow through scale."""
    x = torch.randn(3, generator=rng, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: student.scale(x, 3.0), x)


@check("total", points=1)
def test_total(student, given):
    """total adds up."""
    assert student.total([1, given.TWO]) == 3
'''

LINE = "scale multiplies every entry by the factor."


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A student's folder."""
    (tmp_path / "test_public.py").write_text(CHECKS)
    (tmp_path / "given.py").write_text("TWO = 2\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(source):
    """What a notebook's cell defined."""
    space = {"torch": torch}
    exec(compile(textwrap.dedent(source), "<cell 4>", "exec"), space)
    return space


def checked(folder, source, exercise=None):
    return run_here(names(source), folder / "test_public.py", exercise)


RIGHT = "def scale(x, factor): return x * factor\ndef total(xs): return sum(xs)"


def test_everything_that_holds_is_ticked(folder):
    """Right answers: a tick each, and a reminder that hidden checks decide the rest."""
    assert describe(checked(folder, RIGHT)).splitlines() == [
        f"✔ {LINE}",
        "✔ Gradients flow through scale.",
        "✔ total adds up.",
        "3 of 3 public checks hold. Hidden checks decide the rest.",
    ]


def test_what_is_wrong_is_told_with_its_hint(folder):
    """A wrong answer: the line, what kind of thing is off, the likely misconception, the hint; others wait."""
    source = "def scale(x, factor): return x + factor\ndef total(xs): raise NotImplementedError"
    assert describe(checked(folder, source)).splitlines() == [
        f"✘ {LINE}",
        "    The values of the result are off.",
        "    This looks as if the factor was added.",
        "    Hint: Multiply.",
        "○ Gradients flow through scale.",
        f"    Waits for another check that does not pass yet: “{LINE}”",
        "○ total adds up.",
        "    Not attempted yet.",
        "0 of 3 public checks hold. Hidden checks decide the rest.",
    ]


def test_what_raises_is_told_with_its_line(folder):
    """An exception: its message, as the check is public, and the student's own line; no traceback of the checks."""
    said = describe(checked(folder, "def scale(x, factor):\n    return x @ 'a'", "scale"))
    assert said.splitlines()[:2] == [
        f"✘ {LINE}",
        "    Your code raised a TypeError here. TypeError: unsupported operand type(s) for @: 'Tensor' and 'str'",
    ]
    assert "    Hint: Multiply." in said.splitlines()
    assert "Traceback" not in said
    assert str(folder) not in said


def test_what_is_forbidden_is_told(folder):
    """The exercise's policy holds in the student's notebook too; one for hidden exercises alone is no error there."""
    said = describe(checked(folder, "def scale(x, factor): return torch.mul(x, factor)", "scale"))
    assert "    torch.mul is not allowed in this exercise; use the operator *." in said.splitlines()


def test_one_exercise_can_be_checked_alone(folder):
    """Only the checks of that exercise are run; a name that is not there is told with those that are."""
    results = checked(folder, RIGHT, "total")
    assert [(result.check.id, result.verdict) for result in results] == [("total", Verdict.PASS)]
    with pytest.raises(UsageError) as caught:
        checked(folder, RIGHT, "totl")
    assert str(caught.value) == "there is no exercise 'totl'\n  → the exercises here are scale, total"


def test_missing_names_are_open_not_wrong(folder):
    """A function that is not defined yet is told by name."""
    assert describe(checked(folder, "x = 1", "scale")).splitlines()[:2] == [
        f"○ {LINE}",
        "    The notebook does not define `scale`.",
    ]


def test_checking_leaves_the_notebook_alone(folder):
    """The random generators of the student's kernel go on as if nothing had been checked."""
    torch.manual_seed(3)
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    grad, dtype = torch.is_grad_enabled(), torch.get_default_dtype()
    checked(folder, RIGHT)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert np.random.get_state()[1].tolist() == states[2]  # noqa: NPY002
    assert (torch.is_grad_enabled(), torch.get_default_dtype()) == (grad, dtype)


def test_a_change_counts_at_once(folder):
    """In one kernel: check, correct, check; and a new version of the checks is used as it is."""
    assert checked(folder, "def scale(x, factor): return x")[0].verdict is Verdict.FAIL
    assert checked(folder, RIGHT)[0].verdict is Verdict.PASS
    (folder / "test_public.py").write_text(CHECKS.replace("scale multiplies", "scale really multiplies"))
    assert checked(folder, RIGHT)[0].check.line == "scale really multiplies every entry by the factor."


def test_check_prints_and_never_raises(folder, capsys, monkeypatch):
    """In a cell, whatever is wrong with the files ends in a sentence."""
    monkeypatch.setattr(student, "_notebook_names", lambda: names(RIGHT))
    check("scale")
    assert capsys.readouterr().out.splitlines()[-1] == "2 of 2 public checks hold. Hidden checks decide the rest."
    check("scael")
    assert capsys.readouterr().out == "there is no exercise 'scael'\n  → the exercises here are scale, total\n"
    check(file="elsewhere.py")
    assert capsys.readouterr().out == "there is no elsewhere.py here\n  → run this in the assignment's folder\n"
    (folder / "test_public.py").write_text("def broken(:\n")
    check()
    assert capsys.readouterr().out.startswith("test_public.py:1: cannot be read as a check file: SyntaxError")


def test_a_broken_check_file_is_the_courses_error(folder):
    """A check file that cannot be imported is told as such to whoever asks."""
    (folder / "test_public.py").write_text("import nothing_there\n" + CHECKS)
    with pytest.raises(CourseError, match="No module named 'nothing_there'"):
        checked(folder, RIGHT)


# -- the command and the cell, for real ------------------------------------------------------------------------------


def notebook(*sources):
    cells = [
        {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": source}
        for source in sources
    ]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4})


def run(code, folder):
    return subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": ""},
    )


def test_the_command_runs_the_notebook_and_its_checks(folder):
    """grader check: cells that raise are named, the checks run on the rest, --strict tells by exit code."""
    sources = ("import torch\ndef scale(x, factor): return x * factor", "1 / 0", "check('scale')  # grader.student")
    (folder / "tiny.ipynb").write_text(notebook(*sources))
    code = "from grader.cli import main; main(['check', 'tiny.ipynb', '--strict', '--json'])"
    done = run(code, folder)
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert found["cells"] == [{"cell": 2, "error": "ZeroDivisionError: division by zero"}]
    assert [(each["check"], each["verdict"]) for each in found["checks"]] == [
        ("scale_values", "PASS"), ("scale_gradient", "PASS"), ("total", "MISSING"),
    ]  # fmt: skip


def test_a_cell_checks_its_own_notebook(folder):
    """In an IPython shell check() sees the names that cells defined."""
    code = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_cell("def scale(x, factor):\\n    return x + factor")
shell.run_cell("from grader.student import check\\ncheck('scale')")
"""
    said = run(code, folder).stdout.splitlines()
    assert said[:3] == [
        f"✘ {LINE}",
        "    The values of the result are off.",
        "    This looks as if the factor was added.",
    ]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (
            "nothing.ipynb",
            None,
            "grader: there is no notebook 'nothing.ipynb'\n  → give the path of your .ipynb file\n",
        ),
        ("letter.ipynb", "Dear professor", "The file is text, but not a notebook."),
    ],
)
def test_what_is_no_notebook_is_told(folder, capsys, name, content, said):
    """A path that leads nowhere, or to something else, is a sentence and exit code 2."""
    from grader import cli

    if content is not None:
        (folder / name).write_text(content)
    assert cli.run(["check", name]) == 2
    assert said in capsys.readouterr().err
