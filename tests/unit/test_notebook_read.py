"""Bytes -> notebook: everything that students' tools leave behind, and everything else."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.notebook import MAX_CELLS, Cell, NotANotebook, Notebook, read


def code(source, **extra):
    return {"cell_type": "code", "metadata": {}, "source": source, "outputs": [], "execution_count": None, **extra}


def notebook(*cells, **extra):
    return {"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5, **extra}


def data(*cells, **extra):
    return json.dumps(notebook(*cells, **extra)).encode()


def sources(raw):
    return [cell.source for cell in read(raw).cells]


def flags(raw):
    return [(flag.id, flag.text) for flag in read(raw).repairs]


def refusal(raw, **options):
    with pytest.raises(NotANotebook) as caught:
        read(raw, **options)
    return str(caught.value)


def test_plain_notebook():
    """A notebook gives its cells with type, source, metadata, tags, exercise and the reason not to run them."""
    raw = data(
        {"cell_type": "markdown", "metadata": {}, "source": ["# Title\n", "text"], "id": "a1"},
        code(["def f(x):\n", "    return x"], metadata={"exercise": "f", "nbgrader": {"grade_id": "f"}}, id="b2"),
        code("check()", metadata={"tags": ["check"]}),
    )
    assert read(raw) == Notebook(
        cells=(
            Cell(index=0, cell_type="markdown", source="# Title\ntext", id="a1"),
            Cell(
                index=1,
                cell_type="code",
                source="def f(x):\n    return x",
                metadata={"exercise": "f", "nbgrader": {"grade_id": "f"}},
                id="b2",
                exercise="f",
            ),
            Cell(
                index=2,
                cell_type="code",
                source="check()",
                metadata={"tags": ["check"]},
                tags=("check",),
                skip="check",
            ),
        )
    )
    assert read(raw).cells[1].grade_id == "f"
    assert [cell.index for cell in read(raw).code] == [1]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_encodings_of_windows(encoding):
    """A notebook saved as UTF-16 or with a byte order mark reads as if nothing had happened."""
    raw = json.dumps(notebook(code("x = 'σ'")), ensure_ascii=False).encode(encoding)
    assert sources(raw) == ["x = 'σ'"]
    assert flags(raw) == []


def test_line_ends():
    """CRLF and CR in file and sources become line feeds."""
    raw = json.dumps(notebook(code("a\r\nb\rc")), indent=1).replace("\n", "\r\n").encode()
    assert sources(raw) == ["a\nb\nc"]


def test_invalid_utf8_is_replaced_and_told():
    """A byte that is no UTF-8 costs one character, with a flag."""
    raw = data(code("x = 'QQ'")).replace(b"QQ", b"\xe9\xff")
    assert sources(raw) == ["x = '\ufffd\ufffd'"]
    assert flags(raw) == [
        ("repaired", "The file is not valid UTF-8; characters that could not be read were replaced."),
    ]


@pytest.mark.parametrize("null", [b"\x00\x00", b"\\u0000"])
def test_null_bytes_are_removed_and_told(null):
    """Null bytes, raw or escaped, are removed, with one flag."""
    raw = data(code("x = QQ1")).replace(b"QQ", null)
    assert sources(raw) == ["x = 1"]
    assert flags(raw) == [("repaired", "The file contained null bytes; they were removed.")]


def test_leading_null_bytes_are_not_utf16():
    """Null bytes before the notebook are not mistaken for UTF-16."""
    assert sources(b"\x00\x00" + data(code("x = 1"))) == ["x = 1"]


def test_lone_surrogates_are_replaced_and_told():
    """Half a character in a source cannot be encoded; it is replaced, with a flag."""
    raw = data(code("x = 'QQ'")).replace(b"QQ", b"\\ud83d")
    assert sources(raw) == ["x = '\ufffd'"]
    assert [flag for flag, _ in flags(raw)] == ["repaired"]


def test_nbformat_3():
    """A notebook of IPython's days (worksheets, input, heading) reads like any other."""
    sheet = {
        "cells": [
            {"cell_type": "heading", "level": 2, "source": ["Title"]},
            {"cell_type": "code", "language": "python", "input": ["x = 1\n", "y = 2"], "outputs": []},
        ]
    }
    raw = json.dumps({"metadata": {}, "nbformat": 3, "nbformat_minor": 0, "worksheets": [sheet]}).encode()
    assert [(cell.cell_type, cell.source) for cell in read(raw).cells] == [
        ("markdown", "## Title"),
        ("code", "x = 1\ny = 2"),
    ]


