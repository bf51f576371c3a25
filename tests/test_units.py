"""Units: Brian2 quantities are checked for their dimension and become plain numbers; everything else passes as it is."""

from typing import Any

import numpy as np
import pytest

import spikesim as sim
from spikesim.description import Description
from spikesim.errors import UnitError
from spikesim.units import UNITS, plain

brian2 = pytest.importorskip("brian2")
ms, mV, pA, pF, nS, Hz = (getattr(brian2, name) for name in UNITS)
second, volt, nA = brian2.second, brian2.volt, brian2.nA


@pytest.mark.parametrize("unit", UNITS)
def test_numbers_become_plain_in_their_unit(unit: str) -> None:
    quantity = getattr(brian2, unit)
    assert plain(20 * quantity, unit, "it") == 20.0
    assert type(plain(20 * quantity, unit, "it")) is float
    assert type(plain(quantity, unit, "it")) is float
    array = plain([1.0, 2.0] * quantity, unit, "it")
    assert type(array) is np.ndarray
    assert array.tolist() == [1.0, 2.0]
    assert plain(np.ones((2, 3)) * quantity, unit, "it").shape == (2, 3)
    assert plain([] * quantity, unit, "it").shape == (0,)


@pytest.mark.parametrize("unit", UNITS)
def test_a_quantity_is_the_number_that_was_written(unit: str) -> None:
    """0.3 * ms is 0.3: scaling to SI units and back must not leave a rounding error, or spikes would differ."""
    written = np.arange(-20_000, 20_001) / 100
    quantity = getattr(brian2, unit)
    assert np.array_equal(plain(written * quantity, unit, "it"), written)
    assert all(plain(float(number) * quantity, unit, "it") == number for number in written[::37])


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("other", [*UNITS, None])
def test_other_dimensions_are_refused(unit: str, other: str | None) -> None:
    if other == unit:
        return
    for value in (3 * getattr(brian2, unit), [1.0, 2.0] * getattr(brian2, unit)):
        with pytest.raises(UnitError, match=f"^the thing: expected a quantity in {other or 'no unit'}, got .*; convert it"):
            plain(value, other, "the thing")


@pytest.mark.parametrize("value", [1, 2.5, True, None, "ms", np.arange(3), sim.Uniform(0.0, 1.0)], ids=repr)
def test_what_is_no_quantity_passes(value: Any) -> None:
    assert plain(value, "ms", "it") is value
    assert plain(value, None, "it") is value


SAME = [
    (lambda: sim.LIF(tau_m=20 * ms), sim.LIF(tau_m=20.0)),
    (lambda: sim.LIF(tau_m=0.02 * second), sim.LIF(tau_m=20.0)),
    (lambda: sim.LIF(tau_m=second), sim.LIF(tau_m=1000.0)),
    (lambda: sim.LIF(v_rest=-0.07 * volt, v_reset=-65 * mV), sim.LIF(v_rest=-70.0, v_reset=-65.0)),
    (lambda: sim.LIF(c_m=0.2 * brian2.nF, i_e=0.3 * nA), sim.LIF(c_m=200.0, i_e=300.0)),
    (lambda: sim.LIF(tau_m=[10, 20] * ms), sim.LIF(tau_m=[10.0, 20.0])),
    (lambda: sim.LIF(tau_m=[10 * ms, 20 * ms]), sim.LIF(tau_m=[10.0, 20.0])),
    (lambda: sim.LIF(v_threshold=np.inf * mV), sim.LIF(v_threshold=np.inf)),
    (lambda: sim.ExponentialConductance(tau=5 * ms, reversal=-80 * mV), sim.ExponentialConductance(tau=5.0, reversal=-80.0)),
    (lambda: sim.Poisson(rate=10 / second), sim.Poisson(rate=10.0)),
    (lambda: sim.Poisson(rate=2 * brian2.kHz), sim.Poisson(rate=2000.0)),
    (lambda: sim.DirectCurrent(0.25 * nA), sim.DirectCurrent(250.0)),
    (lambda: sim.NoiseCurrent(sd=5 * pA, interval=1 * ms, mean=1 * pA), sim.NoiseCurrent(5.0, 1.0, 1.0)),
    (lambda: sim.SampledCurrent([1, 2] * pA, 0.5 * ms), sim.SampledCurrent([1.0, 2.0], 0.5)),
    (lambda: sim.StepCurrent([0, 10] * ms, [1, 2] * nA), sim.StepCurrent([0.0, 10.0], [1000.0, 2000.0])),
    (lambda: sim.StepCurrent([0.0, 10.0], [[1, 2], [3, 4]] * pA), sim.StepCurrent([0.0, 10.0], [[1.0, 2.0], [3.0, 4.0]])),
    (lambda: sim.SpikeTrains([0.001, 0.002] * second, [0, 1]), sim.SpikeTrains([1.0, 2.0], [0, 1])),
    (lambda: sim.SpikeTrains([1 * ms, 2 * ms], [0, 1]), sim.SpikeTrains([1.0, 2.0], [0, 1])),
    (lambda: sim.FixedProbability(brian2.Quantity(0.1)), sim.FixedProbability(0.1)),
]


