"""How a guest ends, who is told what, and what the host reads of its use meanwhile."""

from __future__ import annotations

import os
import signal
import socket
import time
from typing import TYPE_CHECKING

from grader.errors import SandboxUnavailable
from grader.sandbox.base import ExitCause
from grader.sandbox.conformance.bench import (
    LIMITS,
    ask,
    control_groups_of,
    descendants,
    end_of,
    everybody,
    kill_process,
    tell,
    until,
)
from grader.sandbox.conformance.case import case, cases_of, expect

if TYPE_CHECKING:
    from grader.sandbox.base import Sandbox
    from grader.sandbox.conformance.bench import Bench

__all__ = ["CASES"]


@case()
def leaving_is_an_exit_with_its_code(bench: Bench) -> None:
    """os._exit(3) is the guest's own doing."""
    ended = end_of(bench.spawn(), "import os; os._exit(3)")
    expect((ended.cause, ended.code) == (ExitCause.EXITED, 3), f"os._exit(3) is told as {ended}")


@case()
def the_end_of_the_worker_is_an_exit(bench: Bench) -> None:
    """When the host hangs up at the wall the worker ends, and the guest with it."""
    guest = bench.spawn()
    guest.wall.shutdown(socket.SHUT_RDWR)
    until(lambda: guest.poll() is not None, "the guest lives though the wall was closed")
    expect((ended := guest.kill()).cause is ExitCause.EXITED, f"the end of the worker is told as {ended}")


@case()
def a_crash_is_a_signal(bench: Bench) -> None:
    """A segmentation fault is told as such."""
    ended = end_of(bench.spawn(), "import ctypes; ctypes.string_at(0)")
    told = (ended.cause, ended.code)
    expect(told == (ExitCause.SIGNALLED, signal.SIGSEGV), f"a segmentation fault is told as {ended}")


@case()
def an_end_cannot_be_passed_off_as_ours(bench: Bench) -> None:
    """SIGKILL that a guest brings upon itself counts as its own crash, never as a loss of the sandbox."""
    source = "import resource; resource.setrlimit(resource.RLIMIT_CPU, (1, 1))\nwhile True: pass"
    ended = end_of(bench.spawn(), source)
    expect(ended.cause is ExitCause.SIGNALLED, f"a guest that has the kernel kill it is told as {ended}")


@case()
def kill_and_close_can_be_repeated(bench: Bench) -> None:
    """Ending a guest again gives the same answer; its last use of the machine stays known."""
    guest = bench.spawn()
    ask(guest, "sum(range(1_000_000))")
    first = guest.kill()
    expect(first.cause is ExitCause.KILLED, f"a kill by the host is told as {first}")
    expect(guest.kill() == first == guest.poll(), "kill() or poll() says something else the second time")
    guest.close()
    guest.close()
    usage = guest.usage()
    expect(usage.cpu_s > 0, "the CPU time of a guest that is gone is forgotten")
    expect((usage.processes, usage.memory_bytes) == (0, 0), f"a guest that is gone has processes or memory: {usage}")
    guest.interrupt()


@case()
def a_guest_can_be_closed_at_once(bench: Bench) -> None:
    """A guest that was never spoken to can be closed; the first answer of close() is final."""
    guest = bench.spawn()
    guest.close()
    expect(guest.kill().cause is ExitCause.KILLED, f"a guest that was closed ended by {guest.kill()}")


@case()
def interrupt_is_a_keyboard_interrupt(bench: Bench) -> None:
    """An interrupted cell gets KeyboardInterrupt and the guest lives on."""
    guest = bench.spawn()
    tell(guest, "import os, time\nos.write(3, b'asleep')\ntime.sleep(1000)")
    expect(guest.wall.recv(6, socket.MSG_WAITALL) == b"asleep", "the cell did not begin")
    guest.interrupt()
    answer = b""
    while not answer.endswith(b"\n"):
        part = guest.wall.recv(1000)
        expect(part, "an interrupt ended the guest")
        answer += part
    expect(answer.startswith(b'"KeyboardInterrupt'), f"an interrupted cell should raise KeyboardInterrupt: {answer!r}")
    expect(ask(guest, "out = 1") == 1, "the guest did not survive an interrupt")


@case()
def usage_is_what_was_used(bench: Bench) -> None:
    """CPU time, memory and processes are read from outside, grow with use, and memory falls when it is given back."""
    guest = bench.spawn()
    ask(guest, "out = 1")
    first = guest.usage()
    ask(guest, "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass")
    busy = guest.usage()
    expect(busy.cpu_s - first.cpu_s >= 0.25, f"0.3 s of CPU time are told as {busy.cpu_s - first.cpu_s}")
    ask(guest, "import os\nblock = bytearray(os.urandom(1 << 20)) * 64")
    full = guest.usage()
    grown = full.memory_bytes - busy.memory_bytes
    expect(48 << 20 <= grown <= 160 << 20, f"64 MB of memory are told as {grown} bytes")
    ask(guest, "import os, time\nfor _ in range(3):\n    if os.fork() == 0: time.sleep(1000)")
    crowd = guest.usage()
    expect(crowd.processes >= first.processes + 3, f"three forks are told as {crowd.processes} - {first.processes}")
    ask(guest, "del block")
    after = guest.usage()
    expect(after.peak_memory_bytes >= full.memory_bytes, f"the peak of memory fell: {full} and then {after}")
    expect(after.cpu_s >= crowd.cpu_s, f"CPU time fell: {crowd} and then {after}")


