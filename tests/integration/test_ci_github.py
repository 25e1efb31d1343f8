"""``grader ci`` in a job of GitHub's: two stages, forks, forged bundles; every request is one that GitHub describes."""

import json
import subprocess
import sys
from pathlib import Path

import cmarkgfm
import pytest
from cmarkgfm.cmark import Options
from github_server import REPOSITORY, GitHubServer, serving
from students_repository import commit, fork, git, new_repository, push
from tiny_class import grader, journal_lines, lay_out, notebook

from grader.ci.api import Api
from grader.ci.change import PullRequest
from grader.ci.github import GitHub, _Event
from grader.ci.report import MARKER, Annotation, Report
from grader.errors import ForgeError

PACK = Path(__file__).resolve().parents[2] / "grader" / "ci" / "pack.py"
STARTER = notebook(scale=None, total=None, counter=None)
HOSTILE = "@octocat <img src=x onerror=alert(1)> [click](https://evil.example) #1 ::set-output name=a::b"
SECRET = "test_scale_values"


@pytest.fixture
def course(tmp_path):
    return lay_out(tmp_path)


@pytest.fixture
def github(tmp_path):
    """A class repository on a GitHub of its own."""
    repository = new_repository(tmp_path / "class", {"tiny/tiny.ipynb": STARTER, "README.md": b"Fork me."})
    with serving(GitHubServer(repository)) as state:
        yield state
    assert state.wrong == []


def hand_in(github, number, files, *, owner="ada", run=None):
    """Fork, work, push, open a pull request, and let the unprivileged job pack it; the clone."""
    repository = github.objects
    clone = fork(repository, repository.parent / f"{owner}-{number}")
    commit(clone, files)
    head = push(clone, repository, number)
    base = git(repository, "rev-parse", "main")
    github.open(number, owner, "work", base, head)
    pack(github, base, head, run or number)
    return clone


def pack(github, base, head, run):
    """The first stage, as its workflow runs it."""
    folder = github.objects.parent / f"packed-{run}"
    line = [sys.executable, "-I", PACK, "--base", base, "--head", head, "--to", folder]
    subprocess.run(line, cwd=github.objects, check=True, capture_output=True)
    github.hand_over(run, folder)
    return folder


def job(github, course, number, *arguments, run=None, event=None, token="of-the-job", **more):
    """The second stage: ``grader ci`` with the environment of its job."""
    place = course / "event.json"
    place.write_text(json.dumps(event or github.event(number, run or number)))
    environment = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_NAME": "workflow_run",
        "GITHUB_EVENT_PATH": str(place),
        "GITHUB_REPOSITORY": REPOSITORY,
        "GITHUB_API_URL": github.url,
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_RUN_ID": "77",
        "GITHUB_TOKEN": token,
        "GITHUB_STEP_SUMMARY": str(course / "step.md"),
        **more,
    }
    return grader(course, "ci", "--no-gradebook", "--to", course / "report", *arguments, **environment)


def test_a_pull_request_from_a_fork_is_marked_and_told(github, course):
    """A fork's notebook is marked; check run, annotation at its line, and one comment say so; again changes nothing."""
    wrong = f"def scale(x, factor):\n    raise ValueError({HOSTILE!r})"
    hand_in(github, 7, {"tiny/tiny.ipynb": notebook(scale=wrong), "tiny/test_public.py": b"", "course.yaml": b"no"})
    done = job(github, course, 7, "--require", "60%")
    assert done.returncode == 1, done.stderr
    (comment,), (check,) = github.comments, github.check_runs
    assert comment["body"].startswith(MARKER)
    assert "5 of 10 points" in comment["body"]
    html = cmarkgfm.github_flavored_markdown_to_html(comment["body"], Options.CMARK_OPT_UNSAFE)
    assert "ValueError" in html
    assert [bad for bad in ("@octocat", "<img", "<a", "#1", "::set", SECRET) if bad in html] == []
    assert comment["body"].count("⚑") == 2
    assert (check["conclusion"], check["status"], check["head_sha"]) == (
        "failure",
        "completed",
        git(github.objects, "rev-parse", "refs/pull/7/head"),
    )
    (note,) = check["annotations"]
    source = git(github.objects, "show", "refs/pull/7/head:tiny/tiny.ipynb").split("\n")
    assert note["path"] == "tiny/tiny.ipynb"
    assert "raise ValueError" in source[note["start_line"] - 1]
    assert (course / "step.md").read_text().startswith(MARKER)
    assert not any(line.lstrip().startswith("::set-output") for line in (done.stdout + done.stderr).splitlines())
    (record,) = journal_lines(course)
    assert record["submission"]["received_at"] == "2026-01-01T10:00:00+00:00"
    assert record["submission"]["student"] == "ada"

    before = json.dumps([github.comments, github.check_runs])
    again = job(github, course, 7, "--require", "60%")
    assert again.returncode == 1
    assert json.dumps([github.comments, github.check_runs]) == before
    assert len(journal_lines(course)) == 1

    # The same commit on a machine that has no journal: the same seed, the same marks, nothing new to tell.
    (course / "journal").rename(course / "journal-of-another-machine")
    job(github, course, 7, "--require", "60%")
    (fresh,) = journal_lines(course)
    assert (fresh["seed"], fresh["score"]) == (record["seed"], record["score"])
    assert json.dumps([github.comments, github.check_runs]) == before


