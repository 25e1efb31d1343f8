"""How far a guest gets: memory, CPU, processes, disk, inodes, open files, output, time."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

from grader.sandbox.base import Exit, ExitCause
from grader.sandbox.conformance.bench import ask, end_of, tell, until
from grader.sandbox.conformance.case import case, cases_of, expect

if TYPE_CHECKING:
    from grader.sandbox.base import Guest
    from grader.sandbox.conformance.bench import Bench

__all__ = ["CASES"]

HOARD = "hoard = []\nwhile True: hoard.append(bytearray(1 << 20))"


def _ends(guest: Guest, source: str, cause: ExitCause) -> None:
    ended = end_of(guest, source)
    expect(ended.cause is cause, f"the guest should have ended by {cause}, and ended by {ended}")


@case(needs="memory")
def a_memory_bomb_is_out_of_memory(bench: Bench) -> None:
    """A guest that takes more memory than it may is ended for that."""
    _ends(bench.spawn(memory_bytes=128 << 20), HOARD, ExitCause.OUT_OF_MEMORY)


@case(needs="memory")
def memory_of_forks_adds_up(bench: Bench) -> None:
    """The limit is on the whole tree: many small processes are too much as well."""
    guest = bench.spawn(memory_bytes=128 << 20)
    tell(
        guest,
        """
        import os, time
        for _ in range(8):
            if os.fork() == 0:
                mine = bytearray(os.urandom(1 << 20) * 40)
                time.sleep(1000)
        time.sleep(1000)
        """,
    )
    until(
        lambda: guest.poll() is not None or guest.usage().oom_kills > 0,
        f"eight processes hold 320 MB together where 128 MB are allowed: {guest.usage()}",
    )
    expect(guest.usage().oom_kills > 0, f"the guest ended by {guest.poll()} without a count of what memory killed")


@case(needs="memory")
def a_fork_that_eats_memory_costs_the_fork(bench: Bench) -> None:
    """When a check runs in a fork of the loaded notebook and eats memory, the fork goes and the notebook stays."""
    guest = bench.spawn(memory_bytes=128 << 20)
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
    expect(answer == -signal.SIGKILL, f"the fork should have been killed for memory; the guest says {answer!r}")
    expect(guest.usage().oom_kills >= 1, "a process was killed for memory, and usage() does not count it")
    expect(ask(guest, "out = 'here'") == "here", "the notebook went with its fork")


@case(needs="cpu")
def a_busy_loop_is_out_of_cpu_time(bench: Bench) -> None:
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
    guest = bench.spawn(cpu_s=0.5)
    _ends(guest, source, ExitCause.CPU_TIME)
    expect(guest.usage().cpu_s >= 0.5, f"it ended for CPU time before it had used it: {guest.usage()}")


@case(needs="cpu")
def cpu_time_of_forks_adds_up(bench: Bench) -> None:
    """CPU time is counted over the whole tree."""
    _ends(bench.spawn(cpu_s=0.5), "import os\nos.fork(); os.fork()\nwhile True: pass", ExitCause.CPU_TIME)


@case(needs="wall-time")
def sleeping_ends_with_the_wall_time(bench: Bench) -> None:
    """A guest that waits for ever is ended by the host's clock."""
    _ends(bench.spawn(wall_s=0.3), "import time; time.sleep(1000)", ExitCause.WALL_TIME)


@case(needs="wall-time")
def a_stopped_guest_ends_with_the_wall_time(bench: Bench) -> None:
    """A guest whose processes have stopped themselves is ended all the same."""
    source = """
    import os, signal
    for _ in range(3):
        if os.fork() == 0:
            os.kill(os.getpid(), signal.SIGSTOP)
    os.kill(os.getpid(), signal.SIGSTOP)
    import time; time.sleep(1000)
    """
    _ends(bench.spawn(wall_s=0.5), source, ExitCause.WALL_TIME)


def _is_bounded(guest: Guest, answer: object, limit: int, what: str) -> None:
    """Either the kernel refuses at the limit, or the host ends the guest for it, at its next look if not at once."""
    if isinstance(answer, int) and answer > limit:  # refused for another reason (address space) between two looks
        answer = ask(guest, "import time; time.sleep(1000)")
    if isinstance(answer, Exit):
        expect(answer.cause is ExitCause.SIGNALLED, f"a guest with too many {what} should be SIGNALLED, not {answer}")
    else:
        expect(isinstance(answer, int) and 1 <= answer <= limit, f"{answer!r} {what} where {limit} are allowed")


