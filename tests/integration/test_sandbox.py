"""The bubblewrap sandbox for real: what is so of it beyond what must be so of every sandbox.

What every backend must do is tried in ``tests/conformance``. Everything here runs twice: with control groups where
this machine gives them, and with the watch over /proc alone. ``test_sandbox_ordinary_user.py`` runs this file again
without root.
"""

import functools
import os
import platform
import signal
import time
from pathlib import Path

import pytest

from grader.errors import SandboxUnavailable
from grader.guest.seccomp import ARCHITECTURES
from grader.sandbox import cgroups
from grader.sandbox.base import ExitCause
from grader.sandbox.bubblewrap import BubblewrapSandbox, obstacle
from grader.sandbox.conformance import Bench
from grader.sandbox.conformance.bench import LIMITS, ask, end_of
from grader.sandbox.conformance.reach import REFUSED

pytestmark = pytest.mark.skipif(obstacle() is not None, reason=f"no bubblewrap sandbox here: {obstacle()}")

REPOSITORY = Path(__file__).resolve().parents[2]


def pid_behind(pidfd):
    return int(Path(f"/proc/self/fdinfo/{pidfd}").read_text().split("Pid:")[1].split()[0])


@pytest.fixture(scope="module", params=["groups", "watch"])
def bench(request):
    if request.param == "groups" and cgroups.find() is None:
        pytest.skip("no control groups can be had here")
    with Bench(functools.partial(BubblewrapSandbox, use_cgroups=request.param == "groups")) as made:
        yield made


@pytest.fixture
def spawn(bench):
    """Spawn guests that are closed at the end."""
    with bench.tidied():
        yield bench.spawn


# What it can reach.


def test_no_files_of_the_host(spawn):
    """Neither the checkout, nor home folders, nor /etc, /var, /run or /sys can be seen."""
    paths = [str(REPOSITORY / name) for name in ("pyproject.toml", "solutions", "tests", ".git", "grader/model.py")]
    paths += [str(Path.home() / ".bashrc"), str(Path.home() / ".pyenv/version"), "/etc/shadow", "/etc/hostname"]
    paths += ["/var", "/run", "/sys", "/boot", "/mnt", "/srv", "/etc/ssh", "/guest/grader/model.py"]
    answer = ask(spawn(), "import os; out = [path for path in paths if os.path.lexists(path)]", paths=paths)
    assert answer == []


def test_of_the_grader_only_the_guest_package_is_there(spawn):
    """Where the guest's package lies there is nothing beside it."""
    answer = ask(spawn(), "import os; out = [os.listdir('/guest'), os.listdir('/guest/grader')]")
    assert answer == [["grader"], ["guest"]]


def test_a_guest_is_pid_1_and_holds_nothing_but_the_wall(spawn):
    """It sees no parent, and its standard descriptors are /dev/null."""
    source = "import os; out = [os.getpid(), os.getppid(), [os.readlink(f'/proc/self/fd/{fd}') for fd in range(3)]]"
    assert ask(spawn(), source) == [1, 0, ["/dev/null"] * 3]


def test_a_guest_is_nobody(spawn):
    """Inside it is an ordinary user on a machine without a name; outside, nobody or the user who grades."""
    guest = spawn()
    answer = ask(guest, "import os; out = [os.getresuid(), os.getresgid(), os.uname().nodename, os.getcwd()]")
    assert answer == [[1000] * 3, [1000] * 3, "sandbox", "/home/student"]
    outside = Path(f"/proc/{pid_behind(guest._pidfd)}").stat().st_uid
    assert outside == (65534 if os.geteuid() == 0 else os.geteuid())


DENIED = {
    **dict.fromkeys(("ptrace", "process_vm_readv", "kcmp", "pidfd_getfd", "seccomp"), "EPERM"),
    **dict.fromkeys(("settimeofday", "clock_settime", "name_to_handle_at", "sethostname"), "EPERM"),
    **dict.fromkeys(("fanotify_init", "move_pages", "mbind"), "EPERM"),
    **dict.fromkeys(("io_uring_enter", "memfd_create", "shmget", "msgget", "clone3"), "ENOSYS"),
}
"""What our filter refuses besides ``REFUSED``."""


