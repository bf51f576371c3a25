"""Delivery through structured connectivity: full matrices, convolutions, matrices along an axis.

As in `spikesim.engine.delivery` spikes of one population and step come as vectors of neuron numbers, and a kernel writes only
the slots of one part: those of the neurons [low, high) of the target, which lie in a row at ``inputs_at``. ``sizes`` are
the sizes of the spikes (int32) by which weights are multiplied, or none if all are 1; ``one`` has the slots' type.
"""

import numpy as np
from numba import carray, njit

from spikesim.draws import reached
from spikesim.engine.delivery import row_of
from spikesim.engine.native import VECTOR, add_vector, pointer, pointer_like
from spikesim.engine.parts import clip


@njit
def _size(sizes, n):
    return sizes[n] if len(sizes) else np.int32(1)


@njit
def _bytes(inputs_at, one):
    """The size of an input slot."""
    return carray(pointer_like(inputs_at, one), 1).itemsize


@njit(forceinline=True)
def _add(weights_at, bits, count, size, inputs_at, jump, one):
    """Add ``count`` weights in a row, times ``size``, to every ``jump``-th input slot."""
    if bits == 16:
        _add_row(weights_at, np.int16, count, size, inputs_at, jump, one)
    else:
        _add_row(weights_at, np.int32, count, size, inputs_at, jump, one)


@njit(forceinline=True)
def _add_row(weights_at, dtype, count, size, inputs_at, jump, one):
    inputs = carray(pointer_like(inputs_at, one), (count - 1) * jump + 1)
    weights = carray(pointer(weights_at, dtype), count)
    if size == 1 and jump == 1:
        _add_whole(weights_at, dtype, count, inputs_at, one)
    elif jump == 1:  # the product of two int32 as int64: its lower half is one instruction, too
        for k in range(count):
            inputs[k] += np.int64(weights[k]) * np.int64(size)
    else:
        _add_spread(weights, size, inputs, jump)


@njit(forceinline=True)
def _add_whole(weights_at, dtype, count, inputs_at, one):
    item = _bytes(inputs_at, one)
    width = carray(pointer(weights_at, dtype), 1).itemsize
    vectors = count // VECTOR
    for _ in range(vectors):
        add_vector(inputs_at, weights_at, one, dtype)
        inputs_at += VECTOR * item
        weights_at += VECTOR * width
    rest = count - vectors * VECTOR
    inputs, weights = carray(pointer_like(inputs_at, one), rest), carray(pointer(weights_at, dtype), rest)
    for k in range(rest):
        inputs[k] += weights[k]


@njit
def _add_spread(weights, size, inputs, jump):
    at = 0
    for k in range(len(weights)):
        inputs[at] += weights[k] if size == 1 else np.int64(weights[k]) * np.int64(size)
        at += jump


