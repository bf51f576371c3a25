"""What the comparisons share: running a network in float64, and one recurrent network for all simulators."""

import numpy as np
import pytest

import spikesim as sim

SIZE, SYNAPSES, DT = 50, 1000, 0.1


def simulate(net, duration, *, dt=DT, seed=1, engine="cpu"):
    """(recording, simulation) of ``net`` run for ``duration`` ms."""
    simulation = sim.Simulation(net, dt=dt, seed=seed, engine=engine, threads=1, precision="float64", progress=False)
    return simulation.run(duration, progress=False), simulation


@pytest.fixture(params=["cpu", "reference"])
def run(request):
    """Run a network on each engine in turn: ``run(net, duration, dt=0.1, seed=1)`` returns a recording."""
    return lambda net, duration, **options: simulate(net, duration, engine=request.param, **options)[0]


@pytest.fixture
def run_cpu():
    """Run a network on the cpu engine; returns a recording."""
    return lambda net, duration, **options: simulate(net, duration, **options)[0]


@pytest.fixture
def membrane():
    """Parameters of all neurons of the recurrent network."""
    return {"tau_m": 20.0, "c_m": 250.0, "v_rest": -70.0, "v_reset": -68.0, "v_threshold": -55.0, "t_ref": 1.5}


@pytest.fixture
def random_network():
    """Explicit connectivity of 40 excitatory (weight J) and 10 inhibitory neurons (-4 J), unequal drive and start."""

    def draw(seed, weight):
        rng = np.random.default_rng(seed)
        pre = rng.integers(0, SIZE, SYNAPSES)
        return {
            "pre": pre, "post": rng.integers(0, SIZE, SYNAPSES), "weight": np.where(pre < 40, weight, -4.0 * weight),
            "delay": rng.integers(1, 50, SYNAPSES) * DT, "i_e": rng.uniform(240.0, 340.0, SIZE), "v": rng.uniform(-70.0, -56.0, SIZE),
        }  # fmt: skip

    return draw


@pytest.fixture
def in_spikesim(membrane):
    """Run what `random_network` drew: rows (step, neuron) of its spikes, and how weights were rounded, by receptor.

    Excitatory weights go to the receptor "exc", inhibitory ones to "inh", or all to the only one.
    """

    def fire(network, receptors, duration):
        net = sim.Network()
        cells = net.population("cells", SIZE, sim.LIF(**membrane, i_e=network["i_e"], receptors=receptors), initial={"v": network["v"]})
        for name in receptors:
            mine = (network["weight"] > 0.0) == (name == "exc") if len(receptors) > 1 else np.full(SYNAPSES, True)
            net.project(cells, cells, sim.PairList(network["pre"][mine], network["post"][mine]), weight=network["weight"][mine],
                        delay=network["delay"][mine], receptor=name)  # fmt: skip
        net.record(cells)
        recording, simulation = simulate(net, duration)
        spikes = recording.spikes["cells"]
        assert recording.rate("cells") > 10.0
        assert recording.cv_isi("cells") > 0.4  # a regular network would be a weak test
        rows = np.column_stack([np.rint(spikes.times / DT).astype(int), spikes.ids])
        return rows, {each.port.removeprefix("cells."): each for each in simulation.program.rounding}

    return fire
