"""GPUs for guests, as far as it can be told without one: what is found, what is handed over, who is over a limit."""

import os
import shutil
import subprocess
import time
import types
from pathlib import Path

import pytest
import torch
from in_process import notebook

from grader.checks import close, on
from grader.checks.run import run_checks
from grader.errors import SandboxUnavailable
from grader.guest import gpu as inside
from grader.guest.confine import limit_resources
from grader.guest.wire import WANTED_DEVICE, Encoder
from grader.marker import _sandbox
from grader.model import CheckSpec, Verdict, Visibility
from grader.sandbox import gpu_watch, gpus
from grader.sandbox.base import Capability, Exit, ExitCause, Limits
from grader.sandbox.bubblewrap import _command
from grader.sandbox.filesystem import relocated
from grader.sandbox.gpu_watch import CONTEXT_BYTES, GpuWatch, added_up, is_over
from grader.sandbox.gpus import Gpu, NoGpu, bind_arguments, discover, environment, wanted
from grader.sandbox.unsandboxed import UnsandboxedSandbox
from grader.wall.faults import OutOfGpuMemory, raised
from grader.wall.host import fault_of_exit
from grader.wall.session import Budget, CodeCell, Session

GIB = 1 << 30
ROOT = Path(__file__).resolve().parents[2]
CACHE = """\
1205 libs found in cache `/etc/ld.so.cache'
	libcudart.so.12 (libc6,x86-64) => /usr/local/cuda/lib64/libcudart.so.12
	libcuda.so.1 (libc6,x86-64) => /usr/lib/x86_64-linux-gnu/libcuda.so.1
	libcuda.so (libc6,x86-64) => /usr/lib/x86_64-linux-gnu/libcuda.so
"""
SMI = """\
0, GPU-5b1c2a8e-0000-1111-2222-333344445555, NVIDIA H200, 580.159.03, 143771
1, GPU-9d0e7f66-0000-1111-2222-333344445555, NVIDIA A100-SXM4-40GB, 580.159.03, [N/A]
"""
NODES = ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset")
FOUND = Gpu(visible="0", nodes=("/dev/nvidia0", "/dev/nvidiactl"), libraries=("/opt/nvidia/lib64",))


@pytest.fixture
def machine(tmp_path):
    """A machine: its folder of nodes, and a driver in a folder that only LD_LIBRARY_PATH names."""
    dev, driver = tmp_path / "dev", tmp_path / "driver"
    for folder in (dev, driver, dev / "nvidia-caps"):
        folder.mkdir()
    for name in NODES:
        (dev / name).touch()
        (dev / name).chmod(0o666)
    (driver / "libcuda.so.1").touch()

    def look(*, without=(), cache="", smi=SMI, **variables):
        for name in without:
            (dev / name).unlink()
        environ = {"LD_LIBRARY_PATH": f"/nowhere:{driver}", **variables}
        return discover(dev=str(dev), environ=environ, cache=cache, smi=smi)

    look.dev, look.driver = dev, driver
    return look


# What is found.


def test_a_gpu_is_found_with_all_that_it_needs(machine):
    """Nodes of the GPUs, of the driver and of its capabilities, but none that CUDA does not need; name and memory."""
    found = machine()
    names = ("nvidia-caps", "nvidia-uvm", "nvidia-uvm-tools", "nvidia0", "nvidia1", "nvidiactl")
    assert found.nodes == tuple(str(machine.dev / name) for name in names)
    assert (found.visible, found.name, found.driver) == ("0", "NVIDIA H200", "580.159.03")
    assert found.memory_bytes == 143771 << 20
    assert found.libraries == (str(machine.driver),)


def test_the_first_visible_gpu_is_used(machine):
    """The user's CUDA_VISIBLE_DEVICES chooses, by number or by the beginning of a UUID; what is not told stays open."""
    second = machine(CUDA_VISIBLE_DEVICES="1,0")
    assert (second.visible, second.name, second.memory_bytes) == ("1", "NVIDIA A100-SXM4-40GB", None)
    assert machine(CUDA_VISIBLE_DEVICES="GPU-9d0e").name == "NVIDIA A100-SXM4-40GB"
    assert machine(smi="").name == "NVIDIA GPU"


