"""GitLab and Gitea: who says what is marked, and what is written back, against servers that keep what they are told."""

import json
from http.server import BaseHTTPRequestHandler

import pytest
from github_server import serving
from students_repository import commit, fork, git, new_repository, push
from tiny_class import grader, journal_lines, lay_out, notebook

BOOK = "tiny/tiny.ipynb"
STARTER = notebook(scale=None, total=None, counter=None)


class Forge:
    """Answers by method and path; notes and statuses are kept."""

    def __init__(self):
        self.answers = {}
        self.notes = []
        self.statuses = []
        self.url = ""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def serve(self):
        state, path = self.server.state, self.path.partition("?")[0]
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        status, found = 200, state.answers.get(path)
        if "/statuses/" in path:
            state.statuses.append((path, body))
            found = {}
        elif path.endswith(("/notes", "/comments")):
            if self.command == "POST":
                us = {"author": {"id": 9}} if path.endswith("/notes") else {"user": {"login": "bot"}}
                state.notes.append({"id": len(state.notes) + 1, **us, **body})
            found = state.notes
        elif "/notes/" in path or "/comments/" in path:
            assert self.command == ("PUT" if "/notes/" in path else "PATCH")
            state.notes[int(path.rpartition("/")[2]) - 1] |= body
            found = {}
        elif path.endswith("/user"):
            found = {"id": 9, "login": "bot"}
        if found is None:
            status, found = 404, {"message": "404 Not Found"}
        data = json.dumps(found).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_PATCH = serve  # noqa: N815

    def log_message(self, *arguments):
        pass


@pytest.fixture
def forge():
    with serving(Forge(), Handler) as state:
        yield state


@pytest.fixture
def pushed(tmp_path):
    """The class repository with a pushed change; base, head."""
    repository = new_repository(tmp_path / "class", {BOOK: STARTER})
    clone = fork(repository, tmp_path / "ada")
    commit(clone, {BOOK: notebook()})
    return repository, git(repository, "rev-parse", "main"), push(clone, repository, 1)


def test_a_webhook_of_gitlabs_names_the_merge_request(forge, pushed, tmp_path):
    """Number from the payload; author, commits and the time of the push from the API; a note that is updated."""
    repository, base, head = pushed
    course = lay_out(tmp_path)
    at = "/projects/class%2F2027/merge_requests/1"
    forge.answers = {
        at: {"iid": 1, "web_url": "https://gitlab.example/1", "author": {"username": "ada"}, "state": "opened"},
        f"{at}/versions": [
            {"head_commit_sha": head, "base_commit_sha": base, "created_at": "2026-01-03T11:00:00Z"},
            {"head_commit_sha": base, "base_commit_sha": base, "created_at": "2026-01-01T00:00:00Z"},
        ],
    }
    hook = {
        "object_kind": "merge_request",
        "object_attributes": {"iid": 1, "last_commit": {"id": "0" * 40}},
        "project": {"id": 5, "path_with_namespace": "class/2027"},
        "user": {"username": "mallory"},
    }
    (tmp_path / "payload").write_text(json.dumps(hook))
    job = {
        "GITLAB_CI": "true",
        "GRADER_PROJECT": "class/2027",
        "GRADER_TOKEN": "t",
        "CI_API_V4_URL": forge.url,
        "TRIGGER_PAYLOAD": str(tmp_path / "payload"),
        "GITHUB_ACTIONS": "",
    }
    line = ["ci", "--repository", repository, "--no-gradebook", "--to", tmp_path / "report"]
    for _ in range(2):
        done = grader(course, *line, **job)
        assert done.returncode == 0, done.stderr
    (record,) = journal_lines(course)
    assert (record["submission"]["student"], record["score"]) == (
        "ada",
        8.1,
    )  # a day and a half late, by GitLab's clock
    (note,) = forge.notes
    assert "8.1 of 10 points" in note["body"]
    assert {path for path, _ in forge.statuses} == {f"/projects/class%2F2027/statuses/{head}"}
    assert (tmp_path / "report" / "junit.xml").is_file()

    forged = grader(course, *line, **{**job, "GRADER_PROJECT": "class/2026"})
    assert (forged.returncode, "of another project than GRADER_PROJECT" in forged.stderr) == (9, True)


def test_gitea_marks_from_the_base_side_only(forge, pushed, tmp_path):
    """A job of pull_request_target marks the event's head, if the pull request still has it; others are refused."""
    repository, base, head = pushed
    course = lay_out(tmp_path)
    pull = {
        "number": 1,
        "html_url": "https://gitea.example/1",
        "state": "open",
        "user": {"login": "ada"},
        "head": {"sha": head},
        "base": {"sha": base},
        "updated_at": "2026-01-01T10:00:00Z",
    }
    forge.answers = {"/repos/o/class/pulls/1": pull}
    (tmp_path / "event").write_text(json.dumps({"pull_request": pull}))
    job = {
        "GITEA_ACTIONS": "true",
        "GITHUB_ACTIONS": "",
        "GITHUB_EVENT_NAME": "pull_request_target",
        "GITHUB_EVENT_PATH": str(tmp_path / "event"),
        "GITHUB_REPOSITORY": "o/class",
        "GITHUB_API_URL": forge.url,
        "GITHUB_TOKEN": "t",
    }
    line = ["ci", "--repository", repository, "--no-gradebook", "--to", tmp_path / "report"]
    for _ in range(2):
        done = grader(course, *line, **job)
        assert done.returncode == 0, done.stderr
    assert [record["score"] for record in journal_lines(course)] == [9]
    assert [("9 of 10 points" in note["body"]) for note in forge.notes] == [True]
    assert forge.statuses[-1][1]["state"] == "success"

    refused = grader(course, *line, **{**job, "GITHUB_EVENT_NAME": "pull_request"})
    assert (refused.returncode, "is no place to mark in" in refused.stderr) == (9, True)
    forge.answers["/repos/o/class/pulls/1"] = {**pull, "head": {"sha": base}}
    assert "a newer push is marked by a run of its own" in grader(course, *line, **job).stderr
