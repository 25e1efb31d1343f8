"""What a guest can reach: files, network, processes, privileges, system calls, devices, environment."""

from __future__ import annotations

import contextlib
import os
import platform
import socket
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grader.guest.seccomp import ARCHITECTURES
from grader.sandbox.conformance.bench import LIMITS, SECRET, ask
from grader.sandbox.conformance.case import case, cases_of, expect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grader.sandbox.conformance.bench import Bench

__all__ = ["CASES"]

_ROOM = 8 << 30
"""Memory for a guest that starts CUDA: a first gradient does, where there is a GPU."""
KNOWN = (
    "sandbox",
    "namespaces",
    "filesystem",
    "network",
    "privileges",
    "seccomp",
    "memory",
    "cpu",
    "processes",
    "wall-time",
    "disk",
    "inodes",
    "gpu",
)
"""What every backend must speak about."""


@case()
def capabilities_are_told(bench: Bench) -> None:
    """Every capability has one line that says what enforces it here, or why nothing can; before a start, too."""
    lines = bench.make().capabilities()
    names = [line.id for line in lines]
    missing = [name for name in KNOWN if names.count(name) != 1]
    expect(not missing, f"capabilities() must have one line about each of {', '.join(missing)}")
    for line in lines:
        expect(line.how.strip(), f"the line about {line.id} does not say how")
    expect(lines == bench.sandbox.capabilities(), "capabilities() says something else once the sandbox is started")


@case()
def torch_is_there_and_warm(bench: Bench) -> None:
    """A guest answers with torch imported, one thread, and a gradient that flows."""
    answer = ask(
        guest := bench.spawn(memory_bytes=_ROOM if bench.holds("gpu") else LIMITS.memory_bytes),
        """
        import os, sys
        warm = [name for name in ("torch", "numpy", "IPython.core.interactiveshell") if name not in sys.modules]
        import torch
        threads = len(os.listdir("/proc/self/task"))  # a first gradient starts one for each GPU
        x = torch.ones(3, requires_grad=True)
        x.softmax(0)[0].backward()
        out = [warm, torch.get_num_threads(), threads, round(x.grad.sum().item(), 6)]
        """,
    )
    expect(answer == [[], 1, 1, 0.0], f"modules not imported, torch's threads, threads, sum of gradients: {answer!r}")
    expect(guest.poll() is None, "the guest ended after its first answer")


@case()
def ordinary_python_works(bench: Bench) -> None:
    """Threads, subprocesses, temporary files, terminals and shared tensors work as anywhere."""
    answer = ask(
        bench.spawn(),
        """
        import os, pty, subprocess, tempfile, threading, multiprocessing.shared_memory as shared
        out = []
        thread = threading.Thread(target=out.append, args=("thread",)); thread.start(); thread.join()
        out.append(subprocess.run(["/bin/echo", "hello"], capture_output=True, text=True).stdout.strip())
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"x" * 1000)
        with open(os.path.expanduser("~/note"), "w") as file:
            file.write("note")
        os.unlink(os.path.expanduser("~/note"))
        memory = shared.SharedMemory(create=True, size=4096); memory.close(); memory.unlink()
        a, b = pty.openpty(); os.close(a); os.close(b)
        import torch
        torch.zeros(10).share_memory_()
        out.append("end")
        """,
    )
    expect(answer == ["thread", "hello", "end"], f"what students do every day does not work: {answer!r}")


@case()
def no_environment_of_the_host(bench: Bench) -> None:
    """Variables of the process that grades are not passed on, not even through /proc; a home and a TMPDIR are there."""
    answer = ask(
        bench.spawn(),
        """
        import os
        out = [sorted(os.environ), b"SECRET" in open("/proc/self/environ", "rb").read(), os.getcwd(),
               os.environ.get("HOME"), os.environ.get("OMP_NUM_THREADS"), os.environ.get("PYTHONHASHSEED")]
        """,
    )
    names, is_leaked, folder, home, threads, seed = answer
    expect(SECRET not in names, f"a variable of the host's is in the guest's os.environ: {SECRET}")
    expect(not is_leaked, "a variable of the host's is in the guest's /proc/self/environ")
    expect(folder == home, f"a guest begins in its home folder {home!r}, and not in {folder!r}")
    expect(threads == "1", f"OMP_NUM_THREADS must be 1 in a guest, and is {threads!r}")
    expect(seed == "0", f"PYTHONHASHSEED must be 0, so that a mark can be replayed, and is {seed!r}")


