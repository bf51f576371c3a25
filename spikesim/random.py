"""Random numbers as a function: Philox4x32-10 (Salmon et al. 2011), no state anywhere.

A draw is named by (seed, stream, number, step): the 64-bit seed is the key; the counter holds the 64-bit
number (of a neuron or synapse), the 32-bit step (or attempt), and the 32-bit stream, one for each random
quantity of a network. The same name gives the same bits on every engine and for any number of threads.
"""

import math

import numpy as np
from numba import njit

from spikesim.errors import DescriptionError, KindError

MASK = np.uint64(0xFFFFFFFF)
SHIFT = np.uint64(32)
MULTIPLIER_0 = np.uint64(0xD2511F53)
MULTIPLIER_1 = np.uint64(0xCD9E8D57)
WEYL_0 = np.uint64(0x9E3779B9)
WEYL_1 = np.uint64(0xBB67AE85)

LARGEST_STEP = 2**32 - 1  # the counter has 32 bits for it

# what a stream is for; the low 24 bits count the objects of that purpose
PAIRS, WEIGHT, DELAY, PARAMETER, INITIAL, SOURCE, DRIVE, NOISE, STIMULUS, DRIVE_REST, LEARNING = range(1, 12)


def stream(purpose: int, index: int) -> np.uint64:
    """The stream of the ``index``-th random quantity that serves ``purpose``."""
    if not 0 <= index < 1 << 24:
        raise DescriptionError(f"network: it asks for {index} random quantities of one kind, at most {1 << 24} can be told apart")
    return np.uint64((purpose << 24) | index)


def check_seed(seed: int) -> None:
    """Raise if ``seed`` is not a whole number that fits 64 bits."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
        raise KindError(f"seed: expected a whole number, got {seed!r}")
    if not 0 <= seed < 2**64:
        raise DescriptionError(f"seed: expected 0 to 2**64 - 1, got {seed}")


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


@njit(inline="always")
def words_in_loop(seed, stream, number, step):
    """The same as `words`, written out where it is called: only then are loops over it turned into vector instructions."""
    return philox(number & MASK, number >> SHIFT, step & MASK, stream & MASK, seed & MASK, seed >> SHIFT)


@njit
def words(seed, stream, number, step):
    """The four words of the draw named (seed, stream, number, step), all arguments uint64."""
    return words_in_loop(seed, stream, number, step)


@njit
def word_of(seed, stream, neuron, step):
    """The word of one neuron in one step; four neurons share a block."""
    w0, w1, w2, w3 = words(seed, stream, np.uint64(neuron >> 2), np.uint64(step))
    lane = neuron & 3
    return w0 if lane == 0 else w1 if lane == 1 else w2 if lane == 2 else w3


@njit
def half_of(seed, stream, neuron, step):
    """16 random bits of one neuron in one step; eight neurons share a block."""
    return word_of(seed, stream, neuron >> 1, step) >> np.uint64(16 * (neuron & 1)) & np.uint64(0xFFFF)


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


@njit(error_model="numpy")
def logarithm(u):
    """The natural logarithm of a normal float64 u > 0, to 2e-15, in operations that every machine rounds alike.

    2 artanh((m - 1) / (m + 1)) by its series, for the mantissa m in [0.7, 1.4]; without branches, to be vectorised.
    """
    bits = np.float64(u).view(np.int64)
    exponent = (bits - 0x3FE6A09E667F3BCD) >> 52
    m = np.int64(bits - (exponent << 52)).view(np.float64)
    f = (m - 1.0) / (m + 1.0)
    s = f * f
    series = 1 / 21
    series = series * s + 1 / 19
    series = series * s + 1 / 17
    series = series * s + 1 / 15
    series = series * s + 1 / 13
    series = series * s + 1 / 11
    series = series * s + 1 / 9
    series = series * s + 1 / 7
    series = series * s + 1 / 5
    series = series * s + 1 / 3
    return 0.6931471805599453 * exponent + (2.0 * f * s * series + 2.0 * f)


@njit(error_model="numpy")
def cosine_of_turn(u):
    """cos(2 pi u) for u in [0, 1], to 3e-16, by its series on a quarter turn; as `logarithm`."""
    t = abs(u - 0.5)  # cos(2 pi u) = -cos(2 pi t)
    inner = t < 0.25
    x = (t if inner else 0.5 - t) * (2.0 * math.pi)
    s = x * x
    series = -1 / 1124000727777607680000
    series = series * s + 1 / 2432902008176640000
    series = series * s - 1 / 6402373705728000
    series = series * s + 1 / 20922789888000
    series = series * s - 1 / 87178291200
    series = series * s + 1 / 479001600
    series = series * s - 1 / 3628800
    series = series * s + 1 / 40320
    series = series * s - 1 / 720
    series = series * s + 1 / 24
    series = series * s - 1 / 2
    value = series * s + 1.0
    return -value if inner else value


@njit
def standard_normal(word_0, word_1):
    """A standard normal number from two words (Box & Muller 1958); its size is below 6.77."""
    return math.sqrt(-2.0 * logarithm(unit32(word_0))) * cosine_of_turn(unit32(word_1))
