"""Marks the same class with nbgrader and with this grader, on this machine, one after the other, and compares.

    python benchmarks/class_of_20.py [--submissions N] [--skip-nbgrader]

Both are given the same notebooks (released by nbgrader, a third of them with a mistake that costs 2 of 10 points) and
the same five checks, and both are run as people run them: ``nbgrader autograde`` and ``grader grade``, each writing
its gradebook. nbgrader marks in one process without a sandbox and knows no parallel marking; this grader marks in its
sandbox, one submission a core. Scores are read from the two gradebooks; the program exits with 1 unless they agree.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from light.classroom import SOURCE, Run, activate, grade, lay_out, machine, write_submissions

TARGET = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Autograded:
    """What ``nbgrader autograde`` took."""

    seconds: float
    """The whole command."""
    steady_s: float
    """From its first line about a submission to its end."""


def generate(course: Path) -> Path:
    """``nbgrader generate_assignment`` for the light assignment; the released notebook."""
    source = course / "source" / "light" / "light.ipynb"
    source.parent.mkdir(parents=True)
    source.write_bytes(SOURCE.read_bytes())
    command = ["nbgrader", "generate_assignment", "light", "--course-dir", str(course)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"nbgrader generate_assignment failed\n{done.stderr}")
    return course / "release" / "light" / "light.ipynb"


def autograde(course: Path) -> Autograded:
    """``nbgrader autograde`` for the whole class, timed."""
    command = ["nbgrader", "autograde", "light", "--course-dir", str(course)]
    first = 0.0
    said = []
    started = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout or ():
            said.append(line)
            if not first and "student" in line:
                first = time.monotonic()
    ended = time.monotonic()
    if process.returncode != 0:
        raise SystemExit(f"nbgrader autograde failed\n{''.join(said[-30:])}")
    return Autograded(seconds=ended - started, steady_s=ended - (first or started))


def scores(course: Path, students: list[str]) -> dict[str, float]:
    """Every student's score, as nbgrader reads it from the gradebook in a folder."""
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        return {student: gradebook.find_submission("light", student).score for student in students}


def row(what: str, seconds: float, submissions: int) -> str:
    """One line of the table."""
    return f"{what:<44} {seconds:>8.1f} {seconds / submissions:>13.3f} {60 * submissions / seconds:>12.0f}"


def table(ours: Run, theirs: Autograded | None) -> None:
    """Print the figures."""
    n = ours.submissions
    print(f"\n{'':<44} {'seconds':>8} {'s/submission':>13} {'per minute':>12}")
    if theirs is not None:
        print(row("nbgrader autograde, whole command", theirs.seconds, n))
        print(row("nbgrader autograde, after its start-up", theirs.steady_s, n))
    print(row("grader grade, whole command", ours.seconds, n))
    print(row("grader grade, first begin to last record", ours.steady_s, n))
    rest = ours.seconds - ours.ready_s - ours.steady_s
    print(
        f"\nOf grader's {ours.seconds:.1f} s, {ours.ready_s:.1f} s pass before the first submission is begun: imports,"
    )
    print(f"sandbox, checks, marking the reference. {rest:.1f} s go to the command line and the gradebook. Both are")
    print("paid once a run, whatever the size of the class.")
    if theirs is not None:
        print(f"\nwhole command: {theirs.seconds / ours.seconds:.1f} times nbgrader's submissions per minute")
        print(f"steady state:  {theirs.steady_s / ours.steady_s:.1f} times (target: {TARGET})")


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--submissions", type=int, default=20, metavar="N", help="size of the class (20)")
    parser.add_argument("--skip-nbgrader", action="store_true", help="measure this grader only")
    arguments = parser.parse_args()
    activate()
    with tempfile.TemporaryDirectory(prefix="class-of-20-") as folder:
        theirs, ours = Path(folder) / "nbgrader", Path(folder) / "ours"
        print(f"{arguments.submissions} submissions of the light assignment; {machine()}", flush=True)
        students = write_submissions(theirs, generate(theirs), arguments.submissions)
        lay_out(ours, theirs / "submitted")
        print(f"grader grade, sandbox on, {os.cpu_count()} at a time …", flush=True)
        run = grade(ours, "light")
        reference = None
        if not arguments.skip_nbgrader:
            print("nbgrader autograde, no sandbox, one at a time …", flush=True)
            reference = autograde(theirs)
        table(run, reference)
        got = scores(ours, students)
        expected = {student: 8.0 if number % 3 == 0 else 10.0 for number, student in enumerate(students, start=1)}
        wanted = scores(theirs, students) if reference is not None else expected
        wrong = [student for student in students if got[student] != wanted[student]]
        for student in wrong:
            print(f"{student}: {got[student]:g} by grader, {wanted[student]:g} due", file=sys.stderr)
        if wrong:
            return 1
        lost = sum(score < 10 for score in got.values())
        print(
            f"\nThe scores in the two gradebooks agree ({lost} of {len(students)} lost 2 points)." if reference else ""
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
