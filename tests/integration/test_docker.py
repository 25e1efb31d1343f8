"""The docker sandbox for real: an engine, an image, containers, and what holds in them.

As root the tests start an engine of their own, with its images in the user's cache, so that only the first run builds
one. Otherwise they use the machine's engine, if there is one, and leave out what would hurt it. Most guests run a
small worker that executes lines of Python sent to it, and import no torch: their containers are there in half a
second.
"""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_class import command, grader, hand_in, journal_lines, lay_out, notebook

from grader.errors import SandboxUnavailable
from grader.sandbox import conformance, docker_engine, zygotes
from grader.sandbox.base import ExitCause, Limits
from grader.sandbox.conformance.bench import WORKER, WORKER_FOLDER, ask, end_of, tell
from grader.sandbox.docker import DockerSandbox

pytestmark = pytest.mark.slow

LIMITS = Limits(wall_s=60, cpu_s=30, memory_bytes=128 << 20, processes=24, disk_bytes=8 << 20, inodes=200)
WORKING = {"worker": WORKER, "worker_folder": WORKER_FOLDER}
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "grader"
PLACES = f"{os.environ['PATH']}:/usr/sbin:/sbin"


class Engine:
    """A Docker engine of these tests' own. Its images stay; everything else goes."""

    def __init__(self, folder):
        self.folder = folder
        self.socket = folder / "docker.sock"
        self.process = None

    def start(self):
        """Start it and wait until it answers. Raises SandboxUnavailable when it does not."""
        said = (self.folder / "said").open("ab")
        places = {"data-root": CACHE / "docker", "exec-root": self.folder / "exec", "pidfile": self.folder / "pid"}
        options = [f"--{name}={place}" for name, place in places.items()]
        options += [f"--host=unix://{self.socket}", "--bridge=none", "--iptables=false", "--ip6tables=false"]
        with said:
            self.process = subprocess.Popen(
                ["dockerd", *options], stdout=said, stderr=said, env={**os.environ, "PATH": PLACES}
            )
        deadline = time.monotonic() + 60
        while True:
            try:
                docker_engine.connect().close()
            except SandboxUnavailable:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="module")
