"""The guest's side: runs the notebook's cells, calls names, forks itself for each check.

Theory of operation. ``serve`` answers requests from the wall until it closes. The student's code runs in this very
process, so nothing here is a secret and nothing it says is trusted: the host validates every byte. What the functions
below need is bound before the first cell runs, so that a student who replaces ``torch.equal`` for fun breaks their own
code and not this one; a student who rewrites this module only lies about their own work, and the host judges results.

A *fork* request makes a copy of the loaded notebook for one check; the copy answers on a wall of its own. *prepare* has
the notebook itself serve one. Both first kill every other process of this namespace: nothing that a check started
outlives it.
"""

from __future__ import annotations

import contextlib
import gc
import io
import linecache
import operator
import os
import random
import signal
import socket
import sys
import types
import warnings
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import torch

from . import confine, gpu, memory, meters
from .described import TEXT_LIMIT, MissingName, describe_exception, name_of
from .peer import Answer, Peer
from .wire import Channel, Closed, Encoder, WireError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Worker", "seed_everything", "serve", "warm"]

OPERATORS: dict[str, Callable[..., Any]] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "truediv": operator.truediv,
    "floordiv": operator.floordiv, "mod": operator.mod, "pow": operator.pow, "matmul": operator.matmul,
    "neg": operator.neg, "pos": operator.pos, "abs": operator.abs, "invert": operator.invert,
    "and": operator.and_, "or": operator.or_, "xor": operator.xor,
    "lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge, "eq": operator.eq, "ne": operator.ne,
    "getitem": operator.getitem, "setitem": operator.setitem, "delitem": operator.delitem,
    "contains": operator.contains, "len": len, "next": next, "bool": bool, "float": float, "int": int, "str": str,
    "repr": repr, "getattr": getattr, "setattr": setattr, "delattr": delattr, "hasattr": hasattr,
    "isinstance": isinstance, "enter": lambda cm: cm.__enter__(), "exit": lambda cm: cm.__exit__(None, None, None),
    "list": lambda value: list(_first(value, 100_000)), "same": operator.is_,
}  # fmt: skip


def _first(value: Any, most: int) -> Any:
    for count, item in enumerate(value):
        if count >= most:
            raise ValueError(f"more than {most} items")
        yield item


class HostCallable:
    """A function of the checks' that runs on the host; gradients flow through it. The host keeps it for the check."""

    def __init__(self, worker: Worker, handle: int) -> None:
        self._worker = worker
        self._handle = handle

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        value, _ = self._worker.ask("call", [self, *args], kwargs)
        return value

    def __deepcopy__(self, memo: object) -> HostCallable:
        """Itself, as for any function: a copy of a module keeps calling the same one."""
        return self


class HostError(RuntimeError):
    """A function of the checks' refused the call."""


