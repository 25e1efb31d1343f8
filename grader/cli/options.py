"""Options that several commands share, and how results are printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

    from grader.config import Assignment, Course

__all__ = [
    "as_json",
    "assignment_argument",
    "course_option",
    "echo_json",
    "harmless",
    "json_line",
    "open_course",
    "plain",
    "stderr",
    "stdout",
]

course_option = click.option(
    "--course",
    "course_path",
    type=click.Path(path_type=Path),
    default=Path("course.yaml"),
    show_default=True,
    help="The course's course.yaml, or its folder.",
)
assignment_argument = click.argument("assignment", required=False)
as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


def open_course(path: Path, name: str | None) -> tuple[Course, Assignment]:
    """The course and one of its assignments: the one that is named, or the only one.

    Raises:
        CourseError: course.yaml is missing or wrong.
        UsageError: there is no such assignment, or several and none is named.
    """
    from grader.config import load_course
    from grader.errors import UsageError

    course = load_course(path / "course.yaml" if path.is_dir() else path)
    if name is None:
        if len(course.assignments) > 1:
            names = ", ".join(assignment.name for assignment in course.assignments)
            raise UsageError("which assignment?", remedy=f"name one of {names}")
        return course, course.assignments[0]
    return course, course.assignment(name)


def echo_json(value: Any) -> None:
    """Print a result for other programs, and for a terminal: what steers one is escaped, as JSON may."""
    click.echo(json_line(value))


def json_line(value: Any) -> str:
    """JSON on one line in which every character shows; those that do not are written by number."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return text if text.isprintable() else "".join(c if _shows(c) else json.dumps(c)[1:-1] for c in text)


def stdout() -> Console:
    """Where results go."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=False)


def stderr() -> Console:
    """Where talk goes."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def plain(text: str, most: int = 200) -> str:
    """Untrusted text for a terminal: no escapes, no control or direction characters, no markup, not endless."""
    from rich.markup import escape

    return escape("".join(c if _shows(c) else "�" for c in text[:most]))


def harmless(text: str) -> str:
    """Lines for a terminal without whatever else steers one; lines and tabs stay."""
    return "".join(c if _shows(c) or c in "\n\t" else "�" for c in text)


def _shows(char: str) -> bool:
    """Whether a character is seen as itself: no control, no direction mark, no half of a character."""
    import unicodedata

    return unicodedata.category(char)[0] != "C"
