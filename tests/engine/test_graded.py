"""Graded spikes: their sizes multiply the weights, are recorded, saved and resumed, and never overflow."""

import math
from collections.abc import Mapping
from dataclasses import field
from typing import TYPE_CHECKING

import numpy as np
import pytest

from spikesim.connectivity import AllToAll, Conv, Dense, FixedIndegree, Matrix, OneToOne
from spikesim.description import real
from spikesim.engine import ENGINES
from spikesim.errors import DescriptionError, FileFormatError, KindError, UnsupportedError
from spikesim.network import Network
from spikesim.neurons import IF, LIF, Product, SigmaDelta
from spikesim.neurons.model import Neuron
from spikesim.recording import Recording
from spikesim.simulation import Simulation
from spikesim.stimulus import DirectCurrent, Poisson, SpikeTrains
from spikesim.storage import load, save
from spikesim.synapses import Delta, Receptor

every_engine = pytest.mark.parametrize("engine", list(ENGINES))
every_variant = pytest.mark.parametrize(("engine", "threads"), [("reference", 1), ("cpu", 1), ("cpu", 2), ("cpu", 3)])
SIZES = np.array([3.0, -2.0, 0.0, 70_000.0, -1.0, 12.0])


def sender(net: Network, sizes=SIZES, **options):
    """Neurons that each send one spike of the given size in the first step, and then no more."""
    return net.population("source", len(sizes), SigmaDelta(function="identity", burst=2**20, **options), initial={"u": sizes})


def received(rule, *, engine, threads=1, delay=2.0, weight=None, shape=6, sizes=SIZES) -> np.ndarray:
    """What integrators have received after each of 6 steps."""
    net = Network()
    target = net.population("target", shape, IF(v_threshold=np.inf))
    net.project(sender(net, sizes), target, rule, weight=weight, delay=delay)
    net.record(target, "v")
    made = Simulation(net, dt=1.0, engine=engine, threads=threads, precision="float64")
    return made.run(6.0, progress=False).trace("target", "v").values


WEIGHTS = np.arange(-18.0, 18.0).reshape(6, 6)
WIDE = WEIGHTS + 2.0**-20  # so that the weight 0 becomes one that needs int32
RULES = {
    "dense": (Dense(WEIGHTS), None, SIZES @ WEIGHTS),
    "table of one weight": (AllToAll(), 0.5, np.full(6, 0.5 * SIZES.sum())),
    "table of int16": (Matrix(WEIGHTS), None, SIZES @ WEIGHTS),
    "table of int32": (Matrix(WIDE), None, SIZES @ WIDE),
    "dense of int32": (Dense(WIDE), None, SIZES @ WIDE),
}


@every_variant
@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("delay", [0.0, 1.0, 3.0])
def test_sizes_multiply_the_weights(engine, threads, name, delay):
    rule, weight, wanted = RULES[name]
    values = received(rule, engine=engine, threads=threads, delay=delay, weight=weight)
    np.testing.assert_array_equal(values, np.where(np.arange(6)[:, None] >= delay, wanted, 0.0))


@every_engine
def test_sizes_multiply_a_kernel(engine):
    """A convolution of graded pixels is the convolution of their sizes."""
    net = Network()
    pixels = np.arange(-4.0, 8.0).reshape(1, 12)
    source = net.population("source", (1, 12), SigmaDelta(function="identity", burst=100), initial={"u": pixels})
    target = net.population("target", (1, 10), IF(v_threshold=np.inf))
    net.project(source, target, Conv([[[1.0, -2.0, 0.5]]]), delay=0.0)
    net.record(target, "v")
    found = Simulation(net, dt=1.0, engine=engine).run(2.0, progress=False).trace("target", "v").values[-1]
    np.testing.assert_array_equal(found, np.correlate(pixels[0], [1.0, -2.0, 0.5], "valid"))