class Worker(Peer):
    """Answers the host's requests on one wall."""

    def __init__(
        self, channel: Channel, namespace: dict[str, Any], *, shell: Any = None, can_fork: bool = True
    ) -> None:
        super().__init__(channel)
        self.namespace = namespace
        self.shell = shell
        self.given: types.ModuleType | None = None
        self.policy: meters.Policy | None = None
        self.can_fork = can_fork
        self.children: list[int] = []
        self.leave: Callable[[], None] | None = None
        self.probes: dict[str, Any] = {}
        self.kept: Any = None
        self.policies: dict[str, meters.Policy] = {}

    # -- requests --------------------------------------------------------------------------------------------------

    def perform(self, op: str, args: list[Any], kwargs: dict[str, Any], options: dict[str, Any]) -> Any:
        """Do what the host asks."""
        method = getattr(self, f"do_{op}", None)
        if method is None:
            raise WireError(f"an unknown request {op[:20]!r}")
        return method(*args, options=options, kwargs=kwargs)

    def do_ping(self, *, options: dict[str, Any], kwargs: dict[str, Any]) -> Any:
        """Say that we are here."""
        del options, kwargs
        return os.getpid()

    def do_name(self, name: str, *, options: dict[str, Any], kwargs: dict[str, Any]) -> Any:
        """A name that the notebook defined."""
        del options, kwargs
        if name not in self.namespace:
            raise MissingName(name)
        return self.namespace[name]

    def do_names(self, *, options: dict[str, Any], kwargs: dict[str, Any]) -> list[str]:
        """All public names that the notebook defined."""
        del options, kwargs
        return [name for name in self.namespace if isinstance(name, str) and not name.startswith("_")]

    def do_call(self, function: Any, *args: Any, options: dict[str, Any], kwargs: dict[str, Any]) -> Any:
        """Call something; with ``watch`` in the options, with facts."""
        if options.get("watch"):
            return self._watched(function, list(args), kwargs, options)
        value = self._limited(lambda: function(*args, **kwargs))
        if options.get("settle"):
            gpu.settle()  # what a timed call leaves on another stream is part of it
        return value

    def do_keep(self, value: Any, *, options: dict[str, Any], kwargs: dict[str, Any]) -> None:
        """Keep a value for ``do_echo``. Asked of a reference only."""
        del options, kwargs
        self.kept = value

    def do_repeat(self, times: int, function: Any, *args: Any, options: dict[str, Any], kwargs: dict[str, Any]) -> Any:
        """Call something several times in one request; the last result. Asked of a reference only."""
        del kwargs
        for _ in range(times):
            value = self._limited(lambda: function(*args))
        if options.get("settle"):
            gpu.settle()
        return value

    def do_echo(self, *args: Any, options: dict[str, Any], kwargs: dict[str, Any]) -> Any:
        """Take these arguments and answer with what was kept: a call that costs what the wall costs, and no more."""
        del args, options, kwargs
        return self.kept

    def do_op(self, name: str, *args: Any, options: dict[str, Any], kwargs: dict[str, Any]) -> Any:
        """One of Python's operators or basic functions."""
        del options, kwargs
        if name == "repr":
            return repr(args[0])[:TEXT_LIMIT]
        return self._limited(lambda: OPERATORS[name](*args))

    def do_grad(self, number: int, *grads: Any, options: dict[str, Any], kwargs: dict[str, Any]) -> Any:
        """Backward through a call that was made before."""
        del kwargs
        return self._limited(lambda: self.differentiate(number, list(grads), options))

    def do_accumulate(self, number: int, token: int, *, options: dict[str, Any], kwargs: dict[str, Any]) -> None:
        """Fill ``.grad`` of the student's own parameters."""
        del options, kwargs
        self.accumulate(number, token)

    def do_probe(self, source: str, name: str, *args: Any, options: dict[str, Any], kwargs: dict[str, Any]) -> Any:
        """Run a short function of the checks' beside the student's code."""
        del options
        if source not in self.probes:
            space: dict[str, Any] = {"torch": torch, "np": np, "given": self.given, "__name__": "probe"}
            exec(compile(source, "<probe>", "exec"), space)  # noqa: S102 - the host's own code
            self.probes[source] = space[name]
        names = types.SimpleNamespace(**{k: v for k, v in self.namespace.items() if isinstance(k, str)})
        values = [names if isinstance(arg, dict) and arg == {"student": "*"} else arg for arg in args]
        return self._limited(lambda: self.probes[source](*values, **kwargs))

    def do_given(self, source: str, *, options: dict[str, Any], kwargs: dict[str, Any]) -> Any:
        """Load the assignment's given code; the notebook can import it as ``given``."""
        del options, kwargs
        module = types.ModuleType("given")
        module.__file__ = "given.py"
        linecache.cache["given.py"] = (len(source), None, source.splitlines(keepends=True), "given.py")
        sys.modules["given"] = module
        exec(compile(source, "given.py", "exec"), module.__dict__)  # noqa: S102 - the host's own code
        self.given = module
        return module

    def do_loaded(self, *, options: dict[str, Any], kwargs: dict[str, Any]) -> Any:
        """The given module that was loaded before the notebook."""
        del options, kwargs
        return self.given

    def do_files(self, files: dict[str, bytes], *, options: dict[str, Any], kwargs: dict[str, Any]) -> None:
        """Put the assignment's data files into the working folder."""
        del options, kwargs
        for name, data in files.items():
            folder = os.path.dirname(name)
            if folder:
                os.makedirs(folder, exist_ok=True)
            with open(name, "wb") as file:
                file.write(data)

    def do_seed(self, seed: int, *, options: dict[str, Any], kwargs: dict[str, Any]) -> None:
        """Seed every global generator."""
        del options, kwargs
        seed_everything(seed)

    def do_prepare(self, seed: int, policy: Any, *, options: dict[str, Any], kwargs: dict[str, Any]) -> None:
        """Be ready for one check: nothing runs that another started, seeded, and forbidden is what the policy says."""
        del options, kwargs
        self._reap()
        seed_everything(seed)
        self.policy = self._policy(policy)

    def _policy(self, wanted: Any) -> meters.Policy | None:
        """The policy of an exercise; made once, in the process that all checks are copies of."""
        if not wanted or not (wanted[0] or wanted[1]):
            return None
        key = repr(wanted)
        if key not in self.policies:
            self.policies[key] = meters.Policy(*wanted)
        return self.policies[key]

    def do_cell(self, index: int, source: str, *, options: dict[str, Any], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Run one cell of the notebook."""
        del kwargs
        assert self.shell is not None
        result: dict[str, Any] = self.shell.run(index, source, int(options.get("output_bytes", 1 << 20)))
        if failed := gpu.failed_for_good():
            result["gpu_failed"] = failed
        return result

    def do_fork(self, *, options: dict[str, Any], kwargs: dict[str, Any]) -> Any:
        """A copy of this process for one check, on a wall of its own (whose descriptor follows the request)."""
        del kwargs
        wall = self.channel.receive_fd()
        self._reap()
        threads = memory.threads()
        on_gpu = gpu.is_in_use()
        if not self.can_fork or threads > 1 or on_gpu:
            os.close(wall)
            return {"forked": False, "threads": threads, "gpu": on_gpu}
        policy = self._policy(options.get("policy"))
        gc.freeze()  # a collection in the copy would touch, and so copy, every page
        child = memory.fork()
        if child == 0:
            self._become_child(wall, int(options.get("seed", 0)), policy)
        os.close(wall)
        self.children.append(child)
        return {"forked": True}

    def _become_child(self, wall: int, seed: int, policy: meters.Policy | None) -> NoReturn:
        """In the copy: leave the old wall, take the new one, serve until it closes."""
        status = 1
        try:
            self.channel.close()
            with contextlib.suppress(OSError):  # when memory runs out, this copy goes first and the notebook stays
                confine.write("/proc/self/oom_score_adj", "500")
            child = Worker(Channel(socket.socket(fileno=wall)), self.namespace, can_fork=False)
            child.given = self.given
            seed_everything(seed)
            child.policy = policy
            child.loop()
            status = 0
        finally:
            os._exit(status)

    def _reap(self) -> None:
        if not self.children:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getpid() == 1:
                os.kill(-1, signal.SIGKILL)
            else:
                for child in self.children:
                    os.kill(child, signal.SIGKILL)
        for child in self.children:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child, 0)
        self.children.clear()
        if os.getpid() == 1:
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass

    # -- calls with facts ------------------------------------------------------------------------------------------

    def _limited(self, call: Callable[[], Any]) -> Any:
        """Run student code under the exercise's policy and tell of forbidden names even if it hid the error."""
        policy = self.policy
        if policy is None:
            return call()
        policy.used.clear()
        try:
            with meters.enforced(policy):
                value = call()
        except meters.ForbiddenUse:
            raise
        except Exception:
            if policy.used:
                raise meters.ForbiddenUse(policy.used[0]) from None
            raise
        if policy.used:
            raise meters.ForbiddenUse(policy.used[0])
        return value

    def _watched(self, function: Any, args: list[Any], kwargs: dict[str, Any], options: dict[str, Any]) -> Any:
        """One call with everything that can be known about it."""
        backward = options.get("backward") is True
        if backward:
            for tensor in meters.tensors_in([args, kwargs]).values():
                if tensor.is_leaf and tensor.is_floating_point():
                    tensor.requires_grad_()
        snapshot = meters.Snapshot(args, kwargs)
        surroundings = meters.Surroundings()
        printed = io.StringIO()
        metered = options.get("meter") is True
        meter = meters.Meter(flops=options.get("flops") is True) if metered else None
        launches = meters.Launches() if options.get("launches") is True else None
        try:
            with (
                contextlib.redirect_stdout(printed),
                launches or contextlib.nullcontext(),
                meter or contextlib.nullcontext(),
            ):
                value = self._limited(lambda: function(*args, **kwargs))
                if backward:
                    _sum_of(value).backward()
        finally:
            facts = surroundings.facts()
            surroundings.restore()
        facts["mutated"] = [] if backward else snapshot.changed()
        facts["aliases"] = meters.aliases(value, snapshot)
        facts["stdout"] = printed.getvalue()[:TEXT_LIMIT]
        if meter is not None:
            facts.update(meter.facts())
        if launches is not None:
            facts["launches"] = launches.count
        return Answer(value, facts)

    # -- what crosses ----------------------------------------------------------------------------------------------

    def describe_export(self, value: Any) -> dict[str, Any]:
        """What the host learns of an object of the student's: names only."""
        kind = type(value)
        about: dict[str, Any] = {"is": _kind_of(value), "type": name_of(kind), "mro": _mro(value, kind)}
        if callable(value):
            about["call"] = 1
        return about

    def foreign(self, what: dict[str, Any]) -> Any:
        """A function of the host's."""
        return HostCallable(self, what["o"])

    def foreign_handle(self, value: Any) -> int | None:
        """The handle of a function of the host's."""
        return value._handle if type(value) is HostCallable else None

    def in_use(self, handle: int) -> bool:
        """The host's functions are never dropped."""
        del handle
        return True

    def describe_error(self, error: BaseException) -> dict[str, Any]:
        """Type, message and the student's own line."""
        return describe_exception(error)

    def rebuild_error(self, what: dict[str, Any]) -> BaseException:
        """What a host function raised, for the student."""
        return HostError(str(what.get("message", ""))[:TEXT_LIMIT])

    def loop(self) -> None:
        """Answer requests until the wall closes."""
        while True:
            try:
                header, blob = self.channel.receive()
                self.answer(header, blob)
            except Closed:
                return
            except KeyboardInterrupt:
                continue
            except WireError:
                return


def _sum_of(value: Any) -> torch.Tensor:
    parts = [t.sum() for t in meters.tensors_in([value]).values() if t.requires_grad]
    if not parts:
        raise RuntimeError("the result has no gradient: nothing in it requires grad")
    total: torch.Tensor = sum(parts[1:], start=parts[0])
    return total


def _kind_of(value: Any) -> str:
    if isinstance(value, type):
        return "class"
    if isinstance(value, types.FunctionType | types.BuiltinFunctionType | types.MethodType):
        return "function"
    return "module" if isinstance(value, types.ModuleType) else "instance"


def _mro(value: Any, kind: type) -> list[str]:
    kinds = type.mro(value) if isinstance(value, type) and value is not type else type.mro(kind)
    return [name_of(each) for each in kinds[:30]]


def seed_everything(seed: int) -> None:
    """Seed Python's, numpy's and torch's global generators."""
    random.seed(seed)
    np.random.seed(seed % (1 << 32))  # noqa: NPY002 - the global generator is what notebooks use
    # Not torch.manual_seed: for devices that are not there it formats a stack trace, at 3 ms a call.
    torch.default_generator.manual_seed(seed)
    gpu.seed_later(seed)


_warm: list[Any] = []


def warm() -> None:
    """Make the shell before any student is seen: every fork has one ready."""
    from .shell import Shell

    # In a student's folder there is grader.student; here its checks are run from outside.
    stand_in = types.ModuleType("grader.student")
    stand_in.check = lambda *_, **__: None  # type: ignore[attr-defined]
    sys.modules["grader.student"] = stand_in
    shell = Shell()
    shell.run(0, "1 + 1", 1 << 10)
    _warm.append(shell)
    _rehearse()


def _rehearse() -> None:
    """Answer a request with tensors, and watch a call: what these import or build lazily is then in every copy."""
    ours, theirs = socket.socketpair()
    worker = Worker(Channel(theirs), {}, can_fork=False)
    encoder = Encoder(lambda _value: {}, lambda _tensor, _what: None)
    numbers = [encoder.encode(torch.ones(2, dtype=dtype)) for dtype in (torch.float32, torch.float64)]
    host = Channel(ours)
    host.send({"q": 0, "op": "op", "a": ["add", *numbers]}, encoder.blob())
    ours.shutdown(socket.SHUT_WR)
    worker.loop()
    reply, _ = host.receive()
    if "err" in reply:
        raise RuntimeError(f"the rehearsal failed: {reply['err']}")
    worker._watched(torch.exp, [torch.ones(2)], {}, {"meter": True, "flops": True})
    host.close()
    worker.channel.close()


def serve(wall: socket.socket, limits: dict[str, Any] | None = None) -> NoReturn:
    """Answer the host on this wall until it closes, then end the process. Runs as the guest's first process."""
    status = 1
    try:
        gpu.cap_later((limits or {}).get("gpu_memory_bytes"))
        if not _warm:
            warm()
        shell = _warm.pop()
        shell.enter()
        sys.setrecursionlimit(3000)
        warnings.simplefilter("default")
        torch.set_num_threads(1)
        worker = Worker(Channel(wall), shell.namespace, shell=shell)
        worker.loop()
        status = 0
    finally:
        os._exit(status)
