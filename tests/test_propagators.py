"""The propagators are exact: they agree with the matrix exponential of the linear equations they solve."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.linalg import expm

from spikesim import propagators
from spikesim.network import Network
from spikesim.neurons import IF, LIF
from spikesim.neurons.lif import conductance_step
from spikesim.simulation import Simulation
from spikesim.stimulus import DirectCurrent
from spikesim.synapses import AlphaCurrent, ExponentialConductance, ExponentialCurrent

steps, capacities = st.floats(0.01, 2.0), st.floats(10.0, 500.0)
constants = st.floats(0.1, 200.0)
leaks = st.one_of(st.just(0.0), constants.map(lambda tau: 1.0 / tau))


def currents(tau: float, leak: float, c_m: float) -> np.ndarray:
    """d/dt of (slope, alpha current, exponential current, constant current, V), for one time constant and V driven by all."""
    made = np.zeros((5, 5))
    made[0, 0] = made[1, 1] = made[2, 2] = -1.0 / tau
    made[1, 0] = 1.0
    made[4, 1:4] = 1.0 / c_m
    made[4, 4] = -leak
    return made


def assert_close(found, wanted, tolerance=1e-9):
    assert found == pytest.approx(wanted, rel=tolerance, abs=1e-300)


@settings(max_examples=300)
@given(steps, constants, leaks, capacities)
@example(0.1, 10.0, 0.1, 250.0)  # the two time constants are equal
@example(0.1, 10.0, 0.1 * (1 + 1e-9), 250.0)
@example(0.1, 10.0, 0.1 * (1 - 1e-7), 250.0)
@example(0.1, 2.0, 0.0, 250.0)  # no leak
@example(2.0, 0.1, 1 / 200.0, 250.0)  # far apart, both ways
@example(2.0, 200.0, 10.0, 250.0)
def test_each_propagator(h, tau, leak, c_m):
    """Decay and the gains of constant, exponential and alpha currents are entries of the matrix exponential."""
    flow = expm(currents(tau, leak, c_m) * h)
    assert_close(propagators.decay(h, tau), flow[2, 2])
    assert_close(propagators.constant_current(h, leak, c_m), flow[4, 3])
    assert_close(propagators.exponential_current(h, tau, leak, c_m), flow[4, 2])
    assert_close(propagators.alpha_current(h, tau, leak, c_m), flow[4, 0])


@settings(max_examples=100)
@given(steps, constants, leaks, capacities)
def test_coefficients_of_receptors(h, tau, leak, c_m):
    """What receptors hand to the step are the same entries, an alpha current's peak being its weight."""
    flow = expm(currents(tau, leak, c_m) * h)
    exponential, alpha = (kind(tau=tau).coefficients(h, leak, c_m) for kind in (ExponentialCurrent, AlphaCurrent))
    for found, wanted in ((exponential["decay"], flow[2, 2]), (exponential["gain"], flow[4, 2]), (alpha["decay"], flow[0, 0]),
                          (alpha["ramp"], flow[1, 0]), (alpha["gain"], flow[4, 1]), (alpha["slope_gain"], flow[4, 0])):  # fmt: skip
        assert_close(float(found), wanted)
    peak = expm(currents(tau, leak, c_m) * tau)[1, 0] * float(alpha["peak"])
    assert_close(peak, 1.0)


@settings(max_examples=100)
@given(steps, constants)
def test_coefficients_at_the_middle(h, tau):
    """Beside conductances the contribution is the state after half a step."""
    half = expm(currents(tau, 0.1, 250.0) * h / 2)
    alpha = AlphaCurrent(tau=tau).midpoint_coefficients(h)
    assert_close(float(alpha["gain"]), half[1, 1])
    assert_close(float(alpha["slope_gain"]), half[1, 0])
    for kind in (ExponentialCurrent, ExponentialConductance):
        assert_close(float(kind(tau=tau).midpoint_coefficients(h)["gain"]), half[2, 2])
        assert_close(float(kind(tau=tau).midpoint_coefficients(h)["decay"]), half[2, 2] ** 2)


