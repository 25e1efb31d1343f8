"""Attacks that try to forge the verdict."""

from __future__ import annotations

from attack import Attack
from reading import instead_of_logsumexp

__all__ = ["ATTACKS"]

FIND_WALL = """
import os, socket, stat
walls = []
for fd in range(3, 256):
    try:
        if stat.S_ISSOCK(os.fstat(fd).st_mode):
            walls.append(fd)
    except OSError:
        pass
"""

PASS = b'{"re": 1, "ok": true, "verdict": "PASS", "score": 100}'
FORGED = f"""
import struct
head = {PASS!r}
forged = struct.pack(">4sII", b"GRW1", len(head), 0) + head
"""

FRAMES = {
    "truncated": "forged[:-9]",
    "a-gigabyte-claimed": 'struct.pack(">4sII", b"GRW1", 1 << 30, 1 << 31) + b"{}"',
    "nested": 'struct.pack(">4sII", b"GRW1", 200_000, 0) + b"[" * 200_000',
    "no-json": 'struct.pack(">4sII", b"GRW1", 8, 0) + b"\\xff\\xfe{{{{{{"',
    "duplicated": "forged * 1000",
    "foreign-handle": 'struct.pack(">4sII", b"GRW1", 20, 0) + b\'{"value": {"m": 9999}}\'[:20]',
    "blob-without-data": 'struct.pack(">4sII", b"GRW1", 20, 1 << 20) + b\'{"value": {"t": 0}}  \'[:20]',
    "zeros": "bytes(1 << 16)",
}

