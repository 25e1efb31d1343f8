"""Which sandbox a run gets, and what ``--sandbox none`` still does."""

import json
import os
import signal
import socket
import time
from pathlib import Path

import pytest

from grader.errors import SandboxUnavailable, UsageError
from grader.sandbox import bubblewrap
from grader.sandbox.base import ExitCause, Limits
from grader.sandbox.bubblewrap import BubblewrapSandbox
from grader.sandbox.docker import DockerSandbox
from grader.sandbox.select import select
from grader.sandbox.unsandboxed import UnsandboxedSandbox

LIMITS = Limits(wall_s=60, cpu_s=30, memory_bytes=256 << 20, processes=24)

WORKER = '''
import json

def serve(wall, limits):
    """Execute one line of source and answer with what it left in ``out``; for ever."""
    for line in wall.makefile("rb"):
        names = {}
        exec(json.loads(line), names)
        wall.sendall(json.dumps(names.get("out")).encode() + b"\\n")
'''


@pytest.fixture
def fresh_probe():
    bubblewrap.obstacle.cache_clear()
    yield
    bubblewrap.obstacle.cache_clear()


@pytest.fixture(scope="module")
def unsandboxed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("worker")
    (folder / "line_worker.py").write_text(WORKER)
    os.environ["GRADER_TEST_SECRET"] = "hidden"
    try:
        with UnsandboxedSandbox(worker="line_worker", worker_folder=folder) as made:
            yield made
    finally:
        del os.environ["GRADER_TEST_SECRET"]


def ask(guest, source):
    guest.wall.sendall(json.dumps(source).encode() + b"\n")
    return json.loads(guest.wall.makefile("rb").readline())


def end_of(guest, source):
    guest.wall.sendall(json.dumps(source).encode() + b"\n")
    deadline = time.monotonic() + 60
    while (ended := guest.poll()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    guest.close()
    return ended.cause


@pytest.mark.skipif(bubblewrap.obstacle() is not None, reason="no bubblewrap sandbox here")
def test_auto_is_bubblewrap_where_it_works():
    """Without a name the embedded sandbox is taken, with the modules that were asked for."""
    sandbox = select(preload=["matplotlib.pyplot"])
    assert isinstance(sandbox, BubblewrapSandbox)
    assert sandbox.name == "bubblewrap"


@pytest.mark.parametrize("name", ["auto", "bubblewrap"])
def test_a_machine_without_bubblewrap_is_told_how_to_get_it(name, monkeypatch, tmp_path, fresh_probe):
    """Where bubblewrap is missing grading stops with a remedy; it never goes on unsandboxed."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxUnavailable) as caught:
        select(name)
    assert "bubblewrap is not installed" in str(caught.value)
    assert "apt install bubblewrap" in str(caught.value)
    with pytest.raises(SandboxUnavailable, match="bubblewrap is not installed"):
        BubblewrapSandbox().start()
    (line, _) = BubblewrapSandbox().capabilities()
    assert not line.holds
    assert line.remedy is not None


def test_a_kernel_that_refuses_is_told(monkeypatch, tmp_path, fresh_probe):
    """A bubblewrap that cannot make its namespaces is an obstacle, in its own words."""
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(SandboxUnavailable, match="No permissions to create new namespace"):
        select()


def test_a_machine_without_docker_is_told_how_to_get_it(monkeypatch, tmp_path):
    """Without an engine marking stops with a remedy, and doctor says the same."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    with pytest.raises(SandboxUnavailable, match="no Docker engine runs here") as caught:
        select("docker")
    assert "apt install docker.io" in str(caught.value)
    with pytest.raises(SandboxUnavailable, match="no Docker engine runs here"):
        DockerSandbox().start()
    (line,) = DockerSandbox().capabilities()
    assert (line.id, line.holds) == ("sandbox", False)
    assert line.remedy is not None


def test_an_engine_on_another_machine_is_refused(monkeypatch):
    """Guests are watched from the machine that they run on."""
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2376")
    with pytest.raises(SandboxUnavailable, match="is not on this machine"):
        select("docker")


def test_an_engine_that_does_not_answer_is_told(monkeypatch, tmp_path):
    """A socket that nobody listens on is no engine."""
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    with pytest.raises(SandboxUnavailable, match="does not answer"):
        select("docker")


def test_an_unknown_name_lists_the_known():
    """A wrong name is a mistake in the command, not in the machine."""
    with pytest.raises(UsageError, match="auto, bubblewrap, docker, none"):
        select("jail")


def test_none_must_be_asked_for_and_says_what_it_lacks():
    """The unsandboxed backend is chosen by name only and admits that no wall holds."""
    sandbox = select("none")
    assert sandbox.name == "none"
    lines = {line.id: line.holds for line in sandbox.capabilities()}
    assert not any(lines[name] for name in ("sandbox", "filesystem", "network", "privileges", "seccomp"))


def test_unsandboxed_guests_answer_and_share_no_environment(unsandboxed):
    """A guest is warm, sits in a folder of its own run, and has none of our variables."""
    guest = unsandboxed.spawn(LIMITS)
    source = "import os, sys; out = ['torch' in sys.modules, 'GRADER_TEST_SECRET' in os.environ, os.getcwd()]"
    is_warm, is_leaked, folder = ask(guest, source)
    assert is_warm
    assert not is_leaked
    assert Path(folder).name == "home"
    guest.close()


def test_unsandboxed_limits_hold(unsandboxed):
    """Memory, CPU time, wall time and ends by the guest itself are told apart as in a sandbox."""
    hoard = "hoard = []\nwhile True: hoard.append(bytearray(1 << 20))"
    spawn = unsandboxed.spawn
    assert end_of(spawn(Limits(memory_bytes=128 << 20)), hoard) is ExitCause.OUT_OF_MEMORY
    assert end_of(spawn(Limits(cpu_s=0.5)), "while True: pass") is ExitCause.CPU_TIME
    assert end_of(spawn(Limits(wall_s=0.3)), "import time; time.sleep(1000)") is ExitCause.WALL_TIME
    assert end_of(spawn(LIMITS), "import os; os._exit(3)") is ExitCause.EXITED
    assert end_of(spawn(LIMITS), f"import os; os.kill(os.getpid(), {signal.SIGSEGV:d})") is ExitCause.SIGNALLED


def test_unsandboxed_daemons_die_with_their_guest(unsandboxed):
    """Even a process in a session of its own is found by its keeper and killed."""
    guest = unsandboxed.spawn(LIMITS)
    source = """
import os, time
reader, writer = os.pipe()
if os.fork() == 0:
    os.setsid()
    child = os.fork()
    if child == 0:
        time.sleep(1000)
    os.write(writer, str(child).encode())
    os._exit(0)
os.wait()
out = int(os.read(reader, 20))
"""
    daemon = ask(guest, source)
    assert Path(f"/proc/{daemon}").exists()
    assert guest.kill().cause is ExitCause.KILLED
    assert not Path(f"/proc/{daemon}").exists()
    guest.close()
