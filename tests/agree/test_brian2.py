"""Brian2: the same spikes where both solve exactly, the same potential and statistics where they differ by a method.

Brian2 stamps a spike with the start of the step in which it was found, spikesim with its end; delays count from there in both.
Brian2's refractory time also counts from that start, so it is given one step more to hold V for as long.
"""

import logging
import warnings
from importlib.util import find_spec

import numpy as np
import pytest

import spikesim as sim

pytestmark = [
    pytest.mark.skipif(find_spec("brian2") is None, reason="Brian2 is not installed"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

CURRENTS = """
    dv/dt = ((v_rest - v) / tau_m + (i_e + exc + inh) / c_m) * int(not_refractory) : volt
    dexc/dt = -exc / tau_exc : amp
    dinh/dt = -inh / tau_inh : amp
    i_e : amp (constant)
"""
CONDUCTANCES = """
    dv/dt = ((v_rest - v) / tau_m + (i_e + exc * (e_exc - v) + inh * (e_inh - v)) / c_m) * int(not_refractory) : volt
    dexc/dt = -exc / tau_exc : siemens
    dinh/dt = -inh / tau_inh : siemens
    i_e : amp (constant)
"""


@pytest.fixture(scope="module")
def brian2():
    """Brian2 without compilers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import brian2

    logging.getLogger("brian2").setLevel("WARNING")
    brian2.prefs.codegen.target = "numpy"
    return brian2


@pytest.fixture
def cells(brian2):
    """Make a Brian2 group of neurons from numbers in spikesim's units."""

    def make(equations, size, dt, *, method, v, i_e, v_threshold, t_ref, **numbers):
        brian2.defaultclock.dt = dt * brian2.ms
        unit = {"tau": brian2.ms, "c": brian2.pF, "v": brian2.mV, "e": brian2.mV}
        names = {name: value * unit[name.split("_")[0]] for name, value in numbers.items()}
        group = brian2.NeuronGroup(size, equations + "v_threshold : volt (constant)", threshold="v >= v_threshold", reset="v = v_reset",
                                   refractory=(t_ref + dt) * brian2.ms, method=method, namespace=names)  # fmt: skip
        group.v, group.i_e, group.v_threshold = v * brian2.mV, i_e * brian2.pA, v_threshold * brian2.mV
        return group

    return make


def test_same_spikes(brian2, cells, membrane, random_network, in_spikesim):
    """A recurrent network with exponential currents and delays of 0.1 to 4.9 ms: all spikes are those of Brian2."""
    network = random_network(3, 300.0)
    spikes, _ = in_spikesim(network, {"exc": sim.ExponentialCurrent(tau=2.0), "inh": sim.ExponentialCurrent(tau=5.0)}, 1000.0)
    group = cells(CURRENTS, 50, 0.1, method="exact", v=network["v"], i_e=network["i_e"], tau_exc=2.0, tau_inh=5.0, **membrane)
    parts = [group, monitor := brian2.SpikeMonitor(group)]
    for receptor, mine in (("exc", network["weight"] > 0.0), ("inh", network["weight"] < 0.0)):
        synapses = brian2.Synapses(group, group, "w : amp", on_pre=f"{receptor} += w")
        synapses.connect(i=network["pre"][mine], j=network["post"][mine])
        synapses.w = network["weight"][mine] * brian2.pA
        synapses.delay = network["delay"][mine] * brian2.ms
        parts.append(synapses)
    brian2.Network(parts).run(1000.0 * brian2.ms)
    rows = np.column_stack([np.rint(monitor.t / brian2.ms / 0.1).astype(int) + 1, monitor.i])
    np.testing.assert_array_equal(spikes, rows[np.lexsort(rows.T[::-1])])


NEURON = {"tau_m": 20.0, "c_m": 200.0, "v_rest": -60.0, "v_reset": -60.0, "t_ref": 5.0}
RECEPTORS = {"exc": sim.ExponentialConductance(tau=5.0, reversal=0.0), "inh": sim.ExponentialConductance(tau=10.0, reversal=-80.0)}
IN_BRIAN2 = {"tau_exc": 5.0, "tau_inh": 10.0, "e_exc": 0.0, "e_inh": -80.0}


BARRAGE = {"exc": (6.0, 400), "inh": (30.0, 40)}  # weight (nS), number of spikes


@pytest.fixture
def arrivals():
    """When the spikes of `BARRAGE` arrive, in steps of 0.1 ms within 300 ms."""
    rng = np.random.default_rng(14)
    return {receptor: np.sort(rng.choice(np.arange(2, 3000), count, replace=False)) for receptor, (_, count) in BARRAGE.items()}


def barrage_in_brian2(brian2, cells, arrivals, dt):
    """(V of a neuron that never fires, each ms; spike times of one that does) by RK4."""
    group = cells(CONDUCTANCES, 2, dt, method="rk4", v=-60.0, i_e=50.0, v_threshold=np.array([1e3, -50.0]), **NEURON, **IN_BRIAN2)
    parts = [group, voltage := brian2.StateMonitor(group[:1], "v", record=True, dt=1.0 * brian2.ms), spikes := brian2.SpikeMonitor(group)]
    for receptor, steps in arrivals.items():
        source = brian2.SpikeGeneratorGroup(1, np.zeros(len(steps), int), (0.1 * steps - dt) * brian2.ms)
        synapses = brian2.Synapses(source, group, on_pre=f"{receptor} += {BARRAGE[receptor][0]} * nS")
        synapses.connect()
        parts += [source, synapses]
    brian2.Network(parts).run(300.0 * brian2.ms)
    return np.asarray(voltage.v[0][1:] / brian2.mV), np.asarray(spikes.t / brian2.ms) + dt


def barrage_in_spikesim(run_cpu, arrivals, dt):
    """The same in spikesim."""
    net = sim.Network()
    model = sim.LIF(**NEURON, v_threshold=np.array([1e3, -50.0]), i_e=50.0, receptors=RECEPTORS)
    cell = net.population("cell", 2, model, initial={"v": -60.0})
    for receptor, steps in arrivals.items():
        source = net.population(receptor, 1, sim.SpikeTrains(0.1 * (steps - 1), np.zeros(len(steps), int)))
        net.project(source, cell, sim.AllToAll(), weight=BARRAGE[receptor][0], delay=0.1, receptor=receptor)
    net.record(cell[:1], "v", every=1.0)
    net.record(cell)
    recording = run_cpu(net, 300.0, dt=dt)
    return recording.trace("cell", "v").values[:-1, 0], recording.spikes["cell"].times


def test_conductances(brian2, cells, run_cpu, arrivals):
    """Under a barrage of conductances V is that of Brian2 at 0.005 ms, to 0.0015 mV at 0.1 ms and to 0.00006 mV at 0.02 ms.

    Intervals are rounded up to the grid and the input makes up for it: no spike is early, the mean one 2.5 steps late at most.
    """
    expected, times = barrage_in_brian2(brian2, cells, arrivals, 0.005)
    assert len(times) > 30
    for dt, bound in ((0.1, 1.5e-3), (0.02, 6e-5)):
        v, found = barrage_in_spikesim(run_cpu, arrivals, dt)
        assert np.abs(v - expected).max() < bound
        assert len(found) == len(times)
        assert (found - times).min() > -1e-9
        assert (found - times).mean() < 2.5 * dt


CUBA = {"equations": CURRENTS, "kinetics": (sim.ExponentialCurrent(tau=5.0), sim.ExponentialCurrent(tau=10.0)), "weights": (16.2, -90.0),
        "v_rest": -49.0, "i_e": 0.0, "method": "exact", "numbers": {"tau_exc": 5.0, "tau_inh": 10.0}}  # fmt: skip
COBA = {"equations": CONDUCTANCES, "kinetics": tuple(RECEPTORS.values()), "weights": (6.0, 67.0),
        "v_rest": -60.0, "i_e": 200.0, "method": "exponential_euler", "numbers": IN_BRIAN2}  # fmt: skip


def vogels_abbott_in_brian2(brian2, cells, network, seed):
    """(rate in Hz, CV) of 4000 neurons (Brette et al. 2007), from 200 to 1200 ms."""
    brian2.seed(seed)
    numbers = (
        {"v": np.random.default_rng(seed).uniform(-60.0, -50.0, 4000)}
        | NEURON
        | network["numbers"]
        | {"v_rest": network["v_rest"], "v_threshold": -50.0, "i_e": network["i_e"]}
    )
    group = cells(network["equations"], 4000, 0.1, method=network["method"], **numbers)
    parts = [group, monitor := brian2.SpikeMonitor(group)]
    unit = "pA" if network is CUBA else "nS"
    for receptor, part, weight in zip(("exc", "inh"), (group[:3200], group[3200:]), network["weights"], strict=True):
        synapses = brian2.Synapses(part, group, on_pre=f"{receptor} += {weight} * {unit}", delay=0.1 * brian2.ms)
        synapses.connect(p=0.02)
        parts.append(synapses)
    brian2.Network(parts).run(1200.0 * brian2.ms)
    late = monitor.t >= 200.0 * brian2.ms
    times, ids = np.asarray(monitor.t / brian2.ms)[late], np.asarray(monitor.i)[late]
    intervals = [np.diff(times[ids == neuron]) for neuron in np.flatnonzero(np.bincount(ids) > 2)]
    return len(times) / 4000, np.mean([each.std() / each.mean() for each in intervals])


def vogels_abbott_in_spikesim(network, seed):
    """The same in spikesim."""
    net = sim.Network()
    receptors = dict(zip(("exc", "inh"), network["kinetics"], strict=True))
    model = sim.LIF(**NEURON | {"v_rest": network["v_rest"]}, v_threshold=-50.0, i_e=network["i_e"], receptors=receptors)
    cells = net.population("cells", 4000, model, initial={"v": sim.Uniform(-60.0, -50.0)})
    for receptor, part, weight in zip(receptors, (cells[:3200], cells[3200:]), network["weights"], strict=True):
        net.project(part, cells, sim.FixedProbability(0.02), weight=weight, delay=0.1, receptor=receptor)
    net.record(cells)
    simulation = sim.Simulation(net, dt=0.1, seed=seed, threads=1, progress=False)
    simulation.run(200.0, progress=False)
    recording = simulation.run(1000.0, progress=False)
    return recording.rate("cells"), recording.cv_isi("cells")


@pytest.mark.parametrize("network", [CUBA, COBA], ids=["CUBA", "COBA"])
def test_vogels_abbott(brian2, cells, network):
    """The mean rate of CUBA and COBA networks is within 10 %, the CV of intervals within 0.05, each over four random networks."""
    expected = np.mean([vogels_abbott_in_brian2(brian2, cells, network, seed) for seed in range(4)], axis=0)
    rate, cv = np.mean([vogels_abbott_in_spikesim(network, seed) for seed in range(4)], axis=0)
    assert rate == pytest.approx(expected[0], rel=0.1)
    assert cv == pytest.approx(expected[1], abs=0.05)
