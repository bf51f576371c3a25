"""Words are compared with limits, many at once: each is told how many it reaches, and who reaches the last one is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from spikesim.engine.native import WORD, count_reached


@njit
def counted(words, limits, least, last, counts):
    return count_reached(words.ctypes.data, limits.ctypes.data, len(limits), least, last, counts.ctypes.data)


@settings(max_examples=100, deadline=None)
@given(limits=st.lists(st.integers(1, 2**16 - 1), max_size=40), least=st.integers(0, 300), last=st.integers(1, 2**16),
       seed=st.integers(0, 99))  # fmt: skip
def test_counts_and_those_that_reach_the_last(limits, least, last, seed):
    words = np.random.default_rng(seed).integers(0, 2**16, WORD).astype(np.uint16)
    for place, edge in enumerate((*limits[:10], last)):
        words[3 * place : 3 * place + 3] = np.clip([edge - 1, edge, edge + 1], 0, 2**16 - 1)
    sorted_limits, counts = np.array(sorted(limits), np.uint16), np.zeros(WORD, np.uint16)
    mask = counted(words, sorted_limits, least, last, counts)
    np.testing.assert_array_equal(counts, least + np.searchsorted(sorted_limits, words, side="right"))
    assert [mask >> k & 1 for k in range(WORD)] == (words >= last).astype(int).tolist()


@pytest.mark.parametrize("offset", [0, 1, 7])
def test_words_may_lie_anywhere(offset):
    words, counts = np.arange(offset, 2 * WORD + offset, dtype=np.uint16)[offset:], np.zeros(2 * WORD, np.uint16)
    counted(words, np.array([WORD], np.uint16), 0, 2**16, counts[offset:])
    np.testing.assert_array_equal(counts[offset : offset + WORD], words[:WORD] >= WORD)
    assert not counts[:offset].any() and not counts[offset + WORD :].any()