@every_variant
@pytest.mark.parametrize("name", RULES)
def test_sizes_of_trains_multiply_the_weights(engine, threads, name, tmp_path):
    """As those of neurons do, in any order of the spikes, from a network that was in a file, too; they are recorded."""
    rule, weight, wanted = RULES[name]
    sent = np.flatnonzero(SIZES)[::-1]
    net = Network()
    source = net.population("source", 6, SpikeTrains(1.0 + sent % 3, sent, SIZES[sent]))
    target = net.population("target", 6, IF(v_threshold=np.inf))
    net.project(source, target, rule, weight=weight, delay=2.0)
    net.record(target, "v")
    net.record(source)
    net.save(tmp_path / "net.h5")
    net = Network.load(tmp_path / "net.h5")
    made = Simulation(net, dt=1.0, engine=engine, threads=threads, precision="float64").run(6.0, progress=False)
    np.testing.assert_array_equal(made.trace("target", "v").values[-1], wanted)
    spikes = made.spikes["source"]
    np.testing.assert_array_equal(spikes.sizes, SIZES[spikes.ids])
    assert spikes.sizes.dtype == np.int32


def test_sizes_of_trains_bound_the_accumulator():
    def compiled(size, weight=100.0):
        net = Network()
        source = net.population("source", 1, SpikeTrains([1.0, 2.0], [0, 0], [3, size]))
        net.project(source, net.population("target", 1, IF()), Dense([[weight]]), delay=1.0)
        return Simulation(net, dt=1.0, weight_bits=32)

    assert compiled(1).program.accumulator is np.int32
    assert compiled(-(2**31)).program.accumulator is np.int64
    assert [compiled(size).program.cells[0].largest_spike for size in (1, -7, -(2**31))] == [3, 7, 2**31]


@every_engine
def test_sizes_are_recorded(engine):
    """Spikes of size 0 are none; counts count spikes, whatever their size; a slice has the sizes of its own."""
    net = Network()
    source = sender(net)
    net.record(source[1:])
    net.record(source, "counts")
    net.record(net.population("binary", 1, SpikeTrains([1.0, 2.0], [0, 0])))
    recording = Simulation(net, dt=1.0, engine=engine).run(3.0, progress=False)
    spikes = recording.spikes["source"]
    assert spikes.sizes.dtype == np.int32
    assert (spikes.ids.tolist(), spikes.sizes.tolist()) == ([1, 3, 4, 5], [-2, 70_000, -1, 12])
    assert recording.counts["source"].values.tolist() == [1, 1, 0, 1, 1, 1]
    assert recording.spikes["binary"].sizes.tolist() == [1, 1]


def busy() -> Network:
    """Graded and binary populations that excite each other over long and short delays."""
    net = Network()
    noise = net.population("noise", 10, Poisson(rate=300.0))
    graded = net.population("graded", 30, SigmaDelta(function="tanh", quantum=0.05, burst=4), initial={"u": np.linspace(-1.0, 1.0, 30)})
    cells = net.population("cells", 20, IF(v_threshold=2.0))
    product = net.population("product", 20, Product(quantum=0.5, averaged=True, burst=2))
    trains = net.population("trains", 4, SpikeTrains(np.arange(1.0, 49.0), np.arange(48) % 4, [1, -2, 3, 2**20] * 12))
    net.project(noise, graded, FixedIndegree(3), weight=0.1, delay=2.0)
    net.project(trains[:3], graded, FixedIndegree(2), weight=0.01, delay=4.0)
    net.project(graded, graded, FixedIndegree(4), weight=-0.02, delay=np.arange(1, 121) % 7 + 1.0)
    net.project(graded, cells, FixedIndegree(5), weight=0.3, delay=0.0)
    net.project(cells, graded, Matrix(np.eye(20, 30)), weight=0.01, delay=3.0)
    net.project(graded[:20], product, OneToOne(), weight=0.4, delay=4.0, receptor="a")
    net.project(cells, product, OneToOne(), weight=0.7, delay=0.0, receptor="b")
    for population in (graded, cells, product, noise, trains):
        net.record(population)
        net.record(population, "counts")
    net.record(product, "sent")
    return net


