"""Closed forms: what can be solved with pencil and paper (here with 40 digits) is what the engines compute."""

import math
from itertools import pairwise

import mpmath as mp
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.stats import binom, chisquare, kstest, norm, poisson

import spikesim as sim

TAU, C = 10.0, 250.0  # ms, pF
mp.mp.dps = 40


def at_rest_zero(**parameters):
    """A LIF neuron whose potential is measured from rest, so that relative errors mean something."""
    return sim.LIF(**{"tau_m": TAU, "c_m": C, "v_rest": 0.0, "v_reset": 0.0, "v_threshold": math.inf, "t_ref": 0.0} | parameters)


def response(run, receptor, weight, *, model=at_rest_zero, variable="v"):
    """(times since its arrival, samples) of the response to one spike, stamped 1.0 ms, delay 1.5 ms, arriving at 2.5 ms."""
    net = sim.Network()
    source = net.population("source", 1, sim.SpikeTrains([1.0], [0]))
    cell = net.population("cell", 1, model(receptors={"input": receptor}))
    net.project(source, cell, sim.OneToOne(), weight=weight, delay=1.5)
    net.record(cell, variable)
    trace = run(net, 40.0).trace("cell", variable)
    assert np.all(trace.values[:24] == 0.0)
    return [k * mp.mpf(0.1) for k in range(len(trace.times) - 24)], trace.values[24:, 0]


def assert_exact(found, expected):
    np.testing.assert_allclose(found, np.array([float(x) for x in expected]), rtol=1e-12, atol=0.0)


def exponential_psp(t, tau, weight):
    """The textbook potential after one exponential current (Rotter & Diesmann 1999)."""
    if tau == TAU:
        return weight / C * t * mp.exp(-t / mp.mpf(tau))
    tau_m, tau_s = mp.mpf(TAU), mp.mpf(tau)
    return weight / C * tau_m * tau_s / (tau_m - tau_s) * (mp.exp(-t / tau_m) - mp.exp(-t / tau_s))


def alpha_psp(t, tau, weight):
    """The textbook potential after one alpha-shaped current of peak ``weight`` at ``tau``."""
    tau_m, tau_s = mp.mpf(TAU), mp.mpf(tau)
    if tau == TAU:
        return weight * mp.e / (tau_s * C) * t**2 / 2 * mp.exp(-t / tau_s)
    beta = 1 / tau_s - 1 / tau_m
    return weight * mp.e / (tau_s * C) * ((mp.exp(-t / tau_m) - mp.exp(-t / tau_s)) / beta**2 - t * mp.exp(-t / tau_s) / beta)


TAUS = (0.5, 2.0, 9.5, TAU * (1 - 1e-9), TAU, TAU * (1 + 1e-9), TAU * (1 + 1e-5), 30.0)


@pytest.mark.parametrize("tau", TAUS)
def test_exponential_current(run, tau):
    """One exponential current moves V exactly as the textbook says, also where tau meets or nears tau_m."""
    times, v = response(run, sim.ExponentialCurrent(tau=tau), 80.0)
    assert_exact(v, [exponential_psp(t, tau, 80) for t in times])


@pytest.mark.parametrize("tau", TAUS)
def test_alpha_current(run, tau):
    """One alpha-shaped current moves V exactly as the textbook says, also where tau meets or nears tau_m."""
    times, v = response(run, sim.AlphaCurrent(tau=tau), -80.0)
    assert_exact(v, [alpha_psp(t, tau, -80) for t in times])


def test_delta(run):
    """A delta spike moves V by its weight at once, and V decays with tau_m."""
    times, v = response(run, sim.Delta(), 1.5)
    assert_exact(v, [1.5 * mp.exp(-t / TAU) for t in times])


def test_synaptic_currents(run):
    """The receptors' own variables: the exponential jumps to w, the alpha peaks with w at tau."""
    times, current = response(run, sim.ExponentialCurrent(tau=3.0), 80.0, variable="input")
    assert_exact(current, [80 * mp.exp(-t / 3) for t in times])
    times, current = response(run, sim.AlphaCurrent(tau=3.0), 80.0, variable="input")
    assert_exact(current, [80 * t / 3 * mp.exp(1 - t / 3) for t in times])
    assert current[30] == pytest.approx(80.0, rel=1e-12)
    assert current.argmax() == 30


