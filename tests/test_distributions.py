"""Distributions: what they draw lies within their support, follows theory, and does not depend on how it is divided."""

import math
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

import spikesim as sim
from spikesim.description import Distribution
from spikesim.distributions import LARGEST_NORMAL, LEAST_MASS, support
from spikesim.draws import ARRAY, CONSTANT, KINDS, draw, drawn, encode
from spikesim.errors import DescriptionError
from spikesim.random import WEIGHT, stream

DRAWS = 200_000
STREAM = stream(WEIGHT, 3)


def truncated(mean: float, sd: float, low: float, high: float) -> Any:
    return scipy.stats.truncnorm((low - mean) / sd, (high - mean) / sd, mean, sd)


def named(value: Any) -> str:
    return repr(value) if isinstance(value, Distribution) else ""


THEORY = [
    (sim.Uniform(0.0, 1.0), scipy.stats.uniform(0.0, 1.0)),
    (sim.Uniform(-60.0, -50.0), scipy.stats.uniform(-60.0, 10.0)),
    (sim.Uniform(1e-3, 1e6), scipy.stats.uniform(1e-3, 1e6 - 1e-3)),
    (sim.Normal(0.0, 1.0), scipy.stats.norm(0.0, 1.0)),
    (sim.Normal(-87.8, 8.78), scipy.stats.norm(-87.8, 8.78)),
    (sim.ClippedNormal(1.5, 0.75, low=0.1), truncated(1.5, 0.75, 0.1, math.inf)),
    (sim.ClippedNormal(0.0, 1.0, low=-0.5, high=2.0), truncated(0.0, 1.0, -0.5, 2.0)),
    (sim.ClippedNormal(0.0, 1.0, low=2.0), truncated(0.0, 1.0, 2.0, math.inf)),
    (sim.ClippedNormal(3.0, 2.0), scipy.stats.norm(3.0, 2.0)),
    (sim.LogNormal(0.0, 0.5), scipy.stats.lognorm(0.5)),
    (sim.LogNormal(-0.64, 0.51), scipy.stats.lognorm(0.51, scale=math.exp(-0.64))),
]
CONSTANTS = [sim.Uniform(2.0, 2.0), sim.Normal(2.0, 0.0), sim.ClippedNormal(2.0, 0.0, low=2.0), sim.LogNormal(math.log(2.0), 0.0)]


@pytest.mark.parametrize(("distribution", "theory"), THEORY, ids=named)
@pytest.mark.parametrize("seed", [1, 2**64 - 1])
def test_draws_follow_theory(distribution: Distribution, theory: Any, seed: int) -> None:
    values = drawn(distribution, DRAWS, seed=seed, stream=STREAM)
    mean, variance, kurtosis = (float(x) for x in theory.stats("mvk"))
    assert np.mean(values) == pytest.approx(mean, abs=4.5 * math.sqrt(variance / DRAWS))
    assert np.var(values) == pytest.approx(variance, rel=4.5 * math.sqrt((kurtosis + 2.0) / DRAWS))
    assert scipy.stats.kstest(values, theory.cdf).pvalue > 1e-3
    low, high = distribution.support()
    assert low <= values.min() <= values.max() <= high
    assert len(np.unique(values)) > 0.99 * DRAWS


@pytest.mark.parametrize(("distribution", "theory"), THEORY, ids=named)
def test_support_is_where_theory_has_its_mass(distribution: Distribution, theory: Any) -> None:
    low, high = distribution.support()
    assert theory.cdf(low) < 1e-6
    assert theory.sf(high) < 1e-6
    assert support(distribution) == (low, high)


@pytest.mark.parametrize("distribution", CONSTANTS, ids=repr)
def test_without_spread_all_draws_are_one_number(distribution: Distribution) -> None:
    values = drawn(distribution, 1000, seed=1, stream=STREAM)
    assert set(values) == {2.0}
    assert distribution.support() == (2.0, 2.0)


FLOATS = st.floats(-1e9, 1e9)
SPREADS = st.just(0.0) | st.floats(1.0, 1e9)


@st.composite
def distributions(choose: st.DrawFn) -> Distribution:
    kind = choose(st.sampled_from(sorted(KINDS, key=lambda cls: cls.__name__)))
    middle, spread = choose(FLOATS), choose(SPREADS)
    if kind is sim.Uniform:
        return sim.Uniform(middle, middle + spread)
    if kind is sim.Normal:
        return sim.Normal(middle, spread)
    if kind is sim.LogNormal:
        return sim.LogNormal(middle / 1e8, spread / 1e9)
    below, above = choose(st.floats(-2.5, 0.0)), choose(st.floats(0.01, 2.5))
    return sim.ClippedNormal(middle, spread, low=middle + below * spread, high=middle + above * spread)