def test_further_system_calls_are_denied(spawn):
    """Beyond what every filter must refuse, ours says how, and leaves no way around."""
    assert not set(DENIED) & set(REFUSED)
    numbers = ARCHITECTURES[platform.machine()].numbers
    guest = spawn()
    answer = ask(
        guest,
        """
        import ctypes, errno, os
        libc = ctypes.CDLL(None, use_errno=True)
        def call(number, *arguments):
            ctypes.set_errno(0)
            done = libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments))
            return errno.errorcode[ctypes.get_errno()] if done == -1 else "done"
        out = {name: call(number, 0, 0, 0, 0, 0, 0) for name, number in calls.items()}
        out["personality"] = call(numbers["personality"], 0x0040000)
        out["TIOCSTI"] = call(numbers["ioctl"], 0, 0x5412, 0)
        out["netlink"] = call(numbers["socket"], 16, 3, 0)
        out["vsock"] = call(numbers["socket"], 40, 1, 0)
        out["kernel crypto"] = call(numbers["socket"], 38, 5, 0)
        out["newer than the filter"] = call(1000)
        """,
        calls={name: numbers[name] for name in DENIED},
        numbers=numbers,
    )
    assert answer == {
        **DENIED,
        **dict.fromkeys(("personality", "TIOCSTI"), "EPERM"),
        **dict.fromkeys(("netlink", "vsock", "kernel crypto"), "EAFNOSUPPORT"),
        "newer than the filter": "ENOSYS",
    }


@pytest.mark.skipif(platform.machine() != "x86_64", reason="x32 is of x86-64")
def test_a_foreign_system_call_kills(spawn):
    """A call by x32's numbers ends the guest with SIGSYS."""
    ended = end_of(spawn(), "import ctypes; ctypes.CDLL(None).syscall(ctypes.c_long(0x40000000 + 39))")
    assert (ended.cause, ended.code) == (ExitCause.SIGNALLED, signal.SIGSYS)


# How it ends.


def test_a_kill_from_outside_is_ours(bench, spawn):
    """No process inside can kill the first one, so somebody else did: a loss that is marked again, not a crash."""
    guest = spawn()
    label = bench.label(guest)
    for pid in bench.processes(label):
        os.kill(pid, signal.SIGKILL)
    assert end_of(guest).cause is ExitCause.LOST


@pytest.mark.parametrize("how", ["os.kill(1, 9)", "os.kill(-1, 9)", "os.killpg(0, 9)", "_thread(9)", "_timer(9)"])
def test_the_first_process_cannot_kill_itself(spawn, how):
    """By no means that a student has, so that nobody gets a second try by it."""
    source = f"""
    import ctypes, os, signal, threading
    libc = ctypes.CDLL(None)
    def _thread(number):
        signal.pthread_kill(threading.main_thread().ident, number)
    def _timer(number):
        event, timer = (ctypes.c_int * 16)(0, 0, number, 0), ctypes.c_void_p()  # SIGEV_SIGNAL
        libc.timer_create(1, event, ctypes.byref(timer))
        libc.timer_settime(timer, 0, (ctypes.c_long * 4)(0, 0, 0, 1000), None)
    def kill():
        {how}
    for _ in range(2):
        child = os.fork()
        if child == 0:
            try:
                kill()
            finally:
                os._exit(0)
        os.waitpid(child, 0)
    try:
        kill()
    except OSError:
        pass
    import time
    time.sleep(0.05)
    out = "here"
    """
    assert ask(spawn(), source) == "here"


# What is left of it.


def test_the_zygote_stays_well(bench, spawn):
    """After twenty guests the warm process has one thread, few descriptors and no keeper left."""
    zygote = pid_behind(bench.sandbox._zygote._init)
    for number in range(20):
        guest = spawn()
        if number % 10 == 0:
            assert ask(guest, "import os, time\nif os.fork() == 0: time.sleep(1000)\nout = 1") == 1
        guest.close()
    deadline = time.monotonic() + 60
    while Path(f"/proc/{zygote}/task/{zygote}/children").read_text().split():
        assert time.monotonic() < deadline, "keepers are left"
        time.sleep(0.05)
    assert len(list(Path(f"/proc/{zygote}/task").iterdir())) == 1
    assert len(list(Path(f"/proc/{zygote}/fd").iterdir())) < 12


# The sandbox itself.


def test_capabilities_name_what_enforces_each_limit(bench):
    """Everything but a GPU holds, and the line about memory says by what."""
    lines = {line.id: line for line in bench.sandbox.capabilities()}
    assert all(line.holds for name, line in lines.items() if name != "gpu")
    assert ("cgroup" in lines["memory"].how) == (bench.sandbox._hierarchy is not None)


def test_a_lost_zygote_is_told_and_can_be_replaced(bench):
    """When the zygote dies its guests are LOST, spawning says so, and starting again mends it."""
    with bench.make() as sandbox:
        guest = sandbox.spawn(LIMITS)
        signal.pidfd_send_signal(sandbox._zygote._init, signal.SIGKILL)
        assert end_of(guest).cause is ExitCause.LOST
        guest.close()
        with pytest.raises(SandboxUnavailable):
            sandbox.spawn(LIMITS)
        sandbox.start()
        guest = sandbox.spawn(LIMITS)
        label, folder = bench.label(guest), sandbox._zygote.folder
    bench.nothing_is_left(label)
    assert not folder.exists()