@pytest.mark.parametrize("given", ["i_e", "DirectCurrent", "StepCurrent"])
def test_constant_current(run, given):
    """V(t) = v_rest + R I (1 - exp(-t / tau_m)), whoever gives the current."""
    net = sim.Network()
    cell = net.population("cell", 2, sim.LIF(tau_m=TAU, c_m=C, v_rest=-65.0, v_threshold=math.inf, i_e=300.0 if given == "i_e" else 0.0))
    if given != "i_e":
        net.stimulate(cell, sim.DirectCurrent(300.0) if given == "DirectCurrent" else sim.StepCurrent([0.0], [300.0]))
    net.record(cell, "v")
    v = run(net, 50.0).trace("cell", "v").values
    times = [k * mp.mpf(0.1) for k in range(1, 501)]
    assert_exact(v[:, 1], [-65 + mp.mpf(300) * TAU / C * (1 - mp.exp(-t / TAU)) for t in times])


def test_step_current_starts_on_time(run):
    """A current that starts at 3 ms and stops at 5 ms moves V in exactly those steps."""
    net = sim.Network()
    cell = net.population("cell", 1, at_rest_zero())
    net.stimulate(cell, sim.StepCurrent([3.0, 5.0], [300.0, 0.0]))
    net.record(cell, "v")
    v = run(net, 20.0).trace("cell", "v").values[:, 0]
    times = [k * mp.mpf(0.1) for k in range(1, 201)]
    rise = [mp.mpf(300) * TAU / C * (1 - mp.exp(-max(t - 30 * mp.mpf(0.1), 0) / TAU)) for t in times]
    fall = [mp.mpf(300) * TAU / C * (1 - mp.exp(-max(t - 50 * mp.mpf(0.1), 0) / TAU)) for t in times]
    assert_exact(v, [a - b for a, b in zip(rise, fall, strict=True)])


@pytest.mark.parametrize("tau", [0.5, 2.0, 30.0])
def test_perfect_integrator(run, tau):
    """Without leak the charge of a current stays: V = w tau (1 - exp(-t / tau)) / C, and the alpha's likewise."""
    model = lambda receptors: sim.IF(c_m=C, v_threshold=math.inf, receptors=receptors)  # noqa: E731
    times, v = response(run, sim.ExponentialCurrent(tau=tau), 80.0, model=model)
    assert_exact(v, [80 * mp.mpf(tau) / C * (1 - mp.exp(-t / tau)) for t in times])
    times, v = response(run, sim.AlphaCurrent(tau=tau), 80.0, model=model)
    assert_exact(v, [80 * mp.e * mp.mpf(tau) / C * (1 - mp.exp(-t / tau) * (1 + t / tau)) for t in times])


def test_integration_of_dyadic_input_is_exact(run):
    """An IF neuron that only integrates holds, to the bit, the sum of i_e and of all weights that have arrived."""
    rng = np.random.default_rng(3)
    weights = rng.integers(-1000, 1000, (20, 5)) / 64.0
    net = sim.Network()
    source = net.population("source", 20, sim.Poisson(rate=100.0))
    cell = net.population("cell", 5, sim.IF(v_threshold=math.inf, i_e=0.375))
    net.project(source, cell, sim.Matrix(weights), delay=2.0)
    net.record(source)
    net.record(cell, "v")
    recording = run(net, 300.0, dt=1.0)
    sent = np.zeros((300, 20))
    spikes = recording.spikes["source"]
    np.add.at(sent, (np.rint(spikes.times).astype(int) - 1, spikes.ids), 1.0)
    arrived = np.vstack([np.zeros((2, 20)), sent[:-2]]) @ weights
    np.testing.assert_array_equal(recording.trace("cell", "v").values, np.cumsum(arrived + 0.375, axis=0))
    assert sent.sum() > 500


@pytest.mark.parametrize("t_ref", [0.0, 0.1, 2.0])
def test_interval_under_direct_current(run, t_ref):
    """Every interval is t_ref + tau_m log((R I + v_rest - v_reset) / (R I + v_rest - v_threshold)), rounded up to the grid."""
    currents = np.array([380.0, 400.0, 500.0, 700.0, 1500.0, 6000.0])
    net = sim.Network()
    cell = net.population("cell", 6, sim.LIF(tau_m=TAU, c_m=C, v_rest=-70.0, v_reset=-72.0, v_threshold=-55.0, t_ref=t_ref, i_e=currents),
                          initial={"v": -72.0})  # fmt: skip
    net.record(cell)
    spikes = run(net, 500.0).spikes["cell"]
    drive = currents * TAU / C
    crossing = np.ceil(TAU * np.log((drive + 2.0) / (drive - 15.0)) / 0.1).astype(int)
    for neuron, steps in enumerate(crossing):
        found = np.rint(spikes.times[spikes.ids == neuron] / 0.1).astype(int)
        interval = steps + round(t_ref / 0.1)
        np.testing.assert_array_equal(found, np.arange(steps, 5001, interval))
        assert len(found) > 5


