"""The emulator against a dense one, threads against one thread, runs in pieces against a run in one."""

import numpy as np
import pytest

from spikesim.hardware.truenorth.emulator import Emulator
from spikesim.hardware.truenorth.image import ChipImage, Inputs
from spikesim.neurons.truenorth import CHOICES, Rules
from spikesim.stimulus import SpikeTrains
from tests.hardware.truenorth_networks import dense_run, random_image

TICKS = 40


def raster(recording, name, shape):
    """Spikes as bool (ticks, neurons)."""
    found = np.zeros(shape, bool)
    spikes = recording.spikes[name]
    found[spikes.times.astype(int) - 1 - int(recording.start), spikes.ids] = True
    return found


def some_input(rng, image, ticks=TICKS, share=0.3):
    return (rng.random((ticks, image.inputs["in"].size)) < share).astype(np.uint8)


RULES = [Rules(), *(Rules(**{name: value}) for name, values in CHOICES.items() for value in list(values)[1:])]


@pytest.mark.parametrize("stochastic", [False, True], ids=["deterministic", "stochastic"])
@pytest.mark.parametrize("number", range(12))
def test_same_as_the_dense_emulator(number, stochastic):
    """Every spike and every potential, under the default rules and others."""
    rng = np.random.default_rng([number, stochastic])
    image = random_image(rng, cores=int(rng.integers(1, 6)), rules=RULES[number % len(RULES)], stochastic=stochastic)
    spikes = some_input(rng, image)
    expected, potential = dense_run(image, spikes, seed=number)
    emulator = Emulator(image, seed=number, watch_all=True)
    recording = emulator.run({"in": spikes}, steps=TICKS)
    assert np.array_equal(raster(recording, "neurons", (TICKS, image.cores * 256)).reshape(expected.shape), expected)
    assert np.array_equal(emulator.potential, potential) and expected.sum() > 100
    table = image.outputs["out"]
    assert np.array_equal(raster(recording, "out", (TICKS, len(table))), expected[:, table[:, 1], table[:, 2]])
    assert emulator.activity.spikes == expected.sum()


@pytest.mark.parametrize("stochastic", [False, True], ids=["deterministic", "stochastic"])
def test_threads_and_pieces_change_nothing(stochastic):
    rng = np.random.default_rng(8)
    image = random_image(rng, cores=25, stochastic=stochastic)
    spikes = some_input(rng, image)
    whole = Emulator(image, threads=1, watch_all=True)
    expected = whole.run({"in": spikes}, steps=TICKS).spikes["neurons"]
    for threads in (2, 3, 7):
        emulator = Emulator(image, threads=threads, watch_all=True)
        parts = [emulator.run({"in": spikes[a:b]}, steps=b - a).spikes["neurons"] for a, b in ((0, 1), (1, 17), (17, TICKS))]
        assert np.array_equal(np.concatenate([part.times for part in parts]), expected.times)
        assert np.array_equal(np.concatenate([part.ids for part in parts]), expected.ids)
        assert np.array_equal(emulator.v, whole.v) and emulator.activity == whole.activity


def test_activity_counts():
    """Hops, packets and crossings of one neuron that fires in each tick, counted by hand."""
    image = one_neuron([(0, 1, 5, 3)], leak=1)
    emulator = Emulator(image)
    emulator.run(steps=10)
    activity = emulator.activity
    assert (activity.spikes, activity.packets, activity.hops, activity.chip_crossings) == (10, 10, 10, 1 * 10)
    assert (activity.axon_events, activity.synaptic_events, activity.overflows) == (10 - 3, (10 - 3) * 2, 0)


def one_neuron(destinations, *, leak=0, threshold=1, extra=None):
    """Two cores at a chip's southern border; neuron 0 of core 0 has ``leak``; axon 5 of core 1 leads to two neurons."""
    rng = np.random.default_rng(0)
    image = random_image(rng, cores=2)
    arrays = {name: np.zeros_like(value) for name, value in image.arrays.items()}
    arrays["positions"] = np.array([[3, 63], [3, 64]], np.int16)
    arrays["threshold"][:] = 2**18 - 1
    arrays["threshold"][0, 0], arrays["leak"][0, 0] = threshold, leak
    arrays["crossbar"][1, 5, 0] = 0b101
    for neuron, destination in enumerate(destinations):
        arrays["destinations"][0, neuron] = destination
    return ChipImage(arrays | (extra or {}), {}, {}, (1, 2))


def test_inputs_play_by_themselves_or_as_given():
    rng = np.random.default_rng(2)
    image = random_image(rng)
    spikes = some_input(rng, image)
    tick, line = np.nonzero(spikes)
    as_trains = Emulator(image, watch_all=True).run({"in": SpikeTrains((tick + 1).astype(float), line)}, steps=TICKS)
    own = ChipImage(image.arrays, {"in": Inputs(20, image.inputs["in"].targets, np.argwhere(spikes))}, image.outputs, image.chips)
    for other in (Emulator(image, watch_all=True).run({"in": spikes}, steps=TICKS), Emulator(own, watch_all=True).run(steps=TICKS)):
        assert np.array_equal(other.spikes["neurons"].ids, as_trains.spikes["neurons"].ids)
        assert np.array_equal(other.spikes["neurons"].times, as_trains.spikes["neurons"].times)


def test_quiet_cores_sleep():
    """A core without leak and input does nothing; an arriving spike wakes it."""
    image = one_neuron([(0, 1, 5, 1)], leak=1, threshold=50)
    emulator = Emulator(image)
    emulator.run(steps=200)
    assert emulator.activity.spikes == 4
    assert 200 < emulator.activity.awake_cores < 230
