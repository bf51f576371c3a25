"""Delivery through structured connectivity: full matrices, convolutions, matrices along an axis.

As in `spikesim.engine.delivery` spikes of one population and step come as vectors of neuron numbers, and a kernel writes only
the slots of one part: those of the neurons [low, high) of the target, which lie in a row at ``inputs_at``. ``sizes`` are
the sizes of the spikes (int32) by which weights are multiplied, or none if all are 1; ``one`` has the slots' type.
"""

import numpy as np
from numba import carray, njit

from spikesim.draws import reached
from spikesim.engine.delivery import row_of
from spikesim.engine.native import VECTOR, VECTORS, add_rows, pointer, pointer_like
from spikesim.engine.parts import clip
from spikesim.engine.plan import MEETS
from spikesim.engine.sliding import SPIKES, slide

COLUMN = 24  # bytes of what a column meets in a row: target, weights, number of weights


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
    if jump != 1:
        _add_spread(carray(pointer(weights_at, dtype), count), size, carray(pointer_like(inputs_at, one), (count - 1) * jump + 1), jump)
    elif size == 1:
        _add_run(weights_at, dtype, count, None, inputs_at, one)
    else:
        _add_run(weights_at, dtype, count, size, inputs_at, one)


@njit(forceinline=True)
def _add_run(weights_at, dtype, count, size, inputs_at, one):
    """Add ``count`` weights in a row to as many input slots in a row; ``size``: None for a spike of size 1."""
    step, width = VECTOR * _bytes(inputs_at, one), VECTOR * _bytes(weights_at, dtype(0))
    left = count // VECTOR
    while left > VECTORS:
        add_rows(inputs_at, weights_at, VECTORS, 1, 0, 0, size, one, dtype)
        inputs_at, weights_at, left = inputs_at + VECTORS * step, weights_at + VECTORS * width, left - VECTORS
    add_rows(inputs_at, weights_at, left, 1, 0, 0, size, one, dtype)
    _add_few(weights_at + left * width, dtype, count % VECTOR, size, inputs_at + left * step, one)


