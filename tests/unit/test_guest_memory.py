"""How the warm process is laid out and forked. Each test in a process of its own: there is no way back."""

import os
import subprocess
import sys

import pytest

WARM = """
import os, sys, threading
import torch
from grader.guest import memory

torch.set_num_threads(1)

def work():
    x = torch.linspace(-2, 2, 64, dtype=torch.float64).reshape(8, 8).requires_grad_()
    loss = torch.nn.functional.cross_entropy(torch.softmax(x @ x.T, 1), torch.arange(8))
    loss.backward()
    return float(loss.detach()), x.grad.sum().item()

def status_of(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""


def run(script: str) -> str:
    """What a process prints that runs this after ``WARM``."""
    alone = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", WARM + script], capture_output=True, text=True, timeout=300, check=False, env=alone
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_fork_computes_as_its_parent_does():
    """The child has the interpreter's lock, can start threads and fork again; both go on."""
    said = run("""
expected = work()
child = memory.fork()
if child == 0:
    found = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    grandchild = os.fork()
    if grandchild == 0:
        os._exit(7 if work() == expected else 8)
    os._exit(5 if found == [expected] and status_of(grandchild) == 7 else 6)
print(status_of(child), work() == expected)
""")
    assert said == "5 True"


@pytest.mark.parametrize(("threads", "hooks"), [(1, "no"), (2, "yes")])
def test_hooks_are_for_processes_with_threads(threads, hooks):
    """What the interpreter does for the locks of other threads is left out only where there are none."""
    said = run(f"""
asked = []
os.register_at_fork(after_in_child=lambda: asked.append(1))
over = threading.Event()
others = [threading.Thread(target=over.wait) for _ in range({threads} - 1)]
for other in others:
    other.start()
child = memory.fork()
if child == 0:
    os._exit(len(asked))
over.set()
print("yes" if status_of(child) else "no")
""")
    assert said == hooks


def test_a_failing_fork_is_an_os_error():
    """No process to be had: an error with the system's reason, as from ``os.fork``."""
    said = run("""
memory._libc.fork = lambda: memory.ctypes.set_errno(11) or -1
try:
    memory.fork()
except BlockingIOError as error:
    print(error.errno)
""")
    assert said == "11"


def test_code_in_huge_pages_does_what_it_did():
    """Results, exceptions from compiled code, and a second call; all of it in forks, too."""
    said = run("""
def places():
    for line in open("/proc/self/maps"):
        words = line.split()
        if words[1] == "r-xp" and len(words) == 5:
            low, high = (int(part, 16) for part in words[0].split("-"))
            yield from range(low, high, memory.HUGE_PAGE)

def raises():
    try:
        torch.ones(2) @ torch.ones(3)
    except RuntimeError as error:
        return str(error)

expected, message = work(), raises()
before = set(places())
moved = memory.gather_code()
assert moved == len(set(places()) - before), (moved, set(places()) - before)
assert (work(), raises()) == (expected, message)
assert memory.gather_code() == 0
child = memory.fork()
if child == 0:
    os._exit(3 if (work(), raises()) == (expected, message) else 4)
print(status_of(child), moved > 10)
""")
    if said == "3 False":
        pytest.skip("this kernel gathers no memory in huge pages")
    assert said == "3 True"
