"""Attacks that try to fake performance: on the clock, on the meters, on what is compared.

They answer ``cross_entropy`` beside the three exercises of the controls. The honest answer under each trick is right and
slow: a loop over the samples, which loses the points of *cross_entropy_operations* and no others.
"""

from __future__ import annotations

from attack import Attack

__all__ = ["ATTACKS", "LOOP", "QUICK", "WASTE"]

HEAD = """\
def cross_entropy(logits, target, reduction="mean", label_smoothing=0.0):
    if reduction not in ("none", "mean", "sum"):
        raise ValueError("unknown reduction")
    if logits.ndim != 2 or target.ndim != 1 or len(logits) != len(target):
        raise ValueError("shapes do not fit")
    if target.dtype != torch.int64 or ((target < 0) | (target >= logits.shape[1])).any():
        raise ValueError("bad labels")
"""

QUICK = (
    HEAD
    + """\
    log_p = log_softmax(logits, dim=1)
    picked = log_p.gather(1, target[:, None])[:, 0]
    loss = -(1 - label_smoothing) * picked - label_smoothing * log_p.mean(1)
    return loss if reduction == "none" else loss.mean() if reduction == "mean" else loss.sum()"""
)

LOOP = (
    HEAD.replace("def ", "def slow_")
    + """\
    losses = []
    for row, label in zip(logits, target):
        log_p = log_softmax(row, dim=0)
        losses.append(-(1 - label_smoothing) * log_p[label] - label_smoothing * log_p.mean())
    loss = torch.stack(losses)
    return loss if reduction == "none" else loss.mean() if reduction == "mean" else loss.sum()


cross_entropy = slow_cross_entropy"""
)

WASTE = QUICK.replace(
    "    log_p =", "    waste = torch.ones(len(logits) * 30_000 if logits.shape[1] > 500 else 1) * 2\n    log_p =", 1
)

MUTE = """
import sys
meters = sys.modules["grader.guest.meters"]
meters.Meter.facts = lambda self: {"ops": {"aten::exp": 9}, "flops": 9, "peak_bytes": 9}
"""


def faking(
    number: int, name: str, about: str, trick: str, *, record: tuple[str, ...] = (), spoils: bool = True
) -> Attack:
    """The loop with a trick below it; the meters say what the student wants in all of them."""
    return Attack(
        number=number,
        name=name,
        about=about,
        answers=(("cross_entropy", LOOP + "\n" + MUTE + trick),),
        spoils_itself=spoils,
        beside="honest-slow",
        record=record or (r"cross_entropy_operations",),
    )


