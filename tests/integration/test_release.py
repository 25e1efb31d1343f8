"""Releases: what students get is made by nbgrader's own preprocessors and holds nothing hidden."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from grader.config import load_course
from grader.errors import CourseError, ReleaseError
from grader.notebook import percent, read
from grader.release import CODE_STUB, TEXT_STUB, build, read_released, read_solution, release

ROOT = Path(__file__).parents[2]
COURSE = """\
id: c
title: C
assignments:
  - name: demo
    title: Demo
    points: 3
    exercises:
      - {id: mean, title: Mean, points: 2}
      - {id: why, title: Why, points: 1, manual_points: 1}
"""
SOURCE = '''\
# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Means
#
# The mean of $n$ numbers.

# %%
import torch
# %matplotlib inline

# %% exercise="mean" nbgrader={"grade": false, "grade_id": "mean", "locked": false, @@}
def mean(x):
    """Mean of all entries."""
    ### BEGIN SOLUTION
    total = x.sum()
    return total / x.numel()
    ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-mean", "locked": true, "points": 2, @}
from grader.student import check

check("mean")

# %% tags=["see"]
print(mean(torch.ones(3)))

# %% [markdown] exercise="why" nbgrader={"grade": true, "grade_id": "why", "points": 1, "locked": false, @@}
# Because the sum of squares is smallest there.
'''.replace("@@", '"schema_version": 3, "solution": true, "task": false').replace(
    "@", '"schema_version": 3, "solution": false, "task": false'
)
HIDDEN = '''\
import torch

from grader.checks import check, close


@check("mean", points=2, gate=True)
def test_mean_of_negative_numbers(student, rng):
    """mean works for negative numbers."""
    close(student.mean(torch.tensor([-1.0, -3.0])), torch.tensor(-2.0))
'''


@pytest.fixture
def folder(tmp_path):
    """A course of one small assignment."""
    (tmp_path / "course.yaml").write_text(COURSE)
    for name, text in {
        "solutions/demo/demo.py": SOURCE,
        "solutions/demo/test_hidden.py": HIDDEN,
        "assignments/demo/given.py": "TAU = 6.283185307179586\n",
        "assignments/demo/data/table.csv": "a,b\n1,2\n",
        "assignments/demo/__pycache__/given.cpython-311.pyc": "",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def made(folder):
    course = load_course(folder)
    return json.loads(build(course, course.assignments[0]))


def refusal(folder, old="", new="", file="solutions/demo/demo.py"):
    """What a release says after ``old`` was replaced by ``new`` in ``file``."""
    path = folder / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    course = load_course(folder)
    with pytest.raises((ReleaseError, CourseError)) as caught:
        release(course, course.assignments[0])
    assert not course.assignments[0].notebook_path.exists()
    return str(caught.value)


def test_released_notebook(folder):
    """Solutions become stubs, checks are locked, nbgrader's checksums are there, exercise and tags are kept."""
    cells = {cell["id"]: cell for cell in made(folder)["cells"]}
    mean = cells["mean"]
    assert "".join(mean["source"]) == f'def mean(x):\n    """Mean of all entries."""\n    {CODE_STUB}'
    assert mean["metadata"]["exercise"] == "mean"
    assert mean["metadata"]["deletable"] is False
    assert len(mean["metadata"]["nbgrader"]["checksum"]) == 32
    assert cells["check-mean"]["metadata"]["editable"] is False
    assert cells["check-mean"]["metadata"]["tags"] == ["check"]
    assert "".join(cells["why"]["source"]) == TEXT_STUB


def test_same_source_same_bytes(folder):
    """Two releases of one source are the same bytes, and releasing again changes nothing."""
    course = load_course(folder)
    first = release(course, course.assignments[0])
    again = release(course, course.assignments[0])
    assert (first.changed, again.changed) == (True, False)
    assert first.sha256 == again.sha256
    assert (first.cells, first.exercises) == (6, 2)
    assert first.files == ("demo.ipynb", "data/table.csv", "given.py")
    assert [cell.exercise for cell in read_released(course, course.assignments[0]).cells].count("mean") == 1


def test_cell_ids_do_not_move_with_other_cells(folder):
    """A new cell at the top leaves the ids of all other cells alone."""
    before = [cell["id"] for cell in made(folder)["cells"]]
    path = folder / "solutions/demo/demo.py"
    path.write_text(SOURCE.replace("# %% [markdown]\n# # Means", "# %%\nimport math\n\n# %% [markdown]\n# # Means", 1))
    assert [cell["id"] for cell in made(folder)["cells"]][1:] == before


