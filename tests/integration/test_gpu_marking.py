"""A class marked on a GPU, attackers among it: what a submission does to the GPU costs its own check and nobody else's.

All hand in to one course, marked once by the command line. ``scripts/gpu_check.sh`` runs this file on a machine with a
GPU; elsewhere everything but the last test is skipped.
"""

import json

import pytest
from tiny_class import grader, hand_in, journal_lines, lay_out, notebook

from grader.sandbox import gpus

FOUND = gpus.find()
on_a_gpu = [
    pytest.mark.gpu,
    pytest.mark.slow,
    pytest.mark.skipif(isinstance(FOUND, gpus.NoGpu), reason=f"no GPU here: {getattr(FOUND, 'what', '')}"),
]

LIMITS = """\
    gpu: {gpu}
    limits:
      cell: 30 s
      check: 30 s
      cells: 2 min
      wall: 8 min
      memory: 6 GiB
      gpu_memory: 2 GiB
      output: 64 KiB
"""
HIDDEN = '''\
import torch

from grader.checks import check, close, on, race

SIZE = {size}


@check("scale", points=1)
def test_scale_there(student, device, rng):
    """scale works where its input is, and so does its gradient."""
    x = on(device, torch.randn(5, generator=rng, requires_grad=True))
    y = student.scale(x, 3.0)
    y.sum().backward()
    close(y, 3 * x.detach())
    close(x.grad, torch.full((5,), 3.0))
    close(student.where(x), device.type)


@check("scale", points=1)
def test_scale_time(student, reference, device, rng):
    """scale takes at most five times our time."""

    def inputs():
        rows = SIZE - int(torch.randint(8, (), generator=rng))
        return on(device, torch.randn(rows, rows, generator=rng) / (2.5 * rows**0.5)), 2.0

    race(student.scale, reference.scale, inputs, at_most=5)


@check("total", points=2, gate=True)
def test_total_values(student):
    """total adds up a list of numbers."""
    close(student.total([1.0, 2.0, 4.5]), 7.5)


@check("total", points=1)
def test_total_again(student):
    """total does so again."""
    close(student.total([1.0, 2.0]), 3.0)


@check("counter", points=2, gate=True)
def test_counter(student, device):
    """A Counter counts its calls, and the GPU can still be used."""
    counter = student.Counter()
    counter.count()
    counter.count()
    close(counter.calls, 2)
    close(student.scale(on(device, torch.ones(2)), 2.0), torch.full((2,), 2.0))
'''
WORK = """\
def work(x, rounds):
    y = x
    for _ in range(rounds):
        y = torch.tanh(x @ y) + x  # a contraction: rounding dies out
    return y


def where(x):
    return x.device.type


def scale(x, factor):
    return (work(x, {rounds}) if x.ndim == 2 else x) * factor"""
ROUNDS = 200
RIGHT = WORK.format(rounds=ROUNDS)
SLOW = WORK.format(rounds=8 * ROUNDS)
FAKED = """
class Event:
    def __init__(self, *_, **__): pass
    def record(self, *_): pass
    def synchronize(self): pass
    def elapsed_time(self, _): return 0.0
torch.cuda.Event = Event
torch.cuda.synchronize = torch.cuda.Stream.synchronize = lambda *_: None
"""
ASIDE = """
side = None
def scale(x, factor):
    global side
    if x.ndim == 2:
        side = side or torch.cuda.Stream()
        y = work(x, {rounds}) * factor
        with torch.cuda.stream(side):
            torch.cuda._sleep(400_000_000)  # some 200 ms of the GPU, after the answer
        return y
    return x * factor
"""
FILL = """\
def total(numbers):
    import time
    {first}
    kept = []
    for _ in range(1000):
        kept.append(torch.ones(256 << 20, dtype=torch.uint8, device="cuda"))
        torch.cuda.synchronize()
        time.sleep(0.02)
    return sum(numbers)"""
ASSERTED = "torch.zeros(3, device='cuda')[torch.tensor([7], device='cuda')]\ntorch.cuda.synchronize()"
CLASS = {
    "right": notebook(scale=RIGHT),
    "slow": notebook(scale=SLOW),
    "faked-clocks": notebook(scale=SLOW + FAKED),
    "side-stream": notebook(scale=RIGHT + ASIDE.format(rounds=ROUNDS)),
    "hog": notebook(scale=SLOW + FAKED + ASIDE.format(rounds=8 * ROUNDS)),
    "fills": notebook(scale=RIGHT, total=FILL.format(first="pass")),
    "fills-uncapped": notebook(scale=RIGHT, total=FILL.format(first="torch.cuda.set_per_process_memory_fraction(1.0)")),
    "sticky": notebook(scale=RIGHT, total=f"def total(numbers):\n    {ASSERTED.replace(chr(10), '; ')}"),
    "sticky-cell": notebook(scale=RIGHT, first=f"import torch\n{ASSERTED}"),
    "used-while-loading": notebook(scale=RIGHT, last="torch.ones(3, device='cuda').sum().item()"),
    "honest-last": notebook(scale=RIGHT),
}
TIME = {"scale_time": "FAIL"}
FULL = {"total_values": "MEMORY", "total_again": "SKIPPED"}
MARKS = {
    "right": {},
    "slow": TIME,
    "faked-clocks": TIME,
    "side-stream": TIME,
    "hog": TIME,
    "fills": FULL,
    "fills-uncapped": FULL,
    "sticky": {"total_values": "RAISED", "total_again": "SKIPPED"},
    "sticky-cell": {},
    "used-while-loading": {},
    "honest-last": {},
}