def engine():
    """Our own engine; None when the machine's is used."""
    own = os.geteuid() == 0 and shutil.which("dockerd", path=PLACES)
    if not own:
        problem = None
        try:
            docker_engine.connect().close()
        except SandboxUnavailable as error:
            problem = error.what
        if problem is not None:
            pytest.skip(f"{problem}, and none can be started (needs root and dockerd)")
        yield None
        return
    CACHE.mkdir(parents=True, exist_ok=True)
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="grader-docker-") as folder:
        made = Engine(Path(folder))
        patch.setenv("DOCKER_HOST", f"unix://{made.socket}")
        with (CACHE / "docker.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # one engine at a time on these images
            try:
                try:
                    made.start()
                except SandboxUnavailable as error:
                    pytest.skip(f"{error.what}: {(made.folder / 'said').read_text()[-300:]}")
                yield made
            finally:
                made.stop()
                # An engine that was killed has left its folder mounted on itself.
                subprocess.run(["umount", CACHE / "docker"], capture_output=True, check=False)


@pytest.fixture(scope="module")
def image(engine):
    """An image of the present code, built if there is none."""
    client = docker_engine.connect(timeout_s=600)  # removing an old image takes minutes on a busy disk
    try:
        try:
            docker_engine.find_image(client)
        except SandboxUnavailable:
            if shutil.which("mmdebstrap") is None:
                pytest.skip("there is no image, and no mmdebstrap to make one")
            built = grader(Path.cwd(), "image", "build", "--rootfs", "auto")
            assert built.returncode == 0, built.stderr
            if engine is not None:
                client.prune_images({"dangling": True})
    finally:
        client.close()


class Light(DockerSandbox):
    """Containers that import nothing but their worker."""

    def _launch(self):
        launch = super()._launch()
        return replace(launch, settings={**launch.settings, "preload": []})


@pytest.fixture(scope="module")
def sandbox(image):
    os.environ["GRADER_TEST_SECRET"] = "hidden"
    try:
        with Light(**WORKING, limits=LIMITS) as made:
            yield made
    finally:
        del os.environ["GRADER_TEST_SECRET"]


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


def test_a_guest_writes_to_its_own_folders_only(spawn):
    """Everything but /tmp, /dev/shm and the home folder refuses a file; no setuid program is left."""
    written, setuid = ask(
        spawn(),
        """
        import os
        written = []
        for top in ("/", "/usr", "/etc", "/dev", "/home", "/guest", "/guest/grader/guest", "/proc", "/sys", "/wall",
                    "/worker", "/opt/python/lib", "/etc/hosts", "/etc/resolv.conf", "/var", "/run",
                    "/tmp", "/dev/shm", "/home/student"):
            try:
                with open(os.path.join(top, "mark") if os.path.isdir(top) else top, "a"):
                    written.append(top)
            except OSError:
                pass
        setuid = [os.path.join(folder, name) for place in ("/usr", "/opt") for folder, _, names in os.walk(place)
                  for name in names if os.lstat(os.path.join(folder, name)).st_mode & 0o6000]
        out = [written, setuid]
        """,
    )
    assert written == ["/tmp", "/dev/shm", "/home/student"]
    assert setuid == []


def test_a_guest_knows_nothing_of_ours(spawn):
    """No variable of the process that grades is passed on, and the wall is the only descriptor."""
    names, is_leaked, home, folder, held, modules = ask(
        spawn(),
        """
        import importlib.util, os
        held = {}
        for fd in range(64):
            try:
                held[fd] = os.readlink(f"/proc/self/fd/{fd}").partition(":")[0]
            except OSError:
                pass
        names = ("grader.guest.confine", "grader.model", "docker")
        modules = [name for name in names if importlib.util.find_spec(name)]
        out = [sorted(os.environ), b"SECRET" in open("/proc/1/environ", "rb").read(), os.environ["HOME"], os.getcwd(),
               held, modules]
        """,
    )
    assert "GRADER_TEST_SECRET" not in names
    assert not is_leaked
    assert home == folder == "/home/student"
    assert held == {"0": "/dev/null", "1": "/dev/null", "2": "/dev/null", "3": "socket"}
    assert modules == ["grader.guest.confine"]


def test_system_calls_are_filtered(spawn):
    """Our filter stands beside Docker's: namespaces, tracing, keys, io_uring and further filters are refused."""
    from grader.guest.seccomp import ARCHITECTURES

    numbers = ARCHITECTURES[os.uname().machine].numbers
    refused = ("unshare", "mount", "ptrace", "process_vm_readv", "keyctl", "bpf", "perf_event_open", "seccomp")
    missing = ("io_uring_setup", "memfd_create", "shmget")
    answer = ask(
        spawn(),
        f"""
        import ctypes, errno
        libc = ctypes.CDLL(None, use_errno=True)
        out = []
        for number in {[numbers[name] for name in (*refused, *missing)]!r}:
            libc.syscall(ctypes.c_long(number), 0, 0, 0, 0, 0, 0)
            out.append(errno.errorcode[ctypes.get_errno()])
        """,
    )
    assert answer == ["EPERM"] * len(refused) + ["ENOSYS"] * len(missing)


def test_guests_share_nothing(spawn):
    """Files, shared memory and abstract sockets of one guest are not there for another."""
    leave = """
    import socket
    for folder in ("/tmp", "/dev/shm", "/home/student"):
        open(folder + "/note", "w").close()
    channel = socket.socket(socket.AF_UNIX)
    channel.bind("\\0channel")
    channel.listen()
    out = "left"
    """
    look = """
    import os, socket
    out = [folder for folder in ("/tmp", "/dev/shm", "/home/student") if os.listdir(folder)]
    try:
        socket.socket(socket.AF_UNIX).connect("\\0channel")
        out.append("connected")
    except ConnectionRefusedError:
        pass
    """
    first, second = spawn(), spawn()
    assert ask(first, leave) == "left"
    assert ask(second, look) == []


# How far it gets.


def test_too_much_memory_is_out_of_memory(spawn):
    """The limit is on top of what the warm container held, and a guest over it is ended for that."""
    guest = spawn()
    assert ask(guest, "hoard = bytearray(100 << 20)\nout = len(hoard)") == 100 << 20
    assert 100 << 20 <= guest.usage().memory_bytes <= 128 << 20
    assert end_of(guest, "hoard = [bytearray(1 << 20) for _ in range(1000)]").cause is ExitCause.OUT_OF_MEMORY
    assert guest.usage().oom_kills >= 1


def test_a_fork_that_eats_memory_costs_the_fork(spawn):
    """A check runs in a fork of the loaded notebook: the larger process goes, the notebook stays."""
    guest = spawn()
    answer = ask(
        guest,
        """
        import os
        child = os.fork()
        if child == 0:
            with open("/proc/self/oom_score_adj", "w") as score:
                score.write("500")
            hoard = [bytearray(1 << 20) for _ in range(1000)]
        out = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        """,
    )
    assert answer == -signal.SIGKILL
    assert guest.usage().oom_kills >= 1
    assert ask(guest, "out = 'here'") == "here"


def test_time_is_bounded(spawn):
    """CPU time is counted over the tree and from the first byte on; sleeping ends with the wall time."""
    ended = end_of(spawn(cpu_s=1), "import os\nos.fork()\nwhile True: pass")
    assert ended.cause is ExitCause.CPU_TIME
    assert end_of(spawn(wall_s=0.3), "import time; time.sleep(1000)").cause is ExitCause.WALL_TIME


def test_processes_are_bounded_and_all_of_them_die(spawn):
    """Forking stops at the limit, and the kill takes daemons too."""
    guest = spawn()
    answer = ask(
        guest,
        """
        import os, time
        out = 0
        try:
            for _ in range(1000):
                if os.fork() == 0:
                    os.setsid()
                    time.sleep(1000)
                out += 1
        except OSError:
            pass
        """,
    )
    assert 1 <= answer <= 24
    pid = pid_of(guest)
    space = Path(f"/proc/{pid}/ns/pid").readlink()
    assert guest.usage().processes > answer
    assert guest.kill().cause is ExitCause.KILLED
    left = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if folder.name.isdigit() and (folder / "ns/pid").readlink() == space:
                left.append(folder.name)
    assert left == []


def test_the_disk_is_bounded(spawn):
    """All writable folders together take no more than the limits say, in bytes and in files."""
    written, made = ask(
        spawn(),
        """
        written = made = 0
        for folder in ("/home/student", "/tmp", "/dev/shm"):
            try:
                with open(folder + "/big", "wb", buffering=0) as file:
                    while True:
                        written += file.write(bytes(1 << 16))
            except OSError:
                pass
            try:
                for number in range(1000):
                    open(f"{folder}/{number}", "w").close()
                    made += 1
            except OSError:
                pass
        out = [written, made]
        """,
    )
    assert 6 << 20 <= written <= 8 << 20
    assert 100 <= made <= 200


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


def test_ends_are_told_apart(spawn):
    """What a guest does to itself is its own doing, whatever number it chooses."""
    ended = end_of(spawn(), "import os; os._exit(3)")
    assert (ended.cause, ended.code) == (ExitCause.EXITED, 3)
    ended = end_of(spawn(), "import ctypes; ctypes.string_at(0)")
    assert (ended.cause, ended.code) == (ExitCause.SIGNALLED, signal.SIGSEGV)
    ended = end_of(spawn(), "import os; os._exit(137)")
    assert ended.cause is ExitCause.SIGNALLED
    ended = end_of(
        spawn(),
        """
        import resource, time
        used = int(time.process_time()) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (used, used))
        while True: pass
        """,
    )
    assert ended.cause is ExitCause.SIGNALLED


def test_a_container_that_others_kill_is_lost(spawn):
    """``docker kill`` is nothing that a student could be blamed for."""
    guest = spawn()
    with connected() as client:
        client.kill(container_of(guest))
    assert end_of(guest).cause is ExitCause.LOST


def test_kill_and_close_can_be_repeated(spawn):
    """Ending a guest again gives the same answer; its container goes, its figures stay."""
    guest = spawn()
    ask(guest, "sum(range(1_000_000))")
    container = container_of(guest)
    first = guest.kill()
    assert first.cause is ExitCause.KILLED
    assert guest.kill() == guest.poll() == first
    guest.close()
    guest.close()
    assert guest.usage().cpu_s > 0
    assert within(20, lambda: container not in containers())


def test_interrupt_is_a_keyboard_interrupt(spawn):
    """An interrupted cell gets KeyboardInterrupt and the guest lives on."""
    guest = spawn()
    source = "import time\ntry:\n    time.sleep(1000)\nexcept KeyboardInterrupt:\n    out = 'interrupted'"
    tell(guest, source)
    time.sleep(0.2)
    guest.interrupt()
    assert guest.wall.recv(1000) == b'"interrupted"\n'
    assert ask(guest, "out = 1") == 1


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root and setpriv")
def test_without_the_right_to_signal_the_engine_does_it(image):
    """Members of the group docker may not signal nobody's processes: kill and interrupt go over the engine."""
    script = f"""
        import sys, time
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from test_docker import LIMITS, WORKING, ExitCause, Light, ask, is_gone, pid_of, tell
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
    done = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)
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
        labels = [each["Labels"]["grader.owner"] for each in client.containers(all=True)]
    assert [label for label in labels if label.startswith(f"{pool}-")] == []


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
        _, said = process.communicate(timeout=120)
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


def test_torch_is_warm(image):
    """And what is said of torch is true where it is imported."""
    (result,) = conformance.run(DockerSandbox, only=[WARM])
    assert (str(result.outcome), result.why) == ("passed", "")
