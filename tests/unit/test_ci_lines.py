"""The line of a notebook's file on which a cell's line stands."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.ci.lines import cell_lines

SOURCES = [["# Title\n", "text"], ["def f(x):\n", '    return "\\n{}[]"\n', "\n", "# end"], []]


def document(sources, **layout):
    cells = [
        {
            "cell_type": "code",
            "metadata": {"a": [{"source": ["not this"]}]},
            "outputs": [{"text": ["{"]}],
            "source": each,
        }
        for each in sources
    ]
    return json.dumps({"metadata": {"cells": [1, 2]}, "cells": cells, "nbformat": 4}, **layout)


def test_lines_are_those_of_the_file():
    """Each line of each cell is found where an editor shows it."""
    text = document(SOURCES, indent=1)
    lines = text.split("\n")
    found = cell_lines(text.encode())
    assert [len(each) for each in found] == [2, 4, 0]
    for cell, places in zip(SOURCES, found, strict=True):
        for source, place in zip(cell, places, strict=True):
            assert json.dumps(source) in lines[place - 1]


def test_a_source_in_one_string_has_one_line():
    """A cell that is one long string is on one line, for all of its lines."""
    text = document(["a\nb\nc"], indent=1)
    ((first, *rest),) = cell_lines(text.encode())
    assert json.dumps("a\nb\nc") in text.split("\n")[first - 1]
    assert rest == [first, first]


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"\xff\xfe", b'{"cells": {}}', b'{"cells": [1]}', b'{"cells": [{"source": 7}]}',
             b"PK\x03\x04", b'{"cells":' + b"[" * 100_000, b'{"a" 1}', b'{"cells": [{"source": [7]}]}', b'{"cells": [{']
)  # fmt: skip
def test_what_is_no_notebook_has_no_lines(data):
    """Damaged and hostile files have no lines, and raise nothing."""
    assert cell_lines(data) == []


@given(st.lists(st.lists(st.text(max_size=8), max_size=4), max_size=5), st.sampled_from([None, 0, 2]))
def test_any_notebook_is_walked(sources, indent):
    """As many cells as there are, lines in order."""
    found = cell_lines(document(sources, indent=indent).encode())
    assert len(found) == len(sources)
    flat = [line for cell in found for line in cell]
    assert flat == sorted(flat)
