"""Dense, Conv, ConvTranspose and Pool deliver what torch computes for the same spikes, exactly, in both orders of the channels."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from spikesim.compiler import compile_network
from spikesim.connectivity import Along, Conv, ConvTranspose, Dense, Pool
from spikesim.engine import ENGINES
from spikesim.engine.reference import Reference
from spikesim.errors import DescriptionError, KindError
from spikesim.network import Network
from spikesim.neurons import IF
from spikesim.simulation import Simulation
from spikesim.stimulus import SpikeTrains

CONVOLVE = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
TRANSPOSE = {1: functional.conv_transpose1d, 2: functional.conv_transpose2d, 3: functional.conv_transpose3d}
STEPS = 3
ENGINE_THREADS = [(engine, threads) for engine in ENGINES for threads in ((1,) if engine == "reference" else (1, 3))]
in_both_orders = pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
on_every_engine = pytest.mark.parametrize(("engine", "threads"), ENGINE_THREADS)


def dyadic(*shape, seed=0) -> np.ndarray:
    """Weights in eighths, so that every sum of them is exact."""
    return np.random.default_rng(seed).integers(-20, 21, shape) / 8


def spikes(*shape, seed=1) -> np.ndarray:
    """Which neurons of ``shape`` fire in each step, (STEPS, *shape)."""
    return np.random.default_rng(seed).random((STEPS, *shape)) < 0.4


def delivered(rule, fired, target_shape, *, weight=None, engine="cpu", threads=1, view=(slice(None), slice(None))) -> np.ndarray:
    """The summed input of the targets after each step, (STEPS, *target_shape)."""
    net = Network()
    steps, ids = np.nonzero(fired.reshape(STEPS, -1))
    source = net.population("source", fired.shape[1:], SpikeTrains(steps + 1.0, ids))
    target = net.population("target", target_shape, IF(v_threshold=np.inf))
    net.project(source[view[0]], target[view[1]], rule, weight=weight, delay=0.0)
    net.record(target, "v")
    recording = Simulation(net, dt=1.0, engine=engine, threads=threads).run(float(STEPS))
    return recording.trace("target", "v").values.reshape(STEPS, *target.shape)


def by_torch(function, fired, *arguments, **options) -> np.ndarray:
    """The same by torch, summed over the steps so far."""
    answers = function(torch.tensor(fired, dtype=torch.float64), *arguments, **options)
    return np.cumsum(answers.numpy(), axis=0)


def ordered(array: np.ndarray, last: bool) -> np.ndarray:
    """An array (STEPS, channels, *space) with the channels where they belong."""
    return np.ascontiguousarray(np.moveaxis(array, 1, -1)) if last else array


def check(rule, fired, wanted, *, last, **options) -> None:
    """The rule gives this shape, and delivers what is wanted of all that fired, both given with the channels first."""
    fired, wanted = ordered(fired, last), ordered(wanted, last)
    assert rule.target_shape(fired.shape[1:], "rule") == wanted.shape[1:]
    np.testing.assert_array_equal(delivered(rule, fired, wanted.shape[1:], **options), wanted)


# ---- dense ---------------------------------------------------------------------------------------------------------


@on_every_engine
def test_dense_is_linear(engine, threads):
    """A spike of source i adds row i: torch's linear with the transposed matrix."""
    fired, weights = spikes(12), dyadic(12, 17)
    wanted = by_torch(functional.linear, fired, torch.tensor(weights.T.copy()))
    np.testing.assert_array_equal(delivered(Dense(weights), fired, 17, engine=engine, threads=threads), wanted)
    assert np.abs(wanted).max() > 1


@on_every_engine
def test_dense_between_slices(engine, threads):
    """Between strided slices the rows and columns are those of the slices; other neurons get nothing."""
    fired, weights = spikes(20), dyadic(6, 5)
    found = delivered(Dense(weights), fired, 16, engine=engine, threads=threads, view=(slice(2, 20, 3), slice(1, 16, 3)))
    wanted = np.zeros((STEPS, 16))
    wanted[:, 1::3] = by_torch(functional.linear, fired[:, 2::3], torch.tensor(weights.T.copy()))
    np.testing.assert_array_equal(found, wanted)


def test_dense_is_scaled_by_the_weight():
    """The projection's weight scales all of them."""
    fired, weights = spikes(12), dyadic(12, 17)
    np.testing.assert_array_equal(delivered(Dense(weights), fired, 17, weight=-0.5), -0.5 * delivered(Dense(weights), fired, 17))


# ---- convolution ---------------------------------------------------------------------------------------------------