@case()
def a_daemon_dies_with_its_guest(bench: Bench) -> None:
    """Processes that were detached twice over, ignore signals, or are stopped, are gone once the guest is killed."""
    guest = bench.spawn()
    label = bench.label(guest)
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
        if os.fork() == 0:
            os.kill(os.getpid(), signal.SIGSTOP)
            time.sleep(1000)
        """,
    )
    guest.kill()
    bench.nothing_is_left(label, guest.wall)


@case()
def a_daemon_dies_when_its_guest_leaves(bench: Bench) -> None:
    """It does not survive the end of the guest's first process either."""
    guest = bench.spawn()
    label = bench.label(guest)
    ask(guest, "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(1000)")
    expect((ended := end_of(guest, "os._exit(0)")).cause is ExitCause.EXITED, f"os._exit(0) is told as {ended}")
    bench.nothing_is_left(label, guest.wall)


def _spawned_elsewhere(bench: Bench, sandbox: Sandbox, *, start: bool) -> tuple[int, str, socket.socket]:
    """Have a forked process spawn a guest and wait: its pid, the guest's label, our copy of its wall."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def work() -> None:
        if start:
            sandbox.start()
        guest = sandbox.spawn(LIMITS)
        label = bench.label(guest) if ask(guest, "out = 1") == 1 else ""
        socket.send_fds(theirs, [label.encode()], [guest.wall.fileno()])

    with ours, theirs:
        child = bench.in_a_fork(work)
        theirs.close()
        label, fds, _, _ = socket.recv_fds(ours, 100, 1)
    if not (label and fds):
        kill_process(child)
        raise AssertionError("a process forked after the start could not spawn a guest")
    return child, label.decode(), socket.socket(fileno=fds[0])


@case()
def a_guest_dies_with_the_process_that_spawned_it(bench: Bench) -> None:
    """SIGKILL of a forked grading process ends its guest, and other guests live on."""
    other = bench.spawn()
    child, label, wall = _spawned_elsewhere(bench, bench.sandbox, start=False)
    with wall:
        kill_process(child)
        bench.nothing_is_left(label, wall)
    expect(ask(other, "out = 1") == 1, "the guest of another process went with it")


@case()
def a_fork_that_closes_leaves_the_sandbox_alone(bench: Bench) -> None:
    """A forked process that closes its copy ends its own guests only."""
    child = os.fork()
    if child == 0:
        try:
            bench.sandbox.close()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    expect(ask(bench.spawn(), "out = 1") == 1, "after a fork closed its copy no guest can be had")


@case()
def a_sandbox_that_is_closed_is_gone(bench: Bench) -> None:
    """Closing ends every guest and can be repeated; before a start and after the end spawning is an error."""
    sandbox = bench.make()
    _refuses(sandbox, "a sandbox that was not started gave a guest")
    sandbox.close()
    sandbox.launch()
    sandbox.start()
    guest = sandbox.spawn(LIMITS)
    label = bench.label(guest)
    sandbox.close()
    sandbox.close()
    bench.nothing_is_left(label)
    guest.close()
    _refuses(sandbox, "a sandbox that is closed gave a guest")


def _refuses(sandbox: Sandbox, otherwise: str) -> None:
    try:
        sandbox.spawn(LIMITS).close()
    except SandboxUnavailable:
        return
    raise AssertionError(otherwise)


@case()
def a_missing_worker_is_told_at_the_start(bench: Bench) -> None:
    """What Python said inside is in the error."""
    sandbox = bench.make(worker="no_such_worker")
    try:
        sandbox.start()
    except SandboxUnavailable as error:
        expect("no_such_worker" in str(error), f"the error does not say which module is missing: {error}")
    else:
        raise AssertionError("a sandbox whose worker cannot be imported says that it has started")
    finally:
        sandbox.close()


@case()
def a_killed_run_leaves_nothing(bench: Bench) -> None:
    """SIGKILL of the grader ends all that it started; folders and groups that it left go with the next start."""
    before = sorted(path.name for path in bench.folder.iterdir())
    child, label, wall = _spawned_elsewhere(bench, bench.make(), start=True)
    helpers = descendants(child)
    groups = {group for pid in bench.processes(label) for group in control_groups_of(pid)} - control_groups_of(
        os.getpid()
    )
    with wall:
        kill_process(child)
        bench.nothing_is_left(label, wall)
    until(lambda: not helpers & everybody(), f"helper processes outlive the grader: {helpers & everybody()}")
    with bench.make():
        pass
    left = sorted(path.name for path in bench.folder.iterdir())
    expect(not (old := [str(group) for group in groups if group.is_dir()]), f"control groups are not swept: {old}")
    expect(left == before, f"a killed run's folders are not swept: {sorted(set(left) - set(before))}")


@case()
def an_idle_guest_lives(bench: Bench) -> None:
    """poll() stays None for a guest that idles, and its figures stay readable."""
    guest = bench.spawn()
    for _ in range(5):
        expect(guest.poll() is None, f"a guest that idles ended by {guest.poll()}")
        time.sleep(0.02)
    usage = guest.usage()
    expect(usage.processes >= 1, f"a guest that idles has no process: {usage}")
    expect(usage.oom_kills == 0, f"a guest that idles has lost processes to memory: {usage}")


CASES = cases_of(globals())