@case(needs="processes")
def a_fork_bomb_is_bounded(bench: Bench) -> None:
    """Forking stops at the limit, or the guest does; and the kill takes all of them."""
    guest = bench.spawn(processes=16)
    label = bench.label(guest)
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
        else:
            time.sleep(1000)
        """,
    )
    _is_bounded(guest, answer, 16, "processes")
    guest.kill()
    bench.nothing_is_left(label, guest.wall)


@case(needs="processes")
def a_thread_bomb_is_bounded(bench: Bench) -> None:
    """Threads count as processes."""
    guest = bench.spawn(processes=16)
    answer = ask(
        guest,
        """
        import threading, time
        out = 0
        try:
            for _ in range(1000):
                threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
                out += 1
        except RuntimeError:
            pass
        else:
            time.sleep(1000)
        """,
    )
    _is_bounded(guest, answer, 16, "threads")


@case(needs="disk")
def the_disk_is_bounded(bench: Bench) -> None:
    """All writable folders share one budget of bytes; a full disk is an error, not an end."""
    guest = bench.spawn(disk_bytes=4 << 20)
    answer = ask(
        guest,
        """
        import errno, os, tempfile
        written, why = 0, set()
        for folder in (tempfile.gettempdir(), "/dev/shm", os.environ["HOME"]):
            for number in range(4):
                try:
                    with open(f"{folder}/big{number}", "wb", buffering=0) as file:
                        for _ in range(1 << 8):  # 16 MB: enough to see that there is no limit
                            written += file.write(bytes(1 << 16))
                except OSError as error:
                    why.add(errno.errorcode[error.errno])
        out = [written, sorted(why)]
        """,
    )
    expect(isinstance(answer, list), f"the guest should have lived on with a full disk, and ended by {answer}")
    written, why = answer
    expect(1 << 20 <= written <= 4 << 20, f"{written} bytes could be written where 4 MB are allowed")
    expect(set(why) <= {"ENOSPC", "EFBIG", "EDQUOT"}, f"a full disk should say ENOSPC; it said {why}")


@case(needs="inodes")
def inodes_are_bounded(bench: Bench) -> None:
    """Empty files cannot be made without end, in all writable folders together."""
    answer = ask(
        bench.spawn(inodes=100),
        """
        import os, tempfile
        out = 0
        for folder in (tempfile.gettempdir(), "/dev/shm", os.environ["HOME"]):
            try:
                for number in range(1000):
                    open(f"{folder}/{number}", "w").close()
                    out += 1
            except OSError:
                pass
        """,
    )
    expect(isinstance(answer, int) and 50 <= answer <= 100, f"{answer!r} files where 100 are allowed")


@case()
def open_files_are_bounded(bench: Bench) -> None:
    """Descriptors run out at the limit."""
    answer = ask(
        bench.spawn(open_files=32),
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
    expect(isinstance(answer, int) and 20 <= answer <= 32, f"{answer!r} files open where 32 are allowed")


@case()
def output_goes_nowhere(bench: Bench) -> None:
    """What is written past the worker, to the standard descriptors, neither blocks a guest nor lands on the host."""
    answer = ask(
        bench.spawn(),
        """
        import os
        os.set_blocking(1, True)
        out = 0
        for fd in (1, 2):
            for _ in range(1 << 9):
                try:
                    out += os.write(fd, b"noise " * 10_000)
                except OSError:
                    break
        out = "done"
        """,
    )
    expect(answer == "done", f"a guest that prints 60 MB past its worker should live on: {answer!r}")
    left = sum(path.stat().st_size for path in bench.folder.rglob("*") if path.is_file())
    expect(left < 1 << 20, f"{left} bytes of what guests printed lie in the temporary folder")


@case()
def a_flooded_wall_harms_nobody(bench: Bench) -> None:
    """A guest that writes to the wall without end waits until the host reads, and can be watched and killed."""
    guest = bench.spawn()
    before = _own_memory_bytes()
    tell(guest, "import os\nwall = 3\nwhile True: os.write(wall, bytes(1 << 16))")
    until(lambda: guest.wall.recv(1 << 16), "nothing came over the wall")
    for _ in range(20):
        ended = guest.poll()
        expect(ended is None, f"a guest that floods the wall should wait for the host, and ended by {ended}")
        time.sleep(0.01)
    grown = _own_memory_bytes() - before
    expect(grown < 64 << 20, f"the host holds {grown} bytes more since a guest floods the wall")
    expect(guest.kill().cause is ExitCause.KILLED, "a guest that floods the wall could not be killed")


def _own_memory_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


CASES = cases_of(globals())
