"""The neurons that fired are collected from their flags: all of them, in order, and nothing beyond the room for them."""

import numpy as np
import pytest
from numba import njit

from spikesim.engine.native import WORD
from spikesim.engine.worker import _collect


@njit
def bytes_from(address, first, last, out, at):
    return _collect(address, np.uint8, first, last, out, at)


@njit
def numbers_from(address, first, last, out, at):
    return _collect(address, np.int32, first, last, out, at)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("first", [0, 1024])
@pytest.mark.parametrize("size", [1, WORD - 1, WORD, WORD + 1, 1000])
@pytest.mark.parametrize(("collect", "dtype"), [(bytes_from, np.uint8), (numbers_from, np.int32)])
def test_all_in_order(collect, dtype, size, first, share):
    rng = np.random.default_rng(size)
    flags = np.zeros(first + size + WORD, dtype)  # a word is read at once
    flags[first : first + size] = rng.random(size) < share
    flags[first + size :] = 1  # of others
    room, before = np.full(3 + size + WORD, -7, np.int32), 3
    out = room[: before + size]
    end = collect(flags.ctypes.data, first, first + size, out, before)
    np.testing.assert_array_equal(out[before:end], np.flatnonzero(flags[: first + size]))
    assert (out[:before] == -7).all() and (room[before + size :] == -7).all()
