"""Draws from distributions, by counter: numbers of a continuous quantity, and whole numbers by table.

A whole number (a delay in steps) is the number of ``limits`` that a 32-bit word reaches, limits[k] being 2**32 times the
probability of at most k. A guide tells it for most words from their first bits, so that one small table decides
(Chen & Asau 1974). Where numbers are drawn by the billion (the spikes of a Poisson process in a step) 16 bits decide
nearly always, with probabilities that are as exact, see `in_halves`.
"""

import math

import numpy as np
from numba import njit

from spikesim.description import Distribution
from spikesim.distributions import ClippedNormal, LogNormal, Normal, Uniform
from spikesim.kernel import kernel
from spikesim.random import standard_normal, unit52, words, words_in_loop

CONSTANT, ARRAY, UNIFORM, NORMAL, CLIPPED_NORMAL, LOG_NORMAL, LIMITS = range(7)
KINDS = {Uniform: UNIFORM, Normal: NORMAL, ClippedNormal: CLIPPED_NORMAL, LogNormal: LOG_NORMAL}

GUIDED = 13  # bits of a word that the guide looks at: a table that fits the first cache
UNDECIDED = 0xFF


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
def draw_many(kind, numbers, seed, stream, indices, out):
    """``out[k]`` = `draw` of ``indices[k]``, mostly in loops that become vector instructions."""
    if kind == CONSTANT:
        out[:] = numbers[0]
        return
    if kind in (NORMAL, CLIPPED_NORMAL):
        mean, sd = numbers[0], numbers[1]
        for k in range(len(out)):
            w0, w1, _, _ = words_in_loop(seed, stream, np.uint64(indices[k]), np.uint64(0))
            out[k] = mean + sd * standard_normal(w0, w1)
        if kind == CLIPPED_NORMAL:
            low, high = numbers[2], numbers[3]
            for k in range(len(out)):
                if not low <= out[k] <= high:
                    out[k] = draw(kind, numbers, seed, stream, indices[k])
        return
    for k in range(len(out)):
        out[k] = draw(kind, numbers, seed, stream, indices[k])


def drawn(value: float | np.ndarray | Distribution, count: int, *, seed: int, stream: np.uint64) -> float | np.ndarray:
    """``value`` resolved for ``count`` neurons: a constant stays a float, the rest becomes an array."""
    if not isinstance(value, Distribution):
        return value
    out = np.empty(count)
    draw_many(*encode(value), np.uint64(seed), stream, np.arange(count), out)
    return out


def guide(limits: np.ndarray) -> np.ndarray:
    """uint8 (2**GUIDED,): how many of the ascending ``limits`` (uint64) a word reaches, by its first bits, or UNDECIDED."""
    cells = np.arange(1 << GUIDED, dtype=np.uint64) << np.uint64(32 - GUIDED)
    least = np.searchsorted(limits, cells, side="right")
    most = np.searchsorted(limits, cells | np.uint64((1 << 32 - GUIDED) - 1), side="right")
    return np.where((least == most) & (least < UNDECIDED), least, UNDECIDED).astype(np.uint8)


def in_halves(limits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The ascending ``limits`` (uint64, (sets, n)) as ``halves`` and ``rests``, both uint64 (sets, n + 1), for `reached_in_halves`.

    A number that stands for q words of 32 bits gets q >> 16 of the words of 16 bits, next to each other from 0 on: it is the number of
    ``halves`` that such a word reaches. What is left of all, a multiple of 2**16, lies side by side behind the last of ``halves``:
    there 16 bits more decide, by ``rests``.
    """
    shares = np.diff(limits.astype(np.int64), axis=1, prepend=0, append=2**32)
    return np.cumsum(shares >> 16, axis=1).astype(np.uint64), np.cumsum(shares & 0xFFFF, axis=1).astype(np.uint64)


@njit
def reached_in_halves(halves, rests, half, rest):
    """The number that ``half``, a word of 16 bits, stands for; ``rest`` is another, which decides if the first does not."""
    last = halves[len(halves) - 1]
    return reached(halves, half) if half < last else reached(rests, (half - last) << np.uint64(16) | rest)


@njit
def reached(limits, word):
    """How many of the ascending limits a number reaches, that is, are no larger (numpy's searchsorted takes seconds to compile)."""
    low, high = 0, len(limits)
    while low < high:
        middle = (low + high) // 2
        if limits[middle] <= word:
            low = middle + 1
        else:
            high = middle
    return low


@njit
def guided(limits, guide, word):
    """The same with the help of the guide."""
    count = np.int64(guide[np.int64(word >> np.uint64(32 - GUIDED))])
    return reached(limits, word) if count == UNDECIDED else count