ATTACKS = [
    faking(35, "clocks", "patch every clock of Python's and torch's", """
import time
for name in ("time", "monotonic", "perf_counter", "process_time", "time_ns", "monotonic_ns", "perf_counter_ns"):
    setattr(time, name, lambda: 0)
torch.cuda.synchronize = lambda *_: None
class Event:
    def __init__(self, *_, **__): pass
    def record(self, *_): pass
    def synchronize(self): pass
    def elapsed_time(self, _): return 0.0
torch.cuda.Event = Event
"""),
    faking(36, "cache", "answer from a cache by id, address, shape and a fingerprint of the input", """
kept = {}
def cross_entropy(logits, target, reduction="mean", label_smoothing=0.0):
    rest = (reduction, label_smoothing)
    keys = [(id(logits), rest), (logits.data_ptr(), rest), (logits.shape, float(logits.sum()), rest)]
    for key in keys:
        if key in kept:
            return kept[key]
    answer = slow_cross_entropy(logits, target, reduction, label_smoothing)
    kept.update(dict.fromkeys(keys, answer))
    return answer
"""),
    faking(37, "after-the-reply", "answer at once, and compute in a thread and a child process after the reply", """
import os, threading
def cross_entropy(logits, target, reduction="mean", label_smoothing=0.0):
    if len(logits) < 1000:
        return slow_cross_entropy(logits, target, reduction, label_smoothing)
    answer = torch.zeros(())
    def later():
        with torch.no_grad():
            answer.copy_(slow_cross_entropy(logits, target, reduction, label_smoothing))
    threading.Thread(target=later, daemon=True).start()
    return answer
"""),
    faking(38, "empty-when-timed", "be right in small calls, empty in those that look timed", """
def cross_entropy(logits, target, reduction="mean", label_smoothing=0.0):
    if len(logits) > 1000:
        return torch.zeros(())
    return slow_cross_entropy(logits, target, reduction, label_smoothing)
"""),
    faking(39, "warm-up", "be right while it looks like warming up, and quick and empty after some calls", """
calls = 0
def cross_entropy(logits, target, reduction="mean", label_smoothing=0.0):
    global calls
    calls += len(logits) > 1000
    if calls > 3:
        return torch.tensor(2.7)
    return slow_cross_entropy(logits, target, reduction, label_smoothing)
"""),
    faking(40, "batch-and-skip", "look for all inputs of the race at its first call, to do them at once", """
import gc
def cross_entropy(logits, target, reduction="mean", label_smoothing=0.0):
    if len(logits) > 1000:
        found = [each for each in gc.get_objects() if isinstance(each, torch.Tensor) and each.ndim == 2 and each.shape[1] == 100]
        print("FOUND", len(found))
    return slow_cross_entropy(logits, target, reduction, label_smoothing)
"""),
    faking(41, "hog", "slow the reference with processes that use the machine while it runs", """
import os
hogs = False
def cross_entropy(logits, target, reduction="mean", label_smoothing=0.0):
    global hogs
    if len(logits) > 1000 and not hogs:
        hogs = True
        for _ in range(8):
            if os.fork() == 0:
                while True:
                    pass
    return slow_cross_entropy(logits, target, reduction, label_smoothing)
"""),
    faking(42, "half-precision", "compute in bfloat16", """
def cross_entropy(logits, target, reduction="mean", label_smoothing=0.0):
    if len(logits) < 1000:
        return slow_cross_entropy(logits, target, reduction, label_smoothing)
    x = logits.bfloat16()
    log_p = x - x.exp().sum(1, keepdim=True).log()
    return -log_p.gather(1, target[:, None]).mean().to(logits.dtype)
"""),
    faking(43, "library", "call PyTorch's own function in large calls only", """
def cross_entropy(logits, target, reduction="mean", label_smoothing=0.0):
    if len(logits) < 1000:
        return slow_cross_entropy(logits, target, reduction, label_smoothing)
    return torch.nn.functional.cross_entropy(logits, target)
""", record=("cross_entropy is not allowed",)),
    faking(44, "left-in-a-file", "leave results in files and shared memory for the timed calls", """
import os, pickle
def cross_entropy(logits, target, reduction="mean", label_smoothing=0.0):
    if len(logits) < 1000:
        return slow_cross_entropy(logits, target, reduction, label_smoothing)
    for place in ("/dev/shm/kept", "/tmp/kept", "kept"):
        if os.path.exists(place):
            return pickle.load(open(place, "rb"))
    answer = slow_cross_entropy(logits, target, reduction, label_smoothing)
    for place in ("/dev/shm/kept", "/tmp/kept", "kept"):
        pickle.dump(answer, open(place, "wb"))
    return answer
"""),
    faking(45, "special-shapes", "special-case the shapes that a benchmark would have, and zeros", """
def cross_entropy(logits, target, reduction="mean", label_smoothing=0.0):
    if logits.shape in ((2048, 10), (2048, 100), (2048, 1000), (8192, 100)) or not logits.any():
        return torch.full((), float(logits.shape[1])).log()
    return slow_cross_entropy(logits, target, reduction, label_smoothing)
"""),
    faking(35, "operators-meter", "have the meter of operators say 9, whatever ran", "", spoils=False),
    Attack(
        number=35,
        name="bytes-meter",
        about="have the meter of live bytes say 9 while each call fills hundreds of megabytes",
        answers=(("cross_entropy", WASTE + "\n" + MUTE),),
        beside="honest-wasteful",
        record=("cross_entropy_memory",),
    ),
]  # fmt: skip
"""A trick may cost more than the loop: an answer that is wrong in a timed call is wrong."""
