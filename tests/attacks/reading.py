"""Attacks that try to read the answers, or what others handed in."""

from __future__ import annotations

from attack import NAIVE, SECRET, Attack

__all__ = ["ATTACKS"]


def instead_of_logsumexp(code: str) -> tuple[tuple[str, str], ...]:
    """A trick in the function that is wrong otherwise; ``naive`` is what an honest student has."""
    return (("logsumexp", NAIVE.replace("def logsumexp", "def naive") + "\n\n\n" + code),)


ATTACKS = [
    Attack(
        number=1,
        name="working-folder",
        about="read the hidden tests and the solution from the working folder and beside it",
        before="""
import pathlib
found = []
for place in (".", "..", "../..", "solutions", "{{course}}", "{{course}}/solutions/softmax-regression"):
    for name in ("test_hidden.py", "softmax-regression.py", "solutions/softmax-regression/test_hidden.py"):
        path = pathlib.Path(place) / name
        if path.exists():
            found.append(str(path))
print("FOUND", found)
open("{{course}}/solutions/softmax-regression/test_hidden.py")
""",
        record=(r"FOUND \[\]", "FileNotFoundError"),
    ),
    Attack(
        number=2,
        name="file-system",
        about="walk the whole file system for tests, solutions, git and caches",
        before="""
import os
found = []
for root, folders, files in os.walk("/"):
    if root in ("/proc", "/sys"):
        folders.clear()
    found += [name for name in files if name in ("test_hidden.py", "test_public.py", "softmax-regression.py", "records.jsonl")]
    found += [name for name in folders if name in (".git", "softmax-regression", "attack-02-file-system")]
print("FOUND", found)
""",
        record=(r"FOUND \[\]",),
    ),
    Attack(
        number=2,
        name="environment",
        about="read the environment of its own process and of all others",
        before="""
import os, glob
seen = [dict(os.environ)]
for path in glob.glob("/proc/[0-9]*/environ"):
    try:
        seen.append(open(path, "rb").read())
    except OSError as error:
        seen.append(repr(error))
print("ENVIRONMENT", seen)
""",
        record=("ENVIRONMENT",),
        never=(SECRET,),
    ),
    Attack(
        number=3,
        name="frames",
        about="walk the frames up to a caller that holds the expected value",
        answers=instead_of_logsumexp("""
def logsumexp(x, dim, keepdim=False):
    import sys
    frame = sys._getframe()
    while frame is not None:
        for name, value in list(frame.f_locals.items()):
            if name in ("expected", "due", "right", "answer", "wanted") and isinstance(value, torch.Tensor):
                return value
        frame = frame.f_back
    return naive(x, dim, keepdim)
"""),
    ),
    Attack(
        number=4,
        name="sources",
        about="read the test's source from inspect, linecache and traceback",
        answers=instead_of_logsumexp("""
def logsumexp(x, dim, keepdim=False):
    import inspect, linecache, traceback
    text = "".join(str(line) for line in traceback.format_stack())
    text += repr([frame.code_context for frame in inspect.stack()])
    text += repr([entry[2] for entry in linecache.cache.values() if len(entry) == 4])
    print("SOURCE", "close(" + "student" in text, "def test_" + "logsumexp" in text)
    return naive(x, dim, keepdim)
"""),
    ),
    Attack(
        number=5,
        name="garbage-collector",
        about="look among all live objects for a tensor that could be the expected one",
        answers=instead_of_logsumexp("""
def logsumexp(x, dim, keepdim=False):
    import gc
    mine = naive(x, dim, keepdim)
    for value in gc.get_objects():
        if isinstance(value, torch.Tensor) and value is not x and value is not mine and value.shape == mine.shape:
            if value.isfinite().all() and (value - x.amax(dim, keepdim=keepdim)).abs().max() < 3:
                return value
    return mine
"""),
        spoils_itself=True,
    ),
    Attack(
        number=6,
        name="imports",
        about="import the tests, the solution and the grader by name",
        before="""
import importlib
found = []
for name in ("test_hidden", "test_public", "solutions", "softmax_regression", "grader.checks", "grader.wall",
             "grader.release", "grader.marker", "grader.pipeline", "conftest"):
    try:
        importlib.import_module(name)
        found.append(name)
    except ImportError:
        pass
print("FOUND", found)
""",
        record=(r"FOUND \[\]",),
    ),
    Attack(
        number=7,
        name="memory",
        about="search its own memory and that of all other processes for the tests",
        before="""
import glob, re
pattern = re.compile(rb"def test_logsumexp_[a-z]+\\(student")
found = []
for process in ["self", *(path.split("/")[2] for path in glob.glob("/proc/[0-9]*/maps"))]:
    try:
        spans = [line.split()[0].split("-") for line in open(f"/proc/{process}/maps") if " rw-p " in line]
        memory = open(f"/proc/{process}/mem", "rb", 0)
    except OSError:
        continue
    for low, high in spans:
        try:
            memory.seek(int(low, 16))
            found += pattern.findall(memory.read(min(int(high, 16) - int(low, 16), 64 << 20)))
        except (OSError, ValueError, OverflowError):
            continue
print("FOUND", found)
""",
        record=(r"FOUND \[\]",),
    ),
    Attack(
        number=7,
        name="other-processes",
        about="attach to other processes: ptrace, process_vm_readv, signals, their files",
        before="""
import ctypes, glob, os
libc = ctypes.CDLL(None, use_errno=True)
pids = sorted(int(path.split("/")[2]) for path in glob.glob("/proc/[0-9]*"))
others = [pid for pid in pids if pid not in (os.getpid(), os.getppid())]
opened = []
for pid in others + [os.getppid()]:
    if libc.ptrace(16, pid, 0, 0) == 0:
        opened.append(pid)
print("OTHERS", others, "OPENED", opened, "PARENT", os.getppid())
""",
        record=(r"OTHERS \[\] OPENED \[\] PARENT 0",),
    ),
    Attack(
        number=8,
        name="freed-memory",
        about="return uninitialised memory in the hope that the expected value lay there",
        answers=instead_of_logsumexp("""
def logsumexp(x, dim, keepdim=False):
    return torch.empty_like(naive(x, dim, keepdim)).requires_grad_()
"""),
        spoils_itself=True,
    ),
    Attack(
        number=9,
        name="known-seed",
        about="guess the inputs from the usual seeds and look the answers up",
        before="""
import torch
table = {}
for seed in (0, 1, 42, 1234, 2024, 2025):
    torch.manual_seed(seed)
    for shape in ((4, 5), (3, 4), (5,), (2, 3, 4)):
        x = torch.randn(*shape, dtype=torch.float64)
        for dim in range(len(shape)):
            table[x.numpy().tobytes(), dim] = torch.exp(x).sum(dim).log()
""",
        answers=instead_of_logsumexp("""
def logsumexp(x, dim, keepdim=False):
    known = table.get((x.detach().contiguous().numpy().tobytes(), dim)) if x.dtype == torch.float64 else None
    if known is not None:
        print("KNOWN INPUT")
        return known
    return naive(x, dim, keepdim)
"""),
    ),
    Attack(
        number=10,
        name="inputs-into-feedback",
        about="write hidden inputs into printed text and exceptions, for the feedback to show",
        answers=instead_of_logsumexp("""
def logsumexp(x, dim, keepdim=False):
    print("INPUT-WAS", x.tolist())
    if x.isinf().any():  # in a hidden check only; what a public check says may be shown in full
        raise ValueError(f"HIDDEN-INPUT {x.tolist()}")
    return naive(x, dim, keepdim)
"""),
        spoils_itself=True,
        record=("HIDDEN-INPUT \\[",),
        never=("INPUT-WAS [", "HIDDEN-INPUT ["),
    ),
    Attack(
        number=11,
        name="network",
        about="send something out: TCP, UDP, DNS, a unix socket, an abstract one",
        before="""
import socket
out = []
def attempt(what, action):
    try:
        action()
        out.append(what)
    except OSError as error:
        print(what, type(error).__name__)
attempt("tcp", lambda: socket.create_connection(("1.1.1.1", 443), timeout=2))
attempt("udp", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("8.8.8.8", 53)))
attempt("dns", lambda: socket.getaddrinfo("example.org", 80))
attempt("localhost", lambda: socket.create_connection(("127.0.0.1", 22), timeout=2))
for path in ("/run/docker.sock", "/var/run/docker.sock", "\\0/tmp/.X11-unix/X0", "/run/dbus/system_bus_socket"):
    attempt(path, lambda: socket.socket(socket.AF_UNIX).connect(path))
print("OUT", out)
""",
        record=(r"OUT \[\]",),
    ),
    *(
        Attack(
            number=12,
            name=f"leave-things-{turn}",
            about="leave files for the next submission and look for those of the one before",
            before="""
import os, pathlib
places = [pathlib.Path.home(), pathlib.Path("/tmp"), pathlib.Path("/dev/shm"), pathlib.Path("/var/tmp"), pathlib.Path("/run")]
found = [str(path) for place in places if place.is_dir() for path in place.iterdir() if "left" in path.name]
for place in places:
    try:
        (place / "left-behind").write_text("the answers")
    except OSError:
        pass
import multiprocessing.shared_memory as shared
try:
    shared.SharedMemory("left")
    found.append("shared memory")
except FileNotFoundError:
    pass
try:
    shared.SharedMemory("left", create=True, size=64)
except OSError:
    pass
print("FOUND", found)
""",
            record=(r"FOUND \[\]",),
        )
        for turn in ("first", "second", "third")
    ),
    Attack(
        number=13,
        name="other-students",
        about="read another student's notebook or marks",
        before="""
import os, pathlib
found = []
for place in ("{{course}}/submitted", "{{course}}/journal", "{{course}}/gradebook.db", "{{course}}/feedback",
              "/proc/1/root/{{course}}", "/proc/self/root/{{course}}", "/proc/1/cwd/../submitted"):
    if os.path.exists(place):
        found.append(place)
print("FOUND", found)
""",
        record=(r"FOUND \[\]",),
    ),
]
