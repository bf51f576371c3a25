"""Synapses that are drawn again for each spike give the spikes of stored ones, bit for bit, and take no memory."""

import tracemalloc
from itertools import product

import numpy as np
import pytest

from spikesim.compiler import compile_network
from spikesim.connectivity import AllToAll, Dense, FixedIndegree, FixedOutdegree, FixedProbability, FixedTotalNumber, OneToOne
from spikesim.connectivity.tables import BLOCK
from spikesim.distributions import ClippedNormal, LogNormal, Normal, Uniform
from spikesim.engine.state import State
from spikesim.errors import MemoryNeededError
from spikesim.models.networks.microcircuit import microcircuit
from spikesim.network import Network
from spikesim.neurons import LIF
from spikesim.program import Program
from spikesim.recording import Recording
from spikesim.simulation import Simulation
from spikesim.stimulus import DirectCurrent, Poisson, PoissonDrive
from spikesim.summary import memory_needed
from spikesim.synapses import Delta, ExponentialCurrent

DT = 0.5
THREADS = (1, 2, 3, 8)
WHOLE, EVERY_THIRD, ODD, MIDDLE = slice(None), slice(1, 40, 3), slice(1, 40, 2), slice(11, 24)

RULES = {
    "one to one": (OneToOne(), EVERY_THIRD, MIDDLE),
    "all to all": (AllToAll(), MIDDLE, ODD),
    "all to all without autapses": (AllToAll(autapses=False), ODD, EVERY_THIRD),
    "fixed probability": (FixedProbability(0.2), WHOLE, WHOLE),
    "fixed probability without autapses": (FixedProbability(0.4, autapses=False), EVERY_THIRD, ODD),
    "fixed probability of one": (FixedProbability(1.0), MIDDLE, ODD),
    "fixed outdegree": (FixedOutdegree(5), WHOLE, MIDDLE),
    "fixed outdegree without autapses": (FixedOutdegree(5, autapses=False), ODD, WHOLE),
    "fixed outdegree without either": (FixedOutdegree(12, autapses=False, multapses=False), MIDDLE, MIDDLE),
    "fixed total number": (FixedTotalNumber(200), WHOLE, EVERY_THIRD),
    "fixed total number without autapses": (FixedTotalNumber(200, autapses=False), ODD, WHOLE),
}
WEIGHTS = {"one weight": 0.75, "normal weights": Normal(0.5, 0.4), "skewed weights": LogNormal(-0.5, 0.5)}
DELAYS = {"one delay": 2.0, "uniform delays": Uniform(0.5, 12.0), "normal delays": ClippedNormal(3.0, 2.0, low=0.5, high=9.0)}


def network(rule=None, source=WHOLE, target=WHOLE, *, weight=0.75, delay=2.0) -> Network:
    """Neurons that are driven, connected by ``rule`` and by others, through two receptors."""
    net = Network()
    model = LIF(receptors={"hit": Delta(), "exc": ExponentialCurrent()})
    cells = net.population("cells", 40, model, initial={"v": Uniform(-70.0, -55.0)})
    others = net.population("others", 25, model, initial={"v": Uniform(-70.0, -55.0)})
    noise = net.population("noise", 30, Poisson(rate=150.0))
    for population in (cells, others):
        net.stimulate(population, PoissonDrive(rate=3000.0, weight=1.5, receptor="hit"))
    net.project(cells[source], cells[target], FixedProbability(0.2) if rule is None else rule, weight=weight, delay=delay, receptor="hit")
    net.project(noise, [cells, others], FixedOutdegree(7), weight=Normal(200.0, 40.0), delay=1.0, receptor="exc")
    net.project(cells[::2], others[3:], FixedTotalNumber(90), weight=Normal(0.6, 0.1), delay=Uniform(1.0, 6.0), receptor="hit")
    net.project(others, cells, AllToAll(), weight=-0.1, delay=1.5, receptor="hit")
    net.project(others, cells, Dense(np.linspace(-0.1, 0.2, 1000).reshape(25, 40)), delay=1.0, receptor="hit")
    for population in (cells, others, noise):
        net.record(population)
    net.record(cells, "v")
    return net


def simulate(net: Network, *, procedural: bool, threads: int = 1, **options) -> Simulation:
    return Simulation(net, **({"dt": DT, "seed": 5} | options), threads=threads, procedural=procedural)


