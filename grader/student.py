"""What students call from a cell: ``from grader.student import check; check("softmax")``.

The public checks run against the names of the running notebook. The same checks, proxies and messages as when marking;
only that here the kernel itself is the guest: it serves the wall from the main thread while the checks run in another.
"""

from __future__ import annotations

import random
import socket
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grader.errors import CourseError, GraderError, Place, UsageError
from grader.model import CheckResult, ExerciseSpec, Verdict, Visibility

if TYPE_CHECKING:
    from grader.wall.host import Wall
    from grader.wall.session import Policy

__all__ = ["check", "check_notebook", "describe", "run_here"]

LEFT_OUT = {"check", "see"}
"""Tags of the cells that are for the student to look at."""

CHECK_S = 60.0
MARKS = {Verdict.PASS: "✔", Verdict.MISSING: "○", Verdict.SKIPPED: "○"}


def check(exercise: str | None = None, *, file: str | Path = "test_public.py") -> None:
    """Run the public checks of one exercise (or all) against this notebook and print what they say.

    Args:
        exercise: id of the exercise; None for all.
        file: the public checks, beside the notebook.
    """
    try:
        results = run_here(_notebook_names(), Path(file), exercise)
    except GraderError as error:
        print(error)
        return
    print(describe(results))


def describe(results: tuple[CheckResult, ...]) -> str:
    """The results as lines for a student: ✔ holds, ✘ does not, ○ not attempted."""
    lines = []
    for result in results:
        untouched = result.kind == "not-implemented"
        mark = "○" if untouched else MARKS.get(result.verdict, "✘")
        lines.append(f"{mark} {result.check.line}")
        if result.verdict is Verdict.PASS:
            continue
        told = "Not attempted yet." if untouched else result.rationale
        lines += [f"    {text}" for text in (told, result.misconception and f"This looks as if {result.misconception}.")
                  if text]  # fmt: skip
        if result.student_line is not None and not untouched and result.student_source:
            lines.append(f"    at line {result.student_line}: {result.student_source}")
        if result.check.hint and result.verdict not in (Verdict.SKIPPED, Verdict.MISSING) and not untouched:
            lines.append(f"    Hint: {result.check.hint}")
    passed = sum(result.verdict is Verdict.PASS for result in results)
    lines.append(f"{passed} of {len(results)} public checks hold. Hidden checks decide the rest.")
    return "\n".join(lines)


def run_here(names: dict[str, Any], file: Path, exercise: str | None) -> tuple[CheckResult, ...]:
    """Run checks against a namespace of this process.

    Raises:
        UsageError: there is no such file or exercise.
        CourseError: the check file is wrong.
    """
    import numpy as np
    import torch

    from grader.guest.wire import Channel
    from grader.guest.worker import Worker
    from grader.wall.host import Wall

    if not file.is_file():
        raise UsageError(f"there is no {file} here", remedy="run this in the assignment's folder")
    ours, theirs = socket.socketpair()
    worker = Worker(Channel(theirs), names, can_fork=False)
    given = file.with_name("given.py")
    source = given.read_text(encoding="utf-8") if given.is_file() else None
    outcome: list[tuple[CheckResult, ...] | BaseException] = []

    def judge() -> None:
        wall = Wall(ours, seconds=CHECK_S)
        try:
            outcome.append(_run(wall, file, exercise, source))
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            outcome.append(error)
        finally:
            wall.close()

    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002 - the notebook's own
    thread = threading.Thread(target=judge, daemon=True)
    thread.start()
    try:
        worker.loop()
        thread.join()
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        torch.set_rng_state(states[2])
        theirs.close()
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]


def check_notebook(path: Path, exercise: str | None) -> tuple[list[tuple[int, str]], tuple[CheckResult, ...]]:
    """Run a notebook's cells in this process, then the public checks beside it.

    Returns:
        The cells that raised (position, what), and the checks' results.

    Raises:
        UsageError: the file is no notebook, or there is no such exercise.
        CourseError: the check file is wrong.
    """
    import os

    from grader.guest.shell import Shell
    from grader.notebook import NotANotebook, read

    try:
        notebook = read(path.read_bytes())
    except NotANotebook as error:
        raise UsageError(str(error)) from None
    os.chdir(path.parent.resolve())
    sys.path.insert(0, os.getcwd())  # noqa: PTH109 - as Jupyter does
    shell = Shell()
    failed = []
    for cell in notebook.cells:
        left_out = cell.skip or LEFT_OUT & set(cell.tags) or "grader.student" in cell.source
        if cell.cell_type != "code" or left_out:
            continue
        ran = shell.run(cell.index, cell.source, 1 << 16)
        if ran["status"] != "ok":
            failed.append((cell.index, f"{ran['error']['type']}: {ran['error']['message']}"))
    return failed, run_here(shell.namespace, Path("test_public.py"), exercise)


def _run(wall: Wall, file: Path, exercise: str | None, given: str | None) -> tuple[CheckResult, ...]:
    from grader.checks.collect import CheckFile, Collected, collecting
    from grader.checks.run import run_checks
    from grader.wall.session import prepare

    found: list[CheckResult] = []

    def use(collected: Collected) -> None:
        if given is not None:
            wall.request("given", [given])

        def open_wall(seed: int, policy: Policy | None) -> Wall:
            wall.extend(CHECK_S)
            prepare(wall, seed, policy)
            return wall

        found.extend(run_checks(collected, open_wall, random.SystemRandom().getrandbits(32)))

    exercises = _exercises(file)
    known = [each.id for each in exercises]
    if exercise is not None and exercise not in known:
        raise UsageError(f"there is no exercise {exercise!r}", remedy=f"the exercises here are {', '.join(known)}")
    collecting([CheckFile(path=file, visibility=Visibility.PUBLIC)], exercises, use, only=exercise or "*")
    return tuple(found)


def _exercises(file: Path) -> list[ExerciseSpec]:
    """The exercises that a check file names: a student has no course.yaml."""
    import ast

    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError) as error:
        raise CourseError(
            f"cannot be read as a check file: {type(error).__name__}: {getattr(error, 'msg', error)}",
            place=Place(file=str(file), line=getattr(error, "lineno", None)),
            remedy="get the file anew from your course",
        ) from None
    names: dict[str, None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "check" and node.args:
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                names[first.value] = None
    return [ExerciseSpec(id=name, title=name, points=0.0) for name in names]


def _notebook_names() -> dict[str, Any]:
    """The names of the notebook that called ``check``."""
    shell = sys.modules.get("IPython")
    running = shell.get_ipython() if shell is not None else None
    if running is not None:
        return running.user_ns  # type: ignore[no-any-return]
    return vars(sys.modules["__main__"])
