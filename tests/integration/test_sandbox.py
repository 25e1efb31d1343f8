"""The bubblewrap sandbox for real: what a guest can reach, how far it gets, and what is left of it.

Everything runs twice: with control groups where this machine gives them, and with the watch over /proc alone. The
worker here is a small one that executes lines of Python sent to it, so that each test says what the hostile code does.
``test_sandbox_ordinary_user.py`` runs this file again without root.
"""

import contextlib
import json
import os
import platform
import select
import signal
import textwrap
import time
from pathlib import Path

import pytest

from grader.errors import SandboxUnavailable
from grader.guest.seccomp import ARCHITECTURES
from grader.sandbox import cgroups
from grader.sandbox.base import ExitCause, Limits
from grader.sandbox.bubblewrap import BubblewrapSandbox, obstacle

pytestmark = pytest.mark.skipif(obstacle() is not None, reason=f"no bubblewrap sandbox here: {obstacle()}")

REPOSITORY = Path(__file__).resolve().parents[2]
LIMITS = Limits(wall_s=60, cpu_s=30, memory_bytes=256 << 20, processes=24, disk_bytes=8 << 20, inodes=200)

WORKER = '''
import json

def serve(wall, limits):
    """Execute each line, a JSON string of source, and answer with what it left in ``out``."""
    names = {}
    with wall.makefile("rb") as lines:
        for line in lines:
            names["out"] = None
            try:
                exec(json.loads(line), names)
                answer = names["out"]
            except BaseException as error:
                if isinstance(error, SystemExit):
                    raise
                answer = f"{type(error).__name__}: {error}"
            wall.sendall(json.dumps(answer).encode() + b"\\n")
'''


def ask(guest, source, timeout=60):
    """What the guest answers to ``source``; the host polls meanwhile, as it must."""
    tell(guest, source)
    received = b""
    deadline = time.monotonic() + timeout
    while not received.endswith(b"\n"):
        assert time.monotonic() < deadline, "no answer"
        ended = guest.poll()
        ready, _, _ = select.select([guest.wall], [], [], 0.02)
        if ready:
            part = guest.wall.recv(1 << 16)
            if not part:
                return guest.kill()
            received += part
        elif ended is not None:
            return ended
    return json.loads(received)


def tell(guest, source):
    guest.wall.sendall(json.dumps(textwrap.dedent(source)).encode() + b"\n")


def end_of(guest, source="pass", timeout=60):
    """How the guest ends by ``source``, when nobody but the limits stops it."""
    tell(guest, source)
    deadline = time.monotonic() + timeout
    while (ended := guest.poll()) is None:
        assert time.monotonic() < deadline, f"it lives: {guest.usage()}"
        time.sleep(0.005)
    return ended


def processes_of(guest_pid):
    """Host pids of everything in the guest's pid namespace."""
    space = str(Path(f"/proc/{guest_pid}/ns/pid").readlink())
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if folder.name.isdigit() and str((folder / "ns/pid").readlink()) == space:
                found.append(int(folder.name))
    return found


def pid_of(guest):
    return int(Path(f"/proc/self/fdinfo/{guest._pidfd}").read_text().split("Pid:")[1].split()[0])