@pytest.mark.parametrize("hidden", ["", "-1", "NoDevFiles"])
def test_a_hidden_gpu_is_none(machine, hidden):
    """Who hides the GPUs from the grader hides them from guests."""
    found = machine(CUDA_VISIBLE_DEVICES=hidden)
    assert found.what == f"CUDA_VISIBLE_DEVICES is set to {hidden!r}, which hides all GPUs"
    assert found.remedy == "unset CUDA_VISIBLE_DEVICES"


def test_a_machine_without_a_gpu_says_so(machine):
    """Without a node of a GPU, or of its driver, there is none."""
    found = machine(without=("nvidiactl",))
    assert found.what == f"there is no NVIDIA GPU in {machine.dev}"
    assert found.remedy == "a machine with an NVIDIA GPU and its driver; inside a container: docker run --gpus all"


def test_a_missing_uvm_node_is_told_with_its_remedy(machine):
    """CUDA cannot start without it, and a guest could not make it."""
    found = machine(without=("nvidia-uvm",))
    assert found.what == f"there is no {machine.dev}/nvidia-uvm, without which CUDA cannot start"
    assert found.remedy == "sudo nvidia-modprobe -u -c 0"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's guests are another user")
def test_a_node_that_guests_may_not_open_is_told(machine):
    """Root's guests are nobody: a node must be open to everybody."""
    (machine.dev / "nvidia0").chmod(0o660)
    found = machine()
    assert found.what == f"guests may not use {machine.dev}/nvidia0"
    assert found.remedy.endswith(f"sudo chmod a+rw {machine.dev}/nvidia0")


def test_a_missing_driver_library_is_told(machine):
    """Nodes alone are not enough."""
    found = machine(LD_LIBRARY_PATH="/nowhere")
    assert found.what == "the driver's library libcuda.so.1 is not found"


def test_libraries_that_the_linker_knows_need_no_variable(machine, monkeypatch):
    """What the cache names in a system folder is found by itself; naming the folder would hide CUDA's own libraries."""
    real = os.path.exists
    monkeypatch.setattr(os.path, "exists", lambda path: "x86_64-linux-gnu/libcuda" in str(path) or real(path))
    assert machine(cache=CACHE).libraries == ()


def test_libraries_outside_the_system_are_named(machine):
    """A cache that names a folder which guests do not see: it is bound, and named."""
    cache = f"\tlibcuda.so.1 (libc6,x86-64) => {machine.driver}/libcuda.so.1\n"
    assert machine(cache=cache, LD_LIBRARY_PATH="").libraries == (str(machine.driver),)


def test_this_machine_has_one_or_says_why_not():
    """Whatever this machine has, the answer can be used."""
    found = gpus.find()
    assert found.nodes if isinstance(found, Gpu) else found.what and found.remedy


# Who gets it.


def order(gpu):
    return types.SimpleNamespace(gpu=gpu, name="cnn", preload=())


def test_a_run_that_requires_a_gpu_does_not_begin_without_one(monkeypatch):
    """The error comes before any sandbox is made; a run that only prefers one goes on, and its limits name no GPU."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(gpus, "find", lambda: NoGpu(what="there is none", remedy="get one"))
    with pytest.raises(SandboxUnavailable, match=r"^course\.yaml cnn\.gpu: a GPU is required"):
        _sandbox("none", order("required"), Limits(gpu_memory_bytes=GIB))
    sandbox, limits, gpu = _sandbox("none", order("preferred"), Limits(gpu_memory_bytes=GIB))
    assert (sandbox._gpu, limits.gpu_memory_bytes, gpu) == (None, None, None)


def test_a_run_that_gets_a_gpu_says_so(monkeypatch):
    """Sandbox, limits and the record's hardware tell of the same GPU; this process sees none from then on."""
    from grader.pipeline import hardware

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(gpus, "find", lambda: FOUND)
    sandbox, limits, gpu = _sandbox("none", order("preferred"), Limits(gpu_memory_bytes=GIB))
    assert (sandbox._gpu, limits.gpu_memory_bytes, gpu) == (FOUND, GIB, FOUND)
    assert hardware(gpu).gpu == "NVIDIA GPU, driver unknown"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""
    assert _sandbox("none", order("never"), Limits(gpu_memory_bytes=GIB))[2] is None