CONVOLUTIONS = {  # weights, source shape, options
    "1d": ((3, 2, 4), (2, 13), {}),
    "1d strided": ((4, 3, 3), (3, 14), {"stride": 3}),
    "1d padded": ((2, 1, 5), (1, 7), {"padding": 4}),
    "1d dilated": ((2, 2, 3), (2, 12), {"dilation": 4}),
    "1d grouped": ((6, 2, 3), (4, 9), {"groups": 2}),
    "1d all": ((6, 1, 3), (3, 17), {"stride": 2, "padding": 3, "dilation": 2, "groups": 3}),
    "2d": ((3, 2, 3, 2), (2, 6, 5), {}),
    "2d strided": ((2, 2, 2, 3), (2, 7, 8), {"stride": (3, 2)}),
    "2d padded": ((2, 1, 3, 3), (1, 4, 5), {"padding": (2, 1)}),
    "2d dilated": ((2, 2, 3, 2), (2, 8, 7), {"dilation": (2, 3)}),
    "2d depthwise": ((6, 1, 3, 3), (3, 5, 5), {"groups": 3, "padding": 1}),
    "2d all": ((4, 2, 2, 3), (4, 6, 9), {"stride": (1, 2), "padding": (1, 2), "dilation": (3, 2), "groups": 2}),
    "2d of one pixel": ((5, 3, 1, 1), (3, 4, 4), {}),
    "2d as large as the image": ((5, 3, 4, 4), (3, 4, 4), {}),
    "3d": ((2, 2, 2, 3, 2), (2, 3, 5, 4), {}),
    "3d strided": ((2, 1, 2, 2, 2), (1, 5, 4, 6), {"stride": (2, 1, 3)}),
    "3d all": ((4, 1, 2, 1, 3), (2, 4, 3, 5), {"stride": (1, 2, 2), "padding": (1, 0, 2), "dilation": (2, 1, 2), "groups": 2}),
}


@on_every_engine
@in_both_orders
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_conv_is_that_of_torch(name, last, engine, threads):
    """In one to three dimensions with stride, padding, dilation and groups, the sums are torch's, bit for bit."""
    shape, source, options = CONVOLUTIONS[name]
    fired, weights = spikes(*source), dyadic(*shape)
    wanted = by_torch(CONVOLVE[len(shape) - 2], fired, torch.tensor(weights), **options)
    check(Conv(weights, **options, channels_last=last), fired, wanted, last=last, engine=engine, threads=threads)
    assert np.abs(wanted).max() > 1


TRANSPOSED = {  # weights, source shape, options
    "1d": ((3, 2, 4), (3, 6), {}),
    "1d strided": ((2, 3, 3), (2, 5), {"stride": 3}),
    "1d with more at the end": ((2, 3, 3), (2, 5), {"stride": 3, "output_padding": 2}),
    "1d padded": ((1, 2, 5), (1, 4), {"padding": 2}),
    "1d dilated": ((2, 2, 3), (2, 5), {"dilation": 4, "output_padding": 3}),
    "1d grouped": ((4, 3, 3), (4, 6), {"groups": 2, "stride": 2}),
    "2d": ((3, 2, 3, 2), (3, 4, 5), {}),
    "2d depthwise": ((3, 2, 2, 2), (3, 4, 3), {"groups": 3, "stride": 2}),
    "2d all": ((4, 3, 3, 4), (4, 4, 3), {"stride": (2, 3), "padding": (1, 2), "dilation": (2, 1), "groups": 2, "output_padding": (1, 2)}),
    "3d": ((2, 2, 2, 3, 2), (2, 3, 2, 4), {}),
    "3d all": ((2, 2, 2, 1, 3), (2, 2, 3, 3), {"stride": (1, 2, 2), "padding": (1, 0, 2), "dilation": (2, 1, 2), "groups": 2,
                                               "output_padding": (0, 1, 1)}),
}  # fmt: skip


@on_every_engine
@in_both_orders
@pytest.mark.parametrize("name", TRANSPOSED)
def test_transposed_conv_is_that_of_torch(name, last, engine, threads):
    """The same of transposed convolutions, with what is added at the end."""
    shape, source, options = TRANSPOSED[name]
    fired, weights = spikes(*source), dyadic(*shape)
    wanted = by_torch(TRANSPOSE[len(shape) - 2], fired, torch.tensor(weights), **options)
    check(ConvTranspose(weights, **options, channels_last=last), fired, wanted, last=last, engine=engine, threads=threads)
    assert np.abs(wanted).max() > 1


@pytest.mark.parametrize("threads", [2, 3, 5])
def test_wide_runs_are_cut_where_parts_end(threads):
    """Runs of many channels, and of three places each, that no part holds as a whole, have the same sums on all threads."""
    fired, weights = spikes(5, 3, 7), dyadic(37, 5, 3, 3)
    wanted = by_torch(functional.conv2d, fired, torch.tensor(weights), padding=1)
    check(Conv(weights, padding=1, channels_last=True), fired, wanted, last=True, threads=threads)


