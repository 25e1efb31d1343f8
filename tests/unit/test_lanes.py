"""How many submissions at a time, which next, and what a long one holds up: nothing."""

import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from records_for_reports import record

from grader import lanes
from grader.jobs import Job, Run, _Flying
from grader.lanes import FORK_BYTES, KEPT_BACK_BYTES, Lanes, lanes_for
from grader.marker import LONG_S, Child, Marker
from grader.model import Timing
from grader.sandbox import gpus
from grader.sandbox.gpus import Gpu, NoGpu

GIB = 1 << 30
EACH = GIB + FORK_BYTES


def assignment(gpu="never"):
    return SimpleNamespace(limits=SimpleNamespace(memory_bytes=GIB, gpu_memory_bytes=4 * GIB), gpu=gpu)


@pytest.mark.parametrize(
    ("cores", "room", "expected"),
    [
        (4, 100, Lanes(at_a_time=4, most=8, why="4 cores")),
        (4, 6, Lanes(at_a_time=4, most=6, why="4 cores")),
        (4, 3, Lanes(at_a_time=3, most=3, why="memory, 1124 MiB each")),
        (4, 0, Lanes(at_a_time=1, most=1, why="memory, 1124 MiB each")),
    ],
)
def test_cores_and_memory_are_budgets(monkeypatch, cores, room, expected):
    """A core and the memory limit for each; at least one; beyond the cores only as far as memory goes."""
    monkeypatch.setattr(lanes, "_cores", lambda: cores)
    monkeypatch.setattr(lanes, "_free_bytes", lambda: KEPT_BACK_BYTES + room * EACH)
    assert lanes_for(assignment()) == expected
    assert lanes_for(assignment(), 7) == Lanes(at_a_time=7, most=7, why="--workers")


def test_the_memory_of_the_gpu_is_a_budget_where_one_is_wanted(monkeypatch):
    """Each takes its limit and what CUDA takes; one at a time where nobody tells; nothing where no GPU is wanted."""
    monkeypatch.setattr(lanes, "_cores", lambda: 8)
    monkeypatch.setattr(lanes, "_free_bytes", lambda: 1 << 50)
    found = Gpu(visible="0", nodes=("/dev/nvidia0",), memory_bytes=16 * GIB)
    monkeypatch.setattr(gpus, "find", lambda: found)
    assert lanes_for(assignment("required")) == Lanes(at_a_time=3, most=3, why="memory of the GPU, 5120 MiB each")
    monkeypatch.setattr(gpus, "find", lambda: replace(found, memory_bytes=None))
    assert lanes_for(assignment("preferred")).at_a_time == 1
    assert lanes_for(assignment()).at_a_time == 8
    monkeypatch.setattr(gpus, "find", lambda: NoGpu(what="none", remedy=""))
    assert lanes_for(assignment("preferred")).at_a_time == 8


def test_this_machine_has_a_lane():
    """Whatever the machine allows, it is something that can be used."""
    found = lanes_for(assignment())
    assert 1 <= found.at_a_time <= found.most


def job(student, took_s=None):
    before = None if took_s is None else record(student, timing=Timing(total_s=took_s), cells=())
    return Job(student=student, place=Path(student), reason="", before=before)


def test_known_long_ones_begin_first_and_leave_room():
    """Long ones go first, the longest at once, but in no more than half of the lanes while short ones wait."""
    todo = [job("a"), job("b", 1.0), job("long", 30.0), job("c"), job("longer", 60.0), job("d")]
    run = Run(None, None, None, todo, lambda _: None, None, None)
    order = []
    while run.long or run.short:
        chosen = run._next(lanes=2)
        order.append(chosen.student)
        run.working[len(order)] = _Flying(chosen, None)
        if chosen.student == "c":  # by now the first long one is done
            run.working = {}
    assert order == ["longer", "a", "b", "c", "long", "d"]


def test_with_one_lane_the_short_ones_go_first():
    """Where there is no lane to spare, nobody waits for a long one but the long ones."""
    run = Run(None, None, None, [job("long", 30.0), job("a"), job("b")], lambda _: None, None, None)
    assert [run._next(lanes=1).student for _ in range(3)] == ["a", "b", "long"]


def test_one_that_has_become_long_does_not_hold_up_the_others():
    """A submission that runs for long no longer counts against the lanes, within what memory allows."""
    marker = Marker(None, {"workers": 2, "most": 3})
    now = time.monotonic()

    def child(pid, ran_s):
        return Child(
            pid=pid, number=pid, header={}, data=b"", results=None, deadline=0, generation=1, began=now - ran_s
        )

    marker.children = {1: child(1, 0), 2: child(2, 1)}
    assert not marker._has_room()
    marker.children[2] = child(2, LONG_S + 5)
    assert marker._has_room()
    marker.children[3] = child(3, 0)
    assert not marker._has_room()
    marker.children[1] = child(1, LONG_S + 5)
    assert not marker._has_room()  # ``most`` are at work
