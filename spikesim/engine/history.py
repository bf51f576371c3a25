"""Who fired in the last steps: for each step of a ring, part and population the neurons, in order, and the sizes of their spikes."""

import numpy as np
from numba import carray, njit

from spikesim.engine.native import pointer
from spikesim.engine.parts import span
from spikesim.engine.plan import CELLS


@njit
def fired_in(plan, slot, cells, part, count):
    """The numbers of the first ``count`` neurons that fired in the step of a slot of the ring."""
    what = carray(pointer(plan.cells_at, CELLS), plan.populations)[cells]
    first = what.start + span(plan, part, cells)[0]
    return carray(pointer(plan.history_at + 4 * (slot * plan.neurons + first), np.int32), count)


@njit
def counts_of(plan, part):
    """How many neurons of a part fired, for each slot of the ring and each population; what a step writes is one cache line or few."""
    return carray(pointer(plan.history_counts_at, np.int32), (plan.threads, plan.ring, plan.history_width))[part]


@njit
def spikes_of(plan, cells, part, step):
    """Who fired in a step."""
    slot = step % plan.ring
    return fired_in(plan, slot, cells, part, counts_of(plan, part)[slot, cells])


@njit
def sizes_in(plan, slot, cells, part, count):
    """The sizes of the first ``count`` spikes in a slot of the ring; none of a population that is not graded."""
    what = carray(pointer(plan.cells_at, CELLS), plan.populations)[cells]
    first = what.start + span(plan, part, cells)[0] if what.graded else 0
    return carray(pointer(plan.sizes_at + 4 * (slot * plan.neurons + first), np.int32), count if what.graded else 0)


@njit
def sizes_of(plan, cells, part, step):
    """How strongly, in the same order."""
    slot = step % plan.ring
    return sizes_in(plan, slot, cells, part, counts_of(plan, part)[slot, cells])
