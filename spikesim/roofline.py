"""The limits of this machine: how fast its cores do, alone, each of the things that a simulation consists of.

Each limit is the rate of one small loop, run by so many threads at once on data of their own; nothing is exchanged and
nobody waits. It bounds what an engine can reach: delivery cannot outrun scattering, drives cannot outrun Philox.

| limit                     | what is done |
|---------------------------|--------------|
| read_bytes_per_s          | bytes read one after another, from memory that fits no cache |
| near_events_per_s         | a number added to random places of a row of int32 of 150 kB, which fits a core's cache |
| far_events_per_s          | the same in a row of 64 MB, which does not |
| neuron_updates_per_s      | steps of a LIF neuron with one current, float32, its state in a core's cache |
| draws_per_s               | 32-bit words of Philox4x32-10 |
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import numpy as np

from spikesim.errors import DescriptionError
from spikesim.kernel import kernel
from spikesim.random import words_in_loop

READ_BYTES = 256_000_000  # by all threads together
NEAR_BYTES, FAR_BYTES = 150_000, 64_000_000  # of a row, one for each thread
EVENTS = 1 << 20  # in a piece of work, which takes milliseconds
NEURONS = 1 << 14
SECONDS, REPEATS = 0.2, 3  # of one measurement; the best of so many counts

Work = Callable[[], Any]


@kernel
def total(values):
    """The sum of whole numbers, read in order."""
    found = 0
    for k in range(len(values)):
        found += values[k]
    return found


@kernel
def scatter(targets, row):
    """Add 1 to the row at each target."""
    for k in range(len(targets)):
        row[targets[k]] += 1


@kernel
def update(v, current, refractory, decay, current_decay, gain, threshold, steps):
    """So many steps of LIF neurons that rest and reset at 0; the number of their spikes."""
    spikes = 0
    for _ in range(steps):
        for i in range(len(v)):
            waits = refractory[i] > 0
            integrated = v[i] if waits else decay * v[i] + gain * current[i]
            fires = integrated >= threshold
            v[i] = np.float32(0) if fires else integrated
            refractory[i] = np.int32(20) if fires else refractory[i] - np.int32(waits)
            current[i] *= current_decay
            spikes += fires
    return spikes


@kernel
def draw_words(seed, count):
    """The exclusive or of the first words of a stream, ``count`` blocks of four."""
    found = np.uint64(0)
    for k in range(count):
        w0, w1, w2, w3 = words_in_loop(seed, np.uint64(0), np.uint64(k), np.uint64(0))
        found ^= w0 ^ w1 ^ w2 ^ w3
    return found


def _reading(threads: int) -> tuple[Work, int]:
    values = np.ones(READ_BYTES // 8 // threads, np.int64)
    return lambda: total(values), values.nbytes


def _scattering(size: int) -> Callable[[int], tuple[Work, int]]:
    def prepare(threads: int) -> tuple[Work, int]:
        row = np.zeros(size // 4, np.int32)
        targets = np.random.default_rng(0).integers(0, len(row), EVENTS).astype(np.min_scalar_type(len(row)))
        return lambda: scatter(targets, row), EVENTS

    return prepare


def _updating(threads: int) -> tuple[Work, int]:
    v, current, refractory = np.zeros(NEURONS, np.float32), np.ones(NEURONS, np.float32), np.zeros(NEURONS, np.int32)
    coefficients = (np.float32(0.995), np.float32(0.98), np.float32(0.001), np.float32(1.0))
    return lambda: update(v, current, refractory, *coefficients, 100), 100 * NEURONS


def _drawing(threads: int) -> tuple[Work, int]:
    return lambda: draw_words(np.uint64(1), EVENTS), 4 * EVENTS


LIMITS: dict[str, Callable[[int], tuple[Work, int]]] = {  # from the number of threads to one's work, and how much that is
    "read_bytes_per_s": _reading,
    "near_events_per_s": _scattering(NEAR_BYTES),
    "far_events_per_s": _scattering(FAR_BYTES),
    "neuron_updates_per_s": _updating,
    "draws_per_s": _drawing,
}


def machine_limits(threads: int, *, seconds: float = SECONDS) -> dict[str, float]:
    """The limits of the module's table, of ``threads`` threads together, measured in about 15 times ``seconds``."""
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise DescriptionError(f"machine_limits: threads must be a whole number from 1 on, got {threads!r}")
    return {name: max(_rate(prepare, threads, seconds) for _ in range(REPEATS)) for name, prepare in LIMITS.items()}


def _rate(prepare: Callable[[int], tuple[Work, int]], threads: int, seconds: float) -> float:
    """Amount per second of all threads while all of them work."""
    start = Barrier(threads, timeout=60.0)  # s, in case one runs out of memory

    def worker(_: int) -> float:
        work, amount = prepare(threads)
        work()  # compiles, and brings the data where it belongs
        start.wait()
        began, done = time.perf_counter(), 0
        while time.perf_counter() < began + seconds:
            work()
            done += amount
        return done / (time.perf_counter() - began)

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(worker, range(threads)))
