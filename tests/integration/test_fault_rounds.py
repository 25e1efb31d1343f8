"""A few rounds of ``benchmarks/fault_rounds.py``: every kind of fault once, at instants that a seed picks."""

import subprocess
import sys
from pathlib import Path

import pytest

from grader.sandbox.bubblewrap import obstacle

PROGRAM = Path(__file__).resolve().parents[2] / "benchmarks" / "fault_rounds.py"


@pytest.mark.slow
@pytest.mark.skipif(obstacle() is not None, reason=f"no bubblewrap sandbox here: {obstacle()}")
def test_no_fault_costs_a_mark():
    """Whatever is killed or full, and whenever: the class is finished with the marks it would have had, each once."""
    command = [sys.executable, str(PROGRAM), "--rounds", "6", "--seed", "6"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert done.stdout.count("  fine\n") == 6
