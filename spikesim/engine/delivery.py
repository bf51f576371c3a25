"""Delivery: what the spikes that are due now add to the input slots, for each kind of connectivity.

Spikes of one population and step come as vectors of neuron numbers; input slots are integers, so that the order
of delivery does not matter. Each kernel writes only the slots of one part.
"""

import numpy as np
from numba import carray, njit

from spikesim.engine.native import pointer


@njit
def deliver_table(spikes, column, width, segments, targets, weights, shared, inputs):
    """Sparse table: add the segment of each spiking source that belongs to one delay; ``shared`` is one weight for all."""
    if shared:
        weight = weights[0]
        for spike in spikes:
            row = spike * width + column
            for k in range(segments[row], segments[row + 1]):
                inputs[targets[k]] += weight
        return
    for spike in spikes:
        row = spike * width + column
        for k in range(segments[row], segments[row + 1]):
            inputs[targets[k]] += weights[k]


@njit
def deliver_dense(spikes, start, step, weights, first, last, inputs, stride):
    """Full matrix: add columns [first, last) of the rows of the spiking sources to every stride-th slot."""
    for spike in spikes:
        row = (spike - start) // step
        if row < 0 or row >= weights.shape[0] or start + row * step != spike:
            continue
        for k in range(last - first):
            inputs[k * stride] += weights[row, first + k]


@njit(inline="always")
def _outputs(at, padding, dilation, stride, offset, size):
    """Where along one axis the input at ``at`` meets the kernel entry ``offset``, or -1."""
    place = at + padding - offset * dilation
    if place < 0 or place % stride:
        return -1
    place //= stride
    return place if place < size else -1


@njit
def deliver_conv(spikes, start, step, weights_at, bits, shapes, low, high, target_start, target_step, inputs):
    """Convolution: for each spike the kernel's entries that meet it, for all output channels of its group.

    weights_at: address of (channels in, depth, height, width, channels out of a group) in so many bits; shapes: int64
    rows (source shape, target shape, stride, padding, dilation, kernel), first channels or groups; inputs: slots of the
    neurons [low, high).
    """
    source, target, stride, padding, dilation, kernel = shapes[0], shapes[1], shapes[2], shapes[3], shapes[4], shapes[5]
    volume = target[1] * target[2] * target[3]
    per_group_in, per_group_out = source[0] // stride[0], target[0] // stride[0]
    size = (source[0], kernel[1], kernel[2], kernel[3], per_group_out)
    narrow, wide = carray(pointer(weights_at, np.int16), size), carray(pointer(weights_at, np.int32), size)
    for spike in spikes:
        k = (spike - start) // step
        if k < 0 or k >= source[0] * source[1] * source[2] * source[3] or start + k * step != spike:
            continue
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
                            inputs[neuron - low] += narrow[at] if bits == 16 else wide[at]
