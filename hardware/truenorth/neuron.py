"""The chip's neuron: the scalar step of `spikesim.neurons.truenorth` with what only the chip has, its random numbers.

IBM has not published its generator. Ours is a function, Philox4x32-10 (`spikesim.random`), so that nothing depends on the order
of draws: neuron j of the core at (x, y) draws in a tick the number named

    seed, stream, (65536 y + x) 2**24 + row 2**8 + block, tick

row 0 to 255: a byte for each active stochastic synapse of that axon (block j // 16, byte j % 16); row 256: a byte for the leak,
likewise; row 257: 16 bits for the threshold (block j // 8, half word j % 8). Bytes and halves are counted from the low end.
"""

import numpy as np
from numba import njit

from spikesim.neurons.truenorth import truenorth_step
from spikesim.random import words

STREAM = np.uint64(0x54 << 24)  # apart from the purposes in spikesim.random
LEAK_ROW, THRESHOLD_ROW = 256, 257

step = njit(error_model="numpy", fastmath={"nnan", "nsz"})(truenorth_step)


@njit
def place(x, y, row):
    """The number of the first block that the core at (x, y) draws for ``row``."""
    return np.uint64(((np.int64(y) * 65536 + np.int64(x)) << 24) + (np.int64(row) << 8))


@njit
def random_byte(seed, first, neuron, tick):
    """A uniform number in 0..255."""
    w0, w1, w2, w3 = words(seed, STREAM, np.uint64(first) + np.uint64(neuron >> 4), np.uint64(tick))
    lane = (neuron >> 2) & 3
    word = w0 if lane == 0 else w1 if lane == 1 else w2 if lane == 2 else w3
    return np.int64(word >> np.uint64(8 * (neuron & 3))) & 255


@njit
def random_half(seed, first, neuron, tick):
    """A uniform number in 0..65535."""
    w0, w1, w2, w3 = words(seed, STREAM, np.uint64(first) + np.uint64(neuron >> 3), np.uint64(tick))
    lane = (neuron >> 1) & 3
    word = w0 if lane == 0 else w1 if lane == 1 else w2 if lane == 2 else w3
    return np.int64(word >> np.uint64(16 * (neuron & 1))) & 65535


@njit
def drawn(value, byte):
    """The stochastic form of a weight or leak: its sign if its size reaches the byte, else 0 (Cassidy et al. 2013)."""
    return 0 if abs(value) < byte else 1 if value > 0 else -1 if value < 0 else 0
