"""Comparison of what a student's code returned with what is due, told without telling the answer."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import torch

from grader.wall.faults import Mismatch
from grader.wall.host import Remote

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["HEADROOM", "agree", "close", "fail"]


@dataclass(slots=True)
class Headroom:
    """How near comparisons came to their tolerance; measured for ``grader audit`` only."""

    measured: bool = False
    largest: float | None = None
    """The largest error of a check's comparisons by value, in units of the tolerance: above 1 it failed."""

    def note(self, error: float) -> None:
        """Take one comparison's largest error in."""
        error = min(error, MOST_HEADROOM)
        self.largest = error if self.largest is None else max(self.largest, error)


MOST_HEADROOM = 1e9
"""Where no number is due, or another infinity: a record holds finite numbers only."""
HEADROOM = Headroom()


def fail(rationale: str, *, kind: str = "value", misconception: str | None = None) -> NoReturn:
    """End the check with a sentence for the student."""
    raise Mismatch(rationale, kind=kind, misconception=misconception)


def close(
    actual: Any,
    expected: Any,
    *,
    rtol: float | None = None,
    atol: float | None = None,
    check_dtype: bool = True,
    misconceptions: Mapping[str, Any | Callable[[], Any]] | None = None,
    what: str = "the result",
) -> None:
    """End the check unless ``actual`` is ``expected`` up to rounding.

    Type, structure, shape and dtype first, then values. Tolerances default to ``torch.testing.assert_close``'s for the
    dtype; give both or neither. NaN equals only an expected NaN.

    Args:
        actual: what the student's code returned.
        expected: a number, string, bool, None, tensor, array, or nested lists, tuples and dicts of these.
        rtol: relative tolerance.
        atol: absolute tolerance.
        check_dtype: whether a tensor's dtype must be the expected one.
        misconceptions: sentence → the output that this wrong idea would give (or a function that computes it).
        what: how the student reads of it (``the gradient of W``).

    Raises:
        Mismatch: with what kind of thing is off; never with values.
    """
    bounds = _Bounds(rtol=rtol, atol=atol, measured=HEADROOM.measured)
    try:
        _compare(actual, expected, bounds, check_dtype, what)
    except Mismatch as mismatch:
        if mismatch.kind in ("value", "shape") and misconceptions:
            mismatch.misconception = _misconception(actual, expected, misconceptions, replace(bounds, measured=False))
        raise


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bounds:
    """How exact a comparison is."""

    rtol: float | None = None
    atol: float | None = None
    slack: float = 1.0
    """By how much the defaults are widened."""
    measured: bool = False
    """Whether errors are noted in ``HEADROOM``."""

    def of(self, relative: float, absolute: float) -> tuple[float, float]:
        """The tolerances, given the defaults for the kind of value."""
        return (
            relative * self.slack if self.rtol is None else self.rtol,
            absolute * self.slack if self.atol is None else self.atol,
        )


def agree(one: Any, other: Any) -> None:
    """End the check unless two results of one function agree: ten times looser than with a right answer."""
    _compare(one, other, _Bounds(slack=10.0), check_dtype=True, what="the result")


def _compare(actual: Any, expected: Any, bounds: _Bounds, check_dtype: bool, what: str) -> None:
    if isinstance(expected, np.generic):
        expected = expected.item()
    if isinstance(actual, np.generic) and not isinstance(expected, torch.Tensor | np.ndarray):
        actual = actual.item()
    if isinstance(expected, torch.Tensor):
        _tensor(actual, expected, bounds, check_dtype, what)
    elif isinstance(expected, np.ndarray):
        _array(actual, expected, bounds, check_dtype, what)
    elif isinstance(expected, bool) or expected is None or isinstance(expected, str | bytes):
        if type(actual) is not type(expected):
            _wrong_type(actual, expected, what)
        if actual != expected:
            raise Mismatch(f"The value of {what} is off.", evidence=f"{actual!r} != {expected!r}")
    elif isinstance(expected, int | float | complex):
        _number(actual, expected, bounds, what)
    elif isinstance(expected, dict):
        _mapping(actual, expected, bounds, check_dtype, what)
    elif isinstance(expected, list | tuple):
        if not isinstance(actual, list | tuple):
            _wrong_type(actual, expected, what)
        if len(actual) != len(expected):
            text = f"{_capital(what)} has {_count(len(actual))} where {_count(len(expected))} are due."
            raise Mismatch(text, kind="shape")
        for index, (one, other) in enumerate(zip(actual, expected, strict=True)):
            _compare(one, other, bounds, check_dtype, f"part {index + 1} of {what}")
    else:
        raise TypeError(f"close() cannot compare with a {type(expected).__name__}")


