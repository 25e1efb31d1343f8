"""The contract that every function keeps, checked once for all: no side effects, the same answer again."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from grader.wall.faults import Mismatch, Raised
from grader.wall.host import Remote

from .compare import agree
from .watch import watch

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["contract"]

ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")


def contract(
    fn: Callable[..., Any], *args: Any, draws_rng: bool = False, may_alias: bool = False, **kwargs: Any
) -> Any:
    """Call a function of the student's and end the check if it does anything besides returning.

    Arguments must be unchanged (value, version, ``requires_grad``, ``.grad``); the global random generators, grad mode,
    default dtype, thread count and deterministic flag untouched; the result the same on strided copies of the tensor
    arguments and on a second call; and it must not share memory with an argument.

    Args:
        fn: a function of the student's.
        args: passed on; generators among them are set back before each call.
        draws_rng: the function may draw from the global generator (which is seeded anew before each call).
        may_alias: the result may be, or be a view of, an argument.
        kwargs: passed on.

    Returns:
        What the first call returned.
    """
    if type(fn) is not Remote:
        raise TypeError("contract() needs a function of the student's, such as student.softmax")
    generators = [value for value in (*args, *kwargs.values()) if isinstance(value, torch.Generator)]
    states = [generator.get_state() for generator in generators]

    def again() -> None:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)
        # A function that seeds a generator itself must not find it in the very state that it would leave it in.
        fn._wall_peer.request("seed", [1234 if draws_rng else random.getrandbits(48)])

    again()
    seen = watch(fn, *args, meter=False, **kwargs)
    if seen.mutated:
        raise Mismatch(f"Your function changes its {_argument(seen.mutated[0])}.", kind="mutation")
    if seen.aliases and not may_alias:
        raise Mismatch(
            f"The result shares memory with the {_argument(seen.aliases[0][1])}: return a new tensor.", kind="alias"
        )
    if seen.rng_used and not draws_rng:
        text = f"Your function touches the global random generator of {seen.rng_used[0]}."
        raise Mismatch(text, kind="randomness")
    if seen.flags_changed:
        raise Mismatch(f"Your function leaves a global setting changed: {seen.flags_changed[0]}.", kind="side-effect")
    if not _comparable(seen.value):
        return seen.value
    again()
    _same(
        lambda: fn(*args, **kwargs),
        seen.value,
        "Called again with the same arguments, your function gives something else.",
        "determinism",
    )
    again()
    _same(
        lambda: fn(*[_strided(arg) for arg in args], **{name: _strided(value) for name, value in kwargs.items()}),
        seen.value,
        "Your function fails, or gives something else, for tensors that are not contiguous (such as x.t()).",
        "strided",
    )
    return seen.value


def _same(call: Callable[[], Any], expected: Any, sentence: str, kind: str) -> None:
    try:
        agree(call(), expected)
    except Raised as fault:
        raise Mismatch(sentence, kind=kind, evidence=fault.evidence, at=fault.at) from None
    except Mismatch as mismatch:
        raise Mismatch(sentence, kind=kind, evidence=mismatch.evidence or mismatch.rationale) from None


def _strided(value: Any) -> Any:
    """A copy with the same values whose elements do not lie side by side."""
    if not isinstance(value, torch.Tensor) or value.ndim == 0 or value.numel() < 2:
        return value
    with torch.no_grad():
        wide = torch.empty((*value.shape, 2), dtype=value.dtype, device=value.device)
        copy = wide[..., 0]
        copy.copy_(value)
    return copy.requires_grad_(value.requires_grad) if value.is_leaf else copy


def _comparable(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(_comparable(item) for item in value)
    if isinstance(value, dict):
        return all(_comparable(item) for item in value.values())
    return value is None or isinstance(
        value, bool | int | float | complex | str | torch.Tensor | np.ndarray | np.generic
    )


def _argument(path: str) -> str:
    first = path.split(".", maxsplit=1)[0]
    if first.isdigit():
        number = int(first)
        return f"{ORDINALS[number]} argument" if number < len(ORDINALS) else f"argument {number + 1}"
    return f"argument {first}"