def contents(recording: Recording) -> dict[tuple, bytes]:
    spikes = {(name, field): value for name, entry in recording.spikes.items() for field, value in vars(entry).items()}
    traces = {(name, "values"): entry.values for name, entry in recording.traces.items()}
    return {key: np.asarray(value).tobytes() for key, value in (spikes | traces).items()}


def assert_same_as_stored(net: Network, duration: float = 30.0, **options) -> None:
    """The same with any number of threads, with stored synapses and without."""
    stored = simulate(net, procedural=False, **options).run(duration)
    assert sum(len(spikes) for spikes in stored.spikes.values()) > 100
    for threads in THREADS:
        made = simulate(net, procedural=True, threads=threads, **options)
        assert not made.program.tables
        assert contents(made.run(duration)) == contents(stored), threads


# ---- the same spikes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rule", "weight", "delay"), list(product(RULES, WEIGHTS, DELAYS)))
def test_every_rule_with_every_kind_of_weight_and_delay(rule, weight, delay):
    assert_same_as_stored(network(*RULES[rule], weight=WEIGHTS[weight], delay=DELAYS[delay]))


@pytest.mark.parametrize(("rule", "shape"), [
    (OneToOne(), 40), (AllToAll(), (40, 40)), (AllToAll(autapses=False), (40, 40)), (FixedOutdegree(5), (40, 5)),
    (FixedTotalNumber(300), 300),
])  # fmt: skip
def test_arrays_of_weights_and_delays(rule, shape):
    """The array's owner keeps it; each synapse finds its own entry."""
    weights = np.random.default_rng(1).uniform(-0.3, 0.6, shape)
    assert_same_as_stored(network(rule, weight=weights, delay=np.ceil(10.0 * np.abs(weights) + 0.1)))


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("weight", [-0.5, 1e6, LogNormal(-3.0, 2.0)])
def test_every_precision_and_width(weight, precision):
    """Weights of 16 and 32 bits, sums that would fit 32 bits and sums that would not."""
    assert_same_as_stored(network(weight=weight), precision=precision)


def test_more_input_slots_than_a_block_holds():
    net = Network()
    source = net.population("source", 40, Poisson(rate=500.0))
    cells = net.population("cells", BLOCK + 500, LIF(receptors={"hit": Delta()}))
    net.project(source, cells, FixedProbability(0.01), weight=8.0, delay=1.0)
    net.project(source, cells[BLOCK - 700 :], FixedOutdegree(300), weight=8.0, delay=Uniform(0.5, 3.0))
    net.record(source)
    net.record(cells)
    assert_same_as_stored(net, 10.0)


def test_the_microcircuit():
    """A published network: 55 projections, weights and delays drawn, in float32."""
    assert_same_as_stored(microcircuit(scale=0.02), 200.0, dt=0.1)


def test_no_sparse_projection():
    """Structured projections alone are as ever."""
    net = Network()
    source, cells = net.population("source", 40, Poisson(rate=500.0)), net.population("cells", 40, LIF(receptors={"hit": Delta()}))
    net.project(source, cells, Dense(np.full((40, 40), 2.0)), delay=0.0)
    net.record(source)
    net.record(cells)
    assert_same_as_stored(net)


# ---- stopped, saved, begun again -----------------------------------------------------------------------------------


@pytest.fixture(params=[Uniform(1.0, 20.0), 20.0], ids=["delays", "delay"])
def slow(request) -> Network:
    """A network whose spikes are under way for many steps."""
    return network(FixedOutdegree(8), weight=Normal(0.5, 0.2), delay=request.param)


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("stop", [0.5, 3.0, 25.0])
def test_resumed_with_spikes_in_flight(slow, stop, threads, tmp_path):
    """A file goes on where it was, with its synapses not stored, on any number of threads and with synapses stored."""
    straight = simulate(slow, procedural=False)
    straight.run(stop)
    rest = contents(straight.run(30.0))
    made = simulate(slow, procedural=True, threads=2)
    made.run(stop)
    made.save(tmp_path / "state.h5")
    loaded = Simulation.load(tmp_path / "state.h5", threads=threads)
    assert loaded.procedural
    assert not loaded.program.tables
    assert contents(loaded.run(30.0)) == rest
    stored = simulate(slow, procedural=False, threads=threads)
    stored.engine.restore(made.engine.snapshot())
    assert contents(stored.run(30.0)) == rest


