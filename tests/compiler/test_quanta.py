"""Weights become integers without loss where they can, and otherwise with a loss that is small and reported."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from spikesim.compiler import compile_network
from spikesim.compiler.quanta import LARGEST, TOLERATED, Quantum, choose, rule_weights
from spikesim.connectivity import AllToAll, Along, Conv, Dense, FixedProbability, Matrix
from spikesim.distributions import ClippedNormal, LogNormal, Normal, Uniform
from spikesim.network import Network
from spikesim.neurons import IF, LIF
from spikesim.stimulus import Poisson
from spikesim.synapses import Delta, ExponentialCurrent


def stored(weights, quantum: Quantum) -> np.ndarray:
    """What is left of the weights after storing them."""
    return np.rint(np.asarray(weights) / quantum.value) * quantum.value


def is_power_of_two(value: float) -> bool:
    return math.frexp(value)[0] == 0.5


# ---- exact ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "weights", [[87.8], [87.8, -351.2], [-0.1, 0.3, 0.7], [16.2, -16.2, 0.0], [0.1, 3276.7], [1e-30, 7e-30], [3e20, 9e20]]
)
def test_multiples_of_the_least_are_exact(weights):
    """Weights that are whole multiples of the least of them take it as quantum, in 16 bits, and are exact."""
    quantum = choose([np.array(weights)])
    assert (quantum.value, quantum.bits, quantum.error) == (min(abs(w) for w in weights if w), 16, 0.0)
    np.testing.assert_allclose(stored(weights, quantum), weights, rtol=1e-15, atol=0.0)


@given(st.floats(1e-6, 1e6), st.lists(st.integers(-LARGEST[16], LARGEST[16]), max_size=20))
def test_any_multiples_of_the_least_are_exact(least, multiples):
    """The same for whatever least weight and multiples of it, up to the range of 16 bits."""
    quantum = choose([least * np.array([1, *multiples])])
    assert (quantum.value, quantum.bits, quantum.error) == (least, 16, 0.0)


@pytest.mark.parametrize("weights", [[0.25, 0.375, -1.5], [2**-14, 1.0 + 2**-14, 0.7500000 - 2**-14], [3.0, 32767.0, 5.0], [48.0, 160.0]])
def test_dyadic_weights_are_exact(weights):
    """Dyadic numbers that 16 bits can hold are kept bit for bit."""
    quantum = choose([np.array(weights)])
    assert (quantum.bits, quantum.error) == (16, 0.0)
    np.testing.assert_array_equal(stored(weights, quantum), weights)


@given(st.lists(st.integers(-LARGEST[16], LARGEST[16]), min_size=1, max_size=20), st.integers(-40, 40))
def test_any_dyadic_weights_are_exact(numbers, exponent):
    """Whatever multiples of a power of two: those of up to 15 bits are exact in 16 bits, and so are their sums."""
    weights = np.array(numbers) * 2.0**exponent
    assume(weights.any())
    quantum = choose([weights])
    assert (quantum.bits, quantum.error) == (16, 0.0)
    np.testing.assert_array_equal(stored(weights, quantum), weights)
    assert np.rint(weights / quantum.value).astype(np.int64).sum() * quantum.value == weights.sum()


def test_dyadic_weights_of_many_bits_are_exact_in_32():
    """Dyadic numbers too far apart for 16 bits are exact in 32."""
    weights = np.array([2.0**-20, 5 * 2.0**-20, 1.0 + 2.0**-20 - 2.0**-19, 100.5])
    weights[0] *= 3
    quantum = choose([weights])
    assert (quantum.bits, quantum.error) == (32, 0.0)
    np.testing.assert_array_equal(stored(weights, quantum), weights)


def test_no_weights():
    """Nothing, or nothing but zeros, still makes a quantum."""
    for weights in ([], [np.zeros(3)], [np.empty(0)], [Uniform(0.0, 0.0)]):
        assert choose(weights) == Quantum(1.0, 16, 0.0)


# ---- rounded -------------------------------------------------------------------------------------------------------

magnitudes = st.floats(1e-9, 1e9).map(lambda x: float(np.float32(x)) * 1.1)


@settings(max_examples=300)
@given(st.lists(st.tuples(magnitudes, st.sampled_from([-1.0, 1.0])), min_size=1, max_size=12))
def test_loss_is_small_or_reported(signed):
    """No weight overflows its type; no nonzero weight loses more than is reported, and more than 0.1 % only in 32 bits."""
    weights = np.array([size * sign for size, sign in signed])
    quantum = choose([weights])
    assert np.abs(np.rint(weights / quantum.value)).max() <= LARGEST[quantum.bits]
    loss = np.abs(stored(weights, quantum) - weights) / np.abs(weights)
    assert loss.max() <= quantum.error + 1e-12
    assert quantum.error <= TOLERATED or quantum.bits == 32
    spread = np.abs(weights).max() / np.abs(weights).min()
    assert quantum.error <= TOLERATED or spread > TOLERATED * LARGEST[32]
    assert quantum.bits == 16 or spread > TOLERATED * LARGEST[16]


def test_widened_only_where_needed():
    """16 bits last while half a quantum is at most 0.1 % of the least weight; beyond that it is 32 bits."""
    top = LARGEST[16] * 2.0**-8  # a quantum of 2**-8: half of it is 0.1 % of 1.953125
    least = 0.5 * 2.0**-8 / TOLERATED
    near = choose([np.array([least * 1.001, least * 1.37, top])])
    far = choose([np.array([least * 0.999, least * 1.37, top])])
    assert (near.value, near.bits) == (2.0**-8, 16)
    assert 0.0 < near.error <= TOLERATED
    assert far.bits == 32
    assert far.error < 1e-6


def test_loss_beyond_32_bits_is_reported():
    """A weight too small even for 32 bits beside a large one is reported as lost."""
    quantum = choose([np.array([1e-7, 1e3, 1e3 / 3])])
    assert quantum.bits == 32
    assert quantum.error == 1.0
    assert stored([1e-7], quantum) == 0.0


def test_all_projections_of_a_port_share_one_quantum():
    """Large weights of one projection and small ones of another are weighed together, constants with distributions."""
    together = choose([np.array(1000.0), np.array([0.7])])
    assert (together.bits, choose([np.array(1000.0)]).bits) == (32, 16)
    assert choose([Uniform(1.0, 2.0)]).bits == 16
    assert choose([Uniform(1.0, 2.0), np.array(0.01)]).bits == 32
    assert choose([Uniform(1.0, 2.0), np.array(1000.0)]).bits == 32
    assert choose([np.array(0.5), np.array([0.25, -1.0])]) == Quantum(0.25, 16, 0.0)


@pytest.mark.parametrize("distribution", [
    Uniform(1.0, 2.0), Uniform(-3.0, -2.9), Uniform(-1.0, 1.0), Uniform(0.0, 1.0), Normal(10.0, 1.0), Normal(10.0, 2.0),
    LogNormal(0.0, 0.1), LogNormal(0.0, 2.0), ClippedNormal(1.0, 0.5, low=0.25, high=4.0), ClippedNormal(1.0, 0.5, low=0.0),
    Normal(5.0, 0.0),
])  # fmt: skip
def test_distributions(distribution):
    """The quantum is a power of two that holds all that can be drawn; what may come near zero takes 32 bits."""
    low, high = distribution.support()
    quantum = choose([distribution])
    assert is_power_of_two(quantum.value)
    assert max(abs(low), abs(high)) / quantum.value <= LARGEST[quantum.bits] + 0.5
    least = 0.0 if low <= 0.0 <= high else min(abs(low), abs(high))
    assert quantum.error <= TOLERATED or quantum.bits == 32
    assert quantum.error >= min(0.5 * quantum.value / least if least else 1.0, 1.0)
    coarse = next(2.0**k for k in range(-60, 60) if max(abs(low), abs(high)) / 2.0**k <= LARGEST[16])
    assert quantum.bits == (16 if 0.5 * coarse <= TOLERATED * least else 32)


# ---- in a program --------------------------------------------------------------------------------------------------


def test_weights_of_rules():
    """Rules that bring their weights are scaled by the projection's."""
    weights = np.array([[0.5, 0.0], [1.5, -2.0]])
    np.testing.assert_array_equal(rule_weights(Dense(weights), -2.0), -2.0 * weights)
    np.testing.assert_array_equal(rule_weights(Conv(weights[None]), 3.0), 3.0 * weights[None])
    assert {*rule_weights(Along(np.diag([2.0, 5.0]), 2, [1.0, -0.5]), 3.0)} == {6.0, 15.0, -3.0, -7.5}
    np.testing.assert_array_equal(rule_weights(Matrix(weights), 2.0), [1.0, 3.0, -4.0])
    assert rule_weights(AllToAll(), 7.0) == 7.0
    assert rule_weights(AllToAll(), Normal(0.0, 1.0)) == Normal(0.0, 1.0)