def _tensor(actual: Any, expected: torch.Tensor, bounds: _Bounds, check_dtype: bool, what: str) -> None:
    if not isinstance(actual, torch.Tensor):
        _wrong_type(actual, expected, what)
    if actual.shape != expected.shape:
        text = f"{_capital(what)} has shape {tuple(actual.shape)} where {tuple(expected.shape)} is due."
        raise Mismatch(text, kind="shape")
    if check_dtype and actual.dtype != expected.dtype:
        text = f"{_capital(what)} has dtype {_short(actual.dtype)} where {_short(expected.dtype)} is due."
        raise Mismatch(text, kind="dtype")
    actual, expected = actual.detach().cpu(), expected.detach().cpu()
    if actual.dtype != expected.dtype:
        wider = torch.promote_types(actual.dtype, expected.dtype)
        loosest = max((actual.dtype, expected.dtype), key=lambda dtype: _tolerance(dtype)[0])
        relative, absolute = bounds.of(*_tolerance(loosest))
        actual, expected = actual.to(wider), expected.to(wider)
    else:
        relative, absolute = bounds.of(*_tolerance(actual.dtype))
    same = torch.isclose(actual, expected, rtol=relative, atol=absolute, equal_nan=True)
    if bounds.measured and actual.is_floating_point() and relative + absolute > 0:
        HEADROOM.note(_worst(actual.double(), expected.double(), relative, absolute))
    if not same.all():
        raise Mismatch(
            _describe(actual, expected, same, relative, absolute, what), evidence=_evidence(actual, expected, same)
        )


def _worst(actual: torch.Tensor, expected: torch.Tensor, relative: float, absolute: float) -> float:
    """The largest error in units of its tolerance; infinite where one is not finite and the other another."""
    same = (actual == expected) | (actual.isnan() & expected.isnan())
    error = (actual - expected).abs() / (absolute + relative * expected.abs())
    error = error.nan_to_num(nan=math.inf).masked_fill(same, 0.0)
    return float(error.max()) if error.numel() else 0.0


def _tolerance(dtype: torch.dtype) -> tuple[float, float]:
    """Relative and absolute: what ``torch.testing.assert_close`` takes for the dtype.

    Not that function itself: it imports all of ``torch.distributed``, which costs more than marking a submission.
    """
    if dtype.is_complex:
        dtype = torch.float32 if dtype is torch.complex64 else torch.float64
    return _TOLERANCES.get(dtype, (0.0, 0.0))


_NUMBER = (1e-5, 1e-7)
"""For Python's numbers: they may come from float32, whose sums differ that much by their order."""

_TOLERANCES = {
    torch.float16: (1e-3, 1e-5),
    torch.bfloat16: (1.6e-2, 1e-5),
    torch.float32: (1.3e-6, 1e-5),
    torch.float64: (1e-7, 1e-7),
}


def _evidence(actual: torch.Tensor, expected: torch.Tensor, same: torch.Tensor) -> str:
    """For instructors: how many are off, the worst one, and where it is."""
    wide = torch.complex128 if actual.is_complex() else torch.float64
    error = (actual.to(wide) - expected.to(wide)).abs().nan_to_num(nan=math.inf).masked_fill(same, -1.0)
    place = tuple(int(i) for i in torch.unravel_index(error.argmax(), error.shape)) if error.ndim else ()
    worst = f"{actual[place].item()!r} instead of {expected[place].item()!r} at {place}"
    return f"{int((~same).sum())} of {same.numel()} are off; the worst: {worst}"


