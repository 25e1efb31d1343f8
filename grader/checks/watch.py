"""Facts about one call of the student's code."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from grader.wall.faults import Mismatch, Violation
from grader.wall.host import Remote

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Observation", "type_names", "watch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One call and what it did besides returning."""

    value: Any
    """What it returned."""
    mutated: tuple[str, ...]
    """Arguments whose value, version, ``requires_grad`` or ``.grad`` changed: ``"0"``, ``"weight"``, ``"1.bias"``."""
    aliases: tuple[tuple[str, str], ...]
    """Pairs (part of the result, argument) that share memory."""
    rng_used: tuple[str, ...]
    """Global generators that advanced: ``torch``, ``numpy``, ``random``."""
    flags_changed: tuple[str, ...]
    """Global settings that are not what they were: ``grad mode``, ``default dtype``, …"""
    stdout: str
    ops: Counter[str]
    """ATen operators by name (``aten::mm``), backward included."""
    flops: int
    """Only counted with ``flops=True``."""
    launches: int | None
    """Kernels launched on the GPU, only counted with ``launches=True``; None where they cannot be traced."""
    peak_bytes: int
    """Peak of the live bytes of tensors that the call allocated."""

    @property
    def op_count(self) -> int:
        """ATen operators in all, without views and bookkeeping that cost nothing."""
        return sum(count for name, count in self.ops.items() if name not in _FREE)


_FREE = frozenset(
    f"aten::{name}"
    for name in (
        "detach", "view", "_unsafe_view", "t", "transpose", "permute", "expand", "unsqueeze", "squeeze", "select",
        "slice", "as_strided", "alias", "unbind", "split", "lift_fresh", "_local_scalar_dense", "diagonal", "unfold",
        "split_with_sizes", "chunk", "narrow", "reshape", "_reshape_alias", "view_as_real", "view_as_complex",
    )
)  # fmt: skip


def watch(
    fn: Callable[..., Any],
    *args: Any,
    backward: bool = False,
    meter: bool = True,
    flops: bool = False,
    launches: bool = False,
    **kwargs: Any,
) -> Observation:
    """Call a function or object of the student's and see what the call does.

    Args:
        fn: something of the student's that can be called.
        args: passed on.
        backward: also run ``value.sum().backward()`` inside, with ``requires_grad`` set on floating-point arguments.
        meter: count operators and bytes (about 30 µs an operator).
        flops: count FLOPs too.
        launches: count kernel launches on the GPU too (a traced call takes milliseconds more).
        kwargs: passed on.
    """
    if type(fn) is not Remote:
        raise TypeError("watch() needs a function of the student's, such as student.softmax")
    options = {"watch": True, "backward": backward, "meter": meter, "flops": flops, "launches": launches}
    value, facts = fn._wall_peer.request("call", [fn, *args], kwargs, options=options)
    try:
        return _observation(value, facts)
    except (TypeError, ValueError, KeyError, AttributeError):
        peer = fn._wall_peer
        raise peer.spoil(Violation("Your code broke the marker's protocol.", evidence="malformed facts")) from None


def _observation(value: Any, facts: dict[str, Any]) -> Observation:
    ops = {str(name)[:100]: _count(number) for name, number in dict(facts.get("ops", {})).items()}
    return Observation(
        value=value,
        mutated=tuple(str(path)[:100] for path in facts["mutated"]),
        aliases=tuple((str(one)[:100], str(other)[:100]) for one, other in facts["aliases"]),
        rng_used=tuple(str(name)[:20] for name in facts["rng"]),
        flags_changed=tuple(str(name)[:40] for name in facts["flags"]),
        stdout=str(facts["stdout"])[:2000],
        ops=Counter(ops),
        flops=_count(facts.get("flops", 0)),
        launches=None if facts.get("launches") is None else _count(facts["launches"]),
        peak_bytes=_count(facts.get("peak_bytes", 0)),
    )


def _count(number: Any) -> int:
    if type(number) is not int or number < 0:
        raise ValueError("a count must be a whole number that is not negative")
    return number


def type_names(value: Any) -> tuple[str, ...]:
    """The qualified names of an object's class and its bases (``torch.nn.modules.module.Module``)."""
    if type(value) is not Remote:
        raise Mismatch("An object of your own class is due here.", kind="type")
    names: tuple[str, ...] = value._wall_mro
    return names
