"""GitLab: a pipeline of the instructor's own project, which reads the merge request as objects.

Theory of operation. GitLab runs a fork's merge request with the fork's pipeline file, in the fork's project: nothing
there can be trusted, and nothing secret is there. So marking runs in a pipeline of the course's project, started by a
webhook (the payload's file names the merge request) or by hand. Of the payload only the number is used; author, commits
and the time of the push come from the API, the time being that of GitLab's own record of the push (a *version*).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from grader.ci.api import Api
from grader.ci.change import Gone, PullRequest
from grader.ci.forge import Payload, name, parsed, payload, required, say
from grader.ci.report import markdown
from grader.ci.repository import GitContent, commit_of, read_change
from grader.errors import ChangeError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from grader.ci.report import Report

__all__ = ["GitLab"]

MOST_NOTE = 1_000_000
_SHA = r"^[0-9a-f]{40}$|^[0-9a-f]{64}$"
_STATES = {"success": "success", "failure": "failed", "neutral": "success"}


class _Attributes(Payload):
    iid: int


class _Project(Payload):
    id: int
    path_with_namespace: str


class _Hook(Payload):
    object_kind: str
    object_attributes: _Attributes
    project: _Project


class _Author(Payload):
    username: str


class _MergeRequest(Payload):
    iid: int
    web_url: str
    author: _Author
    state: str


class _Version(Payload):
    head_commit_sha: str = Field(pattern=_SHA)
    base_commit_sha: str = Field(pattern=_SHA)
    created_at: str


class GitLab:
    """One pipeline for one merge request."""

    def __init__(self, api: Api, project: str, number: int, job_url: str | None) -> None:
        self.api = api
        self._project = project
        self._number = number
        self._job_url = job_url
        self._at = f"/projects/{name(project)}/merge_requests/{number}"

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> GitLab:
        """From a job's environment. Raises ChangeError when it names no merge request."""
        project = environment.get("GRADER_PROJECT") or environment.get("CI_MERGE_REQUEST_PROJECT_PATH") or ""
        number = environment.get("GRADER_MERGE_REQUEST") or environment.get("CI_MERGE_REQUEST_IID") or ""
        if not number and environment.get("TRIGGER_PAYLOAD"):
            remedy = "point a webhook for merge requests at the trigger"
            hook = parsed(_Hook, payload(environment["TRIGGER_PAYLOAD"]), "the webhook's payload", remedy)
            if hook.object_kind != "merge_request":
                raise ChangeError(f"the webhook tells of a {hook.object_kind[:40]}", remedy=remedy)
            if project not in (hook.project.path_with_namespace, str(hook.project.id)):
                raise ChangeError("the webhook is of another project than GRADER_PROJECT", remedy=remedy)
            number = str(hook.object_attributes.iid)
        if not project:
            raise ChangeError("GRADER_PROJECT is not set", remedy="it is the students' project, such as class/2027")
        if not number.isdecimal():
            raise ChangeError("no merge request is named", remedy="set GRADER_MERGE_REQUEST to its number")
        token = required(environment, "GRADER_TOKEN", "a project access token with the scope api")
        url = environment.get("CI_API_V4_URL", "https://gitlab.com/api/v4")
        return cls(Api("GitLab", url, {"PRIVATE-TOKEN": token}), project, int(number), environment.get("CI_JOB_URL"))

    def pull_request(self) -> PullRequest:
        """The merge request as GitLab last saw it pushed."""
        needs = "the scope api"
        request = parsed(_MergeRequest, self.api.get(self._at, needs=needs), "GitLab's merge request")
        if request.state != "opened":
            raise Gone(f"Merge request {request.iid} is {request.state[:40]}.")
        raw = next(self.api.pages(f"{self._at}/versions", needs=needs), None)
        if raw is None:
            raise Gone(f"Merge request {request.iid} has no commits.")
        version = parsed(_Version, raw, "GitLab's version of the merge request")
        return PullRequest(
            base=version.base_commit_sha,
            head=version.head_commit_sha,
            number=request.iid,
            author=request.author.username,
            received_at=version.created_at,
            url=request.web_url,
            where=f"{self._project}!{request.iid}",
        )

    def content(self, pull: PullRequest, repository: Path) -> GitContent:
        """Its objects, which the job has fetched."""
        return read_change(repository, commit_of(repository, pull.base), commit_of(repository, pull.head))

    def publish(self, report: Report, *, comment: bool, annotations: bool) -> list[str]:
        """A status on the commit, and the note. GitLab takes annotations from JUnit and not from its API."""
        del annotations
        status = {"state": _STATES[report.conclusion], "name": "grader", "description": report.title}
        if self._job_url:
            status["target_url"] = self._job_url
        needs = "the scope api with the role Developer"
        self.api.send("POST", f"/projects/{name(self._project)}/statuses/{name(report.pull.head)}", status, needs=needs)
        done = ["status: written"]
        if comment:
            mine = int(self.api.get("/user")["id"])
            done.append(
                say(
                    self.api,
                    self.api.pages(f"{self._at}/notes", needs="the scope api"),
                    mine,
                    markdown(report, most=MOST_NOTE, more=self._job_url),
                    create=f"{self._at}/notes",
                    update=f"{self._at}/notes/{{}}",
                    put="PUT",
                    needs="the scope api",
                )
            )
        return done