@pytest.mark.parametrize(("make", "wanted"), SAME)
def test_descriptions_take_quantities(make: Any, wanted: Description) -> None:
    assert make() == wanted


WRONG = {
    "LIF.tau_m": lambda: sim.LIF(tau_m=20 * mV),
    "LIF.v_rest": lambda: sim.LIF(v_rest=20 * ms),
    "LIF.c_m": lambda: sim.LIF(c_m=[1, 2] * pA),
    "LIF.t_ref": lambda: sim.LIF(t_ref=[2 * ms, 2 * mV]),
    "Poisson.rate": lambda: sim.Poisson(rate=10 * ms),
    "DirectCurrent.amplitude": lambda: sim.DirectCurrent(1 * nS),
    "NoiseCurrent.interval": lambda: sim.NoiseCurrent(1.0, 1 * Hz),
    "FixedProbability.p": lambda: sim.FixedProbability(0.1 * ms),
    "Uniform.low": lambda: sim.Uniform(1 * ms, 2.0),
    "PoissonDrive.weight": lambda: sim.PoissonDrive(10.0, 1 * ms, "exc"),
    "SpikeTrains.times": lambda: sim.SpikeTrains([1.0] * mV, [0]),
    "SpikeTrains.ids": lambda: sim.SpikeTrains([1.0], [0] * ms),
    "StepCurrent.times": lambda: sim.StepCurrent([0.0] * mV, [1.0]),
    "StepCurrent.amplitudes": lambda: sim.StepCurrent([0.0], [1.0] * mV),
    "SampledCurrent.samples": lambda: sim.SampledCurrent([1.0] * ms, 1.0),
    "PairList.sources": lambda: sim.PairList([0] * ms, [0]),
    "Matrix.weights": lambda: sim.Matrix(np.eye(2) * ms),
    "Dense.weights": lambda: sim.Dense(np.eye(2) * ms),
    "Conv.weights": lambda: sim.Conv(np.ones((1, 1, 3)) * ms),
    "ConvTranspose.weights": lambda: sim.ConvTranspose(np.ones((1, 1, 3)) * ms),
    "Along.matrix": lambda: sim.Along(np.eye(2) * ms),
}


@pytest.mark.parametrize("field", WRONG)
def test_descriptions_refuse_other_dimensions(field: str) -> None:
    with pytest.raises(UnitError, match=f"^{field}: expected a quantity in"):
        WRONG[field]()


def network(**receptors: Any) -> tuple[sim.Network, Any]:
    net = sim.Network()
    return net, net.population("a", 2, sim.LIF(receptors=receptors))


@pytest.mark.parametrize(("receptor", "good", "bad"), [
    (sim.Delta(), 2 * mV, 2 * pA), (sim.ExponentialCurrent(), 0.002 * nA, 2 * mV), (sim.AlphaCurrent(), 2 * pA, 2 * nS),
    (sim.ExponentialConductance(), 2 * nS, 2 * pA),
], ids=["delta", "exponential", "alpha", "conductance"])  # fmt: skip
def test_weights_carry_the_unit_of_their_receptor(receptor: Any, good: Any, bad: Any) -> None:
    net, a = network(r=receptor)
    assert net.project(a, a, sim.AllToAll(), weight=good, delay=1 * ms).weight == pytest.approx(2.0, rel=1e-15)
    with pytest.raises(UnitError, match=f"'a->a #2': weight: expected a quantity in {receptor.UNIT}"):
        net.project(a, a, sim.AllToAll(), weight=bad, delay=1.0)
    with pytest.raises(UnitError, match="'a->a #2': delay: expected a quantity in ms"):
        net.project(a, a, sim.AllToAll(), weight=1.0, delay=good)


def test_networks_and_simulations_take_quantities() -> None:
    def build(time: Any, potential: Any) -> tuple[sim.Network, sim.Simulation]:
        net = sim.Network()
        a = net.population("a", 2, sim.LIF(), initial={"v": -60 * potential})
        net.project(a, a, sim.AllToAll(), weight=[1.0, 2.0, 3.0, 4.0], delay=np.array([1.0, 2.0, 1.0, 2.0]) * time, receptor="exc")
        net.record(a, "v", every=0.5 * time)
        return net, sim.Simulation(net, dt=0.1 * time, engine="reference")

    (plain_net, plain_run), (net, run) = build(1.0, 1.0), build(ms, mV)
    assert net == plain_net
    assert run.program.dt == plain_run.program.dt == 0.1
    assert run.run(2 * ms, progress=False).stop == plain_run.run(2.0, progress=False).stop == 2.0
