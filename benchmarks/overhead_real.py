"""What marking the real assignments costs over bare execution of the same cells and checks.

    python benchmarks/overhead_real.py [--submissions N] [--rounds N] [ASSIGNMENT …]

For each assignment a class of copies of its solution is marked. Bare execution is this process, warm, one thread, one
submission after the other: the cells are run by the same shell, and the same check functions get the student's names
from a thread of the same process. No fork, no copy of the notebook for each check, no sandbox, no record. Ours is the
marker with its sandbox, one submission at a time for each core, as ``grader grade`` runs by itself: from the first
hand-over to the last record, divided by their number; one at a time stands beside it. Timed checks are left out of
both: they wait and repeat on purpose. Both take turns, and medians are compared.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from light.classroom import ROOT, activate, machine

from grader.audit.subject import Subject
from grader.audit.trials import Trial, submission_of
from grader.config import load_course
from grader.guest.shell import Shell
from grader.jobs import MarkerProcess
from grader.marker import Step, check_files, data_files
from grader.model import Verdict
from grader.notebook import read

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from grader.checks.collect import Collected
    from grader.wall.host import Wall
    from grader.wall.session import Policy

TARGET = 1.3
PATIENCE_S = 600.0


def bare(subject: Subject, collected: Collected, seed: int) -> float:
    """Seconds for the cells and the untimed checks of the solution in this process."""
    from grader.checks.run import run_checks
    from grader.guest.wire import Channel
    from grader.guest.worker import Worker
    from grader.wall.host import Wall
    from grader.wall.session import prepare

    cells = [cell for cell in read(subject.notebook()).cells if cell.cell_type == "code" and not cell.skip]
    given = subject.assignment.folder / "given.py"
    source = given.read_text(encoding="utf-8") if given.is_file() else None
    started = time.perf_counter()
    shell = Shell()
    for cell in cells:
        ran = shell.run(cell.index, cell.source, 1 << 16)
        assert ran["status"] == "ok", ran
    ours, theirs = socket.socketpair()
    worker = Worker(Channel(theirs), shell.namespace, can_fork=False)
    thread = threading.Thread(target=worker.loop)
    thread.start()
    wall = Wall(ours, seconds=PATIENCE_S)
    try:
        if source is not None:
            wall.request("given", [source])

        def open_wall(seed: int, policy: Policy | None) -> Wall:
            prepare(wall, seed, policy)
            return wall

        results = run_checks(collected, open_wall, seed)
    finally:
        wall.close()
        thread.join()
        theirs.close()
    seconds = time.perf_counter() - started
    wrong = [(each.check.id, each.evidence) for each in results if each.verdict is not Verdict.PASS]
    assert not wrong, wrong
    return seconds


def marked(marker: MarkerProcess, trials: Sequence[Trial], subject: Subject, checks: Sequence[str]) -> float:
    """Seconds a submission for a class in the sandbox."""
    started = time.perf_counter()
    for number, trial in enumerate(trials):
        marker.hand(number, submission_of(subject, trial), "benchmark", checks=list(checks))
    done = 0
    while done < len(trials):
        _, news = marker.take()
        if not isinstance(news, Step):
            wrong = [each.check.id for each in news.checks if each.verdict is not Verdict.PASS]
            assert not wrong, wrong
            assert len(news.checks) == len(checks)
            done += 1
    return (time.perf_counter() - started) / len(trials)


def markers(subject: Subject) -> Iterator[tuple[str, MarkerProcess]]:
    """A marker that marks one at a time, and one with one for each core."""
    for workers in sorted({1, os.cpu_count() or 1}):
        order = {
            "course": str(subject.course.file),
            "assignment": subject.assignment.name,
            "sandbox": None,
            "seed": 1,
            "reference": True,
            "workers": workers,
        }
        yield f"{workers} at a time", MarkerProcess(order)


def measure(subject: Subject, submissions: int, rounds: int) -> dict[str, list[float]]:
    """Seconds a submission, by way of marking, one figure a round."""
    import torch

    from grader.checks.collect import CheckFile, collecting

    torch.set_num_threads(1)
    files = [CheckFile(path=path, visibility=who) for path, who in check_files(subject.assignment)]
    found: dict[str, list[float]] = {"bare": []}
    trials = [
        Trial(name=f"student-{number}", data=subject.notebook(), only=(), seed=1, about="reference")
        for number in range(submissions)
    ]

    def use(collected: Collected) -> None:
        untimed = collected.untimed
        names = [each.id for each in untimed.specs]
        bare(subject, untimed, 0)  # imports, and what torch builds when it is first used
        for _ in range(rounds):
            found["bare"].append(statistics.median(bare(subject, untimed, seed) for seed in (1, 2, 3)))
            for what, marker in markers(subject):
                with marker:
                    marker.ready()
                    found.setdefault(what, []).append(marked(marker, trials, subject, names))

    with tempfile.TemporaryDirectory(prefix="bare-") as folder:
        given = subject.assignment.folder / "given.py"
        for path in [*data_files(subject.assignment), *([given] if given.is_file() else [])]:
            place = Path(folder) / path.relative_to(subject.assignment.folder)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(path.read_bytes())
        here = Path.cwd()
        os.chdir(folder)
        sys.path.insert(0, folder)  # as in Jupyter
        try:
            collecting(files, subject.assignment.specs, use)
        finally:
            os.chdir(here)
            sys.path.remove(folder)
            sys.modules.pop("given", None)
    return found


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("assignments", nargs="*", metavar="ASSIGNMENT", help="these only (all)")
    parser.add_argument("--submissions", type=int, default=12, metavar="N", help="size of a class (12)")
    parser.add_argument("--rounds", type=int, default=1, metavar="N", help="measurements of each (1)")
    arguments = parser.parse_args()
    activate()
    course = load_course(ROOT)
    print(f"classes of {arguments.submissions}, all right, without timed checks; {machine()}\n", flush=True)
    print("| assignment | bare, s | in the sandbox, one at a time | one for each core |")
    print("| --- | ---: | ---: | ---: |", flush=True)
    for assignment in course.assignments:
        if arguments.assignments and assignment.name not in arguments.assignments:
            continue
        found = measure(Subject.of(course, assignment), arguments.submissions, arguments.rounds)
        middle = {what: statistics.median(seconds) for what, seconds in found.items()}
        ours = [f"{middle[what]:.2f} s, {middle[what] / middle['bare']:.2f}×" for what in found if what != "bare"]
        print(f"| {assignment.name} | {middle['bare']:.2f} | {ours[0]} | {ours[-1]} |", flush=True)
    print(f"\nTarget: at most {TARGET} times bare, as `grader grade` runs by itself.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
