"""The docker sandbox for real: an engine, an image, containers, and what holds in them.

As root the tests start an engine of their own, with its images in the user's cache, so that only the first run builds
one. Otherwise they use the machine's engine, if there is one, and leave out what would hurt it. Most guests run a
small worker that executes lines of Python sent to it, and import no torch: their containers are there in half a
second.
"""

import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import docker.errors
import pytest
from own_engine import can_be_started, own_engine, with_image
from tiny_class import HANGS_S, command, grader, hand_in, journal_lines, lay_out, notebook

from grader.errors import SandboxUnavailable
from grader.sandbox import conformance, docker_engine, zygotes
from grader.sandbox.base import ExitCause, Limits
from grader.sandbox.conformance.bench import WORKER, WORKER_FOLDER, ask, end_of
from grader.sandbox.docker import DockerSandbox
from grader.sandbox.gpus import Gpu

pytestmark = pytest.mark.slow
REPOSITORY = Path(__file__).resolve().parents[2]

LIMITS = Limits(wall_s=60, cpu_s=30, memory_bytes=128 << 20, processes=24, disk_bytes=8 << 20, inodes=200)
WORKING = {"worker": WORKER, "worker_folder": WORKER_FOLDER}


@pytest.fixture(scope="module")
def engine():
    """Our own engine; None when the machine's is used."""
    if not can_be_started():
        problem = None
        try:
            docker_engine.connect().close()
        except SandboxUnavailable as error:
            problem = error.what
        if problem is not None:
            pytest.skip(f"{problem}, and none can be started (needs root and dockerd)")
        yield None
        return
    with contextlib.ExitStack() as stack:
        try:
            made = stack.enter_context(own_engine())
        except SandboxUnavailable as error:
            pytest.skip(str(error))
        yield made


@pytest.fixture(scope="module")
def image(engine):
    """An image of the present code, built if there is none."""
    client = docker_engine.connect(timeout_s=600)  # removing an old image takes minutes on a busy disk
    with contextlib.closing(client):
        try:
            docker_engine.find_image(client)
        except SandboxUnavailable:
            if shutil.which("mmdebstrap") is None:
                pytest.skip("there is no image, and no mmdebstrap to make one")
            with_image()
            if engine is not None:
                client.prune_images({"dangling": True})


class Light(DockerSandbox):
    """Containers that import nothing but their worker."""

    def _launch(self):
        launch = super()._launch()
        return replace(launch, settings={**launch.settings, "preload": []})


@pytest.fixture(scope="module")
def sandbox(image):
    with Light(**WORKING, limits=LIMITS) as made:
        yield made


@pytest.fixture
def spawn(sandbox):
    """Spawn guests that are closed at the end."""
    with contextlib.ExitStack() as stack:

        def make(**changes):
            guest = sandbox.spawn(replace(LIMITS, **changes))
            stack.callback(guest.close)
            return guest

        yield make


def pid_of(guest):
    return zygotes.pid_of(guest._pidfd)


def is_gone(pid):
    return within(20, lambda: not Path(f"/proc/{pid}").exists())


def within(seconds, what):
    """Whether something comes to be in time."""
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def connected():
    return contextlib.closing(docker_engine.connect())


def containers():
    """Ids of all containers of ours, running or not."""
    with connected() as client:
        return {each["Id"] for each in client.containers(all=True, filters={"label": "grader.owner"})}


def container_of(guest):
    lines = Path(f"/proc/{pid_of(guest)}/cgroup").read_text().splitlines()
    return next(each for each in containers() if any(each in line for line in lines))


# Marks.


