"""``make demo-ci``: a class repository, three students, four pull requests (one is hostile), and what they are told.

Everything is real but the forge: repositories, forks and pushes are git's, the unprivileged job's packing is run, and
marking goes through ``grader ci`` and the sandbox. It prints the comments that would be posted. Can be repeated.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PLACE = ROOT / "demo-ci"
ASSIGNMENT = "softmax-regression"
NOTEBOOK = f"{ASSIGNMENT}/{ASSIGNMENT}.ipynb"
SAMPLES = ROOT / "solutions" / ASSIGNMENT / "class"
RECEIVED = "2026-03-01T12:00:00+00:00"
SHOUT = (
    "@everyone <img src=x onerror=alert(1)> [full marks](https://evil.example) closes #1 ::set-output name=mark::100"
)
IDENTITY = {
    "GIT_AUTHOR_NAME": "A Student",
    "GIT_AUTHOR_EMAIL": "student@example.org",
    "GIT_COMMITTER_NAME": "A Student",
    "GIT_COMMITTER_EMAIL": "student@example.org",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}


def main() -> int:
    """Run the story; 0 if everybody was told what they should be."""
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    shutil.rmtree(PLACE, ignore_errors=True)
    course, students = set_up()
    amara, femi, jonas = (sample(name) for name in ("amara", "femi", "jonas"))
    told = [
        mark(course, students, 1, "ada", {NOTEBOOK: amara}, "hands in a right solution"),
        mark(course, students, 2, "ben", {NOTEBOOK: femi}, "hands in what he has so far"),
        mark(course, students, 3, "cleo", hostile(amara), "would rather have the marks without the work"),
        mark(
            course,
            students,
            4,
            "ben",
            {NOTEBOOK: None, f"{ASSIGNMENT}/final.ipynb": jonas},
            "renames it and tries again",
        ),
    ]
    print(f"\nThe class repository, course and journal lie in {PLACE}.")
    flags = [sum(remark["flag"] for remark in each["remarks"]) for each in told]
    scores = [each["submissions"][0]["score"] for each in told]
    as_expected = flags == [0, 0, 4, 0] and scores[0] == 100 and scores[2] < 100 and scores[1] < scores[3]
    return 0 if as_expected else 1


def set_up() -> tuple[Path, Path]:
    """The instructor's course with the one assignment, and the class repository that students fork."""
    from grader.cli.demo import set_up as lay_out
    from grader.config import load_course

    here = load_course(ROOT / "course.yaml")
    lay_out(here, here.assignment(ASSIGNMENT), PLACE / "course")
    shutil.rmtree(PLACE / "course" / "submitted")
    students = PLACE / "class"
    run(PLACE, "grader", "release", ASSIGNMENT, "--course", PLACE / "course", "--to", students)
    git(students, "init", "--quiet", "--initial-branch", "main")
    commit(students, "The assignments")
    return PLACE / "course", students


def mark(course: Path, students: Path, number: int, author: str, files: dict[str, bytes | None], story: str) -> dict:
    """One student's fork and pull request, and the comment on it; the report."""
    print(f"\n{'─' * 100}\nPull request {number}: {author} {story}\n{'─' * 100}")
    fork = PLACE / "forks" / f"{author}-{number}"
    git(PLACE, "clone", "--quiet", students, fork)
    git(fork, "switch", "--quiet", "-c", "work")
    for name, data in files.items():
        path = fork / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if data is None:
            path.unlink()
        else:
            path.write_bytes(data)
    commit(fork, "Work")
    head = f"refs/pull/{number}/head"
    git(fork, "push", "--quiet", students, f"HEAD:{head}")
    bundle = PLACE / "bundles" / str(number)
    run(students, sys.executable, ".github/grader/pack.py", "--base", "main", "--head", head, "--to", bundle)
    report = PLACE / "reports" / str(number)
    run(
        PLACE, "grader", "ci", "--course", course, "--repository", students, "--base", "main", "--head", head,
        "--author", author, "--received", RECEIVED, "--to", report, "--no-gradebook", "--json",
    )  # fmt: skip
    print((report / "comment.md").read_text(encoding="utf-8"))
    loaded: dict = json.loads((report / "report.json").read_text(encoding="utf-8"))
    return loaded


def hostile(notebook: bytes) -> dict[str, bytes | None]:
    """A notebook that shouts into the comment, with everything that a pull request should not change."""
    content = json.loads(notebook)
    for cell in content["cells"]:
        if cell["metadata"].get("exercise") == "one_hot":
            cell["source"] = f"def one_hot(labels, num_classes):\n    raise ValueError({SHOUT!r})\n"
    return {
        NOTEBOOK: json.dumps(content, indent=1).encode(),
        f"{ASSIGNMENT}/test_public.py": b"def test_everything():\n    pass\n",
        ".github/workflows/mark.yml": b"on: push\n",
        "course.yaml": b"id: mine\n",
        "conftest.py": b"import os\nos._exit(0)\n",
    }


def sample(name: str) -> bytes:
    """A notebook of the sample class."""
    (path,) = (SAMPLES / name).glob("*.ipynb")
    return path.read_bytes()


def commit(repository: Path, message: str) -> None:
    """Commit everything."""
    git(repository, "add", "--all", "--force")
    git(repository, "commit", "--quiet", "-m", message)


def git(repository: Path, *arguments: object) -> None:
    """Run git."""
    run(repository, "git", *arguments)


def run(where: Path, program: str, *arguments: object) -> None:
    """Run a program that must succeed; what it says is shown when it does not."""
    line = [program, *map(str, arguments)]
    if program == "grader":
        line = [sys.executable, "-P", "-c", "from grader.cli import main; main()", *map(str, arguments)]
    where.mkdir(parents=True, exist_ok=True)
    outside = {name: value for name, value in os.environ.items() if name not in ("GITHUB_ACTIONS", "GITLAB_CI")}
    done = subprocess.run(
        line, cwd=where, env={**outside, **IDENTITY}, capture_output=True, text=True, check=False
    )  # fmt: skip
    if done.returncode:
        print(done.stdout, done.stderr, sep="\n", file=sys.stderr)
        raise SystemExit(done.returncode)


if __name__ == "__main__":
    sys.exit(main())
