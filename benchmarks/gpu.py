"""What a GPU costs and how a race on it decides: starts, cold and warm, and functions of known cost.

Usage: python benchmarks/gpu.py [--sandbox auto]

Prints three Markdown rows; fails when a race decides wrongly.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time

import torch

from grader.checks import on, race
from grader.checks.performance import TooNoisy
from grader.lane import alone
from grader.sandbox import gpus
from grader.sandbox.base import Limits
from grader.sandbox.select import select
from grader.wall.faults import Mismatch
from grader.wall.host import Student
from grader.wall.session import Budget, CodeCell, Session

WORK = """
import torch
def work(x, rounds=200):
    y = x
    for _ in range(rounds):
        y = torch.tanh(x @ y) + x
    return y
def slower(x):
    work(x, 400)
    return work(x)
def touch():
    return torch.ones(8, device="cuda").sum().item()
"""
GUESTS = 5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sandbox", default="auto")
    options = parser.parse_args()
    found = gpus.find()
    if isinstance(found, gpus.NoGpu):
        print(f"{found.what}\n  → {found.remedy}", file=sys.stderr)
        return 2
    gpus.hide()
    torch.set_num_threads(1)
    limits = Limits(wall_s=3600, cpu_s=3600, memory_bytes=8 << 30, gpu_memory_bytes=4 << 30)
    started = time.monotonic()
    with select(options.sandbox, limits=limits, gpu=found) as sandbox:
        cold_s = time.monotonic() - started
        warm, first, second = zip(*(_guest(sandbox, limits) for _ in range(GUESTS)), strict=True)
        print(f"| cold start of the sandbox, torch imported | {cold_s:.2f} s | |")
        print(
            f"| warm start of a guest; its first and second use of the GPU (median of {GUESTS}) "
            f"| {statistics.median(warm):.3f}, {statistics.median(first):.2f} and {statistics.median(second):.4f} s | |"
        )
        started = time.monotonic()
        same, slow = _won(sandbox, limits, "work"), _won(sandbox, limits, "slower")
        said = f"the same function {'passes' if same else 'LOSES'}, thrice the work {'PASSES' if slow else 'loses'}"
        print(f"| race on cuda, limit 1.8: {said} | {time.monotonic() - started:.1f} s | |")
    return 0 if same and not slow else 1


def _session(sandbox, limits) -> Session:
    session = Session(sandbox=sandbox, limits=limits, budget=Budget(check_s=120))
    session.load([CodeCell(index=0, source=WORK)])
    return session


def _guest(sandbox, limits) -> tuple[float, float, float]:
    """Seconds until a new guest answers, and of its first two uses of the GPU."""
    times = [time.monotonic()]
    with Session(sandbox=sandbox, limits=limits, budget=Budget(check_s=120)) as session:
        session.load([CodeCell(index=0, source=WORK)])
        student = Student(session.for_check(1))
        times.append(time.monotonic())
        for _ in range(2):
            assert student.touch() == 8.0
            times.append(time.monotonic())
    return times[1] - times[0], times[2] - times[1], times[3] - times[2]


def _won(sandbox, limits, name: str) -> bool:
    """Whether a function keeps its points in a race against ``work`` with a limit of 1.8."""

    def inputs():
        rows = 1000 - int(torch.randint(8, ()))
        return (on(torch.device("cuda"), torch.randn(rows, rows) / (2.5 * rows**0.5)),)

    with alone(), _session(sandbox, limits) as own, _session(sandbox, limits) as other:
        wall = own.for_check(1)
        try:
            race(getattr(Student(wall), name), Student(other.for_check(1)).work, inputs, at_most=1.8)
        except (Mismatch, TooNoisy) as fault:
            print(f"{name}: {fault}", file=sys.stderr)
            return False
        return True


if __name__ == "__main__":
    sys.exit(main())