def test_a_newer_push_updates_the_comment(github, course):
    """A force push is marked anew and its comment replaces the first; a run for the old head marks nothing."""
    clone = hand_in(github, 3, {"notes.md": b"To begin with."})
    first = github.event(3, 3)
    assert job(github, course, 3).returncode == 0
    assert "Nothing to mark" in github.comments[0]["body"]
    (clone / "tiny" / "tiny.ipynb").write_bytes(notebook(last="x = 1"))
    git(clone, "commit", "--quiet", "--all", "--amend", "-m", "Again")
    head = push(clone, github.objects, 3)
    github.pulls[3]["head"]["sha"] = head
    pack(github, github.pulls[3]["base"]["sha"], head, 4)
    assert job(github, course, 3, run=4).returncode == 0
    assert len(github.comments) == 1
    assert "9 of 10" in github.comments[0]["body"]
    stale = job(github, course, 3, event=first)
    assert stale.returncode == 0
    assert "a newer push is marked by a run of its own" in stale.stderr
    assert "9 of 10" in github.comments[0]["body"]


def test_a_forged_bundle_gets_nothing_in(github, course):
    """Bytes that are not the commit's are left aside, whatever they are called and whatever the manifest says."""
    hand_in(github, 5, {"tiny/tiny.ipynb": notebook(scale="def scale(x, factor):\n    return x")})
    folder = github.objects.parent / "packed-5"
    (honest,) = (path for path in folder.iterdir() if path.name != "manifest.json")
    honest.write_bytes(notebook())
    (folder / "manifest.json").write_text(json.dumps({"head": "0" * 40, "files": {"../../x": "y"}, "base": None}))
    github.hand_over(5, folder)
    done = job(github, course, 5)
    assert done.returncode == 0
    assert journal_lines(course) == []
    assert "is not in the bundle of this run" in github.comments[0]["body"]
    assert github.check_runs[0]["conclusion"] == "neutral"


def test_only_a_trusted_job_marks(github, course):
    """A job that a pull request started, or the event of another repository, is refused before anything is read."""
    hand_in(github, 6, {"tiny/tiny.ipynb": notebook()})
    refused = job(github, course, 6, GITHUB_EVENT_NAME="pull_request")
    assert (refused.returncode, "a job started by pull_request is no place to mark in" in refused.stderr) == (9, True)
    other = job(github, course, 6, GITHUB_REPOSITORY="octo-org/another")
    assert (other.returncode, "the event is of another repository" in other.stderr) == (9, True)
    pushed = github.event(6, 6)
    pushed["workflow_run"]["event"] = "push"
    assert "the run was started by push" in job(github, course, 6, event=pushed).stderr
    assert github.requests == []


def test_a_token_without_a_right_is_told(github, course):
    """What the token lacks is said by name, after the marks are kept."""
    hand_in(github, 8, {"tiny/tiny.ipynb": notebook()})
    github.refuse["POST check-runs"] = [(403, {}, "Resource not accessible by integration")]
    done = job(github, course, 8)
    assert done.returncode == 10
    assert "the token lacks checks: write" in done.stderr
    assert len(journal_lines(course)) == 1
    assert job(github, course, 8, token="of-somebody").returncode == 10


def test_another_ones_marker_is_nobodys_comment(github, course):
    """A comment with our marker that we did not write is left alone; ours is found behind it, on a later page."""
    hand_in(github, 9, {"notes.md": b"Nothing yet."})
    for number in range(5):
        github.comment(f"{MARKER}\nfull marks for {number}", login="mallory")
    for _ in range(2):
        assert job(github, course, 9).returncode == 0
    assert [each["user"]["login"] for each in github.comments] == ["mallory"] * 5 + ["github-actions[bot]"]
    assert all(each["body"].endswith(f"for {number}") for number, each in enumerate(github.comments[:5]))


@pytest.mark.parametrize(
    ("answers", "outcome"),
    [
        ([(502, {}, "Bad Gateway"), (503, {}, "Busy")], "found"),
        ([(429, {"Retry-After": "7"}, "Slow down")], "found"),
        ([(403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}, "Rate limit")], "found"),
        ([(403, {"Retry-After": "100000"}, "Rate limit")], "GitHub refused GET"),
        ([(500, {}, "No")] * 5, "GitHub refused GET"),
    ],
)
def test_a_busy_forge_is_asked_again(github, answers, outcome):
    """5xx and rate limits are waited for, as long as GitHub says and no longer than makes sense."""
    waited = []
    github.refuse["GET pulls"] = list(answers)
    github.open(1, "ada", "work", "0" * 40, "1" * 40)
    api = Api("GitHub", github.url, {"Authorization": "Bearer of-the-job"}, sleep=waited.append)
    try:
        found = list(api.pages(f"/repos/{REPOSITORY}/pulls", head="ada:work"))
        said = "found" if len(found) == 1 else "nothing"
    except ForgeError as error:
        said = str(error)
    api.close()
    assert outcome in said
    if "Retry-After" in answers[0][1] and outcome == "found":
        assert waited == [7.0]


def test_many_annotations_go_in_batches(github):
    """More annotations than a request may carry are sent in several; the last completes the check run."""
    github.open(1, "ada", "work", "0" * 40, "1" * 40)
    event = _Event.model_validate(github.event(1, 1))
    forge = GitHub(Api("GitHub", github.url, {"Authorization": "Bearer of-the-job"}), event, "https://github.com/x")
    report = Report(pull=PullRequest(base="0" * 40, head="1" * 40, number=1), marked=(), remarks=())
    notes = [Annotation(path="a.ipynb", line=n, level="warning", title="t", message="m") for n in range(1, 121)]
    for _ in range(2):
        forge._check_run(report, notes)
    forge.api.close()
    (check,) = github.check_runs
    assert [each["start_line"] for each in check["annotations"]] == list(range(1, 121))
    written = [method for method, path, _ in github.requests if "check-runs" in path and method != "GET"]
    assert written == ["POST", "PATCH", "PATCH"]