def test_missing_parts():
    """Cells without metadata, source or type, and things that are no cells, do not stop the others."""
    raw = json.dumps(
        {
            "cells": [
                {"cell_type": "code"},
                {"source": "x", "outputs": []},
                7,
                None,
                {"source": ["a", 3, "b"]},
                {"source": {}},
            ]
        }
    ).encode()
    assert [(cell.cell_type, cell.source) for cell in read(raw).cells] == [("code", ""), ("code", "x"), ("raw", "ab")]
    assert flags(raw) == [("repaired", "3 entries that are no cells were left out.")]


def test_json_that_is_not_quite():
    """NaN, Infinity, duplicate keys, raw line feeds in texts and enormous numbers are accepted."""
    raw = (
        b'{"cells": [{"cell_type": "code", "source": "old", "source": "x\n=1", "metadata": {"a": NaN, "b": -Infinity, '
        b'"c": ' + b"9" * 6000 + b'}}], "nbformat": 4}'
    )
    assert sources(raw) == ["x\n=1"]
    assert read(raw).cells[0].metadata == {"a": None, "b": None, "c": 0}


def test_truncated_notebook_keeps_complete_cells():
    """A notebook that was cut off keeps the cells that are complete, with a flag."""
    raw = data(code("a = 1"), code("b = 2"), code("c = 3"))
    assert sources(raw[: raw.index(b"c = 3")]) == ["a = 1", "b = 2"]
    assert flags(raw[: raw.index(b"c = 3")]) == [
        ("repaired", "The file is damaged or cut off; 2 complete cells could be read from it.")
    ]


def test_merge_conflict_keeps_the_other_cells():
    """A notebook with a conflict of git's in the middle keeps the cells around it."""
    raw = json.dumps(notebook(code("a = 1"), code("b = 2"), code("c = 3")), indent=1)
    raw = raw.replace('"b = 2"', '"b = 2",\n<<<<<<< HEAD\n "b": 1,\n=======')
    assert sources(raw.encode()) == ["a = 1", "c = 3"]


def test_two_notebooks_in_one_file():
    """What stands behind the end of the notebook is left out, with a flag."""
    raw = data(code("a = 1")) * 2
    assert sources(raw) == ["a = 1"]
    assert [flag for flag, _ in flags(raw)] == ["repaired"]


def test_percent_script():
    """A percent-format script is read as a notebook."""
    raw = b'# %% [markdown]\n# # Title\n\n# %% tags=["see"]\n# %matplotlib inline\nplot()\n'
    cells = read(raw).cells
    assert [(cell.cell_type, cell.source, cell.skip) for cell in cells] == [
        ("markdown", "# Title", None),
        ("code", "%matplotlib inline\nplot()", "see"),
    ]


def test_other_language_is_told():
    """A notebook with another kernel is read, and says so."""
    raw = data(code("x <- 1"), metadata={"kernelspec": {"language": "R", "name": "ir"}})
    assert read(raw).language == "r"
    assert [flag for flag, _ in flags(raw)] == ["language"]


def test_metadata_is_bounded():
    """Metadata keeps a bounded number of plain values whatever was put there."""
    deep: object = "x"
    for _ in range(60):
        deep = {"a": deep}
    cell = read(
        data(code("x", metadata={"deep": deep, "wide": list(range(100_000)), "long": "y" * 10**6, "nan": 1e999}))
    )
    assert len(json.dumps(cell.cells[0].metadata, allow_nan=False)) < 20_000


