"""Delivery through structured connectivity: full matrices, convolutions, matrices along an axis.

As in `spikesim.engine.delivery` spikes of one population and step come as vectors of neuron numbers, and a kernel writes only
the slots of one part: those of the neurons [low, high) of the target, which lie in a row at ``inputs_at``. ``sizes`` are
the sizes of the spikes (int32) by which weights are multiplied, or none if all are 1; ``one`` has the slots' type.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import carray, njit

from spikesim.connectivity.structured import meetings
from spikesim.draws import reached
from spikesim.engine.delivery import row_of
from spikesim.engine.native import pointer, pointer_like
from spikesim.engine.parts import clip
from spikesim.program import AlongBlock, ConvBlock, DenseBlock


@njit
def _size(sizes, n):
    return sizes[n] if len(sizes) else np.int32(1)


@njit
def _bytes(inputs_at, one):
    """The size of an input slot."""
    return carray(pointer_like(inputs_at, one), 1).itemsize


@njit
def _add(weights_at, bits, count, size, inputs_at, jump, one):
    """Add ``count`` weights in a row, times ``size``, to every ``jump``-th input slot."""
    inputs = carray(pointer_like(inputs_at, one), (count - 1) * jump + 1)
    if bits == 16:
        _add_row(carray(pointer(weights_at, np.int16), count), size, inputs, jump)
    else:
        _add_row(carray(pointer(weights_at, np.int32), count), size, inputs, jump)


@njit
def _add_row(weights, size, inputs, jump):
    if size == 1 and jump == 1:
        for k in range(len(weights)):
            inputs[k] += weights[k]
    elif jump == 1:  # the product of two int32 as int64: its lower half is one instruction, too
        for k in range(len(weights)):
            inputs[k] += np.int64(weights[k]) * np.int64(size)
    else:
        _add_spread(weights, size, inputs, jump)


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

    A place in space is row x width + column. What each row and column of the source meets is listed (see `conv_record`): its share
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
        size = _size(sizes, n)
        for r in range(row_starts[row], row_starts[row + 1]):
            row_first = channel // group * out * jump + rows[r, 0] * unit
            row_weights_at = weights_at + channel * channel_bytes + rows[r, 1]
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


def dense_record(block: DenseBlock, address: Callable[[np.ndarray], int]) -> dict[str, Any]:
    """The fields of a `spikesim.engine.plan.DENSE`; ``address`` keeps an array and tells where it is."""
    return _ends(block, address) | {"sources": block.weights.shape[0], "targets": block.weights.shape[1]}


def conv_record(block: ConvBlock, address: Callable[[np.ndarray], int]) -> dict[str, Any]:
    """The fields of a `spikesim.engine.plan.CONV`, with what each row and column of the source meets."""
    (_, *kernel, out), (_, *source), (_, *target) = block.weights.shape, block.source_shape, block.target_shape
    z, y, x = (_axis(block, axis) for axis in range(3))
    order, runs = _column_order(block), block.channels_last and block.groups == 1
    entry = out * block.weights.itemsize  # bytes from one place of the kernel to the next
    row, line, to = ((a * n + b).ravel() for a, n, b in zip(z[:, :, None], (source[1], kernel[1], target[1]), y[:, None, :], strict=True))
    tables = {"row": _by_source(row, to * target[2], line * kernel[2] * entry, out, source[0] * source[1]),
              "column": _by_source(x[0], x[2], np.argsort(order)[x[1]] * entry, out, source[2], join=entry if runs else 0)}  # fmt: skip
    return _ends(block, address) | {
        "weights_at": address(np.ascontiguousarray(block.weights[:, :, :, order])), "channels_last": block.channels_last,
        "channels": block.source_shape[0], "width": source[2], "source_volume": math.prod(source),
        "target_channels": block.target_shape[0], "target_volume": math.prod(target), "group_in": block.source_shape[0] // block.groups,
        "group_out": out, "channel_bytes": math.prod(kernel) * entry,
        **{f"{name}_starts_at": address(starts) for name, (starts, _) in tables.items()},
        **{f"{name}s_at": address(entries) for name, (_, entries) in tables.items()},
    }  # fmt: skip


def _axis(block: ConvBlock, axis: int) -> np.ndarray:
    """What meets along one axis, int64 (3, meetings): places of the source, of the kernel and of the target."""
    source, target, kernel = block.source_shape[1 + axis], block.target_shape[1 + axis], block.weights.shape[1 + axis]
    options = kernel, block.stride[axis], block.padding[axis], block.dilation[axis]
    if block.transposed:
        return np.stack(meetings(source, target, *options))
    return np.stack(meetings(target, source, *options)[::-1])


def _column_order(block: ConvBlock) -> np.ndarray:
    """The kernel's columns in the order in which one source meets neighbouring targets, so that their weights lie in one run."""
    stride, dilation, columns = block.stride[2], block.dilation[2], np.arange(block.weights.shape[3])
    if block.transposed or stride % dilation:
        return columns
    return np.lexsort((-columns, columns % (stride // dilation)))


def _by_source(source: np.ndarray, target: np.ndarray, weights: np.ndarray, out: int, count: int, *,
               join: int = 0) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """(target, weights, weights in a row) of each meeting, those of each of ``count`` sources together, and where these start.

    join: neighbouring targets whose weights lie so many bytes apart become one run, if not 0.
    """
    order = np.lexsort((target, source))
    source, target, weights = source[order], target[order], weights[order]
    new = np.ones(len(source), bool)
    if join:
        new[1:] = (np.diff(source) != 0) | (np.diff(target) != 1) | (np.diff(weights) != join)
    firsts = np.flatnonzero(new)
    runs = np.diff(np.append(firsts, len(source))) * out
    return np.searchsorted(source[firsts], np.arange(count + 1)), np.stack([target[firsts], weights[firsts], runs], axis=1)


def along_record(block: AlongBlock, address: Callable[[np.ndarray], int]) -> dict[str, Any]:
    """The fields of a `spikesim.engine.plan.ALONG`."""
    outputs, inputs = block.shape
    return _ends(block, address) | {
        "sources": block.outer * inputs * block.inner, "inputs": inputs, "outputs": outputs, "inner": block.inner,
        "row_width": block.weights.shape[1], "starts_at": address(block.starts), "outputs_at": address(block.outputs),
        "rows_at": address(block.rows),
    }  # fmt: skip


def _ends(block: DenseBlock | ConvBlock | AlongBlock, address: Callable[[np.ndarray], int]) -> dict[str, int]:
    ends = {name: value for name, value in vars(block.ends).items() if name != "name"}
    return ends | {"weights_at": address(block.weights), "bits": block.weights.itemsize * 8}
