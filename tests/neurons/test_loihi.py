"""The integer neuron by itself: single numbers from its equations, strict overflow, bad parameters."""

import numpy as np
import pytest

import spikesim as sim
from spikesim.errors import ChipOverflowError, DescriptionError, KindError, UnsupportedError


def trace(steps, variable="v", weight=None, engine="cpu", initial=None, **model):
    """The variable of one neuron that gets a spike of ``weight`` in each step from 2 on."""
    net = sim.Network()
    cell = net.population("cell", 1, sim.LoihiLIF(**model), initial=initial)
    if weight is not None:
        source = net.population("in", 1, sim.SpikeTrains(times=np.arange(1.0, steps), ids=np.zeros(steps - 1, int)))
        net.project(source, cell, sim.OneToOne(), weight=weight, delay=1.0)
    net.record(cell, variable)
    return sim.Simulation(net, dt=1.0, engine=engine, progress=False).run(float(steps), progress=False).trace("cell", variable).values[:, 0]


@pytest.mark.parametrize("engine", ["cpu", "reference"])
@pytest.mark.parametrize(("model", "wanted"), [
    ({"bias_mant": 100.0, "vth": 131071.0}, [100, 200, 300, 400]),
    ({"bias_mant": 100.0, "bias_exp": 2.0, "dv": 2048.0, "vth": 131071.0}, [400, 600, 700, 750]),
    ({"bias_mant": -101.0, "dv": 2048.0, "vth": 131071.0}, [-101, -151, -176, -189]),  # cut towards zero
    ({"bias_mant": -3.0, "bias_exp": -1.0, "vth": 131071.0}, [-2, -4, -6, -8]),  # but a bias is rounded down
    ({"bias_mant": 64.0, "vth": 1.0}, [64, 0, 64, 0]),  # not above 64 vth at first
    ({"bias_mant": 65.0, "vth": 1.0, "refractory": 1.0}, [0, 0, 0, 0]),
    ({"bias_mant": 40.0, "vth": 1.0, "reset": "subtract"}, [40, 16, 56, 32]),
    ({"bias_mant": 100.0, "vth": 99.0, "interval": 3, "offset": 4}, [100, 200, 300, 100]),  # 0 before step 1, 4, 7
    ({"bias_mant": -70.0, "vth": 50.0, "vth_low": -1}, [0, 0, 0, 0]),
])  # fmt: skip
def test_potential(engine, model, wanted):
    np.testing.assert_array_equal(trace(4, engine=engine, du=4095.0, **model), wanted)


