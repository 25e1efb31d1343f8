"""``grader ci``: mark what a pull request hands in."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import click

from grader.cli.options import as_json, course_option, echo_json, harmless, stderr, stdout

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from grader.ci.change import Content, PullRequest
    from grader.ci.forge import Forge
    from grader.ci.report import Marked, Report
    from grader.ci.selection import HandedIn, Remark
    from grader.config import Course

__all__ = ["ci", "mark_change"]

HELD = 8


class _Percent(click.ParamType["float"]):
    """``60%`` or ``60``."""

    name = "percent"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        with contextlib.suppress(ValueError):
            found = float(str(value).strip().removesuffix("%"))
            if 0 <= found <= 1000:
                return found
        return self.fail(f"{value!r} is no percentage such as 60%", param, ctx)


@click.command()
@course_option
@click.option("--repository", type=click.Path(path_type=Path), default=Path(), help="The students' git repository.")
@click.option("--base", metavar="COMMIT", help="What the change is to be merged into.  [default: main]")
@click.option("--head", metavar="COMMIT", help="The change's last commit.  [default: HEAD]")
@click.option("--author", metavar="ACCOUNT", help="Whose change it is; only the author's own work is marked.")
@click.option("--received", metavar="TIME", help="When it came in, ISO 8601.  [default: now]")
@click.option(
    "--forge",
    "forge_name",
    type=click.Choice(["auto", "github", "gitlab", "gitea", "none"]),
    default="auto",
    show_default=True,
    help="Who says which change it is, and is told the marks. auto: by the job's environment.",
)
@click.option(
    "--to", type=click.Path(path_type=Path, file_okay=False), help="Folder for summary.md, junit.xml, report.json."
)
@click.option("--no-post", is_flag=True, help="Write nothing to the forge.")
@click.option("--require", type=_Percent(), metavar="PERCENT", help="Exit with 1 when somebody has fewer points.")
@click.option("--strict", is_flag=True, help="Exit with 1 when a student's check failed.")
@click.option("--sandbox", type=click.Choice(["auto", "bubblewrap", "docker", "none"]), help="Overrides course.yaml.")
@click.option("-j", "--workers", type=click.IntRange(1, 256), help="Submissions at a time.  [default: one a core]")
@click.option("--journal", type=click.Path(path_type=Path, file_okay=False), help="Keep the records in this folder.")
@click.option("--no-gradebook", is_flag=True, help="Journal only; the gradebook can be made from it later.")
@as_json
def ci(
    course_path: Path,
    repository: Path,
    base: str | None,
    head: str | None,
    author: str | None,
    received: str | None,
    forge_name: str,
    to: Path | None,
    no_post: bool,
    require: float | None,
    strict: bool,
    sandbox: str | None,
    workers: int | None,
    journal: Path | None,
    no_gradebook: bool,
    as_json: bool,
) -> int:
    """Mark what a pull request hands in, and tell the marks within the feedback policy.

    In a job of GitHub, GitLab or Gitea the forge says which change it is; elsewhere --base and --head do. Nothing of
    the change is checked out or run outside of the sandbox. Exits with 0 when marking worked, whatever the marks are,
    unless --require or --strict ask for more.
    """
    from grader.ci.change import Gone
    from grader.ci.report import Report, as_data, markdown
    from grader.config import load_course
    from grader.errors import UsageError

    course = load_course(course_path / "course.yaml" if course_path.is_dir() else course_path)
    if journal is not None:
        paths = course.paths.model_copy(update={"journal": str(journal.absolute())})
        course = course.model_copy(update={"paths": paths})
    forge = _forge(forge_name, os.environ)
    typed = {"--base": base, "--head": head, "--author": author, "--received": received}
    given = [option for option, value in typed.items() if value is not None]
    if forge is not None and given:
        raise UsageError(f"{given[0]} cannot be given here: the forge says it", remedy="or use --forge none")
    with _no_commands(os.environ):
        if forge is None:
            pull, content = _local(repository, base or "main", head or "HEAD", author, received)
        else:
            try:
                pull = forge.pull_request()
            except Gone as gone:
                stderr().print(f"Nothing to mark. {harmless(str(gone))}", markup=False, soft_wrap=True)
                return 0
            content = forge.content(pull, repository)
        marked, remarks = mark_change(
            course, pull, content, gradebook=not no_gradebook, quiet=as_json, sandbox=sandbox, workers=workers
        )
        report = Report(pull=pull, marked=marked, remarks=remarks, require=require, strict=strict)
        folder = to or course.reports / "ci" / (str(pull.number) if pull.number else pull.head[:12])
        _write(folder, report)
        summary = os.environ.get("GITHUB_STEP_SUMMARY")
        if summary:
            with Path(summary).open("a", encoding="utf-8") as file:
                file.write(markdown(report, most=1_000_000))
        if as_json:
            echo_json(as_data(report))
        else:
            _print(report, folder)
        if forge is not None and not no_post:
            done = forge.publish(report, comment=course.ci.comment, annotations=course.ci.annotations)
            stderr().print("\n".join(done), markup=False)
    if report.is_held:
        return HELD
    return 0 if report.is_met else 1


def _forge(wanted: str, environment: Mapping[str, str]) -> Forge | None:
    """The forge whose job this is, or None for a change that somebody names."""
    if wanted == "auto":
        if environment.get("GITEA_ACTIONS") or environment.get("FORGEJO_ACTIONS"):
            wanted = "gitea"
        elif environment.get("GITHUB_ACTIONS"):
            wanted = "github"
        elif environment.get("GITLAB_CI"):
            wanted = "gitlab"
    if wanted == "github":
        from grader.ci.github import GitHub

        return GitHub.of(environment)
    if wanted == "gitlab":
        from grader.ci.gitlab import GitLab

        return GitLab.of(environment)
    if wanted == "gitea":
        from grader.ci.gitea import Gitea

        return Gitea.of(environment)
    return None


def _local(
    repository: Path, base: str, head: str, author: str | None, received: str | None
) -> tuple[PullRequest, Content]:
    """A change that is named by its two commits."""
    from datetime import UTC, datetime

    from grader.ci.change import PullRequest
    from grader.ci.repository import commit_of, read_change
    from grader.errors import UsageError

    when = datetime.now(UTC)
    if received is not None:
        try:
            when = datetime.fromisoformat(received)
        except ValueError:
            raise UsageError(f"--received {received!r} is no time", remedy="write 2027-03-01T12:00:00+01:00") from None
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
    commits = commit_of(repository, base), commit_of(repository, head)
    pull = PullRequest(base=commits[0], head=commits[1], author=author, received_at=when.isoformat(timespec="seconds"))
    return pull, read_change(repository, *commits)


def mark_change(
    course: Course,
    pull: PullRequest,
    content: Content,
    *,
    gradebook: bool,
    quiet: bool,
    sandbox: str | None,
    workers: int | None,
) -> tuple[tuple[Marked, ...], tuple[Remark, ...]]:
    """Mark what a change hands in, as ``grader grade`` would; records and journal are the course's."""
    from grader.ci.marking import collect, seed_of
    from grader.ci.report import Marked
    from grader.ci.selection import bundle_remarks, select
    from grader.cli.feedback import latest_records
    from grader.cli.grade import mark_class

    chosen = select(content, pull, course)
    works: dict[str, dict[str, HandedIn]] = {}
    for work in chosen.handed_in:
        works.setdefault(work.assignment, {})[work.student] = work
    marked = []
    for name, by_student in works.items():
        assignment = course.assignment(name)
        for work in by_student.values():
            collect(course, work, pull.received_at)
        students = tuple(by_student)
        mark_class(
            course,
            assignment,
            gradebook=gradebook,
            quiet=quiet,
            students=students,
            sandbox=sandbox,
            seed=seed_of(course, assignment, pull.head),
            workers=workers,
        )
        for record in latest_records(course, assignment, students):
            entry, data = by_student[record.submission.student].files[0]
            marked.append(
                Marked(record=record, title=assignment.title, policy=assignment.feedback, path=entry.path, data=data)
            )
    return tuple(marked), (*chosen.remarks, *bundle_remarks(content, pull))


