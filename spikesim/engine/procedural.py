"""Procedural delivery: the rows of neurons that fired, drawn again and put into the steps in which they are due.

What is under way to a part's input slots, which are int64, is kept in a ring of steps (see a record FUTURE).
"""

import numpy as np
from numba import carray, njit

from spikesim.connectivity.pairs import (
    Chunk,
    Request,
    all_to_all,
    fixed_outdegree,
    fixed_probability,
    fixed_total_number,
    one_to_one,
)
from spikesim.connectivity.tables import Delays, Weights, draw_columns, draw_weights
from spikesim.engine.delivery import row_of
from spikesim.engine.native import pointer

KERNELS = one_to_one, all_to_all, fixed_probability, fixed_outdegree, fixed_total_number
ONE_TO_ONE, ALL_TO_ALL, FIXED_PROBABILITY, FIXED_OUTDEGREE, FIXED_TOTAL_NUMBER = range(len(KERNELS))
VECTORS = 5  # vectors of 8 bytes for each synapse of a row: source, target, number, place, weight


@njit
def _draw_row(rows, source, chunk):
    """Put the synapses of one source into the chunk; returns how many."""
    cursor = np.full(1, source, np.int64)
    own, starts = carray(pointer(rows.own_at, np.int64), rows.own), carray(pointer(rows.starts_at, np.int64), rows.starts)
    last = min(rows.last, source + 1) if rows.kernel == ONE_TO_ONE else rows.last
    request = Request(source + 1, rows.targets, rows.first, last, own, rows.number, rows.p, rows.multapses != 0, starts,
                      own, own, rows.seed, np.uint64(rows.stream))  # fmt: skip
    if rows.kernel == ALL_TO_ALL:
        return all_to_all(request, cursor, chunk)
    if rows.kernel == FIXED_PROBABILITY:
        return fixed_probability(request, cursor, chunk)
    if rows.kernel == FIXED_OUTDEGREE:
        return fixed_outdegree(request, cursor, chunk)
    if rows.kernel == FIXED_TOTAL_NUMBER:
        return fixed_total_number(request, cursor, chunk)
    return one_to_one(request, cursor, chunk) if source >= rows.first else 0


@njit
def _weights(rows):
    return Weights(rows.weight_kind, carray(pointer(rows.weights_at, np.float64), rows.weights), np.uint64(rows.weight_stream))


@njit
def _delays(rows):
    return Delays(rows.delay_kind, carray(pointer(rows.steps_at, np.int64), rows.steps), rows.least,
                  carray(pointer(rows.limits_at, np.uint64), rows.limits), carray(pointer(rows.guide_at, np.uint8), rows.guide),
                  np.uint64(rows.delay_stream))  # fmt: skip


@njit
def deliver_rows(spikes, rows, future, arrivals):
    """Draw the rows of the neurons that fired and add them where they arrive.

    arrivals: int64, for each delay where the step in which it ends begins in the ring.
    """
    scratch = carray(pointer(future.scratch_at, np.int64), (VECTORS, future.longest))
    drawn = carray(pointer(future.scratch_at, np.float64), (VECTORS, future.longest))
    inputs = carray(pointer(future.inputs_at, np.int64), len(arrivals) * future.width)
    chunk, delays, given = Chunk(scratch[0], scratch[1], scratch[2]), _delays(rows), _weights(rows)
    start, step = rows.slot_start, rows.slot_step
    for spike in spikes:
        source = row_of(spike, rows)
        if source < 0:
            continue
        count = _draw_row(rows, source, chunk)
        numbers, targets, places, weights = chunk.numbers[:count], chunk.targets, scratch[3, :count], drawn[4, :count]
        draw_columns(delays, numbers, rows.seed, arrivals, places)
        draw_weights(given, numbers, rows.seed, rows.scale, weights)
        for k in range(count):
            inputs[places[k] + start + step * targets[k]] += np.int64(weights[k])


@njit
def arrive(future, step, ring, inputs_at):
    """Add what is due in a step to a part's input slots, the first of which is at the address, and forget it."""
    due = carray(pointer(future.inputs_at + 8 * (step % ring * future.width), np.int64), future.width)
    inputs = carray(pointer(inputs_at + 8 * future.first, np.int64), future.width)
    for k in range(future.width):
        inputs[k] += due[k]
        due[k] = 0
