"""Delivery: what the spikes that are due now add to the input slots, for each kind of connectivity.

Spikes of one population and step come as vectors of neuron numbers; input slots are integers, so that the order
of delivery does not matter. Each kernel writes only the slots of one part. ``sizes``: int32, those of the spikes, or none
where the source is not graded; they multiply the weights.
"""

import numpy as np
from numba import carray, njit

from spikesim.connectivity.tables import NARROW, WIDE
from spikesim.engine.memory import LINE
from spikesim.engine.native import pointer, prefetch

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
def deliver_dense(spikes, sizes, block, first, last, inputs):
    """Full matrix: add columns [first, last) of the rows of the spiking sources to the slots of the block's targets."""
    width, graded = max(last - first, 0), len(sizes) > 0
    for k in range(len(spikes)):
        row = row_of(spikes[k], block)
        if row < 0:
            continue
        at = block.weights_at + (row * block.targets + first) * (block.bits // 8)
        narrow, wide = carray(pointer(at, np.int16), width), carray(pointer(at, np.int32), width)
        if graded and block.bits == 16:
            _add_times(narrow, np.int64(sizes[k]), inputs, block.target_step)
        elif graded:
            _add_times(wide, np.int64(sizes[k]), inputs, block.target_step)
        elif block.bits == 16:
            _add(narrow, inputs, block.target_step)
        else:
            _add(wide, inputs, block.target_step)


@njit
def row_of(spike, block):
    """Which source of a projection a neuron is, or -1."""
    row = (spike - block.source_start) // block.source_step
    return row if 0 <= row < block.sources and block.source_start + row * block.source_step == spike else -1


@njit
def _add(weights, inputs, stride):
    if stride == 1:
        _add_row(weights, inputs)
    else:
        _add_spread(weights, inputs, stride)


@njit
def _add_times(weights, size, inputs, stride):
    for k in range(len(weights)):
        inputs[k * stride] += size * weights[k]


@njit
def _add_row(weights, inputs):
    for k in range(len(weights)):
        inputs[k] += weights[k]


@njit
def _add_spread(weights, inputs, stride):
    for k in range(len(weights)):
        inputs[k * stride] += weights[k]


@njit(inline="always")
def _outputs(at, padding, dilation, stride, offset, size):
    """Where along one axis the input at ``at`` meets the kernel entry ``offset``, or -1."""
    place = at + padding - offset * dilation
    if place < 0 or place % stride:
        return -1
    place //= stride
    return place if place < size else -1


@njit
def deliver_conv(spikes, sizes, block, shapes, low, high, inputs):
    """Convolution: for each spike the kernel's entries that meet it, for all output channels of its group.

    The block's weights are (channels in, depth, height, width, channels out of a group). shapes: int64 rows (source shape,
    target shape, stride, padding, dilation, kernel), first channels or groups; inputs: slots of the neurons [low, high).
    """
    source, target, stride, padding, dilation, kernel = shapes[0], shapes[1], shapes[2], shapes[3], shapes[4], shapes[5]
    volume = target[1] * target[2] * target[3]
    per_group_in, per_group_out = source[0] // stride[0], target[0] // stride[0]
    size = (source[0], kernel[1], kernel[2], kernel[3], per_group_out)
    narrow, wide = carray(pointer(block.weights_at, np.int16), size), carray(pointer(block.weights_at, np.int32), size)
    target_start, target_step, bits = block.target_start, block.target_step, block.bits
    for n in range(len(spikes)):
        k = row_of(spikes[n], block)
        if k < 0:
            continue
        spike_size = np.int64(sizes[n]) if len(sizes) else 1
        x = k % source[3]
        y = k // source[3] % source[2]
        z = k // (source[3] * source[2]) % source[1]
        channel = k // (source[3] * source[2] * source[1])
        first_out = channel // per_group_in * per_group_out
        for dz in range(kernel[1]):
            oz = _outputs(z, padding[1], dilation[1], stride[1], dz, target[1])
            for dy in range(kernel[2] if oz >= 0 else 0):
                oy = _outputs(y, padding[2], dilation[2], stride[2], dy, target[2])
                for dx in range(kernel[3] if oy >= 0 else 0):
                    ox = _outputs(x, padding[3], dilation[3], stride[3], dx, target[3])
                    if ox < 0:
                        continue
                    place = first_out * volume + (oz * target[2] + oy) * target[3] + ox
                    for out in range(per_group_out):
                        neuron = target_start + target_step * (place + out * volume)
                        if low <= neuron < high:
                            at = channel, dz, dy, dx, out
                            inputs[neuron - low] += spike_size * (narrow[at] if bits == 16 else wide[at])
