"""Along delivers what scipy computes with the same matrix for the same spikes, exactly."""

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

from spikesim.compiler import compile_network
from spikesim.connectivity import Along, Conv
from spikesim.connectivity.along import Columns
from spikesim.engine import ENGINES
from spikesim.errors import DescriptionError, KindError
from spikesim.network import Network
from spikesim.neurons import IF
from spikesim.simulation import Simulation
from spikesim.stimulus import SpikeTrains

STEPS = 3
ENGINE_THREADS = [(engine, threads) for engine in ENGINES for threads in ((1,) if engine == "reference" else (1, 2, 3))]


def matrix(outputs, inputs, *, density=0.4, seed=0) -> np.ndarray:
    """Weights in eighths, many of them zero."""
    draw = np.random.default_rng(seed)
    return draw.integers(-20, 21, (outputs, inputs)) / 8 * (draw.random((outputs, inputs)) < density)


def expected(weights, inner, gains, fired) -> np.ndarray:
    """y[o, j, i] = sum over k of weights[j, k] gains[i] x[o, k, i], summed over the steps so far, (STEPS, o, j, i)."""
    outputs, inputs = weights.shape
    x = fired.reshape(STEPS, -1, inputs, inner).astype(float)
    columns = np.moveaxis(x, 2, 0).reshape(inputs, -1)
    y = (scipy.sparse.csr_array(weights) @ columns).reshape(outputs, *x.shape[:2], inner)
    return np.cumsum(np.moveaxis(y, 0, 2) * (1.0 if gains is None else gains), axis=0)


def delivered(rule, fired, target_shape, *, engine="cpu", threads=1, step=1, precision=None) -> np.ndarray:
    """The summed input of the targets after each step, flat; with a ``step`` both sides are slices of larger populations."""
    net = Network()
    steps, ids = np.nonzero(fired.reshape(STEPS, -1))
    size, targets = fired[0].size, int(np.prod(target_shape))
    source = net.population("source", fired.shape[1:] if step == 1 else size * step + 1, SpikeTrains(steps + 1.0, ids * step + (step > 1)))
    target = net.population("target", target_shape if step == 1 else targets * step + 1, IF(v_threshold=np.inf))
    if step > 1:
        source, target = source[1 : size * step + 1 : step], target[1 : targets * step + 1 : step]
    net.project(source, target, rule, delay=0.0)
    net.record(target, "v")
    made = Simulation(net, dt=1.0, engine=engine, threads=threads, precision=precision)
    return made.run(float(STEPS)).trace("target", "v").values.reshape(STEPS, -1)


def spikes(*shape, seed=1) -> np.ndarray:
    return np.random.default_rng(seed).random((STEPS, *shape)) < 0.4


CASES = {  # matrix, inner, gains, source shape, target shape
    "one axis": (matrix(5, 7), 1, None, (7,), (5,)),
    "last axis": (matrix(5, 7), 1, None, (3, 2, 7), (3, 2, 5)),
    "last axis full": (matrix(40, 7, density=2.0), 1, None, (4, 7), (4, 40)),
    "middle axis": (matrix(4, 6), 5, None, (2, 6, 5), (2, 4, 5)),
    "two neighbouring axes": (matrix(6, 12), 3, None, (4, 3, 3), (2, 3, 3)),
    "first axis full": (matrix(9, 4, density=2.0), 3, None, (4, 3), (9, 3)),
    "gains": (matrix(4, 6), 5, np.arange(5) / 4 - 0.5, (2, 6, 5), (2, 4, 5)),
    "one gain": (matrix(4, 6), 1, np.array([-0.5]), (2, 6), (2, 4)),
    "diagonal": (np.diag(np.arange(1.0, 9.0)), 2, None, (8, 2), (8, 2)),
    "permutation into another shape": (np.eye(12)[np.random.default_rng(0).permutation(12)], 1, None, (3, 4), (2, 6)),
    "nothing": (np.zeros((2, 3)), 2, None, (3, 2), (2, 2)),
}


@pytest.mark.parametrize(("engine", "threads"), ENGINE_THREADS)
@pytest.mark.parametrize("step", [1, 3], ids=["whole", "slices"])
@pytest.mark.parametrize("name", CASES)
def test_along_is_the_matrix_of_scipy(name, step, engine, threads):
    """Before, between and after other axes, with gains, from whole populations and from slices."""
    weights, inner, gains, source, target = CASES[name]
    fired = spikes(*source)
    found = delivered(Along(scipy.sparse.csr_array(weights), inner, gains), fired, target, engine=engine, threads=threads, step=step)
    np.testing.assert_array_equal(found, expected(weights, inner, gains, fired).reshape(STEPS, -1))


@settings(max_examples=60, deadline=None)
@given(*[st.integers(1, 6)] * 3, st.integers(1, 4), st.booleans(), st.sampled_from([0.2, 0.6, 2.0]), st.integers(1, 3), st.integers(0, 99))
def test_any_matrix(outputs, inputs, outer, inner, gained, density, threads, seed):
    """The same for whatever sizes, on any number of threads."""
    weights = matrix(outputs, inputs, density=density, seed=seed)
    gains = np.random.default_rng(seed).integers(-8, 9, inner) / 8 if gained else None
    fired = spikes(outer, inputs, inner, seed=seed)
    found = delivered(Along(weights, inner, gains), fired, (outer, outputs, inner), threads=threads)
    np.testing.assert_array_equal(found, expected(weights, inner, gains, fired).reshape(STEPS, -1))


