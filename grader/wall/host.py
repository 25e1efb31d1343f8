"""Proxies for the student's objects, and the host's end of one wall.

Theory of operation. ``Wall`` is the host's ``Peer``: it accepts only four requests from a guest (call a function it was
handed, and the three of autograd) and turns everything else that is not a valid reply into a ``Violation``. After a
violation, a death or a time-out the wall is *spoiled*: every later use raises the same fault, and the check's verdict
is that fault, whatever the test did with the exception.

A ``Remote`` stands for an object of the student's. It never answers ``==``, ``bool()`` or ``float()``: those are
questions that only plain data may answer, so an object that always agrees agrees with nobody.
"""

from __future__ import annotations

import inspect
import math
import textwrap
import time
import weakref
from typing import TYPE_CHECKING, Any

import torch

from grader.guest.peer import Peer
from grader.guest.wire import Channel, Closed, Unsendable, WireError
from grader.sandbox.base import Exit, ExitCause

from .faults import (
    Crashed,
    Mismatch,
    OutOfMemory,
    OutOfTime,
    SandboxLost,
    StudentFault,
    Violation,
    raised,
)

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from grader.model import Measurement
    from grader.sandbox.base import Guest

__all__ = ["BudgetSpent", "Remote", "Spy", "Student", "Wall", "fault_of_exit"]

HANDED_OUT_MOST = 20_000
GRACE_S = 1.0
MOST_BYTES = 128 << 20
"""Tensors in one reply: what a guest can make the host hold at a time."""


class BudgetSpent(Exception):
    """A function handed to the student was called more often than allowed."""