def test_release_to_another_folder(folder, tmp_path):
    """A release to another folder takes the files beside the notebook along, but no caches and nothing hidden."""
    course = load_course(folder)
    found = release(course, course.assignments[0], tmp_path / "out")
    files = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert files == ["data/table.csv", "demo.ipynb", "given.py"]
    assert found.path == tmp_path / "out" / "demo.ipynb"


def test_solution_is_readable_without_jupytext(folder):
    """read_solution gives the source with its solutions, exercises and skipped cells."""
    course = load_course(folder)
    cells = read_solution(course, course.assignments[0]).cells
    assert "total / x.numel()" in cells[2].source
    assert [(cell.exercise, cell.skip) for cell in cells[2:]] == [
        ("mean", None),
        (None, "check"),
        (None, "see"),
        ("why", None),
    ]


def test_solution_outside_its_region(folder):
    """A line of the solution that also stands in a text cell is refused, naming the cell."""
    assert refusal(folder, "# The mean of $n$ numbers.", "# Write return total / x.numel() and be done.") == (
        "solutions/demo/demo.py cell 1: a line of the solution would be released: "
        "Write return total / x.numel() and be done."
    )


def test_solution_pasted_as_code(folder):
    """Several lines of a solution that were pasted into a visible cell are refused."""
    body = (
        "    total = x.sum()\n    total = total.to(torch.float64)\n    count = torch.tensor(x.numel())\n"
        "    return total / count"
    )
    (folder / "solutions/demo/demo.py").write_text(
        SOURCE.replace("    total = x.sum()\n    return total / x.numel()", body)
    )
    assert refusal(folder, "print(mean(torch.ones(3)))", f"def other(x):\n{body}") == (
        "solutions/demo/demo.py cell 5: 3 lines of the solution in a row would be released\n"
        "  → say it in other words, or move the lines out of the solution region"
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "### END SOLUTION",
            "### END",
            "nbgrader's ClearSolutions refused the notebook: no end solution statement found",
        ),
        ("### BEGIN SOLUTION", "### begin solution", "cell 3 (mean): the exercise cell has no solution region"),
        (
            "print(mean(torch.ones(3)))",
            "### BEGIN SOLUTION\nprint(1)\n### END SOLUTION",
            "nbgrader's ClearSolutions refused the notebook: Solution region detected in a non-solution cell",
        ),
        ("check-mean", "mean", "nbgrader's CheckCellMetadata refused the notebook"),
        ('"points": 2, "schema_version": 3', '"schema_version": 3', "nbgrader's cells add up to 1 points, not 3"),
        ('"points": 2', '"points": 5', "nbgrader's cells add up to 6 points, not 3"),
        ('"schema_version": 3, "solution": true', '"schema_version": 1, "solution": true', "CheckCellMetadata refused"),
        ('"solution": true', '"solution": false', "Solution region detected in a non-solution cell"),
        ("return total / x.numel()", "return total / / 2", "cell 3 (mean): a cell of the solution does not compile"),
        ('exercise="mean"', 'exercise="meen"', "cell 3 (mean): exercise 'meen' is not in course.yaml"),
        ('exercise="mean" ', "", "no cell has exercise 'mean' of course.yaml"),
        (
            "# The mean of",
            "# [see](../../solutions/demo/demo.py)",
            "cell 1: the folder of the solutions is named",
        ),
        (
            "# The mean of",
            "# see test_mean_of_negative_numbers",
            "cell 1: the hidden check test_mean_of_negative_numbers is named",
        ),
        (
            "print(mean(torch.ones(3)))",
            "close(student.mean(torch.tensor([-1.0, -3.0])), torch.tensor(-2.0))",
            "cell 5: a line of the hidden checks would be released: close(student.mean(",
        ),
        ("# The mean of", "# Begin solution", "cell 1: a solution marker would be released"),
    ],
)
def test_what_is_refused(folder, old, new, message):
    """A source that would leak, or that nbgrader would not take, is refused before anything is written."""
    assert message in refusal(folder, old, new)


def test_marker_with_a_typo_leaks_nothing(folder):
    """A solution cell whose begin marker is misspelt is refused; the solution is not released."""
    message = refusal(folder, "### BEGIN SOLUTION", "### BEGIN SOLUTON")
    assert "cell 3 (mean): the exercise cell has no solution region" in message


