"""Mapping onto Loihi: the image does what the network does, every limit is checked, and few messages cross between cores."""

import numpy as np
import pytest

import spikesim as sim
from spikesim.errors import CapacityError, DescriptionError, NameUnknownError, UnsupportedError
from spikesim.hardware import map_to
from spikesim.hardware.energy import PROFILES, EnergyProfile, energy
from spikesim.hardware.loihi.emulator import Emulator
from spikesim.hardware.loihi.fired import Fired
from spikesim.hardware.loihi.run import emulate, sent_spikes

NONE = np.empty(0, np.int64)


def clustered(neurons=2600, fan_out=30, clusters=13, inside=0.97, seed=0):
    """Neurons of hidden clusters that mostly project to their own."""
    rng = np.random.default_rng(seed)
    label = rng.permutation(neurons) % clusters
    targets = rng.integers(0, neurons, (neurons, fan_out))
    for cluster in range(clusters):
        members = np.flatnonzero(label == cluster)
        own = rng.random((len(members), fan_out)) < inside
        targets[members] = np.where(own, rng.choice(members, own.shape), targets[members])
    net = sim.Network()
    lif = sim.LoihiLIF(du=400.0, dv=100.0, vth=300.0, bias_mant=rng.integers(0, 400, neurons), bias_exp=2.0)
    cells = net.population("cells", neurons, lif)
    weights = 2.0 * rng.integers(-60, 60, targets.size)
    net.project(cells, cells, sim.PairList(np.repeat(np.arange(neurons), fan_out), targets.ravel()), weight=weights,
                delay=rng.integers(1, 9, targets.size).astype(float))  # fmt: skip
    net.record(cells)
    net.record(cells[:50], "v")
    return net


def feed_forward():
    """Poisson inputs, a convolution, pooling, a dense layer; soft resets and a population without threshold to speak of."""
    rng = np.random.default_rng(1)
    net = sim.Network()
    inputs = net.population("in", (2, 12, 12), sim.Poisson(rate=200.0))
    conv = net.population("conv", (6, 12, 12), sim.LoihiLIF(du=4095.0, vth=120.0, reset="subtract"))
    pool = net.population("pool", (6, 6, 6), sim.LoihiLIF(du=4095.0, vth=3.0, refractory=1.0))
    out = net.population("out", 20, sim.LoihiLIF(du=1000.0, dv=50.0, vth=500.0))
    net.project(inputs, conv, sim.Conv(2.0 * rng.integers(-60, 100, (6, 2, 3, 3)), padding=1), delay=1.0)
    net.project(conv, pool, sim.Pool(2), delay=1.0)
    net.project(pool, out, sim.Dense(2.0 * rng.integers(-100, 128, (216, 20))), delay=2.0)
    for population in (conv, pool, out):
        net.record(population)
    net.record(out, "u")
    return net


def assert_same(net, image, steps=60, seed=3):
    """The image's recording is the engine's."""
    wanted = sim.Simulation(net, dt=1.0, seed=seed, progress=False).run(float(steps), progress=False)
    found = image.run(steps, seed=seed)
    assert sum(len(spikes) for spikes in wanted.spikes.values()) > 100
    for name, spikes in wanted.spikes.items():
        np.testing.assert_array_equal(found.spikes[name].times, spikes.times)
        np.testing.assert_array_equal(found.spikes[name].ids, spikes.ids)
    for key, trace in wanted.traces.items():
        np.testing.assert_array_equal(found.traces[key].values, trace.values)
        np.testing.assert_array_equal(found.traces[key].times, trace.times)


@pytest.fixture(scope="module")
def recurrent():
    net = clustered()
    return net, map_to(net, "loihi1", seed=1, rates={"cells": 0.05})


def test_recurrent_network(recurrent):
    """Same spikes; at most 0.6 of the messages of the sequential mapping (the neurons' order hides the clusters)."""
    net, image = recurrent
    assert_same(net, image)
    assert image.cores > 1
    assert image.report.messages <= 0.6 * image.report.naive["sequential"][1]
    assert image.report.messages <= 0.6 * image.report.naive["random"][1]


def test_messages_and_traffic_are_what_the_emulator_counts(recurrent):
    """With each neuron's own rate the report predicts the messages between cores exactly."""
    net, image = recurrent
    _, activity = emulate(image, 100, sent_spikes(image, None, 100))
    rates = np.empty(image.neurons)
    rates[image.neuron] = activity.spikes[: image.compartments] / 100
    core = np.empty(image.neurons, np.int64)
    core[image.neuron] = np.repeat(np.arange(image.cores), np.diff(image.core_starts))
    again = map_to(net, "loihi1", cores=core, rates={"cells": rates}, compare=False)
    source = np.repeat(np.arange(image.compartments), np.diff(image.route_starts))
    home = np.repeat(np.arange(image.cores), np.diff(image.core_starts))[source]
    crossing = activity.axon_events[image.routes][home != image.axon_core[image.routes]].sum()
    assert again.report.messages == pytest.approx(crossing / 100)