def test_a_backend_that_cannot_hand_it_over(monkeypatch):
    """Required: the backend's own reason and remedy; preferred: on without."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(gpus, "find", lambda: FOUND)
    line = Capability(id="gpu", holds=False, how="the engine cannot", remedy="configure it")
    monkeypatch.setattr(UnsandboxedSandbox, "capabilities", lambda self: (line,))
    with pytest.raises(SandboxUnavailable) as error:
        _sandbox("none", order("required"), Limits(gpu_memory_bytes=GIB))
    assert error.value.what == "a GPU is required, and guests can have none here: the engine cannot"
    assert error.value.remedy == "configure it; `gpu: preferred` marks without one"
    assert _sandbox("none", order("preferred"), Limits(gpu_memory_bytes=GIB))[2] is None


def test_an_assignment_gets_what_it_asks_for():
    """never: none, even where there is one; preferred: where there is one; required: or an error."""
    none = NoGpu(what="there is no NVIDIA GPU in /dev", remedy="a machine with one")
    assert [wanted(gpu, "cnn", FOUND) for gpu in ("never", "preferred", "required")] == [None, FOUND, FOUND]
    assert [wanted(gpu, "cnn", none) for gpu in ("never", "preferred")] == [None, None]
    with pytest.raises(SandboxUnavailable) as error:
        wanted("required", "cnn", none)
    assert str(error.value) == (
        "course.yaml cnn.gpu: a GPU is required, and guests can have none here: there is no NVIDIA GPU in /dev\n"
        "  → a machine with one; `gpu: preferred` marks without one"
    )
    assert error.value.exit_code == 5


def test_bubblewrap_binds_devices_and_libraries():
    """Devices as devices, the driver's folder read-only; parents of what is bound are made before it."""
    arguments = bind_arguments(FOUND)
    assert arguments[:6] == [
        "--dev-bind",
        "/dev/nvidia0",
        "/dev/nvidia0",
        "--dev-bind",
        "/dev/nvidiactl",
        "/dev/nvidiactl",
    ]
    bound = [(kind, place) for kind, place in zip(arguments, arguments[2:], strict=False) if kind == "--ro-bind"]
    assert ("--ro-bind", "/opt/nvidia/lib64") in bound
    assert arguments.index("/opt/nvidia") < arguments.index("/opt/nvidia/lib64")
    assert all(place.startswith(("/opt/nvidia/", "/sys/")) for _, place in bound)
    assert not [place for _, place in bound if place in ("/sys", "/sys/devices", "/sys/kernel", "/sys/fs")]


def test_a_driver_below_usr_is_not_bound_again():
    """/usr is there already, with all that is mounted in it."""
    gpu = Gpu(visible="0", nodes=(), libraries=("/usr/local/nvidia/lib64",))
    assert "/usr/local/nvidia/lib64" not in bind_arguments(gpu)
    assert environment(gpu)["LD_LIBRARY_PATH"] == "/usr/local/nvidia/lib64"


def test_a_driver_below_tmp_lies_elsewhere_inside():
    """A guest's own /tmp would cover it."""
    gpu = Gpu(visible="0", nodes=(), libraries=("/tmp/driver/lib",))
    arguments = bind_arguments(gpu)
    at = arguments.index("--ro-bind")
    assert arguments[at + 1 : at + 3] == ["/tmp/driver/lib", "/outside/tmp/driver/lib"]
    assert environment(gpu, place=relocated)["LD_LIBRARY_PATH"] == "/outside/tmp/driver/lib"


def test_without_a_gpu_nothing_is_handed_over():
    """No device, nothing of /sys, and a variable that hides what might be there all the same."""
    assert bind_arguments(None) == []
    assert environment(None) == {"CUDA_VISIBLE_DEVICES": ""}


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="no bubblewrap here")
def test_the_command_line_has_it_only_when_it_is_wanted(tmp_path):
    """The devices stand behind the new /dev, and before it is closed to writing."""
    arguments = _command(tmp_path, worker_folder=None, modules=(), gpu=FOUND)
    assert (
        arguments.index("--dev")
        < arguments.index("/dev/nvidia0")
        < arguments.index("--remount-ro", arguments.index("/dev/nvidia0"))
    )
    assert arguments[arguments.index("CUDA_VISIBLE_DEVICES") + 1] == "0"
    assert arguments[arguments.index("LD_LIBRARY_PATH") + 1] == "/opt/nvidia/lib64"
    without = _command(tmp_path, worker_folder=None, modules=())
    assert not [word for word in without if "nvidia" in word and word.startswith("/dev")]
    assert without[without.index("CUDA_VISIBLE_DEVICES") + 1] == ""