def test_a_class_gets_the_marks_that_it_gets_with_bubblewrap(image, tmp_path):
    """Right, wrong and hostile notebooks get the same verdicts in containers as in the embedded sandbox."""
    course = lay_out(tmp_path)
    hand_in(course, "right", notebook())
    hand_in(course, "wrong", notebook(scale="def scale(x, factor):\n    return x"))
    hand_in(course, "hostile", notebook(first="import os\nos._exit(1)", total="def total(x):\n    os._exit(0)"))
    marks = {}
    for name in ("docker", "bubblewrap"):
        done = grader(course, "grade", "tiny", "--sandbox", name, "--seed", "1", "--workers", "2")
        assert done.returncode == 0, done.stderr
        records = journal_lines(course)
        assert {record["sandbox"] for record in records} == {name}
        marks[name] = {
            record["submission"]["student"]: (
                record["status"],
                record["score"],
                [(check["check"]["id"], check["verdict"]) for check in record["checks"]],
            )
            for record in records
        }
        shutil.rmtree(course / "journal")
    assert marks["docker"] == marks["bubblewrap"]
    assert marks["docker"]["right"][:2] == ("final", 9.0)
    assert marks["docker"]["wrong"][1] < 9.0
    assert within(20, lambda: containers() == set())


def test_attackers_gain_nothing_in_containers_either(image):
    """Every attack of the list in its first form, through the command; docs/security.md says how to run all forms."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/attacks/test_museum.py"],
        cwd=REPOSITORY,
        env={**os.environ, "MUSEUM_SANDBOX": "docker", "MUSEUM_FORMS": "first"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:]
    assert " passed" in done.stdout


def test_doctor_says_what_holds(image, tmp_path):
    """Each protection is there with what enforces it."""
    done = grader(tmp_path, "doctor", "--sandbox", "docker", "--json")
    assert done.returncode == 0, done.stderr
    found = {line["id"]: line for line in json.loads(done.stdout)["capabilities"]}
    assert not found.pop("gpu")["holds"]
    assert [name for name, line in found.items() if not line["holds"]] == []
    assert found["sandbox"]["how"].startswith("Docker ")
    assert found["memory"]["how"].startswith("cgroup v")


# What it can reach.


def test_a_guest_is_nobody_without_privileges(spawn):
    """It has no capability and cannot gain one, sits behind a filter, and is nobody on the host as well."""
    guest = spawn()
    answer = ask(
        guest,
        """
        import os
        fields = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
        out = [os.getresuid(), os.getresgid(), os.getgroups(), sorted({int(fields[name], 16) for name in
               ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}), fields["NoNewPrivs"].strip(),
               fields["Seccomp"].strip(), os.uname().nodename, os.getpid(), os.getppid()]
        """,
    )
    groups = answer.pop(2)
    assert set(groups) <= {65534}
    assert answer == [[65534] * 3, [65534] * 3, [0], "1", "2", "sandbox", 1, 0]
    assert Path(f"/proc/{pid_of(guest)}").stat().st_uid == 65534


def test_a_guest_has_no_network_and_no_files_of_ours(spawn):
    """There is a loopback alone; of the host there are two read-only folders, and the socket in one is gone."""
    interfaces, errors, there, mounted, wall = ask(
        spawn(),
        f"""
        import errno, os, socket
        errors = []
        for family, address in ((socket.AF_INET, ("192.0.2.1", 80)), (socket.AF_INET6, ("2001:db8::1", 80))):
            try:
                socket.socket(family).connect(address)
                errors.append("connected")
            except OSError as error:
                errors.append(errno.errorcode[error.errno])
        paths = {[str(Path(__file__)), str(Path(sys.prefix)), str(Path.home() / ".bashrc"), "/var/run/docker.sock"]!r}
        out = [[line.split(":")[0].strip() for line in open("/proc/net/dev").readlines()[2:]], errors,
               [path for path in paths if os.path.lexists(path)],
               [line.split()[4:6] for line in open("/proc/self/mountinfo") if line.split()[4] in ("/wall", "/worker")],
               os.listdir("/wall")]
        """,
    )
    assert interfaces == ["lo"]
    assert set(errors) <= {"ENETUNREACH", "EADDRNOTAVAIL", "EAFNOSUPPORT"}
    assert there == wall == []
    assert {place: options.split(",")[0] for place, options in mounted} == {"/wall": "ro", "/worker": "ro"}


# How far it gets.


def test_other_limits_get_another_container(spawn):
    """A guest with other limits than the containers at the ready waits for one that is made for it."""
    answer = ask(
        spawn(disk_bytes=4 << 20, open_files=32),
        """
        import os, resource
        place = os.statvfs("/home")
        out = [place.f_blocks * place.f_frsize, resource.getrlimit(resource.RLIMIT_NOFILE)]
        """,
    )
    assert answer == [3 << 20, [32, 32]]


# How it ends.


def test_a_container_that_others_kill_is_lost(spawn):
    """``docker kill`` is nothing that a student could be blamed for."""
    guest = spawn()
    with connected() as client:
        client.kill(container_of(guest))
    assert end_of(guest).cause is ExitCause.LOST


def test_what_a_killed_guest_used_is_known_though_it_is_gone_first(spawn, monkeypatch):
    """The engine may have removed the control group of a dead container before we hear of its end."""
    guest = spawn()
    ask(guest, "sum(range(1_000_000))")
    receive, groups = guest._channel.receive, f"*{container_of(guest)}*"

    def late(timeout_s):
        if (received := receive(timeout_s)) is not None:
            within(20, lambda: not any(Path("/sys/fs/cgroup").rglob(groups)))
        return received

    monkeypatch.setattr(guest, "_channel", SimpleNamespace(receive=late, socket=guest._channel.socket))
    assert guest.kill().cause is ExitCause.KILLED
    assert guest.usage().cpu_s > 0


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root and setpriv")
def test_without_the_right_to_signal_the_engine_does_it(image):
    """Members of the group docker may not signal nobody's processes: kill and interrupt go over the engine."""
    script = f"""
        import sys, time
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from grader.sandbox.conformance.bench import tell
        from test_docker import LIMITS, WORKING, ExitCause, Light, ask, is_gone, pid_of
        with Light(**WORKING, limits=LIMITS, warm=1) as sandbox:
            guest = sandbox.spawn(LIMITS)
            tell(guest, "import time\\ntry: time.sleep(100)\\nexcept KeyboardInterrupt: out = 'interrupted'")
            time.sleep(0.2)
            guest.interrupt()
            assert guest.wall.recv(1000) == b'"interrupted"\\n'
            pid = pid_of(guest)
            assert guest.kill().cause is ExitCause.KILLED
            assert is_gone(pid)
            guest.close()
        print("held")
        """
    no_kill = ["setpriv", "--bounding-set", "-kill", "--inh-caps", "-kill"]
    line = [*no_kill, sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=HANGS_S, check=False)
    assert done.stdout == "held\n", done.stderr