def arrays(recording: Recording) -> dict[str, bytes]:
    kinds = {"spikes": recording.spikes, "traces": recording.traces, "counts": recording.counts}
    return {f"{kind} {name} {field}": np.asarray(value).tobytes() for kind, entries in kinds.items() for name, entry in entries.items()
            for field, value in vars(entry).items()}  # fmt: skip


def simulation(engine="cpu", threads=1) -> Simulation:
    return Simulation(busy(), dt=1.0, seed=3, engine=engine, threads=threads, precision="float64")


@every_variant
def test_the_same_after_a_rest_in_a_file(engine, threads, tmp_path):
    """With graded spikes in flight, loaded on any engine and number of threads, it goes on as if never stopped."""
    straight, stopped = simulation(engine, threads), simulation(engine, threads)
    straight.run(25.0, progress=False)
    stopped.run(25.0, progress=False)
    stopped.save(tmp_path / "state.h5")
    sizes = stopped.engine.snapshot().flight_sizes
    assert set(np.unique(sizes)) > {-1, 1, 2}
    wanted = arrays(straight.run(25.0, progress=False))
    for options in ({}, {"engine": "reference"}, {"engine": "cpu", "threads": 3}):
        assert arrays(Simulation.load(tmp_path / "state.h5", **options).run(25.0, progress=False)) == wanted


def test_a_state_without_its_sizes_goes_on_differently():
    made = simulation()
    made.run(25.0, progress=False)
    state = made.engine.snapshot()
    wanted = arrays(made.run(25.0, progress=False))
    made.engine.restore(type(state)(state.step, state.values, state.flight_steps, state.flight_neurons))
    assert arrays(made.run(25.0, progress=False)) != wanted


@pytest.mark.parametrize("spoil", [lambda s: s * 0, lambda s: s * 1000, lambda s: s[:-1], lambda s: s.astype(np.int64), lambda s: -s])
def test_sizes_that_cannot_be_are_refused(spoil, tmp_path):
    made = simulation()
    made.run(25.0, progress=False)
    made.save(tmp_path / "state.h5")
    data = load(tmp_path / "state.h5", "simulation")
    data["state"]["flight_sizes"] = spoil(data["state"]["flight_sizes"])
    save(tmp_path / "bad.h5", "simulation", data)
    with pytest.raises(FileFormatError, match="sizes"):
        Simulation.load(tmp_path / "bad.h5")


def test_a_state_from_before_there_were_sizes_loads(tmp_path):
    net = Network()
    source = net.population("source", 5, Poisson(rate=300.0))
    net.project(source, net.population("cells", 5, IF()), OneToOne(), weight=0.5, delay=4.0)
    net.record(net.populations["cells"])
    made = Simulation(net, dt=1.0)
    made.run(10.0, progress=False)
    made.save(tmp_path / "state.h5")
    data = load(tmp_path / "state.h5", "simulation")
    assert len(data["state"].pop("flight_sizes")) == 0
    save(tmp_path / "old.h5", "simulation", data)
    assert arrays(Simulation.load(tmp_path / "old.h5").run(10.0, progress=False)) == arrays(made.run(10.0, progress=False))


@pytest.mark.parametrize("streamed", [False, True])
def test_recordings_in_files_keep_sizes(streamed, tmp_path):
    wanted = simulation().run(50.0, progress=False)
    path = tmp_path / "recording.h5"
    if streamed:
        simulation().run(50.0, progress=False, to=path)
    else:
        wanted.save(path)
    assert arrays(Recording.load(path)) == arrays(wanted)
    assert len(np.unique(wanted.spikes["graded"].sizes)) > 3


def test_procedural_synapses_of_graded_sources_are_refused():
    net = Network()
    net.project(net.population("a", 3, SigmaDelta()), net.population("b", 3, IF()), AllToAll(), weight=1.0, delay=1.0)
    with pytest.raises(UnsupportedError, match=r"'a->b': procedural=True cannot deliver graded spikes, which 'a' sends"):
        Simulation(net, dt=1.0, procedural=True)