def test_the_grader_itself_sees_no_gpu(monkeypatch):
    """The process that is forked for each submission is kept away from CUDA."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    gpus.hide()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""


def test_docker_is_asked_for_one_gpu():
    """The request names the run's GPU, and the driver's libraries for computing."""
    pytest.importorskip("docker")
    from grader.sandbox.docker_pool import _devices

    assert _devices(None) is None
    (request,) = _devices("1")
    assert request["DeviceIDs"] == ["1"]
    assert request["Capabilities"] == [["gpu", "compute", "utility"]]


def test_an_engine_without_nvidias_runtime_hands_nothing_over():
    """The line about the GPU is by what the engine says of itself."""
    pytest.importorskip("docker")
    from grader.sandbox.docker import _through

    line = Capability(id="gpu", holds=True, how="NVIDIA H200")
    assert _through({"Runtimes": {"runc": {}, "nvidia": {}}}, line) == line
    refused = _through({"Runtimes": {"runc": {}}}, line)
    assert not refused.holds
    assert refused.remedy.startswith("install nvidia-container-toolkit")


# Who is over the limit.


def test_memory_is_added_up_by_process():
    """Over devices; once for a process that both computes and draws; what is not told is left out."""
    first = [(10, 2 * GIB), (10, 2 * GIB), (11, GIB)]
    second = [(10, GIB), (12, None)]
    assert added_up([first, second]) == {10: 3 * GIB, 11: GIB}


def test_a_tree_is_over_when_its_processes_together_are():
    """CUDA itself has room once; processes of others do not count; no limit, no verdict."""
    used = {10: 3 * GIB, 11: 3 * GIB, 99: 100 * GIB}
    assert not is_over(used, [9, 10], 2 * GIB)
    assert is_over(used, [9, 10], 2 * GIB - 1)
    assert not is_over(used, [9, 10, 11], 5 * GIB)
    assert is_over(used, [9, 10, 11], 5 * GIB - 1)
    assert not is_over(used, [10], None)
    assert not is_over({}, [10], 0)
    assert CONTEXT_BYTES == GIB


NVML = """
import os, time, types
class NVMLError(Exception): pass
def nvmlInit(): pass
def nvmlDeviceGetCount(): return 2
def nvmlDeviceGetHandleByIndex(index): return index
def nvmlDeviceGetComputeRunningProcesses(index):
    told = {10: 1 << 30, 11 + index: None}
    return [types.SimpleNamespace(pid=pid, usedGpuMemory=held) for pid, held in told.items()]
def nvmlDeviceGetGraphicsRunningProcesses(index):
    raise NVMLError("not supported")