class Wall(Peer):
    """The host's end of the wall to one guest process.

    Args:
        sock: the host's end of the socket pair.
        guest: supervised while waiting; None for a local session (a student's own kernel).
        seconds: wall time from now until the wall runs out (``extend`` sets it anew).
        root: of a guest that another process of ours looks after: the pid of its first process.
        gpu: whether the guest has a GPU.
    """

    def __init__(
        self,
        sock: socket.socket,
        *,
        guest: Guest | None = None,
        seconds: float = 60.0,
        root: int | None = None,
        gpu: bool = False,
    ) -> None:
        super().__init__(Channel(sock, tick=self._tick, max_blob=MOST_BYTES))
        self.guest = guest
        self.device = torch.device("cuda" if gpu else "cpu")
        """Where checks may have their arguments sent (``grader.checks.on``)."""
        self.fault: StudentFault | SandboxLost | None = None
        self.root = root
        self.remarks: list[str] = []
        """What went wrong in host functions that the student called (for instructors)."""
        self.replies = 0
        self.measurements: list[Measurement] = []
        """What timed checks found (``grader.checks.performance``)."""
        self.last_try = True
        """Whether what stays unclear is decided now, in the student's favour, and not measured again later."""
        self._remotes: weakref.WeakValueDictionary[int, Remote] = weakref.WeakValueDictionary()
        self._next_tick = 0.0
        self._oom_kills = 0 if guest is None else guest.usage().oom_kills
        self._cpu_start = 0.0
        self._asked_s = 0.0
        self._waited_s = self._excused_s = 0.0 if guest is None else guest.waited_s()
        self.overrun = ""
        self.extend(seconds)

    def extend(self, seconds: float, cpu_s: float = math.inf, *, gentle: bool = False) -> None:
        """Give the wall this many seconds (and seconds of CPU time) from now on.

        ``gentle``: at the end the guest is first interrupted (a KeyboardInterrupt in the running cell) and has
        a second to come back; ``interrupted`` tells that this happened.
        """
        self.seconds = seconds
        self.deadline = time.monotonic() + seconds
        self.cpu_limit_s = cpu_s
        self.gentle = gentle
        self.interrupted = False
        if cpu_s != math.inf and self.guest is not None:
            self._cpu_start = self.guest.usage().cpu_s

    # -- asking ----------------------------------------------------------------------------------------------------

    def request(
        self,
        op: str,
        args: list[Any] | tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
        *,
        options: dict[str, Any] | None = None,
        fd: int | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        """One request, with every failure of the guest's turned into a fault."""
        return self.ask(op, args, kwargs, options=options, fd=fd)

    def ask(
        self,
        op: str,
        args: Any = (),
        kwargs: dict[str, Any] | None = None,
        *,
        options: dict[str, Any] | None = None,
        deadline: float = math.inf,
        fd: int | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        """As in ``Peer``; raises StudentFault or SandboxLost for whatever the guest does wrong."""
        del deadline  # the wall has one of its own, which ``_tick`` watches
        if self.fault is not None:
            raise self.fault
        outermost, asked = not self._waiting, time.monotonic()
        try:
            answer = super().ask(op, args, kwargs, options=options, fd=fd)
        except WireError as error:
            raise self.violated(error) from None
        except Closed as error:
            raise self.spoil(self._death(str(error))) from None
        except (StudentFault, SandboxLost) as fault:
            if type(fault) in (OutOfTime, Crashed, Violation, SandboxLost) or (
                isinstance(fault, OutOfMemory) and fault.evidence is None
            ):
                self.spoil(fault)
            raise
        finally:
            if outermost:
                self._asked_s += time.monotonic() - asked
        self.replies += 1
        return answer

    def computed_s(self) -> float:
        """Computing time of the guest since ``extend`` last limited it; 0 without a guest."""
        return 0.0 if self.guest is None else max(0.0, self.guest.usage().cpu_s - self._cpu_start)

    def asked_s(self) -> float:
        """How long the guest had the word since the wall was made or ``used_s`` was called."""
        return self._asked_s

    def used_s(self) -> float:
        """The same without what it waited for a core meanwhile; counted from here on."""
        waited_s = self._waited_s if self.guest is None else self.guest.waited_s()
        used_s = max(0.0, self._asked_s - max(0.0, waited_s - self._waited_s))
        self._asked_s, self._waited_s = 0.0, waited_s
        return used_s

    def timed(self, op: str, args: list[Any] | tuple[Any, ...]) -> tuple[Any, float]:
        """One request without gradients: its value, and the seconds from the first byte out to the last byte in.

        What this side does to write the request and to read the reply lies outside of them.
        """
        with torch.no_grad():
            value, _ = self.request(op, args, options={"settle": True})
        return value, self.channel.received_at - self.asked_at

    def violated(self, error: WireError) -> StudentFault | SandboxLost:
        """A guest that breaks the protocol is not talked to any more."""
        return self.spoil(Violation("Your code broke the marker's protocol.", evidence=str(error)))

    def spoil(self, fault: StudentFault | SandboxLost) -> StudentFault | SandboxLost:
        """Remember the first fatal fault; nothing more is asked on this wall."""
        if self.fault is None:
            self.fault = fault
        return self.fault

    def _tick(self) -> None:
        now = time.monotonic()
        if now > self.deadline and not self._excused():
            self._overrun(f"Your code was still running after {self.seconds:g} s.")
        if self.guest is None:
            return
        gone = self.guest.poll()
        if gone is not None:
            raise self.spoil(fault_of_exit(gone))
        if self.cpu_limit_s != math.inf and now >= self._next_tick:
            self._next_tick = now + 0.1
            if self.guest.usage().cpu_s - self._cpu_start > self.cpu_limit_s:
                self._overrun(f"Your code used more than {self.cpu_limit_s:g} s of computing time.")

    def _excused(self) -> bool:
        """Whether the guest stood in line for a core since the wall was made: that is given back, once."""
        if self.guest is None or self.interrupted:
            return False
        waited_s = self.guest.waited_s()
        more_s, self._excused_s = waited_s - self._excused_s, max(waited_s, self._excused_s)
        self.deadline += max(0.0, more_s)
        return time.monotonic() <= self.deadline

    def _overrun(self, sentence: str) -> None:
        """Time is up: interrupt first where that is wanted, end it where that did not help."""
        if self.gentle and not self.interrupted and self.guest is not None:
            self.interrupted = True
            self.overrun = sentence
            self.deadline, self.cpu_limit_s = time.monotonic() + GRACE_S, math.inf
            self.guest.interrupt()
            return
        raise self.spoil(OutOfTime(self.overrun if self.interrupted else sentence))

    def _death(self, evidence: str) -> StudentFault | SandboxLost:
        """Why the wall closed: ask the supervisor, who may need a moment to see it."""
        if self.guest is not None:
            until = time.monotonic() + 0.25
            while time.monotonic() < until:
                gone = self.guest.poll()
                if gone is not None:
                    return fault_of_exit(gone)
                if self.guest.usage().oom_kills > self._oom_kills:
                    # The kernel took this check's process only; the loaded notebook lives.
                    return OutOfMemory("Your code used more memory than it may.")
                time.sleep(0.005)
        return Crashed("Your code ended its own process.", evidence=evidence)

    # -- answering: the four things a guest may ask ------------------------------------------------------------------

    def perform(self, op: str, args: list[Any], kwargs: dict[str, Any], options: dict[str, Any]) -> Any:
        """Call a function that was handed in, or differentiate through such a call."""
        if op == "call" and args and any(args[0] is value for value in self._exports.values()):
            return args[0](*args[1:], **kwargs)
        if op == "grad" and args and type(args[0]) is int:
            grads = args[1:]
            if all(grad is None or isinstance(grad, torch.Tensor) for grad in grads):
                return self.differentiate(args[0], grads, options)
        if op == "accumulate" and len(args) == 2 and all(type(arg) is int for arg in args):
            self.accumulate(args[0], args[1])
            return None
        raise WireError(f"a guest may not ask {op[:20]!r}")

    def answer(self, header: dict[str, Any], blob: bytearray, *, deadline: float = math.inf) -> None:
        """Serve a guest's request. What was handed in stays handed in."""
        numbers = header.get("dn", [])
        if not isinstance(numbers, list) or not all(type(number) is int for number in numbers):
            raise WireError("a malformed list of nodes")
        header.pop("dh", None)
        super().answer(header, blob, deadline=deadline)

    def describe_error(self, error: BaseException) -> dict[str, Any]:
        """What the student's code learns when a host function fails: the kind, never the text of a check."""
        if isinstance(error, StudentFault | SandboxLost | WireError | Closed | KeyboardInterrupt):
            raise error
        self.remarks.append(f"{type(error).__name__}: {error}"[:500])
        if isinstance(error, BudgetSpent):
            return {"message": str(error)}
        return {"message": f"the function that you were given raised {type(error).__name__} for these arguments"}

    def rebuild_error(self, what: dict[str, Any]) -> BaseException:
        """The student's exception as one of ours."""
        return raised(what)

    # -- objects -----------------------------------------------------------------------------------------------------

    def describe_export(self, value: Any) -> dict[str, Any]:
        """Only callables may be handed in."""
        if not callable(value) or isinstance(value, type) or len(self._exports) >= HANDED_OUT_MOST:
            raise Unsendable(f"a {type(value).__name__} cannot be handed to the student's code")
        return {"call": 1}

    def foreign(self, what: dict[str, Any]) -> Remote:
        """The proxy for a handle: always the same one while it lives."""
        handle = what["o"]
        remote = self._remotes.get(handle)
        if remote is None:
            about = _about(what)
            remote = Remote(self, handle, *about)
            self._remotes[handle] = remote
        return remote

    def in_use(self, handle: int) -> bool:
        """Whether a proxy of this handle is alive."""
        return handle in self._remotes

    def foreign_handle(self, value: Any) -> int | None:
        """The handle behind a proxy of this wall."""
        if type(value) is not Remote:
            return None
        if value._wall_peer is not self:
            raise Unsendable("a proxy of another check's")
        handle: int = value._wall_handle
        return handle

    # -- what checks use ---------------------------------------------------------------------------------------------

    def probe(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Ship a function's source in and run it there."""
        source = textwrap.dedent(inspect.getsource(function))
        tree_start = source.index("def ")
        values = [{"student": "*"} if type(arg) is Student else arg for arg in args]
        value, _ = self.request("probe", [source[tree_start:], function.__name__, *values], kwargs)
        return value

    def close(self) -> None:
        """Close the socket. Idempotent."""
        self.channel.close()


def fault_of_exit(gone: Exit) -> StudentFault | SandboxLost:
    """Whose fault a guest's end is, and what to tell."""
    evidence = f"{gone.cause} {gone.code if gone.code is not None else ''}".strip()
    if gone.cause is ExitCause.OUT_OF_MEMORY:
        return OutOfMemory("Your code used more memory than it may.")
    if gone.cause is ExitCause.GPU_MEMORY:
        return OutOfMemory("Your code used more memory on the GPU than it may.")
    if gone.cause is ExitCause.CPU_TIME:
        return OutOfTime("Your code used more computing time than it may.")
    if gone.cause is ExitCause.WALL_TIME:
        return OutOfTime("Your code ran longer than it may.")
    if gone.cause is ExitCause.SIGNALLED:
        return Crashed("Your code crashed its own process.", evidence=evidence)
    if gone.cause in (ExitCause.LOST, ExitCause.KILLED):
        return SandboxLost(evidence)
    return Crashed("Your code ended its own process.", evidence=evidence)


def _about(what: dict[str, Any]) -> tuple[str, str, tuple[str, ...], bool]:
    kind, name, mro = what.get("is"), what.get("type"), what.get("mro", [])
    if not isinstance(kind, str) or not isinstance(name, str) or not isinstance(mro, list):
        raise WireError("a malformed object")
    return kind[:20], name[:200], tuple(str(each)[:200] for each in mro[:30]), what.get("call") == 1


class Student:
    """The names that a notebook defined. ``student.softmax(x)`` calls the student's function behind the wall."""

    def __init__(self, wall: Wall) -> None:
        self._wall = wall
        self._kept: dict[str, Remote] = {}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        kept = self._kept.get(name)
        if kept is not None:
            return kept
        value, _ = self._wall.request("name", [name])
        if isinstance(value, Remote) and value._wall_kind in ("function", "class"):
            self._kept[name] = value
        return value

    def __repr__(self) -> str:
        return "<student>"


def _operator(name: str, *, reflected: bool = False) -> Callable[..., Any]:
    def method(self: Remote, *others: Any) -> Any:
        args = [*others, self] if reflected else [self, *others]
        value, _ = self._wall_peer.request("op", [name, *args])
        return value

    return method


class Remote:
    """An object of the student's, behind the wall."""

    __slots__ = ("__weakref__", "_wall_callable", "_wall_handle", "_wall_kind", "_wall_mro", "_wall_peer", "_wall_type")

    def __init__(self, peer: Wall, handle: int, kind: str, name: str, mro: tuple[str, ...], is_callable: bool) -> None:
        put = object.__setattr__
        put(self, "_wall_peer", peer)
        put(self, "_wall_handle", handle)
        put(self, "_wall_kind", kind)
        put(self, "_wall_type", name)
        put(self, "_wall_mro", mro)
        put(self, "_wall_callable", is_callable)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it there."""
        value, _ = self._wall_peer.request("call", [self, *args], kwargs)
        return value

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("__", "_wall_", "_pytest", "pytest")):
            raise AttributeError(name)
        value, _ = self._wall_peer.request("op", ["getattr", self, name])
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        self._wall_peer.request("op", ["setattr", self, name, value])

    def __delattr__(self, name: str) -> None:
        self._wall_peer.request("op", ["delattr", self, name])

    def __iter__(self) -> Iterator[Any]:
        value, _ = self._wall_peer.request("op", ["list", self])
        if not isinstance(value, list):
            raise Mismatch(f"Iterating over your {self._wall_type} did not give a list of items.", kind="type")
        return iter(value)

    def __len__(self) -> int:
        value, _ = self._wall_peer.request("op", ["len", self])
        if type(value) is not int or value < 0:
            raise Mismatch(f"len() of your {self._wall_type} is no number.", kind="type")
        return value

    def __contains__(self, item: Any) -> bool:
        value, _ = self._wall_peer.request("op", ["contains", self, item])
        if type(value) is not bool:
            raise Mismatch(f"`in` on your {self._wall_type} gave no truth value.", kind="type")
        return value

    def _no_data(self, *_: Any) -> Any:
        raise Mismatch(f"Returned an object of type {self._wall_type} where a number or a tensor was due.", kind="type")

    __eq__ = __ne__ = __bool__ = __float__ = __int__ = __index__ = __complex__ = _no_data
    __array__ = __lt__ = __le__ = __gt__ = __ge__ = __round__ = _no_data
    __hash__ = object.__hash__

    __add__, __radd__ = _operator("add"), _operator("add", reflected=True)
    __sub__, __rsub__ = _operator("sub"), _operator("sub", reflected=True)
    __mul__, __rmul__ = _operator("mul"), _operator("mul", reflected=True)
    __truediv__, __rtruediv__ = _operator("truediv"), _operator("truediv", reflected=True)
    __pow__, __rpow__ = _operator("pow"), _operator("pow", reflected=True)
    __matmul__, __rmatmul__ = _operator("matmul"), _operator("matmul", reflected=True)
    __mod__, __rmod__ = _operator("mod"), _operator("mod", reflected=True)
    __floordiv__, __rfloordiv__ = _operator("floordiv"), _operator("floordiv", reflected=True)
    __neg__, __pos__, __abs__ = _operator("neg"), _operator("pos"), _operator("abs")
    __getitem__, __setitem__, __delitem__ = _operator("getitem"), _operator("setitem"), _operator("delitem")
    __next__, __enter__ = _operator("next"), _operator("enter")

    def __exit__(self, *exc: object) -> None:
        self._wall_peer.request("op", ["exit", self])

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """``tensor * remote`` and the like: let Python try the reflected operator; anything else is no data."""
        name = getattr(func, "__name__", "").strip("_")
        others = args if isinstance(args, tuple) else ()
        if len(others) == 2 and isinstance(others[1], Remote) and name in _REFLECTED:
            value, _ = others[1]._wall_peer.request("op", [_REFLECTED[name], *others])
            return value
        remote = next((each for each in others if isinstance(each, Remote)), None)
        kind = remote._wall_type if remote is not None else "object"
        raise Mismatch(f"Returned an object of type {kind} where a number or a tensor was due.", kind="type")

    def __repr__(self) -> str:
        return f"<the student's {self._wall_type}>"

    def __del__(self) -> None:
        peer = getattr(self, "_wall_peer", None)
        if peer is not None:
            peer.drop_handle(self._wall_handle)


_REFLECTED = {
    "add": "add", "sub": "sub", "mul": "mul", "truediv": "truediv", "div": "truediv", "matmul": "matmul", "pow": "pow",
    "floordiv": "floordiv",
}  # fmt: skip


class Spy:
    """Counts the calls of a function that is handed to the student, and refuses more than its budget.

    Args:
        function: what really runs, on the host.
        max_calls: how many calls are answered; None for any number.
        max_samples: how many rows in all (first dimension of the first tensor argument); None for any number.
    """

    def __init__(
        self, function: Callable[..., Any], *, max_calls: int | None = None, max_samples: int | None = None
    ) -> None:
        self.function = function
        self.max_calls = max_calls
        self.max_samples = max_samples
        self.calls = 0
        self.samples = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Answer, within the budget."""
        first = next((arg for arg in (*args, *kwargs.values()) if isinstance(arg, torch.Tensor)), None)
        self.calls += 1
        self.samples += len(first) if first is not None and first.ndim else 1
        if self.max_calls is not None and self.calls > self.max_calls:
            raise BudgetSpent(f"only {self.max_calls} calls of this function are allowed")
        if self.max_samples is not None and self.samples > self.max_samples:
            raise BudgetSpent(f"only {self.max_samples} samples may be put to this function")
        return self.function(*args, **kwargs)
