"""The tests of the sandbox once more, as a user without privileges."""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
USER = "tester"


def closed_folder(path):
    """The uppermost folder on the way to ``path`` that others may not enter; None when all are open."""
    for folder in [*reversed(path.parents), path]:
        if not folder.stat().st_mode & 0o001:
            return folder
    return None


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="already runs as an ordinary user")
@pytest.mark.skipif(shutil.which("runuser") is None or shutil.which("unshare") is None, reason="needs util-linux")
@pytest.mark.parametrize(
    "file",
    [
        "tests/conformance/test_conformance.py",
        "tests/integration/test_sandbox.py",
        "tests/integration/test_gpu_handed_over.py",
    ],
)
def test_the_sandbox_holds_for_an_ordinary_user(file):
    """Without root the same guests are made, in a user namespace, with the same limits and the same walls."""
    try:
        pwd.getpwnam(USER)
    except KeyError:
        pytest.skip(f"there is no user {USER!r} here (useradd --create-home {USER})")
    if closed_folder(REPOSITORY) is not None:
        pytest.skip("the checkout lies where an ordinary user cannot read it")
    prefix = Path(sys.base_prefix)
    closed = closed_folder(prefix.resolve())
    # A Python below a closed home is shown to the user at its own path, in a mount namespace of this test alone.
    show = (
        ""
        if closed is None
        else f"mount --bind {prefix} $aside && mount -t tmpfs -o mode=0755 none {closed} &&"
        f" mkdir -p {prefix} && mount --bind $aside {prefix} &&"
    )
    with tempfile.TemporaryDirectory() as folder:
        aside = Path(folder) / "aside"
        aside.mkdir()
        shutil.chown(folder, USER)
        command = (
            f"aside={aside} && {show} cd {REPOSITORY} && exec runuser -u {USER} -- env HOME={folder}"
            f" PYTHONDONTWRITEBYTECODE=1 TMPDIR={folder} {sys.executable} -m pytest -q -p no:cacheprovider"
            f" {file}"
        )
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", command], capture_output=True, text=True, timeout=1800, check=False
        )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
