"""The students' repository: what ``grader release --to`` writes beside the assignments, so that it is ready to push."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from grader.files import replace_file

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from grader.config import Assignment, Course

__all__ = ["TEMPLATES", "write_students_repository"]

TEMPLATES = {
    ".github/workflows/submission.yml": "template/submission.yml",
    ".github/workflows/mark.yml": "template/mark.yml",
    ".github/grader/pack.py": "pack.py",
}
"""Where each file of ours goes; written anew each time."""
OURS_ONCE = {".gitignore": "template/gitignore"}
PLACES = {
    "repository": "Fill in the notebook where it lies: `<assignment>/<assignment>.ipynb`.",
    "folder": "Copy the assignment's folder into one with your account's name, and fill in the notebook there: "
    "`<account>/<assignment>/<assignment>.ipynb`.",
}


def write_students_repository(course: Course, assignments: Iterable[Assignment], to: Path) -> list[str]:
    """Write workflows, README and ``.gitignore`` into ``to``; what was written.

    Workflows are brought up to date; a README or ``.gitignore`` that is there stays as it is.
    """
    here = files("grader.ci")
    made = []
    texts = {name: (here / source).read_text(encoding="utf-8") for name, source in (TEMPLATES | OURS_ONCE).items()}
    texts["README.md"] = _readme((here / "template/README.md").read_text(encoding="utf-8"), course, assignments)
    for name, text in texts.items():
        if name in TEMPLATES or not (to / name).exists():
            replace_file(to / name, text.encode())
            made.append(name)
    return made


def _readme(text: str, course: Course, assignments: Iterable[Assignment]) -> str:
    rows = [
        f"| [{each.title}]({each.name}/{each.name}.ipynb) "
        f"| {each.due.strftime('%Y-%m-%d %H:%M %Z') if each.due else ''} | {each.points:g} |"
        for each in assignments
    ]
    return (
        text.replace("{title}", course.title)
        .replace("{rows}", "\n".join(rows))
        .replace("{place}", PLACES[course.ci.layout])
    )