def _describe(
    actual: torch.Tensor, expected: torch.Tensor, same: torch.Tensor, relative: float, absolute: float, what: str
) -> str:
    """What kind of wrong the values are, in a sentence without values."""
    name = _capital(what)
    if not expected.is_floating_point():
        return f"The values of {what} are off."
    new_nan = torch.isnan(actual) & ~torch.isnan(expected)
    if new_nan.any():
        return f"{name} contains NaN where a number is due."
    if (torch.isinf(actual) & ~torch.isinf(expected)).any():
        return f"{name} contains an infinity where a finite number is due."
    finite = torch.isfinite(expected) & torch.isfinite(actual)
    if (finite & ~same).any() and torch.allclose(-actual[finite], expected[finite], rtol=relative, atol=absolute):
        return f"{name} has the wrong sign."
    if not actual.any() and expected.any():
        return f"{name} is zero where it should not be."
    large = finite & (expected.abs() > 1e-6 * expected[finite].abs().max().clamp_min(1e-30) if finite.any() else finite)
    if large.sum() >= 2:
        ratio = actual[large] / expected[large]
        spread = (ratio - ratio.mean()).abs().max()
        if ratio.mean().abs() > 1e-6 and spread < 1e-4 * ratio.mean().abs() and abs(float(ratio.mean()) - 1) > 1e-3:
            return f"The values of {what} are off by a constant factor."
    few = int((~same).sum()) < same.numel() / 2
    return f"Some values of {what} are off." if few else f"The values of {what} are off."


def _array(actual: Any, expected: np.ndarray[Any, Any], bounds: _Bounds, check_dtype: bool, what: str) -> None:
    if not isinstance(actual, np.ndarray):
        _wrong_type(actual, expected, what)
    _tensor(torch.from_numpy(actual.copy()), torch.from_numpy(expected.copy()), bounds, check_dtype, what)


def _number(actual: Any, expected: complex, bounds: _Bounds, what: str) -> None:
    if isinstance(actual, bool) or not isinstance(actual, int | float | complex):
        _wrong_type(actual, expected, what)
    if isinstance(expected, int):
        same = actual == expected
    elif isinstance(expected, float) and math.isnan(expected):
        same = isinstance(actual, float) and math.isnan(actual)
    elif isinstance(expected, float) and math.isinf(expected):
        same = actual == expected
    else:
        relative, absolute = bounds.of(*_NUMBER)
        error, allowed = _distance(actual, expected), absolute + relative * abs(expected)
        same = error <= allowed
        if bounds.measured and allowed > 0:
            HEADROOM.note(error / allowed if math.isfinite(error) else math.inf)
    if not same:
        raise Mismatch(f"The value of {what} is off.", evidence=f"{actual!r} != {expected!r}")


def _distance(one: complex, other: complex) -> float:
    """Between two numbers; infinite when it is larger than a float (an ``int`` of 400 digits)."""
    try:
        return abs(one - other)
    except OverflowError:
        return math.inf


def _mapping(actual: Any, expected: dict[Any, Any], bounds: _Bounds, check_dtype: bool, what: str) -> None:
    if not isinstance(actual, dict):
        _wrong_type(actual, expected, what)
    missing = [key for key in expected if key not in actual]
    if missing or len(actual) != len(expected):
        raise Mismatch(f"The keys of {what} are off.", kind="type", evidence=f"{list(actual)} != {list(expected)}")
    for key, value in expected.items():
        _compare(actual[key], value, bounds, check_dtype, f"{what} under {key!r}")


def _misconception(actual: Any, expected: Any, ideas: Mapping[str, Any], bounds: _Bounds) -> str | None:
    """The first known wrong idea whose output this is."""
    for sentence, idea in ideas.items():
        wrong = idea() if callable(idea) else idea
        try:
            _compare(actual, wrong, bounds, check_dtype=False, what="")
        except Mismatch:
            continue
        try:
            _compare(wrong, expected, bounds, check_dtype=False, what="")
        except Mismatch:
            return sentence
    return None


def _wrong_type(actual: Any, expected: Any, what: str) -> NoReturn:
    due = _type_name(expected)
    if actual is None:
        text = f"{_capital(what)} is None where {due} is due: is a return missing?"
    elif isinstance(actual, torch.Tensor) and isinstance(expected, int | float) and actual.ndim == 0:
        text = f"{_capital(what)} is a tensor where {due} is due: .item() gives the number."
    else:
        text = f"{_capital(what)} is {_type_name(actual)} where {due} is due."
    raise Mismatch(text, kind="type")


def _type_name(value: Any) -> str:
    if isinstance(value, Remote):
        return f"an object of type {value._wall_type}"
    if value is None:
        return "None"
    name = {"Tensor": "tensor", "ndarray": "numpy array", "str": "string", "dict": "dict"}.get(
        type(value).__name__, type(value).__name__
    )
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _count(number: int) -> str:
    return "1 item" if number == 1 else f"{number} items"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