@pytest.mark.parametrize("chip", ["loihi1", "loihi2"])
def test_feed_forward_network(chip):
    """Same spikes, never more messages than the sequential mapping; the convolution's lists are shared."""
    net = feed_forward()
    image = map_to(net, chip, seed=2)
    assert_same(net, image)
    assert image.report.messages <= image.report.naive["sequential"][1]
    unshared = map_to(net, chip, seed=2, convolutions_share=False, compare=False)
    assert_same(net, unshared)
    assert len(image.targets) < 0.6 * len(unshared.targets)
    assert image.bits.sum() < 0.6 * unshared.bits.sum()


def test_same_seed_same_image(recurrent):
    net, image = recurrent
    again = map_to(net, "loihi1", seed=1, rates={"cells": 0.05}, compare=False)
    for name in ("neuron", "position", "targets", "weights", "routes", "axon_list"):
        np.testing.assert_array_equal(getattr(image, name), getattr(again, name))


def test_several_chips():
    """One neuron a core: the cores fill a chip and go on with the next one, and the spikes stay the same."""
    net = clustered(neurons=150, fan_out=5, clusters=3)
    image = map_to(net, "loihi1", cores=np.arange(150), compare=False)
    assert image.report.chips == 2
    assert image.position[:, 0].max() == 1
    assert_same(net, image)
    with pytest.raises(CapacityError, match=r"needs 150 cores, 1 chip have 128; give it chips=2"):
        map_to(net, "loihi1", cores=np.arange(150), chips=1, compare=False)


def test_memory_formula():
    """HARDWARE: an axon of 8 bits onto 200 neurons in a row costs 3 blocks of 576 bits and one of 128 (signs take a ninth bit)."""
    net = sim.Network()
    source = net.population("in", 1, sim.SpikeTrains(times=[1.0], ids=[0]))
    cells = net.population("cells", 200, sim.LoihiLIF())
    net.project(source, cells, sim.Dense(np.arange(1.0, 201.0)[None]), delay=1.0)
    image = map_to(net, "loihi1", compare=False)
    assert image.bits.tolist() == [3 * 576 + 128]


def one_core(neurons, **model):
    net = sim.Network()
    return net, net.population("cells", neurons, sim.LoihiLIF(**model))


def too_many_compartments():
    net, _ = one_core(1025)
    return net, {"cores": np.zeros(1025, int)}, r"core 0 needs 1,025 compartments, has 1,024 \(Davies"


def too_many_soft():
    net, _ = one_core(600, reset="subtract")
    return net, {"cores": np.zeros(600, int)}, r"core 0 needs 1,200 compartments, has 1,024"


def too_many_axons():
    net, cells = one_core(10)
    source = net.population("in", 4100, sim.SpikeTrains(times=[1.0], ids=[0]))
    net.project(source, cells, sim.FixedOutdegree(1), weight=2.0, delay=1.0)
    return net, {"cores": np.zeros(10, int)}, r"core 0 needs 4,100 input axons, has 4,096"


def too_much_memory():
    net, cells = one_core(400)
    source = net.population("in", 600, sim.SpikeTrains(times=[1.0], ids=[0]))
    net.project(source, cells, sim.Dense(2.0 * np.random.default_rng(0).integers(1, 127, (600, 400))), delay=1.0)
    return net, {"cores": np.zeros(400, int)}, r"core 0 needs 2,188,800 synapse bits, has 1,048,576"


def too_many_profiles():
    net, _ = one_core(40, vth=np.arange(1.0, 41.0))
    return net, {"cores": np.zeros(40, int)}, r"core 0 needs 40 compartment profiles, has 32"


def too_many_output_axons():
    net, cells = one_core(1010)
    net.project(cells[:1000], cells[1000:], sim.AllToAll(), weight=2.0, delay=1.0)
    return net, {"cores": np.concatenate([np.zeros(1000, int), np.arange(1, 11)])}, r"core \d+ needs 10,000 output axons, has 4,096"


def fits_no_core():
    net, cells = one_core(3)
    source = net.population("in", 4097, sim.SpikeTrains(times=[1.0], ids=[0]))
    net.project(source, cells, sim.AllToAll(), weight=2.0, delay=1.0)
    return net, {}, r"population 'cells': neuron 0 alone needs 4,097 input axons of a core, which has 4,096"