"""


def test_the_watching_process_writes_what_nvml_tells(tmp_path, monkeypatch):
    """With a stand-in for the module: the process starts, adds up, goes on, and is gone when it is closed."""
    (tmp_path / "pynvml.py").write_text(NVML)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setattr(gpu_watch, "obstacle", gpu_watch.obstacle.__wrapped__)
    assert gpu_watch.obstacle() is None
    watch = GpuWatch(tmp_path)
    deadline = time.monotonic() + 30
    while watch.used() != {10: 2 * GIB}:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    pid = watch._process.pid
    watch.close()
    assert not Path(f"/proc/{pid}").exists()


def test_nvml_that_does_not_answer_is_told(tmp_path, monkeypatch):
    """A driver that is not loaded: the memory is not watched, and doctor says why."""
    (tmp_path / "pynvml.py").write_text("def nvmlInit(): raise OSError('Driver Not Loaded')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = gpu_watch.obstacle.__wrapped__()
    assert found.what == "its memory is not watched from outside: OSError: Driver Not Loaded"


def test_the_watch_reads_what_was_written_lately(tmp_path, monkeypatch):
    """An answer that is old, torn or missing tells of nothing."""
    monkeypatch.setattr(gpu_watch, "obstacle", lambda: NoGpu(what="", remedy=""))
    watch = GpuWatch(tmp_path)
    assert watch.used() == {}
    gpu_watch._write(tmp_path, {10: GIB})
    assert watch.used() == {10: GIB}
    assert watch.is_over([10], 0) is False
    assert watch.is_over([10], 10) is False
    gpu_watch._write(tmp_path, {10: 3 * GIB})
    assert watch.is_over([10], GIB) is True
    (tmp_path / "gpu.json").write_text('{"at": -100.0, "used": {"10": 1}}')
    assert watch.used() == {}
    (tmp_path / "gpu.json").write_text('{"at"')
    assert watch.used() == {}
    watch.close()


def test_a_guest_over_its_limit_on_the_gpu_is_ended(monkeypatch):
    """The verdict is MEMORY, with a sentence that names the GPU."""
    fault = fault_of_exit(Exit(cause=ExitCause.GPU_MEMORY))
    assert fault.verdict is Verdict.MEMORY
    assert fault.rationale == "Your code used more memory on the GPU than it may."


def test_torchs_own_error_about_memory_is_memory():
    """Before the watch acts, torch says so itself; not a RuntimeError of the student's."""
    fault = raised({"type": "torch.OutOfMemoryError", "mro": ["RuntimeError"], "message": "CUDA out of memory."})
    assert type(fault) is OutOfGpuMemory
    assert fault.verdict is Verdict.MEMORY
    assert fault.rationale == "Your code ran out of memory on the GPU here."


@pytest.mark.parametrize(("second", "verdict"), [(None, Verdict.PASS), (OutOfGpuMemory("full"), Verdict.MEMORY)])
def test_a_check_that_found_the_gpu_full_is_run_once_more(second, verdict):
    """Somebody else may have filled it; who runs out of memory again has used too much."""
    tries = [(Verdict.MEMORY, OutOfGpuMemory("full"), ""), (second.verdict if second else Verdict.PASS, second, "")]
    spec = CheckSpec(
        id="cnn:test_a", exercise="cnn", points=1.0, line="a works.", visibility=Visibility.HIDDEN, gate=False
    )
    runner = types.SimpleNamespace(run=lambda *_: tries.pop(0))
    checks = [types.SimpleNamespace(spec=spec, policy=None)]
    walls = iter(types.SimpleNamespace(measurements=[], computed_s=lambda: 0.0) for _ in range(2))
    (result,) = run_checks(types.SimpleNamespace(checks=checks, runner=runner), lambda *_: next(walls), 1)
    assert (result.verdict, result.attempts, tries) == (verdict, 2, [])


# Inside.


def test_asking_whether_there_is_a_gpu_asks_no_driver(monkeypatch):
    """The variable decides: a question to the driver would keep every fork from using the GPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: pytest.fail("the driver was asked"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert not inside.is_handed_over()
    assert not inside.is_in_use()
    inside.seed_later(1)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert inside.is_handed_over()
    assert not inside.is_in_use()
    inside.settle()
    assert inside.failed_for_good() is None


def test_a_process_that_holds_the_drivers_devices_uses_the_gpu(monkeypatch, tmp_path):
    """Whoever has asked the driver for anything holds its devices open."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    real = os.readlink
    with (tmp_path / "node").open("w") as node:
        mine = f"/proc/self/fd/{node.fileno()}"
        monkeypatch.setattr(os, "readlink", lambda path: "/dev/nvidiactl" if path == mine else real(path))
        assert inside.is_in_use()
        monkeypatch.setattr(os, "readlink", real)
        assert not inside.is_in_use()


def test_the_cap_waits_until_cuda_starts(monkeypatch):
    """The fraction is of the memory that CUDA then tells, and never more than all."""
    calls, fractions = [], []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(torch.cuda, "_lazy_call", calls.append)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (8 * GIB, 16 * GIB))
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", fractions.append)
    inside.cap_later(None)
    assert calls == []
    inside.cap_later(4 * GIB)
    inside.cap_later(32 * GIB)
    for call in calls:
        call()
    assert fractions == [0.25, 1.0]


