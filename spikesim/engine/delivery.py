"""Delivery: what the spikes that are due now add to the input slots through sparse tables.

Spikes of one population and step come as vectors of neuron numbers; input slots are integers, so that the order
of delivery does not matter. Each kernel writes only the slots of one part. ``sizes``: int32, those of the spikes, or none
where the source is not graded; they multiply the weights.
"""

import numpy as np
from numba import carray, njit

from spikesim.connectivity.tables import NARROW, WIDE
from spikesim.engine.memory import LINE
from spikesim.engine.native import pointer
from spikesim.prefetch import prefetch

DUE = 1024  # segments whose rows are collected before they are delivered
AHEAD = 16  # segments between the request for the synapses of one and their use
LINES = 4  # cache lines that are asked for
BYTES = NARROW.itemsize, WIDE.itemsize


@njit
def deliver_segments(rows, table, due, inputs):
    """Sparse table: add the segments of the given rows (the first of ``due``'s two columns).

    The segments lie anywhere in memory. So each is looked up, and its synapses are asked for, AHEAD rows before it is added.
    """
    segments = carray(pointer(table.segments_at, np.uint32), table.rows)
    synapses_at, size, single = table.synapses_at, table.size, table.single
    for at in range(rows + AHEAD if rows else 0):
        if at < rows:
            row = due[at, 0]
            first, last = np.int64(segments[row]), np.int64(segments[row + 1])
            start = synapses_at + first * size
            due[at, 0], due[at, 1] = start, last - first
            for line in range(LINES):
                prefetch(start + LINE * line)
        if at >= AHEAD:
            _add_segment(due[at - AHEAD, 0], due[at - AHEAD, 1], size, single, inputs)


@njit
def _add_segment(address, count, size, single, inputs):
    if size == BYTES[0]:
        for synapse in carray(pointer(address, NARROW), count):
            inputs[synapse.target] += synapse.weight
    elif size == BYTES[1]:
        for synapse in carray(pointer(address, WIDE), count):
            inputs[synapse.target] += synapse.weight
    else:
        for target in carray(pointer(address, np.uint16), count):
            inputs[target] += single


@njit
def deliver_graded(spikes, sizes, table, column, inputs):
    """Sparse table of a graded source: add the synapses of each spike whose delay is the table's ``column``-th."""
    segments = carray(pointer(table.segments_at, np.uint32), table.rows)
    for k in range(len(spikes)):
        row, size = np.int64(spikes[k]) * table.width + column, np.int64(sizes[k])
        first, last = np.int64(segments[row]), np.int64(segments[row + 1])
        address = table.synapses_at + first * table.size
        if table.size == BYTES[0]:
            for synapse in carray(pointer(address, NARROW), last - first):
                inputs[synapse.target] += size * synapse.weight
        elif table.size == BYTES[1]:
            for synapse in carray(pointer(address, WIDE), last - first):
                inputs[synapse.target] += size * synapse.weight
        else:
            for target in carray(pointer(address, np.uint16), last - first):
                inputs[target] += size * table.single


@njit
def row_of(spike, block):
    """Which source of a projection a neuron is, or -1."""
    row = (spike - block.source_start) // block.source_step
    return row if 0 <= row < block.sources and block.source_start + row * block.source_step == spike else -1