@pytest.mark.parametrize("case", [too_many_compartments, too_many_soft, too_many_axons, too_much_memory, too_many_profiles,
                                  too_many_output_axons, fits_no_core])  # fmt: skip
def test_over_capacity(case):
    net, options, message = case()
    with pytest.raises(CapacityError, match=message):
        map_to(net, "loihi1", compare=False, **options)


def connected(weight=2.0, delay=1.0, receptor=None, **model):
    net, cells = one_core(4, **model)
    net.project(cells, cells, sim.AllToAll(), weight=weight, delay=delay, receptor=receptor)
    return net


def probed():
    net = connected()
    net.record(net.populations["cells"], "clock")
    return net


def stimulated(stimulus):
    net = connected()
    net.stimulate(net.populations["cells"], stimulus)
    return net


@pytest.mark.parametrize(("make", "options", "error", "message"), [
    (lambda: connected(weight=2.5), {}, DescriptionError, r"weights must be whole numbers from -256 to 255, got 2\.5"),
    (lambda: connected(weight=300.0), {}, DescriptionError, r"whole numbers from -256 to 255, got 300"),
    (lambda: connected(delay=64.0), {}, DescriptionError, r"delays must be 1 to 63 steps, got 64"),
    (lambda: connected(weight=np.array([1.0, -1.0] * 8), receptors={"r": sim.ShiftedSum(exponent=0)}, delay=1.5), {}, DescriptionError,
     r"delay: 1\.5 ms is not a multiple"),
    (lambda: connected(refractory=64.0), {}, UnsupportedError, r"neuron 0: refractory is 64, the chip has at most 63"),
    (lambda: connected(bias_exp=-1.0), {}, UnsupportedError, r"bias_exp is -1, the chip has 0 to 7"),
    (probed, {}, UnsupportedError, r"the chip shows spikes, counts, rate, u and v, not 'clock'"),
    (lambda: stimulated(sim.NoiseCurrent(sd=1.0, interval=1.0)), {}, UnsupportedError, r"the chip takes no NoiseCurrent"),
    (lambda: stimulated(sim.DirectCurrent(0.5)), {}, DescriptionError, r"expected whole numbers of 32 bits, got 0\.5"),
    (connected, {"rates": {"cell": 0.1}}, NameUnknownError, r"unknown population 'cell'; did you mean 'cells'"),
    (connected, {"rates": {"cells": 2.0}}, DescriptionError, r"rates\['cells'\]: expected 0 to 1 spikes a step"),
    (connected, {"method": "magic"}, NameUnknownError, r"unknown method 'magic'"),
    (connected, {"cores": [0, 1]}, DescriptionError, r"cores: expected a whole number from 0 on for each of 4 neurons"),
])  # fmt: skip
def test_what_the_chip_cannot_do(make, options, error, message):
    with pytest.raises(error, match=message):
        map_to(make(), "loihi1", **options)


def test_mixed_odd_weights_with_a_negative_exponent_are_refused():
    net = connected(weight=np.array([1.0, -1.0] * 8), receptors={"r": sim.ShiftedSum(exponent=-1)})
    with pytest.raises(DescriptionError, match=r"negative exponent -1 weights of both signs must be even"):
        map_to(net, "loihi1")


def test_float_networks_and_unknown_chips_are_refused():
    net = sim.Network()
    net.population("cells", 3, sim.LIF())
    with pytest.raises(UnsupportedError, match=r"'cells': LIF is no neuron of the chip; quantise the network first"):
        map_to(net, "loihi1")
    with pytest.raises(NameUnknownError, match=r"unknown chip 'loihi3'; did you mean 'loihi"):
        map_to(net, "loihi3")


@pytest.mark.parametrize(("options", "error", "message"), [
    ({"steps": 0}, DescriptionError, "whole number of steps from 1 on"),
    ({"backend": "nxsdk"}, NameUnknownError, "unknown backend 'nxsdk'"),
    ({"inputs": {"cells": np.zeros((3, 4))}}, NameUnknownError, "unknown input population 'cells'; known: in"),
    ({"inputs": {"in": np.zeros((3, 4))}}, DescriptionError, r"expected SpikeTrains or an array \(steps, 288\), got shape \(3, 4\)"),
    ({"inputs": {"in": sim.SpikeTrains(times=[1.5], ids=[0])}}, DescriptionError, "whole numbers of steps"),
    ({"currents": {"in": np.zeros(288)}}, NameUnknownError, "unknown population 'in'"),
    ({"currents": {"out": np.zeros(3)}}, DescriptionError, r"currents\['out'\]: expected 20 whole numbers"),
])  # fmt: skip
def test_bad_runs(options, error, message):
    image = map_to(feed_forward(), "loihi1", compare=False, method="sequential")
    with pytest.raises(error, match=message):
        image.run(**{"steps": 5} | options)