@case()
def the_wall_is_the_only_descriptor(bench: Bench) -> None:
    """A guest holds one socket, the wall, and no file or folder of the host's."""
    answer = ask(
        bench.spawn(),
        """
        import os
        out = {}
        for fd in range(1024):
            try:
                out[fd] = os.readlink(f"/proc/self/fd/{fd}")
            except OSError:
                pass
        """,
    )
    kinds = [kind.partition(":")[0] for kind in answer.values()]
    expect(kinds.count("socket") == 1, f"one socket, the wall, may be open in a guest; open are {answer}")
    others = {fd: kind for fd, kind in answer.items() if not kind.startswith(("socket:", "/dev/null"))}
    strange = {fd: kind for fd, kind in others.items() if not (int(fd) < 3 and kind.startswith("pipe:"))}
    expect(not strange, f"descriptors besides the wall are open in a guest: {strange}")


@case(needs="filesystem")
def no_files_of_the_host(bench: Bench) -> None:
    """A file that everybody on the host may read is not there for a guest, by no path."""
    word = uuid.uuid4().hex
    bench.folder.chmod(0o755)
    places = [bench.folder / f"{word}.txt", Path("/dev/shm") / f"{word}.txt", Path("/var/tmp") / f"{word}.txt"]  # noqa: S108 - the host's
    with contextlib.ExitStack() as undo:
        made = []
        for place in places:
            with contextlib.suppress(OSError):
                place.write_text(word)
                undo.callback(place.unlink)
                made.append(str(place))
        made.append(str(Path(__file__).resolve()))
        answer = ask(
            bench.spawn(),
            """
            import os
            tops = ["", "/proc/1/root", "/proc/self/root", "/proc/self/cwd", "/proc/self/cwd/../../../../.."]
            out = [top + path for top in tops for path in made if os.path.lexists(top + path)]
            """,
            made=made,
        )
    expect(answer == [], f"a guest sees files of the host: {answer!r}")


@case(needs="filesystem")
def only_the_guest_package_is_importable(bench: Bench) -> None:
    """Of the grader a guest can import what runs in guests, and nothing else."""
    answer = ask(
        bench.spawn(),
        """
        import importlib
        out = []
        for name in ("grader.guest.worker", "grader.model", "grader.sandbox.base", "grader.errors", "grader.checks"):
            try:
                importlib.import_module(name)
                out.append(name)
            except ImportError:
                pass
        """,
    )
    expect(answer == ["grader.guest.worker"], f"of the grader a guest could import {answer!r}")


@case(needs="filesystem")
def only_its_own_folders_can_be_written(bench: Bench) -> None:
    """Every folder but the temporary one, /dev/shm and the home refuses a file, and so do the kernel's settings."""
    answer = ask(
        bench.spawn(),
        """
        import os, sys, tempfile
        import grader.guest.worker, line_worker, torch
        folders = ["/", "/usr", "/usr/lib", "/usr/local", "/bin", "/etc", "/dev", "/home", "/root", "/opt", "/srv",
                   "/mnt", "/var", "/run", "/sys", "/proc", sys.prefix, sys.base_prefix, os.path.dirname(os.__file__),
                   *(os.path.dirname(module.__file__) for module in (torch, line_worker, grader.guest.worker))]
        own = [tempfile.gettempdir(), "/dev/shm", os.environ["HOME"]]
        out = [[], []]
        for which, tops in enumerate((folders, own)):
            for top in tops:
                try:
                    path = os.path.join(top, "mark")
                    open(path, "w").close()
                    os.unlink(path)
                    out[which].append(top)
                except OSError:
                    pass
        for setting in ("/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/sysrq-trigger",
                        "/proc/sys/vm/drop_caches", "/sys/kernel/uevent_helper"):
            try:
                os.close(os.open(setting, os.O_WRONLY))
                out[0].append(setting)
            except OSError:
                pass
        out.append(own)
        """,
    )
    others, own, wanted = answer
    expect(others == [], f"a guest could write to {others!r}")
    expect(own == wanted, f"a guest must be able to write to {wanted!r}; it could only to {own!r}")


