"""Connectivity made of an operator adds to each neuron what the operator computes for the value it holds."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import sparse

import spikesim as sim
from spikesim.connectivity import Along as AlongRule
from spikesim.convert.operators import Along, Convolution, Full, channel_matrix, compute
from spikesim.convert.placement import Place, channels_last, fits, identity, rule_of, stored
from spikesim.neurons import IF, SigmaDelta

RNG = np.random.default_rng(4)


def dyadic(*shape):
    return RNG.integers(-8, 9, size=shape) / 8.0


def matrix(outputs, inputs):
    return sparse.csr_array(dyadic(outputs, inputs) * (RNG.random((outputs, inputs)) < 0.7))


def conv(*shape, **options):
    dims = len(shape) - 2
    given = {"stride": (1,) * dims, "padding": (0,) * dims, "dilation": (1,) * dims} | options
    return Convolution(dyadic(*shape), **given)


CASES = {  # name: (operator, shape of the source's value, of the target's)
    "full": (Full(dyadic(5, 24)), (2, 3, 4), (5,)),
    "full to channels and space": (Full(dyadic(12, 24)), (2, 3, 4), (3, 2, 2)),
    "conv": (conv(3, 2, 2, 3, stride=(1, 2), padding=(1, 0)), (2, 3, 5), (3, 4, 2)),
    "conv of groups, dilated": (conv(4, 1, 2, 2, groups=2, dilation=(1, 2)), (2, 3, 5), (4, 2, 3)),
    "conv1d": (conv(3, 2, 2), (2, 6), (3, 5)),
    "conv3d": (conv(3, 2, 2, 1, 2), (2, 3, 2, 3), (3, 2, 2, 2)),
    "transposed conv": (conv(2, 3, 2, 3, transposed=True, stride=(2, 1), output_padding=(1, 0)), (2, 3, 4), (3, 7, 6)),
    "transposed conv of groups": (conv(4, 1, 2, 2, transposed=True, groups=2), (4, 2, 2), (2, 3, 3)),
    "on channels": (Along(matrix(5, 2), 12), (2, 3, 4), (5, 3, 4)),
    "on blocks of channels": (Along(matrix(2, 2), 24), (4, 3, 4), (4, 3, 4)),
    "on channels of each half": (Along(matrix(3, 2), 12), (4, 3, 4), (6, 3, 4)),
    "on rows": (Along(matrix(2, 3), 4), (2, 3, 4), (2, 2, 4)),
    "on columns": (Along(matrix(5, 4), 1), (2, 3, 4), (2, 3, 5)),
    "on places": (Along(matrix(1, 12), 1), (2, 3, 4), (2, 1)),
    "on all": (Along(matrix(7, 24), 1), (2, 3, 4), (7,)),
    "on rows, one channel": (Along(matrix(2, 3), 4), (1, 3, 4), (1, 2, 4)),
    "on rows, stored flat": (Along(matrix(2, 3), 4), (24,), (2, 2, 4)),
    "on channels, target stored flat": (Along(matrix(5, 2), 12), (2, 3, 4), (60,)),
}  # fmt: skip
WORTHS = {
    "all one": lambda places, channels: np.ones((places, channels)),
    "of each channel": lambda places, channels: np.tile(2.0 ** RNG.integers(-2, 2, size=channels), (places, 1)),
    "of each place": lambda places, channels: np.tile(2.0 ** RNG.integers(-2, 2, size=(places, 1)), (1, channels)),
    "of each neuron": lambda places, channels: 2.0 ** RNG.integers(-2, 2, size=(places, channels)),
}


def place(net, name, shape, model, worth=None, **options):
    population = net.population(name, stored(shape), model, **options)
    return Place(population, shape, np.ones(len(population)) if worth is None else worth.reshape(-1))


def arrived(make, source_shape, target_shape, worth, sizes):
    """What the neurons of a target hold, in the order of torch, after spikes of these sizes, in that order as well."""
    net = sim.Network()
    model = SigmaDelta(function="identity", quantum=1.0, burst=1 << 20)
    source = place(net, "source", source_shape, model, worth, initial={"u": sizes.reshape(-1)[channels_last(source_shape)]})
    target = place(net, "target", target_shape, IF(v_threshold=np.inf))
    net.project(source.population, target.population, make(source, target), delay=0.0)
    net.record(target.population, "v")
    simulation = sim.Simulation(net, dt=1.0, engine="reference", precision="float64", progress=False)
    assert all(entry.largest_error == 0.0 for entry in simulation.program.rounding)
    found = np.empty(math.prod(target_shape))
    found[target.order] = simulation.run(1.0, progress=False).trace("target", "v").values[-1]
    return found


@pytest.mark.parametrize("kind", WORTHS)
@pytest.mark.parametrize("name", CASES)
def test_rules_compute_the_operator(name, kind):
    operator, source, target = CASES[name]
    worth = WORTHS[kind](math.prod(source[1:]), source[0])
    if isinstance(operator, Convolution) and np.ptp(worth, axis=0).any():
        return  # is never asked for, see `fits`
    sizes = RNG.integers(-5, 6, size=source).astype(np.float64)
    values = np.empty(sizes.size)
    values[channels_last(source)] = sizes.reshape(-1)[channels_last(source)] * worth.reshape(-1)
    wanted = -0.5 * compute(operator, [torch.from_numpy(values).reshape(1, *source)]).numpy().reshape(-1)
    found = arrived(lambda a, b: rule_of(operator, a, b, -0.5), source, target, worth, sizes)
    np.testing.assert_array_equal(found, wanted)
    assert wanted.any()


@pytest.mark.parametrize(("source", "target"), [((2, 3, 4), (2, 3, 4)), ((2, 3, 4), (24,)), ((6, 4), (2, 3, 4)), ((1, 5), (5,))])
def test_identity_keeps_values_under_any_shape(source, target):
    sizes = RNG.integers(-5, 6, size=source).astype(np.float64)
    found = arrived(lambda a, b: identity(a, b, 0.25), source, target, np.ones(sizes.size), sizes)
    np.testing.assert_array_equal(found, 0.25 * sizes.reshape(-1))


@pytest.mark.parametrize("name", ["on channels", "on blocks of channels", "on channels of each half", "on rows", "on columns", "on places"])
@pytest.mark.parametrize("kind", ["all one", "of each channel"])
def test_what_mixes_only_channels_or_only_places_stays_small(name, kind):
    operator, source, target = CASES[name]
    net, model = sim.Network(), IF()
    worth = WORTHS[kind](math.prod(source[1:]), source[0])
    rule = rule_of(operator, place(net, "a", source, model, worth), place(net, "b", target, model), 1.0)
    assert isinstance(rule, AlongRule)
    assert rule.matrix.weights.size <= operator.matrix.nnz * source[0]


def test_a_convolution_reads_what_is_stored_under_its_shape_with_one_worth_a_channel():
    net, operator = sim.Network(), conv(3, 2, 2, 2)
    worth = np.tile([1.0, 2.0], (12, 1))
    there = place(net, "a", (2, 3, 4), IF(), worth)
    assert fits(operator, there, (2, 3, 4)) and not fits(operator, there, (2, 4, 3))
    assert not fits(operator, replace(there, worth=np.arange(24.0)), (2, 3, 4))
    assert fits(Full(dyadic(2, 24)), replace(there, worth=np.arange(24.0)), (24,))


@pytest.mark.parametrize("name", [name for name in CASES if isinstance(CASES[name][0], Along)])
def test_channel_matrix(name):
    """It is the operator, applied to each place, or there is none because places are mixed."""
    operator, source, _ = CASES[name]
    found = channel_matrix(operator, source)
    places = math.prod(source[1:])
    if found is None:
        assert name in ("on rows", "on columns", "on places", "on all", "on rows, one channel")
        return
    x = torch.from_numpy(dyadic(1, *source))
    wanted = compute(operator, [x]).reshape(-1, places).numpy()
    np.testing.assert_array_equal(found @ x.reshape(source[0], places).numpy(), wanted)
