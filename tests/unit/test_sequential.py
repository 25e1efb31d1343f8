"""The statistics of timed checks, with drawn times: nothing here depends on how busy the machine is."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.checks.sequential import CERTAIN, ENOUGH, Decision, Series, evidence, interval, ramp, slope, spread


def judged(limit, draw, *, seed, most=ENOUGH):
    series = Series({limit: 1.0}, most=most)
    chance = random.Random(seed)
    while not series.is_done:
        series.add(draw(chance))
    return series


def noisy(ratio, sigma):
    """Ratios of times with a heavy tail: each side is now and then held up tenfold."""

    def draw(chance):
        sides = [math.exp(chance.gauss(0, sigma)) * (10 if chance.random() < 0.05 else 1) for _ in range(2)]
        return ratio * sides[0] / sides[1]

    return draw


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 60))
def test_evidence_is_a_fair_game(n):
    """After n fair coins the evidence is worth 1 on average, exactly: no strategy of looking can win on it."""
    mean = sum(
        Fraction(math.comb(n, k), 2**n) * Fraction(evidence(k, n)).limit_denominator(10**15) for k in range(n + 1)
    )
    assert float(mean) == pytest.approx(1)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 40), st.data())
def test_evidence_is_the_integral_that_the_docs_name(n, data):
    """The closed form is 2ⁿ⁺¹ ∫ pᵏ(1−p)ⁿ⁻ᵏ dp over p from 1/2 to 1."""
    k = data.draw(st.integers(0, n))
    steps = 4000
    points = [0.5 + (i + 0.5) / (2 * steps) for i in range(steps)]
    integral = sum(p**k * (1 - p) ** (n - k) for p in points) / (2 * steps)
    assert evidence(k, n) == pytest.approx(2 ** (n + 1) * integral, rel=1e-3)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 300))
def test_each_coin_above_is_more_evidence(n):
    """Evidence grows with the coins above, and is finite however many there are."""
    values = [evidence(k, n) for k in range(n + 1)]
    assert values == sorted(values)
    assert math.isfinite(values[-1])


def test_evidence_of_impossible_coins():
    """More coins above than there are coins is an error of ours."""
    with pytest.raises(ValueError, match="5 of 4 coins"):
        evidence(5, 4)


def test_a_fair_coin_is_hardly_ever_found_over():
    """A student exactly at the limit is found over it by 100 looks in no more than the stated share of series."""
    over = sum(judged(1.0, noisy(1.0, 0.5), seed=seed).decision(1.0) is Decision.OVER for seed in range(1000))
    # A tenth of one is expected at most; 6 standard deviations above are 2.
    assert over <= 1000 * CERTAIN + 6 * math.sqrt(1000 * CERTAIN)


@pytest.mark.parametrize("sigma", [0.02, 0.15])
def test_no_flips_at_a_factor_of_one_and_a_half(sigma):
    """0.7 of the limit keeps the points and 1.5 of it loses them, 300 times of 300."""
    within = [judged(20.0, noisy(14.0, sigma), seed=seed) for seed in range(300)]
    over = [judged(20.0, noisy(30.0, sigma), seed=seed) for seed in range(300)]
    assert {series.share for series in within} == {1.0}
    assert {series.share for series in over} == {0.0}


def test_a_clear_series_is_short_and_a_near_one_is_long():
    """Nine pairs are enough for what is far within, 17 for what is far over; at the limit all are used."""
    assert len(judged(20.0, lambda _: 2.0, seed=0).values) == 9
    assert len(judged(20.0, lambda _: 60.0, seed=0).values) == 17
    near = judged(20.0, noisy(20.0, 0.2), seed=1)
    assert (len(near.values), near.share, near.is_clear) == (ENOUGH, 1.0, False)


def test_a_ramp_gives_a_part():
    """Between its ends a ramp earns a share, and noise moves it by one step at most."""
    limits = ramp(5, 20, steps=3)
    assert list(limits.values()) == [1.0, 0.75, 0.5, 0.25]
    shares = set()
    for seed in range(100):
        series = Series(limits)
        chance = random.Random(seed)
        while not series.is_done:
            series.add(noisy(10.0, 0.05)(chance))
        shares.add(series.share)
    assert shares == {0.5}


@pytest.mark.parametrize("limits", [{}, {1.0: 0.0}, {1.0: 0.5, 2.0: 1.0}, {math.inf: 1.0}, {1.0: 1.5}])
def test_limits_that_make_no_sense(limits):
    """No limit, a share of nothing, or more points for the slower is an error of the check's author."""
    with pytest.raises(ValueError, match="limits earn shares"):
        Series(limits)


@pytest.mark.parametrize("ends", [(0, 1), (2, 2), (3, 1)])
def test_a_ramp_that_leads_nowhere(ends):
    """A ramp leads up from a positive limit."""
    with pytest.raises(ValueError, match="a ramp leads up"):
        ramp(*ends)


def test_the_interval_holds_the_median_at_all_times_at_once():
    """In hardly more than one of 20 series does the interval ever miss the true median, looked at after each pair."""
    missed = 0
    for seed in range(400):
        chance = random.Random(seed)
        values: list[float] = []
        for _ in range(60):
            values.append(noisy(3.0, 0.4)(chance))
            low, high = interval(values)
            if not low <= 3.0 <= high:
                missed += 1
                break
    assert missed <= 400 * 0.05 + 6 * math.sqrt(400 * 0.05 * 0.95)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60))
def test_the_interval_lies_round_the_middle(values):
    """Its ends are values of the series, or unknown, and the low one is not above the high one."""
    low, high = interval(values)
    assert low <= high
    assert (low in values and high in values) or (low, high) == (-math.inf, math.inf)


@settings(deadline=None, max_examples=50)
@given(st.floats(-2, 3), st.floats(1e-6, 1e3))
def test_the_slope_is_the_exponent(exponent, factor):
    """A power law's exponent comes back."""
    sizes = [256.0, 512.0, 1024.0, 4096.0]
    assert slope(sizes, [factor * size**exponent for size in sizes]) == pytest.approx(exponent, abs=1e-6)


def test_spread_is_the_distance_of_the_quartiles():
    """Wild values count, one outlier does not; a short series has no spread."""
    assert spread([1.0, 2.0, 3.0]) == 0.0
    assert spread([0.0] * 20 + [1e6]) == 0.0
    assert spread([float(i) for i in range(101)]) == pytest.approx(51, abs=1)