# What is left of it.


def test_a_killed_asker_leaves_no_container(sandbox):
    """kill -9 of a forked grading process ends and removes its container; others live on."""
    other = sandbox.spawn(LIMITS)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            guest = sandbox.spawn(LIMITS)
            ask(guest, "out = 1")
            os.write(writer, f"{pid_of(guest)} {container_of(guest)}".encode())
            time.sleep(60)
        finally:
            os._exit(1)
    os.close(writer)
    pid, container = os.read(reader, 1000).decode().split()
    os.close(reader)
    assert container in containers()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert is_gone(pid)
    assert within(20, lambda: container not in containers())
    assert ask(other, "out = 1") == 1
    other.close()


def test_what_a_killed_run_left_goes_at_the_next_start(image):
    """When grader and pool are killed at once, their containers and folders stay until the next run begins."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            sandbox = Light(**WORKING, limits=LIMITS, warm=1)
            sandbox.start()
            guest = sandbox.spawn(LIMITS)
            ask(guest, "out = 1")
            zygote = sandbox._zygote
            os.write(writer, f"{zygote._process.pid} {zygote.folder} {container_of(guest)}".encode())
            time.sleep(60)
        finally:
            os._exit(1)
    os.close(writer)
    pool, folder, container = os.read(reader, 1000).decode().split()
    os.close(reader)
    os.kill(int(pool), signal.SIGSTOP)  # so that it cannot clear up
    os.kill(child, signal.SIGKILL)
    os.kill(int(pool), signal.SIGKILL)
    os.waitpid(child, 0)
    assert is_gone(pool)
    assert container in containers()
    with Light(**WORKING, limits=LIMITS, warm=1):
        assert container not in containers()
        assert not Path(folder).exists()


def test_a_pool_that_is_closed_leaves_nothing(image):
    """The end of a run removes containers in use and at the ready."""
    with Light(**WORKING, limits=LIMITS) as sandbox:
        before = containers()
        guest = sandbox.spawn(LIMITS)
        ours = {container_of(guest)}
        pool = sandbox._zygote._process.pid
        assert ours <= before
    with connected() as client:
        left = client.containers(all=True, filters={"label": "grader.owner"})  # others' containers have no such label
    assert [each for each in left if each["Labels"]["grader.owner"].startswith(f"{pool}-")] == []


# Without what it needs.


def test_without_an_image_it_says_how_to_build_one(engine, image):
    """No image, and an image of other code, are refused before anything runs."""
    with pytest.raises(SandboxUnavailable, match="there is no image nobody:none") as caught:
        DockerSandbox(image="nobody:none").start()
    assert "grader image build" in str(caught.value)
    with connected() as client:
        base = next(tag for each in client.images("grader-base") for tag in each["RepoTags"])
        client.tag(base, "grader-test", "old")
        try:
            with pytest.raises(SandboxUnavailable, match="is outdated"):
                DockerSandbox(image="grader-test:old").start()
        finally:
            client.remove_image("grader-test:old")


def test_a_base_that_cannot_be_had_is_told(image, tmp_path):
    """Without a registry the error says how to do without; two bases are one too many."""
    done = grader(tmp_path, "image", "build", "--base", "localhost:1/none:none")
    assert done.returncode == 5
    assert "the base image localhost:1/none:none cannot be fetched" in done.stderr
    assert "--rootfs auto" in done.stderr
    done = grader(tmp_path, "image", "build", "--base", "python", "--rootfs", "auto")
    assert done.returncode == 2
    assert "exclude each other" in done.stderr


def test_a_worker_that_cannot_be_imported_is_told_at_the_start(image):
    """The error carries what Python said inside."""
    with pytest.raises(SandboxUnavailable, match="No module named 'no_such_worker'"):
        Light(worker="no_such_worker", worker_folder=WORKER_FOLDER, limits=LIMITS, warm=1).start()


def test_an_engine_that_dies_costs_nobody_a_mark(engine, image, sandbox, tmp_path):
    """When the engine is killed in the middle the run stops and says so; nobody gets marks for that."""
    if engine is None:
        pytest.skip("only with an engine of our own")
    sandbox.close()
    course = lay_out(tmp_path)
    for number in range(12):
        hand_in(course, f"student{number:02}", notebook(first=f"import time\ntime.sleep(0.5)  # {number}"))
    process = subprocess.Popen(
        command("grade", "tiny", "--sandbox", "docker", "--workers", "2"),
        cwd=course,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": ""},
    )
    try:
        assert within(120, lambda: process.poll() is not None or journal_lines(course)), "nobody was marked"
        engine.stop(signal.SIGKILL)
        _, said = process.communicate(timeout=HANGS_S)
    finally:
        process.kill()
        process.wait()
        engine.start()
    assert process.returncode == 5, said
    assert "Docker" in said
    records = journal_lines(course)
    assert 0 < len(records) < 12
    assert {record["score"] for record in records} <= {9.0, None}


WARM = "torch_is_there_and_warm"


@pytest.fixture(scope="module")
def bench(image):
    with conformance.Bench(Light) as made:
        yield made


@pytest.mark.parametrize("case", [case for case in conformance.CASES if case.name != WARM], ids=str)
def test_the_backend_conforms(case, bench):
    """What is true of every sandbox is true of containers."""
    case.check(bench)


@pytest.fixture(scope="module")
def other_bench(engine, image):
    """Guests of another runtime than the engine's usual one: crun, where it can run, or the usual one by its name."""
    if engine is None:
        pytest.skip("only with an engine of our own")
    with contextlib.closing(docker_engine.connect(timeout_s=60)) as client:
        runtime = "crun" if runs(client, "crun") else "usual-by-name"
    with conformance.Bench(functools.partial(Light, runtime=runtime)) as made:
        yield made