def is_gone(pid):
    """Whether a process is gone or will be in a moment."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":  # ended; its parent has yet to look
            return True
        time.sleep(0.01)
    return False


@pytest.fixture(scope="module")
def worker_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("worker")
    (folder / "line_worker.py").write_text(WORKER)
    folder.chmod(0o755)
    return folder


@pytest.fixture(scope="module", params=["groups", "watch"])
def sandbox(request, worker_folder):
    if request.param == "groups" and cgroups.find() is None:
        pytest.skip("no control groups can be had here")
    os.environ["GRADER_TEST_SECRET"] = "hidden"
    try:
        made = BubblewrapSandbox(
            worker="line_worker", worker_folder=worker_folder, use_cgroups=request.param == "groups"
        )
        with made:
            yield made
    finally:
        del os.environ["GRADER_TEST_SECRET"]


@pytest.fixture
def spawn(sandbox):
    """Spawn guests that are closed at the end."""
    with contextlib.ExitStack() as stack:

        def make(**changes):
            guest = sandbox.spawn(Limits(**{**{k: getattr(LIMITS, k) for k in LIMITS.__slots__}, **changes}))
            stack.callback(guest.close)
            return guest

        yield make


# What it can reach.


def test_torch_is_there_and_warm(spawn):
    """A guest answers with torch imported, one thread, and a gradient that flows."""
    guest = spawn()
    answer = ask(
        guest,
        """
        import os, sys
        warm = "torch" in sys.modules and "IPython.core.interactiveshell" in sys.modules
        import torch
        x = torch.ones(3, requires_grad=True)
        x.softmax(0)[0].backward()
        out = [warm, torch.get_num_threads(), len(os.listdir("/proc/self/task")), round(x.grad.sum().item(), 6)]
        """,
    )
    assert answer == [True, 1, 1, 0.0]
    assert guest.poll() is None


def test_no_network(spawn):
    """There is no interface but a loopback that is down, and nothing can be connected to."""
    answer = ask(
        spawn(),
        """
        import errno, socket
        out = [[line.split(":")[0].strip() for line in open("/proc/net/dev").readlines()[2:]]]
        for family, address in ((socket.AF_INET, ("192.0.2.1", 80)), (socket.AF_INET6, ("2001:db8::1", 80)),
                                (socket.AF_INET, ("127.0.0.1", 80))):
            try:
                socket.socket(family).connect(address)
                out.append("connected")
            except OSError as error:
                out.append(errno.errorcode[error.errno])
        """,
    )
    interfaces, *errors = answer
    assert interfaces == ["lo"]
    assert set(errors) <= {"ENETUNREACH", "EADDRNOTAVAIL", "EAFNOSUPPORT"}


def test_no_files_of_the_host(spawn):
    """Neither the checkout, nor home folders, nor /etc, /var, /run or /sys can be seen."""
    paths = [str(REPOSITORY / name) for name in ("pyproject.toml", "solutions", "tests", ".git", "grader/model.py")]
    paths += [str(Path.home() / ".bashrc"), str(Path.home() / ".pyenv/version"), "/etc/shadow", "/etc/hostname"]
    paths += ["/var", "/run", "/sys", "/boot", "/mnt", "/srv", "/etc/ssh", "/guest/grader/model.py"]
    answer = ask(spawn(), f"import os; out = [path for path in {paths!r} if os.path.lexists(path)]")
    assert answer == []


def test_only_our_guest_package_is_importable(spawn):
    """Of the grader a guest can import what runs in guests, and nothing else."""
    answer = ask(
        spawn(),
        """
        import importlib, os
        out = [os.listdir("/guest"), os.listdir("/guest/grader")]
        for name in ("grader.guest.confine", "grader.model", "grader.sandbox.bubblewrap", "grader.errors"):
            try:
                importlib.import_module(name)
                out.append("there")
            except ImportError:
                out.append("missing")
        """,
    )
    assert answer == [["grader"], ["guest"], "there", "missing", "missing", "missing"]


def test_no_environment_of_the_host(spawn):
    """Variables of the process that grades are not passed on, not even through /proc."""
    answer = ask(
        spawn(),
        """
        import os
        out = [sorted(os.environ), b"SECRET" in open("/proc/1/environ", "rb").read(), os.environ["HOME"], os.getcwd()]
        """,
    )
    names, is_leaked, home, folder = answer
    assert "GRADER_TEST_SECRET" not in names
    assert not is_leaked
    assert home == folder == "/home/student"


def test_only_its_own_processes(spawn):
    """/proc lists the guest's processes only, and a signal to everyone reaches nobody else."""
    first, second = spawn(), spawn()
    answer = ask(
        first,
        """
        import os, signal
        out = [os.getpid(), os.getppid(), [int(name) for name in os.listdir("/proc") if name.isdigit()]]
        try:
            os.kill(-1, signal.SIGKILL)
        except ProcessLookupError:
            pass
        """,
    )
    assert answer == [1, 0, [1]]
    assert ask(second, "out = 1") == 1
    assert ask(spawn(), "out = 2") == 2


def test_the_wall_is_the_only_descriptor(spawn):
    """A guest holds /dev/null three times and its end of the wall, nothing of the host's."""
    answer = ask(
        spawn(),
        """
        import os
        out = {}
        for fd in range(64):
            try:
                out[fd] = os.readlink(f"/proc/self/fd/{fd}")
            except OSError:
                pass
        """,
    )
    assert {fd: kind.partition(":")[0] for fd, kind in answer.items()} == {
        **{str(fd): "/dev/null" for fd in range(3)},
        "3": "socket",
    }