def test_the_program_reports_each_port():
    """Each receptor has its own quantum and its line in the report of losses."""
    net = Network()
    source = net.population("source", 20, Poisson(rate=1.0))
    model = LIF(receptors={"hit": Delta(), "exc": ExponentialCurrent(), "unused": Delta()})
    cells, other = net.population("cells", 20, model), net.population("other", 20, IF())
    net.project(source, cells, FixedProbability(0.5), weight=87.8, delay=1.0, receptor="exc")
    net.project(source, cells, AllToAll(), weight=np.geomspace(1e-8, 1e3, 400) * 1.01, delay=1.0, receptor="hit")
    net.project(source, other, Dense(np.linspace(0.3, 1.0, 400).reshape(20, 20)), delay=1.0)
    program = compile_network(net, dt=1.0)
    report = {line.port: line for line in program.rounding}
    assert set(report) == {"cells.hit", "cells.exc", "cells.unused", "other.input"}
    assert (report["cells.exc"].quantum, report["cells.exc"].bits, report["cells.exc"].largest_error) == (87.8, 16, 0.0)
    assert report["cells.hit"].bits == 32
    assert report["cells.hit"].largest_error > 0.1
    assert report["other.input"].bits == 16
    assert 0.0 < report["other.input"].largest_error < TOLERATED
    assert report["cells.unused"].largest_error == 0.0
    assert [port.quantum for port in program.cells[1].ports] == [report[f"cells.{port.name}"].quantum for port in program.cells[1].ports]


