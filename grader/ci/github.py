"""GitHub: the privileged half of two stages, started by ``workflow_run``.

Theory of operation. The event's payload says which run of the unprivileged workflow ended: its commit, its branch, the
repository it came from, when it was created. All that a student chose among these (the branch's name) is only used to
ask the API, and what the API answers must fit the rest: the commit, the id of the head repository, the id of ours.
``pull_requests`` in the payload is empty for forks and is not read. Files and modes are the API's (``pulls/N/files``,
the head's tree); the bundle gives bytes, which must hash to that tree's blobs.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from pydantic import Field

from grader.ci.api import Api
from grader.ci.bundle import Bundle, BundleContent, read_bundle
from grader.ci.change import MODES, Entry, Gone, PullRequest, Touched
from grader.ci.forge import Payload, name, parsed, payload, required, say
from grader.ci.pack import MOST_BYTES_TOGETHER
from grader.ci.report import MOST_COMMENT, annotate, markdown
from grader.errors import ChangeError, ForgeError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from grader.ci.report import Annotation, Report

__all__ = ["ARTIFACT", "CHECK", "GitHub"]

ARTIFACT = "submission"
"""What the unprivileged workflow calls its bundle."""
CHECK = "grader"
BATCH = 50
"""Annotations in one request: the API's limit."""
MOST_FILES = 3_000
"""Files of a pull request that the API lists."""
_SHA = r"^[0-9a-f]{40}$|^[0-9a-f]{64}$"
_BOT = "github-actions[bot]"


class _Account(Payload):
    login: str


class _Repository(Payload):
    id: int
    full_name: str
    owner: _Account


class _Run(Payload):
    id: int
    event: str
    head_sha: str = Field(pattern=_SHA)
    head_branch: str | None
    head_repository: _Repository | None
    created_at: str


class _Event(Payload):
    workflow_run: _Run
    repository: _Repository


class _Side(Payload):
    sha: str = Field(pattern=_SHA)
    repo: _Repository | None


class _Pull(Payload):
    number: int
    html_url: str
    user: _Account | None
    head: _Side
    base: _Side


