"""Real notebooks with anything done to them: a notebook that can be marked, or a sentence; bounded in memory."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from grader.notebook import NotANotebook, executed, exercise_names, forbidden_uses, read, repair

ROOT = Path(__file__).resolve().parents[2]
REAL = [path.read_bytes() for path in sorted((ROOT / "assignments").glob("*/*.ipynb"))]
RELEASED = [read(data) for data in REAL]
OFTEN = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just("x" * 3_000),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def check_marked(data, released):
    """What the pipeline does with a file, up to the sandbox: read, match, search, and write for formgrader."""
    try:
        found = read(data)
    except NotANotebook as error:
        assert str(error).endswith(".")
        return
    mended = repair(found, released)
    assert [cell.source for cell in mended.cells] == [cell.source for cell in found.cells]
    assert {cell.exercise for cell in mended.cells} <= {*exercise_names(released), None}
    forbidden_uses(mended, dict.fromkeys(exercise_names(released), ("torch.softmax", "torch.Tensor.*")))
    json.dumps(executed(mended, (), released=released), allow_nan=False).encode()


@OFTEN
@given(st.data())
def test_a_real_notebook_with_bytes_changed(data):
    """Bytes replaced, cut out, doubled or put in, anywhere in a real notebook."""
    which = data.draw(st.integers(0, len(REAL) - 1))
    raw = bytearray(REAL[which])
    for _ in range(data.draw(st.integers(1, 8))):
        start = data.draw(st.integers(0, len(raw)))
        end = min(len(raw), start + data.draw(st.sampled_from([0, 1, 2, 50, 5_000, len(raw)])))
        raw[start:end] = data.draw(st.binary(max_size=8) | st.just(bytes(raw[start:end]) * 2))
    check_marked(bytes(raw), RELEASED[which])


@OFTEN
@given(st.data())
def test_a_real_notebook_with_values_changed(data):
    """Any value of a real notebook's JSON replaced by any other: cells, sources, metadata, ids, whole lists."""
    which = data.draw(st.integers(0, len(REAL) - 1))
    content = json.loads(REAL[which])
    for _ in range(data.draw(st.integers(1, 5))):
        place = content
        for _ in range(data.draw(st.integers(0, 3))):
            inner = [
                each
                for each in (place.values() if isinstance(place, dict) else place)
                if each and type(each) in (dict, list)
            ]
            if not inner:
                break
            place = data.draw(st.sampled_from(inner))
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if keys:
            key = data.draw(st.sampled_from(keys))
            place[key] = data.draw(anything | st.just(place[data.draw(st.sampled_from(keys))]))
    check_marked(json.dumps(content).encode(), RELEASED[which])


@OFTEN
@given(st.data())
def test_a_real_notebook_with_cells_shuffled_doubled_and_lost(data):
    """Cells in any order, any number of times, with and without their metadata, as strings or lists of lines."""
    which = data.draw(st.integers(0, len(REAL) - 1))
    content = json.loads(REAL[which])
    picked = data.draw(st.lists(st.sampled_from(content["cells"]), max_size=30))
    content["cells"] = [dict(cell) for cell in picked]
    for cell in content["cells"]:
        if data.draw(st.booleans()):
            cell["metadata"] = {}
            cell.pop("id", None)
    check_marked(json.dumps(content).encode(), RELEASED[which])


@pytest.mark.parametrize(
    "data",
    [
        b'{"cells":' + b"[" * 200_000,
        b'{"cells":[' + b'{"source":"x"},' * 20_000 + b"{}]}",
        b'{"metadata":' + b'{"a":' * 50_000,
        b"# %%\n" + b"(" * 50_000,
    ],
    ids=["deep lists", "many cells", "deep metadata", "one deep cell"],
)
def test_what_is_too_much_costs_no_more_than_its_bytes(data):
    """Depth and number of values are bounded before anything is built: memory stays near the size of the file."""
    tracemalloc.start()
    try:
        check_marked(data, RELEASED[0])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100 * len(data) + (16 << 20)
