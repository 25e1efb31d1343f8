"""Repair: every exercise's cells are known whatever tools and students did to the notebook."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from grader.model import CellResult, Output
from grader.notebook import executed, exercise_names, forbidden_uses, read, repair, to_json
from grader.notebook.names import as_python, bindings, definitions, functions, tree

ROOT = Path(__file__).parents[2]


def nbgrader(name, **extra):
    plain = {"grade": False, "locked": False, "solution": False, "task": False, "schema_version": 3}
    return {**plain, "grade_id": name, **extra}


RELEASED = read(
    json.dumps(
        {
            "nbformat": 4,
            "nbformat_minor": 5,
            "metadata": {},
            "cells": [
                {"cell_type": "markdown", "id": "intro", "metadata": {}, "source": "# The notebook"},
                {
                    "cell_type": "code",
                    "id": "imports",
                    "metadata": {},
                    "source": "import torch\nfrom torch import Tensor",
                },
                {
                    "cell_type": "code",
                    "id": "one_hot",
                    "metadata": {"exercise": "one_hot", "nbgrader": nbgrader("one_hot", solution=True)},
                    "source": "def one_hot(y, q):\n    raise NotImplementedError",
                },
                {
                    "cell_type": "code",
                    "id": "check-one_hot",
                    "metadata": {"tags": ["check"], "nbgrader": nbgrader("check-one_hot", grade=True, points=2)},
                    "source": "from grader.student import check\n\ncheck('one_hot')",
                },
                {
                    "cell_type": "code",
                    "id": "softmax",
                    "metadata": {"exercise": "softmax", "nbgrader": nbgrader("softmax", solution=True)},
                    "source": "def softmax(x):\n    raise NotImplementedError\n\n\n"
                    "def log_softmax(x):\n    raise NotImplementedError",
                },
                {
                    "cell_type": "code",
                    "id": "see-softmax",
                    "metadata": {"tags": ["see"]},
                    "source": "import matplotlib.pyplot as plt\n\nplt.plot(softmax(torch.arange(10.0)))\nplt.show()",
                },
                {
                    "cell_type": "markdown",
                    "id": "q",
                    "metadata": {},
                    "source": "Why does softmax need the maximum of each row?",
                },
                {
                    "cell_type": "markdown",
                    "id": "why",
                    "metadata": {"exercise": "why", "nbgrader": nbgrader("why", grade=True, solution=True, points=3)},
                    "source": "*Write your answer here.*",
                },
            ],
        }
    ).encode()
)
CHECK = RELEASED.cells[3].source
SEE = RELEASED.cells[5].source


def cells(*made, lose_metadata=False):
    """A submitted notebook: indices of released cells, new code, or (released index, new source)."""
    entries = []
    for item in made:
        if isinstance(item, int):
            item = (item, RELEASED.cells[item].source)  # noqa: PLW2901
        if isinstance(item, str):
            entries.append({"cell_type": "code", "metadata": {}, "source": item})
            continue
        index, source = item
        origin = RELEASED.cells[index]
        entry = {"cell_type": origin.cell_type, "metadata": dict(origin.metadata), "source": source, "id": origin.id}
        if lose_metadata:
            del entry["id"]
            entry["metadata"] = {}
        entries.append(entry)
    return repair(
        read(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": entries}).encode()), RELEASED
    )


def summary(notebook):
    return [(cell.exercise, cell.skip) for cell in notebook.cells]


def flags(notebook):
    return [(flag.id, flag.text) for flag in notebook.repairs]


ONE_HOT = "def one_hot(y, q):\n    return torch.eye(q)[y]"
SOFTMAX = "def softmax(x):\n    return x.exp() / x.exp().sum()\n\ndef log_softmax(x):\n    return softmax(x).log()"
LOST = (
    " of 4 exercise and check cells had lost their metadata (Colab and VS Code do that); they were recognised by their "
    "content."
)
WHOLE = [
    (None, None),
    (None, None),
    ("one_hot", None),
    (None, "check"),
    ("softmax", None),
    (None, "see"),
    (None, None),
    ("why", None),
]


def test_names_of_exercises():
    """The names that an exercise asks for come from the released notebook."""
    assert exercise_names(RELEASED) == {"one_hot": ("one_hot",), "softmax": ("softmax", "log_softmax"), "why": ()}


def test_untouched_structure():
    """A notebook with its metadata is matched by it, without a flag."""
    found = cells(0, 1, (2, ONE_HOT), 3, (4, SOFTMAX), 5, 6, (7, "Because of overflow."))
    assert summary(found) == WHOLE
    assert flags(found) == []
    assert [cell.index for cell in found.code] == [1, 2, 4]


def test_metadata_lost():
    """A notebook saved by Colab without ids and metadata is recognised by its content."""
    found = cells(0, 1, (2, ONE_HOT), 3, (4, SOFTMAX), 5, 6, (7, "Because of overflow."), lose_metadata=True)
    assert summary(found) == WHOLE
    assert flags(found) == [
        ("repaired", "4" + LOST),
    ]
    assert [cell.grade_id for cell in found.cells if cell.grade_id] == ["one_hot", "check-one_hot", "softmax", "why"]


def test_cells_out_of_order():
    """Cells in another order keep their exercises and run in the student's order."""
    found = cells(1, (4, SOFTMAX), 5, (2, ONE_HOT), 3, lose_metadata=True)
    assert summary(found) == [(None, None), ("softmax", None), (None, "see"), ("one_hot", None), (None, "check")]


