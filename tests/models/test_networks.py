"""The published networks are what the papers say, as far as it can be told without running them for long."""

import numpy as np
import pytest

import spikesim as sim
from spikesim.errors import DescriptionError
from spikesim.models.networks.brunel import brunel, jump
from spikesim.models.networks.feedforward import NAMES, feedforward, weights
from spikesim.models.networks.feedforward import SIZES as LAYERS
from spikesim.models.networks.microcircuit import (
    EXTERNAL,
    EXTERNAL_RATE,
    POPULATIONS,
    PROBABILITIES,
    RATES,
    SIZES,
    mean_weight,
    microcircuit,
    synapse_number,
)
from spikesim.models.networks.vogels_abbott import coba, cuba
from spikesim.summary import expected_synapses


def test_microcircuit_has_the_published_size():
    """77,169 neurons and 0.3 billion synapses; zero probabilities have no projection."""
    net = microcircuit()
    assert sum(len(p) for p in net.populations.values()) == 77_169
    assert sum(expected_synapses(net).values()) == pytest.approx(0.2989e9, rel=1e-3)
    assert len(net.projections) == np.count_nonzero(PROBABILITIES)


def test_synapse_number_gives_the_connection_probability():
    """Pairs drawn with repetition leave a pair unconnected with probability (1 - 1 / pairs) ** number."""
    number = synapse_number(0.1, 200, 300)
    assert 1.0 - (1.0 - 1.0 / 60_000) ** number == pytest.approx(0.1, abs=1e-5)


def test_weights_and_delays_follow_the_tables():
    """Inhibition is four times as strong and twice as fast; L4E to L23E counts double."""
    net = microcircuit()
    assert net.projections["L4E->L23E"].weight.mean == pytest.approx(2 * 87.81)
    assert net.projections["L23E->L4E"].weight.mean == pytest.approx(87.81)
    assert net.projections["L23I->L4E"].weight == sim.ClippedNormal(-4 * 87.81, 0.4 * 87.81, high=0.0)
    assert (net.projections["L23E->L4E"].delay.mean, net.projections["L23I->L4E"].delay.mean) == (1.5, 0.75)


@pytest.mark.parametrize("scale", [0.1, 0.5])
def test_scaling_keeps_the_mean_input(scale):
    """At the full circuit's rates the mean current into each population is that of the full circuit (van Albada 2015)."""
    small = microcircuit(scale=scale)
    for target, name in enumerate(POPULATIONS):
        full = EXTERNAL[target] * EXTERNAL_RATE * 87.81
        shrunk = EXTERNAL[target] * scale * EXTERNAL_RATE * 87.81 / np.sqrt(scale)
        for source, rate in enumerate(RATES):
            number = synapse_number(PROBABILITIES[target, source], SIZES[source], SIZES[target])
            full += number / SIZES[target] * rate * mean_weight(source, target)
            shrunk += number / SIZES[target] * scale * rate * mean_weight(source, target) / np.sqrt(scale)
        assert small.populations[name].model.i_e + 0.5e-3 * shrunk == pytest.approx(0.5e-3 * full, rel=1e-12)


def test_a_tenth_of_the_microcircuit_is_active_like_the_whole():
    """Rates of the scaled circuit keep the order of the full one's, within a factor of two."""
    net = microcircuit(scale=0.1)
    simulation = sim.Simulation(net, dt=0.1, seed=1)
    simulation.run(100.0)
    recording = simulation.run(400.0)
    found = np.array([recording.rate(name) for name in POPULATIONS])
    assert ((found > 0.4 * np.array(RATES)) & (found < 2.0 * np.array(RATES))).all(), found


@pytest.mark.parametrize("build", [cuba, coba])
def test_vogels_abbott_keeps_its_input_when_it_grows(build):
    """The product of weight and number of synapses stays, so a grown network receives the same mean input."""
    small, large = build(), build(neurons=100_000, synapses=1000.0)
    for name, projection in small.projections.items():
        grown = large.projections[name]
        assert grown.weight * 1000.0 == pytest.approx(projection.weight * 80.0)
        assert grown.rule.p * 100_000 == pytest.approx(1000.0)


@pytest.mark.parametrize("neurons", [0, 6])
def test_brunel_needs_a_synapse_for_each_neuron(neurons):
    """Too few neurons are refused in words."""
    with pytest.raises(DescriptionError, match=f"brunel: {neurons} neurons"):
        brunel(neurons=neurons)
    assert jump(7) > 0.0


def test_brunel_is_as_published():
    """12,500 neurons with 1,000 and 250 synapses of 0.1 and -0.5 mV each, driven at twice the threshold, 20 kHz."""
    net = brunel()
    assert [len(p) for p in net.populations.values()] == [10_000, 2500]
    assert sum(expected_synapses(net).values()) == 12_500 * 1250
    assert {(p.source.population, p.weight, p.delay) for p in net.projections.values()} == {("exc", 0.1, 1.5), ("inh", -0.5, 1.5)}
    assert all((s.stimulus.rate, s.stimulus.weight) == pytest.approx((20_000.0, 0.1)) for s in net.stimulations)


@pytest.mark.parametrize("neurons", [500, 5000, 50_000])
def test_brunel_keeps_the_variance_of_its_input(neurons):
    """J**2 C_E does not depend on the size, and the drive alone moves the mean potential to eta times the threshold."""
    net = brunel(neurons=neurons, eta=1.5)
    assert jump(neurons) ** 2 * 0.08 * neurons == pytest.approx(10.0)
    for stimulation in net.stimulations:
        assert stimulation.stimulus.rate * stimulation.stimulus.weight * 20e-3 == pytest.approx(1.5 * 20.0)


def test_brunel_fires_as_published():
    """Figure 8C of the paper: 37.7 Hz in simulation at g = 5, eta = 2; both populations alike and irregular."""
    simulation = sim.Simulation(brunel(), dt=0.1, seed=1)
    simulation.run(100.0)
    recording = simulation.run(1000.0)
    assert [recording.rate(name) for name in ("exc", "inh")] == pytest.approx([37.7, 37.7], rel=0.03)
    assert 0.3 < recording.cv_isi("exc") < 0.6


def test_feedforward_layers_fire_more_and_more_rarely():
    """The shares of steps in which a neuron fires are those that the module states; weights onto a neuron cancel."""
    assert [matrix.shape for matrix in weights(0)] == [(784, 1024), (1024, 1024), (1024, 10)]
    assert all(np.abs(matrix.sum(axis=0)).max() < 1e-10 for matrix in weights(1))
    assert not np.array_equal(weights(0)[0], weights(1)[0])
    simulation = sim.Simulation(feedforward(), dt=1.0, seed=1)
    simulation.run(100.0)
    recording = simulation.run(2000.0)
    found = [recording.rate(name) / 1e3 for name in NAMES]
    assert found == pytest.approx([0.1, 0.071, 0.035, 0.013], rel=0.15)
    assert [len(recording.spikes[name].recorded) for name in NAMES] == list(LAYERS)
