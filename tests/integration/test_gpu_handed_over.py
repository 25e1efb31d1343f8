"""What a GPU's nodes, variables and watch are in real guests, with a stand-in for the GPU: no CUDA is needed for this.

The stand-in for a device is one that the host has and that no sandbox makes by itself.
"""

import functools
import os
import time
from pathlib import Path

import pytest

from grader.sandbox import gpu_watch
from grader.sandbox.base import ExitCause
from grader.sandbox.bubblewrap import BubblewrapSandbox, obstacle
from grader.sandbox.conformance import Bench
from grader.sandbox.conformance.bench import LIMITS, ask, end_of
from grader.sandbox.gpu_watch import CONTEXT_BYTES, STALE_S
from grader.sandbox.gpus import Gpu, NoGpu
from grader.sandbox.unsandboxed import UnsandboxedSandbox

DEVICES = [
    path for path in map(Path, ("/dev/fuse", "/dev/net/tun")) if path.exists() and path.stat().st_mode & 0o6 == 0o6
]
LIMIT = 1 << 30


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """Guests in bubblewrap that are handed a device and a folder with a library."""
    if obstacle() is not None or not DEVICES:
        pytest.skip(f"no bubblewrap sandbox here: {obstacle()}" if DEVICES else "no device to hand over")
    driver = Path.home() / f".grader-test-driver-{os.getpid()}" / "lib64"
    driver.mkdir(parents=True)
    (driver / "libcuda.so.1").write_text("a driver")
    gpu = Gpu(visible="0", nodes=(str(DEVICES[0]),), libraries=(str(driver),))
    try:
        with Bench(functools.partial(BubblewrapSandbox, gpu=gpu)) as made:
            yield made
    finally:
        (driver / "libcuda.so.1").unlink()
        driver.rmdir()
        driver.parent.rmdir()


def test_a_guest_finds_device_library_and_variables(bench):
    """The device can be opened, the library can be read, and nothing beside it or of the rest of /sys is there."""
    source = """
        import os, stat
        library = os.environ["LD_LIBRARY_PATH"]
        os.close(os.open(device, os.O_RDWR))
        out = [
            stat.S_ISCHR(os.stat(device).st_mode), os.stat(device).st_rdev, os.environ["CUDA_VISIBLE_DEVICES"],
            open(os.path.join(library, "libcuda.so.1")).read(), os.listdir(os.path.dirname(library)),
            os.path.exists("/sys/devices/system/cpu"), os.path.exists("/sys/kernel"), os.path.exists("/sys/fs"),
        ]
    """
    with bench.tidied():
        answer = ask(bench.spawn(), source, device=str(DEVICES[0]))
    cores = Path("/sys/devices/system/cpu").exists()
    assert answer == [True, DEVICES[0].stat().st_rdev, "0", "a driver", ["lib64"], cores, False, False]


def test_address_space_is_free_and_the_zygote_did_no_backward_pass(bench):
    """CUDA could reserve what it wants, and a guest has one thread."""
    source = """
        import os, resource
        out = [resource.getrlimit(resource.RLIMIT_AS)[0], len(os.listdir("/proc/self/task"))]
    """
    with bench.tidied():
        assert ask(bench.spawn(), source) == [-1, 1]


def test_a_guest_that_holds_too_much_is_ended_and_its_neighbour_is_not(monkeypatch):
    """What NVML would tell is written where the watch reads: the guest over its limit ends, with the cause."""
    monkeypatch.setattr(gpu_watch, "obstacle", lambda: NoGpu(what="a stand-in", remedy=""))
    gpu = Gpu(visible="", nodes=())
    with Bench(functools.partial(UnsandboxedSandbox, gpu=gpu)) as bench, bench.tidied():
        one, other = (bench.spawn(gpu_memory_bytes=LIMIT) for _ in range(2))
        child = ask(one, "import os, time\npid = os.fork()\nif pid == 0: time.sleep(1000)\nout = pid")
        folder = bench.sandbox._zygote.folder
        within = {one.pid: LIMIT, child: CONTEXT_BYTES, other.pid: CONTEXT_BYTES + LIMIT}
        gpu_watch._write(folder, within)
        time.sleep(3 * gpu_watch.LOOK_EVERY_S)
        assert one.poll() is None
        assert other.poll() is None
        gpu_watch._write(folder, within | {child: CONTEXT_BYTES + 1})
        assert end_of(one).cause is ExitCause.GPU_MEMORY
        assert ask(other, "out = 1") == 1
        assert STALE_S > gpu_watch.LOOK_EVERY_S


def test_the_line_about_the_gpu_says_whether_memory_is_watched(monkeypatch):
    """Handed over all the same, with what is missing and how to get it."""
    monkeypatch.setattr(gpu_watch, "obstacle", lambda: NoGpu(what="not watched", remedy="pip install nvidia-ml-py"))
    gpu = Gpu(visible="0", nodes=(), name="NVIDIA H200", driver="580.159.03")
    (line,) = [each for each in UnsandboxedSandbox(gpu=gpu).capabilities() if each.id == "gpu"]
    assert (line.holds, line.how) == (True, "NVIDIA H200, driver 580.159.03; not watched")
    assert line.remedy == "pip install nvidia-ml-py"
    assert LIMITS.gpu_memory_bytes is None