def test_split_exercise():
    """An exercise split over two cells is two cells of one exercise."""
    first, second = SOFTMAX.split("\n\n")
    found = cells(1, (2, ONE_HOT), first, second)
    assert summary(found)[2:] == [("softmax", None), ("softmax", None)]
    assert flags(found) == [
        ("repaired", "1" + LOST),
        ("missing-exercise", "The notebook has no cell for the exercise why."),
    ]


def test_merged_cells():
    """Two exercises merged into one cell: it runs, and neither is missing from the names."""
    found = cells(1, ONE_HOT + "\n\n" + SOFTMAX, (7, "answer"))
    assert found.cells[1].exercise == "one_hot"
    assert [text for flag, text in flags(found) if flag == "missing-exercise"] == []


def test_deleted_exercise():
    """An exercise whose cell was deleted is told by name."""
    found = cells(0, 1, (4, SOFTMAX), (7, "answer"))
    assert flags(found) == [("missing-exercise", "The notebook has no cell for the exercise one_hot (one_hot).")]


def test_duplicated_exercise():
    """A copied exercise cell is told, and so is the name that is defined twice."""
    found = cells(1, (2, ONE_HOT), (2, "def one_hot(y, q):\n    return None"), (4, SOFTMAX), (7, "answer"))
    assert summary(found)[1:3] == [("one_hot", None), ("one_hot", None)]
    assert flags(found) == [
        ("repaired", "Cells 2 and 3 all come from the exercise cell one_hot; they were run in order."),
        ("redefined", "one_hot is defined more than once, in cells 2 and 3; the last one counts."),
    ]
    assert [cell.grade_id for cell in found.cells] == [None, "one_hot", None, "softmax", "why"]


def test_redefined_in_a_scratch_cell():
    """A name of an exercise that a later cell of the student's own defines again is told."""
    found = cells(1, (2, ONE_HOT), (4, SOFTMAX), (7, "a"), "softmax = torch.softmax")
    assert flags(found) == [("redefined", "softmax is defined more than once, in cells 3 and 5; the last one counts.")]


def test_class_body_and_methods_are_no_redefinition():
    """A method called like an exercise does not define it again."""
    found = cells(1, (2, ONE_HOT), (4, SOFTMAX), (7, "a"), "class Model:\n    def softmax(self):\n        pass")
    assert flags(found) == []


def test_edited_check_is_told_and_not_run():
    """A public check that was changed is told and still not run when marking."""
    found = cells(1, (2, ONE_HOT), (3, CHECK.replace("'one_hot'", "'none'")), (4, SOFTMAX), (7, "a"))
    assert found.cells[2].skip == "check"
    assert flags(found) == [
        ("edited-check", "Cell 3, a public check, was changed; the original checks were used for marking.")
    ]


def test_answer_written_into_a_check_cell_is_run():
    """A solution that was written into the check cell by mistake is run and belongs to its exercise."""
    found = cells(1, (3, ONE_HOT + "\n" + CHECK), (4, SOFTMAX), (7, "a"))
    assert summary(found)[1] == ("one_hot", None)


def test_plot_cell_with_a_needed_function_is_run():
    """A plot cell in which the student defined something that other cells use is run."""
    found = cells(
        1, (2, ONE_HOT), (5, SEE + "\ndef stable(x):\n    return x - x.amax()"), (4, SOFTMAX + "\n# stable"), (7, "a")
    )
    assert found.cells[2].skip is None
    found = cells(1, (2, ONE_HOT), (5, SEE + "\nmine = 3"), (4, SOFTMAX), (7, "a"))
    assert found.cells[2].skip == "see"


