"""What marking costs over bare execution: the same cells and checks in one warm process, against ``grader grade``.

    python benchmarks/overhead.py [--submissions N] [--rounds N] [--skip-class]

Bare execution defends nothing: this process, torch imported and warm; for each submission a fresh namespace, ``exec``
of its cells, and the five checks called as plain functions. No fork, no sandbox, no wall, no record. It is measured
with as many threads as torch takes by itself, which is what a plain process does, and with one, which is as fast as
marking can be: these tensors are so small that a second thread costs more than it brings.

Ours is the steady state of ``grader grade`` on the same submissions: from the begin of the first to the record of the
last, divided by their number. That is what an instructor waits for, so the target is for ``grader grade`` as it runs
by itself, with one submission at a time for each core; one at a time stands beside it. A machine may change its speed
within seconds, so bare execution is measured right before and right after ours each time, and what is printed is the
median of these ratios with the lowest and the highest.

At the end the sample class of softmax-regression is marked, with its endless loop, its full memory and its crash.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import tempfile
import time
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

from light.classroom import LIGHT, ROOT, activate, grade, lay_out, machine, write_submissions

if TYPE_CHECKING:
    from collections.abc import Callable

TARGET = 2.5
OURS, PLAIN, ONE_THREAD = "ours", "plain", "one thread"
"""Plain: as many threads as torch takes by itself."""


def checks() -> list[Callable[[Any], None]]:
    """The test functions of the light assignment, as plain functions."""
    found = []
    for path in (LIGHT / "assignments/light/test_public.py", LIGHT / "solutions/light/test_hidden.py"):
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found += [function for name, function in vars(module).items() if name.startswith("test_")]
    return found


def bare(notebook: Path, tests: list[Callable[[Any], None]]) -> int:
    """Run the cells of one submission and the checks on it; how many checks hold."""
    names: dict[str, Any] = {}
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code" and not cell["metadata"].get("nbgrader", {}).get("grade"):
            exec("".join(cell["source"]), names)
    held = 0
    for test in tests:
        try:
            test(types.SimpleNamespace(**names))
        except AssertionError:
            continue
        held += 1
    return held


def bare_class(notebooks: list[Path], tests: list[Callable[[Any], None]]) -> float:
    """Seconds a submission for the whole class in this process."""
    started = time.perf_counter()
    held = [bare(notebook, tests) for notebook in notebooks]
    seconds = time.perf_counter() - started
    assert set(held) <= {4, 5}, held
    return seconds / len(notebooks)


def measure(course: Path, rounds: int) -> dict[str, list[dict[str, float]]]:
    """By way of marking, for each round: seconds a submission of ours and of bare execution around it."""
    import torch

    threads = {PLAIN: torch.get_num_threads(), ONE_THREAD: 1}
    tests = checks()
    notebooks = sorted((course / "submitted").glob("*/light/light.ipynb"))

    def all_bare() -> dict[str, float]:
        found = {}
        for what, number in threads.items():
            torch.set_num_threads(number)
            found[what] = bare_class(notebooks, tests)
        return found

    all_bare()
    found: dict[str, list[dict[str, float]]] = {}
    for _ in range(rounds):
        for workers in sorted({1, os.cpu_count() or 1}):
            before = all_bare()
            run = grade(course, "light", "--workers", str(workers))
            after = all_bare()
            around = {what: (before[what] + after[what]) / 2 for what in threads}
            seconds = {OURS: run.steady_s / run.submissions, **around}
            found.setdefault(f"grader grade, {workers} at a time", []).append(seconds)
    return found


def show(found: dict[str, list[dict[str, float]]]) -> None:
    """Print seconds and ratios."""
    print(f"\n{'medians, s/submission':<28} {'ours':>8} {'plain':>8} {'1 thread':>8}   × plain            × one thread")
    for what, measured in found.items():
        seconds = [statistics.median(each[of] for each in measured) for of in (OURS, PLAIN, ONE_THREAD)]
        line = f"{what:<28} {seconds[0]:>8.4f} {seconds[1]:>8.4f} {seconds[2]:>8.4f}"
        for of in (PLAIN, ONE_THREAD):
            ratios = sorted(each[OURS] / each[of] for each in measured)
            line += f"   {statistics.median(ratios):>4.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(line)


def sample_class(folder: Path) -> None:
    """Mark the sample class of softmax-regression and print what it took."""
    from grader.cli.demo import set_up
    from grader.config import load_course

    course = load_course(ROOT)
    students = set_up(course, course.assignment("softmax-regression"), folder)
    run = grade(folder, "softmax-regression")
    print(f"\nThe sample class of softmax-regression ({students} submissions):")
    print(f"  whole command              {run.seconds:6.1f} s")
    print(f"  first begin to last record {run.steady_s:6.1f} s   {run.steady_s / students:.2f} s a submission")


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--submissions", type=int, default=40, metavar="N", help="size of the class (40)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="measurements of each (5)")
    parser.add_argument("--skip-class", action="store_true", help="leave the sample class out")
    arguments = parser.parse_args()
    activate()
    with tempfile.TemporaryDirectory(prefix="overhead-") as folder:
        print(f"{arguments.submissions} submissions of the light assignment; {machine()}", flush=True)
        course = Path(folder) / "light"
        source = Path(folder) / "source"
        write_submissions(source, LIGHT / "assignments/light/light.ipynb", arguments.submissions)
        lay_out(course, source / "submitted")
        found = measure(course, arguments.rounds)
        show(found)
        print(f"\nTarget: at most {TARGET} with one at a time for each core, as it runs by itself.")
        if not arguments.skip_class:
            sample_class(Path(folder) / "class")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