@case(needs="filesystem")
def no_devices_of_the_host(bench: Bench) -> None:
    """/dev holds no disk, no memory, no input and, without the capability, no GPU; none can be made."""
    answer = ask(
        bench.spawn(),
        """
        import os, stat
        out = []
        for folder, _, names in os.walk("/dev"):
            for path in (os.path.join(folder, name) for name in names):
                kind = os.lstat(path)
                if stat.S_ISBLK(kind.st_mode):
                    out.append(path)
                elif stat.S_ISCHR(kind.st_mode) and not os.path.ismount(path):
                    major, minor = os.major(kind.st_rdev), os.minor(kind.st_rdev)
                    harmless = (1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2)
                    if (major, minor) not in harmless and not 136 <= major <= 143:
                        out.append(path)
        try:
            os.mknod(os.path.join(os.environ["HOME"], "disk"), 0o600 | stat.S_IFBLK, os.makedev(8, 0))
            out.append("made")
        except OSError:
            pass
        """,
    )
    gpu = ("/dev/nvidia", "/dev/dri/", "/dev/kfd")
    strange = [path for path in answer if not (bench.holds("gpu") and path.startswith(gpu))]
    expect(not strange, f"a guest has devices of the host: {strange}")


@case(needs="gpu")
def a_gpu_is_handed_over(bench: Bench) -> None:
    """Where GPUs are said to be handed to guests, torch finds one, also in a second guest and after a fork."""
    source = """
        import os, torch
        reader, writer = os.pipe()
        if os.fork() == 0:
            x = torch.ones(2, requires_grad=True)
            (x.to("cuda") * torch.full((2,), 2.0).pin_memory().to("cuda")).sum().backward()
            os.write(writer, str(x.grad.sum().item()).encode())
            os._exit(0)
        out = [os.read(reader, 9).decode(), torch.ones(2, device="cuda").sum().item()]
        os.wait()
    """
    for _ in range(2):
        answer = ask(bench.spawn(memory_bytes=_ROOM), source)
        expect(answer == ["4.0", 2.0], f"the backend says that guests have a GPU; a guest says {answer!r}")


@case()
def no_gpu_unless_it_is_handed_over(bench: Bench) -> None:
    """A guest that gets no GPU is told so: CUDA_VISIBLE_DEVICES is empty."""
    visible = ask(bench.spawn(), "import os; out = os.environ.get('CUDA_VISIBLE_DEVICES')")
    is_told = visible is not None and (visible != "") == bench.holds("gpu")
    expect(is_told, f"a guest has CUDA_VISIBLE_DEVICES={visible!r}; without a GPU it must be empty, with one name it")


@case(needs="network")
def no_network(bench: Bench) -> None:
    """A guest has no interface but a loopback of its own, and reaches neither the world nor the host's services."""
    with _listening() as (port, abstract):
        answer = ask(
            bench.spawn(),
            """
            import socket
            out = [[line.split(":")[0].strip() for line in open("/proc/net/dev").readlines()[2:]], []]
            targets = [(socket.AF_INET, ("192.0.2.1", 80)), (socket.AF_INET6, ("2001:db8::1", 80)),
                       (socket.AF_INET, ("127.0.0.1", port)), (socket.AF_UNIX, chr(0) + abstract)]
            for family, address in targets:
                try:
                    with socket.socket(family) as tried:
                        tried.settimeout(5)
                        tried.connect(address)
                    out[1].append(str(address))
                except TimeoutError:
                    out[1].append(f"{address}: no answer, where there should be no way")
                except OSError:
                    pass
            """,
            port=port,
            abstract=abstract,
        )
    interfaces, reached = answer
    # Tunnels that the kernel puts into every new network namespace lead nowhere.
    strange = set(interfaces) - {"lo", "tunl0", "sit0", "ip6tnl0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0"}
    expect(not strange, f"a guest has network interfaces: {sorted(strange)}")
    expect(reached == [], f"a guest reached {reached}")


@contextlib.contextmanager
def _listening() -> Iterator[tuple[int, str]]:
    """Services on the host: a TCP port of its loopback, and the name of an abstract unix socket."""
    name = f"conformance-{uuid.uuid4().hex}"
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind("\0" + name)
        unix.listen()
        yield tcp.getsockname()[1], name