def test_restored_and_reset(slow):
    """What was under way before does not arrive afterwards; what is in the state does, once."""
    made = simulate(slow, procedural=True, threads=2)
    first = contents(made.run(30.0))
    state: State = made.engine.snapshot()
    assert len(np.unique(state.flight_steps)) > 30
    second = contents(made.run(30.0))
    made.engine.restore(state)
    assert contents(made.run(30.0)) == second
    made.reset()
    assert contents(made.run(30.0)) == first


@pytest.mark.parametrize("threads", [1, 2])
def test_trials(slow, threads):
    """Trials use the simulation's connections, whatever their own random numbers."""
    slow.stimulate(slow.populations["cells"], DirectCurrent(np.zeros(40)))
    currents = {"cells": np.random.default_rng(2).uniform(0.0, 300.0, (3, 40))}
    stored, made = (simulate(slow, procedural=procedural, threads=threads) for procedural in (False, True))
    for seeds in (None, [1, 2, 3]):
        wanted, found = (each.trials(20.0, currents=currents, seeds=seeds) for each in (stored, made))
        assert [contents(trial) for trial in found] == [contents(trial) for trial in wanted]
    assert contents(made.run(20.0)) == contents(stored.run(20.0))


def test_the_reference_engine_stores_synapses(slow):
    """The oracle takes the option and gives the same spikes."""
    oracle = Simulation(slow, dt=DT, seed=5, engine="reference", procedural=True).run(20.0)
    assert contents(oracle) == contents(simulate(slow, procedural=True, precision="float64").run(20.0))


# ---- memory --------------------------------------------------------------------------------------------------------


def dense_enough(size: int) -> Network:
    """``size ** 2`` synapses, half of them drawn."""
    net = Network()
    cells = net.population("cells", size, LIF())
    for rule in (FixedProbability(0.5), FixedTotalNumber(size**2 // 2)):
        net.project(cells, cells, rule, weight=Uniform(1.0, 2.0), delay=Uniform(0.5, 1.5), receptor="exc")
    return net


def peak(procedural: bool, size: int) -> int:
    tracemalloc.start()
    simulate(dense_enough(size), procedural=procedural).run(5.0)
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found


def test_synapses_take_no_memory():
    """A network of 4 million synapses takes less than a byte for each, and more than 4 where they are stored."""
    for procedural in (False, True):
        simulate(dense_enough(50), procedural=procedural).run(5.0)  # compiles
    assert peak(False, 2000) > 4 * 2000**2
    assert peak(True, 2000) < 2000**2


def test_synapses_that_would_not_fit_are_not_counted(monkeypatch):
    net = dense_enough(3000)
    monkeypatch.setattr("spikesim.compiler.compile.available_bytes", lambda: 10**7)
    with pytest.raises(MemoryNeededError):
        compile_network(net, dt=DT)
    assert compile_network(net, dt=DT, procedural=True).rows
    assert sum(memory_needed(net, DT, procedural=True).values()) < 1e6


def out_degrees(program: Program) -> dict[str, np.ndarray]:
    return {c.name: sum(held.out_degrees for held in program.tables + program.rows if held.source == c.index) for c in program.cells}


@pytest.mark.parametrize("parts", THREADS)
def test_numbers_of_synapses(parts):
    """They are those of the tables, in all and of each neuron."""
    net = network(FixedTotalNumber(200, autapses=False), ODD, WHOLE)
    stored, made = compile_network(net, dt=DT), compile_network(net, dt=DT, parts=parts, procedural=True)
    assert made.synapses == stored.synapses
    for name, wanted in out_degrees(stored).items():
        np.testing.assert_array_equal(out_degrees(made)[name], wanted)


def test_what_is_refused_is_refused_before_anything_is_drawn():
    """A rule that goes by target is an error of the network, not of memory."""
    net = Network()
    cells = net.population("cells", 2_000_000, LIF())
    net.project(cells, cells, FixedIndegree(1_000_000), weight=1.0, delay=1.0, receptor="exc")
    with pytest.raises(NotImplementedError, match="FixedIndegree"):
        compile_network(net, dt=DT, procedural=True)
