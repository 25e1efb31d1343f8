"""Gitea and Forgejo: a job started by ``pull_request_target``, which has the workflow of the base side.

Theory of operation. Their runners give such a job the base's workflow and its secrets, so it must never check out or
run what the pull request brings: the head is fetched as objects and read. The event names the pull request; author and
commits come from the API. The API keeps no time of a push, so the event's own time of the last update counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from grader.ci.api import Api
from grader.ci.change import Gone, PullRequest
from grader.ci.forge import Payload, name, parsed, payload, required, say
from grader.ci.report import MOST_COMMENT, markdown
from grader.ci.repository import GitContent, commit_of, read_change
from grader.errors import ChangeError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from grader.ci.report import Report

__all__ = ["Gitea"]

_SHA = r"^[0-9a-f]{40}$|^[0-9a-f]{64}$"
_STATES = {"success": "success", "failure": "failure", "neutral": "warning"}


class _Account(Payload):
    login: str


class _Side(Payload):
    sha: str = Field(pattern=_SHA)


class _Pull(Payload):
    number: int
    html_url: str
    state: str
    user: _Account
    head: _Side
    base: _Side
    updated_at: str


class _Event(Payload):
    pull_request: _Pull


class Gitea:
    """One run for one pull request."""

    def __init__(self, api: Api, repository: str, event: _Pull, run_url: str | None) -> None:
        self.api = api
        self._repository = repository
        self._event = event
        self._run_url = run_url
        self._at = f"/repos/{repository}"

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Gitea:
        """From a job's environment. Raises ChangeError when it is not the job that this is made for."""
        remedy = "start the workflow by pull_request_target; docs/ci.md has it ready"
        kind = required(environment, "GITHUB_EVENT_NAME", "the event that started the workflow")
        if kind != "pull_request_target":
            what = f"a job started by {kind} is no place to mark in: it may have the student's workflow"
            raise ChangeError(what, remedy=remedy)
        raw = payload(required(environment, "GITHUB_EVENT_PATH", "the event's file"))
        event = parsed(_Event, raw, "the event", remedy)
        repository = required(environment, "GITHUB_REPOSITORY", "the repository of the workflow")
        token = environment.get("GRADER_TOKEN") or required(environment, "GITHUB_TOKEN", "the job's token")
        url = required(environment, "GITHUB_API_URL", "the address of the API")
        server, run = environment.get("GITHUB_SERVER_URL"), environment.get("GITHUB_RUN_ID")
        run_url = f"{server}/{repository}/actions/runs/{run}" if server and run else None
        return cls(Api("Gitea", url, {"Authorization": f"token {token}"}), repository, event.pull_request, run_url)

    def pull_request(self) -> PullRequest:
        """The pull request, if its head is still the one of the event."""
        raw = self.api.get(f"{self._at}/pulls/{self._event.number}", needs="the right to read the repository")
        pull = parsed(_Pull, raw, "the pull request")
        if pull.state != "open" or pull.head.sha != self._event.head.sha:
            raise Gone(f"Pull request {pull.number} is closed, or a newer push is marked by a run of its own.")
        return PullRequest(
            base=pull.base.sha,
            head=pull.head.sha,
            number=pull.number,
            author=pull.user.login,
            received_at=self._event.updated_at,
            url=pull.html_url,
            where=f"{self._repository}#{pull.number}",
        )

    def content(self, pull: PullRequest, repository: Path) -> GitContent:
        """Its objects, which the job has fetched."""
        return read_change(repository, commit_of(repository, pull.base), commit_of(repository, pull.head))

    def publish(self, report: Report, *, comment: bool, annotations: bool) -> list[str]:
        """A status on the commit, and the comment. There is no API for annotations."""
        del annotations
        status = {"context": "grader", "state": _STATES[report.conclusion], "description": report.title}
        if self._run_url:
            status["target_url"] = self._run_url
        needs = "the right to write to the repository"
        self.api.send("POST", f"{self._at}/statuses/{name(report.pull.head)}", status, needs=needs)
        done = ["status: written"]
        if comment:
            comments = f"{self._at}/issues/{self._event.number}/comments"
            done.append(
                say(
                    self.api,
                    self.api.pages(comments, needs=needs),
                    str(self.api.get("/user", needs="the right to read its own account")["login"]),
                    markdown(report, most=MOST_COMMENT, more=self._run_url),
                    create=comments,
                    update=f"{self._at}/issues/comments/{{}}",
                    put="PATCH",
                    needs=needs,
                )
            )
        return done