def test_current_decays_and_wraps():
    """u gains 64 a, decays by du + 1 of 4096, and wraps once beyond 2**23."""
    np.testing.assert_array_equal(trace(4, "u", weight=10.0, du=2047.0, vth=131071.0), [0, 640, 960, 1120])
    assert trace(1, "u", initial={"u": 2**23 - 1}, du=0.0).tolist() == [(2**23 - 1) * 4095 // 4096]
    found = trace(2, "u", weight=255.0, initial={"u": 2**23}, du=0.0, vth=131071.0)[1]
    assert found == (2**23 * 4095 // 4096) * 4095 // 4096 + 64 * 255 - 2**24


def test_strict_names_neuron_step_and_value():
    """The run in which something leaves its range ends in an error; the recording is there all the same."""
    net = sim.Network()
    source = net.population("in", 1, sim.SpikeTrains(times=np.arange(1.0, 90.0), ids=np.zeros(89, int)))
    cells = net.population("cells", 3, sim.LoihiLIF(du=0.0, vth=131071.0, overflow="strict", receptors={"r": sim.ShiftedSum(exponent=6)}))
    net.project(source, cells[1:2], sim.AllToAll(), weight=255.0, delay=1.0)
    simulation = sim.Simulation(net, dt=1.0, progress=False)
    with pytest.raises(
        ChipOverflowError, match=r"population 'cells': neuron 1 in step 10: u is \d,\d{3},\d{3}, the chip holds -8,388,607 to"
    ):
        simulation.run(40.0, progress=False)
    assert simulation.recording is not None
    assert simulation.time == 40.0


def test_strict_input():
    """So is a sum of weights of 2**15 or more, which the chip's 16 bits do not hold."""
    with pytest.raises(ChipOverflowError, match=r"neuron 0 in step 2: the sum of weights is 38,400, the chip"):
        trace(5, weight=300.0, du=4095.0, vth=131071.0, overflow="strict", receptors={"r": sim.ShiftedSum(exponent=7)})


@pytest.mark.parametrize("engine", ["cpu", "reference"])
def test_strict_trials(engine):
    """The first trial in which something leaves its range is named; the recordings of all are there."""
    net = sim.Network()
    source = net.population("in", 1, sim.Poisson(rate=0.0))
    cells = net.population("cells", 3, sim.LoihiLIF(du=0.0, vth=131071.0, overflow="strict", receptors={"r": sim.ShiftedSum(exponent=6)}))
    net.project(source, cells[1:2], sim.AllToAll(), weight=255.0, delay=1.0)
    net.record(cells, "u")
    simulation = sim.Simulation(net, dt=1.0, engine=engine, progress=False)
    rates = np.array([[0.0], [200.0], [1000.0], [1000.0]])
    with pytest.raises(ChipOverflowError, match=r"trial 2: population 'cells': neuron 1 in step 10: u is \d,\d{3},\d{3}, the chip holds"):
        simulation.trials(12.0, rates={"in": rates}, progress=False)
    assert len(simulation.recordings) == 4
    assert len(simulation.trials(9.0, rates={"in": rates}, progress=False)) == 4


def test_ternary_spikes_are_negative():
    """A spike below the lower threshold has size -1, and takes away what one of size 1 brings."""
    net = sim.Network()
    both = net.population("both", 2, sim.LoihiLIF(du=4095.0, vth=1.0, vth_low=-1, bias_mant=[100.0, -100.0]))
    cell = net.population("cell", 1, sim.LoihiLIF(du=4095.0, dv=4095.0, vth=131071.0))
    net.project(both, cell, sim.AllToAll(), weight=np.array([10.0, 4.0]), delay=1.0)
    net.record(both)
    net.record(cell, "u")
    assert both.model.GRADED and not cell.model.GRADED
    for engine in ("cpu", "reference"):
        recording = sim.Simulation(net, dt=1.0, engine=engine, progress=False).run(4.0, progress=False)
        assert recording.spikes["both"].ids.tolist() == [0, 1] * 4
        assert recording.spikes["both"].sizes.tolist() == [1, -1] * 4
        assert recording.trace("cell", "u").values.ravel().tolist() == [0.0, 384.0, 384.0, 384.0]


def test_float64_is_chosen():
    net = sim.Network()
    net.population("cell", 1, sim.LoihiLIF())
    assert sim.Simulation(net, dt=1.0, progress=False).precision == "float64"
    with pytest.raises(UnsupportedError, match="too large for float32"):
        sim.Simulation(net, dt=1.0, precision="float32", progress=False)


@pytest.mark.parametrize(("parameters", "error", "message"), [
    ({"du": 4096.0}, DescriptionError, r"LoihiLIF\.du: expected at most 4095, got 4096"),
    ({"du": -1.0}, DescriptionError, r"LoihiLIF\.du: expected at least 0"),
    ({"dv": 1.5}, DescriptionError, r"LoihiLIF\.dv: expected whole numbers, got 1\.5"),
    ({"vth": 131072.0}, DescriptionError, r"LoihiLIF\.vth: expected at most 131071"),
    ({"bias_mant": 4096.0}, DescriptionError, r"bias_mant: expected at most 4095"),
    ({"bias_mant": [1.0, 2.5]}, DescriptionError, r"bias_mant: expected whole numbers, got 2\.5"),
    ({"bias_exp": 8.0}, DescriptionError, r"bias_exp: expected at most 7"),
    ({"refractory": 65.0}, DescriptionError, r"refractory: expected at most 64"),
    ({"vth_low": 3}, DescriptionError, r"vth_low: expected -131072 to 0, got 3"),
    ({"vth_low": "x"}, KindError, r"vth_low: expected a whole number or None"),
    ({"vth_low": -3, "refractory": 2.0}, DescriptionError, r"neither a soft reset nor a refractory time"),
    ({"reset": "half"}, DescriptionError, r"LoihiLIF\.reset: expected 'zero' or 'subtract', got 'half'"),
    ({"overflow": "wrap"}, DescriptionError, r"LoihiLIF\.overflow: expected 'lava' or 'strict', got 'wrap'"),
    ({"receptors": {"r": sim.ExponentialCurrent()}}, DescriptionError, r"ExponentialCurrent is a current receptor"),
])  # fmt: skip
def test_bad_parameters(parameters, error, message):
    with pytest.raises(error, match=message):
        sim.LoihiLIF(**parameters)


def test_bad_exponents():
    with pytest.raises(DescriptionError, match="expected -8 to 7, got 8"):
        sim.ShiftedSum(exponent=8)
    with pytest.raises(DescriptionError, match="expected at least -8, got -9"):
        sim.ShiftedSum(exponent=-9)
