"""Which neurons and input slots belong to a thread's part, for the other kernels."""

import numpy as np
from numba import carray, njit

from spikesim.engine.native import pointer


@njit
def span(plan, part, cells):
    """The neurons [low, high) of a population that belong to a part."""
    bounds = carray(pointer(plan.bounds_at, np.int64), (plan.threads + 1, plan.populations))
    return bounds[part, cells], bounds[part + 1, cells]


@njit
def share(plan, rows_at, part):
    """The address that belongs to a part, such as that of its share of a row of numbers (see `spikesim.engine.memory`)."""
    return carray(pointer(rows_at, np.int64), plan.threads)[part]


@njit
def slot_of(plan, part, cells, port):
    """The first input slot of a port of a part."""
    slots = carray(pointer(plan.slots_at, np.int64), (plan.threads, plan.populations, plan.ports))
    return slots[part, cells, port]


@njit
def clip(start, step, count, low, high):
    """The range of k in [0, count) for which low <= start + step * k < high."""
    return min(max((low - start + step - 1) // step, 0), count), min(max((high - start + step - 1) // step, 0), count)