def heavy(burst: int, *, weights=(1.0, 1.0), size=6) -> Network:
    net = Network()
    source = sender(net, np.full(size, 2.0**40)) if burst == 2**20 else net.population("source", size, SigmaDelta(burst=burst))
    target = net.population("target", size, IF(v_threshold=np.inf))
    net.project(source, target, Dense(np.full((size, size), weights[0]) + np.eye(size) * (weights[1] - weights[0])), delay=1.0)
    net.record(target, "v")
    return net


def test_the_accumulator_has_room_for_the_largest_spikes():
    """Where sizes times weights leave int32 the sums are int64 and right; where they could leave int64 it is an error."""
    assert Simulation(heavy(1), dt=1.0).program.accumulator is np.int32
    made = Simulation(heavy(2**20, weights=(1.0, 30_000.0)), dt=1.0, precision="float64")
    assert made.program.accumulator is np.int64
    values = made.run(3.0, progress=False).trace("target", "v").values
    np.testing.assert_array_equal(values[1:], 2.0**20 * (30_000.0 + 5.0) * np.array([[1.0], [2.0]]).repeat(6, axis=1))
    with pytest.raises(DescriptionError, match=r"network: the input of a neuron .* source \(1073741824\): lower their burst or sizes"):
        Simulation(heavy(2**30, weights=(1.0, 1e-9), size=8), dt=1.0)


# ---- functions that steps close over -------------------------------------------------------------------------------


def doubled(inner):
    """A function that closes over another one."""

    def twice(x):
        return 2.0 * inner(x)

    return twice


def softened(x):
    return x / (1.0 + abs(x)) + math.pi


def answer_of_nobody(x):
    return UNKNOWN + x  # type: ignore[name-defined]  # noqa: F821


def endless():
    def call(x):
        return call(x)

    return call


def step_of(function, offset=0.0):
    def step(v, current, jump, conductance, pull, injected, rise):
        v = function(v + jump + rise)
        return v, v > 4.0

    def shifted(v, current, jump, conductance, pull, injected, rise):
        return v + offset, False

    return shifted if offset else step


STEPS = {"soft": step_of(doubled(softened)), "foreign": step_of(answer_of_nobody), "endless": step_of(endless()),
         "number": step_of(softened, 2.0)}  # fmt: skip


class Closing(Neuron):
    """A neuron whose step closes over functions."""

    STATE = ("v",)
    kind: str = "soft"
    rise: float = real(default=0.5)
    if TYPE_CHECKING:
        receptors: Mapping[str, Receptor] = field(init=False)

    def check(self) -> None:
        object.__setattr__(self, "receptors", {"input": Delta()})

    def membrane(self):
        return STEPS[self.kind]

    def coefficients(self, h):
        return {"rise": self.rise}

    def receptor_coefficients(self, h):
        return {"input": {}}

    def initial(self):
        return {"v": 0.0}


def closing(kind="soft", engine="cpu", **options) -> np.ndarray:
    net = Network()
    net.record(net.population("cells", 3, Closing(kind), initial={"v": [0.0, 1.0, -9.0]}), "v")
    return Simulation(net, dt=1.0, engine=engine, **options).run(5.0, progress=False).trace("cells", "v").values


def test_steps_may_call_what_they_close_over():
    wanted = [np.array([0.0, 1.0, -9.0])]
    for _ in range(5):
        x = wanted[-1] + 0.5
        wanted.append(2.0 * (x / (1.0 + np.abs(x)) + np.pi))
    np.testing.assert_array_equal(closing(engine="reference"), wanted[1:])
    np.testing.assert_array_equal(closing(precision="float64"), wanted[1:])
    np.testing.assert_allclose(closing(precision="float32"), wanted[1:], rtol=1e-6)


@pytest.mark.parametrize(("kind", "says"), [("foreign", "uses UNKNOWN"), ("endless", "calls itself"), ("number", "uses offset")])
def test_functions_that_are_not_pure_are_refused(kind, says):
    with pytest.raises(KindError, match=says):
        closing(kind)


def test_models_with_sums_take_no_current():
    net = Network()
    with pytest.raises(DescriptionError, match="Product takes no current"):
        net.stimulate(net.population("p", 2, Product()), DirectCurrent(1.0))
    assert LIF().largest_spike() == IF().largest_spike() == 1
