"""How steady the verdicts of timed checks are, while something else keeps a core busy; and what they cost.

For each limit of the six assignments, functions that take 0.7, 1.5 and 3 times as long as it allows are raced in the
sandbox, in guests of their own, again and again; so are functions whose time grows with 0.7, 1.5 and 3 times the
exponent that is allowed, and some that hold as many times the memory. A *flip* is a 0.7 that loses points or a 1.5 or
3 that keeps them. As in a run, what a noisy machine leaves unclear is measured once more, after all others, and then
decided in the student's favour.

With ``--bursts`` so many more processes compute and rest in turns, up to 60 ms each: harder than steady work.

Usage: python benchmarks/performance_checks.py [--marks 200] [--class-of 20]
           [--limits 6,20] [--exponents 1.6] [--memory 3] [--bursts 0]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import random
import statistics
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import torch

from grader.audit.subject import Subject
from grader.audit.trials import Trial, run
from grader.checks import grows, holds, race
from grader.checks.performance import TooNoisy
from grader.config import load_course
from grader.guest.worker import seed_everything
from grader.lane import alone
from grader.sandbox.base import Limits
from grader.sandbox.select import select
from grader.wall.faults import Mismatch
from grader.wall.host import Student
from grader.wall.session import Budget, CodeCell, Session

WORK = """
import torch
def work(x, rounds):
    y = x
    for _ in range(rounds):
        y = torch.tanh(x @ y)
    return y
times = 1.0
def slow_by(factor):
    global times
    times = factor
def slower(x, rounds):
    work(x, round(rounds * (times - 1)))
    return work(x, rounds)
some = torch.randn(96, 96)
def growing(x):
    fewest = min(20, 3000 / 4 ** times)  # steep ones begin lower, or the largest size would take a second
    work(some, round(fewest * (len(x) / 512) ** times))
    return 2 * x
def holding(x):
    kept = torch.ones(round(4_000_000 * times))
    return 2 * x
"""
ROUNDS = 6
"""Some tenths of a millisecond for the reference: shorter ones are mostly what calling a function costs."""
FACTORS = (0.7, 1.5, 3.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--marks", type=int, default=200)
    parser.add_argument("--limits", default="6,20")
    parser.add_argument("--exponents", default="1.6")
    parser.add_argument("--memory", default="3")
    parser.add_argument("--class-of", type=int, default=20)
    parser.add_argument("--bursts", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    others = [multiprocessing.Process(target=_burn, daemon=True)]
    others += [multiprocessing.Process(target=_burst, args=(each,), daemon=True) for each in range(options.bursts)]
    for other in others:
        other.start()
    try:
        busy = "one core kept busy by us" + (f", and {options.bursts} that come and go" if options.bursts else "")
        print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {busy}\n")
        limits = {"time": options.limits, "exponent": options.exponents, "memory": options.memory}
        _flips(
            options.marks, [(kind, float(limit)) for kind, text in limits.items() for limit in text.split(",") if limit]
        )
    finally:
        for other in others:
            other.kill()
    if options.class_of:
        _cost(options.class_of)


def _burn() -> None:
    while True:
        sum(range(100_000))


def _burst(seed: int) -> None:
    drawn = random.Random(seed)
    while True:
        until = time.perf_counter() + drawn.uniform(0.001, 0.06)
        while time.perf_counter() < until:
            pass
        time.sleep(drawn.uniform(0, 0.06))


def _flips(marks: int, limits: list[tuple[str, float]]) -> None:
    sandbox = select("auto", preload=(), limits=Limits())
    sandbox.start()
    sessions = [
        Session(sandbox=sandbox, limits=Limits(wall_s=36_000, cpu_s=36_000), budget=Budget(check_s=60))
        for _ in range(2)
    ]
    print("| of | limit | truth | marks | flips | unclear | measured again | pairs, median (most) | seconds a mark |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
    try:
        for session in sessions:
            session.load([CodeCell(index=0, source=WORK)])
        for kind, limit in limits:
            for factor in FACTORS:
                _row(sessions, kind, limit, factor, marks)
    finally:
        for session in sessions:
            session.close()
        sandbox.close()


def _row(sessions: list[Session], kind: str, limit: float, factor: float, marks: int) -> None:
    outcomes: Counter[str] = Counter()
    pairs = []
    again: list[int] = []
    started = time.perf_counter()
    for last in (False, True):
        for number in again if last else range(marks):
            with alone():
                outcome = _mark(sessions, kind, limit * factor, limit, number, last=last)
            if outcome.said == "noisy":
                again.append(number)
                continue
            pairs.append(outcome.pairs)
            outcomes["flips"] += outcome.said != ("kept" if factor < 1 else "lost")
            outcomes["unclear"] += not outcome.clear
    seconds = (time.perf_counter() - started) / marks
    print(
        f"| {kind} | {limit:g} | {factor:g} of it | {marks} | {outcomes['flips']} | {outcomes['unclear']} "
        f"| {len(again)} | {statistics.median(pairs):g} ({max(pairs)}) | {seconds:.2f} |",
        flush=True,
    )


def _mark(
    sessions: list[Session], kind: str, truth: float, limit: float, number: int, *, last: bool
) -> SimpleNamespace:
    seed_everything(number)
    own, other = (session.for_check(number) for session in sessions)
    own.last_try = last
    student, reference = Student(own), Student(other)
    try:
        student.slow_by(truth)
        if kind == "time":
            race(student.slower, reference.work, lambda: (torch.randn(96, 96), ROUNDS), at_most=limit)
        elif kind == "exponent":
            sizes = (512, 1024, 2048)
            grows(student.growing, reference.growing, lambda size: (torch.randn(size),), sizes=sizes, at_most=limit)
        else:
            holds(student.holding, reference.holding, lambda: (torch.randn(100),), at_most=limit)
        said = "kept"
    except Mismatch:
        said = "lost"
    except TooNoisy:
        return SimpleNamespace(said="noisy", clear=False, pairs=0)
    measured = own.measurements[0]
    return SimpleNamespace(said=said, clear=measured.clear, pairs=measured.pairs)


def _cost(students: int) -> None:
    """What timed checks cost a class, all of it right."""
    course = load_course(Path(__file__).resolve().parents[1] / "course.yaml")
    subject = Subject.of(course, course.assignment("softmax-regression"))
    data = subject.notebook()
    trials = [
        Trial(name=f"student-{number}", data=data, only=subject.exercises, seed=1, about="reference")
        for number in range(students)
    ]
    started = time.perf_counter()
    records = run(subject, trials)
    took = time.perf_counter() - started
    timed = [result for record in records for result in record.checks if result.check.timed]
    others = [result for record in records for result in record.checks if not result.check.timed]
    print(f"\nA class of {students} in softmax-regression, {took:.0f} s in all, its start included:")
    for name in sorted({result.check.id for result in timed}):
        print(f"  {name}: {statistics.mean(each.seconds for each in timed if each.check.id == name):.2f} s a student")
    print(f"  all other checks together: {sum(each.seconds for each in others) / students:.2f} s a student")


if __name__ == "__main__":
    main()