@pytest.mark.parametrize(
    ("raw", "start"),
    [
        (b"", "The file is empty."),
        (b" \n\t", "The file is empty."),
        (b"\x00" * 10, "The file is empty."),
        (b"PK\x03\x04rest", "The file is a ZIP archive (or a Word or Excel file), not a notebook."),
        (b"%PDF-1.7", "The file is a PDF, not a notebook."),
        (b"\x89PNG\r\n", "The file is a picture (PNG), not a notebook."),
        (b"<!DOCTYPE html><html>", "The file is a web page (HTML), not a notebook."),
        (b"import torch\nprint(1)\n", "The file is a Python script, not a notebook."),
        (b"Dear professor,", "The file is text, but not a notebook."),
        (b"\x01\x02\x03\xff" * 100, "The file is not text, so it is not a notebook."),
        (b"[1, 2]", "The file is JSON, but not a notebook."),
        (b"# %%\n" + b"x" * (2 << 20), "The script is larger than 2 MiB."),
        (b"17", "The file is JSON, but not a notebook."),
        (b'{"a": 1}', "The file is JSON, but not a notebook: it has no cells."),
        (b"{nope", "The file is neither a notebook nor valid JSON."),
        (b'{"cells": [{"cell_type": "co', "The notebook is damaged: no complete cell could be read."),
        (data(), "The notebook has no cells."),
        (b"[" * 100_000, "The file is JSON, but not a notebook."),
        (b'{"cells":' + b"[" * 100_000, "The file is nested more than 120 levels deep"),
        (b'{"a":' * 100_000, "The file is nested more than 120 levels deep"),
    ],
)
def test_what_is_no_notebook(raw, start):
    """What is no notebook is refused with a sentence that says what it is."""
    assert refusal(raw).startswith(start)


def test_size_and_number_of_cells_are_bounded():
    """A file that is too large, and a notebook with too many cells, are refused."""
    assert refusal(b"{" + b" " * 2_000_000, max_bytes=1 << 20).startswith("The file is larger than 1 MiB.")
    many = b'{"cells": [' + b",".join([b"{}"] * (MAX_CELLS + 1)) + b"]}"
    assert refusal(many) == "The notebook has more than 100000 cells."
    assert refusal(b'{"cells": [' + b"1," * 5_100_000 + b"1]}").startswith("The file holds several million values")


@pytest.mark.parametrize(
    "raw",
    [
        b'{"cells": [' + b'{"id": "' * 50_000,
        b'{"cells": [' + b'{"source": [' * 100,
        b'{"cells": [' + b'{"id": 1 ' * 50_000,
        b'{"cells": [' + b'{"source": "\\"' * 50_000,
        b"# %% " + b"a=" * 100_000,
        b"# %% " + b"x" * 500_000 + b"\n" * 1000,
        b"\n" * 300_000 + b"#",
        b"# %%\n" * 20_000,
        b"{" + b'"\\' * 500_000,
    ],
)
def test_no_input_takes_quadratic_work(raw):
    """Inputs made to be slow are read or refused as quickly as others (this test would take minutes otherwise)."""
    with contextlib.suppress(NotANotebook):
        read(raw)


def test_reading_needs_no_nbformat():
    """Reading imports neither nbformat nor jupytext: they cost seconds."""
    script = (
        "import sys; from grader.notebook import read; read(b'# %%\\nx = 1'); "
        "sys.exit(any(name in sys.modules for name in ('nbformat', 'jupytext', 'nbgrader', 'torch')))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def check_is_clean(found):
    for number, cell in enumerate(found.cells):
        assert cell.index == number
        assert cell.cell_type in ("code", "markdown", "raw")
        assert "\x00" not in cell.source
        assert "\r" not in cell.source
        cell.source.encode()
        json.dumps(cell.metadata, allow_nan=False).encode()


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.builds(lambda body: b'{"cells": [' + body, st.binary(max_size=100))))
def test_any_bytes(raw):
    """Arbitrary bytes are a notebook with clean cells, or no notebook."""
    try:
        check_is_clean(read(raw))
    except NotANotebook as error:
        assert str(error).endswith(".")


_KEYS = st.sampled_from(
    [
        "cells",
        "worksheets",
        "cell_type",
        "source",
        "metadata",
        "id",
        "tags",
        "nbgrader",
        "exercise",
        "kernelspec",
        "language",
        "level",
        "input",
    ]
)
_VALUES = st.sampled_from(["code", "markdown", "heading", "x = 1", "check", "\x00", "\ud800", "\r\n", "%%bash\nls"])
_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), _VALUES),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.one_of(_KEYS, st.text(max_size=3)), inner, max_size=5)
    ),
    max_leaves=20,
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.dictionaries(_KEYS, _JSON, max_size=6), max_size=4),
    st.dictionaries(_KEYS, _JSON, max_size=3),
    st.integers(0, 600),
)
def test_any_json(cells, extra, cut):
    """Arbitrary JSON in the shape of a notebook, whole or cut off, is a notebook with clean cells, or none."""
    raw = json.dumps({"cells": cells, **extra}).encode()
    for part in (raw, raw[:cut]):
        try:
            check_is_clean(read(part))
        except NotANotebook as error:
            assert str(error).endswith(".")
