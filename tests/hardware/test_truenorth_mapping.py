"""Mapped networks fire on the emulator what they fire on the engine."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spikesim as sim
from spikesim.hardware import map_to
from spikesim.hardware.truenorth import Emulator, Rules, TrueNorth
from spikesim.hardware.truenorth.axon_types import best_basis, written
from spikesim.hardware.truenorth.placement import hops, place
from spikesim.hardware.truenorth.report import power
from spikesim.hardware.truenorth.synapses import synapses_of

TICKS = 60


def same_spikes(network, image, *, seed=5, ticks=TICKS, threads=None):
    """The number of spikes, if those of every output agree with the engine's."""
    recording = image.run(steps=ticks, seed=seed, threads=threads)
    expected = sim.Simulation(network, dt=1.0, seed=seed, precision="float64").run(float(ticks), progress=False)
    assert set(recording.spikes) == set(expected.spikes)
    for name in expected.spikes:
        assert np.array_equal(recording.spikes[name].times, expected.spikes[name].times), name
        assert np.array_equal(recording.spikes[name].ids, expected.spikes[name].ids), name
        assert np.array_equal(recording.spikes[name].recorded, expected.spikes[name].recorded), name
    return sum(len(spikes) for spikes in expected.spikes.values())


def random_model(rng, size):
    leak = rng.integers(-3, 4, size)
    if rng.random() < 0.3:
        return sim.IF(v_threshold=float(rng.integers(1, 60)), i_e=leak.astype(float), reset=str(rng.choice(["subtract", "value"])))
    return TrueNorth(leak=leak, leak_reversal=bool(rng.random() < 0.3), v_threshold=rng.integers(1, 80, size),
                     v_floor=rng.integers(0, 60, size),
                     floor_resets=bool(rng.random() < 0.5), reset=str(rng.choice(["value", "subtract"])))  # fmt: skip


def random_network(rng, largest):
    net = sim.Network()
    sizes = rng.integers(2, 40, 4)
    net.population("poisson", int(sizes[0]), sim.Poisson(rate=rng.uniform(20.0, 300.0, sizes[0])))
    ids, ticks = rng.integers(0, sizes[1], 50), rng.integers(1, TICKS, 50)
    pairs = np.unique(np.stack([ticks, ids]), axis=1)
    net.population("trains", int(sizes[1]), sim.SpikeTrains(pairs[0].astype(float), pairs[1]))
    for name, size in zip("ab", sizes[2:], strict=True):
        net.population(name, int(size), random_model(rng, size), initial={"v": rng.integers(-20, 20, size)})
    for source in ("poisson", "trains", "a", "b"):
        for target in "ab":
            shape = (len(net.populations[source]), len(net.populations[target]))
            weights = rng.integers(-largest, largest + 1, shape) * (rng.random(shape) < (0.3 if largest < 40 else 0.06))
            delay = float(rng.integers(0 if source in ("poisson", "trains") else 1, 8))
            net.project(net.populations[source], net.populations[target], sim.Matrix(weights.astype(float)), delay=delay)
    net.record(net.populations["a"][::2])
    net.record(net.populations["b"])
    return net


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), largest=st.sampled_from([1, 2, 6, 40, 300]), fan_out=st.sampled_from(["copies", "splitters"]))
def test_the_same_spikes(seed, largest, fan_out):
    """Random networks of two populations with feedback, every kind of weight."""
    net = random_network(np.random.default_rng(seed), largest)
    same_spikes(net, map_to(net, "truenorth", fan_out=fan_out))


def layered(rng, *, outputs=300):
    net = sim.Network()
    net.population("in", 60, sim.Poisson(rate=200.0))
    net.population("hidden", 100, TrueNorth(v_threshold=6, reset="subtract", v_floor=20))
    net.population("out", outputs, TrueNorth(v_threshold=4, v_floor=10))
    net.project(net.populations["in"], net.populations["hidden"], sim.Dense(rng.integers(-1, 2, (60, 100)).astype(float)), delay=1.0)
    net.project(net.populations["hidden"], net.populations["out"], sim.Dense(rng.integers(-1, 2, (100, outputs)).astype(float)), delay=3.0)
    net.record(net.populations["out"])
    return net


def test_copies_and_splitters():
    """A layer that several cores need: copies of its neurons, or relays; the same spikes without any added tick."""
    net = layered(np.random.default_rng(0))
    copied, split = map_to(net, "truenorth"), map_to(net, "truenorth", fan_out="splitters")
    assert copied.report.copies > 100 and copied.report.relays == copied.report.splitter_cores == 0
    assert split.report.copies == 0 and split.report.relays > 100 and split.report.splitter_cores >= 1
    assert copied.report.added_ticks == split.report.added_ticks == 0
    assert same_spikes(net, copied, threads=2) == same_spikes(net, split) > 500


