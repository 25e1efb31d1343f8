"""Run a check file against a notebook that lives in a thread of this process: everything but the sandbox is real."""

from __future__ import annotations

import contextlib
import textwrap
from typing import TYPE_CHECKING

from in_process import notebook

from grader.checks.collect import CheckFile, collecting
from grader.checks.run import run_checks
from grader.model import ExerciseSpec, Visibility
from grader.wall.session import prepare

if TYPE_CHECKING:
    from pathlib import Path

    from grader.model import CheckResult

HEAD = """\
import pytest
import torch
import numpy as np
from grader.checks import check, close, contract, fail, forbid, probe, spy, watch
"""


def collect(folder: Path, checks: str, use=lambda _: None, *, points: float = 1.0, public: bool = False, only=None):
    """Collect a check file of one exercise, ``double``, that is worth ``points``."""
    file = folder / "test_hidden.py"
    file.write_text(HEAD + textwrap.dedent(checks))
    files = [CheckFile(path=file, visibility=Visibility.PUBLIC if public else Visibility.HIDDEN)]
    collecting(files, [ExerciseSpec(id="double", title="Double", points=points)], use, only=only)


def results(
    folder: Path,
    checks: str,
    source: str,
    *,
    seed: int = 7,
    public: bool = False,
    opened=lambda wall, attempt: wall,
    enough=None,
) -> dict[str, CheckResult]:
    """What the checks of a file say of a notebook of one cell, by check.

    ``opened`` sees each wall before the check does, with the number of walls opened so far. ``enough`` names the checks
    that an audit wants to know of.
    """
    found: list[CheckResult] = []
    walls = 0

    def use(collected):
        with contextlib.ExitStack() as stack:

            def open_wall(_seed, policy):
                nonlocal walls
                walls += 1
                wall = stack.enter_context(notebook(source))
                prepare(wall, _seed, policy)
                return opened(wall, walls)

            known = None if enough is None else collected.needed_by(enough)
            found.extend(run_checks(collected, open_wall, seed, enough=known))

    collect(folder, checks, use, public=public, only="*")
    return {result.check.id: result for result in found}
