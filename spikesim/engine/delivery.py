"""Delivery: what the spikes that are due now add to the input slots through sparse tables.

Spikes of one population and step come as vectors of neuron numbers; input slots are integers, so that the order
of delivery does not matter. Each kernel writes only the slots of one part. ``sizes``: int32, those of the spikes, or none
where the source is not graded; they multiply the weights.
"""

import numpy as np
from numba import carray, njit

from spikesim.connectivity.tables import BLOCK, NARROW, WIDE
from spikesim.engine.memory import LINE
from spikesim.engine.native import opaque, pointer, pointer_like
from spikesim.engine.plan import TABLE
from spikesim.prefetch import prefetch

DUE, FIELDS = 1024, 8  # rows that are found before they are delivered, numbers of each, which fill a cache line
AHEAD = 8  # rows between the request for the synapses of one and their use
LINES = 12  # cache lines that are asked for, at most
BYTES = NARROW.itemsize, WIDE.itemsize


@njit
def deliver_segments(plan, part, rows, one):
    """Sparse tables: add some segments of each row that is due to a part, one for each delay.

    Of a row are known its first segment, the range of delays, the address of the input slots as of delay 0, and the table. The
    segments lie anywhere in memory. So each is looked up, and its synapses are asked for, AHEAD rows before it is added; a few lines
    after each segment, for additions wait while the core has asked for many.
    """
    due = carray(pointer(plan.due_at, np.int64), (plan.threads, DUE, FIELDS))[part]
    tables = carray(pointer(plan.tables_at, TABLE), plan.tables)
    for at in range(rows + AHEAD if rows else 0):
        wanted, end = _synapses(due[at], tables[due[at, 4]]) if at < rows else (0, 0)
        if at >= AHEAD:
            wanted = _add_segments(due[at - AHEAD], tables[due[at - AHEAD, 4]], plan.input_stride, one, wanted, end)
        _ask(wanted, end)


@njit
def _synapses(due, table):
    """The addresses at which the synapses of a row begin and end, or the first LINES of their lines."""
    segments = carray(pointer(table.segments_at, np.uint32), table.rows)
    start, stop = np.int64(segments[due[0] + due[1]]) * table.size, np.int64(segments[due[0] + due[2]]) * table.size
    return table.synapses_at + start, table.synapses_at + min(stop, start + LINES * LINE)


@njit
def _ask(address, end):
    """Ask for the cache lines from an address to another; returns the first that was not asked for."""
    while address < end:
        prefetch(address)
        address += LINE
    return address


@njit
def _add_segments(due, table, stride, one, wanted, end):
    """Add a row, and ask for what is wanted of another; returns the first address that was not asked for.

    The input slots of the next step lie ``stride`` bytes further.
    """
    row, first, last, inputs_at = due[0], due[1], due[2], due[3]
    segments = carray(pointer(table.segments_at, np.uint32), table.rows)
    delays = carray(pointer(table.delays_at, np.int64), table.width)
    start, share = np.int64(segments[row + first]), (end - wanted) // (last - first)
    for column in range(first, last):
        stop = np.int64(segments[row + column + 1])
        inputs = carray(pointer_like(inputs_at + delays[column] * stride, one), BLOCK)
        _add_segment(table.synapses_at + start * table.size, stop - start, table.size, table.single, inputs)
        start = stop
        wanted = _ask(wanted, min(wanted + share, end))
    return wanted


def _adder(kind):
    """What adds the synapses of one kind of record that lie from one address to another.

    Four at a time, and no more, though compilers would: for most segments are short, and each further loop has an end that the
    processor foresees wrongly.
    """
    size = kind.itemsize

    @njit
    def add(address, end, inputs):
        while address + 3 * size < end:
            for synapse in carray(pointer(address, kind), 4):
                inputs[synapse.target] += synapse.weight
            address = opaque(address + 4 * size)
        while address < end:
            for synapse in carray(pointer(address, kind), 1):
                inputs[synapse.target] += synapse.weight
            address = opaque(address + size)

    return add


_add_narrow, _add_wide = _adder(NARROW), _adder(WIDE)


@njit
def _add_segment(address, count, size, single, inputs):
    if size == BYTES[0]:
        _add_narrow(address, address + count * size, inputs)
    elif size == BYTES[1]:
        _add_wide(address, address + count * size, inputs)
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