@settings(max_examples=200, deadline=None)
@given(distribution=distributions(), seed=st.integers(0, 2**64 - 1))
def test_support_bounds_all_draws(distribution: Distribution, seed: int) -> None:
    low, high = distribution.support()
    values = drawn(distribution, 300, seed=seed, stream=STREAM)
    assert low <= values.min() <= values.max() <= high


@pytest.mark.parametrize(("distribution", "theory"), THEORY, ids=named)
def test_value_k_does_not_depend_on_the_others(distribution: Distribution, theory: Any) -> None:
    whole = drawn(distribution, 5000, seed=9, stream=STREAM)
    assert np.array_equal(drawn(distribution, 17, seed=9, stream=STREAM), whole[:17])
    code = encode(distribution)
    order = np.random.default_rng(0).permutation(5000)[:200]
    assert [draw(*code, np.uint64(9), STREAM, int(k)) for k in order] == whole[order].tolist()
    far = draw(*code, np.uint64(9), STREAM, 2**40)
    assert far == draw(*code, np.uint64(9), STREAM, 2**40)
    assert far != draw(*code, np.uint64(9), STREAM, 2**40 + 2**32)


def test_seeds_and_streams_draw_other_numbers() -> None:
    first = drawn(sim.Normal(0.0, 1.0), DRAWS, seed=1, stream=STREAM)
    for seed, other in ((2, STREAM), (1, stream(WEIGHT, 4)), (1 + 2**32, STREAM)):
        values = drawn(sim.Normal(0.0, 1.0), DRAWS, seed=seed, stream=other)
        assert abs(np.corrcoef(first, values)[0, 1]) < 4.5 / math.sqrt(DRAWS)
    assert np.array_equal(first, drawn(sim.Normal(0.0, 1.0), DRAWS, seed=1, stream=STREAM))


def test_neighbouring_draws_are_independent() -> None:
    values = drawn(sim.Uniform(0.0, 1.0), DRAWS, seed=4, stream=STREAM)
    for lag in (1, 2, 3, 4, 8):
        assert abs(np.corrcoef(values[:-lag], values[lag:])[0, 1]) < 4.5 / math.sqrt(DRAWS)


def test_numbers_and_arrays_are_drawn_as_they_are() -> None:
    assert drawn(2.5, 10, seed=0, stream=STREAM) == 2.5
    array = np.arange(6.0).reshape(2, 3)
    assert drawn(array, 6, seed=0, stream=STREAM) is array
    kind, numbers = encode(2.5)
    assert (kind, numbers.tolist()) == (CONSTANT, [2.5])
    assert [draw(kind, numbers, np.uint64(0), STREAM, k) for k in (0, 5)] == [2.5, 2.5]
    kind, numbers = encode(array)
    assert (kind, numbers.tolist()) == (ARRAY, list(range(6)))
    assert [draw(kind, numbers, np.uint64(0), STREAM, k) for k in range(6)] == list(range(6))


def test_every_distribution_has_a_code() -> None:
    own = {cls for cls in Distribution.__subclasses__() if cls.__module__.startswith("spikesim.")}
    assert own == set(KINDS)
    assert len(set(KINDS.values())) == len(KINDS)
    assert encode(sim.ClippedNormal(1.0, 2.0, low=0.0, high=5.0))[1].tolist() == [1.0, 2.0, 0.0, 5.0]


def test_support_of_anything_that_stands_for_a_number() -> None:
    assert support(2.0) == (2.0, 2.0)
    assert support(np.array([[3.0, -1.0], [2.0, 0.0]])) == (-1.0, 3.0)
    assert support(np.empty(0)) == (0.0, 0.0)
    assert support(sim.Normal(1.0, 2.0)) == pytest.approx((1.0 - 2.0 * LARGEST_NORMAL, 1.0 + 2.0 * LARGEST_NORMAL))
    assert support(sim.LogNormal(0.0, 1.0)) == pytest.approx((math.exp(-LARGEST_NORMAL), math.exp(LARGEST_NORMAL)))
    assert support(sim.ClippedNormal(0.0, 1.0, low=-1.0)) == (-1.0, pytest.approx(LARGEST_NORMAL))


def test_the_rarest_interval_of_a_clipped_normal_is_drawn_soon() -> None:
    edge = float(scipy.stats.norm.isf(LEAST_MASS))
    values = drawn(sim.ClippedNormal(0.0, 1.0, low=edge - 1e-6), 2000, seed=1, stream=STREAM)
    assert values.min() >= edge - 1e-6
    with pytest.raises(DescriptionError, match="widen the interval"):
        sim.ClippedNormal(0.0, 1.0, low=edge + 1e-6)
