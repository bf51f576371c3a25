"""Populations as the compiler prepares them."""

import numpy as np
import pytest

from spikesim import errors
from spikesim.compiler import compile_network
from spikesim.network import Network
from spikesim.neurons import IF, LIF
from spikesim.simulation import Simulation


def cells_of(model, **options):
    net = Network()
    net.population("a", 5, model, **options)
    return compile_network(net, dt=1.0).cells[0]


@pytest.mark.parametrize("model", [IF, LIF])
def test_what_stays_zero_is_known(model):
    """Without a refractory time no neuron is ever refractory, unless it starts so."""
    assert cells_of(model(t_ref=0.0)).still == (1,)
    assert cells_of(model(t_ref=np.zeros(5))).still == (1,)
    assert cells_of(model(t_ref=[0.0, 0.0, 0.0, 0.0, 2.0])).still == ()
    assert cells_of(model(t_ref=0.0), initial={"refractory": [0.0, 0.0, 3.0, 0.0, 0.0]}).still == ()


@pytest.mark.parametrize("engine", ["cpu", "reference"])
def test_a_neuron_that_starts_refractory_waits(engine):
    """Though its refractory time is none."""
    net = Network()
    cells = net.population("a", 2, IF(i_e=0.6), initial={"refractory": [0.0, 2.0]})
    net.record(cells, "v")
    found = Simulation(net, dt=1.0, engine=engine, progress=False).run(3.0).trace("a", "v").values
    np.testing.assert_allclose(found, [[0.6, 0.0], [0.2, 0.0], [0.8, 0.6]], rtol=1e-6)


def test_a_state_with_another_value_is_refused(tmp_path):
    """What is known to be 0 cannot be loaded as something else."""
    net = Network()
    net.population("a", 2, IF())
    made = Simulation(net, dt=1.0, progress=False)
    state = made.engine.snapshot()
    state.values[0][1, 0] = 3.0
    made.engine.snapshot = lambda: state
    made.save(tmp_path / "state.h5")
    with pytest.raises(errors.FileFormatError, match="keeps at 0"):
        Simulation.load(tmp_path / "state.h5")
