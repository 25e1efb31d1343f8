"""The system-call filter, run by a small interpreter of classic BPF: what it answers for every kind of call."""

import errno
import struct

import pytest

from grader.guest.seccomp import ARCHITECTURES, assemble

ALLOW = 0x7FFF0000
KILL = 0x80000000


def answer(architecture, number, *arguments, audit=None):
    """What the kernel would do with a call: ``allow``, ``kill`` or the name of an error."""
    padded = [value & 0xFFFFFFFFFFFFFFFF for value in (*arguments, 0, 0, 0, 0, 0, 0)[:6]]
    data = struct.pack("<IIQ6Q", number & 0xFFFFFFFF, audit or architecture.audit, 0, *padded)
    program = assemble(architecture)
    at = loaded = 0
    while True:
        step = program[at]
        at += 1
        if step.code == 0x20:
            (loaded,) = struct.unpack_from("<I", data, step.value)
        elif step.code == 0x06:
            if step.value in (ALLOW, KILL):
                return "allow" if step.value == ALLOW else "kill"
            assert step.value & 0xFFFF0000 == 0x00050000
            return errno.errorcode[step.value & 0xFFFF]
        else:
            holds = {
                0x15: loaded == step.value,
                0x35: loaded >= step.value,
                0x45: bool(loaded & step.value),
            }[step.code]
            at += step.yes if holds else step.no


@pytest.fixture(params=sorted(ARCHITECTURES))
def architecture(request):
    return ARCHITECTURES[request.param]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *((name, "EPERM") for name in ("unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "fsopen")),
        *((name, "EPERM") for name in ("ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp")),
        *((name, "EPERM") for name in ("keyctl", "add_key", "request_key", "bpf", "perf_event_open", "userfaultfd")),
        *((name, "EPERM") for name in ("kexec_load", "finit_module", "reboot", "swapon", "clock_settime", "acct")),
        *((name, "EPERM") for name in ("open_by_handle_at", "fanotify_init", "quotactl", "move_pages", "seccomp")),
        *(
            (name, "ENOSYS")
            for name in ("clone3", "io_uring_setup", "memfd_create", "memfd_secret", "shmget", "mq_open")
        ),
    ],
)
def test_denied_calls(architecture, name, expected):
    """Calls that no notebook needs are refused whatever their arguments are."""
    assert answer(architecture, architecture.numbers[name]) == expected
    assert answer(architecture, architecture.numbers[name], -1, -1, -1, -1, -1, -1) == expected


def test_ordinary_calls_pass(architecture):
    """Every number up to the end of the table that the filter does not name is allowed."""
    looked_at = set(architecture.numbers.values())
    assert all(answer(architecture, number) == "allow" for number in range(463) if number not in looked_at)


def test_numbers_newer_than_the_table_are_not_there(architecture):
    """A call newer than the filter answers as an old kernel would."""
    assert {answer(architecture, number) for number in (463, 500, 4000, 0x3FFFFFFF)} == {"ENOSYS"}


def test_another_architecture_kills(architecture):
    """A call made as another machine's (32-bit code) ends the process."""
    assert answer(architecture, 1, audit=0x40000003) == "kill"


def test_x32_kills():
    """The second set of numbers of x86-64 ends the process, and so does number -1."""
    x86 = ARCHITECTURES["x86_64"]
    assert [answer(x86, number) for number in (0x40000000, 0x40000000 + 56, -1)] == ["kill"] * 3


@pytest.mark.parametrize("flag", [0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000])
def test_clone_is_judged_by_its_flags(architecture, flag):
    """Threads and forks pass; a clone into a new namespace does not, alone or with other flags."""
    clone = architecture.numbers["clone"]
    fork, thread = 0x01200011, 0x003D0F00
    assert answer(architecture, clone, fork) == answer(architecture, clone, thread) == "allow"
    assert answer(architecture, clone, flag) == answer(architecture, clone, fork | flag) == "EPERM"


def test_sockets_are_judged_by_family_and_protocol(architecture):
    """Unix and internet sockets pass; netlink, packet, vsock and crypto sockets and odd protocols do not."""
    socket = architecture.numbers["socket"]
    assert {answer(architecture, socket, family, 1, 0) for family in (1, 2, 10)} == {"allow"}
    assert {answer(architecture, socket, family, 3, 0) for family in (0, 16, 17, 38, 40)} == {"EAFNOSUPPORT"}
    assert answer(architecture, socket, 2, 1, 6) == answer(architecture, socket, 2, 2, 17) == "allow"
    assert {answer(architecture, socket, 2, 1, protocol) for protocol in (1, 132, 255, 262)} == {"EPROTONOSUPPORT"}


def test_terminals_cannot_be_typed_into(architecture):
    """TIOCSTI and its kin are refused, also with junk in the half of the word that the kernel ignores."""
    ioctl = architecture.numbers["ioctl"]
    assert {answer(architecture, ioctl, 0, request) for request in (0x5412, 0x541C, 0x5423)} == {"EPERM"}
    assert answer(architecture, ioctl, 0, 0x5412 | 1 << 40) == "EPERM"
    assert answer(architecture, ioctl, 0, 0x5401) == "allow"


def test_personality_and_prctl(architecture):
    """Asking for the personality passes, changing it does not; nor does another filter."""
    personality, prctl = architecture.numbers["personality"], architecture.numbers["prctl"]
    assert answer(architecture, personality, 0) == answer(architecture, personality, 0xFFFFFFFF) == "allow"
    assert answer(architecture, personality, 0x0040000) == "EPERM"
    assert answer(architecture, prctl, 22, 2) == "EPERM"
    assert answer(architecture, prctl, 15) == "allow"


def test_the_filter_fits_the_kernel(architecture):
    """The program is within the kernel's size limit, and every jump lands inside it."""
    program = assemble(architecture)
    assert len(program) <= 4096
    for at, step in enumerate(program):
        if step.code in (0x15, 0x35, 0x45):
            assert max(step.yes, step.no) < 256
            assert at + 1 + max(step.yes, step.no) < len(program)