@pytest.mark.parametrize("t_ref", [0.0, 0.1, 2.0])
@pytest.mark.parametrize("model", [sim.LIF, sim.IF])
def test_refractory_time(run, model, t_ref):
    """After a spike stamped t, V is v_reset up to and including t + t_ref, and moves in the next step."""
    hard = {"reset": "value"} if model is sim.IF else {}
    net = sim.Network()
    neuron = model(c_m=C, v_reset=-70.0, v_threshold=-55.0, t_ref=t_ref, i_e=4000.0, **hard)
    cell = net.population("cell", 1, neuron, initial={"v": -70.0})
    net.record(cell)
    net.record(cell, "v")
    recording = run(net, 50.0)
    v, held = recording.trace("cell", "v").values[:, 0], round(t_ref / 0.1)
    stamps = np.rint(recording.spikes["cell"].times / 0.1).astype(int)
    assert len(stamps) > 10
    for stamp in stamps[:-1]:
        assert np.all(v[stamp - 1 : stamp + held] == -70.0)
        assert v[stamp + held] > -70.0


def test_delta_spikes_at_threshold_and_while_refractory(run):
    """A delta spike that lifts V to just v_threshold makes a spike; further ones up to and including t + t_ref are lost."""
    net = sim.Network()
    source = net.population("source", 1, sim.SpikeTrains([1.0], [0]))
    cell = net.population("cell", 40, at_rest_zero(v_threshold=15.0, t_ref=2.0, receptors={"input": sim.Delta()}))
    net.project(source, cell, sim.AllToAll(), weight=15.0, delay=0.1)
    net.project(source, cell, sim.AllToAll(), weight=1.0, delay=0.1 * np.arange(2, 42))
    net.record(cell, "v")
    net.record(cell)
    recording = run(net, 6.0)
    assert np.all(recording.spikes["cell"].times == 1.1)
    moved = (recording.trace("cell", "v").values[11:] > 0.0).any(axis=0)
    np.testing.assert_array_equal(moved, np.arange(2, 42) > 1 + 20)


def test_soft_reset_counts(run):
    """A soft-reset IF neuron fires floor((v0 + n I) / theta) times in n steps."""
    rng = np.random.default_rng(5)
    v0, current, theta = rng.integers(0, 8, 200) / 8.0, rng.integers(0, 9, 200) / 8.0, rng.integers(8, 32, 200) / 8.0
    net = sim.Network()
    cell = net.population("cell", 200, sim.IF(v_threshold=theta, i_e=current), initial={"v": v0})
    net.record(cell, "counts")
    net.record(cell, "v")
    recording = run(net, 100.0, dt=1.0)
    np.testing.assert_array_equal(recording.counts["cell"].values, np.floor((v0 + 100 * current) / theta))
    np.testing.assert_array_equal(recording.trace("cell", "v").values[-1], (v0 + 100 * current) % theta)


def exponential(tau):
    return lambda t: math.exp(-t / tau)


MIXED = {  # receptor, weight, arrival (ms), time course of its conductance or current
    "exc": (sim.ExponentialConductance(tau=5.0, reversal=0.0), 12.0, 3.0, exponential(5.0)),
    "inh": (sim.ExponentialConductance(tau=8.0, reversal=-80.0), 30.0, 6.0, exponential(8.0)),
    "jump": (sim.Delta(), -2.0, 8.0, None),
    "plain": (sim.ExponentialCurrent(tau=4.0), 90.0, 11.0, exponential(4.0)),
    "alpha": (sim.AlphaCurrent(tau=2.0), -80.0, 14.0, lambda t: t / 2.0 * math.exp(1.0 - t / 2.0)),
}


