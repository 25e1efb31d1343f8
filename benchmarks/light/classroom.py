"""A class for the light assignment: its submissions, and what marking them with ``grader grade`` takes.

Shared by the benchmarks beside this folder. Every submission is nbgrader's own released notebook with the answers
filled in, so both graders are given the very same files.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

LIGHT = Path(__file__).resolve().parent
ROOT = LIGHT.parents[1]
SOURCE = LIGHT / "light.ipynb"
"""nbgrader's source notebook: answers and hidden tests included."""

NAIVE = "def log_softmax(x):\n    e = x.exp()\n    return (e / e.sum(-1, keepdim=True)).log()"
"""Overflows for logits in the thousands: loses the 2 points of its cell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one ``grader grade`` did and took."""

    seconds: float
    """The whole command, from the shell's point of view."""
    ready_s: float
    """Of these, until the first submission could be begun."""
    steady_s: float
    """From the begin of the first submission to the record of the last, from the records' own times."""
    submissions: int
    scores: dict[str, float | None]


def write_submissions(to: Path, released: Path, count: int) -> list[str]:
    """Write ``count`` submissions below ``to``/submitted, every third with a naive log-softmax; the students' ids."""
    answers = {}
    for cell in json.loads(SOURCE.read_text(encoding="utf-8"))["cells"]:
        lines = "".join(cell["source"]).split("\n")
        answers[grade_id(cell)] = "\n".join(line for line in lines if "### " not in line)
    students = [f"student{number:03d}" for number in range(1, count + 1)]
    for number, student in enumerate(students, start=1):
        notebook = json.loads(released.read_text(encoding="utf-8"))
        for cell in notebook["cells"]:
            if cell["metadata"].get("nbgrader", {}).get("solution"):
                cell["source"] = answers[grade_id(cell)]
                if grade_id(cell) == "log_softmax" and number % 3 == 0:
                    cell["source"] = NAIVE
        notebook["cells"][0]["source"] = f"# softmax regression, by {student}"
        place = to / "submitted" / student / "light" / "light.ipynb"
        place.parent.mkdir(parents=True)
        place.write_text(json.dumps(notebook, indent=1), encoding="utf-8")
    return students


def grade_id(cell: dict[str, Any]) -> str:
    """The id that nbgrader gave a cell, empty without one."""
    return str(cell["metadata"].get("nbgrader", {}).get("grade_id", ""))


def lay_out(to: Path, submitted: Path) -> None:
    """Our course for the light assignment, with the same submissions."""
    for name in ("course.yaml", "assignments", "solutions"):
        place = LIGHT / name
        if place.is_dir():
            shutil.copytree(place, to / name)
        else:
            to.mkdir(parents=True, exist_ok=True)
            shutil.copy2(place, to / name)
    shutil.copytree(submitted, to / "submitted")


def activate() -> None:
    """Put this environment's programs first: nbgrader itself calls ``alembic`` by its bare name."""
    os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))


def grade(course: Path, assignment: str, *options: str) -> Run:
    """``grader grade`` in a process of its own, sandbox and gradebook included.

    Raises:
        SystemExit: with what it said, when it fails.
    """
    command = ["grader", "grade", assignment, "--course", str(course), "--json", "--force", *options]
    started = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - started
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}\n{done.stderr}")
    said = json.loads(done.stdout)
    if said["sandbox"] == "none":
        raise SystemExit("the sandbox was off: these figures would mean nothing")
    ends = [datetime.fromisoformat(each["marked_at"]).timestamp() for each in said["students"]]
    begins = [end - each["seconds"] for end, each in zip(ends, said["students"], strict=True)]
    return Run(
        seconds=seconds,
        ready_s=said["ready_after_s"],
        steady_s=max(ends) - min(begins),
        submissions=said["marked"],
        scores={each["student"]: each["score"] for each in said["students"]},
    )


def machine() -> str:
    """The machine in a line."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    return f"{os.cpu_count()} cores{', ' + model if model else ''}; load {os.getloadavg()[0]:.1f} before the run"
