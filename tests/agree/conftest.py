"""What the comparisons share: running a network in float64."""

import pytest

import spikesim as sim


def simulate(net, duration, *, dt=0.1, seed=1, engine="cpu"):
    """(recording, simulation) of ``net`` run for ``duration`` ms."""
    simulation = sim.Simulation(net, dt=dt, seed=seed, engine=engine, threads=1, precision="float64", progress=False)
    return simulation.run(duration, progress=False), simulation


@pytest.fixture(params=["cpu", "reference"])
def run(request):
    """Run a network on each engine in turn: ``run(net, duration, dt=0.1, seed=1)`` returns a recording."""
    return lambda net, duration, **options: simulate(net, duration, engine=request.param, **options)[0]


@pytest.fixture
def run_cpu():
    """Run a network on the cpu engine: (recording, simulation)."""
    return simulate