def runs(client, runtime):
    """Whether the engine can run anything at all with this runtime. (Crun refuses some machines' control groups.)"""
    try:
        made = client.create_container(
            docker_engine.find_image(client),
            entrypoint=["/usr/bin/env"],
            host_config=client.create_host_config(network_mode="none", runtime=runtime),
        )
    except docker.errors.APIError:
        return False
    try:
        client.start(made)
        return client.wait(made)["StatusCode"] == 0
    except docker.errors.APIError:
        return False
    finally:
        client.remove_container(made, force=True)


ELSEWHERE = ("only_its_own_processes", "no_privileges", "forbidden_system_calls_are_refused",
             "a_memory_bomb_is_out_of_memory", "a_busy_loop_is_out_of_cpu_time", "sleeping_ends_with_the_wall_time",
             "a_fork_bomb_is_bounded", "the_disk_is_bounded", "an_end_cannot_be_passed_off_as_ours",
             "usage_is_what_was_used", "a_daemon_dies_with_its_guest", "a_killed_run_leaves_nothing")  # fmt: skip
"""Cases whose answer rests on the runtime."""


@pytest.mark.parametrize("case", [case for case in conformance.CASES if case.name in ELSEWHERE], ids=str)
def test_another_runtime_conforms(case, other_bench):
    """Limits and privileges are the same in containers of another runtime."""
    case.check(other_bench)


