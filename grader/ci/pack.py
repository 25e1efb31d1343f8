"""Pack what a pull request hands in as inert bytes: the job without secrets runs this, ``grader ci`` reads it.

    python3 pack.py --base COMMIT --head COMMIT --to FOLDER

Writes the notebooks and archives that the head's tree has and the base's has not, as they lie in git (no checkout, no
filter), each under the id of its blob, and a ``manifest.json`` for people. Needs Python and git, nothing else, and is
copied into the students' repository by ``grader release --to``. Nothing that it writes is believed: the job that marks
compares every byte with what the forge says is in the head commit.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

MOST_FILES = 200
MOST_BYTES = 64 << 20
MOST_BYTES_TOGETHER = 256 << 20
ENDINGS = (".ipynb", ".zip")
LINK, SUBMODULE = "120000", "160000"


def git(*arguments: str) -> bytes:
    """What a git command prints."""
    environment = {**os.environ, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    return subprocess.run(["git", *arguments], env=environment, stdout=subprocess.PIPE, check=True).stdout  # noqa: S603, S607


def tree(commit: str) -> dict[str, tuple[str, str, int]]:
    """Path -> (mode, blob, size) of everything in a commit."""
    found = {}
    for line in git("ls-tree", "-r", "-l", "-z", "--full-tree", commit).split(b"\0"):
        if line:
            head, _, path = line.partition(b"\t")
            mode, _, blob, size = head.decode().split()
            found[path.decode("utf-8", "backslashreplace")] = (mode, blob, 0 if size == "-" else int(size))
    return found


def pack(base: str, head: str, to: Path) -> dict[str, object]:
    """Write the new notebooks of ``head`` into ``to``; the manifest."""
    to.mkdir(parents=True, exist_ok=True)
    known = set(tree(base).values())
    packed: dict[str, str] = {}
    left_out: dict[str, str] = {}
    together = 0
    for path, (mode, blob, size) in tree(head).items():
        if not path.lower().endswith(ENDINGS) or (mode, blob, size) in known:
            continue
        if mode in (LINK, SUBMODULE):
            left_out[path] = "a symbolic link" if mode == LINK else "a submodule"
        elif size > MOST_BYTES or together + size > MOST_BYTES_TOGETHER or len(packed) == MOST_FILES:
            left_out[path] = "too large or too many"
        else:
            (to / blob).write_bytes(git("cat-file", "blob", blob))
            packed[path] = blob
            together += size
    manifest: dict[str, object] = {"version": 1, "base": base, "head": head, "files": packed, "left_out": left_out}
    (to / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="ascii")
    return manifest


def main() -> None:
    """Run it as a program."""
    parser = argparse.ArgumentParser(description="Pack the notebooks of a pull request as inert bytes.")
    parser.add_argument("--base", required=True)
    parser.add_argument("--head", required=True)
    parser.add_argument("--to", type=Path, required=True)
    given = parser.parse_args()
    base, head = (
        git("rev-parse", "--verify", "--end-of-options", f"{each}^{{commit}}").decode("ascii").strip()
        for each in (given.base, given.head)
    )
    pack(base, head, given.to)
    sys.stdout.write(f"packed {len(list(given.to.iterdir())) - 1} files of {head[:12]}\n")


if __name__ == "__main__":
    main()