@st.composite
def convolutions(draw):
    dims = draw(st.integers(1, 3))
    each = st.tuples(*[st.integers(1, 3)] * dims)
    groups, out, into = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 2))
    kernel, stride, dilation = draw(each), draw(each), draw(each)
    padding = draw(st.tuples(*[st.integers(0, 3)] * dims))
    least = [max(1, d * (k - 1) + 1 - 2 * p) for k, d, p in zip(kernel, dilation, padding, strict=True)]
    space = tuple(n + draw(st.integers(0, 3)) for n in least)
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return (groups * out, into, *kernel), (groups * into, *space), options, draw(st.integers(0, 99))


@st.composite
def transposed(draw):
    """From a convolution: what it leads to, and back."""
    (out, _, *kernel), (channels, *space), options, seed = draw(convolutions())
    most = [max(s, d) - 1 for s, d in zip(options["stride"], options["dilation"], strict=True)]
    options["output_padding"] = tuple(draw(st.integers(0, n)) for n in most)
    plain = zip(space, kernel, options["stride"], options["dilation"], options["output_padding"], strict=True)
    options["padding"] = tuple(min(p, ((n - 1) * s + d * (k - 1) + e) // 2)
                               for p, (n, k, s, d, e) in zip(options["padding"], plain, strict=True))  # fmt: skip
    return (channels, out // options["groups"], *kernel), (channels, *space), options, seed


@settings(max_examples=60, deadline=None)
@given(convolutions(), st.booleans(), st.integers(1, 3))
def test_any_conv_is_that_of_torch(problem, last, threads):
    """The same for whatever sizes and options, on any number of threads."""
    shape, source, options, seed = problem
    fired, weights = spikes(*source, seed=seed), dyadic(*shape, seed=seed)
    wanted = by_torch(CONVOLVE[len(shape) - 2], fired, torch.tensor(weights), **options)
    check(Conv(weights, **options, channels_last=last), fired, wanted, last=last, threads=threads)


@settings(max_examples=60, deadline=None)
@given(transposed(), st.booleans(), st.integers(1, 3))
def test_any_transposed_conv_is_that_of_torch(problem, last, threads):
    """Of transposed ones, too."""
    shape, source, options, seed = problem
    fired, weights = spikes(*source, seed=seed), dyadic(*shape, seed=seed)
    wanted = by_torch(TRANSPOSE[len(shape) - 2], fired, torch.tensor(weights), **options)
    check(ConvTranspose(weights, **options, channels_last=last), fired, wanted, last=last, threads=threads)


# ---- pooling -------------------------------------------------------------------------------------------------------

POOLS = {  # kernel, stride, padding, source shape
    "1d": (4, None, 0, (3, 12)),
    "1d strided": (2, 3, 1, (2, 11)),
    "2d": (2, None, 0, (3, 6, 8)),
    "2d with a rest": (2, None, 0, (3, 5, 7)),
    "2d overlapping": ((4, 2), (2, 1), (2, 1), (2, 7, 5)),
    "3d": (2, None, 0, (2, 4, 4, 2)),
    "3d overlapping": ((1, 2, 4), (1, 1, 2), (0, 1, 1), (2, 3, 3, 5)),
}
AVERAGE = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}


@on_every_engine
@in_both_orders
@pytest.mark.parametrize("name", POOLS)
def test_pool_is_average_pooling_of_torch(name, last, engine, threads):
    """With one over the size of the window as its weight, a pool is torch's average pooling, padding counted in."""
    kernel, stride, padding, source = POOLS[name]
    fired, dims = spikes(*source), len(source) - 1
    wanted = by_torch(AVERAGE[dims], fired, kernel, stride, padding)
    window = np.prod(kernel) if isinstance(kernel, tuple) else kernel**dims
    check(Pool(kernel, stride, padding, last), fired, wanted, last=last, weight=1.0 / window, engine=engine, threads=threads)
    assert wanted.max() > 0.5


def test_pool_sums():
    """Without a weight a pool counts the spikes in its window, also in windows of odd size."""
    fired = spikes(2, 7, 7)
    wanted = by_torch(functional.avg_pool2d, fired, 3, 2, 1, divisor_override=1)
    np.testing.assert_array_equal(delivered(Pool(3, 2, 1), fired, wanted.shape[1:]), wanted)


# ---- how many synapses there are -----------------------------------------------------------------------------------

COUNTED = {
    "dense": (Dense(dyadic(6, 4)), (2, 3)),
    "conv": (Conv(dyadic(4, 2, 3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2), (4, 5, 6)),
    "conv channels last": (Conv(dyadic(4, 2, 3), padding=2, groups=2, channels_last=True), (5, 4)),
    "conv that skips sources": (Conv(dyadic(2, 1, 2), stride=3), (1, 10)),
    "transposed": (ConvTranspose(dyadic(4, 3, 3, 4), stride=(2, 1), padding=(1, 2), groups=2), (4, 3, 4)),
    "transposed channels last": (ConvTranspose(dyadic(2, 3, 2, 2, 2), padding=1, channels_last=True), (3, 2, 3, 2)),
    "pool": (Pool(3, 2, 1), (2, 5, 6)),
    "pool channels last": (Pool(2, 1, channels_last=True), (3, 4, 2)),
    "along": (Along(np.array([[1.0, 0.0, 2.0], [0.0, 0.0, 3.0]]), 2), (4, 3, 2)),
}


@pytest.mark.parametrize("name", COUNTED)
def test_fan_out_counts_the_synapses_of_each_source(name):
    """As many as the reference engine finds from the definition; no synapse leads beyond a border."""
    rule, shape = COUNTED[name]
    net = Network()
    source, target = net.population("a", shape, IF()), net.population("b", rule.target_shape(shape, name), IF())
    net.project(source, target, rule, delay=0.0)
    leads = Reference(compile_network(net, dt=1.0)).fan_out[0]
    found = rule.fan_out(shape)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, [len(leads.get(k, ())) for k in range(len(source))])


# ---- what does not fit ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rule", "source", "target"), [
    (Dense(np.ones((3, 4))), 4, 3), (Conv(np.ones((2, 2, 3))), (2, 9), (2, 8)), (Conv(np.ones((2, 2, 3))), (3, 9), (2, 7)),
    (Conv(np.ones((2, 2, 3))), 18, (2, 7)), (Conv(np.ones((2, 1, 3)), groups=2), (1, 9), (2, 7)),
    (Conv(np.ones((1, 1, 5))), (1, 4), (1, 1)), (Pool(2), (2, 4), (2, 3)), (Pool(2), 8, 4), (Pool((2, 2)), (2, 4), (2, 2)),
    (Pool(5), (2, 4), (2, 1)), (Conv(np.ones((2, 2, 3)), channels_last=True), (2, 9), (2, 7)),
    (Conv(np.ones((2, 2, 3)), channels_last=True), (9, 2), (2, 7)), (Pool(2, channels_last=True), (2, 4), (2, 2)),
    (ConvTranspose(np.ones((2, 3, 3))), (3, 4), (2, 6)), (ConvTranspose(np.ones((2, 3, 3))), (2, 4), (3, 7)),
    (ConvTranspose(np.ones((2, 3, 3)), padding=3), (2, 4), (3, 1)), (ConvTranspose(np.ones((2, 3, 3)), channels_last=True), (2, 4), (3, 6)),
])  # fmt: skip
def test_shapes_that_do_not_fit(rule, source, target):
    """A projection between shapes that do not belong together is refused."""
    net = Network()
    with pytest.raises(DescriptionError):
        net.project(net.population("source", source, IF()), net.population("target", target, IF()), rule, delay=1.0)


