"""A GitHub with one repository, on this machine: it answers from real git objects, and takes only requests that
GitHub's published description of its API allows."""

from __future__ import annotations

import io
import json
import re
import threading
import zipfile
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import jsonschema
from students_repository import git

DATA = Path(__file__).with_name("github")
API = json.loads((DATA / "openapi.json").read_bytes())
REPOSITORY = "octo-org/octo-repo"
STATUS = {"A": "added", "M": "modified", "D": "removed", "R": "renamed"}


def example(name: str) -> dict:
    """One of GitHub's published payloads."""
    return json.loads((DATA / f"{name}.json").read_bytes())


def _nullable(schema):
    """OpenAPI 3.0's ``nullable`` in the words of JSON Schema."""
    if isinstance(schema, list):
        return [_nullable(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _nullable(value) for key, value in schema.items()}
    if made.pop("nullable", False) and "type" in made:
        made["type"] = [made["type"], "null"]
    return made


class Described:
    """GitHub's description of its API, to hold requests against."""

    def __init__(self) -> None:
        self.routes = []
        for path, methods in API["paths"].items():
            pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path) + r"\Z")
            self.routes.append((pattern, methods))

    def problems(self, method: str, path: str, query: dict[str, str], body: object) -> list[str]:
        """What is wrong with a request; nothing if it is as described."""
        for pattern, methods in self.routes:
            if pattern.match(path) and method.lower() in methods:
                return list(self._wrong(methods[method.lower()], query, body))
        return [f"there is no {method} {path}"]

    def _wrong(self, operation, query, body):
        known = {each["name"]: each["schema"] for each in operation.get("parameters", ()) if each["in"] == "query"}
        for key, value in query.items():
            if key not in known:
                yield f"no parameter is called {key}"
                continue
            typed = int(value) if known[key].get("type") == "integer" else value
            yield from (error.message for error in jsonschema.Draft202012Validator(known[key]).iter_errors(typed))
        if "requestBody" in operation:
            schema = _nullable(operation["requestBody"]["content"]["application/json"]["schema"])
            yield from (error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(body))
        elif body is not None:
            yield "this request has no body"