def simulated_mixture(run, dt):
    """V (each ms) of a neuron with one spike at each receptor of `MIXED` and a constant current."""
    net = sim.Network()
    source = net.population("source", len(MIXED), sim.SpikeTrains([each[2] - 1.0 for each in MIXED.values()], range(len(MIXED))))
    model = sim.LIF(tau_m=20.0, c_m=200.0, v_rest=-60.0, v_threshold=math.inf, i_e=50.0, receptors={k: v[0] for k, v in MIXED.items()})
    cell = net.population("cell", 1, model)
    for at, (name, (_, weight, _, _)) in enumerate(MIXED.items()):
        net.project(source[at : at + 1], cell, sim.AllToAll(), weight=weight, delay=1.0, receptor=name)
    net.record(cell, "v", every=1.0)
    return run(net, 30.0, dt=dt).trace("cell", "v").values[:, 0]


def solved_mixture():
    """The same by scipy, from arrival to arrival so that no jump lies within a call."""

    def slope(t, v, arrived):
        current = 10.0 * (-60.0 - v) + 50.0
        for receptor, weight, arrival, course in arrived:
            given = weight * course(t - arrival)
            current = current + given * (receptor.reversal - v if isinstance(receptor, sim.ExponentialConductance) else 1.0)
        return current / 200.0

    v, samples = -60.0, []
    for start, stop in pairwise([0.0, *(arrival for _, _, arrival, _ in MIXED.values()), 30.0]):
        arrived = [each for each in MIXED.values() if each[2] <= start and each[3]]
        found = solve_ivp(slope, (start, stop), [v], args=(arrived,), method="DOP853", rtol=1e-12, atol=1e-12,
                          t_eval=np.arange(start + 1.0, stop + 0.5)).y[0]  # fmt: skip
        found[-1] += sum(weight for _, weight, arrival, course in MIXED.values() if arrival == stop and not course)
        samples += [*found]
        v = found[-1]
    return np.array(samples)


def test_conductances_are_second_order(run):
    """Beside conductances the error at 0.1 ms is below 0.0003 mV, and halving the time step divides it by four."""
    expected = solved_mixture()
    errors = [np.abs(simulated_mixture(run, dt) - expected).max() for dt in (0.2, 0.1, 0.05)]
    assert errors[1] < 3e-4
    assert errors[0] / errors[1] == pytest.approx(4.0, abs=0.1)
    assert errors[1] / errors[2] == pytest.approx(4.0, abs=0.1)


def test_constant_conductance(run):
    """A conductance that stays is a leak: V relaxes exponentially, to 1e-9."""
    net = sim.Network()
    source = net.population("source", 1, sim.SpikeTrains([1.0], [0]))
    cell = net.population("cell", 1, sim.LIF(tau_m=20.0, c_m=200.0, v_rest=-60.0, v_threshold=math.inf,
                                             receptors={"g": sim.ExponentialConductance(tau=1e12, reversal=0.0)}))  # fmt: skip
    net.project(source, cell, sim.AllToAll(), weight=10.0, delay=1.0)
    net.record(cell, "v")
    trace = run(net, 50.0).trace("cell", "v")
    since = np.maximum(trace.times - 2.0, 0.0)
    np.testing.assert_allclose(trace.values[:, 0], -30.0 - 30.0 * np.exp(-since / 10.0), rtol=1e-9)


def assert_distributed(numbers, law):
    """Chi-square test of a histogram against a discrete law; the values of each tail share a cell."""
    low, high = law.ppf(1e-3), law.isf(1e-3)
    found = np.bincount((np.clip(numbers, low, high) - low).astype(int).ravel())
    expected = numbers.size * np.diff(law.cdf([-1, *np.arange(low, high), np.inf]))
    assert expected.min() > 2.0
    assert chisquare(found, expected).pvalue > 1e-3


def assert_moments(numbers, mean, variance, kurtosis=3.0):
    """Mean and variance within four standard errors."""
    n = numbers.size
    assert abs(numbers.mean() - mean) < 4.0 * math.sqrt(variance / n)
    assert abs(numbers.var() - variance) < 4.0 * variance * math.sqrt((kurtosis - 1.0) / n)


def assert_uncorrelated(samples):
    """Neighbours in time and among neurons, samples (steps, neurons), know nothing of each other."""
    centred = samples - samples.mean()
    bound = 4.0 * samples.var() / math.sqrt(samples.size)
    for lag in (1, 2, 4):
        assert abs((centred[lag:] * centred[:-lag]).mean()) < bound
        assert abs((centred[:, lag:] * centred[:, :-lag]).mean()) < bound


