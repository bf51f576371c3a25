"""Draws: vectors of them are the single ones, and tables of limits give the probabilities they were made from."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from spikesim.distributions import ClippedNormal, LogNormal, Normal, Uniform
from spikesim.draws import GUIDED, UNDECIDED, draw, draw_many, encode, guide, guided, in_halves, reached, reached_in_halves
from spikesim.random import DELAY, stream

DISTRIBUTIONS = [
    Uniform(-1.0, 3.0), Uniform(2.0, 2.0), Normal(1.5, 0.75), Normal(1.0, 0.0), ClippedNormal(1.5, 0.75, low=0.1),
    ClippedNormal(0.0, 1.0, low=-0.5, high=2.0), ClippedNormal(1.0, 0.0, low=0.0), LogNormal(0.0, 0.5),
]  # fmt: skip
SEED, STREAM = np.uint64(7), stream(DELAY, 3)


def many(value, indices):
    out = np.empty(len(indices))
    draw_many(*encode(value), SEED, STREAM, indices, out)
    return out


@pytest.mark.parametrize("value", [*DISTRIBUTIONS, 2.5, np.arange(5000.0)], ids=repr)
def test_many_draws_are_single_draws(value):
    """Vector loops give the same bits, in any order of the indices."""
    indices = np.random.default_rng(0).permutation(5000)
    np.testing.assert_array_equal(many(value, indices), [draw(*encode(value), SEED, STREAM, int(index)) for index in indices])


@pytest.mark.parametrize("distribution", [d for d in DISTRIBUTIONS if d.support()[0] < d.support()[1]], ids=repr)
def test_draws_follow_the_cdf(distribution):
    """What is drawn has the distribution function that is stated, and stays where it ends."""
    found = many(distribution, np.arange(50_000))
    assert stats.kstest(found, distribution.cdf).pvalue > 1e-3
    low, high = distribution.support()
    assert low <= found.min() < found.max() <= high
    np.testing.assert_allclose(distribution.cdf(np.array([low - 1e-9, high + 1e-9])), [0.0, 1.0], atol=1e-9)


@pytest.mark.parametrize("distribution", [d for d in DISTRIBUTIONS if d.support()[0] == d.support()[1]], ids=repr)
def test_cdf_of_a_certain_value(distribution):
    at = distribution.support()[0]
    np.testing.assert_array_equal(distribution.cdf(np.array([at - 1e-9, at, at + 1e-9])), [0.0, 1.0, 1.0])


ascending = st.lists(st.integers(0, 2**32), max_size=60).map(lambda values: np.array(sorted(values), np.uint64))


@settings(max_examples=200, deadline=None)
@given(limits=ascending, word=st.integers(0, 2**32 - 1))
def test_the_guide_changes_nothing(limits, word):
    """With a guide or without, a word reaches as many limits as are no larger; also where it hits one."""
    table = guide(limits)
    for tried in {word, *(int(limit) + by for limit in limits[:5] for by in (-1, 0, 1) if 0 <= int(limit) + by < 2**32)}:
        wanted = int(np.sum(limits <= np.uint64(tried)))
        assert reached(limits, np.uint64(tried)) == guided(limits, table, np.uint64(tried)) == wanted


def test_a_guide_decides_most_words_and_leaves_many_limits_alone():
    """Each limit leaves one cell undecided at most; counts too large for a cell are left to the search."""
    few = np.array([1 << 30, 1 << 31, 3 << 30], np.uint64) + np.uint64(5)
    assert (guide(few) == UNDECIDED).sum() == 3
    table = guide(np.arange(300, dtype=np.uint64) << np.uint64(24))
    assert len(table) == 1 << GUIDED
    assert (table[-1], table[0]) == (UNDECIDED, 1)


@settings(max_examples=30, deadline=None)
@given(limits=ascending)
def test_in_halves_each_number_gets_its_words(limits):
    """Of the 2**32 pairs of half words each number gets as many as there are words between its limits."""
    (halves,), (rests,) = in_halves(limits[None])
    last = int(halves[-1])
    decided = [reached_in_halves(halves, rests, np.uint64(half), np.uint64(0)) for half in range(last)]
    assert decided == sorted(decided)
    places = np.arange((2**16 - last) << 16, dtype=np.uint64)
    both = np.bincount(decided, minlength=len(limits) + 1) * 2**16
    both += np.bincount(np.searchsorted(rests, places, side="right"), minlength=len(limits) + 1)
    np.testing.assert_array_equal(both, np.diff(limits.astype(np.int64), prepend=0, append=2**32))
    for place in places[:: max(1, len(places) // 50)]:
        half, rest = np.uint64(last) + (place >> np.uint64(16)), place & np.uint64(0xFFFF)
        assert reached_in_halves(halves, rests, half, rest) == np.sum(rests <= place)
