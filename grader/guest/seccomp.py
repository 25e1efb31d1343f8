"""The system-call filter of a guest: a classic BPF program, assembled here.

Theory of operation. The namespaces, the private file systems and the empty capability sets already leave a guest
nothing to reach. The filter stands behind them: it takes away the parts of the kernel that a notebook never needs
and that local exploits begin with (namespaces, mounts, ptrace, keyrings, bpf, perf, userfaultfd, io_uring, …).
It is a deny list, because the honest programs are numpy, torch and whatever a student imports.

* Another architecture than the one the process was built for, and the x32 numbers on x86-64, kill the process.
* ``EPERM`` for what needs a privilege anyway; ``ENOSYS`` where a library falls back to something else when told that
  the kernel is too old (``clone3``, ``memfd_create``, ``io_uring``, System V shared memory), and for every number
  newer than this table.
* ``clone`` is looked at by its flags, ``socket`` by its family and protocol, ``ioctl`` by its request,
  ``personality`` and ``prctl`` by their first argument.

**Not defended**: a flaw in a system call that is allowed (``mmap``, ``futex``, ``splice``, unix sockets, …).

``assemble`` is pure; ``install`` applies it to the calling thread, and needs ``no_new_privs``.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import platform
import struct
from dataclasses import dataclass

__all__ = ["ARCHITECTURES", "Architecture", "Instruction", "assemble", "install", "prepare"]

_MACHINE = platform.machine()

# Offsets in struct seccomp_data: nr, arch, instruction_pointer (8 bytes), args[6] (8 bytes each, little endian).
_NR, _ARCH = 0, 4
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO, _KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
_X32_BIT = 0x40000000

_FIRST_UNKNOWN = 463
"""Numbers from here on are newer than the table; from 424 on they are the same on all architectures."""

# CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. (NEWTIME is only for unshare and clone3.)
_CLONE_NEW = 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000
_FAMILIES = (1, 2, 10)  # AF_UNIX, AF_INET, AF_INET6: the last two lead nowhere, with the error people know
_PROTOCOLS = (0, 6, 17)  # default, TCP, UDP
_IOCTLS = (0x5412, 0x541C, 0x5423)  # TIOCSTI, TIOCLINUX, TIOCSETD: put words into a terminal's mouth
_PERSONALITIES = (0, 0xFFFFFFFF)  # the plain one, and the question which it is
_PR_SET_SECCOMP = 22

_NOT_PERMITTED = (
    *("unshare", "setns", "mount", "umount2", "pivot_root", "chroot"),
    *("open_tree", "move_mount", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr"),
    *("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "process_mrelease", "kcmp", "pidfd_getfd"),
    *("keyctl", "add_key", "request_key", "bpf", "perf_event_open", "userfaultfd", "seccomp"),
    *("kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "create_module"),
    *("query_module", "get_kernel_syms", "reboot", "swapon", "swapoff", "acct", "syslog", "quotactl", "quotactl_fd"),
    *("settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "sethostname", "setdomainname", "vhangup"),
    *("open_by_handle_at", "name_to_handle_at", "fanotify_init", "fanotify_mark", "lookup_dcookie", "nfsservctl"),
    *("iopl", "ioperm", "modify_ldt", "uselib", "ustat", "sysfs", "_sysctl"),
    *("mbind", "set_mempolicy", "set_mempolicy_home_node", "migrate_pages", "move_pages"),
)
# Memory that no resident set shows (memfd, System V, message queues) would slip past a watch from outside.
_NOT_THERE = (
    *("clone3", "io_uring_setup", "io_uring_enter", "io_uring_register", "memfd_create", "memfd_secret"),
    *("shmget", "msgget", "semget", "mq_open"),
)

_EVERYWHERE = {
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "clone3": 435,
    "pidfd_getfd": 438,
    "process_madvise": 440,
    "mount_setattr": 442,
    "quotactl_fd": 443,
    "memfd_secret": 447,
    "process_mrelease": 448,
    "set_mempolicy_home_node": 450,
}
_X86_64 = {
    **_EVERYWHERE,
    "ioctl": 16,
    "shmget": 29,
    "socket": 41,
    "clone": 56,
    "semget": 64,
    "msgget": 68,
    "ptrace": 101,
    "syslog": 103,
    "uselib": 134,
    "personality": 135,
    "ustat": 136,
    "sysfs": 139,
    "vhangup": 153,
    "modify_ldt": 154,
    "pivot_root": 155,
    "_sysctl": 156,
    "prctl": 157,
    "adjtimex": 159,
    "chroot": 161,
    "acct": 163,
    "settimeofday": 164,
    "mount": 165,
    "umount2": 166,
    "swapon": 167,
    "swapoff": 168,
    "reboot": 169,
    "sethostname": 170,
    "setdomainname": 171,
    "iopl": 172,
    "ioperm": 173,
    "create_module": 174,
    "init_module": 175,
    "delete_module": 176,
    "get_kernel_syms": 177,
    "query_module": 178,
    "quotactl": 179,
    "nfsservctl": 180,
    "lookup_dcookie": 212,
    "clock_settime": 227,
    "mbind": 237,
    "set_mempolicy": 238,
    "mq_open": 240,
    "kexec_load": 246,
    "add_key": 248,
    "request_key": 249,
    "keyctl": 250,
    "migrate_pages": 256,
    "unshare": 272,
    "move_pages": 279,
    "perf_event_open": 298,
    "fanotify_init": 300,
    "fanotify_mark": 301,
    "name_to_handle_at": 303,
    "open_by_handle_at": 304,
    "clock_adjtime": 305,
    "setns": 308,
    "process_vm_readv": 310,
    "process_vm_writev": 311,
    "kcmp": 312,
    "finit_module": 313,
    "seccomp": 317,
    "memfd_create": 319,
    "kexec_file_load": 320,
    "bpf": 321,
    "userfaultfd": 323,
}
_AARCH64 = {
    **_EVERYWHERE,
    "lookup_dcookie": 18,
    "ioctl": 29,
    "umount2": 39,
    "mount": 40,
    "pivot_root": 41,
    "nfsservctl": 42,
    "chroot": 51,
    "vhangup": 58,
    "quotactl": 60,
    "acct": 89,
    "personality": 92,
    "unshare": 97,
    "kexec_load": 104,
    "init_module": 105,
    "delete_module": 106,
    "clock_settime": 112,
    "syslog": 116,
    "ptrace": 117,
    "reboot": 142,
    "sethostname": 161,
    "setdomainname": 162,
    "prctl": 167,
    "settimeofday": 170,
    "adjtimex": 171,
    "mq_open": 180,
    "msgget": 186,
    "semget": 190,
    "shmget": 194,
    "socket": 198,
    "add_key": 217,
    "request_key": 218,
    "keyctl": 219,
    "clone": 220,
    "swapon": 224,
    "swapoff": 225,
    "mbind": 235,
    "set_mempolicy": 237,
    "migrate_pages": 238,
    "move_pages": 239,
    "perf_event_open": 241,
    "fanotify_init": 262,
    "fanotify_mark": 263,
    "name_to_handle_at": 264,
    "open_by_handle_at": 265,
    "clock_adjtime": 266,
    "setns": 268,
    "process_vm_readv": 270,
    "process_vm_writev": 271,
    "kcmp": 272,
    "finit_module": 273,
    "seccomp": 277,
    "memfd_create": 279,
    "bpf": 280,
    "userfaultfd": 282,
    "kexec_file_load": 294,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """One machine: how the kernel names it in a filter, and its system-call numbers."""

    name: str
    """As ``platform.machine()`` gives it."""
    audit: int
    """``AUDIT_ARCH_*``."""
    numbers: dict[str, int]
    """Of every call that the filter looks at and that exists there."""
    seccomp: int
    """The number of ``seccomp`` itself."""
    has_x32: bool = False


ARCHITECTURES = {
    "x86_64": Architecture(name="x86_64", audit=0xC000003E, numbers=_X86_64, seccomp=317, has_x32=True),
    "aarch64": Architecture(name="aarch64", audit=0xC00000B7, numbers=_AARCH64, seccomp=277),
}


@dataclass(frozen=True, slots=True)
class Instruction:
    """One classic BPF instruction (``struct sock_filter``)."""

    code: int
    yes: int
    """How many instructions to skip when the test holds."""
    no: int
    value: int

    def pack(self) -> bytes:
        """The eight bytes that the kernel reads."""
        return struct.pack("=HBBI", self.code, self.yes, self.no, self.value)


def _load(offset: int) -> Instruction:
    return Instruction(_LOAD, 0, 0, offset)


def _give(action: int) -> Instruction:
    return Instruction(_RETURN, 0, 0, action)


def _refuse(error: int) -> Instruction:
    return _give(_ERRNO | error)


def _argument(index: int) -> int:
    """The offset of the low half of an argument: all arguments looked at here are 32-bit in the kernel."""
    return 16 + 8 * index


def _unless_one_of(values: tuple[int, ...], error: int) -> list[Instruction]:
    """Go on if the loaded word is one of ``values``; refuse it otherwise."""
    last = len(values) - 1
    # A hit jumps over the other tests and the refusal behind them.
    return [Instruction(_JUMP_EQUAL, last - i + 1, 0, value) for i, value in enumerate(values)] + [_refuse(error)]


def _rules() -> dict[str, list[Instruction]]:
    """The bodies for calls that are judged by their arguments; each ends by falling through to ALLOW."""
    no_ioctl = [step for value in _IOCTLS for step in (Instruction(_JUMP_EQUAL, 0, 1, value), _refuse(errno.EPERM))]
    return {
        "clone": [_load(_argument(0)), Instruction(_JUMP_ANY_BIT, 0, 1, _CLONE_NEW), _refuse(errno.EPERM)],
        "socket": [
            _load(_argument(0)),
            *_unless_one_of(_FAMILIES, errno.EAFNOSUPPORT),
            _load(_argument(2)),
            *_unless_one_of(_PROTOCOLS, errno.EPROTONOSUPPORT),
        ],
        "ioctl": [_load(_argument(1)), *no_ioctl],
        "personality": [_load(_argument(0)), *_unless_one_of(_PERSONALITIES, errno.EPERM)],
        "prctl": [_load(_argument(0)), Instruction(_JUMP_EQUAL, 0, 1, _PR_SET_SECCOMP), _refuse(errno.EPERM)],
    }


def assemble(architecture: Architecture) -> list[Instruction]:
    """The filter for one architecture."""
    program = [_load(_ARCH), Instruction(_JUMP_EQUAL, 1, 0, architecture.audit), _give(_KILL_PROCESS), _load(_NR)]
    if architecture.has_x32:
        program += [Instruction(_JUMP_AT_LEAST, 0, 1, _X32_BIT), _give(_KILL_PROCESS)]
    program += [Instruction(_JUMP_AT_LEAST, 0, 1, _FIRST_UNKNOWN), _refuse(errno.ENOSYS)]
    for names, error in ((_NOT_PERMITTED, errno.EPERM), (_NOT_THERE, errno.ENOSYS)):
        for name in names:
            number = architecture.numbers.get(name)
            if number is not None:  # not every machine has every call (iopl, create_module, …)
                program += [Instruction(_JUMP_EQUAL, 0, 1, number), _refuse(error)]
    for name, body in _rules().items():
        program += [Instruction(_JUMP_EQUAL, 0, len(body) + 1, architecture.numbers[name]), *body, _give(_ALLOW)]
    return [*program, _give(_ALLOW)]


@functools.cache
def _assembled(machine: str) -> bytes:
    return b"".join(step.pack() for step in assemble(ARCHITECTURES[machine]))


class _Program(ctypes.Structure):
    """``struct sock_fprog``."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def prepare() -> None:
    """Assemble the filter ahead of time, so that forks of this process find it ready."""
    if _MACHINE in ARCHITECTURES:
        _assembled(_MACHINE)


def install() -> None:
    """Put the calling thread, and all it will start, behind the filter for good.

    Raises OSError when the kernel refuses or the machine is not one that the filter knows.
    """
    architecture = ARCHITECTURES.get(_MACHINE)
    if architecture is None:
        raise OSError(errno.ENOSYS, f"no system-call filter is written for {_MACHINE}")
    code = _assembled(_MACHINE)
    program = _Program(len(code) // 8, code)
    libc = ctypes.CDLL(None, use_errno=True)
    set_mode_filter, spec_allow = 1, 4
    # SPEC_ALLOW: without it older kernels slow every branch and load of the guest down; what it protects against
    # (reading one's own address space) protects no one here.
    if libc.syscall(architecture.seccomp, set_mode_filter, spec_allow, ctypes.byref(program)) != 0:
        raise OSError(ctypes.get_errno(), f"seccomp: {os.strerror(ctypes.get_errno())}")