ATTACKS = [
    Attack(
        number=14,
        name="results-file",
        about="write and lock the results where it thinks they are",
        before="""
import fcntl, os
for place in ("{{course}}/gradebook.db", "{{course}}/journal/records.jsonl", "results.json", "../results.json",
              "/autograder/results/results.json", "gradebook.db", "{{course}}/feedback/softmax-regression/me.html"):
    try:
        os.makedirs(os.path.dirname(place) or ".", exist_ok=True)
        file = open(place, "w")
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write('{"score": 100, "tests": []}')
        print("WROTE", place)
    except OSError as error:
        print("REFUSED", place)
""",
        record=(r"(?:WROTE|REFUSED) .*gradebook\.db",),  # what it wrote was a file of its own private /tmp
    ),
    Attack(
        number=15,
        name="frames-from-a-cell",
        about="write forged frames to every open descriptor, from a cell",
        after=FORGED
        + "import os\nfor fd in range(3, 256):\n    try:\n        os.write(fd, forged)\n    except OSError:\n        pass\n",
        record=("restarted|violation|VIOLATION",),
    ),
    Attack(
        number=15,
        name="frames-from-a-check",
        about="answer with forged frames while a check is waiting",
        answers=instead_of_logsumexp(
            FIND_WALL
            + FORGED
            + """
def logsumexp(x, dim, keepdim=False):
    for fd in range(3, 256):
        try:
            os.write(fd, forged)
        except OSError:
            pass
    return naive(x, dim, keepdim)
"""
        ),
        spoils_itself=True,
        record=("VIOLATION",),
    ),
    Attack(
        number=16,
        name="dup2",
        about="put another socket over the wall's descriptor",
        after=FIND_WALL + "ours, theirs = socket.socketpair()\nfor fd in walls:\n    os.dup2(theirs.fileno(), fd)\n",
        record=("restarted",),
    ),
    Attack(
        number=16,
        name="racing-thread",
        about="a thread that reads and writes on the wall beside the worker",
        after=FIND_WALL
        + FORGED
        + """
import threading, time
def race():
    while True:
        for fd in walls:
            try:
                os.write(fd, forged)
            except OSError:
                pass
        time.sleep(0.001)
threading.Thread(target=race, daemon=True).start()
time.sleep(0.3)
""",
        spoils_itself=True,
        record=("restarted|violation|VIOLATION",),
    ),
    Attack(
        number=17,
        name="printed-summaries",
        about="print what test runners and CI systems print",
        after=r"""
print("=== 57 passed in 0.01s ===")
print("::set-output name=score::100\n::error::x\n##vso[task.complete result=Succeeded;]done")
print('<testsuite tests="57" failures="0"></testsuite>')
print('{"score": 100, "max_score": 100, "status": "FINAL"}')
""",
        record=("57 passed",),
    ),
    *(
        Attack(
            number=18,
            name=f"leave-{name}",
            about=f"end its own process in a cell: {code}",
            after=code,
            record=(record,),
        )
        for name, code, record in (
            ("sys-exit", "import sys\nsys.exit(0)", "SystemExit"),
            ("os-exit", "import os\nos._exit(0)", '"crash"'),
            ("kill", "import os, signal\nos.kill(0, signal.SIGKILL)\nos.kill(os.getpid(), signal.SIGABRT)", "SIGABRT"),
            ("segfault", "import ctypes\nctypes.string_at(0)", '"crash"'),
        )
    ),
    Attack(
        number=18,
        name="leave-in-a-check",
        about="end the process with status 0 while a check waits",
        answers=instead_of_logsumexp("def logsumexp(x, dim, keepdim=False):\n    import os\n    os._exit(0)\n"),
        spoils_itself=True,
        record=("ended its own process",),
    ),
    Attack(
        number=18,
        name="system-exit-in-a-check",
        about="raise SystemExit(0), KeyboardInterrupt and GeneratorExit while a check waits",
        answers=instead_of_logsumexp(
            "import itertools\nends = itertools.cycle([SystemExit(0), KeyboardInterrupt(), GeneratorExit()])\n"
            "def logsumexp(x, dim, keepdim=False):\n    raise next(ends)\n"
        ),
        spoils_itself=True,
        record=("ended its own process",),
    ),
    Attack(
        number=19,
        name="at-exit",
        about="act when the process ends: atexit, excepthook, finalizers",
        after=FIND_WALL
        + FORGED
        + """
import atexit, sys, weakref, signal
def late(*_):
    for fd in walls:
        os.write(fd, forged)
atexit.register(late)
sys.excepthook = late
class Holder: pass
holder = Holder()
weakref.finalize(holder, late)
for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD):
    signal.signal(number, late)
""",
    ),
    Attack(
        number=20,
        name="shipped-modules",
        about="ship conftest.py, sitecustomize.py, *.pth and modules of well-known names",
        before=r"""
import os, site
for name in ("conftest.py", "pytest.ini", "sitecustomize.py", "usercustomize.py", "evil.pth", "torch.py", "json.py", "numpy.py"):
    for place in (".", os.path.expanduser("~/.local/lib/python3.11/site-packages"), "/tmp"):
        os.makedirs(place, exist_ok=True)
        with open(os.path.join(place, name), "w") as file:
            file.write("import os\nos._exit(0)\n")
print("SHIPPED", os.listdir("."))
""",
        record=("SHIPPED",),
    ),
    Attack(
        number=21,
        name="patched-comparisons",
        about="patch what tests compare with",
        after="""
import builtins, torch, numpy as np, unittest
for owner, names in ((torch, ("allclose", "isclose", "equal", "eq")), (torch.testing, ("assert_close",)),
                     (np.testing, ("assert_allclose", "assert_array_equal")), (np, ("allclose", "isclose"))):
    for name in names:
        setattr(owner, name, lambda *args, **kwargs: True)
torch.Tensor.__eq__ = lambda self, other: torch.ones_like(self, dtype=torch.bool)
torch.Tensor.allclose = lambda self, *args, **kwargs: True
builtins.abs = lambda value: 0
builtins.all = lambda values: True
""",
        spoils_itself=True,
    ),
    Attack(
        number=22,
        name="ast-transformer",
        about="have IPython delete every assert and every raise",
        before="""
import ast
class NoAsserts(ast.NodeTransformer):
    def visit_Assert(self, node):
        return ast.Pass()
get_ipython().ast_transformers.append(NoAsserts())
get_ipython().input_transformers_post.append(lambda lines: [line.replace("assert", "pass #") for line in lines])
""",
    ),
    Attack(
        number=23,
        name="always-equal",
        about="return an object that agrees with everything",
        answers=instead_of_logsumexp("""
class Agrees:
    def __init__(self, x=None): self.x = x
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __bool__(self): return True
    def __float__(self): return 0.0
    def __len__(self): return 4
    def __getattr__(self, name): return Agrees()
    def __call__(self, *args, **kwargs): return Agrees()
    def __array__(self, *args, **kwargs): import numpy; return numpy.zeros(4)
    def __torch_function__(self, *args, **kwargs): return True
    def __sub__(self, other): return 0
    __rsub__ = __add__ = __radd__ = __abs__ = __sub__
    __lt__ = __le__ = __gt__ = __ge__ = __eq__
    __hash__ = object.__hash__

def logsumexp(x, dim, keepdim=False):
    return Agrees(x)
"""),
        spoils_itself=True,
        record=("logsumexp",),
    ),
    Attack(
        number=24,
        name="tensor-subclass",
        about="return a tensor whose shape, dtype and arithmetic lie",
        answers=instead_of_logsumexp("""
class Liar(torch.Tensor):
    @property
    def shape(self): return torch.Size([4])
    @property
    def dtype(self): return torch.float64
    def __sub__(self, other): return torch.zeros(4)
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if func in (torch.isclose, torch.eq): return torch.ones(4, dtype=torch.bool)
        return super().__torch_function__(func, types, args, kwargs or {})

def logsumexp(x, dim, keepdim=False):
    return naive(x, dim, keepdim).as_subclass(Liar)
"""),
        spoils_itself=True,
    ),
    Attack(
        number=25,
        name="pickle",
        about="send what would run code where it is unpickled",
        answers=instead_of_logsumexp("""
import io, pickle, numpy as np
class Bomb:
    def __reduce__(self):
        import os
        return os.system, ("touch {{course}}/owned",)

def logsumexp(x, dim, keepdim=False):
    if keepdim:
        return np.array([Bomb()], dtype=object)
    file = io.BytesIO()
    pickle.dump(Bomb(), file)
    return file.getvalue() if x.ndim > 2 else [Bomb(), pickle.dumps(Bomb())]
"""),
        spoils_itself=True,
    ),
    Attack(
        number=26,
        name="daemon",
        about="leave a detached daemon behind that edits the gradebook later",
        after="""
import os, signal, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open("/proc/self/comm", "w").write("{{process}}")
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        while True:
            time.sleep(0.2)
            for place in ("{{course}}/gradebook.db", "/tmp/daemon-was-here"):
                try:
                    open(place, "a").write("100")
                except OSError:
                    pass
    os._exit(0)
os.wait()
""",
    ),
    Attack(
        number=27,
        name="worker-rewritten",
        about="trace, profile and rewrite the code that answers the host",
        after="""
import gc, sys
sys.settrace(lambda *_: None)
sys.setprofile(lambda *_: None)
modules = [module for name, module in sys.modules.items() if name.startswith("grader")]
for module in modules:
    for name, value in list(vars(module).items()):
        if name in ("Snapshot", "Surroundings", "Meter", "enforced"):
            setattr(module, name, lambda *args, **kwargs: None)
worker = sys.modules.get("grader.guest.worker")
if worker is not None:
    worker.Worker.do_call.__code__ = (lambda self, function, *args, options, kwargs: "PASS").__code__
print("REWROTE", len(modules))
""",
        spoils_itself=True,
    ),
    *(
        Attack(
            number=28 if "nan" not in name else 29,
            name=name,
            about=f"return {name} where a number is due",
            answers=instead_of_logsumexp(f"def logsumexp(x, dim, keepdim=False):\n    return {code}\n"),
            spoils_itself=True,
        )
        for name, code in (
            ("an-empty-list", "[]"),
            ("a-shorter-list", "list(naive(x, dim, keepdim))[:1]"),
            ("a-0-d-tensor", "naive(x, dim, keepdim).sum()"),
            ("an-empty-tensor", "torch.empty(0, dtype=x.dtype)"),
            ("an-extra-dimension", "naive(x, dim, keepdim)[None]"),
            ("a-broadcast-row", "naive(x, dim, keepdim).flatten()[:1].expand_as(naive(x, dim, keepdim))"),
            ("nan", "naive(x, dim, keepdim) * float('nan')"),
            ("nan-and-inf", "naive(x, dim, keepdim) + float('inf')"),
        )
    ),
    Attack(
        number=30,
        name="mutated-inputs",
        about="change the input so that a later reference agrees",
        answers=instead_of_logsumexp("""
def logsumexp(x, dim, keepdim=False):
    with torch.no_grad():
        x.zero_()
    return naive(x, dim, keepdim)
"""),
        spoils_itself=True,
    ),
    Attack(
        number=31,
        name="am-i-graded",
        about="behave better when it is being graded",
        after="""
import os, sys
GRADED = "grader.guest.worker" in sys.modules or os.getpid() == 1 or os.environ.get("USER") == "student"
if GRADED:
    print("GRADED")
    open("solved", "w").write("yes")
""",
    ),
    Attack(
        number=32,
        name="patched-randomness",
        about="make random inputs known",
        before="""
import random, torch, numpy as np
torch.manual_seed = lambda seed: None
torch.randn = lambda *shape, **options: torch.zeros(*shape)
torch.rand = torch.randn
torch.Generator.manual_seed = None if False else torch.Generator.manual_seed
np.random.seed = lambda seed: None
random.seed = lambda seed=0: None
""",
    ),
    Attack(
        number=33,
        name="global-numerics",
        about="change default dtype, grad mode, threads and flags for everybody",
        after="""
import torch
torch.set_default_dtype(torch.float16)
torch.set_grad_enabled(False)
torch.set_num_threads(64)
torch.use_deterministic_algorithms(True)
torch.autograd.set_detect_anomaly(True)
torch.set_printoptions(precision=0)
""",
        spoils_itself=True,
    ),
    *(
        Attack(
            number=34,
            name=f"frame-{name}",
            about=f"answer a check with a frame that is {name}",
            answers=instead_of_logsumexp(
                FIND_WALL
                + FORGED
                + f"""
def logsumexp(x, dim, keepdim=False):
    for fd in walls + list(range(3, 12)):
        try:
            socket.socket(fileno=os.dup(fd)).sendall({frame})
        except (OSError, ValueError):
            pass
    return naive(x, dim, keepdim)
"""
            ),
            spoils_itself=True,
            record=("VIOLATION|TIMEOUT|CRASH",),
        )
        for name, frame in FRAMES.items()
    ),
]