def test_convolution_and_pooling():
    rng = np.random.default_rng(1)
    net = sim.Network()
    net.population("image", (2, 10, 10), sim.Poisson(rate=150.0))
    net.population("edges", (4, 8, 8), TrueNorth(v_threshold=5, reset="subtract", v_floor=30))
    net.population("pooled", (4, 4, 4), sim.IF(v_threshold=2.0))
    net.project(net.populations["image"], net.populations["edges"], sim.Conv(rng.integers(-2, 3, (4, 2, 3, 3)).astype(float)), delay=1.0)
    net.project(net.populations["edges"], net.populations["pooled"], sim.Pool(2), delay=1.0)
    net.record(net.populations["edges"], "counts")
    net.record(net.populations["pooled"])
    image = map_to(net, "truenorth")
    expected = sim.Simulation(net, dt=1.0, seed=2, precision="float64").run(100.0, progress=False)
    found = image.run(steps=100, seed=2)
    assert np.array_equal(np.bincount(found.spikes["edges"].ids, minlength=256), expected.counts["edges"].values)
    assert np.array_equal(found.spikes["pooled"].ids, expected.spikes["pooled"].ids) and len(found.spikes["pooled"]) > 100


CONV = sim.Conv(np.arange(1.0, 37.0).reshape(4, 1, 3, 3), stride=2, padding=1, groups=2)


@pytest.mark.parametrize("rule", [CONV, sim.Pool(2), sim.AllToAll(autapses=False), sim.OneToOne(), sim.PairList([0, 0, 5], [1, 1, 7])])
def test_synapses_are_those_of_the_engine(rule):
    """Each source alone, its weights as the reference engine delivers them."""
    shapes = {"Conv": ((2, 6, 6), (4, 3, 3)), "Pool": ((2, 6, 6), (2, 3, 3))}.get(type(rule).__name__, ((9,), (9,)))
    net = sim.Network()
    source = net.population("s", shapes[0], sim.SpikeTrains(1.0 + np.arange(int(np.prod(shapes[0]))), np.arange(int(np.prod(shapes[0])))))
    target = net.population("t", shapes[1], sim.IF(v_threshold=np.inf))
    projection = net.project(source, target, rule, weight=2.0, delay=0.0)
    net.record(target, "v")
    v = sim.Simulation(net, dt=1.0, engine="reference").run(float(len(source)), progress=False).traces["t", "v"].values
    found = np.zeros((len(source), len(target)))
    synapses = synapses_of(net, projection)
    np.add.at(found, (synapses.sources, synapses.targets), synapses.weights)
    assert np.array_equal(np.diff(v, axis=0, prepend=np.zeros((1, len(target)))), found) and (synapses.delays == 0).all()


@settings(max_examples=300, deadline=None)
@given(weights=st.lists(st.integers(-2000, 2000).filter(bool), min_size=5, max_size=30, unique=True))
def test_decomposition(weights):
    """Any weights are sums of the four that the basis has, none beyond 9 bits."""
    values = np.array(weights)
    basis = best_basis(values, np.ones(len(values), int))
    needed = written(basis, values)
    assert needed is not None and np.array_equal(needed @ np.array(basis), values)
    assert (needed >= 0).all() and max(map(abs, basis)) <= 255


def test_many_weights_take_few_axons():
    """All weights of 8 bits with sign need at most 13 axons a source; a common factor costs nothing."""
    values = np.array([w for w in range(-127, 128) if w])
    needed = written(best_basis(values, np.ones(len(values), int)), values)
    assert needed.max(axis=0).sum() <= 23 and needed.sum(axis=1).mean() < 8
    tripled = written(best_basis(3 * values[100:150], np.ones(50, int)), 3 * values[100:150])
    assert np.array_equal(tripled, written(best_basis(values[100:150], np.ones(50, int)), values[100:150]))


def test_placement_is_better_than_chance():
    """Fewer hops than the cores in their order, on a ring of which the order was shuffled; each place is taken once."""
    rng = np.random.default_rng(0)
    order = rng.permutation(30)
    traffic = np.zeros((30, 31), np.int64)
    traffic[order, np.roll(order, 1)] = 50
    positions = place(traffic, (1, 1))
    assert len({tuple(p) for p in positions.tolist()}) == 30
    naive = np.stack([np.arange(30) % 6, np.arange(30) // 6], axis=1)
    assert hops(traffic, positions) < 0.6 * hops(traffic, naive)
    assert hops(traffic, positions) <= 1.4 * 30 * 50  # a ring at one hop each would be 1,500


def test_report_and_power():
    net = layered(np.random.default_rng(0), outputs=50)
    image = map_to(net, "truenorth")
    report = image.report
    assert report.neurons == 150 and report.outputs == 50 and report.inputs == 60
    assert report.cores == image.cores and 0 < report.crossbar_occupancy < report.axon_occupancy < 1
    assert report.synapses == np.bitwise_count(image.crossbar).sum()
    assert "150 neurons" in str(report) and "copies" in str(image)
    emulator = Emulator(image, seed=1)
    emulator.run(steps=1000)
    drawn = power(emulator.activity, image.cores)
    assert drawn["events"] == pytest.approx(emulator.activity.synaptic_events * 26e-9)
    assert drawn["components"] > 42.0 * image.cores / 4096


def test_rules_are_the_networks():
    net = layered(np.random.default_rng(0), outputs=10)
    rules = Rules(order="leak_first", floor="at")
    other = sim.Network()
    for name, p in net.populations.items():
        values = p.model.values() | {"rules": rules, "leak": 1} if isinstance(p.model, TrueNorth) else None
        other.population(name, p.shape, TrueNorth(**values) if values else p.model)
    for p in net.projections.values():
        other.project(p.source, p.target, p.rule, delay=p.delay)
    other.record(other.populations["out"])
    image = map_to(other, "truenorth")
    assert image.rules == rules and same_spikes(other, image) > 20