@case(needs="namespaces")
def namespaces_of_its_own(bench: Bench) -> None:
    """Process ids, mounts, network, IPC and host name are neither the host's nor another guest's."""
    kinds = ("pid", "mnt", "net", "ipc", "uts")
    source = "import os; out = {kind: os.readlink(f'/proc/self/ns/{kind}') for kind in kinds}"
    seen = [
        {kind: str(Path(f"/proc/self/ns/{kind}").readlink()) for kind in kinds},
        ask(bench.spawn(), source, kinds=kinds),
        ask(bench.spawn(), source, kinds=kinds),
    ]
    shared = [kind for kind in kinds if len({each[kind] for each in seen}) != len(seen)]
    expect(not shared, f"namespaces shared with the host or between guests: {shared}")
    answer = ask(bench.spawn(), "import os; out = os.uname().nodename")
    expect(answer != os.uname().nodename, "a guest sees the name of the host")


@case(needs="namespaces")
def only_its_own_processes(bench: Bench) -> None:
    """/proc lists the guest's processes only, and a signal to everyone reaches nobody else."""
    first, second = bench.spawn(), bench.spawn()
    mine = ask(first, "import os; out = [os.getpid(), sorted(int(n) for n in os.listdir('/proc') if n.isdigit())]")
    pid, seen = mine
    expect(pid in seen and len(seen) <= 3, f"process {pid} of a guest sees processes that are not its own: {seen}")
    here = str(Path("/proc/self/ns/pid").readlink())
    tell_all = """
    import os, signal
    if os.readlink("/proc/self/ns/pid") == here:
        out = "in the host's pid namespace"  # and would end the host
    else:
        try:
            os.kill(-1, signal.SIGKILL)
        except ProcessLookupError:
            pass
        out = "sent"
    """
    sent = ask(first, tell_all, here=here)
    expect(sent != "in the host's pid namespace", "a guest is in the host's pid namespace")
    expect(ask(second, "out = 1") == 1, "a signal of one guest's to everyone ended another guest")
    expect(ask(bench.spawn(), "out = 2") == 2, "after a signal to everyone no new guest can be had")


@case(needs="namespaces")
def guests_share_nothing(bench: Bench) -> None:
    """Files, shared memory, abstract sockets and terminals of one guest are not there for others, now or later."""
    leave = """
    import os, pty, socket, tempfile
    for folder in (tempfile.gettempdir(), "/dev/shm", os.environ["HOME"]):
        with open(folder + "/note", "w") as file:
            file.write("answers")
    channel = socket.socket(socket.AF_UNIX)
    channel.bind("\\0channel")
    channel.listen()
    terminal = pty.openpty()
    out = True
    """
    look = """
    import os, socket, tempfile
    tops = (tempfile.gettempdir(), "/dev/shm", os.environ["HOME"])
    out = [folder for folder in tops if "note" in os.listdir(folder)]
    try:
        socket.socket(socket.AF_UNIX).connect("\\0channel")
        out.append("abstract socket")
    except ConnectionRefusedError:
        pass
    out += [name for name in os.listdir("/dev/pts") if name != "ptmx"]
    """
    first, beside = bench.spawn(), bench.spawn()
    expect(ask(first, leave) is True, "a guest cannot leave files, sockets and terminals behind at all")
    expect((seen := ask(beside, look)) == [], f"a guest sees what another has made: {seen}")
    first.close()
    expect((seen := ask(bench.spawn(), look)) == [], f"a guest sees what an earlier one left: {seen}")


@case()
def changes_to_loaded_modules_stay(bench: Bench) -> None:
    """A patched torch is patched for its own guest only."""
    patched = ask(bench.spawn(), "import torch; torch.allclose = lambda *a, **k: True; out = torch.allclose(1, 2)")
    expect(patched is True, f"a guest cannot patch torch: {patched!r}")
    seen = ask(bench.spawn(), "import torch; out = torch.allclose(torch.ones(1), torch.zeros(1))")
    expect(seen is False, f"a later guest has the torch that an earlier one patched: {seen!r}")