@njit
def deliver_dense(spikes, sizes, block, low, high, inputs_at, one):
    """Full matrix: add the rows of the spiking sources to the slots of the block's targets."""
    bits, jump = block.bits, block.target_step
    first, last = clip(block.target_start, jump, block.targets, low, high)
    slot_at = inputs_at + (block.target_start + first * jump - low) * _bytes(inputs_at, one)
    for n in range(len(spikes) if first < last else 0):
        row = row_of(np.int64(spikes[n]), block)
        if row >= 0:
            weights_at = block.weights_at + (row * block.targets + first) * (bits // 8)
            _add(weights_at, bits, last - first, _size(sizes, n), slot_at, jump, one)


@njit
def deliver_conv(spikes, sizes, block, low, high, inputs_at, one):
    """Convolution of either kind: at each place that a source meets, add the weights of all output channels of its group.

    Places are row x width + column. What each row and column of the source meets is listed (see `spikesim.engine.records`): its share
    of the target's place and of the weights' address, and how many weights there are in a row.
    """
    last, channels, volume, width = block.channels_last, block.channels, block.source_volume, block.width
    group, out, bits, item = block.group_in, block.group_out, block.bits, _bytes(inputs_at, one)
    row_starts = carray(pointer(block.row_starts_at, np.int64), volume // width + 1)
    column_starts = carray(pointer(block.column_starts_at, np.int64), width + 1)
    rows = carray(pointer(block.rows_at, np.int64), (row_starts[volume // width], 3))
    columns = carray(pointer(block.columns_at, np.int64), (column_starts[width], 3))
    jump, unit = (1, block.target_channels) if last else (block.target_volume, 1)
    weights_at, channel_bytes = block.weights_at, block.channel_bytes
    for n in range(len(spikes)):
        k = np.int64(spikes[n])
        place = k // channels if last else k % volume
        channel = k - place * channels if last else k // volume
        row = place // width
        column = place - row * width
        size, first_out, channel_at = _size(sizes, n), channel // group * out * jump, weights_at + channel * channel_bytes
        for r in range(row_starts[row], row_starts[row + 1]):
            row_first = first_out + rows[r, 0] * unit
            row_weights_at = channel_at + rows[r, 1]
            for c in range(column_starts[column], column_starts[column + 1]):
                neuron, begin, end = row_first + columns[c, 0] * unit, 0, columns[c, 2]
                if neuron >= high or neuron + (end - 1) * jump < low:
                    continue
                if neuron < low or neuron + (end - 1) * jump >= high:
                    begin, end = clip(neuron, jump, end, low, high)
                _add(row_weights_at + columns[c, 1] + begin * (bits // 8), bits, end - begin, size,
                     inputs_at + (neuron + begin * jump - low) * item, jump, one)  # fmt: skip


@njit
def deliver_along(spikes, sizes, block, low, high, inputs_at, one):
    """Matrix along an axis: add the entries of the column of each source to the outputs at its outer and inner position."""
    inner, width, bits, item = block.inner, block.row_width, block.bits, _bytes(inputs_at, one)
    starts = carray(pointer(block.starts_at, np.int64), block.inputs + 1)
    entries = starts[block.inputs]
    outputs = carray(pointer(block.outputs_at, np.int32), entries)
    jump = block.target_step * inner
    for n in range(len(spikes)):
        k = row_of(np.int64(spikes[n]), block)
        if k < 0:
            continue
        rest = k // inner
        position = k - rest * inner
        outer = rest // block.inputs
        column = rest - outer * block.inputs
        first, last = starts[column], starts[column + 1]
        if first == last:
            continue
        neuron = block.target_start + block.target_step * (outer * block.outputs * inner + position)
        if neuron + jump * outputs[first] < low or neuron + jump * outputs[last - 1] >= high:
            begin, end = clip(neuron, jump, block.outputs, low, high)
            column_outputs = carray(pointer(block.outputs_at + 4 * first, np.int32), last - first)
            first, last = first + reached(column_outputs, begin - 1), first + reached(column_outputs, end - 1)
            if first >= last:
                continue
        slot_at = inputs_at + (neuron - low) * item
        if width == 1 and outputs[last - 1] - outputs[first] == last - 1 - first:
            _add(block.weights_at + first * (bits // 8), bits, last - first, _size(sizes, n), slot_at + jump * outputs[first] * item,
                 jump, one)  # fmt: skip
        else:
            _add_entries(block, first, last, position if width > 1 else 0, _size(sizes, n), slot_at, jump, one)


@njit
def _add_entries(block, first, last, shift, size, slot_at, jump, one):
    """Add the entries [first, last) of a column one by one."""
    outputs = carray(pointer(block.outputs_at, np.int32), last)
    rows = carray(pointer(block.rows_at, np.int32), last)
    narrow = carray(pointer(block.weights_at, np.int16), 1)
    wide = carray(pointer(block.weights_at, np.int32), 1)
    inputs = carray(pointer_like(slot_at, one), 1)
    for e in range(first, last):
        at = np.int64(rows[e]) * block.row_width + shift
        weight = np.int64(narrow[at]) if block.bits == 16 else np.int64(wide[at])
        inputs[np.int64(outputs[e]) * jump] += weight * np.int64(size)