def test_own_check_calls_are_not_run():
    """A cell of the student's that only calls check() is not run; one that does more is."""
    found = cells("from grader.student import check\ncheck('softmax')", "check('one_hot')\nx = 1", "print('check')")
    assert [cell.skip for cell in found.cells] == ["check", None, None]


def test_students_tags_do_not_hide_an_answer():
    """A tag that a copied cell brought along does not keep an answer from being run."""
    raw = {"cells": [{"cell_type": "code", "metadata": {"tags": ["see"]}, "source": ONE_HOT}]}
    found = repair(read(json.dumps(raw).encode()), RELEASED)
    assert summary(found) == [("one_hot", None)]


def test_foreign_nbgrader_metadata_is_dropped():
    """nbgrader ids that the released notebook does not have are not passed on."""
    raw = {
        "cells": [
            {"cell_type": "code", "metadata": {"nbgrader": nbgrader("forged", grade=True, points=1000)}, "source": "x"}
        ]
    }
    found = repair(read(json.dumps(raw).encode()), RELEASED)
    assert "nbgrader" not in found.cells[0].metadata


def test_repaired_points_are_the_released_ones():
    """nbgrader metadata that a student changed is replaced by the released one."""
    cell = {"cell_type": "code", "metadata": {"nbgrader": nbgrader("check-one_hot", points=1000)}, "source": CHECK}
    found = repair(read(json.dumps({"cells": [cell]}).encode()), RELEASED)
    assert found.cells[0].metadata["nbgrader"]["points"] == 2


def test_magics_and_syntax_errors_do_not_hide_definitions():
    """Definitions are found in cells with magics and in cells that do not compile."""
    found = cells("%%time\n%matplotlib inline\n!pip install x\n" + ONE_HOT, SOFTMAX + "\n\nx = = 1")
    assert summary(found) == [("one_hot", None), ("softmax", None)]


def test_large_notebooks():
    """A notebook with thousands of extra cells is repaired like any other."""
    found = cells(*[f"x{number} = softmax(torch.zeros(3))" for number in range(3000)], (4, SOFTMAX), lose_metadata=True)
    assert found.cells[-1].exercise == "softmax"


@pytest.mark.parametrize(
    "source",
    [
        "(" * 10_000,
        "-" * 100_000 + "1",
        "1+" * 50_000 + "1",
        "a" + ".b" * 50_000,
        "x = 1\n" * 100_000,
        "\x0c",
        "if 1:\n" * 500,
    ],
)
def test_sources_made_to_break_the_parser(source):
    """Sources that overflow Python's parser are taken as cells without definitions."""
    found = cells(source + "  # softmax", (2, ONE_HOT))
    assert found.cells[0].exercise is None
    assert found.cells[1].exercise == "one_hot"


def test_names_in_a_cell():
    """Definitions, functions and bindings of a cell are told apart."""
    source = (
        "import a.b as c, d.e\nx: int = 1\ny = z = 2\nw: int\nfor i in []:\n    j = 1\n"
        "def f(p):\n    q = 1\nclass G:\n    r = 1\nwith open('') as h:\n    pass\n"
    )
    assert functions(source) == ("f", "G")
    assert definitions(source) == ("x", "y", "z", "f", "G")
    assert bindings(source) == {"c", "d", "x", "y", "z", "w", "i", "j", "f", "G", "h"}


def test_magics_are_blanked_line_by_line():
    """Magics become Python that does nothing, on the same line; other languages become nothing."""
    assert as_python("%time x\nfiles = !ls\n  !pip\ny = 3 % 2\nlen?") == "pass\nfiles = None\n  pass\ny = 3 % 2\npass"
    assert as_python("%%bash\nls") == ""
    assert as_python("\n%%time\nx = 1") == "\n\nx = 1"
    assert tree("def f(:") is None