def test_a_runtime_that_the_engine_does_not_know_is_told(image):
    with pytest.raises(SandboxUnavailable, match=r"(?i)unknown.*runtime.*no-such"):
        DockerSandbox(**WORKING, limits=LIMITS, runtime="no-such").start()


def test_a_gpu_is_requested_from_the_engine(engine, image):
    """The engine asks NVIDIA's hook for the one GPU, for computing; the guest knows it as the first and only one.

    The hook is a stand-in that writes down what it is asked for: there need not be a GPU.
    """
    if engine is None:
        pytest.skip("only with an engine of our own")
    engine.handed_over.unlink(missing_ok=True)
    gpu = Gpu(visible="GPU-8a1f", nodes=(), name="a stand-in")
    with Light(**WORKING, limits=LIMITS, gpu=gpu) as made:
        (line,) = [each for each in made.capabilities() if each.id == "gpu"]
        guest = made.spawn(LIMITS)
        assert ask(guest, "import os\nout = os.environ['CUDA_VISIBLE_DEVICES']") == "0"
        guest.close()
    assert line.holds
    asked = dict(word.split("=", 1) for word in json.loads(engine.handed_over.read_text())["process"]["env"])
    assert asked["NVIDIA_VISIBLE_DEVICES"] == "GPU-8a1f"
    assert set(asked["NVIDIA_DRIVER_CAPABILITIES"].split(",")) == {"compute", "utility"}


def test_torch_is_warm(image):
    """And what is said of torch is true where it is imported."""
    (result,) = conformance.run(DockerSandbox, only=[WARM])
    assert (str(result.outcome), result.why) == ("passed", "")
