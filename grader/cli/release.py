"""``grader release``: make what students get."""

from __future__ import annotations

from pathlib import Path

import click

from grader.cli.options import as_json, course_option, echo_json, stdout

__all__ = ["release"]


@click.command()
@click.argument("assignments", nargs=-1)
@course_option
@click.option(
    "--to",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write a repository for students to this folder instead.",
)
@as_json
def release(assignments: tuple[str, ...], course_path: Path, to: Path | None, as_json: bool) -> int:
    """Make the notebooks of ASSIGNMENTS (default: all) from their solutions, and prove that nothing hidden leaked."""
    from grader.cli.options import plain
    from grader.config import load_course
    from grader.release import release as make

    course = load_course(course_path / "course.yaml" if course_path.is_dir() else course_path)
    chosen = [course.assignment(name) for name in assignments] or list(course.assignments)
    made = [make(course, each, None if to is None else to / each.name) for each in chosen]
    others: list[str] = []
    if to is not None and to.resolve() != (course.root / "assignments").resolve():
        from grader.ci.students import write_students_repository

        others = write_students_repository(course, chosen, to)
    if as_json:
        echo_json(
            [
                {"assignment": r.assignment, "path": str(r.path), "sha256": r.sha256, "files": list(r.files)}
                for r in made
            ]
        )
        return 0
    console = stdout()
    for released in made:
        console.print(
            f"{plain(released.assignment)}: {released.cells} cells, {released.exercises} to fill in, "
            f"nothing hidden in it\n"
            f"  {plain(str(released.path), 1000)}",
            soft_wrap=True,
        )
    if others:
        console.print(f"Students' repository: {plain(str(to), 1000)} with {', '.join(others)}", soft_wrap=True)
    return 0