def _write(folder: Path, report: Report) -> None:
    """The report's files: the whole of it, for people and for programs."""
    from grader.ci.report import as_data, junit, markdown
    from grader.files import replace_file

    replace_file(folder / "summary.md", markdown(report, most=100_000_000).encode())
    replace_file(folder / "comment.md", markdown(report).encode())
    replace_file(folder / "junit.xml", junit(report).encode())
    replace_file(folder / "report.json", (json.dumps(as_data(report), indent=1) + "\n").encode())


def _print(report: Report, folder: Path) -> None:
    """The report on a terminal, or in a job's log."""
    from grader.ci.inert import log_line
    from grader.ci.report import lines

    console = stdout()
    for line in lines(report):
        console.print(log_line(line), markup=False, soft_wrap=True)
    console.print(f"The whole report: {folder}", markup=False, soft_wrap=True)


@contextlib.contextmanager
def _no_commands(environment: Mapping[str, str]) -> Iterator[None]:
    """Tell the runner to take no line for a command until we are done; only we know the word that ends it."""
    if environment.get("GITHUB_ACTIONS") != "true":
        yield
        return
    word = secrets.token_hex(16)
    click.echo(f"::stop-commands::{word}", err=True)
    try:
        yield
    finally:
        click.echo(f"::{word}::", err=True)