def test_nothing_can_be_written_but_its_own_folders(spawn):
    """Every folder but /tmp, /dev/shm and the home folder refuses a file."""
    answer = ask(
        spawn(),
        """
        import os, sys
        out = []
        for top in ("/", "/usr", "/usr/lib", "/etc", "/dev", "/home", "/guest", "/guest/grader/guest", "/proc",
                    "/worker", sys.prefix, sys.base_prefix, os.path.dirname(os.__file__),
                    os.path.dirname(sys.modules["torch"].__file__), "/tmp", "/dev/shm", "/home/student"):
            try:
                with open(os.path.join(top, "mark"), "w"):
                    out.append(top)
            except OSError:
                pass
        """,
    )
    assert answer == ["/tmp", "/dev/shm", "/home/student"]


def test_no_privileges(spawn):
    """A guest is an ordinary user without capabilities, cannot gain any, and sits behind the filter."""
    guest = spawn()
    answer = ask(
        guest,
        """
        import os
        fields = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
        out = [os.getresuid(), os.getresgid(), sorted({int(fields[name], 16) for name in
               ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}), fields["NoNewPrivs"].strip(),
               fields["Seccomp"].strip(), os.uname().nodename]
        """,
    )
    assert answer == [[1000] * 3, [1000] * 3, [0], "1", "2", "sandbox"]
    outside = Path(f"/proc/{pid_of(guest)}").stat().st_uid
    assert outside == (65534 if os.geteuid() == 0 else os.geteuid())


def test_becoming_root_fails(spawn):
    """setuid, and programs with the setuid bit, change nothing."""
    answer = ask(
        spawn(),
        """
        import os, subprocess
        out = []
        for change in (os.setuid, os.setgid):
            try:
                change(0)
                out.append("changed")
            except OSError:
                out.append("refused")
        for program in ("/usr/bin/su", "/usr/bin/sudo", "/usr/bin/newuidmap"):
            if os.path.exists(program):
                code = subprocess.run([program, "-c", "id"], stdin=subprocess.DEVNULL, capture_output=True).returncode
                out.append("changed" if code == 0 else "refused")
        """,
    )
    assert set(answer) == {"refused"}