class GitHubServer:
    """The state of the repository, and every request that was made."""

    def __init__(self, objects: Path) -> None:
        self.objects = objects
        """A git repository that has every commit."""
        self.pulls: dict[int, dict] = {}
        self.artifacts: dict[int, bytes] = {}
        """Run → bundle."""
        self.comments: list[dict] = []
        self.check_runs: list[dict] = []
        self.requests: list[tuple[str, str, object]] = []
        self.wrong: list[str] = []
        self.refuse: dict[str, list[tuple[int, dict[str, str], str]]] = {}
        """Method and last part of a path → answers to give first."""
        self.url = ""
        self.described = Described()

    def open(self, number: int, clone_owner: str, branch: str, base: str, head: str) -> dict:
        """Open a pull request from a fork, in the words of GitHub's published example; the pull request."""
        pull = example("pull_request")["pull_request"]
        repository = example("workflow_run")["repository"]
        pull["number"] = number
        pull["user"]["login"] = clone_owner
        pull["head"] |= {
            "ref": branch,
            "sha": head,
            "label": f"{clone_owner}:{branch}",
            "repo": self.fork_of(clone_owner),
        }
        pull["base"] |= {"ref": "main", "sha": base, "repo": repository}
        self.pulls[number] = pull
        return pull

    def fork_of(self, owner: str) -> dict:
        repository = json.loads(json.dumps(example("pull_request")["repository"]))
        repository |= {"id": 1000 + sum(owner.encode()), "full_name": f"{owner}/octo-repo", "name": "octo-repo"}
        repository["owner"]["login"] = owner
        return repository

    def event(self, number: int, run: int, *, created_at: str = "2026-01-01T10:00:00Z") -> dict:
        """The ``workflow_run`` event of the run that packed a pull request, with no ``pull_requests``, as for forks."""
        event = example("workflow_run")
        pull = self.pulls[number]
        event["workflow_run"] |= {
            "id": run,
            "event": "pull_request",
            "head_sha": pull["head"]["sha"],
            "head_branch": pull["head"]["ref"],
            "head_repository": pull["head"]["repo"],
            "created_at": created_at,
            "pull_requests": [],
        }
        return event

    def hand_over(self, run: int, folder: Path) -> None:
        """Upload a folder as the artifact of a run."""
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(folder.iterdir()):
                archive.write(path, path.name)
        self.artifacts[run] = packed.getvalue()

    def answer(self, method: str, path: str, query: dict[str, str], body: dict | None):
        """(status, headers, JSON or bytes)."""
        last = path.rstrip("/").rpartition("/")[2]
        queue = self.refuse.get(f"{method} {last}")
        if queue:
            status, headers, message = queue.pop(0)
            return status, headers, {"message": message}
        if path == "/user":
            return 403, {}, {"message": "Resource not accessible by integration"}
        at = f"/repos/{REPOSITORY}"
        rest = path.removeprefix(at)
        if rest == "/pulls":
            return 200, {}, [each for each in self.pulls.values() if each["head"]["label"] == query["head"]]
        if found := re.fullmatch(r"/pulls/(\d+)/files", rest):
            return self._page(self._files(int(found[1])), path, query)
        if found := re.fullmatch(r"/git/trees/(\w+)", rest):
            return 200, {}, {"sha": found[1], "truncated": False, "tree": self._tree(found[1])}
        if found := re.fullmatch(r"/actions/runs/(\d+)/artifacts", rest):
            run = int(found[1])
            there = [
                {"id": run, "name": "submission", "expired": False, "size_in_bytes": len(data)}
                for each, data in self.artifacts.items()
                if each == run
            ]
            return 200, {}, {"total_count": len(there), "artifacts": there}
        if found := re.fullmatch(r"/actions/artifacts/(\d+)/zip", rest):
            return 302, {"Location": f"{self.url}/storage/{found[1]}"}, b""
        if found := re.fullmatch(r"/issues/(\d+)/comments", rest):
            if method == "GET":
                return self._page(self.comments, path, query)
            return 201, {}, self.comment(body["body"])
        if found := re.fullmatch(r"/issues/comments/(\d+)", rest):
            (comment,) = (each for each in self.comments if each["id"] == int(found[1]))
            comment["body"] = body["body"]
            return 200, {}, comment
        if re.fullmatch(r"/commits/\w+/check-runs", rest):
            there = [each for each in self.check_runs if each["head_sha"] == rest.split("/")[2]]
            return 200, {}, {"total_count": len(there), "check_runs": there}
        if rest == "/check-runs":
            run = {"id": len(self.check_runs) + 1, **body, "annotations": body["output"].pop("annotations")}
            self.check_runs.append(run)
            return 201, {}, run
        if found := re.fullmatch(r"/check-runs/(\d+)", rest):
            run = self.check_runs[int(found[1]) - 1]
            run["annotations"] += body["output"].pop("annotations")  # GitHub adds them too
            run |= body
            return 200, {}, run
        return 404, {}, {"message": "Not Found"}

    def comment(self, text: str, login: str = "github-actions[bot]") -> dict:
        """Write a comment."""
        made = example("issue_comment")["comment"]
        made |= {"id": 100 + len(self.comments), "body": text}
        made["user"] = {**made["user"], "login": login}
        self.comments.append(made)
        return made

    def _page(self, items: list, path: str, query: dict[str, str]):
        """Two at a time, whatever is asked, so that there are pages."""
        page = int(query.get("page", 1))
        start = 2 * (page - 1)
        more = start + 2 < len(items)
        headers = {"Link": f'<{self.url}{path}?per_page=100&page={page + 1}>; rel="next"'} if more else {}
        return 200, headers, items[start : start + 2]

    def _files(self, number: int) -> list[dict]:
        pull = self.pulls[number]
        raw = git(
            self.objects, "diff", "--name-status", "-M", "-z", f"{pull['base']['sha']}...{pull['head']['sha']}"
        ).split("\0")
        parts, found = iter([part for part in raw if part]), []
        for status in parts:
            path = next(parts)
            entry = {"status": STATUS[status[0]], "filename": path}
            if status[0] == "R":
                entry |= {"previous_filename": path, "filename": next(parts)}
            found.append(entry)
        return found

    def _tree(self, commit: str) -> list[dict]:
        found = []
        for line in git(self.objects, "ls-tree", "-r", "-t", "-z", commit).split("\0"):
            if line:
                head, _, path = line.partition("\t")
                mode, kind, sha = head.split()
                found.append({"path": path, "mode": mode, "type": kind, "sha": sha})
        return found


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def do_PATCH(self) -> None:
        self._serve("PATCH")

    def _serve(self, method: str) -> None:
        state: GitHubServer = self.server.state
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        parts = urlsplit(self.path)
        path, query = unquote(parts.path), dict(parse_qsl(parts.query))
        if path.startswith("/storage/"):
            if self.headers.get("Authorization"):
                state.wrong.append("the token was sent to where artifacts are stored")
            self._reply(200, {}, state.artifacts[int(path.rpartition("/")[2])])
            return
        state.requests.append((method, path, body))
        state.wrong += state.described.problems(method, path, query, body)
        if self.headers.get("Authorization") != "Bearer of-the-job":
            self._reply(401, {}, {"message": "Bad credentials"})
            return
        self._reply(*state.answer(method, path, query, body))

    def _reply(self, status: int, headers: dict[str, str], content: object) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def serving(state, handler=_Handler):
    """Answer requests until it is left."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.state = state
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