@case(needs="privileges")
def no_privileges(bench: Bench) -> None:
    """A guest is an ordinary user, without capabilities, and cannot gain any."""
    answer = ask(
        bench.spawn(),
        """
        import os
        fields = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
        out = {"ids": [*os.getresuid(), *os.getresgid()], "NoNewPrivs": fields["NoNewPrivs"].strip(),
               **{name: int(fields[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}}
        """,
    )
    ids, no_new = answer.pop("ids"), answer.pop("NoNewPrivs")
    expect(0 not in ids, f"a guest is root: {ids}")
    expect(no_new == "1", "no_new_privs is not set in a guest")
    held = {name: hex(value) for name, value in answer.items() if value}
    expect(not held, f"a guest has capabilities: {held}")


@case(needs="privileges")
def root_cannot_be_had(bench: Bench) -> None:
    """Neither setuid, nor programs with the setuid bit, nor a user namespace make a guest root."""
    answer = ask(
        bench.spawn(),
        """
        import ctypes, os, subprocess
        out = []
        for change in (os.setuid, os.setgid):
            try:
                change(0)
                out.append(change.__name__)
            except OSError:
                pass
        for program in ("/usr/bin/su", "/usr/bin/sudo", "/usr/bin/newuidmap", "/usr/bin/passwd"):
            if os.path.exists(program):
                code = subprocess.run([program, "-c", "id"], stdin=subprocess.DEVNULL, capture_output=True).returncode
                out += [program] if code == 0 else []
        out += ["unshare"] if ctypes.CDLL(None).unshare(0x10000000) == 0 else []
        """,
    )
    expect(answer == [], f"a guest gained privileges by {answer!r}")


@case(needs="privileges")
def limits_cannot_be_raised(bench: Bench) -> None:
    """A guest can lower its own limits and never raise them."""
    answer = ask(
        bench.spawn(),
        """
        import resource
        out = []
        for name in ("NOFILE", "FSIZE", "CPU", "CORE", "MEMLOCK", "NPROC"):
            which = getattr(resource, "RLIMIT_" + name)
            hard = resource.getrlimit(which)[1]
            if hard == resource.RLIM_INFINITY:
                continue  # other means may bound it
            try:
                resource.setrlimit(which, (hard, hard + 1))
                out.append(name)
            except (ValueError, OSError):
                pass
        """,
    )
    expect(answer == [], f"a guest raised its limits: {answer!r}")


REFUSED = (
    *("unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "open_tree", "fsopen"),
    *("keyctl", "add_key", "request_key", "bpf", "perf_event_open", "userfaultfd", "io_uring_setup"),
    *("kexec_load", "init_module", "reboot", "swapon", "open_by_handle_at", "quotactl", "acct", "syslog", "vhangup"),
)
"""What every filter must refuse, whatever the arguments; a backend's own tests may ask for more."""


@case(needs="seccomp")
def forbidden_system_calls_are_refused(bench: Bench) -> None:
    """A filter is in force, and no class of system calls that students never need gets through to the kernel."""
    numbers = ARCHITECTURES[platform.machine()].numbers
    answer: dict[str, Any] = ask(
        bench.spawn(),
        """
        import ctypes, errno
        libc = ctypes.CDLL(None, use_errno=True)
        def call(number, *arguments):
            ctypes.set_errno(0)
            done = libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments))
            return errno.errorcode[ctypes.get_errno()] if done == -1 else "done"
        out = {name: call(number, *[0] * 6) for name, number in calls.items()}
        out["clone into a user namespace"] = call(clone, 0x10000000 | 17, 0, 0, 0, 0)
        out["a packet socket"] = call(socket_call, 17, 3, 0)
        status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
        out["filter"] = status["Seccomp"].strip()
        """,
        calls={name: numbers[name] for name in REFUSED},
        clone=numbers["clone"],
        socket_call=numbers["socket"],
    )
    expect(isinstance(answer, dict), f"the guest did not survive its system calls: {answer}")
    expect(answer.pop("filter") == "2", "no filter of system calls is in force in a guest")
    through = {name: got for name, got in answer.items() if got not in ("EPERM", "ENOSYS", "EACCES", "EAFNOSUPPORT")}
    expect(not through, f"system calls got through to the kernel: {through}")


CASES = cases_of(globals())