def test_hidden_things_in_files_beside_the_notebook(folder):
    """Markers, hidden checks and runs of solution lines are found in the other files that students get, too."""
    path = "assignments/demo/given.py"
    assert refusal(folder, "TAU", "# BEGIN SOLUTION\nTAU", path).startswith(
        "assignments/demo/given.py:1: a solution marker would be released"
    )
    assert refusal(folder, "# BEGIN SOLUTION", "test_mean_of_negative_numbers = 1", path).startswith(
        "assignments/demo/given.py:1: the hidden check test_mean_of_negative_numbers is named"
    )


def test_missing_source(folder):
    """An assignment without its source says where it should be."""
    (folder / "solutions/demo/demo.py").unlink()
    course = load_course(folder)
    with pytest.raises(CourseError) as caught:
        release(course, course.assignments[0])
    assert str(caught.value).startswith("solutions/demo/demo.py: the source of the notebook is missing")


def test_missing_release(folder):
    """Marking an assignment that was never released says how to release it."""
    course = load_course(folder)
    with pytest.raises(CourseError) as caught:
        read_released(course, course.assignments[0])
    assert str(caught.value) == (
        "assignments/demo/demo.ipynb: the released notebook is missing\n  → make it with: grader release demo"
    )


def test_nbgrader_takes_the_release(folder):
    """nbgrader's own reader validates the released notebook and finds its grade cells."""
    from nbgrader.nbgraderformat import reads
    from nbgrader.utils import is_grade, is_solution

    notebook = reads(json.dumps(made(folder)), as_version=4)
    assert [cell.metadata.nbgrader.grade_id for cell in notebook.cells if is_grade(cell)] == ["check-mean", "why"]
    assert [cell.metadata.nbgrader.grade_id for cell in notebook.cells if is_solution(cell)] == ["mean", "why"]


@pytest.mark.parametrize("assignment", load_course(ROOT).assignments, ids=lambda assignment: assignment.name)
def test_shipped_notebooks_are_current(assignment):
    """The notebook in assignments/ is what a fresh release of its source makes, so it never goes stale."""
    course = load_course(ROOT)
    assert assignment.notebook_path.read_bytes() == build(course, assignment), f"run: grader release {assignment.name}"


ODD = '''\
leading = 1

# %% A title [markdown]
# Text with a fence
#
# ```mermaid
# %% not a cell
# ```

# %% [markdown]
"""
Text in
quotes
"""

# %% [raw] a=1 b="two words" c={"d": [1, null, true]}
# raw

# %%
text = """
# %% not a cell either
"""
# !ls -l \\
#   more
x = "it's # %%"  # "


# %%

# %%
def f():
    # %% inner marker
    pass

# %% language="python"
# ordinary comment
#comment
'''


@pytest.mark.parametrize(
    "source",
    [SOURCE, ODD, "# %%\n", "# %%", "x = 1\n", "# %% [markdown]\n\n\n\n# %%\n\n\nx\n\n\n\n# %%\ny"]
    + [assignment.solution_path.read_text(encoding="utf-8") for assignment in load_course(ROOT).assignments],
    ids=lambda source: source[:12],
)
def test_percent_format_is_read_as_jupytext_reads_it(source):
    """Our reader of percent scripts and jupytext agree on every cell of our sources and of odd ones."""
    import jupytext

    ours = [(cell.cell_type, cell.source, dict(cell.metadata)) for cell in percent.parse(source)]
    layout = ("lines_to_next_cell", "cell_marker", "language")
    theirs = [
        (cell.cell_type, cell.source, {key: value for key, value in cell.metadata.items() if key not in layout})
        for cell in jupytext.reads(source, fmt="py:percent").cells
    ]
    assert [(kind, text, {k: v for k, v in meta.items() if k not in layout}) for kind, text, meta in ours] == theirs


def test_released_and_solution_have_the_same_cells():
    """Cell for cell, the released notebook and the solution are the same exercise, check or text."""
    course = load_course(ROOT)
    for assignment in course.assignments:
        released, solution = read_released(course, assignment), read_solution(course, assignment)
        assert [(cell.cell_type, cell.exercise, cell.skip, cell.tags) for cell in released.cells] == [
            (cell.cell_type, cell.exercise, cell.skip, cell.tags) for cell in solution.cells
        ]
        assert read(assignment.notebook_path.read_bytes()).repairs == ()