def test_poisson_population(run):
    """A Poisson population fires independently with probability rate x dt in each step."""
    net = sim.Network()
    net.record(net.population("source", 200, sim.Poisson(rate=100.0)))
    spikes = run(net, 200.0, seed=11).spikes["source"]
    fired = np.zeros((2000, 200))
    np.add.at(fired, (np.rint(spikes.times / 0.1).astype(int) - 1, spikes.ids), 1.0)
    counts = fired.sum(axis=0).astype(int)
    assert fired.max() == 1
    assert_moments(counts, 20.0, 20.0 * 0.99)
    assert_distributed(fired.reshape(20, 100, 200).sum(axis=1), binom(100, 0.01))
    assert_uncorrelated(fired)


def test_poisson_rates_by_neuron(run):
    """Each neuron has its own rate, from silence to a spike in every step."""
    rates = np.array([0.0, 10.0, 1000.0, 9000.0, 10_000.0])
    net = sim.Network()
    net.record(net.population("source", 5, sim.Poisson(rate=rates)), "counts")
    counts = run(net, 1000.0, seed=2).counts["source"].values
    assert counts[0] == 0
    assert counts[4] == 10_000
    assert np.all(np.abs(counts - rates) <= 4.0 * np.sqrt(rates * (1.0 - rates / 10_000.0)))


@pytest.mark.parametrize("mean", [0.05, 0.8, 30.0])
def test_poisson_drive(run, mean):
    """The number of spikes of a Poisson drive in a step is Poisson distributed with mean rate x dt."""
    net = sim.Network()
    cell = net.population("cell", 50, sim.IF(v_threshold=math.inf))
    net.stimulate(cell, sim.PoissonDrive(rate=mean / 0.1 * 1e3, weight=1.0, receptor="input"))
    net.record(cell, "v")
    counts = np.diff(run(net, 80.0, seed=4).trace("cell", "v").values, axis=0, prepend=0.0)
    assert_moments(counts, mean, mean, 3.0 + 1.0 / mean)
    assert_distributed(counts, poisson(mean))
    assert_uncorrelated(counts)


def test_noise_current(run):
    """A noise current is normal with the given mean and deviation, drawn anew for each neuron every interval."""
    net = sim.Network()
    cell = net.population("cell", 50, sim.IF(c_m=C, v_threshold=math.inf))
    net.stimulate(cell, sim.NoiseCurrent(sd=40.0, interval=0.5, mean=15.0))
    net.record(cell, "v")
    v = run(net, 200.0, seed=6).trace("cell", "v").values
    current = (np.diff(v, axis=0, prepend=0.0) * C / 0.1).reshape(400, 5, 50)
    np.testing.assert_allclose(current, np.broadcast_to(current[:, :1], current.shape), atol=1e-8)
    drawn = current[:, 0]
    assert_moments(drawn, 15.0, 1600.0)
    assert kstest(drawn.ravel(), norm(15.0, 40.0).cdf).pvalue > 1e-3
    assert_uncorrelated(drawn)


def test_spike_trains_arrive_after_their_delay(run):
    """A spike stamped t arrives at t + delay, for every delay; without delay at t itself."""
    rng = np.random.default_rng(8)
    times, ids = np.arange(1, 101) * 0.3, rng.permutation(100)
    delays = 0.1 * rng.integers(1, 60, 100)
    net = sim.Network()
    source = net.population("source", 100, sim.SpikeTrains(times, ids))
    cell = net.population("cell", 100, sim.IF(v_threshold=math.inf))
    prompt = net.population("prompt", 100, sim.IF(v_threshold=math.inf))
    net.project(source, cell, sim.OneToOne(), weight=1.0, delay=delays)
    net.project(source, prompt, sim.OneToOne(), weight=1.0, delay=0.0)
    for population in (source, cell, prompt):
        net.record(population, "spikes" if population is source else "v")
    recording = run(net, 40.0)
    assert recording.spikes["source"].times == pytest.approx(times)
    np.testing.assert_array_equal(recording.spikes["source"].ids, ids)
    stamps = np.empty(100)
    stamps[ids] = np.rint(times / 0.1)
    for name, extra in (("cell", np.rint(delays / 0.1)), ("prompt", 0)):
        found = recording.trace(name, "v").values.argmax(axis=0) + 1
        np.testing.assert_array_equal(found, stamps + extra)