class GitHub:
    """One run of the privileged workflow."""

    def __init__(self, api: Api, event: _Event, run_url: str) -> None:
        self.api = api
        self._event = event
        self._run_url = run_url
        self._at = f"/repos/{event.repository.full_name}"
        self.bundle: Bundle | None = None

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> GitHub:
        """From a job's environment. Raises ChangeError when it is not the job that this is made for."""
        remedy = "start the marking workflow by workflow_run; docs/ci.md has it ready"
        kind = required(environment, "GITHUB_EVENT_NAME", "the event that started the workflow")
        if kind != "workflow_run":
            what = f"a job started by {kind} is no place to mark in: with pull_request it has the student's workflow"
            raise ChangeError(what, remedy=remedy)
        raw = payload(required(environment, "GITHUB_EVENT_PATH", "the event's file"))
        event = parsed(_Event, raw, "the event", remedy)
        if event.repository.full_name != required(environment, "GITHUB_REPOSITORY", "the repository of the workflow"):
            raise ChangeError("the event is of another repository", remedy=remedy)
        if event.workflow_run.event != "pull_request":
            started = event.workflow_run.event[:40]
            raise ChangeError(f"the run was started by {started}, not by a pull request", remedy=remedy)
        token = environment.get("GITHUB_TOKEN") or required(environment, "GH_TOKEN", "the job's token")
        url = environment.get("GITHUB_API_URL", "https://api.github.com")
        headers = {
            "Authorization": f"Bearer {token}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
        }
        server = environment.get("GITHUB_SERVER_URL", "https://github.com")
        run_url = f"{server}/{event.repository.full_name}/actions/runs/{environment.get('GITHUB_RUN_ID', '')}"
        return cls(Api("GitHub", url, headers), event, run_url)

    def pull_request(self) -> PullRequest:
        """The open pull request whose head is the commit that was packed. Raises Gone when there is none."""
        run, here = self._event.workflow_run, self._event.repository
        if run.head_repository is None or run.head_branch is None:
            raise Gone("The repository or the branch of the change is gone.")
        wanted = f"{run.head_repository.owner.login}:{run.head_branch}"
        raw = self.api.pages(f"{self._at}/pulls", needs="pull-requests: read", state="open", head=wanted)
        there = [parsed(_Pull, each, "GitHub's pull request") for each in raw]
        fits = [
            pull
            for pull in there
            if pull.head.sha == run.head_sha
            and pull.head.repo is not None
            and pull.head.repo.id == run.head_repository.id
            and pull.base.repo is not None
            and pull.base.repo.id == here.id
        ]
        if not fits:
            raise Gone(
                f"No open pull request has the commit {run.head_sha[:12]} as its head: it was closed, "
                "or a newer push is marked by a run of its own."
            )
        pull = min(fits, key=lambda each: each.number)
        return PullRequest(
            base=pull.base.sha,
            head=pull.head.sha,
            number=pull.number,
            author=pull.user.login if pull.user is not None else None,
            received_at=run.created_at,
            url=pull.html_url,
            where=f"{here.full_name}#{pull.number}",
        )

    def content(self, pull: PullRequest, repository: Path) -> BundleContent:
        """The API's list of files with the bundle's bytes."""
        del repository
        tree = self.api.get(f"{self._at}/git/trees/{pull.head}", needs="contents: read", recursive="1")
        if tree.get("truncated"):
            raise ChangeError("the head commit has more files than GitHub lists", remedy="look at the pull request")
        entries = {
            each["path"]: Entry(path=each["path"], kind=MODES.get(each["mode"], "link"), sha=each["sha"])
            for each in tree["tree"]
            if each["type"] != "tree"
        }
        files = self.api.pages(f"{self._at}/pulls/{pull.number}/files", needs="pull-requests: read")
        touched = tuple(
            Touched(
                path=each["filename"],
                before=each.get("previous_filename") if each["status"] == "renamed" else None,
                removed=each["status"] == "removed",
            )
            for each in files
        )
        if len(touched) >= MOST_FILES:
            raise ChangeError(
                f"the pull request changes {MOST_FILES} files or more",
                remedy="look at it; GitHub lists no more of them",
            )
        self.bundle = self._bundle()
        return BundleContent(entries=entries, touched=touched, bundle=self.bundle)

    def _bundle(self) -> Bundle:
        run = self._event.workflow_run.id
        found = self.api.pages(
            f"{self._at}/actions/runs/{run}/artifacts", inside="artifacts", needs="actions: read", name=ARTIFACT
        )
        there = [each for each in found if each["name"] == ARTIFACT and not each["expired"]]
        if not there:
            return Bundle(problems=("The run packed no bundle.",))
        newest = max(there, key=lambda each: int(each["id"]))
        data = None
        if newest["size_in_bytes"] <= MOST_BYTES_TOGETHER:
            place = f"{self._at}/actions/artifacts/{int(newest['id'])}/zip"
            data = self.api.download(place, MOST_BYTES_TOGETHER, needs="actions: read")
        if data is None:
            return Bundle(problems=("The bundle of this run is too large.",))
        return read_bundle(data)

    def publish(self, report: Report, *, comment: bool, annotations: bool) -> list[str]:
        """A check run on the commit with annotations, and the comment."""
        done = [self._check_run(report, annotate(report) if annotations else [])]
        if comment and report.pull.number is not None:
            at = f"{self._at}/issues"
            done.append(
                say(
                    self.api,
                    self.api.pages(f"{at}/{report.pull.number}/comments", needs="pull-requests: read"),
                    self._me(),
                    markdown(report, more=self._run_url),
                    create=f"{at}/{report.pull.number}/comments",
                    update=f"{at}/comments/{{}}",
                    put="PATCH",
                    needs="pull-requests: write",
                )
            )
        return done

    def _me(self) -> str:
        """The login that our comments carry."""
        try:
            return str(self.api.get("/user")["login"])
        except ForgeError:
            return _BOT  # a workflow's own token may not ask who it is

    def _check_run(self, report: Report, notes: list[Annotation]) -> str:
        """One check run a result: the same result again finds it there, and adds nothing."""
        text = markdown(report, most=MOST_COMMENT - 1, more=self._run_url)
        told = json.dumps([text, report.conclusion, [(each.path, each.line, each.message) for each in notes]])
        mark = f"grader-{hashlib.sha256(told.encode()).hexdigest()[:32]}"
        needs, head = "checks: write", name(report.pull.head)
        there = self.api.pages(
            f"{self._at}/commits/{head}/check-runs", inside="check_runs", needs="checks: read", check_name=CHECK
        )
        if any(each.get("external_id") == mark and each["status"] == "completed" for each in there):
            return "check run: unchanged"
        batches = [notes[start : start + BATCH] for start in range(0, len(notes), BATCH)] or [[]]
        body: dict[str, Any] = {
            "name": CHECK,
            "head_sha": report.pull.head,
            "external_id": mark,
            "details_url": self._run_url,
            "status": "in_progress",
        }
        place, method = f"{self._at}/check-runs", "POST"
        for number, batch in enumerate(batches, 1):
            if number == len(batches):
                body |= {"status": "completed", "conclusion": report.conclusion}
            body["output"] = {
                "title": report.title,
                "summary": text,
                "annotations": [
                    {
                        "path": each.path,
                        "start_line": each.line,
                        "end_line": each.line,
                        "annotation_level": each.level,
                        "title": each.title,
                        "message": each.message,
                    }
                    for each in batch
                ],
            }
            made = self.api.send(method, place, body, needs=needs)
            if method == "POST":
                place, method = f"{self._at}/check-runs/{int(made['id'])}", "PATCH"
                body = {}
        return "check run: written"
