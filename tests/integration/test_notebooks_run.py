"""The solved notebooks run from top to bottom as a student's would: plots and public checks included, no warning."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import jupytext
import nbformat
import pytest

from grader.config import load_course

ROOT = Path(__file__).resolve().parents[2]
COURSE = load_course(ROOT)
NAMES = [assignment.name for assignment in COURSE.assignments]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_solved_notebook_runs_without_a_warning(tmp_path, name):
    """Every cell runs with warnings as errors, and every public check holds."""
    assignment = COURSE.assignment(name)
    folder = tmp_path / name
    shutil.copytree(assignment.folder, folder)
    nbformat.write(jupytext.read(assignment.solution_path), folder / f"{name}.ipynb")
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-m", "IPython", "--no-banner", "--colors=nocolor", f"{name}.ipynb"],
        cwd=folder,
        env=os.environ | {"MPLBACKEND": "agg", "OMP_NUM_THREADS": "1", "IPYTHONDIR": str(tmp_path / "ipython")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout[-3000:]
    assert ran.stdout.count("✔") >= len(assignment.specs)
    assert not {"✘", "○"} & set(ran.stdout)
