"""What hostile submissions cost the others: a class with 20 % of them against the same class without.

    python benchmarks/hostile_class.py [--submissions N] [--rounds N] [--sandbox NAME]

Both classes hand in softmax-regression. In the second, every fifth student sends in one of the attacks of
``tests/attacks`` instead: a fork bomb, a full memory and disk, endless output, forged frames, a loop that ignores
signals, and such. What such a notebook may use anyway, its cells and checks that ran into their time limit, is taken
off, divided by the number of submissions marked at a time; the rest is what the attack costs everybody else. Both
classes are marked round after round by ``grader grade``, sandbox on, and the best of each is compared: other work on
the machine only ever adds.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

from light.classroom import ROOT, activate, grade, machine

sys.path.insert(0, str(ROOT / "tests" / "attacks"))
sys.path.insert(0, str(ROOT / "tests" / "integration"))

import forging
import resources
from attack import HONEST, NAME, notebook
from fair import RIGHT
from own_engine import own_engine, with_image

from grader.config import load_course
from grader.gradebook.journal import Journal
from grader.jobs import journal_path
from grader.model import Verdict

TARGET = 1.3
EVERY = 5
HOSTILE = (
    "fork-bomb",
    "endless-output",
    "memory-bomb",
    "full-disk",
    "ignores-signals",
    "frames-from-a-cell",
    "inodes",
    "hangs-in-a-destructor",
)


def lay_out(to: Path, count: int, *, hostile: bool) -> None:
    """A class in a course folder of its own."""
    for part in ("assignments", "solutions"):
        shutil.copytree(ROOT / part / NAME, to / part / NAME, ignore=shutil.ignore_patterns("class", "wrong"))
    shutil.copy(ROOT / "course.yaml", to)
    attacks = {attack.name: attack for attack in (*resources.ATTACKS, *forging.ATTACKS)}
    honest = [notebook(HONEST).encode(), notebook({**HONEST, "logsumexp": RIGHT}).encode()]
    for number in range(count):
        data = honest[number % 2]
        if hostile and number % EVERY == EVERY - 1:
            data = attacks[HOSTILE[number // EVERY % len(HOSTILE)]].data(course=str(to))
        place = to / "submitted" / f"student{number:03d}" / NAME
        place.mkdir(parents=True)
        (place / f"{NAME}.ipynb").write_bytes(data)


def allowed(course: Path) -> float:
    """Seconds that cells and checks of this class ran before their own time limit stopped them."""
    total = 0.0
    with Journal(journal_path(load_course(course))) as journal:
        for record in journal.latest().values():
            total += sum(cell.seconds for cell in journal.cells(record) if cell.status == "timeout")
            total += sum(result.seconds for result in record.checks if result.verdict is Verdict.TIMEOUT)
    return total


def main() -> None:
    """Print both times and their ratio; exit with 1 when it misses the target."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--submissions", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--sandbox", default="bubblewrap")
    options = parser.parse_args()
    activate()
    workers = os.cpu_count() or 1
    print(f"{options.submissions} submissions of {NAME} in {options.sandbox}; {machine()}", flush=True)
    times: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    with contextlib.ExitStack() as stack:
        if options.sandbox == "docker":
            stack.enter_context(own_engine())
            with_image()
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        for hostile in times:
            lay_out(Path(folder) / str(hostile), options.submissions, hostile=hostile)
        for _ in range(options.rounds):
            for hostile, found in times.items():
                course = Path(folder) / str(hostile)
                steady = grade(course, NAME, "--sandbox", options.sandbox).steady_s
                found.append((steady, allowed(course) / workers))
    clean = min(steady for steady, _ in times[False])
    steady, own = min(times[True], key=lambda pair: pair[0] - pair[1])
    ratio = (steady - own) / clean
    print(f"\nhonest class                       {clean:7.1f} s")
    print(f"with 20 % hostile                  {steady:7.1f} s")
    print(f"  of these, up to their own limits {own:7.1f} s")
    print(f"\nratio beyond their own limits: {ratio:.2f} (target: at most {TARGET})")
    sys.exit(ratio > TARGET)


if __name__ == "__main__":
    main()