def course_with(folder, *, gpu, size, rounds):
    """The tiny course with checks that use the device that there is."""
    course = lay_out(folder)
    text = (course / "course.yaml").read_text()
    start, end = text.index("    limits:\n"), text.index("    exercises:\n")
    (course / "course.yaml").write_text(text[:start] + LIMITS.format(gpu=gpu) + text[end:])
    (course / "solutions" / "tiny" / "test_hidden.py").write_text(HIDDEN.format(size=size))
    solution = course / "solutions" / "tiny" / "tiny.py"
    text = solution.read_text()
    start, end = text.index("def scale("), text.index("# %% tags", text.index("def scale("))
    solution.write_text(f"{text[:start]}{WORK.format(rounds=rounds)}\n\n\n{text[end:]}")
    return course


@pytest.fixture(scope="module")
def marked(tmp_path_factory):
    course = course_with(tmp_path_factory.mktemp("gpu"), gpu="required", size=1000, rounds=ROUNDS)
    for student, data in CLASS.items():
        hand_in(course, student, data)
    done = grader(course, "grade", "tiny", "--seed", "11")
    assert done.returncode == 0, done.stderr
    return {line["submission"]["student"]: line for line in journal_lines(course)}


def lost(record):
    """Verdicts that are not PASS, by check."""
    return {
        each["check"]["id"].rpartition(":")[2].removeprefix("test_"): each["verdict"]
        for each in record["checks"]
        if each["verdict"] != "PASS"
    }


def on_gpu(function):
    for mark in on_a_gpu:
        function = mark(function)
    return function


@on_gpu
@pytest.mark.parametrize("student", CLASS)
def test_each_pays_for_what_it_did_itself(student, marked):
    """Memory, sticky errors and hogging cost the check that they happen in; faked clocks gain nothing."""
    assert lost(marked[student]) == MARKS[student], json.dumps(marked[student]["checks"])[:4000]


@on_gpu
def test_the_watch_from_outside_ends_who_lifts_the_cap(marked):
    """It was NVML that found it, not torch."""
    (check,) = [each for each in marked["fills-uncapped"]["checks"] if each["verdict"] == "MEMORY"]
    assert check["rationale"] == "Your code used more memory on the GPU than it may."


@on_gpu
def test_records_name_the_gpu(marked):
    """The record says what it was marked on."""
    assert {record["hardware"]["gpu"] for record in marked.values()} == {f"{FOUND.name}, driver {FOUND.driver}"}


@on_gpu
def test_a_notebook_that_uses_the_gpu_while_it_loads_is_loaded_anew(marked):
    """It cannot be forked, and the record says so."""
    flags = {flag["text"] for flag in marked["used-while-loading"]["flags"]}
    assert "the notebook used the GPU, so it was loaded anew for each check" in flags
    assert not any("loaded anew" in flag["text"] for flag in marked["right"]["flags"])


@pytest.mark.slow
def test_the_same_checks_mark_without_a_gpu(tmp_path):
    """`gpu: preferred` goes on without one, on the CPU, and says so; `required` stops before anything is marked."""
    course = course_with(tmp_path, gpu="preferred", size=120, rounds=20)
    hand_in(course, "right", notebook(scale=WORK.format(rounds=20)))
    hand_in(course, "slow", notebook(scale=WORK.format(rounds=400)))
    done = grader(course, "grade", "tiny", "--seed", "11", CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 0, done.stderr
    records = {line["submission"]["student"]: line for line in journal_lines(course)}
    found = {student: lost(record) for student, record in records.items()}
    assert found == {"right": {}, "slow": TIME}, json.dumps([record["checks"] for record in records.values()])[:8000]
    assert records["right"]["hardware"]["gpu"] is None
    assert "gpu_memory_bytes" not in records["right"]["limits"]
    text = (course / "course.yaml").read_text().replace("gpu: preferred", "gpu: required")
    (course / "course.yaml").write_text(text)
    refused = grader(course, "grade", "tiny", "--force", CUDA_VISIBLE_DEVICES="")
    assert refused.returncode == 5
    assert (
        "course.yaml tiny.gpu: a GPU is required, and guests can have none here: CUDA_VISIBLE_DEVICES is set to ''"
        in " ".join(refused.stderr.split())
    )
    assert len(journal_lines(course)) == 2