@njit(forceinline=True)
def _add_few(weights_at, dtype, count, size, inputs_at, one):
    """The same one by one."""
    inputs, weights = carray(pointer_like(inputs_at, one), VECTOR), carray(pointer(weights_at, dtype), VECTOR)
    for k in range(count):
        if size is None:
            inputs[k] += weights[k]
        else:
            inputs[k] += np.int64(weights[k]) * np.int64(size)


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

    What each row and column of the source meets is listed (see `spikesim.engine.records`): its share of the target's number and of
    the weights' address, and how many there are. Spikes come in order, so those of a line of the source follow each other, and
    what the line meets is looked up once.
    """
    row_starts = carray(pointer(block.row_starts_at, np.int64), block.lines + 1)
    size = np.uint64(block.line_size)
    first = 0
    while first < len(spikes):
        line = spikes[first] * block.line_inverse >> block.line_shift
        start, last = line * block.line_size, first + 1
        while last < len(spikes) and np.uint64(spikes[last] - start) < size:
            last += 1
        channel = line * block.lines_inverse >> block.lines_shift
        row = line - channel * block.lines
        for r in range(row_starts[row], row_starts[row + 1]):
            rows = carray(pointer(block.rows_at, MEETS), r + 1)[r]
            _deliver_line(spikes[first:last], sizes[first:last], start, channel, rows, block, low, high, inputs_at, one)
        first = last


@njit
def _deliver_line(spikes, sizes, start, channel, rows, block, low, high, inputs_at, one):
    """The spikes of the line that begins with neuron ``start``, at the rows of the target that it meets."""
    first, last = 0, block.targets
    if block.channels_last:
        first, last = rows.target, rows.target + (rows.count - 1) * rows.target_step + block.target_line
    if first >= high or last <= low:
        return
    if first < low or last > high or not block.channels_last or block.grouped:
        _deliver_clipped(spikes, sizes, start, channel, rows, block, low, high, inputs_at, one)
    elif block.bits == 16:
        _deliver_whole(spikes, sizes, start, rows, block, inputs_at - low * _bytes(inputs_at, one), np.int16, one)
    else:
        _deliver_whole(spikes, sizes, start, rows, block, inputs_at - low * _bytes(inputs_at, one), np.int32, one)


@njit
def _deliver_whole(spikes, sizes, start, rows, block, inputs_at, dtype, one):
    """If all that they meet is in reach, and the weights of all output channels lie in a row."""
    if block.slides and len(spikes) > SPIKES * block.width and _bytes(inputs_at, one) == 4:
        if len(sizes):
            _slide(spikes, sizes.ctypes.data, start, rows, block, inputs_at, one)
        else:
            _slide(spikes, None, start, rows, block, inputs_at, one)
        return
    for run in range(block.runs):
        columns_at = block.columns_at + COLUMN * block.width * run
        if run >= block.whole_runs:
            _deliver_rest(spikes, sizes, start, rows, columns_at, block, inputs_at, dtype, one)
        elif len(sizes):
            _deliver_runs(spikes, sizes, start, rows, columns_at, block, inputs_at, dtype, one)
        else:
            _deliver_runs(spikes, None, start, rows, columns_at, block, inputs_at, dtype, one)


@njit
def _slide(spikes, sizes_at, start, rows, block, inputs_at, one):
    """With sums in registers; ``sizes_at``: None if all are 1."""
    item, channels, offset, most = _bytes(inputs_at, one), block.channels, block.offset, block.together
    first = (spikes[0] - start) * block.channels_inverse >> block.channels_shift
    last = (spikes[-1] - start) * block.channels_inverse >> block.channels_shift
    halve = block.stride - 1  # for strides 1 and 2
    for row in range(0, rows.count, most):
        slide(block.slides, min(most, rows.count - row), spikes.ctypes.data, sizes_at, len(spikes), start, channels, block.channel_bytes,
              first - offset >> halve, (last - offset >> halve) + block.open_columns, offset, block.target_width,
              inputs_at + (rows.target + row * rows.target_step) * item, rows.target_step * item,
              block.weights_at + rows.weights + row * rows.weights_step, rows.weights_step, one, np.int16)  # fmt: skip


@njit
def _deliver_runs(spikes, sizes, start, rows, columns_at, block, inputs_at, dtype, one):
    """The first, second, ... run of whole vectors of each spike; ``sizes``: None if all are 1.

    There are few additions to a spike, so all that the loop needs is at hand.
    """
    weights_at, channels, channel_bytes = block.weights_at, block.channels, block.channel_bytes
    inverse, shift = block.channels_inverse, block.channels_shift
    count, item, weights_step = rows.count, _bytes(inputs_at, one), rows.weights_step
    inputs_at, weights_at, inputs_step = inputs_at + rows.target * item, weights_at + rows.weights, rows.target_step * item
    for n in range(len(spikes)):
        place = spikes[n] - start
        column = place * inverse >> shift
        run = carray(pointer(columns_at + COLUMN * column, np.int64), 3)
        slots_at, from_at = inputs_at + run[0] * item, weights_at + (place - column * channels) * channel_bytes + run[1]
        if sizes is None:
            add_rows(slots_at, from_at, run[2] // VECTOR, count, inputs_step, weights_step, None, one, dtype)
        else:
            add_rows(slots_at, from_at, run[2] // VECTOR, count, inputs_step, weights_step, sizes[n], one, dtype)


@njit
def _deliver_rest(spikes, sizes, start, rows, columns_at, block, inputs_at, dtype, one):
    """What is left of each run."""
    item = _bytes(inputs_at, one)
    for n in range(len(spikes)):
        place = spikes[n] - start
        column = place * block.channels_inverse >> block.channels_shift
        run = carray(pointer(columns_at + COLUMN * column, np.int64), 3)
        channel_at = block.weights_at + (place - column * block.channels) * block.channel_bytes
        for r in range(rows.count):
            _add_few(channel_at + run[1] + rows.weights + r * rows.weights_step, dtype, run[2], _size(sizes, n),
                     inputs_at + (run[0] + rows.target + r * rows.target_step) * item, one)  # fmt: skip


@njit
def _deliver_clipped(spikes, sizes, start, channel, rows, block, low, high, inputs_at, one):
    """If some may be beyond the borders of the part, or the weights of the output channels are spread."""
    channels, bits, item, jump, last = block.channels, block.bits, _bytes(inputs_at, one), block.jump, block.channels_last
    columns = carray(pointer(block.columns_at, np.int64), (block.runs, block.width, 3))
    for n in range(len(spikes)):
        column = np.int64(spikes[n]) - start
        if last:
            place = column
            column = place * block.channels_inverse >> block.channels_shift
            channel = place - column * channels
        size, first_out = _size(sizes, n), channel // block.group_in * block.group_out * jump + rows.target
        for run in range(block.runs):
            neuron, count = first_out + columns[run, column, 0], columns[run, column, 2]
            weights_at = block.weights_at + channel * block.channel_bytes + columns[run, column, 1] + rows.weights
            for _ in range(rows.count):
                begin, end = 0, count
                if neuron < low or neuron + (count - 1) * jump >= high:
                    begin, end = clip(neuron, jump, count, low, high)
                if begin < end:
                    _add(weights_at + begin * (bits // 8), bits, end - begin, size, inputs_at + (neuron + begin * jump - low) * item,
                         jump, one)  # fmt: skip
                neuron, weights_at = neuron + rows.target_step, weights_at + rows.weights_step


@njit
def deliver_along(spikes, sizes, block, low, high, inputs_at, one):
    """Matrix along an axis: add the entries of the column of each source to the outputs at its outer and inner position."""
    if block.straight_at and block.whole and block.target_start == 0 and block.target_step == 1:
        _deliver_straight(spikes, sizes, block, low, high, inputs_at, one)
        return
    inner, inputs, outputs, item = block.inner, block.inputs, block.outputs, _bytes(inputs_at, one)
    start, step, singles_at, slots_at = block.target_start, block.target_step, block.singles_at, inputs_at - low * item
    for n in range(len(spikes)):
        k = np.int64(spikes[n]) if block.whole else row_of(np.int64(spikes[n]), block)
        if not 0 <= k < block.sources:
            continue
        rest = k * block.inner_inverse >> block.inner_shift
        outer = rest * block.inputs_inverse >> block.inputs_shift
        position, column = k - rest * inner, rest - outer * inputs
        if singles_at:
            single = carray(pointer(singles_at + 16 * column, np.int64), 2)
            neuron = start + step * ((outer * outputs + single[0]) * inner + position)
            if low <= neuron < high:
                carray(pointer_like(slots_at + neuron * item, one), 1)[0] += single[1] * np.int64(_size(sizes, n))
        else:
            _add_column(
                block, column, start + step * (outer * outputs * inner + position), position, _size(sizes, n), low, high, inputs_at, one
            )


@njit
def _deliver_straight(spikes, sizes, block, low, high, inputs_at, one):
    """If source k meets target k alone."""
    first, last = reached(spikes, low - 1), reached(spikes, min(high, block.sources) - 1)
    inputs = carray(pointer_like(inputs_at, one), high - low)
    weights = carray(pointer(block.straight_at, np.int32), block.inputs)
    for n in range(first, last):
        k = np.int64(spikes[n])
        rest = k * block.inner_inverse >> block.inner_shift
        outer = rest * block.inputs_inverse >> block.inputs_shift
        weight = np.int64(weights[np.uint64(rest - outer * block.inputs)])
        inputs[np.uint64(k - low)] += weight if len(sizes) == 0 else weight * np.int64(sizes[n])


@njit
def _add_column(block, column, neuron, position, size, low, high, inputs_at, one):
    """Add the entries of a column, as far as they lead to neurons [low, high); output 0 is ``neuron``."""
    starts = carray(pointer(block.starts_at, np.int64), block.inputs + 1)
    first, last = starts[column], starts[column + 1]
    if first == last:
        return
    bits, jump, item = block.bits, block.target_step * block.inner, _bytes(inputs_at, one)
    outputs = carray(pointer(block.outputs_at, np.int32), last)
    if neuron + jump * outputs[first] < low or neuron + jump * outputs[last - 1] >= high:
        begin, end = clip(neuron, jump, block.outputs, low, high)
        column_outputs = outputs[first:]
        first, last = first + reached(column_outputs, begin - 1), first + reached(column_outputs, end - 1)
        if first >= last:
            return
    slot_at = inputs_at + (neuron - low) * item
    if block.row_width == 1 and outputs[last - 1] - outputs[first] == last - 1 - first:
        _add(block.weights_at + first * (bits // 8), bits, last - first, size, slot_at + jump * outputs[first] * item, jump, one)
    else:
        _add_entries(block, first, last, position if block.row_width > 1 else 0, size, slot_at, jump, one)


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
