"""Chip images on the ordinary engines: the same spikes as the emulator, bit for bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spikesim as sim
from spikesim.errors import DescriptionError, UnsupportedError
from spikesim.hardware.truenorth import ChipImage, Emulator, Inputs, Rules
from spikesim.hardware.truenorth.equivalent import equivalent_network
from spikesim.neurons.truenorth import CHOICES
from tests.hardware.truenorth_networks import random_image

TICKS = 30


def one_source_each(rng, image):
    """``image`` with every axon booked once, by a neuron or by an input line."""
    goals = rng.permutation(image.cores * 256)
    arrays = {name: value.copy() for name, value in image.arrays.items()}
    inner = np.argwhere((arrays["destinations"][:, :, 3] > 0) & (arrays["destinations"][:, :, 0] != 200))[: len(goals) - 30]
    arrays["destinations"][:, :, 3] *= arrays["destinations"][:, :, 0] == 200
    for (core, neuron), goal in zip(inner, goals, strict=False):
        to, axon = divmod(int(goal), 256)
        offset = arrays["positions"][to] - arrays["positions"][core]
        arrays["destinations"][core, neuron] = [*offset, axon, rng.integers(1, 16)]
    free = goals[len(inner) :][:40]
    lines = np.stack([rng.integers(0, 20, len(free)), free // 256, free % 256, rng.integers(0, 3, len(free))], axis=1)
    train = np.argwhere(rng.random((TICKS, 20)) < 0.3)
    return ChipImage(arrays, {"in": Inputs(20, lines, train)}, image.outputs, image.chips, image.rules)


def keys(spikes_by_name, names):
    """All spikes as sorted (time, core, neuron)."""
    found = [np.stack([spikes.times, np.full(len(spikes), core), ids[spikes.ids]], axis=1) for (core, ids), spikes in
             zip(names, spikes_by_name, strict=True)]  # fmt: skip
    rows = np.concatenate(found).astype(np.int64)
    return rows[np.lexsort(rows.T[::-1])]


def check(image, engine, threads):
    emulator = Emulator(image, watch_all=True)
    expected = emulator.run(steps=TICKS).spikes["neurons"]
    network = equivalent_network(image)
    found = sim.Simulation(network, dt=1.0, engine=engine, threads=threads).run(TICKS, progress=False)
    places = [(int(name.split()[1]), np.flatnonzero(image.modes[int(name.split()[1])] == int(name.split()[3]))) for name in found.spikes]
    got = keys(list(found.spikes.values()), places)
    wanted = np.stack([expected.times, expected.ids // 256, expected.ids % 256], axis=1).astype(np.int64)
    assert np.array_equal(got, wanted[np.lexsort(wanted.T[::-1])])
    return len(wanted)


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cores=st.integers(1, 5), rule=st.sampled_from([(n, v) for n, vs in CHOICES.items() for v in vs]),
       threads=st.sampled_from([1, 2]))  # fmt: skip
def test_the_cpu_engine_fires_the_same_spikes(seed, cores, rule, threads):
    """Two hundred random networks of several cores, under all rules."""
    rng = np.random.default_rng(seed)
    image = one_source_each(rng, random_image(rng, cores=cores, rules=Rules(**dict([rule])), simple=True))
    check(image, "cpu", threads)


def test_the_reference_engine_too():
    rng = np.random.default_rng(4)
    assert check(one_source_each(rng, random_image(rng, cores=2, simple=True)), "reference", 1) > 100


def test_what_cannot_be_expressed():
    rng = np.random.default_rng(4)
    with pytest.raises(DescriptionError, match=r"axon \d+ of core \d is booked by \d+ sources"):
        equivalent_network(random_image(rng))
    simple = one_source_each(rng, random_image(rng, cores=2, simple=True))
    with pytest.raises(UnsupportedError, match=r"trains\['in'\]: its SpikeTrains have sizes"):
        equivalent_network(simple, {"in": sim.SpikeTrains([1.0], [0], [2])})
    with pytest.raises(UnsupportedError, match="stochastic"):
        equivalent_network(random_image(rng, stochastic=True))