NAMES = ("torch.softmax", "torch.Tensor.softmax", "torch.nn.functional.*softmax", "torch.distributions.*")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import torch\ntorch.softmax(x, 1)", ["Cell 1, line 2 seems to use torch.softmax"]),
        ("import torch as t\ny = t.softmax", ["Cell 1, line 2 seems to use torch.softmax"]),
        (
            "import torch.nn.functional as F\nF.log_softmax(x)",
            ["Cell 1, line 2 seems to use torch.nn.functional.log_softmax"],
        ),
        (
            "from torch.nn import functional as F\nF.softmax(x)",
            ["Cell 1, line 2 seems to use torch.nn.functional.softmax"],
        ),
        (
            "from torch import softmax as s\ns(x)",
            ["Cell 1, line 1 seems to use torch.softmax", "Cell 1, line 2 seems to use torch.softmax"],
        ),
        ("y = x.view(3).softmax(0)", ["Cell 1, line 1 seems to use .softmax()"]),
        ("def softmax(x):\n    return 1\nsoftmax(2)", []),
        ("class A:\n    def f(self):\n        return self.softmax()", []),
        ("import numpy as np\nnp.softmax(x)", []),
        ("# torch.softmax\n's = torch.softmax'", []),
        ("torch.softmax(", []),
    ],
)
def test_forbidden_uses(source, expected):
    """The static pass warns about a forbidden name through any import, and about nothing else."""
    notebook = read(json.dumps({"cells": [{"cell_type": "code", "source": source}]}).encode())
    found = forbidden_uses(notebook, {"softmax": NAMES})
    end = ", which an exercise asks you to write yourself."
    assert [(flag.id, flag.text) for flag in found] == [("forbidden-name", text + end) for text in expected]


def test_a_name_is_forbidden_where_its_exercise_is_answered():
    """What one exercise rules out is free in the others, and in a cell of its own unless all rule it out."""
    cells = [
        {"cell_type": "code", "source": "import torch\ntorch.exp(x) + torch.log(x)", "metadata": {"exercise": name}}
        for name in ("first", "second", None)
    ]
    notebook = read(json.dumps({"cells": cells}).encode())
    assert [cell.exercise for cell in notebook.code] == ["first", "second", None]
    flags = forbidden_uses(
        notebook, {"first": ["torch.exp", "torch.log"], "second": ["torch.log"], "third": ["torch.log"]}
    )
    places = [flag.text.split(" seems to use ") for flag in flags]
    assert [(place, name.split(",")[0]) for place, name in places] == [
        ("Cell 1, line 2", "torch.exp"),
        ("Cell 1, line 2", "torch.log"),
        ("Cell 2, line 2", "torch.log"),
        ("Cell 3, line 2", "torch.log"),
    ]
    assert forbidden_uses(notebook, {}) == []


def test_executed_notebook_is_valid():
    """The executed notebook is valid nbformat 4.5 with the outputs of our run, whatever the metadata held."""
    import nbformat

    odd = {"collapsed": "yes", "tags": ["a", "a", "b,c", 3], "execution": 1, "jupyter": [], "name": 3, "mine": {"x": 1}}
    raw = {
        "cells": [
            {"cell_type": "markdown", "source": "hi", "metadata": {"attachments": 1}, "id": "not valid!"},
            {"cell_type": "code", "source": "x", "metadata": odd, "id": "same"},
            {"cell_type": "code", "source": "y", "metadata": {}, "id": "same"},
            {"cell_type": "raw", "source": "z", "metadata": {"format": 3}},
        ]
    }
    results = (
        CellResult(index=0, cell_type="markdown", source="hi", status="text"),
        CellResult(
            index=1,
            cell_type="code",
            source="x",
            outputs=(
                Output(kind="stream", name="stdout", text="1\n"),
                Output(kind="display", text="<Figure>", png_base64="aGk="),
            ),
        ),
        CellResult(
            index=2,
            cell_type="code",
            source="y",
            status="raised",
            outputs=(Output(kind="error", name="ValueError", text="no"),),
        ),
    )
    made = executed(read(json.dumps(raw).encode()), results)
    nbformat.validate(nbformat.from_dict(made))
    assert [len(cell.get("outputs", ())) for cell in made["cells"]] == [0, 2, 1, 0]
    assert [cell.get("execution_count") for cell in made["cells"]] == [None, 1, 2, None]
    assert made["cells"][2]["outputs"][0]["traceback"] == ["ValueError: no"]
    assert made["cells"][1]["metadata"]["tags"] == ["a"]


def test_notebook_survives_being_written_and_read():
    """to_json and read are inverse on sources, ids, metadata and tags."""
    again = read(json.dumps(to_json(RELEASED)).encode())
    assert again.cells == RELEASED.cells


def test_shipped_notebook_recognised_without_metadata():
    """The shipped assignment, stripped of all metadata, is recognised cell by cell, both as released and as solved."""
    released = read((ROOT / "assignments/softmax-regression/softmax-regression.ipynb").read_bytes())
    solved = read((ROOT / "solutions/softmax-regression/softmax-regression.py").read_bytes())
    for notebook in (released, solved):
        bare = [{"cell_type": cell.cell_type, "source": cell.source, "metadata": {}} for cell in notebook.cells]
        found = repair(read(json.dumps({"cells": bare}).encode()), released)
        assert summary(found) == summary(released)
        assert [flag.id for flag in found.repairs] == ["repaired"]