def test_an_error_that_stays_is_told(monkeypatch):
    """After a failed assertion on the device every later call raises: what CUDA says, in one line."""

    def fails():
        raise RuntimeError("CUDA error: device-side assert triggered\nCompile with `TORCH_USE_CUDA_DSA`")

    monkeypatch.setattr(inside, "_has_started", lambda: True)
    monkeypatch.setattr(inside, "_synchronize", fails)
    assert inside.failed_for_good() == "CUDA error: device-side assert triggered"


def test_address_space_is_not_limited_where_there_is_a_gpu(monkeypatch):
    """CUDA reserves more of it than any limit would allow; without a GPU it stays bounded."""
    import resource

    def limits(**settings):
        found = {}
        monkeypatch.setattr(resource, "setrlimit", lambda which, pair: found.update({which: pair[0]}))
        limit_resources(cpu_s=1, memory_bytes=GIB, processes=None, file_bytes=1, open_files=64, **settings)
        return found

    assert resource.RLIMIT_AS in limits()
    on_gpu = limits(gpu=True)
    assert resource.RLIMIT_AS not in on_gpu
    assert on_gpu[resource.RLIMIT_CPU] == 3


def test_the_warm_process_does_no_backward_pass_where_there_is_a_gpu(monkeypatch):
    """torch's autograd would start a thread for each GPU in the process that all guests are forked from."""
    from grader.guest import newborn

    done = []
    monkeypatch.setattr(torch.Tensor, "backward", lambda self: done.append(1))
    newborn._exercise_torch(backward=False)
    assert done == []
    newborn._exercise_torch(backward=True)
    assert done == [1, 1, 1]


# Checks.


def test_on_the_cpu_nothing_happens():
    """The same check runs with and without a GPU."""
    x = torch.ones(2)
    assert on(torch.device("cpu"), x) is x
    assert not hasattr(x, WANTED_DEVICE)


def test_a_tensor_for_the_gpu_travels_with_its_device():
    """The bytes are the CPU's; the JSON says where they belong."""
    x = on(torch.device("cuda"), torch.ones(2))
    encoder = Encoder(lambda value: {}, lambda tensor, what: None)
    assert encoder.encode([x, x + 1]) == {"l": [{"t": 0, "v": "cuda"}, {"t": 1}]}
    assert x.device.type == "cpu"


def test_where_no_gpu_is_such_a_tensor_stays_on_the_cpu():
    """Values, and gradients through the call, are what they are without it."""
    with notebook("def f(x):\n    return (x * x).sum()") as wall:
        from grader.wall.host import Student

        x = on(torch.device("cuda"), torch.arange(3.0, requires_grad=True))
        y = Student(wall).f(x)
        y.backward()
        close(y, torch.tensor(5.0))
        assert x.grad.tolist() == [0.0, 2.0, 4.0]
        assert wall.device == torch.device("cpu")


def test_a_cell_after_which_the_gpu_is_lost_is_left_out(monkeypatch):
    """The guest ends, and the rest of the notebook is run without that cell."""
    session = Session(sandbox=None, limits=Limits(), budget=Budget())
    answer = {"status": "raised", "gpu_failed": "CUDA error: an illegal memory access was encountered"}
    session._base = types.SimpleNamespace(
        extend=lambda *_, **__: None, request=lambda *_, **__: (answer, {}), interrupted=False
    )
    result, alive = session._run(CodeCell(index=3, source="boom()"), 10.0)
    assert not alive
    assert result.status == "crash"
    assert result.note == (
        "After this cell the GPU could be used no more (CUDA error: an illegal memory access was encountered). "
        "The cell was left out, and the rest of the notebook was run without it."
    )


def test_the_check_script_ends_at_once_without_a_gpu():
    """Nothing is checked, and the exit status says so."""
    if list(Path("/dev").glob("nvidia[0-9]*")):
        pytest.skip("there is a GPU: the script would run")
    done = subprocess.run(
        ["bash", str(ROOT / "scripts" / "gpu_check.sh")], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (2, "no GPU: nothing was checked\n")