@pytest.mark.parametrize("kind", [scipy.sparse.csr_array, scipy.sparse.csc_matrix, scipy.sparse.coo_array, np.asarray, np.ndarray.tolist])
def test_a_matrix_may_be_given_in_any_format(kind):
    """The format does not matter, and is not kept."""
    assert Along(kind(matrix(5, 7)), 2) == Along(matrix(5, 7), 2)
    assert Along(matrix(5, 7), 2) != Along(matrix(5, 7), 1)


def test_entries_at_one_place_are_summed_and_zeros_left_out():
    """Duplicates of a sparse matrix are one synapse; what cancels out or was stored as zero is none."""
    given = scipy.sparse.coo_array(([1.0, 2.0, 1.5, -1.5, 0.0], ([1, 1, 0, 0, 0], [2, 2, 1, 1, 0])), (2, 3))
    rule = Along(given)
    assert rule == Along([[0.0, 0.0, 0.0], [0.0, 0.0, 3.0]])
    assert rule.synapse_count(6, 4, 0) == 2
    np.testing.assert_array_equal(rule.fan_out((2, 3)), [0, 0, 1, 0, 0, 1])


def test_the_matrix_is_stored_once():
    """However often the matrix is used, its entries are stored once; with gains each different one, for each inner position."""
    net = Network()
    source, target = net.population("source", (50, 8, 3), IF()), net.population("target", (50, 4, 3), IF())
    net.project(source, target, Along(np.tile([0.25, 0.5], (4, 4)), 3), delay=1.0)
    net.project(source, target, Along(np.tile([0.25, 0.5], (4, 4)), 3, [1.0, 2.0, 3.0]), delay=1.0)
    assert [block.weights.shape for block in compile_network(net, dt=1.0).along] == [(32, 1), (2, 3)]


def test_sums_that_need_int64():
    """Where all spikes together could pass int32, accumulators are int64, and the sums are right."""
    weights, fired = np.full((2, 4000), 30_000.0), np.ones((STEPS, 4000), bool)
    weights[0, 0] = 1.0 / 1024
    net = Network()
    source, target = net.population("source", 4000, IF()), net.population("target", 2, IF())
    net.project(source, target, Along(weights), delay=1.0)
    assert compile_network(net, dt=1.0).accumulator is np.int64
    wanted = expected(weights, 1, None, fired).reshape(STEPS, -1)
    np.testing.assert_array_equal(delivered(Along(weights), fired, 2, precision="float64"), wanted)


@pytest.mark.parametrize(("rule", "source", "target"), [
    (Along(np.ones((2, 3))), 4, 2), (Along(np.ones((2, 3))), 6, 2), (Along(np.ones((2, 3)), 2), 9, 6), (Along(np.ones((2, 3)), 2), 6, 6),
])  # fmt: skip
def test_sizes_that_do_not_fit(rule, source, target):
    """A projection between sizes that do not belong together is refused."""
    net = Network()
    with pytest.raises(DescriptionError, match="Along"):
        net.project(net.population("source", source, IF()), net.population("target", target, IF()), rule, delay=1.0)


@pytest.mark.parametrize("make", [
    lambda: Along(np.ones(3)), lambda: Along(np.ones((0, 3))), lambda: Along(scipy.sparse.csr_array((3, 0))), lambda: Along([[np.nan]]),
    lambda: Along(scipy.sparse.csr_array([[np.inf]])), lambda: Along("matrix"), lambda: Along(None), lambda: Along(np.eye(2), 0),
    lambda: Along(np.eye(2), 1.5), lambda: Along(np.eye(2), 2, [1.0]), lambda: Along(np.eye(2), 1, 1.0),
    lambda: Along(np.eye(2), 1, [np.nan]),
    lambda: Along(1e200 * np.eye(2), 1, [1e200]), lambda: Along(scipy.sparse.csr_array(np.eye(2) * 1j)),
    lambda: Columns([0, 1], [0, 0], [1.0], (2, 1)), lambda: Columns([0, 2], [1, 0], [1.0, 1.0], (2, 1)),
    lambda: Columns([0, 2], [0, 0], [1.0, 1.0], (2, 1)), lambda: Columns([0, 1], [2], [1.0], (2, 1)),
    lambda: Columns([0, 1], [-1], [1.0], (2, 1)), lambda: Columns([1, 1], [0], [1.0], (2, 1)),
    lambda: Columns([0, 2, 1], [0], [1.0], (2, 2)), lambda: Columns([0, 1], [0], [1.0], (2, 1, 1)),
    lambda: Columns([0, 1], [0], [1.0], (2, 2)), lambda: Columns([0, 1], [0], [1.0], (2.5, 1)),
])  # fmt: skip
def test_impossible_rules(make):
    """Rules that mean nothing are refused when they are made, and so are files that hold them."""
    with pytest.raises((DescriptionError, KindError)):
        make()


def test_a_convolution_as_a_matrix():
    """A convolution of one channel over a line is a matrix along that axis."""
    kernel, fired = np.array([0.5, -1.0, 0.25]), spikes(1, 9)
    weights = sum(np.eye(9, k=k - 1) * kernel[k] for k in range(3))
    conv = Conv(kernel[None, None], padding=1)
    np.testing.assert_array_equal(delivered(Along(weights), fired, (1, 9)), delivered(conv, fired, (1, 9)))
