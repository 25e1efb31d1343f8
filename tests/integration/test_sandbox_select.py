"""Which sandbox a run gets. What each then does is tried in ``tests/conformance``."""

import socket

import pytest

from grader.errors import SandboxUnavailable, UsageError
from grader.sandbox import bubblewrap
from grader.sandbox.bubblewrap import BubblewrapSandbox
from grader.sandbox.docker import DockerSandbox
from grader.sandbox.select import select


@pytest.fixture
def fresh_probe():
    bubblewrap.obstacle.cache_clear()
    yield
    bubblewrap.obstacle.cache_clear()


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
    (line, _) = DockerSandbox().capabilities()
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
