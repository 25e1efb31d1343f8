"""What a call did besides returning: operators, FLOPs, live bytes, changed arguments, aliases, randomness, flags.

Deterministic, so that a verdict built on them never flips. They run in the guest and a guest could lie about them; the
host's clock and the memory read from outside stand behind each.
"""

from __future__ import annotations

import contextlib
import fnmatch
import operator
import random
import weakref
from collections import Counter
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from . import gpu

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ForbiddenUse", "Launches", "Meter", "Policy", "Snapshot", "Surroundings", "aliases", "tensors_in"]


class ForbiddenUse(Exception):
    """The exercise asks to write this oneself."""


class Policy:
    """Names and operators that an exercise forbids while a check calls the student's code.

    Args:
        names: dotted names as one writes them (``torch.nn.functional.softmax``, ``torch.Tensor.softmax``); the last
            part may hold ``*`` (``torch.nn.functional.*dropout*``).
        ops: ATen names (``aten::_softmax``), which no alias hides.
        instead: what to use instead.
    """

    def __init__(self, names: list[str], ops: list[str], instead: str) -> None:
        self.functions = {function: name for pattern in names for name, function in _functions(pattern)}
        self.ops = frozenset(ops)
        self.instead = instead
        self.used: list[str] = []

    def forbid(self, name: str) -> None:
        """Note the use and end the call."""
        sentence = f"{name} is not allowed in this exercise" + (f"; use {self.instead}" if self.instead else "")
        self.used.append(sentence)
        raise ForbiddenUse(sentence)


def _functions(pattern: str) -> Iterator[tuple[str, Any]]:
    """The functions of torch that a dotted name or pattern means."""
    parent, _, last = pattern.rpartition(".")
    try:
        place = operator.attrgetter(parent.removeprefix("torch").lstrip("."))(torch) if parent != "torch" else torch
    except AttributeError:
        return
    for name in fnmatch.filter(dir(place), last):
        function = getattr(place, name, None)
        if callable(function) and not isinstance(function, type) and type(function).__hash__ is not None:
            yield f"{parent}.{name}", function


class _Names(TorchFunctionMode):
    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self.policy = policy

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = self.policy.functions.get(func)
        if name is not None:
            self.policy.forbid(name)
        return func(*args, **(kwargs or {}))


class _Ops(TorchDispatchMode):
    def __init__(self, policy: Policy) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.policy = policy

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name
        if name in self.policy.ops:
            self.policy.forbid(name)
        return func(*args, **(kwargs or {}))


@contextlib.contextmanager
def enforced(policy: Policy | None) -> Iterator[None]:
    """Run a block under a policy."""
    if policy is None:
        yield
        return
    with contextlib.ExitStack() as stack:
        if policy.ops:
            stack.enter_context(_Ops(policy))
        stack.enter_context(_Names(policy))
        yield


class Meter(TorchDispatchMode):
    """Counts every ATen operator, backward included, its FLOPs, and the peak of newly allocated live bytes."""

    def __init__(self, *, flops: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._flops_of: Any = {}
        if flops:
            # Imported for those who ask only: docs/design/003.
            from torch.utils.flop_counter import flop_registry

            self._flops_of = flop_registry
        self.ops: Counter[str] = Counter()
        self.flops = 0
        self.live_bytes = 0
        self.peak_bytes = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        for value in (*args, *kwargs.values()):
            for tensor in tensors_in(value).values():
                self._know(tensor)
        result = func(*args, **kwargs)
        self.ops[func._schema.name] += 1
        count = self._flops_of.get(func._overloadpacket)
        if count is not None:
            self.flops += count(*args, **kwargs, out_val=result)
        for tensor in tensors_in(result).values():
            self._track(tensor)
        return result

    def _know(self, tensor: torch.Tensor) -> None:
        if tensor.layout is torch.strided:
            self._known.add(tensor.untyped_storage()._cdata)

    def _track(self, tensor: torch.Tensor) -> None:
        if tensor.layout is not torch.strided or tensor.device.type == "meta":
            return
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._known:
            return
        self._known.add(key)
        size = storage.nbytes()
        self.live_bytes += size
        self.peak_bytes = max(self.peak_bytes, self.live_bytes)
        weakref.finalize(storage, self._freed, key, size)

    def _freed(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.live_bytes -= size

    def facts(self) -> dict[str, Any]:
        """Plain JSON of what was counted."""
        return {"ops": dict(self.ops), "flops": self.flops, "peak_bytes": self.peak_bytes}


class Launches:
    """Counts what a block launches on the GPU: kernels, and whole graphs of them, as CUDA's tracing tells (CUPTI).

    ``count`` is None where there is a GPU that cannot be traced, and 0 where there is none.
    """

    CALLS = frozenset(
        ("cudaLaunchKernel", "cudaLaunchKernelExC", "cudaLaunchCooperativeKernel", "cudaGraphLaunch",
         "cuLaunchKernel", "cuLaunchKernelEx", "cuLaunchCooperativeKernel", "cuGraphLaunch")
    )  # fmt: skip

    def __init__(self) -> None:
        self.count: int | None = 0
        self._trace: Any = None

    def __enter__(self) -> Self:
        if gpu.is_handed_over() and torch.cuda.is_available():
            self.count = None
            if torch.profiler.ProfilerActivity.CUDA in torch.profiler.supported_activities():
                self._trace = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA])
                self._trace.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        if self._trace is not None:
            gpu.settle()
            self._trace.__exit__(*error)
            self.count = sum(event.name in self.CALLS for event in self._trace.events())