def test_arrays():
    """Arrays of time constants give at each place what numbers give, without a warning where two of them meet."""
    tau, leak = np.array([1.0, 5.0, 10.0, 40.0]), np.array([0.1, 0.2, 0.1, 0.0])
    for function in (propagators.exponential_current, propagators.alpha_current):
        np.testing.assert_array_equal(function(0.1, tau, leak, 250.0), [function(0.1, t, a, 250.0) for t, a in zip(tau, leak, strict=True)])


@pytest.mark.parametrize("gap", 10.0 ** -np.arange(1, 17))
def test_accurate_where_time_constants_meet(gap):
    """As the two time constants approach each other the gains stay accurate, to twelve digits."""
    tau = 10.0 * (1.0 + gap)
    flow = expm(currents(tau, 0.1, 250.0) * 0.1)
    assert_close(propagators.exponential_current(0.1, tau, 0.1, 250.0), flow[4, 2], 1e-12)
    assert_close(propagators.alpha_current(0.1, tau, 0.1, 250.0), flow[4, 0], 1e-12)


@pytest.mark.parametrize(("model", "leak"), [(LIF(v_threshold=np.inf, tau_m=7.0, c_m=200.0, t_ref=0.0, i_e=30.0, v_rest=-65.0), 1 / 7.0),
                                             (IF(v_threshold=np.inf, c_m=200.0, i_e=30.0), 0.0)])  # fmt: skip
@pytest.mark.parametrize("engine", ["cpu", "reference"])
def test_a_neuron_follows_the_matrix_exponential(model, leak, engine):
    """The potential of a simulated neuron with both kinds of currents is exact at every step, however large the step."""
    receptors = {"fast": ExponentialCurrent(tau=3.0), "slow": AlphaCurrent(tau=3.0)}
    start = {"v": -60.0, "fast": 100.0, "slow": 20.0, "slow_slope": 50.0}
    net = Network()
    cells = net.population("cells", 1, type(model)(**{**model.values(), "receptors": receptors}), initial=start)
    net.stimulate(cells, DirectCurrent(np.array([40.0])))
    for variable in start:
        net.record(cells, variable)
    for dt in (0.1, 5.0):
        recording = Simulation(net, dt=dt, engine=engine, precision="float64").run(10 * dt)
        rest = getattr(model, "v_rest", 0.0)
        state = np.array([start["slow_slope"], start["slow"], start["fast"], 70.0, start["v"] - rest])
        for step in range(10):
            state = expm(currents(3.0, leak, 200.0) * dt) @ state
            found = [recording.trace("cells", name).values[step, 0] for name in ("slow_slope", "slow", "fast")]
            np.testing.assert_allclose(found, state[:3], rtol=1e-12)
            np.testing.assert_allclose(recording.trace("cells", "v").values[step, 0], state[4] + rest, rtol=1e-12)


@pytest.mark.parametrize("x", [1e-6, 1e-3, 0.01, 0.1, 0.3, 1.0, 3.0, 30.0, 1e4])
def test_conductance_step_decays(x):
    """Its rational exponential has the stated error below x**6 / 7200, and never grows or changes sign."""
    v, _, _ = conductance_step(1.0, *[0.0] * 6, leak=1.0, leak_pull=0.0, rate=x, v_threshold=np.inf, v_reset=0.0, t_ref=0.0)
    assert 0.0 < v < 1.0
    assert abs(v / np.exp(-x) - 1.0) <= x**6 / 7200 + 1e-15 if x <= 1.0 else v < 0.5


def test_conductance_step_heads_for_the_balance_of_all_currents():
    """Over a long time the potential settles where leak, conductances and currents balance."""
    v = -60.0
    for _ in range(2000):
        v, _, _ = conductance_step(v, 0.0, current=20.0, jump=0.0, conductance=15.0, pull=15.0 * -10.0, injected=30.0, leak=20.0,
                                   leak_pull=20.0 * -70.0, rate=0.1 / 200.0, v_threshold=np.inf, v_reset=0.0, t_ref=0.0)  # fmt: skip
    assert v == pytest.approx((20.0 * -70.0 + 15.0 * -10.0 + 50.0) / 35.0)