def test_dense_weights_are_rounded_to_the_nearest():
    """What is stored is within half a quantum of what was asked for."""
    net = Network()
    weights = np.random.default_rng(1).normal(0.0, 1.0, (30, 40))
    net.project(net.population("source", 30, Poisson(rate=1.0)), net.population("target", 40, IF()), Dense(weights), delay=1.0)
    program = compile_network(net, dt=1.0)
    quantum = program.rounding[0].quantum
    kept = program.dense[0].weights * quantum
    assert np.abs(kept - weights).max() <= quantum / 2
    assert np.abs(kept / weights - 1.0).max() <= program.rounding[0].largest_error * (1 + 1e-9)


@pytest.mark.parametrize("bits", [16, 32])
def test_the_width_can_be_chosen(bits):
    """Then no weight loses more than half a quantum of the largest, and the error that is reported is the one that occurs."""
    weights = np.random.default_rng(0).normal(size=1000)
    quantum = choose([weights], bits=bits)
    assert quantum.bits == bits and np.abs(weights).max() <= quantum.value * (LARGEST[bits] + 1)
    assert np.abs(stored(weights, quantum) - weights).max() <= quantum.value / 2
    assert quantum.error == pytest.approx(np.max(np.abs(stored(weights, quantum) / weights - 1.0)), rel=1e-6)