def tensors_in(value: Any, path: str = "", depth: int = 0) -> dict[str, torch.Tensor]:
    """Every tensor in nested lists, tuples and dicts, by its path (``"0"``, ``"1.weight"``)."""
    if isinstance(value, torch.Tensor):
        return {path: value}
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub" and depth < 8:
        with contextlib.suppress(TypeError, ValueError):
            return {path: torch.from_numpy(value)}
    found: dict[str, torch.Tensor] = {}
    items: Any = ()
    if depth < 8 and isinstance(value, list | tuple):
        items = enumerate(value)
    elif depth < 8 and isinstance(value, dict):
        items = value.items()
    for key, item in items:
        found.update(tensors_in(item, f"{path}.{key}" if path else str(key), depth + 1))
    return found


class Snapshot:
    """The tensors among a call's arguments before it, and which of them it changed."""

    def __init__(self, args: list[Any], kwargs: dict[str, Any]) -> None:
        self.tensors = {**tensors_in(args), **tensors_in(kwargs)}
        self.before = {path: self._state(tensor) for path, tensor in self.tensors.items()}
        self.containers = {**_containers(args), **_containers(kwargs)}

    @staticmethod
    def _state(tensor: torch.Tensor) -> tuple[Any, ...]:
        grad = tensor.grad if tensor.is_leaf else None
        return (
            tensor.detach().clone(),
            tensor._version,
            tensor.requires_grad,
            grad,
            None if grad is None else grad.detach().clone(),
        )

    def changed(self) -> list[str]:
        """Paths of the arguments whose value, version, ``requires_grad`` or ``.grad`` is not what it was."""
        paths = [path for path, tensor in self.tensors.items() if not self._same(tensor, self.before[path])]
        now = {path: _items(value) for path, (value, _) in self.containers.items()}
        return paths + [path for path, (_, items) in self.containers.items() if not _same_items(now[path], items)]

    @staticmethod
    def _same(tensor: torch.Tensor, before: tuple[Any, ...]) -> bool:
        value, version, requires_grad, grad, grad_value = before
        now = tensor.grad if tensor.is_leaf else None
        return (
            tensor._version == version
            and tensor.requires_grad == requires_grad
            and tensor.shape == value.shape
            and _identical(tensor.detach(), value)
            and (now is None if grad is None else now is not None and _identical(now.detach(), grad_value))
        )


def _containers(value: Any, path: str = "", depth: int = 0) -> dict[str, tuple[Any, list[tuple[Any, Any]]]]:
    """Every list and dict among the arguments with the objects in it (the arguments' own one is not the student's)."""
    found: dict[str, tuple[Any, list[tuple[Any, Any]]]] = {}
    if path and isinstance(value, list | dict):
        found[path] = (value, _items(value))
    if depth < 8 and isinstance(value, list | tuple | dict):
        for key, item in _items(value):
            found.update(_containers(item, f"{path}.{key}" if path else str(key), depth + 1))
    return found


def _items(value: Any) -> list[tuple[Any, Any]]:
    return list(value.items()) if isinstance(value, dict) else list(enumerate(value))


def _same_items(now: list[tuple[Any, Any]], before: list[tuple[Any, Any]]) -> bool:
    """Whether these are the same objects under the same keys, in the same order."""
    return len(now) == len(before) and all(
        one[0] == other[0] and one[1] is other[1] for one, other in zip(now, before, strict=True)
    )


def _identical(one: torch.Tensor, other: torch.Tensor) -> bool:
    same: torch.Tensor = (one == other) | ((one != one) & (other != other))  # noqa: PLR0124 - NaN is not itself
    return bool(same.all())


def aliases(value: Any, snapshot: Snapshot) -> list[list[str]]:
    """Pairs (path in the result, path in the arguments) of tensors that share memory."""
    owners: dict[int, str] = {}
    for path, tensor in snapshot.tensors.items():
        if tensor.numel():
            owners.setdefault(tensor.untyped_storage().data_ptr(), path)
    return [
        [path, owners[tensor.untyped_storage().data_ptr()]]
        for path, tensor in tensors_in(value).items()
        if tensor.numel() and tensor.untyped_storage().data_ptr() in owners
    ]


def _numpy_state() -> tuple[Any, int]:
    state: Any = np.random.get_state()  # noqa: NPY002 - the global state is what is watched
    return state[1].copy(), int(state[2])


class Surroundings:
    """The global state that well-behaved code leaves alone."""

    def __init__(self) -> None:
        self.torch_rng = torch.get_rng_state()
        self.numpy_rng = _numpy_state()
        self.python_rng = random.getstate()
        self.flags = self._flags()

    @staticmethod
    def _flags() -> dict[str, Any]:
        return {
            "grad mode": torch.is_grad_enabled(),
            "default dtype": str(torch.get_default_dtype()),
            "number of threads": torch.get_num_threads(),
            "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
            "anomaly mode": torch.is_anomaly_enabled(),
            "matmul precision": torch.get_float32_matmul_precision(),
        }

    def facts(self) -> dict[str, Any]:
        """What is different now: random generators used, flags changed."""
        key, position = _numpy_state()
        used = []
        if not torch.equal(self.torch_rng, torch.get_rng_state()):
            used.append("torch")
        if position != self.numpy_rng[1] or not np.array_equal(key, self.numpy_rng[0]):
            used.append("numpy")
        if random.getstate() != self.python_rng:
            used.append("random")
        now = self._flags()
        return {"rng": used, "flags": [name for name, value in self.flags.items() if now[name] != value]}

    def restore(self) -> None:
        """Put flags that a call changed back, so that one fault is not reported twice."""
        torch.set_grad_enabled(self.flags["grad mode"])
        torch.set_default_dtype(getattr(torch, self.flags["default dtype"].removeprefix("torch.")))
