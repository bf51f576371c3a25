"""Random numbers: Philox4x32-10 against its published vectors, and what is made of its words."""

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from spikesim.distributions import LARGEST_NORMAL
from spikesim.errors import SpikesimError
from spikesim.random import (
    PAIRS,
    PARAMETER,
    SOURCE,
    WEIGHT,
    below,
    cosine_of_turn,
    half_of,
    logarithm,
    philox,
    standard_normal,
    stream,
    unit32,
    unit52,
    word_of,
    words,
)  # fmt: skip

ONES = 2**32 - 1
# counter, key, words: Salmon et al. (2011), the file kat_vectors of Random123
KNOWN_ANSWERS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]
U32, U64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)


def u64(text: str) -> list[np.uint64]:
    return [np.uint64(int(word, 16)) for word in text.split()]


def plain_philox(counter: list[int], key: list[int]) -> list[int]:
    """The same in Python's own integers, written down from the paper."""
    c, k = list(counter), list(key)
    for _ in range(10):
        first, second = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(second >> 32) ^ c[1] ^ k[0], second & ONES, (first >> 32) ^ c[3] ^ k[1], first & ONES]
        k = [(k[0] + 0x9E3779B9) & ONES, (k[1] + 0xBB67AE85) & ONES]
    return c


@njit
def many_words(seed, number_stream, count):
    out = np.empty((count, 4), np.uint64)
    for number in range(count):
        out[number] = words(seed, number_stream, np.uint64(number), np.uint64(0))
    return out


@njit
def map_units(pairs):
    singles, doubles = np.empty(len(pairs)), np.empty(len(pairs))
    for k in range(len(pairs)):
        singles[k], doubles[k] = unit32(pairs[k, 0]), unit52(pairs[k, 0], pairs[k, 1])
    return singles, doubles


@njit
def map_below(count, pairs):
    out = np.empty(len(pairs), np.int64)
    for k in range(len(pairs)):
        out[k] = below(count, pairs[k, 0], pairs[k, 1])
    return out


@njit
def map_normal(pairs):
    out = np.empty(len(pairs))
    for k in range(len(pairs)):
        out[k] = standard_normal(pairs[k, 0], pairs[k, 1])
    return out


@njit
def many_lanes(seed, number_stream, neurons, step):
    out = np.empty(neurons, np.uint64)
    for neuron in range(neurons):
        out[neuron] = word_of(seed, number_stream, neuron, step)
    return out


WORDS = many_words(np.uint64(2024), np.uint64(7), 200_000)


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_known_answers(counter: str, key: str, answer: str) -> None:
    found = philox(*u64(counter), *u64(key))
    assert list(found) == u64(answer)
    assert plain_philox(*([int(w) for w in u64(text)] for text in (counter, key))) == [int(w) for w in u64(answer)]


@settings(max_examples=200, deadline=None)
@given(counter=st.lists(U32, min_size=4, max_size=4), key=st.lists(U32, min_size=2, max_size=2))
def test_any_counter_and_key(counter: list[int], key: list[int]) -> None:
    assert [int(w) for w in philox(*map(np.uint64, counter + key))] == plain_philox(counter, key)


@settings(max_examples=100, deadline=None)
@given(seed=U64, number_stream=U32, number=U64, step=U32)
def test_a_draw_is_named_by_counter_and_key(seed: int, number_stream: int, number: int, step: int) -> None:
    found = words(*map(np.uint64, (seed, number_stream, number, step)))
    counter = [number & ONES, number >> 32, step, number_stream]
    assert [int(w) for w in found] == plain_philox(counter, [seed & ONES, seed >> 32])