DENIED = {
    **dict.fromkeys(("unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "open_tree", "fsopen"), "EPERM"),
    **dict.fromkeys(("ptrace", "process_vm_readv", "kcmp", "pidfd_getfd"), "EPERM"),
    **dict.fromkeys(("keyctl", "add_key", "request_key"), "EPERM"),
    **dict.fromkeys(("bpf", "perf_event_open", "userfaultfd", "seccomp"), "EPERM"),
    **dict.fromkeys(("kexec_load", "init_module", "reboot", "swapon", "settimeofday", "clock_settime"), "EPERM"),
    **dict.fromkeys(("open_by_handle_at", "name_to_handle_at", "quotactl", "acct", "syslog", "vhangup"), "EPERM"),
    **dict.fromkeys(("fanotify_init", "move_pages", "mbind", "sethostname"), "EPERM"),
    **dict.fromkeys(("io_uring_setup", "io_uring_enter", "memfd_create", "shmget", "msgget", "clone3"), "ENOSYS"),
}


def test_denied_system_calls(spawn):
    """Each class of forbidden system call is refused inside a real guest, which lives on."""
    numbers = ARCHITECTURES[platform.machine()].numbers
    calls = {name: numbers[name] for name in DENIED}
    guest = spawn()
    answer = ask(
        guest,
        f"""
        import ctypes, errno, os
        libc = ctypes.CDLL(None, use_errno=True)
        def call(number, *arguments):
            ctypes.set_errno(0)
            done = libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments))
            return errno.errorcode[ctypes.get_errno()] if done == -1 else "done"
        out = {{name: call(number, 0, 0, 0, 0, 0, 0) for name, number in {calls!r}.items()}}
        out["clone into a user namespace"] = call({numbers["clone"]}, 0x10000000 | 17, 0, 0, 0, 0)
        out["personality"] = call({numbers["personality"]}, 0x0040000)
        out["TIOCSTI"] = call({numbers["ioctl"]}, 0, 0x5412, 0)
        out["netlink"] = call({numbers["socket"]}, 16, 3, 0)
        out["packet"] = call({numbers["socket"]}, 17, 3, 0)
        out["vsock"] = call({numbers["socket"]}, 40, 1, 0)
        out["kernel crypto"] = call({numbers["socket"]}, 38, 5, 0)
        out["newer than the filter"] = call(1000)
        """,
    )
    assert answer == {
        **DENIED,
        **dict.fromkeys(("clone into a user namespace", "personality", "TIOCSTI"), "EPERM"),
        **dict.fromkeys(("netlink", "packet", "vsock", "kernel crypto"), "EAFNOSUPPORT"),
        "newer than the filter": "ENOSYS",
    }


@pytest.mark.skipif(platform.machine() != "x86_64", reason="x32 is of x86-64")
def test_a_foreign_system_call_kills(spawn):
    """A call by x32's numbers ends the guest with SIGSYS."""
    ended = end_of(spawn(), "import ctypes; ctypes.CDLL(None).syscall(ctypes.c_long(0x40000000 + 39))")
    assert (ended.cause, ended.code) == (ExitCause.SIGNALLED, signal.SIGSYS)


def test_ordinary_python_works(spawn):
    """Threads, subprocesses, pipes, temporary files, terminals and shared tensors work as anywhere."""
    answer = ask(
        spawn(),
        """
        import os, pty, subprocess, tempfile, threading, multiprocessing.shared_memory as shared
        out = []
        thread = threading.Thread(target=out.append, args=("thread",)); thread.start(); thread.join()
        out.append(subprocess.run(["/bin/echo", "hello"], capture_output=True, text=True).stdout.strip())
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"x" * 1000)
        memory = shared.SharedMemory(create=True, size=4096); memory.close(); memory.unlink()
        a, b = pty.openpty(); os.close(a); os.close(b)
        import torch
        torch.zeros(10).share_memory_()
        out.append("end")
        """,
    )
    assert answer == ["thread", "hello", "end"]


# How far it gets.


def test_a_memory_bomb_is_out_of_memory(spawn):
    """A guest that takes more memory than it may is ended for that."""
    ended = end_of(spawn(memory_bytes=128 << 20), "hoard = []\nwhile True: hoard.append(bytearray(1 << 20))")
    assert ended.cause is ExitCause.OUT_OF_MEMORY


def test_memory_of_forks_adds_up(spawn):
    """The limit is on the whole tree: many small processes are too much as well."""
    guest = spawn(memory_bytes=128 << 20)
    tell(
        guest,
        """
        import os, time
        for _ in range(8):
            if os.fork() == 0:
                mine = bytearray(os.urandom(1 << 20) * 40)
                time.sleep(60)
        time.sleep(60)
        """,
    )
    deadline = time.monotonic() + 30
    while guest.usage().oom_kills == 0:
        assert time.monotonic() < deadline
        if guest.poll() is not None:
            break
        time.sleep(0.005)
    assert guest.usage().oom_kills > 0


def test_a_fork_that_eats_memory_costs_the_fork(spawn):
    """When a check runs in a fork of the loaded notebook and eats memory, the fork goes and the notebook stays."""
    guest = spawn(memory_bytes=128 << 20)
    answer = ask(
        guest,
        """
        import os
        child = os.fork()
        if child == 0:
            hoard = []
            while True:
                hoard.append(bytearray(1 << 20))
        out = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        """,
    )
    assert answer == -signal.SIGKILL
    assert guest.usage().oom_kills >= 1
    assert ask(guest, "out = 'here'") == "here"


def test_a_busy_loop_is_out_of_cpu_time(spawn):
    """A loop that ignores every signal ends when its CPU time is used up."""
    source = """
    import signal
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        try:
            signal.signal(number, signal.SIG_IGN)
        except OSError:
            pass
    while True:
        pass
    """
    guest = spawn(cpu_s=1)
    assert end_of(guest, source).cause is ExitCause.CPU_TIME
    assert guest.usage().cpu_s >= 1


def test_cpu_time_of_forks_adds_up(spawn):
    """CPU time is counted over the whole tree."""
    ended = end_of(spawn(cpu_s=1), "import os\nos.fork(); os.fork()\nwhile True: pass")
    assert ended.cause is ExitCause.CPU_TIME


def test_sleeping_ends_with_the_wall_time(spawn):
    """A guest that waits for ever is ended by the host's clock."""
    assert end_of(spawn(wall_s=0.3), "import time; time.sleep(1000)").cause is ExitCause.WALL_TIME


def test_a_fork_bomb_is_bounded(spawn):
    """Forking stops at the limit, and the kill takes all of them."""
    guest = spawn(processes=16)
    answer = ask(
        guest,
        """
        import os, time
        out = 0
        try:
            for _ in range(1000):
                if os.fork() == 0:
                    time.sleep(1000)
                out += 1
        except OSError as error:
            pass
        """,
    )
    assert 1 <= answer <= 16
    pids = processes_of(pid_of(guest))
    assert len(pids) > 1
    assert guest.kill().cause is ExitCause.KILLED
    assert all(is_gone(pid) for pid in pids)


def test_a_thread_bomb_is_bounded(spawn):
    """Threads count as processes."""
    answer = ask(
        spawn(processes=16),
        """
        import threading, time
        out = 0
        try:
            for _ in range(1000):
                threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
                out += 1
        except RuntimeError:
            pass
        """,
    )
    assert 1 <= answer <= 16


def test_the_disk_is_bounded(spawn):
    """All writable folders share one budget of bytes."""
    answer = ask(
        spawn(disk_bytes=4 << 20),
        """
        import errno
        out, why = 0, set()
        for folder in ("/tmp", "/dev/shm", "/home/student"):
            try:
                with open(folder + "/big", "wb", buffering=0) as file:
                    while True:
                        out += file.write(bytes(1 << 16))
            except OSError as error:
                why.add(errno.errorcode[error.errno])
        out = [out, sorted(why)]
        """,
    )
    written, why = answer
    assert written <= 4 << 20
    assert set(why) <= {"ENOSPC", "EFBIG"}


def test_inodes_are_bounded(spawn):
    """Empty files cannot be made without end."""
    answer = ask(
        spawn(inodes=100),
        """
        out = 0
        try:
            for number in range(10_000):
                open(f"/tmp/{number}", "w").close()
                out += 1
        except OSError:
            pass
        """,
    )
    assert 50 <= answer <= 100


def test_open_files_are_bounded(spawn):
    """Descriptors run out at the limit."""
    answer = ask(
        spawn(open_files=32),
        """
        held = []
        try:
            for _ in range(1000):
                held.append(open("/dev/null"))
        except OSError:
            pass
        out = len(held)
        held.clear()
        """,
    )
    assert 20 <= answer <= 32


def test_limits_cannot_be_raised(spawn):
    """A guest can lower its own limits and never raise them."""
    answer = ask(
        spawn(),
        """
        import resource
        out = []
        for name in ("NOFILE", "FSIZE", "CPU", "CORE", "MEMLOCK"):
            try:
                resource.setrlimit(getattr(resource, "RLIMIT_" + name), (resource.RLIM_INFINITY,) * 2)
                out.append(name)
            except ValueError:
                pass
        """,
    )
    assert answer == []


# How it ends.


def test_leaving_is_an_exit_with_its_code(spawn):
    """os._exit(3) is the guest's own doing."""
    ended = end_of(spawn(), "import os; os._exit(3)")
    assert (ended.cause, ended.code) == (ExitCause.EXITED, 3)


def test_a_crash_is_a_signal(spawn):
    """A segmentation fault is told as such."""
    ended = end_of(spawn(), "import ctypes; ctypes.string_at(0)")
    assert (ended.cause, ended.code) == (ExitCause.SIGNALLED, signal.SIGSEGV)


def test_a_guest_cannot_pass_its_end_off_as_ours(spawn):
    """SIGKILL that a guest brings upon itself counts as its own crash, never as a loss of the sandbox."""
    ended = end_of(spawn(), "import resource; resource.setrlimit(resource.RLIMIT_CPU, (1, 1))\nwhile True: pass")
    assert ended.cause is ExitCause.SIGNALLED


def test_kill_and_close_can_be_repeated(spawn):
    """Ending a guest again gives the same answer; its last use of the machine stays known."""
    guest = spawn()
    ask(guest, "sum(range(1_000_000))")
    first = guest.kill()
    assert first.cause is ExitCause.KILLED
    assert guest.kill() == guest.poll() == first
    guest.close()
    guest.close()
    assert guest.usage().cpu_s > 0
    assert guest.usage().processes == 0
    guest.interrupt()


def test_interrupt_is_a_keyboard_interrupt(spawn):
    """An interrupted cell gets KeyboardInterrupt and the guest lives on."""
    guest = spawn()
    tell(guest, "import time\nprint\ntime.sleep(1000)")
    time.sleep(0.2)
    guest.interrupt()
    assert guest.wall.recv(1000).startswith(b'"KeyboardInterrupt')
    assert ask(guest, "out = 1") == 1


def test_a_daemon_dies_with_its_guest(spawn):
    """A process that was detached twice over and ignores signals is gone once the guest is killed."""
    guest = spawn()
    ask(
        guest,
        """
        import os, signal, time
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
                    signal.signal(number, signal.SIG_IGN)
                time.sleep(1000)
            os._exit(0)
        os.wait()
        """,
    )
    pids = processes_of(pid_of(guest))
    assert len(pids) == 2
    guest.kill()
    assert all(is_gone(pid) for pid in pids)


def test_a_daemon_dies_when_its_guest_leaves(spawn):
    """It does not survive the end of the guest's first process either."""
    guest = spawn()
    ask(guest, "import os, time\nif os.fork() == 0: time.sleep(1000)")
    pids = processes_of(pid_of(guest))
    assert end_of(guest, "os._exit(0)").cause is ExitCause.EXITED
    assert all(is_gone(pid) for pid in pids)


def test_a_guest_dies_with_the_process_that_spawned_it(sandbox):
    """kill -9 of a forked grading process ends its guest, and other guests live on."""
    other = sandbox.spawn(LIMITS)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            guest = sandbox.spawn(LIMITS)
            alive = ask(guest, "out = 1") == 1
            os.write(writer, str(pid_of(guest) if alive else 0).encode())
            time.sleep(60)
        finally:
            os._exit(1)
    pid = int(os.read(reader, 100))
    os.close(reader)
    os.close(writer)
    assert pid
    assert Path(f"/proc/{pid}").exists()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert is_gone(pid)
    assert ask(other, "out = 1") == 1
    other.close()


def test_closing_in_a_forked_process_leaves_the_sandbox_alone(sandbox, spawn):
    """A forked process that closes its copy ends its own guests only."""
    child = os.fork()
    if child == 0:
        sandbox._guests.clear()
        sandbox.close()
        os._exit(0)
    os.waitpid(child, 0)
    assert ask(spawn(), "out = 1") == 1


# What is left of it.


def test_guests_share_nothing(spawn):
    """Files, shared memory, abstract sockets and terminals of one guest are not there for others, now or later."""
    leave = """
    import os, pty, socket
    for folder in ("/tmp", "/dev/shm", "/home/student"):
        with open(folder + "/note", "w") as file:
            file.write("answers")
    channel = socket.socket(socket.AF_UNIX)
    channel.bind("\\0channel")
    channel.listen()
    terminal = pty.openpty()
    out = sorted(os.listdir("/dev/pts"))
    """
    look = """
    import os, socket
    out = [folder for folder in ("/tmp", "/dev/shm", "/home/student") if os.listdir(folder)]
    try:
        socket.socket(socket.AF_UNIX).connect("\\0channel")
        out.append("connected")
    except ConnectionRefusedError:
        pass
    out += [name for name in os.listdir("/dev/pts") if name != "ptmx"]
    """
    first, beside = spawn(), spawn()
    assert ask(first, leave) == ["0", "ptmx"]
    assert ask(beside, look) == []
    first.close()
    assert ask(spawn(), look) == []


def test_changes_to_loaded_modules_stay_in_the_guest(spawn):
    """A patched torch is patched for its own guest only."""
    first = spawn()
    assert ask(first, "import torch; torch.allclose = lambda *a, **k: True; out = torch.allclose(1, 2)") is True
    assert ask(spawn(), "import torch; out = torch.allclose(torch.ones(1), torch.zeros(1))") is False


def test_nothing_is_left_of_fifty_guests(sandbox):
    """Fifty guests in a row leave no process, group, descriptor or mount behind, and the zygote stays well."""

    def held():
        return len(list(Path("/proc/self/fd").iterdir())), Path("/proc/self/mounts").read_text()

    zygote = int(Path(f"/proc/self/fdinfo/{sandbox._zygote._init}").read_text().split("Pid:")[1].split()[0])
    sandbox.spawn(LIMITS).close()
    before = held()
    pids = []
    for number in range(50):
        guest = sandbox.spawn(LIMITS)
        pids.append(pid_of(guest))
        if number % 10 == 0:
            assert ask(guest, "import os, time\nif os.fork() == 0: time.sleep(1000)\nout = 1") == 1
        guest.close()
    assert held() == before
    assert all(is_gone(pid) for pid in pids)
    deadline = time.monotonic() + 10
    while Path(f"/proc/{zygote}/task/{zygote}/children").read_text().split():
        assert time.monotonic() < deadline, "keepers are left"
        time.sleep(0.05)
    assert len(list(Path(f"/proc/{zygote}/task").iterdir())) == 1
    assert len(list(Path(f"/proc/{zygote}/fd").iterdir())) < 12
    if sandbox._hierarchy is not None:
        for run in sandbox._hierarchy._runs.values():
            ours = f"{os.getpid()}-"  # a process that was killed leaves an empty group to the end of the run
            assert [child.name for child in run.iterdir() if child.is_dir() and child.name.startswith(ours)] == []


# The sandbox itself.


def test_capabilities_name_what_enforces_each_limit(sandbox):
    """Every line says how; what holds less well says what would be better."""
    lines = {line.id: line for line in sandbox.capabilities()}
    assert {"memory", "cpu", "processes", "disk", "inodes", "network", "filesystem", "seccomp"} <= set(lines)
    assert all(line.holds for name, line in lines.items() if name != "gpu")
    assert ("cgroup" in lines["memory"].how) == (sandbox._hierarchy is not None)


def test_a_lost_zygote_is_told_and_can_be_replaced(worker_folder):
    """When the zygote dies its guests are LOST, spawning says so, and starting again mends it."""
    with BubblewrapSandbox(worker="line_worker", worker_folder=worker_folder) as sandbox:
        guest = sandbox.spawn(LIMITS)
        signal.pidfd_send_signal(sandbox._zygote._init, signal.SIGKILL)
        assert end_of(guest).cause is ExitCause.LOST
        guest.close()
        with pytest.raises(SandboxUnavailable):
            sandbox.spawn(LIMITS)
        sandbox.start()
        guest = sandbox.spawn(LIMITS)
        assert ask(guest, "out = 1") == 1
        pid, folder = pid_of(guest), sandbox._zygote.folder
    assert is_gone(pid)
    assert not folder.exists()


def test_a_worker_that_cannot_be_imported_is_told_at_the_start(worker_folder):
    """The error carries what Python said inside."""
    with pytest.raises(SandboxUnavailable, match="No module named 'no_such_worker'"):
        BubblewrapSandbox(worker="no_such_worker", worker_folder=worker_folder).start()


def test_spawning_before_the_start_is_an_error(worker_folder):
    """A sandbox that was not started says so."""
    with pytest.raises(SandboxUnavailable, match="has not been started"):
        BubblewrapSandbox().spawn(LIMITS)


def test_a_killed_run_leaves_no_process_and_is_swept(worker_folder):
    """kill -9 of the grader ends zygote and guests; its folders go when the next run starts."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            sandbox = BubblewrapSandbox(worker="line_worker", worker_folder=worker_folder)
            sandbox.start()
            guest = sandbox.spawn(LIMITS)
            zygote = int(Path(f"/proc/self/fdinfo/{sandbox._zygote._init}").read_text().split("Pid:")[1].split()[0])
            os.write(writer, json.dumps([zygote, pid_of(guest), str(sandbox._zygote.folder)]).encode())
            time.sleep(60)
        finally:
            os._exit(1)
    zygote, pid, folder = json.loads(os.read(reader, 1000))
    os.close(reader)
    os.close(writer)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert is_gone(pid)
    assert is_gone(zygote)
    assert Path(folder).exists()
    with BubblewrapSandbox(worker="line_worker", worker_folder=worker_folder):
        assert not Path(folder).exists()
        left = [group for root in Path("/sys/fs/cgroup").glob("*") for group in root.glob(f"grader-{child}-*")]
        assert left == []
