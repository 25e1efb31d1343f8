"""When a series of noisy comparisons has said enough. Pure: numbers in, a decision out.

Theory of operation. A timed check compares pairs: one call of the student's, one of the reference's. Each pair gives
one number (the ratio of the times; for growth, the slope of one round). Only one bit of it decides: whether it lies
above the limit. If the student is truly within the limit, that bit is at most a fair coin, however wild the noise is,
for noise hits both sides of a pair alike. So "over the limit" is the claim that a coin falls on one side more often
than half of the time, and it is tested while the coins fall:

* ``evidence`` is the mean over all biases p in (1/2, 1], equally weighted, of the likelihood ratio of p against 1/2.
  For a coin with p ≤ 1/2 it is a nonnegative supermartingale that starts at 1, so the chance that it *ever* reaches 1/α
  is at most α (Ville 1939; mixtures: Robbins, Ann. Math. Stat. 41, 1970). One may look at any time and stop at will.
* With k of n coins above it has the closed form Σ_{j ≤ k} C(n+1, j) / ((n+1) C(n, k)): the Beta integral
  2ⁿ⁺¹ ∫_{1/2}^{1} pᵏ(1−p)ⁿ⁻ᵏ dp, and the Beta tail at 1/2 as a Binomial sum (Abramowitz & Stegun 26.5.24).
* All limits that the series does not reject form an interval for the median that holds at all times at once (Howard &
  Ramdas, Bernoulli 28(3), 2022, "Sequential estimation of quantiles"): its ends are order statistics.

No distribution is assumed, neither normal times nor equal variances: only that the pairs are taken in random order.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache

__all__ = ["ENOUGH", "WILD", "Decision", "Series", "evidence", "interval", "ramp", "slope", "spread"]

CERTAIN = 1e-4
"""The chance, at most, that a student within the limit is ever found over it."""
LIKELY = 1e-2
"""The chance, at most, that a student over the limit is found within it before all pairs are used."""
ENOUGH = 100
"""Pairs after which it stays unclear."""
WILD = math.log(2)
"""The middle half of one side's own times spans more than this factor: such a machine takes no points."""


class Decision(StrEnum):
    """What a series says of one limit."""

    WITHIN = "within"
    OVER = "over"
    OPEN = "open"


@cache
def evidence(above: int, n: int) -> float:
    """How strongly ``above`` of ``n`` coins speak against a coin that is fair or falls below more often; 1: not at all.

    Raises:
        ValueError: not 0 ≤ above ≤ n.
    """
    if not 0 <= above <= n:
        raise ValueError(f"{above} of {n} coins")
    ways = sum(math.comb(n + 1, j) for j in range(above + 1))
    due = (n + 1) * math.comb(n, above)
    return ways / due if ways < due << 1000 else math.inf


def interval(values: list[float], *, risk: float = 0.05) -> tuple[float, float]:
    """Where the median lies, but for a chance of ``risk`` over the whole series; infinite where nothing is known."""
    ordered, n = sorted(values), len(values)
    # For a limit just below the j-th smallest value, n − j + 1 values lie above it.
    out = [j for j in range(1, n + 1) if evidence(n - j + 1, n) >= 2 / risk]
    if not out:
        return -math.inf, math.inf
    return ordered[out[-1] - 1], ordered[n - out[-1]]


def spread(values: list[float]) -> float:
    """The distance of the quartiles: how wild a series is; 0 for fewer than four values."""
    if len(values) < 4:
        return 0.0
    low, _, high = statistics.quantiles(values, n=4)
    return high - low


def slope(sizes: list[float], costs: list[float]) -> float:
    """The exponent b of costs ≈ a · sizesᵇ: least squares on logarithms.

    Raises:
        ValueError: fewer than two different sizes, or a number that is not positive.
    """
    x, y = [math.log(size) for size in sizes], [math.log(cost) for cost in costs]
    return statistics.linear_regression(x, y).slope


def ramp(full: float, none: float, *, steps: int = 4) -> dict[float, float]:
    """Limits from ``full`` (all points) up to ``none`` (nothing beyond it), at equal factors: limit to share of points.

    Raises:
        ValueError: not 0 < full < none, or fewer than one step.
    """
    if not 0 < full < none or steps < 1:
        raise ValueError("a ramp leads up from a positive limit, in one step or more")
    factor = (none / full) ** (1 / steps)
    return {full * factor**step: 1 - step / (steps + 1) for step in range(steps + 1)}


@dataclass(slots=True)
class Series:
    """A series of paired comparisons against limits.

    Args:
        limits: limit to share of the points that staying within it earns; the smallest earns most.
        most: pairs after which what is open stays open.

    Raises:
        ValueError: no limit, or a larger limit that earns more.
    """

    limits: dict[float, float]
    most: int = ENOUGH
    values: list[float] = field(default_factory=list)
    _decided: dict[float, Decision] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Put the limits in order."""
        ordered = dict(sorted(self.limits.items()))
        shares = list(ordered.values())
        good = all(math.isfinite(limit) and 0 < share <= 1 for limit, share in ordered.items())
        if not ordered or not good or shares != sorted(shares, reverse=True):
            raise ValueError("limits earn shares between 0 and 1, and a larger limit earns no more than a smaller one")
        self.limits = ordered

    def add(self, value: float) -> None:
        """Take in one pair. A limit that is decided stays so: that is what makes looking after each pair honest."""
        self.values.append(value)
        n = len(self.values)
        for limit in self.limits:
            if limit in self._decided:
                continue
            if evidence(sum(each > limit for each in self.values), n) >= 1 / CERTAIN:
                self._decided[limit] = Decision.OVER
            elif evidence(sum(each < limit for each in self.values), n) >= 1 / LIKELY:
                self._decided[limit] = Decision.WITHIN

    def decision(self, limit: float) -> Decision:
        """What the pairs say of one limit."""
        return self._decided.get(limit, Decision.OPEN)

    @property
    def is_done(self) -> bool:
        """Whether another pair is of no use: all is clear, the best limit is held, or there were enough."""
        decisions = [self.decision(limit) for limit in self.limits]
        return Decision.OPEN not in decisions or decisions[0] is Decision.WITHIN or len(self.values) >= self.most

    @property
    def is_clear(self) -> bool:
        """Whether the points do not rest on the benefit of the doubt."""
        for limit in self.limits:
            if self.decision(limit) is not Decision.OVER:
                return self.decision(limit) is Decision.WITHIN
        return True

    @property
    def share(self) -> float:
        """The share of the points: that of the smallest limit that the student was not found over."""
        return next((self.limits[each] for each in self.limits if self.decision(each) is not Decision.OVER), 0.0)

    @property
    def median(self) -> float:
        """The middle value."""
        return statistics.median(self.values)