def test_inputs_and_currents_replace_and_add():
    """Given spikes take the place of the Poisson inputs; a current adds to the bias, as a DirectCurrent on the engine does."""
    net = feed_forward()
    image = map_to(net, "loihi1", compare=False, method="sequential")
    given = np.random.default_rng(0).random((40, 288)) < 0.3
    first = image.run(40, inputs={"in": given}, currents={"out": np.full(20, 900)})
    steps, ids = np.nonzero(given)
    again = sim.Network()
    for population in net.populations.values():
        model = sim.SpikeTrains(times=steps + 1.0, ids=ids) if population.name == "in" else population.model
        again.population(population.name, population.shape, model)
    for p in net.projections.values():
        again.project(again.populations[p.source.population], again.populations[p.target.population], p.rule, delay=p.delay)
    again.stimulate(again.populations["out"], sim.DirectCurrent(900.0))
    for probe in net.probes:
        again.record(again.populations[probe.view.population], probe.variable)
    wanted = sim.Simulation(again, dt=1.0, progress=False).run(40.0, progress=False)
    np.testing.assert_array_equal(first.trace("out", "u").values, wanted.trace("out", "u").values)
    np.testing.assert_array_equal(first.spikes["out"].times, wanted.spikes["out"].times)


def test_run_in_pieces_is_the_run_in_one():
    """An emulator that goes on has the same state and counts as one that did not stop."""
    image = map_to(clustered(300, 20, 3), "loihi1", compare=False)
    whole, pieces = Emulator(image), Emulator(image)
    (steps, who), u, _ = whole.advance(50, NONE, NONE, np.arange(5))
    parts = [pieces.advance(n, NONE, NONE, np.arange(5)) for n in (1, 19, 30)]
    np.testing.assert_array_equal(steps, np.concatenate([part[0][0] for part in parts]))
    np.testing.assert_array_equal(who, np.concatenate([part[0][1] for part in parts]))
    np.testing.assert_array_equal(u, np.concatenate([part[1] for part in parts]))
    np.testing.assert_array_equal(whole.activity.axon_events, pieces.activity.axon_events)


def test_energy_counts():
    """Two cores, one spike from the first to three neurons of the second: every operation is counted and priced."""
    net = sim.Network()
    first = net.population("first", 1, sim.LoihiLIF(bias_mant=1000.0, vth=100.0, dv=0.0))
    second = net.population("second", 3, sim.LoihiLIF(vth=1000.0))
    net.project(first, second, sim.Dense([[2.0, 4.0, 6.0]]), delay=1.0)
    image = map_to(net, "loihi1", cores=[0, 1, 1, 1], compare=False)
    _, activity = emulate(image, 8, Fired(NONE, NONE, NONE))  # fires in step 7, arrives in step 8
    assert activity.spikes.tolist() == [1, 0, 0, 0]
    assert activity.synaptic_operations(image).tolist() == [0, 3]
    assert activity.active.tolist() == [1, 3]
    found = energy(image, activity)
    assert found.counts == {"synapses": 3, "active updates": 4, "inactive updates": 28, "messages": 1, "hops east-west": 0,
                            "hops north-south": 0, "learning": 0}  # fmt: skip
    assert found.total == pytest.approx(1e-12 * (3 * 23.6 + 4 * 81.0 + 28 * 52.0 + 1.7))
    own = EnergyProfile(**vars(PROFILES["sanafe"]) | {"synapse": 1000.0, "source": "ours"})
    assert energy(image, activity, own).joules["synapses"] == pytest.approx(3e-9)
    with pytest.raises(NameUnknownError, match="unknown profile 'davies'"):
        energy(image, activity, "davies")
    newer = map_to(net, "loihi2", compare=False)
    with pytest.raises(UnsupportedError, match="no figures were published for loihi2"):
        energy(newer, Emulator(newer).activity)


def test_report(recurrent, tmp_path):
    """The report prints its numbers and makes a picture and a page."""
    _, image = recurrent
    text = str(image.report)
    assert "with the sequential mapping" in text and "input axons" in text
    image.report.heat_map(tmp_path / "heat.png")
    assert (tmp_path / "heat.png").read_bytes().startswith(b"\x89PNG")
    image.report.save_html(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "data:image/png;base64," in page and page.count("<tr>") == image.cores + 1
