"""What a forked zygote does to itself before it sees a student's first byte.

Theory of operation. The zygote forks a *keeper*; the keeper enters fresh namespaces (``enter_namespaces``) in which it
is the only user, and forks the guest's pid 1. That process, still holding the capabilities of its own new user
namespace, mounts its private file systems (``mount_private``), limits itself (``limit_resources``), gives every
capability up for good (``drop_privileges``), installs the system-call filter (``grader.guest.seccomp``) and, on the
host's go, closes every descriptor but the wall (``keep_only``). Only then does it serve. Nothing here reads anything
a student wrote. Every function raises OSError, with the name of what failed, rather than go on half confined.

``become_nobody`` is for a zygote that was started as root: it gives root up before the first guest is forked.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import struct
from pathlib import Path

__all__ = [
    "GUEST_UID",
    "HOME",
    "become_nobody",
    "cpu_limit_s",
    "die_with_parent",
    "drop_privileges",
    "enter_namespaces",
    "keep_only",
    "limit_resources",
    "mount_private",
    "mount_proc",
    "writable_memory_bytes",
    "write",
]

GUEST_UID = 1000
"""What a student's process sees itself as; outside it is nobody (root's zygote) or the user who grades."""
NOBODY = 65534
HOME = "/home/student"
"""Working folder and HOME of a guest; a mount point in the outer sandbox."""

_libc = ctypes.CDLL(None, use_errno=True)

_NEW_NS, _NEW_CGROUP, _NEW_UTS, _NEW_IPC = 0x00020000, 0x02000000, 0x04000000, 0x08000000
_NEW_USER, _NEW_PID, _NEW_NET = 0x10000000, 0x20000000, 0x40000000
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_BIND, _MS_REC, _MS_PRIVATE = 2, 4, 8, 4096, 16384, 1 << 18
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_CAPBSET_DROP = 1, 4, 24
_PR_SET_SECUREBITS, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 28, 38, 47, 4
_SECURE_BITS = 0xEF  # NOROOT, NO_SETUID_FIXUP, KEEP_CAPS off, NO_CAP_AMBIENT_RAISE, each locked


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _prctl(option: int, *values: int, what: str) -> None:
    arguments = [ctypes.c_ulong(value) for value in (*values, 0, 0, 0, 0)[:4]]
    _check(_libc.prctl(ctypes.c_int(option), *arguments), what)


def _mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    encoded = [None if text is None else text.encode() for text in (source, target, kind, data)]
    done = _libc.mount(encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), encoded[3])
    _check(done, f"mount {kind or 'bind'} on {target}")


def write(path: str, text: str) -> None:
    """Write to a file of the kernel's. Unlike ``open``, it touches few pages, so few are copied in a fork."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def die_with_parent() -> None:
    """Have the kernel kill this process as soon as its parent is gone."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, what="set the parent-death signal")


def enter_namespaces() -> None:
    """Enter fresh user, mount, network, IPC, UTS and cgroup namespaces; children get a fresh pid namespace.

    Inside, this process is ``GUEST_UID`` and holds all capabilities over the new namespaces, none over others.
    """
    uid, gid = os.geteuid(), os.getegid()
    flags = _NEW_USER | _NEW_PID | _NEW_NS | _NEW_NET | _NEW_IPC | _NEW_UTS | _NEW_CGROUP
    _check(_libc.unshare(flags), "enter new namespaces")
    write("/proc/self/setgroups", "deny")
    write("/proc/self/uid_map", f"{GUEST_UID} {uid} 1")
    write("/proc/self/gid_map", f"{GUEST_UID} {gid} 1")


def mount_proc() -> None:
    """Mount the ``/proc`` of this process's pid namespace over what was there."""
    _mount("proc", "/proc", "proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)


def mount_private(*, disk_bytes: int, inodes: int) -> None:
    """Give this mount namespace its own /tmp, /dev/shm, home folder, /dev/pts and /proc.

    The three writable folders are parts of one tmpfs, so ``disk_bytes`` and ``inodes`` bound them together.
    To be called by pid 1 of the new pid namespace.
    """
    _mount("none", "/", None, _MS_REC | _MS_PRIVATE)
    flags = _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
    _mount("tmpfs", "/tmp", "tmpfs", flags, f"size={disk_bytes},nr_inodes={inodes},mode=0755")  # noqa: S108 - a mount point
    for part, target, mode in (("shm", "/dev/shm", 0o1777), ("home", HOME, 0o700), ("tmp", "/tmp", 0o1777)):  # noqa: S108 - a mount point
        source = f"/tmp/{part}"  # noqa: S108 - just mounted, ours alone
        os.mkdir(source)
        os.chmod(source, mode)
        _mount(source, target, None, _MS_BIND)
    # Terminals of one guest must not be seen by another, as they would be in the outer sandbox's /dev/pts.
    _mount("devpts", "/dev/pts", "devpts", _MS_NOSUID | _MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620")
    mount_proc()
    _libc.sethostname(b"sandbox", ctypes.c_size_t(7))
    # A second lock behind the filter: this user namespace can never make another namespace.
    for kind in ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time"):
        with contextlib.suppress(OSError):
            write(f"/proc/sys/user/max_{kind}_namespaces", "0")
    os.chdir(HOME)


def writable_memory_bytes() -> int:
    """Anonymous memory that this process holds now: what a fork of it inherits for nothing."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


def _address_space_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def cpu_limit_s(cpu_s: float) -> int:
    """The kernel's own limit on each process, where the host allows the whole tree ``cpu_s``."""
    return int(cpu_s) + 2


def limit_resources(
    *,
    cpu_s: float,
    memory_bytes: int | None,
    processes: int | None,
    file_bytes: int,
    open_files: int,
    gpu: bool = False,
) -> None:
    """Set the kernel's own limits on this process and all that it starts; none can be raised again.

    They are a second line: the host watches the whole tree and is stricter about time and memory.

    Args:
        cpu_s: CPU seconds of each process; the host counts the tree.
        memory_bytes: None where a control group bounds the memory. Otherwise the address space is bounded loosely, so
            that one huge allocation fails at once while the host's watch stays the one that judges. Not so with a
            GPU: CUDA reserves address space for all memory of the machine and its GPUs, and could not start. What
            replaces it there is the watch alone, every 20 ms, so a control group is much the better thing to have.
        processes: None where the kernel would count other processes of the same user (before Linux 5.14).
        file_bytes: size of one file.
        open_files: open descriptors of each process.
        gpu: whether the guest has one. It may then lock a few pages, as everywhere else: CUDA was never tried without.
    """
    limits = {
        resource.RLIMIT_CPU: cpu_limit_s(cpu_s),
        resource.RLIMIT_FSIZE: file_bytes,
        resource.RLIMIT_NOFILE: open_files,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 64 << 10 if gpu else 0,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_RTPRIO: 0,
        resource.RLIMIT_NICE: 0,
        resource.RLIMIT_SIGPENDING: 1024,
    }
    if processes is not None:
        limits[resource.RLIMIT_NPROC] = processes
    if memory_bytes is not None and not gpu:
        limits[resource.RLIMIT_AS] = _address_space_bytes() + 2 * memory_bytes + (512 << 20)
    for which, wanted in limits.items():
        _, hard = resource.getrlimit(which)
        value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(which, (value, value))


def drop_privileges() -> None:
    """Give up every capability for good: bounding, permitted, effective, inheritable and ambient."""
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, what="clear the ambient capabilities")
    for capability in range(last + 1):
        _prctl(_PR_CAPBSET_DROP, capability, what=f"drop capability {capability}")
    _prctl(_PR_SET_SECUREBITS, _SECURE_BITS, what="lock the secure bits")
    header = struct.pack("=Ii", 0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this process
    _check(_libc.capset(header, bytes(24)), "drop all capabilities")
    _prctl(_PR_SET_NO_NEW_PRIVS, 1, what="set no_new_privs")
    _prctl(_PR_SET_DUMPABLE, 1, what="stay readable to our own user")  # an ordinary host samples memory by it


def become_nobody() -> None:
    """Turn root into nobody without capabilities, for good. Called once, by a zygote started as root."""
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    for capability in range(last + 1):
        _prctl(_PR_CAPBSET_DROP, capability, what=f"drop capability {capability}")
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)  # from root to another user: the kernel clears the capability sets
    _prctl(_PR_SET_NO_NEW_PRIVS, 1, what="set no_new_privs")
    _prctl(_PR_SET_DUMPABLE, 1, what="stay readable to our own user")  # its forks must open their own /proc/self


def keep_only(fd: int, *, at: int = 3) -> int:
    """Close every descriptor except ``fd``, which becomes number ``at``; 0, 1 and 2 become /dev/null."""
    if fd != at:
        os.dup2(fd, at, inheritable=False)
    null = os.open("/dev/null", os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
        os.set_inheritable(standard, True)
    os.closerange(at + 1, 1 << 20)
    return at
