"""A tiny course and the notebooks of a tiny class, laid out in a folder as an instructor has them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

COURSE = Path(__file__).with_name("course")
NOTEBOOK = "tiny.ipynb"
HANGS_S = 1800.0
"""What has not ended by then hangs; a busy machine takes ten times as long as an idle one."""
ON_TIME = "2026-01-01 12:00:00 UTC"

SCALE = "def scale(x, factor):\n    return x * factor"
TOTAL = "def total(numbers):\n    if not numbers:\n        raise ValueError('nothing')\n    return sum(numbers)"
COUNTER = "class Counter:\n    calls = 0\n    def count(self):\n        self.calls += 1"


def lay_out(folder: Path) -> Path:
    """The course without submissions; its folder."""
    course = folder / "course"
    shutil.copytree(COURSE, course, ignore=shutil.ignore_patterns("__pycache__"))
    return course


def notebook(*, scale=SCALE, total=TOTAL, counter=COUNTER, first="", last="") -> bytes:
    """The released notebook with answers filled in; None leaves one as it was given out."""
    content = json.loads((COURSE / "assignments" / "tiny" / NOTEBOOK).read_bytes())
    answers = {"scale": scale, "total": total, "counter": counter}
    for cell in content["cells"]:
        answer = answers.get(cell["metadata"].get("exercise"))
        if answer is not None:
            cell["source"] = answer
    for place, source in ((2, first), (len(content["cells"]), last)):
        if source:
            cell = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": source}
            content["cells"].insert(place, cell)
    return json.dumps(content).encode()


def folder_of(course: Path, student: str) -> Path:
    """Where a student hands in."""
    return course / "submitted" / student / "tiny"


def hand_in(course: Path, student: str, data: bytes, *, name: str = NOTEBOOK, at: str = ON_TIME) -> Path:
    """Put a file where a student hands it in; its path."""
    place = folder_of(course, student)
    place.mkdir(parents=True, exist_ok=True)
    (place / "timestamp.txt").write_text(at)
    path = place / name
    path.write_bytes(data)
    return path


def command(*args: object) -> list[str]:
    """A command line of ``grader``."""
    return [sys.executable, "-P", "-c", "from grader.cli import main; main()", *map(str, args)]


def grader(course: Path, *args: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run ``grader`` in the course's folder, without a terminal."""
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
    return subprocess.run(
        command(*args),
        cwd=course,
        env={**environment, "PYTHONWARNINGS": "", **variables},
        capture_output=True,
        text=True,
        timeout=HANGS_S,
        check=False,
    )


def journal_lines(course: Path) -> list[dict]:
    """Every record in the journal, in order."""
    path = course / "journal" / "records.jsonl"
    return [json.loads(line)["record"] for line in path.read_text().splitlines()] if path.exists() else []