@settings(max_examples=100, deadline=None)
@given(seed=U64, number_stream=U32, neuron=st.integers(0, 2**31 - 1), step=U32)
def test_four_neurons_share_a_block(seed: int, number_stream: int, neuron: int, step: int) -> None:
    block = words(*map(np.uint64, (seed, number_stream, neuron // 4, step)))
    assert word_of(np.uint64(seed), np.uint64(number_stream), neuron, step) == block[neuron % 4]


@settings(max_examples=100, deadline=None)
@given(seed=U64, number_stream=U32, neuron=st.integers(0, 2**31 - 1), step=U32)
def test_eight_neurons_share_a_block_of_halves(seed: int, number_stream: int, neuron: int, step: int) -> None:
    block = words(*map(np.uint64, (seed, number_stream, neuron // 8, step)))
    halves = [int(word) >> shift & 0xFFFF for word in block for shift in (0, 16)]
    assert half_of(np.uint64(seed), np.uint64(number_stream), neuron, step) == halves[neuron % 8]


@settings(max_examples=300, deadline=None)
@given(u=st.floats(2.0**-60, 1.0) | st.floats(1.0, 1e300) | st.integers(0, 2**32 - 1).map(lambda word: (word + 0.5) / 2**32))
def test_logarithm(u: float) -> None:
    assert logarithm(u) == pytest.approx(math.log(u), rel=2e-15, abs=1e-17)


@settings(max_examples=300, deadline=None)
@given(u=st.floats(0.0, 1.0) | st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]))
def test_cosine_of_a_turn(u: float) -> None:
    assert cosine_of_turn(u) == pytest.approx(math.cos(2.0 * math.pi * u), abs=1e-15)


def test_lanes_are_uniform_and_independent() -> None:
    steps = [many_lanes(np.uint64(5), np.uint64(3), 40_000, step) for step in range(4)]
    for step in steps:
        for lane in range(4):
            assert scipy.stats.kstest(step[lane::4] / 2.0**32, "uniform").pvalue > 1e-3
    series = [step / 2.0**32 for step in steps]
    pairs = [(a, b) for i, a in enumerate(series) for b in series[i + 1 :]] + [(s[lane::4], s[0::4]) for s in series for lane in (1, 2, 3)]
    assert all(abs(np.corrcoef(a, b)[0, 1]) < 4.5 / math.sqrt(len(a)) for a, b in pairs)
    assert len(np.unique(np.concatenate(steps))) > 159_990


@pytest.mark.parametrize("bit", range(32))
def test_every_bit_is_fair(bit: int) -> None:
    ones = int(np.count_nonzero(WORDS >> np.uint64(bit) & np.uint64(1)))
    assert abs(ones - WORDS.size / 2) < 4.5 * math.sqrt(WORDS.size) / 2


def test_words_have_32_bits() -> None:
    assert WORDS.max() <= ONES
    assert WORDS.min() < 2**16


def test_units_are_uniform() -> None:
    for values in map_units(WORDS[:, :2]):
        assert 0.0 < values.min() < values.max() < 1.0
        assert scipy.stats.kstest(values, "uniform").pvalue > 1e-3
        counts, _ = np.histogram(values, 1000, (0.0, 1.0))
        assert scipy.stats.chisquare(counts).pvalue > 1e-3
        assert np.mean(values) == pytest.approx(0.5, abs=4.5 / math.sqrt(12 * len(values)))


@settings(max_examples=200, deadline=None)
@given(high=U32, low=U32)
def test_units_are_the_middle_of_their_cell(high: int, low: int) -> None:
    assert unit32(np.uint64(high)) == (high + 0.5) / 2**32
    assert unit52(np.uint64(high), np.uint64(low)) == pytest.approx((high * 2**21 + (low >> 11)) / 2**53, abs=2.0**-52)


@pytest.mark.parametrize(("high", "low"), [(0, 0), (0, ONES), (ONES, 0), (ONES, ONES), (ONES, ONES - 2**11), (2**31, 0)])
def test_units_never_reach_0_or_1(high: int, low: int) -> None:
    assert 0.0 < unit32(np.uint64(high)) < 1.0
    assert 0.0 < unit52(np.uint64(high), np.uint64(low)) < 1.0


def test_units_grow_with_their_words() -> None:
    edges = np.array([[h, low] for h in (0, 1, 2**31 - 1, 2**31, ONES - 1, ONES) for low in (0, 2**31, ONES)], np.uint64)
    singles, doubles = map_units(edges)
    assert (np.diff(singles) >= 0.0).all()
    assert (np.diff(doubles) > 0.0).all()


@settings(max_examples=300, deadline=None)
@given(count=st.integers(1, 2**53) | st.integers(1, 100), high=U32 | st.just(ONES), low=U32 | st.just(ONES))
def test_below_is_in_range(count: int, high: int, low: int) -> None:
    assert 0 <= below(count, np.uint64(high), np.uint64(low)) < count


@pytest.mark.parametrize("count", [1, 2, 3, 7, 1000, 2**31 - 1, 2**40])
def test_below_takes_its_extremes(count: int) -> None:
    assert below(count, np.uint64(0), np.uint64(0)) == 0
    assert below(count, np.uint64(ONES), np.uint64(ONES)) == count - 1


@pytest.mark.parametrize("count", [2, 3, 10, 97, 1000])
def test_below_is_uniform(count: int) -> None:
    found = map_below(count, WORDS[:, 2:])
    assert scipy.stats.chisquare(np.bincount(found, minlength=count)).pvalue > 1e-3


def test_normals_are_normal_and_bounded() -> None:
    values = map_normal(WORDS[:, :2])
    assert scipy.stats.kstest(values, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(values, map_normal(WORDS[:, 2:]))[0, 1]) < 4.5 / math.sqrt(len(values))
    edges = np.array([[a, b] for a in (0, 1, ONES) for b in (0, 2**30, 2**31 - 1, 2**31, ONES)], np.uint64)
    extremes = map_normal(edges)
    assert np.abs(extremes).max() <= LARGEST_NORMAL
    assert extremes.max() == pytest.approx(LARGEST_NORMAL)
    assert extremes.min() == pytest.approx(-LARGEST_NORMAL)
    assert 6.76 < LARGEST_NORMAL < 6.77


def test_streams_of_different_purposes_and_objects_differ() -> None:
    made = [int(stream(purpose, index)) for purpose in range(1, 9) for index in (0, 1, 255, 256, 2**23, 2**24 - 1)]
    assert len(set(made)) == len(made)
    assert max(made) <= ONES
    assert stream(PAIRS, 5).dtype == np.uint64
    for index in (-1, 2**24):
        with pytest.raises(SpikesimError, match="random quantities"):
            stream(WEIGHT, index)


def test_seeds_streams_and_steps_give_unrelated_numbers() -> None:
    def lanes(seed: int, purpose: int, index: int, step: int) -> np.ndarray:
        return many_lanes(np.uint64(seed), stream(purpose, index), 40_000, step) / 2.0**32

    series = [lanes(0, SOURCE, 0, 0), lanes(1, SOURCE, 0, 0), lanes(2**63, SOURCE, 0, 0), lanes(2**32, SOURCE, 0, 0),
              lanes(0, PARAMETER, 0, 0), lanes(0, SOURCE, 1, 0), lanes(0, SOURCE, 0, 1), lanes(0, SOURCE, 0, 2**32 - 1)]  # fmt: skip
    correlation = np.corrcoef(series) - np.eye(len(series))
    assert np.abs(correlation).max() < 4.5 / math.sqrt(40_000)
