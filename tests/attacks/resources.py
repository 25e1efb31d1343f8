"""Attacks that try to take the machine, or the class, down."""

from __future__ import annotations

import json

from attack import HONEST, Attack, cells, code_cell, notebook

__all__ = ["ATTACKS"]


def whole(change) -> bytes:
    """An honest notebook with something done to its JSON."""
    content = cells(HONEST)
    change(content)
    return json.dumps(content).encode()


def many_cells(content) -> None:
    content["cells"] += [code_cell("1")] * 20_000


def big_output(content) -> None:
    text = "x" * (20 << 20)
    content["cells"][2]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": text}]


def surrogates(content) -> None:
    content["cells"].append(code_cell("print('\\ud800 \\udfff')\nx = '\ud83d'"))


def deep_metadata(content) -> None:
    deep: object = 1
    for _ in range(200):
        deep = {"a": [deep]}
    content["metadata"]["deep"] = deep


def objects_in_metadata(content) -> None:
    content["metadata"]["x"] = "!!python/object/apply:os.system ['touch {{course}}/owned']"
    content["cells"][1]["metadata"]["y"] = {"!!python/object/apply:os.system": ["touch owned"]}


def other_kernel(content) -> None:
    content["metadata"]["kernelspec"] = {
        "name": "bash",
        "display_name": "Bash",
        "argv": ["/bin/sh", "-c", "touch owned"],
    }


