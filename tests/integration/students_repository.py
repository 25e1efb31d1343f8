"""Real git repositories as students have them: a class repository, forks, commits with everything that git can hold."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

IDENTITY = {
    "GIT_AUTHOR_NAME": "A Student",
    "GIT_AUTHOR_EMAIL": "student@example.org",
    "GIT_COMMITTER_NAME": "A Student",
    "GIT_COMMITTER_EMAIL": "student@example.org",
    "GIT_AUTHOR_DATE": "2001-01-01T00:00:00Z",
    "GIT_COMMITTER_DATE": "2001-01-01T00:00:00Z",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}
"""The dates lie: nothing may depend on them."""


def git(repository: Path, *arguments: object) -> str:
    """What a git command prints."""
    done = subprocess.run(
        ["git", "-c", "protocol.file.allow=always", *map(str, arguments)],
        cwd=repository,
        env={**os.environ, **IDENTITY},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def new_repository(place: Path, files: dict[str, bytes]) -> Path:
    """A repository with one commit on main."""
    place.mkdir(parents=True)
    git(place, "init", "--quiet", "--initial-branch", "main")
    commit(place, files)
    return place


def fork(repository: Path, place: Path) -> Path:
    """A copy of somebody's own, with a branch for the work."""
    git(repository.parent, "clone", "--quiet", repository, place)
    git(place, "switch", "--quiet", "-c", "work")
    return place


def commit(repository: Path, files: dict[str, bytes | None], message: str = "Work") -> str:
    """Write (or, with None, remove) files and commit everything; the commit."""
    for name, data in files.items():
        path = repository / name
        if data is None:
            path.unlink()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    git(repository, "add", "--all", "--force")
    git(repository, "commit", "--quiet", "--allow-empty", "-m", message)
    return git(repository, "rev-parse", "HEAD")


def push(clone: Path, repository: Path, number: int) -> str:
    """Push a fork's work as pull request ``number``, as a forge keeps it; the head."""
    git(clone, "push", "--quiet", "--force", repository, f"HEAD:refs/pull/{number}/head")
    return git(clone, "rev-parse", "HEAD")
