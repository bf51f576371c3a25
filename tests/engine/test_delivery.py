"""A visit to a spike's synapses delivers several delays at once: whatever their number, the spikes are those of the reference."""

from itertools import product

import numpy as np
import pytest

from spikesim.connectivity import FixedProbability, PairList
from spikesim.distributions import ClippedNormal, Uniform
from spikesim.engine import cpu
from spikesim.network import Network
from spikesim.neurons import LIF
from spikesim.simulation import Simulation
from spikesim.stimulus import PoissonDrive
from spikesim.synapses import Delta

STEPS = 60
GAPS = 0.1 * np.array([1, 2, 7, 8, 9, 21])  # ms: delays with steps between them that nothing has


def network(delay) -> Network:
    """Neurons that are driven, and followers without delay, so that spikes go out at two stages of a step."""
    net = Network()
    model = LIF(tau_m=5.0, t_ref=0.3, receptors={"hit": Delta()})
    cells = net.population("cells", 60, model, initial={"v": Uniform(-70.0, -55.0)})
    followers = net.population("followers", 20, model, initial={"v": Uniform(-70.0, -55.0)})
    net.stimulate(cells, PoissonDrive(rate=20_000.0, weight=1.0, receptor="hit"))
    net.project(cells, cells, FixedProbability(0.3), weight=ClippedNormal(0.4, 0.3, low=-0.5, high=1.5), delay=delay, receptor="hit")
    sources, targets = np.divmod(np.random.default_rng(3).permutation(60 * 20)[:300], 20)
    delays = np.random.default_rng(4).choice(GAPS, 300)
    net.project(cells, followers, PairList(sources, targets), weight=2.0, delay=delays, receptor="hit")
    net.project(cells, followers, FixedProbability(0.1), weight=1.5, delay=0.0, receptor="hit")
    for population in (cells, followers):
        net.record(population, "spikes")
    return net


def spikes(simulation: Simulation, steps: int) -> dict[str, list]:
    found = simulation.run(steps * 0.1, progress=False).spikes
    return {name: [*zip(each.times.tolist(), each.ids.tolist(), strict=True)] for name, each in found.items()}


@pytest.fixture(params=["gaps", "normal"], scope="module")
def wanted(request):
    delay = {"gaps": Uniform(0.1, 0.3), "normal": ClippedNormal(1.5, 0.75, low=0.1, high=3.0)}[request.param]
    made = network(delay)
    found = spikes(Simulation(made, dt=0.1, seed=7, engine="reference"), STEPS)
    assert min(len(each) for each in found.values()) > 100
    return made, found


@pytest.mark.parametrize(("window", "threads"), [*product([1, 2, 3, 4, 5, 9, 50], [1, 3])])
def test_any_window(wanted, window, threads, monkeypatch):
    monkeypatch.setattr(cpu, "WINDOW", window)
    made, found = wanted
    assert spikes(Simulation(made, dt=0.1, seed=7, threads=threads), STEPS) == found


@pytest.mark.parametrize(("window", "stop"), [*product([1, 3, 4, 9], range(20, 29))])
def test_restored_within_a_window(wanted, window, stop, monkeypatch):
    """What spikes before the stop had delivered ahead is delivered once, be it on an engine that ran before or a new one."""
    monkeypatch.setattr(cpu, "WINDOW", window)
    made, found = wanted
    rest = {name: [each for each in spikes if each[0] > (stop + 0.5) * 0.1] for name, spikes in found.items()}
    simulation, another = (Simulation(made, dt=0.1, seed=7, threads=threads) for threads in (1, 2))
    simulation.run(stop * 0.1, progress=False)
    state = simulation.engine.snapshot()
    another.engine.restore(state)
    assert spikes(another, STEPS - stop) == rest
    simulation.run(0.3, progress=False)
    simulation.engine.restore(state)
    assert spikes(simulation, STEPS - stop) == rest