ATTACKS = [
    Attack(
        number=46,
        name="fork-bomb",
        about="fork until nothing is left",
        after="import os\nopen('/proc/self/comm', 'w').write('{{process}}')\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass\n",
        record=("timeout|crash|memory",),
    ),
    Attack(
        number=46,
        name="thread-bomb",
        about="start threads until nothing is left",
        after="import threading, time\nstarted = []\nwhile len(started) < 100_000:\n    thread = threading.Thread(target=time.sleep, args=(1000,), daemon=True)\n    thread.start()\n    started.append(thread)\n",
        spoils_itself=True,
        record=("RuntimeError|timeout|crash|memory",),
    ),
    Attack(
        number=47,
        name="memory-bomb",
        about="fill the memory",
        after="hoard = []\nwhile True:\n    hoard.append(bytearray(64 << 20))\n",
        record=("MemoryError|memory",),
    ),
    Attack(
        number=47,
        name="shared-memory-bomb",
        about="fill /dev/shm",
        after="with open('/dev/shm/hoard', 'wb') as file:\n    while True:\n        file.write(bytes(16 << 20))\n",
        record=("OSError|memory",),
    ),
    Attack(
        number=48,
        name="endless-output",
        about="print for ever",
        after="line = 'x' * 100_000\nwhile True:\n    print(line)\n",
        record=("timeout|truncated|left out|too much",),
    ),
    Attack(
        number=48,
        name="one-endless-line",
        about="print one line of 300 MB",
        after="import sys\nfor _ in range(300):\n    sys.stdout.write('x' * (1 << 20))\n",
    ),
    Attack(
        number=48,
        name="floods-of-display",
        about="display twenty thousand things",
        after="from IPython.display import display, HTML\nfor _ in range(20_000):\n    display(HTML('<b>x</b>'))\n",
    ),
    Attack(
        number=49,
        name="full-disk",
        about="fill the disk",
        after="with open('hoard', 'wb') as file:\n    while True:\n        file.write(bytes(16 << 20))\n",
        record=("OSError|memory",),
    ),
    Attack(
        number=49,
        name="inodes",
        about="make files until there are no inodes",
        after="import os\nos.makedirs('many')\nfor number in range(1_000_000):\n    os.close(os.open(f'many/{number}', os.O_CREAT))\n",
        record=("OSError|timeout",),
    ),
    Attack(
        number=49,
        name="sparse-file",
        about="make a file of a terabyte that takes no room",
        after="import os\nwith open('sparse', 'wb') as file:\n    os.truncate('sparse', 1 << 40)\n",
        record=("OSError|crash",),
    ),
    Attack(
        number=50,
        name="ignores-signals",
        about="loop and swallow every signal",
        after="""
import signal
for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
    try:
        signal.signal(number, signal.SIG_IGN)
    except OSError:
        pass
while True:
    try:
        while True:
            pass
    except BaseException:
        pass
""",
        record=("timeout",),
    ),
    Attack(
        number=50,
        name="hangs-in-c",
        about="hang where no signal handler runs",
        after="import re\nre.match(r'(a+)+$', 'a' * 60 + 'b')\n",
        record=("timeout",),
    ),
    Attack(
        number=50,
        name="hangs-in-a-destructor",
        about="hang in __del__ when the check lets go",
        answers=(
            (
                "logsumexp",
                (
                    "import torch\n\n\nclass Sticky:\n    def __del__(self):\n        while True:\n            pass\n\n\n"
                    "def logsumexp(x, dim, keepdim=False):\n    Sticky()\n    return x.exp().sum(dim, keepdim=keepdim).log()\n"
                ),
            ),
        ),
        spoils_itself=True,
        record=("TIMEOUT",),
    ),
    Attack(
        number=51,
        name="null-bytes",
        about="null bytes all over the file",
        raw=notebook(HONEST).replace("\\n", "\\n\0").encode(),
        record=("null bytes",),
    ),
    Attack(
        number=51,
        name="bad-utf-8",
        about="bytes that are no UTF-8",
        raw=notebook(HONEST, after="# caf\u00e9").encode().replace(b"caf\\u00e9", b"caf\xe9\xff"),
        record=("UTF-8",),
    ),
    Attack(number=51, name="lone-surrogates", about="half characters in a cell", raw=whole(surrogates)),
    Attack(number=51, name="big-output", about="an output of 20 MB in the file", raw=whole(big_output)),
    Attack(number=51, name="many-cells", about="20 000 cells", raw=whole(many_cells)),
    Attack(
        number=51,
        name="deep-json",
        about="metadata 400 levels deep",
        raw=whole(deep_metadata),
        spoils_itself=True,
        record=("nested more than",),
    ),
    Attack(
        number=53,
        name="magics",
        about="run shells and load extensions by magics",
        after="%load_ext sql\n%%capture\n!cat {{course}}/solutions/softmax-regression/test_hidden.py\n%run {{course}}/solutions/x.py\n",
        never=("def test_logsumexp",),
    ),
    Attack(
        number=53,
        name="bash-cell",
        about="a cell in bash",
        after="%%bash\ncat {{course}}/solutions/softmax-regression/*.py; id; touch {{course}}/owned\n",
        never=("def test_logsumexp", "uid=0"),
    ),
    Attack(number=53, name="other-kernel", about="a kernelspec that names another program", raw=whole(other_kernel)),
    Attack(
        number=54,
        name="system-calls",
        about="call what the kernel should refuse: unshare, mount, ptrace, keyctl, bpf, perf, userfaultfd, io_uring",
        after="""
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
calls = {"unshare": (272, 0x10000000), "mount": (165, b"none", b"/mnt", b"tmpfs", 0, 0), "ptrace": (101, 0, 0, 0, 0),
         "keyctl": (250, 0, -3, 1), "bpf": (321, 0, 0, 0), "perf_event_open": (298, 0, 0, -1, -1, 0),
         "userfaultfd": (323, 1), "io_uring_setup": (425, 8, 0), "setns": (308, 3, 0), "pivot_root": (155, b"/", b"/"),
         "init_module": (175, 0, 0, b""), "kexec_load": (246, 0, 0, 0, 0), "reboot": (169, 0, 0, 0), "chroot": (161, b"/tmp"),
         "add_key": (248, b"user", b"x", b"y", 1, -3), "open_by_handle_at": (304, -100, 0, 0), "setuid": (105, 0)}
escaped = []
for name, (number, *arguments) in calls.items():
    if libc.syscall(number, *arguments) >= 0:
        escaped.append(name)
print("ESCAPED", escaped)
""",
        record=(r"ESCAPED \[\]|crash",),
    ),
    Attack(number=58, name="objects-in-metadata", about="YAML objects in the metadata", raw=whole(objects_in_metadata)),
]
