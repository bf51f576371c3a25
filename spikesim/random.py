"""Random numbers as a function: Philox4x32-10 (Salmon et al. 2011), no state anywhere.

A draw is named by (seed, stream, number, step): the 64-bit seed is the key; the counter holds the 64-bit
number (of a neuron or synapse), the 32-bit step (or attempt), and the 32-bit stream, one for each random
quantity of a network. The same name gives the same bits on every engine and for any number of threads.
"""

import math

import numpy as np
from numba import njit

from spikesim.description import Distribution
from spikesim.distributions import ClippedNormal, LogNormal, Normal, Uniform
from spikesim.errors import DescriptionError
from spikesim.kernel import kernel

MASK = np.uint64(0xFFFFFFFF)
SHIFT = np.uint64(32)
MULTIPLIER_0 = np.uint64(0xD2511F53)
MULTIPLIER_1 = np.uint64(0xCD9E8D57)
WEYL_0 = np.uint64(0x9E3779B9)
WEYL_1 = np.uint64(0xBB67AE85)

LARGEST_STEP = 2**32 - 1  # the counter has 32 bits for it

CONSTANT, ARRAY, UNIFORM, NORMAL, CLIPPED_NORMAL, LOG_NORMAL = range(6)
KINDS = {Uniform: UNIFORM, Normal: NORMAL, ClippedNormal: CLIPPED_NORMAL, LogNormal: LOG_NORMAL}

# what a stream is for; the low 24 bits count the objects of that purpose
PAIRS, WEIGHT, DELAY, PARAMETER, INITIAL, SOURCE, DRIVE, NOISE, STIMULUS = range(1, 10)


def stream(purpose: int, index: int) -> np.uint64:
    """The stream of the ``index``-th random quantity that serves ``purpose``."""
    if not 0 <= index < 1 << 24:
        raise DescriptionError(f"network: it asks for {index} random quantities of one kind, at most {1 << 24} can be told apart")
    return np.uint64((purpose << 24) | index)


@njit(inline="always")
def _round(c0, c1, c2, c3, k0, k1):
    p0 = MULTIPLIER_0 * c0
    p1 = MULTIPLIER_1 * c2
    return (p1 >> SHIFT) ^ c1 ^ k0, p1 & MASK, (p0 >> SHIFT) ^ c3 ^ k1, p0 & MASK, (k0 + WEYL_0) & MASK, (k1 + WEYL_1) & MASK


@njit(inline="always")
def philox(c0, c1, c2, c3, k0, k1):
    """Four 32-bit words (held in uint64) for a 128-bit counter and a 64-bit key, ten rounds.

    Without a loop over the rounds, for only then are loops over counters turned into vector instructions.
    """
    c0, c1, c2, c3, k0, k1 = _round(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3, k0, k1 = _round(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3, k0, k1 = _round(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3, k0, k1 = _round(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3, k0, k1 = _round(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3, k0, k1 = _round(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3, k0, k1 = _round(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3, k0, k1 = _round(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3, k0, k1 = _round(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3, k0, k1 = _round(c0, c1, c2, c3, k0, k1)
    return c0, c1, c2, c3


@njit
def words(seed, stream, number, step):
    """The four words of the draw named (seed, stream, number, step), all arguments uint64."""
    return philox(number & MASK, number >> SHIFT, step & MASK, stream & MASK, seed & MASK, seed >> SHIFT)


@njit
def word_of(seed, stream, neuron, step):
    """The word of one neuron in one step; four neurons share a block."""
    w0, w1, w2, w3 = words(seed, stream, np.uint64(neuron >> 2), np.uint64(step))
    lane = neuron & 3
    return w0 if lane == 0 else w1 if lane == 1 else w2 if lane == 2 else w3


@njit
def unit32(word):
    """A uniform number in (0, 1) from one word."""
    return (np.float64(np.int64(word)) + 0.5) * 2.0**-32


@njit
def unit52(high, low):
    """A uniform number in (0, 1) from 52 random bits of two words: the midpoint of its interval, exactly."""
    return (np.float64(np.int64(high) * 1048576 + (np.int64(low) >> 12)) + 0.5) * 2.0**-52


@njit
def below(count, high, low):
    """A whole number in [0, count) from two words; the bias is below count / 2**52."""
    return min(np.int64(unit52(high, low) * count), count - 1)


@njit
def standard_normal(word_0, word_1):
    """A standard normal number from two words (Box & Muller 1958); its size is below 6.77."""
    return math.sqrt(-2.0 * math.log(unit32(word_0))) * math.cos(2.0 * math.pi * unit32(word_1))


def encode(value: float | np.ndarray | Distribution) -> tuple[int, np.ndarray]:
    """(kind, numbers) by which `draw` knows a constant, an array or a distribution."""
    if isinstance(value, Distribution):
        return KINDS[type(value)], np.array([*value.values().values()], np.float64)
    array = np.asarray(value, np.float64)
    return (CONSTANT, array.reshape(1)) if array.ndim == 0 else (ARRAY, np.ascontiguousarray(array).reshape(-1))


@kernel
def draw(kind, numbers, seed, stream, index):
    """Value ``index`` (int64) of the quantity that `encode` described."""
    if kind == CONSTANT:
        return numbers[0]
    if kind == ARRAY:
        return numbers[index]
    attempt = 0
    while True:
        w0, w1, _, _ = words(seed, stream, np.uint64(index), np.uint64(attempt))
        if kind == UNIFORM:
            return numbers[0] + (numbers[1] - numbers[0]) * unit52(w0, w1)
        normal = numbers[0] + numbers[1] * standard_normal(w0, w1)
        if kind == NORMAL:
            return normal
        if kind == LOG_NORMAL:
            return math.exp(normal)
        if numbers[2] <= normal <= numbers[3]:
            return normal
        attempt += 1


@kernel
def _draw_many(kind, numbers, seed, stream, out):
    for index in range(len(out)):
        out[index] = draw(kind, numbers, seed, stream, index)


def drawn(value: float | np.ndarray | Distribution, count: int, *, seed: int, stream: np.uint64) -> float | np.ndarray:
    """``value`` resolved for ``count`` neurons: a constant stays a float, the rest becomes an array."""
    if not isinstance(value, Distribution):
        return value
    out = np.empty(count)
    _draw_many(*encode(value), np.uint64(seed), stream, out)
    return out
