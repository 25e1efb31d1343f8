"""Kills the grader again and again while it marks a class of 50, and looks whether a mark changed.

    python benchmarks/kill_rounds.py [--kills N] [--seed N] [--workers N]

A class of 50 (right and wrong in four ways) is marked once undisturbed. Then the same class is marked in a fresh course
by ``grader grade``, which is killed with ``kill -9`` at a random instant (one in four times while it makes ready, else
after a random number of further marks), started again, killed again, and so on until the class is done; then a fresh
course is begun, until all kills are done. After each class every verdict, score and grade in the gradebook must be that
of the undisturbed run, everybody must stand in the journal once, and nothing may be left behind.

Exits with 1 otherwise. ``docs/faults.md`` keeps the figures.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from fault_rounds import ANSWERS, Round, Run, complain, descendants, look_around, marks_of
from tiny_class import hand_in, lay_out, notebook

SIZE = 50
ONE_STEP = 12
"""Marks between two kills, at the most."""


def class_of(folder: Path) -> Path:
    """A fresh course with the notebooks of 50 students."""
    course = lay_out(folder)
    kinds = list(ANSWERS.values())
    for number in range(SIZE):
        hand_in(course, f"s{number:02}", notebook(first=f"number = {number}", **kinds[number % len(kinds)]))
    return course


def marked(course: Path) -> int:
    """Lines in the journal."""
    journal = course / "journal" / "records.jsonl"
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def kill(run: Run, course: Path, chance: random.Random, ready_s: float) -> str:
    """Kill a run at a random instant; during what, or ``ended`` when it was faster."""
    before = marked(course)
    if chance.random() < 0.25:
        time.sleep(chance.uniform(0, ready_s))
    else:
        goal = min(SIZE, before + chance.randint(0, ONE_STEP))
        while run.process.poll() is None and marked(course) < max(goal, before + 1):
            time.sleep(0.002)
        # the last mark is followed by the gradebook, which takes longer than a mark
        time.sleep(chance.uniform(0, 3.0 if goal == SIZE else 0.15))
    if run.process.poll() is not None:
        return "ended"
    run.process.kill()
    now = marked(course)
    return "making ready" if now == before else "gradebook" if now == SIZE else "marking"


def one_class(left: int, chance: random.Random, ready_s: float, options: argparse.Namespace) -> tuple[Round, Counter]:
    """Mark a class, killed up to ``left`` times; what was seen, and when the kills struck."""
    seen, struck = Round("class"), Counter()
    with tempfile.TemporaryDirectory(prefix="kills-") as folder, tempfile.TemporaryDirectory(prefix="tmp-") as tmp:
        course, temporary = class_of(Path(folder)), Path(tmp)
        pids: set[int] = set()
        while not seen.finished:
            run = Run(course, temporary, options)
            when = kill(run, course, chance, ready_s) if struck.total() < left else "ended"
            if when != "ended":
                struck[when] += 1
            pids |= {pid for pid, _ in descendants(os.getpid())} | {run.process.pid}
            code, said = run.end()
            complain(seen, said, code)
            seen.finished = code == 0
            if when == "ended" and code != 0:
                seen.wrong.append(f"exit {code}: {said[-500:]}")
                break
        seen.marks = marks_of(course)
        look_around(seen, course, temporary, pids)
    return seen, struck


def main() -> int:
    """Kill until all kills are done; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    subreaper = 36  # whatever the death of a run leaves behind becomes our child, and is seen
    ctypes.CDLL(None, use_errno=True).prctl(subreaper, ctypes.c_ulong(1), 0, 0, 0)
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="kills-") as folder, tempfile.TemporaryDirectory(prefix="tmp-") as tmp:
        run = Run(class_of(Path(folder)), Path(tmp), options)
        while marked(run.course) == 0 and run.process.poll() is None:
            time.sleep(0.01)
        ready_s = time.monotonic() - run.started
        code, said = run.end()
        if code != 0:
            raise SystemExit(f"the undisturbed run failed\n{said}")
        undisturbed = marks_of(run.course)
    struck: Counter[str] = Counter()
    classes = changed = lost = doubled = wrong = 0
    started = time.monotonic()
    while struck.total() < options.kills:
        seen, when = one_class(options.kills - struck.total(), chance, ready_s, options)
        struck += when
        classes += 1
        lost += SIZE - len(seen.marks.counts)
        doubled += sum(count - 1 for count in seen.marks.counts.values())
        changed += sum(seen.marks.verdicts.get(who) != what for who, what in undisturbed.verdicts.items())
        if seen.marks.grades != undisturbed.grades or seen.marks.integrity != "ok":
            seen.wrong.append("the gradebook differs from the undisturbed one")
        wrong += bool(seen.wrong)
        print(f"class {classes}: {when.total()} kills, {struck.total()} in all", flush=True)
        for sentence in seen.wrong:
            print(f"    {sentence}", flush=True)
    print(f"\n{struck.total()} kills in {classes} classes of {SIZE}, {(time.monotonic() - started) / 60:.0f} minutes")
    print(", ".join(f"{count} while {when}" for when, count in struck.most_common()))
    print(f"marks changed {changed}, lost {lost}, doubled {doubled}; classes with anything else wrong {wrong}")
    return 1 if changed or lost or doubled or wrong else 0


if __name__ == "__main__":
    sys.exit(main())
