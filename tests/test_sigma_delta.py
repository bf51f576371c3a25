"""Neurons with graded spikes against their equations, written once more with numpy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import special

from spikesim.connectivity import OneToOne
from spikesim.distributions import Uniform
from spikesim.engine import ENGINES
from spikesim.errors import DescriptionError
from spikesim.network import Network
from spikesim.neurons import Maximum, Product, SigmaDelta
from spikesim.neurons.activations import ACTIVATIONS
from spikesim.recording import Recording
from spikesim.simulation import Simulation
from spikesim.stimulus import DirectCurrent, SampledCurrent

every_engine = pytest.mark.parametrize("engine", list(ENGINES))
FUNCTIONS = {
    "identity": lambda x: x,
    "relu": lambda x: np.where(x > 0.0, x, 0.0),
    "clamp": lambda x, low, high: np.clip(x, low, high),
    "leaky_relu": lambda x, slope: np.where(x > 0.0, x, slope * x),
    "hard_sigmoid": lambda x: np.clip(x / 6.0 + 0.5, 0.0, 1.0),
    "hard_swish": lambda x: x * np.clip(x / 6.0 + 0.5, 0.0, 1.0),
    "sigmoid": special.expit,
    "tanh": np.tanh,
    "silu": lambda x: x * special.expit(x),
    "gelu": lambda x: x * special.ndtr(x),
    "gelu_tanh": lambda x: 0.5 * x * (1.0 + np.tanh(np.sqrt(2.0 / np.pi) * (x + 0.044715 * x**3))),
    "softplus": lambda x, beta: np.logaddexp(0.0, beta * x) / beta,
    "elu": lambda x, scale, alpha, rate: scale * np.where(x > 0.0, x, alpha * np.expm1(rate * np.minimum(x, 0.0))),
    "exp": np.exp,
    "reciprocal": lambda x: 1.0 / x,
    "rsqrt": lambda x: 1.0 / np.sqrt(x),
    "square": np.square,
    "abs": np.abs,
}
PARAMETERS = {"clamp": {"low": -0.5, "high": 2.0}, "leaky_relu": {"slope": 0.1}, "softplus": {"beta": 1.5},
              "elu": {"scale": 1.05, "alpha": 1.67, "rate": 0.8}}  # fmt: skip
SIZE = 12
NUMBERS = st.floats(-20.0, 20.0)
INPUTS = hnp.arrays(np.float64, SIZE, elements=NUMBERS)
quick = settings(max_examples=10, deadline=None)


def run(build, steps: int, *, engine="cpu", precision="float64", threads=1) -> Recording:
    """Everything that is to be known of the population "neurons" that ``build`` adds to a network."""
    net = Network()
    build(net)
    for variable in ("spikes", "sent", *("u",) * isinstance(net.populations["neurons"].model, SigmaDelta)):
        net.record(net.populations["neurons"], variable)
    return Simulation(net, dt=1.0, engine=engine, precision=precision, threads=threads).run(float(steps), progress=False)


def sums(recording: Recording, steps: int) -> np.ndarray:
    """The sums of the sizes of all spikes after each step, (steps, SIZE)."""
    spikes = recording.spikes["neurons"]
    total = np.zeros((steps, SIZE))
    np.add.at(total, (np.rint(spikes.times).astype(int) - 1, spikes.ids), spikes.sizes)
    return total.cumsum(axis=0)


def wanted(value, quantum, least=-np.inf, most=np.inf) -> np.ndarray:
    """Where ``sent`` must settle; a value between two multiples up to rounding is not judged (nan)."""
    with np.errstate(all="ignore"):
        scaled = np.asarray(value) / quantum + 0.5
        near = np.abs(scaled - np.rint(scaled)) <= 1e-9 * np.maximum(1.0, np.abs(scaled))
        return np.where(near, np.nan, np.clip(np.floor(scaled), least, most))


def assert_sent(found: np.ndarray, should: np.ndarray) -> None:
    judged = ~np.isnan(should)
    np.testing.assert_array_equal(found[judged], should[judged])


def test_every_function_is_tested():
    assert FUNCTIONS.keys() == ACTIVATIONS.keys()
    assert {name: set(a.parameters) for name, a in ACTIVATIONS.items() if a.parameters} == {n: set(p) for n, p in PARAMETERS.items()}


@pytest.mark.parametrize("function", FUNCTIONS)
@quick
@given(INPUTS, st.sampled_from([0.01, 0.1, 1.0]))
def test_settles_at_the_nearest_multiple(function, inputs, quantum):
    """Given a sum once, a neuron ends with floor(f(u) / quantum + 1/2) spikes, whatever f, and stays there."""
    model = SigmaDelta(function=function, quantum=quantum, burst=2**20, parameters=PARAMETERS.get(function, {}))
    with np.errstate(all="ignore"):
        value = FUNCTIONS[function](inputs, **PARAMETERS.get(function, {}))
    should = wanted(value, quantum)
    should[np.abs(should) > 2**21] = np.nan  # not reached in three bursts
    should[~np.isfinite(value)] = 0.0  # silent
    found = run(lambda net: net.population("neurons", SIZE, model, initial={"u": inputs}), 3)
    assert_sent(found.trace("neurons", "sent").values[-1], should)
    np.testing.assert_array_equal(sums(found, 3), found.trace("neurons", "sent").values)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_averaged_keeps_pace(function):
    """While bursts suffice, |sent quantum - T f(mean)| <= quantum / 2 after every step."""
    rng, steps, quantum = np.random.default_rng(5), 40, 0.05
    inputs = rng.uniform(0.5, 3.0, (steps, SIZE)) - (0.0 if function == "rsqrt" else 1.9)
    model = SigmaDelta(function=function, quantum=quantum, burst=2**20, averaged=True, parameters=PARAMETERS.get(function, {}))

    def build(net):
        net.stimulate(net.population("neurons", SIZE, model), SampledCurrent(inputs, 1.0))

    found = run(build, steps).trace("neurons", "sent").values
    t = np.arange(1.0, steps + 1.0)[:, None]
    value = t * FUNCTIONS[function](inputs.cumsum(axis=0) / t, **PARAMETERS.get(function, {}))
    assert (np.abs(found * quantum - value)[np.abs(value) < 1e4] <= quantum / 2 * (1.0 + 1e-9)).all()
    assert np.abs(np.diff(found, axis=0)).max() > 1.0


@pytest.mark.parametrize(("engine", "threads"), [("reference", 1), ("cpu", 1), ("cpu", 3)])
@pytest.mark.parametrize("averaged", [False, True])
def test_agrees_with_its_equations(engine, threads, averaged):
    """Step by step, with everything different for each neuron and small bursts."""
    rng, steps = np.random.default_rng(6), 60
    inputs, start = rng.normal(0.3, 1.0, (steps, SIZE)), rng.normal(0.0, 3.0, SIZE)
    quantum, slope, i_e = rng.uniform(0.1, 0.5, SIZE), rng.uniform(0.1, 0.9, SIZE), rng.normal(0.0, 0.3, SIZE)
    least, most = np.array([-4.0, -np.inf, 0.0, 2.0]).repeat(3), np.array([8.0, 3.0, np.inf]).repeat(4)
    model = SigmaDelta(function="leaky_relu", quantum=quantum, least=least, most=most, burst=2, averaged=averaged, i_e=i_e,
                       parameters={"slope": slope})  # fmt: skip

    def build(net):
        net.stimulate(net.population("neurons", SIZE, model, initial={"u": start}), SampledCurrent(inputs, 1.0))

    found = run(build, steps, engine=engine, threads=threads)
    u, sent = start, np.zeros(SIZE)
    for step in range(steps):
        u = u + (i_e + inputs[step])
        t = step + 1.0 if averaged else 1.0
        value = t * np.where(u / t > 0.0, u / t, slope * (u / t))
        target = np.clip(np.floor(value / quantum + 0.5), least, most)
        sent = sent + np.clip(target - sent, -2, 2)
        np.testing.assert_array_equal(found.trace("neurons", "u").values[step], u)
        np.testing.assert_array_equal(found.trace("neurons", "sent").values[step], sent)
    assert set(np.unique(found.spikes["neurons"].sizes)) == {-2, -1, 1, 2}
    np.testing.assert_array_equal(sums(found, steps), found.trace("neurons", "sent").values)


def feeding(model, inputs, **initial):
    """A network in which relays add ``inputs`` (receptors, SIZE) to a population of ``model`` in the first step."""

    def build(net):
        target = net.population("neurons", SIZE, model, initial=initial)
        for name, values in zip(model.receptors, inputs, strict=True):
            relay = net.population(f"relay_{name}", SIZE, SigmaDelta(function="identity", quantum=2.0**-10, burst=2**20),
                                   initial={"u": values})  # fmt: skip
            net.project(relay, target, OneToOne(), weight=2.0**-10, delay=0.0, receptor=name)

    return build


@quick
@given(INPUTS, INPUTS, st.sampled_from([0.01, 0.3]), st.booleans())
def test_product(a, b, quantum, averaged):
    """A product settles at a b / quantum; averaged at the product over the number of steps."""
    a, b = (np.floor(x * 2**10 + 0.5) / 2**10 for x in (a, b))
    found = run(feeding(Product(quantum=quantum, burst=2**20, averaged=averaged), [a, b]), 4).trace("neurons", "sent").values
    for step in range(4):
        assert_sent(found[step], wanted(a * b / (step + 1.0 if averaged else 1.0), quantum))


@quick
@given(hnp.arrays(np.float64, (5, SIZE), elements=NUMBERS), st.integers(2, 5), st.booleans())
def test_maximum(inputs, number, averaged):
    inputs = np.floor(inputs[:number] * 2**10 + 0.5) / 2**10
    found = run(feeding(Maximum(inputs=number, quantum=0.1, burst=2**20, averaged=averaged), inputs, x1=1.5), 2)
    inputs[1] += 1.5
    assert_sent(found.trace("neurons", "sent").values[-1], wanted(inputs.max(axis=0), 0.1))


@every_engine
@pytest.mark.parametrize(("function", "bad", "good"), [("reciprocal", 0.0, 0.5), ("exp", 2000.0, 1.0), ("rsqrt", -1.0, 0.25)])
@pytest.mark.parametrize("averaged", [False, True])
def test_silent_where_there_is_no_finite_value(engine, function, bad, good, averaged):
    """Nothing is sent while the value is infinite or no number; what was sent before is taken back by nobody."""
    inputs = np.array([good, bad - good, good - bad])[:, None].repeat(SIZE, axis=1)
    model = SigmaDelta(function=function, quantum=0.25, burst=2**20, averaged=averaged)

    def build(net):
        net.stimulate(net.population("neurons", SIZE, model), SampledCurrent(inputs, 1.0))

    found = run(build, 3, engine=engine).trace("neurons", "sent").values
    first = np.floor(FUNCTIONS[function](good) / 0.25 + 0.5)
    assert (found[0] == first).all()
    assert (found[1] == found[0]).all()
    assert np.isfinite(found).all()


@every_engine
def test_extreme_sums_give_whole_numbers(engine):
    """Sums near the largest float send bursts of the right sign or nothing, in either precision."""
    huge = np.array([1e308, -1e308, 1e300, -1e300, 1e30, -1e30, 1e18, -1e18, 5e-324, -5e-324, 0.0, 1e16])
    for function in FUNCTIONS:
        model = SigmaDelta(function=function, quantum=1e-3, burst=2**30, parameters=PARAMETERS.get(function, {}))
        sizes = sums(run(lambda net, model=model: net.population("neurons", SIZE, model, initial={"u": huge}), 2, engine=engine), 2)
        assert (np.abs(sizes) <= 2.0**31).all()
    model = SigmaDelta(function="identity", quantum=1e-3, burst=2**30)
    sizes = sums(run(lambda net: net.population("neurons", SIZE, model, initial={"u": huge}), 1, engine=engine), 1)[0]
    assert sizes[2:].tolist() == [2**30, -(2**30)] * 3 + [0, 0, 0, 2**30]


def test_float32_within_its_range():
    """Counts and sums that float32 holds are those of float64."""
    inputs = np.linspace(-8.0, 8.0, SIZE)
    model = SigmaDelta(function="silu", quantum=0.25, burst=100)
    both = [run(lambda net: net.population("neurons", SIZE, model, initial={"u": inputs}), 3, precision=p) for p in ("float32", "float64")]
    np.testing.assert_array_equal(both[0].trace("neurons", "sent").values, both[1].trace("neurons", "sent").values)


def test_distributions_of_parameters():
    """Parameters of the function may be drawn, each neuron its own, and are checked when drawn."""
    model = SigmaDelta(function="leaky_relu", quantum=1e-3, burst=2**20, parameters={"slope": Uniform(0.2, 0.8)})
    found = run(lambda net: net.population("neurons", SIZE, model, initial={"u": -1.0}), 2).trace("neurons", "sent").values[-1]
    assert len(np.unique(found)) == SIZE
    assert (found >= -800).all()
    assert (found <= -200).all()
    with pytest.raises(DescriptionError, match="whole number"):
        run(lambda net: net.population("neurons", SIZE, SigmaDelta(most=Uniform(1.0, 2.0))), 1)


def test_currents_are_added_once_a_step_whatever_its_length():
    net = Network()
    cells = net.population("neurons", 2, SigmaDelta(i_e=0.5))
    net.stimulate(cells, DirectCurrent([1.0, 2.0]))
    net.record(cells, "u")
    found = Simulation(net, dt=0.1).run(0.3, progress=False).trace("neurons", "u").values
    np.testing.assert_allclose(found, np.outer([1.0, 2.0, 3.0], [1.5, 2.5]), rtol=1e-6)
