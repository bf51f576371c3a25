"""The loops that measure the machine do the work that they are said to do."""

import numpy as np
import pytest

from spikesim.errors import DescriptionError
from spikesim.random import words
from spikesim.roofline import LIMITS, draw_words, machine_limits, scatter, total, update

LEAST = {"read_bytes_per_s": 1e8, "near_events_per_s": 1e7, "far_events_per_s": 1e6, "neuron_updates_per_s": 1e7, "draws_per_s": 1e7}


@pytest.mark.parametrize("threads", [1, 2])
def test_limits_are_those_of_a_computer(threads):
    """More than any interpreter would reach, less than a machine can."""
    found = machine_limits(threads, seconds=0.02)
    assert list(found) == list(LIMITS) == list(LEAST)
    assert all(LEAST[name] < rate < 1e12 * threads for name, rate in found.items()), found


@pytest.mark.parametrize("threads", [0, -1, 1.0, True, None])
def test_threads_are_counted(threads):
    """A number of threads that is none is refused."""
    with pytest.raises(DescriptionError, match=r"machine_limits: threads .* from 1 on"):
        machine_limits(threads)


def test_reading_and_scattering():
    """Every value is read, and every target gets its events."""
    rng = np.random.default_rng(0)
    values, row, targets = rng.integers(-9, 9, 1001), np.zeros(50, np.int32), rng.integers(0, 50, 999).astype(np.uint8)
    assert total(values) == values.sum()
    scatter(targets, row)
    np.testing.assert_array_equal(row, np.bincount(targets, minlength=50))


def test_neurons_fire():
    """None, weak and strong current: no spike, one in the third step, and one in the first and again after 20 steps."""
    v, current, refractory = np.zeros(3, np.float32), np.float32([0.0, 5.0, 500.0]), np.zeros(3, np.int32)
    coefficients = np.float32([0.99, 0.98, 0.1, 1.0])
    assert update(v, current, refractory, *coefficients, 25) == 1 + 2
    np.testing.assert_array_equal(refractory, [0, 0, 17])
    assert v[0] == 0.0
    np.testing.assert_allclose(current, np.array([0.0, 5.0, 500.0]) * 0.98**25, rtol=1e-5)


def test_words_are_drawn():
    """The words are those of Philox."""
    found = np.uint64(0)
    for k in range(7):
        found ^= np.bitwise_xor.reduce(np.array(words(np.uint64(1), np.uint64(0), np.uint64(k), np.uint64(0)), np.uint64))
    assert draw_words(np.uint64(1), 7) == found
