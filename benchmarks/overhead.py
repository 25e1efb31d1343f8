"""What marking costs over bare execution: the same cells and checks in one warm process, against ``grader grade``.

    python benchmarks/overhead.py [--submissions N] [--rounds N] [--skip-class]

Bare execution defends nothing: this process, torch imported and warm; for each submission a fresh namespace, ``exec``
of its cells, and the five checks called as plain functions. No fork, no sandbox, no wall, no record. It is measured
with as many threads as torch takes by itself, which is what a plain process does, and with one, which is as fast as
marking can be: these tensors are so small that a second thread costs more than it brings.

Ours is the steady state of ``grader grade`` on the same submissions: from the begin of the first to the record of the
last, divided by their number. That is what an instructor waits for, so the target is for ``grader grade`` as it runs
by itself, with one submission at a time for each core; one at a time stands beside it. The measurements take turns,
round after round, and the median of each is printed, with the best below it: other work on the machine only ever adds.

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
PLAIN = "bare, as many threads as torch takes"
ONE_THREAD = "bare, one thread"


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


def measure(course: Path, rounds: int) -> dict[str, list[float]]:
    """Seconds a submission, by way of marking, one figure a round."""
    import torch

    threads = {PLAIN: torch.get_num_threads(), ONE_THREAD: 1}
    tests = checks()
    notebooks = sorted((course / "submitted").glob("*/light/light.ipynb"))
    bare_class(notebooks[:3], tests)
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        for what, number in threads.items():
            torch.set_num_threads(number)
            found.setdefault(what, []).append(bare_class(notebooks, tests))
        for workers in sorted({1, os.cpu_count() or 1}):
            run = grade(course, "light", "--workers", str(workers))
            what = f"grader grade, {workers} at a time, steady state"
            found.setdefault(what, []).append(run.steady_s / run.submissions)
    return found


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
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="measurements of each (3)")
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
        for name, of in (("median", statistics.median), ("best", min)):
            print(f"\n{name + ', s/submission':<44} {'':>8} {'× plain':>8} {'× one thread':>12}")
            for what, seconds in found.items():
                ratios = [of(seconds) / of(found[bare]) for bare in (PLAIN, ONE_THREAD)]
                print(f"{what:<44} {of(seconds):>8.4f} {ratios[0]:>8.2f} {ratios[1]:>12.2f}")
        print(f"\nTarget: at most {TARGET} with one at a time for each core, as it runs by itself.")
        if not arguments.skip_class:
            sample_class(Path(folder) / "class")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