@pytest.mark.parametrize("make", [
    lambda: Dense(np.ones(3)), lambda: Dense([[np.nan]]), lambda: Conv(np.ones((2, 2))), lambda: Conv(np.ones((2, 2, 0))),
    lambda: Conv(np.ones((2, 2, 3)), stride=0), lambda: Conv(np.ones((2, 2, 3)), padding=-1), lambda: Conv(np.ones((2, 2, 3)), stride=1.5),
    lambda: Conv(np.ones((2, 2, 3)), stride=(1, 1)), lambda: Conv(np.ones((3, 2, 3)), groups=2), lambda: Conv(np.ones((2, 2, 3)), groups=0),
    lambda: ConvTranspose(np.ones((2, 2))), lambda: ConvTranspose(np.ones((3, 2, 3)), groups=2),
    lambda: ConvTranspose(np.ones((2, 2, 3)), output_padding=1), lambda: ConvTranspose(np.ones((2, 2, 3)), stride=2, output_padding=2),
    lambda: ConvTranspose(np.ones((2, 2, 3)), stride=2, output_padding=-1), lambda: ConvTranspose(np.ones((2, 2, 3)), channels_last=1),
    lambda: Conv(np.ones((2, 2, 3)), channels_last=None), lambda: Pool(2, channels_last="yes"),
    lambda: Pool(0), lambda: Pool(2, stride=0), lambda: Pool(2.0), lambda: Pool(2, padding=-1),
])  # fmt: skip
def test_impossible_rules(make):
    """Rules that mean nothing are refused when they are made."""
    with pytest.raises((DescriptionError, KindError)):
        make()
