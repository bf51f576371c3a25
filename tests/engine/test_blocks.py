"""Blocks of structured connectivity with sizes of spikes: a spike of size k adds what k spikes add."""

import numpy as np
import pytest
from numba import njit

from spikesim.compiler import compile_network
from spikesim.connectivity import Along, Conv, ConvTranspose, Dense
from spikesim.engine import blocks, records
from spikesim.engine.native import VECTOR
from spikesim.engine.plan import ALONG, CONV, DENSE
from spikesim.engine.sliding import SHAPES
from spikesim.network import Network
from spikesim.neurons import IF


def integers(*shape, largest=900):
    return np.random.default_rng(0).integers(-largest, largest, shape)


RULES = {  # rule, source shape
    "dense": (Dense(integers(40, 70)), 40),
    "conv": (Conv(integers(6, 3, 3, 2), padding=1, stride=2), (3, 7, 6)),
    "conv channels last": (Conv(integers(40, 3, 3, 3), padding=1, channels_last=True), (5, 6, 3)),
    "conv in groups channels last": (Conv(integers(36, 1, 3), stride=2, groups=2, channels_last=True), (9, 2)),
    "transposed channels last": (ConvTranspose(integers(3, 17, 2, 3), stride=2, channels_last=True), (4, 3, 3)),
    "along": (Along(integers(6, 5) * (integers(6, 5) > 0), 4), (3, 5, 4)),
    "along full": (Along(integers(50, 5)), (3, 5)),
    "along one to one": (Along(np.diag([3.0, 5.0, -2.0, 1.0, 7.0])), (4, 5)),
    "along with gains": (Along(integers(6, 5), 4, [1.0, 2.0, -3.0, 0.0]), (3, 5, 4)),
}
LARGE = "weights of 32 bits"
RULES[LARGE] = (Conv(np.append(integers(40, 3, 3, 3, largest=2**29).ravel()[:-1], 1).reshape(40, 3, 3, 3), channels_last=True), (5, 6, 3))


def sliding(stride, columns, vectors, number):
    """A convolution for each loop of `spikesim.engine.sliding`; paddings, rows and their steps are of all kinds."""
    weights = integers(VECTOR * vectors, 3, 1 + number % 4, columns)
    padding, strides, dilation = (number % 2, number % (columns + 2)), (1 + number % 3 // 2, stride), (1 + number % 5 // 4, 1)
    return Conv(weights, padding=padding, stride=strides, dilation=dilation, channels_last=True), (7, 6 + number % 2, 3)


RULES |= {f"conv of stride {shape[0]}, {shape[1]} columns, {shape[2]} vectors": sliding(*shape, at) for shape, at in SHAPES.items()}
KINDS = {
    "dense": (DENSE, records.dense_record, blocks.deliver_dense),
    "conv": (CONV, records.conv_record, blocks.deliver_conv),
    "along": (ALONG, records.along_record, blocks.deliver_along),
}


def run(deliver):
    @njit
    def call(spikes, sizes, plan, low, high, inputs_at, one):
        deliver(spikes, sizes, plan[0], low, high, inputs_at, one)

    return call


CALLS = {name: run(deliver) for name, (_, _, deliver) in KINDS.items()}


def compiled(rule, shape):
    """The kind of block, the block and the number of sources and targets of a rule."""
    net = Network()
    source, target = net.population("a", shape, IF()), net.population("b", rule.target_shape(net.populations["a"].shape, "rule"), IF())
    net.project(source, target, rule, delay=1.0)
    program = compile_network(net, dt=1.0)
    kind = next(kind for kind in KINDS if getattr(program, kind))
    return kind, getattr(program, kind)[0], len(source), len(target)


def delivered(name, spikes, sizes, dtype, part=(0, 1)):
    """The input slots of a share of the targets."""
    kind, block, _, targets = compiled(*RULES[name])
    record, kept = np.zeros(1, KINDS[kind][0]), []

    def address(array):
        kept.append(array)
        return array.ctypes.data

    for key, value in KINDS[kind][1](block, address).items():
        record[key] = value
    low, high = targets * part[0] // part[1], targets * (part[0] + 1) // part[1]
    inputs = np.zeros(high - low, dtype)
    CALLS[kind](np.asarray(spikes, np.int32), np.asarray(sizes, np.int32), record, low, high, inputs.ctypes.data, dtype(0))
    return inputs


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize("name", RULES)
def test_a_spike_of_size_k_counts_k_times(name, dtype):
    """Also if k is negative or 0; without sizes each spike counts once."""
    if name == LARGE and dtype is np.int32:
        pytest.skip("sums of such weights are never of int32")
    spikes = np.flatnonzero(np.random.default_rng(1).random(compiled(*RULES[name])[2]) < 0.5)
    sizes = np.random.default_rng(2).integers(-30, 31, len(spikes))
    sizes[:4] = 1, -1, 0, 30
    wanted = sum(k * delivered(name, [spike], [], dtype).astype(np.int64) for spike, k in zip(spikes, sizes, strict=True))
    np.testing.assert_array_equal(delivered(name, spikes, sizes, dtype), wanted)
    np.testing.assert_array_equal(delivered(name, spikes, [], dtype), delivered(name, spikes, np.ones(len(spikes)), dtype))
    assert np.abs(wanted).max() > 0


@pytest.mark.parametrize("parts", [2, 3, 7])
@pytest.mark.parametrize("name", RULES)
def test_parts_put_together_are_the_whole(name, parts):
    """Whatever the target is divided into, each neuron gets its sum once."""
    spikes = np.arange(compiled(*RULES[name])[2])
    sizes = np.arange(len(spikes)) % 5 - 2
    found = np.concatenate([delivered(name, spikes, sizes, np.int64, (part, parts)) for part in range(parts)])
    np.testing.assert_array_equal(found, delivered(name, spikes, sizes, np.int64))


def test_neighbouring_places_are_one_run():
    """With the channels last the weights of places side by side in the target lie side by side, so that few runs are added."""
    for rule, columns in ((Conv(integers(4, 3, 1, 3), padding=(0, 1), channels_last=True), 1),
                          (Conv(integers(4, 3, 1, 4), stride=(1, 2), padding=(0, 1), channels_last=True), 1),
                          (ConvTranspose(integers(3, 4, 1, 4), stride=2, channels_last=True), 1),
                          (Conv(integers(4, 3, 1, 3), padding=(0, 1)), 3)):  # fmt: skip
        shape = (2, 8, 3) if rule.channels_last else (3, 2, 8)
        _, block, *_ = compiled(rule, shape)
        arrays = []
        record = records.conv_record(block, lambda array, arrays=arrays: arrays.append(array) or len(arrays) - 1)
        assert np.count_nonzero(arrays[record["columns_at"]][:, 3, 2]) == columns


SLIDES = [({}, True), ({"padding": 1}, True), ({"stride": (2, 1)}, True), ({"stride": 2}, True), ({"stride": 3}, False),
          ({"dilation": (1, 2)}, False), ({"channels_last": False}, False)]  # fmt: skip


@pytest.mark.parametrize(("more", "slides"), SLIDES)
def test_which_convolutions_slide(more, slides):
    rule = Conv(integers(32, 3, 3, 3), **{"channels_last": True} | more)
    _, block, *_ = compiled(rule, (9, 8, 3) if rule.channels_last else (3, 9, 8))
    assert bool(records.conv_record(block, lambda array: array.ctypes.data)["slides"]) == slides
