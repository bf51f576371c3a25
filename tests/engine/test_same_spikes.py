"""Every engine, with any number of threads, computes bit for bit what the reference engine computes."""

import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
import scipy.sparse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spikesim.connectivity import (
    AllToAll,
    Along,
    Conv,
    ConvTranspose,
    Dense,
    FixedIndegree,
    FixedOutdegree,
    FixedProbability,
    FixedTotalNumber,
    Matrix,
    OneToOne,
    PairList,
    Pool,
)
from spikesim.connectivity.structured import Structured
from spikesim.connectivity.tables import BLOCK
from spikesim.distributions import ClippedNormal, LogNormal, Normal, Uniform, support
from spikesim.engine import ENGINES, engine_class
from spikesim.errors import DescriptionError, UnsupportedError
from spikesim.network import Network
from spikesim.neurons import IF, LIF, LoihiLIF, Maximum, Neuron, Product, Rules, ShiftedSum, SigmaDelta, TrueNorth
from spikesim.population import overlap
from spikesim.recording import Recording
from spikesim.simulation import Simulation
from spikesim.stimulus import DirectCurrent, NoiseCurrent, Poisson, PoissonDrive, SampledCurrent, SpikeTrains, StepCurrent
from spikesim.synapses import AlphaCurrent, Delta, ExponentialConductance, ExponentialCurrent

THREADS = (1, 2, 3, 8)
UNSUPPORTED = {"reference": {"float32": "it computes with Python's own numbers, which are float64"}}  # engine: {case: reason}


class Case(NamedTuple):
    build: Callable[[], Network]
    dt: float = 0.5
    steps: int = 60
    seed: int = 1
    precision: str = "float64"


CASES: list[tuple[str, Case]] = []


def case(name: str, **settings):
    """Enter the function, which builds a network, into the table."""

    def enter(build: Callable[[], Network]) -> Callable[[], Network]:
        CASES.append((name, Case(build, **settings)))
        return build

    return enter


def observe(net: Network, dt: float) -> Network:
    """Record all there is."""
    for population in net.populations.values():
        variables = population.model.variables() if isinstance(population.model, Neuron) else ()
        for variable in ("spikes", "counts", *variables):
            net.record(population, variable)
        net.record(population, "rate", every=4 * dt)
    return net


def simulate(case: Case, engine: str, threads: int, **options) -> Recording:
    net = observe(case.build(), case.dt)
    made = Simulation(net, dt=case.dt, seed=case.seed, engine=engine, threads=threads, precision=case.precision, **options)
    return made.run(case.steps * case.dt)


@cache
def expected(name: str) -> Recording:
    """What the reference engine gives; where it cannot, the first engine that can."""
    engine = next(engine for engine in ["reference", *ENGINES] if name not in UNSUPPORTED.get(engine, {}))
    return simulate(dict(CASES)[name], engine, 1)


def contents(recording: Recording) -> dict[tuple, np.ndarray]:
    """All arrays of a recording, by kind, name and field."""
    kinds = {"spikes": recording.spikes, "traces": recording.traces, "counts": recording.counts, "rates": recording.rates}
    return {(kind, name, field): value for kind, entries in kinds.items() for name, entry in entries.items()
            for field, value in vars(entry).items()}  # fmt: skip


def assert_identical(found: Recording, wanted: Recording) -> None:
    """Equal in every array, value by value and bit by bit."""
    mine, other = contents(found), contents(wanted)
    assert mine.keys() == other.keys()
    for key, value in other.items():
        a, b = np.asarray(mine[key]), np.asarray(value)
        assert (a.dtype, a.shape) == (b.dtype, b.shape), key
        assert a.tobytes() == b.tobytes(), f"{key}: first difference at {np.argwhere(a != b)[:1].tolist()}"


# ---- neuron models -------------------------------------------------------------------------------------------------


def recurrent(model, weights, *, rate=150.0, initial=None, size=40, shape=None):
    """Neurons connected with each other and driven by a population of Poisson sources, through every receptor."""
    net = Network()
    cells = net.population("cells", shape or size, model, initial=initial)
    noise = net.population("noise", 30, Poisson(rate=rate))
    for receptor, weight in weights.items():
        net.project(noise, cells, FixedIndegree(8), weight=weight, delay=1.0, receptor=receptor)
        net.project(cells, cells, FixedProbability(0.15), weight=0.4 * weight, delay=2.0, receptor=receptor)
    return net


V = {"v": Uniform(-70.0, -55.0)}


@case("lif delta")
def _():
    return recurrent(LIF(receptors={"hit": Delta()}), {"hit": 3.0}, initial=V)


@case("lif exponential currents")
def _():
    receptors = {"exc": ExponentialCurrent(tau=2.0), "inh": ExponentialCurrent(tau=5.0)}
    return recurrent(LIF(receptors=receptors), {"exc": 400.0, "inh": -90.0}, initial=V)


@case("lif alpha currents")
def _():
    receptors = {"exc": AlphaCurrent(tau=1.0), "inh": AlphaCurrent(tau=10.0)}  # one as slow as the membrane
    return recurrent(LIF(receptors=receptors), {"exc": 300.0, "inh": -20.0}, initial=V)


@case("lif exponential conductances")
def _():
    receptors = {"exc": ExponentialConductance(tau=2.0), "inh": ExponentialConductance(tau=5.0, reversal=-80.0)}
    return recurrent(LIF(receptors=receptors), {"exc": 6.0, "inh": 3.0}, initial=V)


@case("lif mixture of delta and currents")
def _():
    receptors = {"hit": Delta(), "exc": ExponentialCurrent(), "slow": AlphaCurrent(tau=4.0)}
    return recurrent(LIF(receptors=receptors), {"hit": 1.0, "exc": 200.0, "slow": 20.0}, initial=V)


@case("lif mixture of all receptors")
def _():
    receptors = {"cond": ExponentialConductance(), "hit": Delta(), "slow": AlphaCurrent(tau=4.0),
                 "inh": ExponentialConductance(reversal=-85.0), "exc": ExponentialCurrent()}  # fmt: skip
    return recurrent(LIF(receptors=receptors), {"cond": 2.0, "hit": 1.0, "slow": 20.0, "inh": 1.0, "exc": 150.0}, initial=V)


@case("integers of loihi")
def _():
    model = LoihiLIF(du=900.0, dv=100.0, vth=60.0, bias_mant=np.arange(40.0), bias_exp=3.0, refractory=2.0, interval=17,
                     receptors={"hit": ShiftedSum(exponent=1), "low": ShiftedSum(exponent=-2)})  # fmt: skip
    return recurrent(model, {"hit": 20.0, "low": -25.0}, initial={"u": 1000.0})


@case("integers of loihi, soft reset and both thresholds")
def _():
    net = recurrent(LoihiLIF(du=4095.0, vth=90.0, reset="subtract", receptors={"hit": ShiftedSum()}), {"hit": 20.0})
    both = net.population("both", 20, LoihiLIF(du=2000.0, vth=40.0, vth_low=-30))
    net.project(net.populations["cells"], both, FixedProbability(0.3), weight=-15.0, delay=1.0)
    return net


@case("lif without receptors")
def _():
    net = Network()
    net.population("cells", 30, LIF(i_e=Uniform(400.0, 900.0), receptors={}))
    return net


@case("lif refractory", dt=0.1)
def _():
    """Long and short refractory times, and none; what arrives meanwhile is lost or kept by the kind of receptor."""
    receptors = {"hit": Delta(), "exc": ExponentialCurrent()}
    model = LIF(t_ref=np.repeat([0.0, 0.1, 3.0, 5.0], 10), receptors=receptors)
    return recurrent(model, {"hit": 12.0, "exc": 900.0}, rate=2000.0, initial=V | {"refractory": np.arange(40.0) % 7})


@case("lif threshold infinite for some")
def _():
    thresholds = np.where(np.arange(40) % 2, np.inf, -55.0)
    return recurrent(LIF(v_threshold=thresholds, receptors={"hit": Delta()}), {"hit": 5.0})


def varied(give):
    """Every parameter of a LIF with all kinds of currents, each from ``give(low, high)``."""
    return LIF(
        tau_m=give(8.0, 20.0), c_m=give(180.0, 300.0),
        v_rest=give(-72.0, -68.0), v_reset=give(-75.0, -65.0), v_threshold=give(-58.0, -52.0),
        t_ref=np.arange(40) % 4 * 0.5, i_e=give(100.0, 300.0),
        receptors={"exc": ExponentialCurrent(tau=give(1.0, 5.0)), "slow": AlphaCurrent(tau=give(1.0, 5.0)), "hit": Delta()},
    )  # fmt: skip


def varied_initial(give):
    return {"v": give(-70.0, -60.0), "exc": give(0.0, 100.0), "slow": give(0.0, 50.0), "slow_slope": give(0.0, 20.0), "refractory": 1.0}


WEIGHTS = {"exc": 250.0, "slow": 40.0, "hit": 1.0}


@case("lif array for every parameter")
def _():
    return recurrent(varied(lambda low, high: np.linspace(low, high, 40)), WEIGHTS,
                     initial=varied_initial(lambda low, high: np.linspace(high, low, 40)))  # fmt: skip


@case("lif distribution for every parameter")
def _():
    model = varied(Uniform)
    distributed = LIF(**{**model.values(), "t_ref": Uniform(0.0, 2.0), "c_m": ClippedNormal(250.0, 30.0, low=100.0),
                         "tau_m": LogNormal(2.3, 0.1), "v_rest": Normal(-70.0, 0.5)})  # fmt: skip
    return recurrent(distributed, WEIGHTS, initial=varied_initial(Uniform))


@case("lif parameters in the shape of the population")
def _():
    """Arrays in the population's shape beside distributions and flat arrays."""
    model = LIF(tau_m=np.linspace(8.0, 20.0, 40).reshape(5, 8), c_m=Uniform(200.0, 260.0), i_e=np.full(40, 500.0),
                receptors={"exc": ExponentialCurrent(tau=np.linspace(1.0, 5.0, 40).reshape(5, 8))})  # fmt: skip
    return recurrent(model, {"exc": 250.0}, shape=(5, 8), initial={"v": np.linspace(-70.0, -60.0, 40).reshape(5, 8)})


def conducting(give):
    return LIF(
        tau_m=give(8.0, 20.0), c_m=give(180.0, 300.0),
        v_rest=give(-72.0, -68.0), v_reset=give(-75.0, -65.0), v_threshold=give(-58.0, -52.0),
        t_ref=1.0, i_e=give(0.0, 100.0),
        receptors={"exc": ExponentialConductance(tau=give(1.0, 5.0), reversal=give(-5.0, 5.0)),
                   "inh": ExponentialConductance(tau=give(4.0, 9.0), reversal=give(-90.0, -75.0)),
                   "slow": AlphaCurrent(tau=give(1.0, 4.0))},
    )  # fmt: skip


@case("conductances with arrays")
def _():
    return recurrent(conducting(lambda low, high: np.linspace(low, high, 40)), {"exc": 6.0, "inh": 2.0, "slow": 30.0}, initial=V)


@case("conductances with distributions")
def _():
    return recurrent(conducting(Uniform), {"exc": 6.0, "inh": 2.0, "slow": 30.0}, initial=V | {"exc": Uniform(0.0, 2.0)})


@case("if soft reset", dt=1.0)
def _():
    return recurrent(IF(), {"input": 0.3}, rate=200.0, initial={"v": Uniform(0.0, 1.0)})


@case("truenorth", dt=1.0)
def _():
    model = TrueNorth(leak=np.arange(40) % 7 - 3, leak_reversal=True, v_threshold=np.arange(40) + 5, v_floor=6, reset="subtract")
    return recurrent(model, {"input": 5.0}, rate=200.0, initial={"v": np.arange(40) - 20})


@case("truenorth by other rules", dt=1.0)
def _():
    rules = Rules(leak_sign="minus", order="leak_first", zero_crossing="stops", floor="at", overflow="wrap", reset_encoding="plain")
    model = TrueNorth(leak=2, leak_reversal=True, v_threshold=9, v_floor=4, floor_resets=True, v_reset=-2, rules=rules)
    return recurrent(model, {"input": 5.0}, rate=200.0, initial={"v": np.arange(40) - 30})


@case("if hard reset", dt=1.0)
def _():
    return recurrent(IF(reset="value", v_reset=-0.25), {"input": 0.3}, rate=200.0)


@case("if soft reset refractory with arrays", dt=1.0)
def _():
    model = IF(c_m=np.linspace(0.5, 2.0, 40), v_threshold=np.linspace(0.5, 2.0, 40), t_ref=np.arange(40) % 3 * 1.0,
               i_e=np.linspace(-0.1, 0.1, 40))  # fmt: skip
    return recurrent(model, {"input": 0.4}, rate=200.0, initial={"v": np.linspace(-0.5, 0.5, 40)})


@case("if hard reset with distributions", dt=1.0)
def _():
    model = IF(c_m=Uniform(0.5, 2.0), v_threshold=Uniform(0.5, 2.0), v_reset=Uniform(-0.5, 0.25), t_ref=Uniform(0.0, 3.0),
               i_e=Normal(0.0, 0.1), reset="value")  # fmt: skip
    return recurrent(model, {"input": 0.4}, rate=200.0)


@case("if with currents", dt=1.0)
def _():
    model = IF(receptors={"hit": Delta(), "exc": ExponentialCurrent(tau=2.0), "slow": AlphaCurrent(tau=3.0)})
    return recurrent(model, {"hit": 0.1, "exc": 0.1, "slow": -0.02}, rate=200.0)


# ---- sources and stimuli -------------------------------------------------------------------------------------------


def fed_by(model, size=20):
    net = Network()
    source = net.population("source", size, model)
    cells = net.population("cells", 30, LIF(receptors={"hit": Delta()}))
    net.project(source, cells, FixedOutdegree(6), weight=9.0, delay=1.0)
    return net


@case("poisson of one rate")
def _():
    return fed_by(Poisson(rate=80.0))


@case("poisson of a rate for each", dt=1.0)
def _():
    return fed_by(Poisson(rate=np.concatenate([np.zeros(5), np.full(5, 1000.0), np.linspace(1.0, 500.0, 10)])))


@case("poisson of random rates")
def _():
    return fed_by(Poisson(rate=LogNormal(4.5, 0.5)))


@case("spike trains in any order")
def _():
    steps = np.random.default_rng(1).permutation(20 * 60)[:300]
    return fed_by(SpikeTrains((steps // 20 + 1) * 0.5, steps % 20))


@case("spike trains that end beyond the run and are silent in between")
def _():
    return fed_by(SpikeTrains(np.concatenate([np.full(20, 0.5), np.full(20, 30.0), [9999.0]]), np.concatenate([*[np.arange(20)] * 2, [3]])))


def stimulated(*stimuli, size=40, receptors=None):
    """``stimuli`` are pairs of a slice (or None for all) and a stimulus."""
    net = Network()
    receptors = {"exc": ExponentialCurrent(), "hit": Delta()} if receptors is None else receptors
    cells = net.population("cells", size, LIF(receptors=receptors, i_e=350.0, t_ref=0.5))
    for where, stimulus in stimuli:
        net.stimulate(cells if where is None else cells[where], stimulus)
    net.project(cells, cells, FixedIndegree(4), weight=0.5, delay=1.0, receptor="hit")
    return net


@case("poisson drive of one rate")
def _():
    return stimulated((None, PoissonDrive(rate=2000.0, weight=80.0, receptor="exc")))


@case("poisson drive of a rate for each")
def _():
    return stimulated((None, PoissonDrive(rate=np.linspace(0.0, 20_000.0, 40), weight=30.0, receptor="exc")))


@case("poisson drive of neighbours, hardly ever, now and then, often and very often")
def _():
    receptors = {name: Delta() for name in ("hardly", "hit", "often", "more")}
    return stimulated((slice(3, 37), PoissonDrive(rate=0.01, weight=9.0, receptor="hardly")),
                      (slice(5, 40), PoissonDrive(rate=3000.0, weight=0.7, receptor="hit")),
                      (slice(0, 29), PoissonDrive(rate=150_000.0, weight=0.013, receptor="often")),
                      (slice(7, 33), PoissonDrive(rate=2_000_000.0, weight=0.001, receptor="more")), receptors=receptors)  # fmt: skip


@case("poisson drives on strided slices and both receptors")
def _():
    return stimulated((slice(3, 37, 4), PoissonDrive(rate=np.linspace(0.0, 3000.0, 9), weight=2.0, receptor="hit")),
                      (slice(0, 40, 3), PoissonDrive(rate=LogNormal(7.0, 0.5), weight=90.0, receptor="exc")),
                      (slice(1, 40, 2), PoissonDrive(rate=3000.0, weight=-0.7, receptor="hit")),
                      (None, PoissonDrive(rate=0.0, weight=50.0, receptor="hit")))  # fmt: skip


@case("poisson drive of conductances")
def _():
    receptors = {"hit": Delta(), "exc": ExponentialConductance(), "inh": ExponentialConductance(reversal=-80.0)}
    return stimulated((None, PoissonDrive(rate=3000.0, weight=1.1, receptor="exc")),
                      (slice(0, 40, 5), PoissonDrive(rate=500.0, weight=0.7, receptor="inh")), receptors=receptors)  # fmt: skip


@case("direct currents")
def _():
    return stimulated((None, DirectCurrent(200.0)), (slice(0, 40, 3), DirectCurrent(np.linspace(-100.0, 500.0, 14))),
                      (slice(5, 30, 2), DirectCurrent(Normal(100.0, 50.0))), (slice(39, 40), DirectCurrent(1000.0)))  # fmt: skip


@case("step currents")
def _():
    return stimulated((None, StepCurrent([2.0, 10.0, 11.0], [600.0, -100.0, 400.0])),
                      (slice(1, 40, 4), StepCurrent([0.0, 12.5], np.linspace(-200.0, 900.0, 20).reshape(2, 10))))  # fmt: skip


@case("sampled currents")
def _():
    rng = np.random.default_rng(2)
    return stimulated((None, SampledCurrent(rng.normal(200.0, 300.0, 40), 0.5)),  # it ends within the run
                      (slice(2, 40, 3), SampledCurrent(rng.normal(200.0, 300.0, (9, 13)), 1.5)))  # fmt: skip


@case("noise currents")
def _():
    return stimulated((None, NoiseCurrent(sd=300.0, interval=0.5)), (slice(1, 40, 3), NoiseCurrent(sd=200.0, interval=1.5, mean=150.0)),
                      (slice(0, 10), DirectCurrent(100.0)))  # fmt: skip


@case("everything at once on a conductance model")
def _():
    receptors = {"hit": Delta(), "exc": ExponentialConductance()}
    return stimulated((None, NoiseCurrent(sd=200.0, interval=2.0)), (None, StepCurrent([5.0], [200.0])),
                      (None, SampledCurrent(np.arange(0.0, 100.0), 1.0)), (None, DirectCurrent(Uniform(0.0, 200.0))),
                      (None, PoissonDrive(rate=1000.0, weight=1.0, receptor="hit")), receptors=receptors)  # fmt: skip


# ---- rules, weights and delays -------------------------------------------------------------------------------------

WHOLE, EVERY_THIRD, ODD, MIDDLE = slice(None), slice(1, 40, 3), slice(1, 40, 2), slice(11, 24)
SPARSE = scipy.sparse.random(40, 13, 0.2, random_state=3, data_rvs=np.random.default_rng(3).standard_normal)
RULES = {
    "one to one": (OneToOne(), WHOLE, WHOLE),
    "one to one between slices": (OneToOne(), EVERY_THIRD, MIDDLE),
    "all to all": (AllToAll(), WHOLE, WHOLE),
    "all to all without autapses": (AllToAll(autapses=False), ODD, EVERY_THIRD),
    "fixed probability": (FixedProbability(0.2), WHOLE, WHOLE),
    "fixed probability without autapses": (FixedProbability(0.4, autapses=False), EVERY_THIRD, ODD),
    "fixed probability of one": (FixedProbability(1.0), MIDDLE, ODD),
    "fixed indegree": (FixedIndegree(5), WHOLE, MIDDLE),
    "fixed indegree without autapses": (FixedIndegree(5, autapses=False), ODD, WHOLE),
    "fixed indegree without multapses": (FixedIndegree(5, multapses=False), EVERY_THIRD, ODD),
    "fixed indegree without either": (FixedIndegree(12, autapses=False, multapses=False), EVERY_THIRD, EVERY_THIRD),
    "fixed outdegree": (FixedOutdegree(5), WHOLE, MIDDLE),
    "fixed outdegree without autapses": (FixedOutdegree(5, autapses=False), ODD, WHOLE),
    "fixed outdegree without multapses": (FixedOutdegree(5, multapses=False), EVERY_THIRD, ODD),
    "fixed outdegree without either": (FixedOutdegree(12, autapses=False, multapses=False), MIDDLE, MIDDLE),
    "fixed total number": (FixedTotalNumber(200), WHOLE, EVERY_THIRD),
    "fixed total number without autapses": (FixedTotalNumber(200, autapses=False), ODD, WHOLE),
    "fixed total number without multapses": (FixedTotalNumber(200, multapses=False), EVERY_THIRD, ODD),
    "fixed total number without either": (FixedTotalNumber(150, autapses=False, multapses=False), MIDDLE, MIDDLE),
    "pair list": (PairList([0, 0, 12, 12, 12, 5, 5], [3, 19, 0, 0, 7, 7, 19]), MIDDLE, ODD),
    "matrix": (Matrix(np.random.default_rng(4).normal(1.0, 2.0, (13, 20))), MIDDLE, ODD),
    "sparse matrix": (Matrix(SPARSE), WHOLE, EVERY_THIRD),
    "dense": (Dense(np.random.default_rng(5).normal(0.2, 0.5, (40, 40))), WHOLE, WHOLE),
    "dense from the middle": (Dense(np.random.default_rng(9).normal(0.5, 1.0, (13, 20))), MIDDLE, ODD),
    "dense between slices": (Dense(np.random.default_rng(6).normal(0.5, 1.0, (13, 20))), EVERY_THIRD, ODD),
}


def ruled(rule, source, target, *, weight=0.75, delay=2.0):
    """A projection by ``rule`` from one slice of noisy neurons to another, of the same population."""
    net = Network()
    cells = net.population("cells", 40, LIF(receptors={"hit": Delta()}), initial=V)
    net.stimulate(cells, PoissonDrive(rate=3000.0, weight=1.5, receptor="hit"))
    net.project(cells[source], cells[target], rule, weight=weight, delay=delay)
    return net


for label, (rule, source, target) in RULES.items():
    case(label)(lambda rule=rule, source=source, target=target: ruled(rule, source, target))


def rng_array(low, high, count):
    return np.random.default_rng(7).uniform(low, high, count)


SYNAPSES = {
    "weights as an array": (FixedIndegree(5), rng_array(-1.0, 2.0, 200), 1.0),
    "weights as a matrix of all to all": (AllToAll(), rng_array(-0.2, 0.4, 1600).reshape(40, 40), 1.0),
    "weights as a matrix without autapses": (AllToAll(autapses=False), rng_array(-0.2, 0.4, 1600), rng_array(1.0, 9.0, 1600).round()),
    "weights uniform": (FixedOutdegree(5), Uniform(0.5, 1.5), 1.0),
    "weights normal": (FixedProbability(0.2), Normal(0.5, 0.5), 1.0),
    "weights clipped normal": (FixedTotalNumber(200), ClippedNormal(1.0, 0.5, low=0.0), 1.0),
    "weights log-normal": (FixedTotalNumber(200, multapses=False), LogNormal(-0.5, 0.5), 1.0),
    "weights negative": (FixedProbability(0.2), -0.5, 1.0),
    "weights of int16": (FixedIndegree(5), np.tile([0.3, 0.6, 1.5, -0.9, 0.0], 40), 1.0),
    "weights of int32": (FixedIndegree(5), np.logspace(-5.0, 0.5, 200), 1.0),
    "weights of int32 in sums of int32": (OneToOne(), np.logspace(-4.0, 1.0, 40), 1.0),
    "delays as an array": (FixedIndegree(5), 0.75, np.arange(1, 201) % 23 * 0.5 + 0.5),
    "delays uniform": (FixedProbability(0.2), 0.75, Uniform(0.5, 12.0)),
    "delays clipped normal": (FixedOutdegree(5), 0.75, ClippedNormal(4.0, 3.0, low=0.5, high=20.0)),
    "delays normal": (FixedTotalNumber(200), 0.75, Normal(10.0, 1.0)),
    "delays log-normal": (AllToAll(), 0.2, LogNormal(1.5, 0.3)),
    "delay longer than the run": (FixedIndegree(5), 0.75, 500.0),
    "delay that arrives in the last step": (FixedIndegree(5), 2.0, 29.5),
    "weights and delays random": (FixedIndegree(8), Normal(0.5, 0.2), Uniform(1.0, 9.0)),
}
for label, (rule, weight, delay) in SYNAPSES.items():
    case(label)(lambda rule=rule, weight=weight, delay=delay: ruled(rule, WHOLE, WHOLE, weight=weight, delay=delay))


def imaged(rule, shape, target, *, delay=0.0, weight=None, rate=300.0):
    """A structured projection between populations with shapes, onto soft-reset neurons."""
    net = Network()
    pixels = net.population("pixels", shape, Poisson(rate=rate))
    cells = net.population("cells", target, IF(), initial={"v": 0.5})
    net.project(pixels, cells, rule, delay=delay, weight=weight)
    return net


def kernel(*shape):
    return np.random.default_rng(8).normal(0.15, 0.4, shape)


STRUCTURED = {
    "conv 1d": (Conv(kernel(3, 2, 4)), (2, 13), (3, 10), 0.0),
    "conv 1d with all options": (Conv(kernel(6, 2, 3), stride=2, padding=3, dilation=2, groups=2), (4, 11), (6, 7), 2.0),
    "conv 2d": (Conv(kernel(2, 2, 3, 2)), (2, 5, 6), (2, 3, 5), 1.0),
    "conv 2d with all options": (Conv(kernel(4, 1, 2, 3), stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2), (2, 5, 6),
                                 (4, 3, 6), 0.0),
    "conv 2d depthwise": (Conv(kernel(6, 1, 3, 3), padding=1, groups=3), (3, 4, 4), (6, 4, 4), 3.0),
    "conv 3d": (Conv(kernel(2, 1, 2, 2, 2)), (1, 3, 4, 4), (2, 2, 3, 3), 1.0),
    "conv 3d with all options": (Conv(kernel(2, 2, 2, 1, 3), stride=(1, 2, 2), padding=(1, 0, 2), dilation=(2, 1, 1)), (2, 3, 3, 4),
                                 (2, 3, 2, 3), 0.0),
    "conv of a large dynamic range": (Conv(kernel(2, 1, 3) * np.logspace(-6, 0, 3)), (1, 30), (2, 28), 1.0),
    "pool 1d": (Pool(2), (3, 12), (3, 6), 0.0),
    "pool 2d": (Pool(3, stride=(2, 1), padding=1), (2, 5, 5), (2, 3, 5), 1.0),
    "pool 3d": (Pool((1, 2, 2)), (1, 3, 4, 4), (1, 3, 2, 2), 2.0),
    "conv 1d channels last": (Conv(kernel(3, 2, 4), padding=2, channels_last=True), (13, 2), (14, 3), 1.0),
    "conv 2d channels last": (Conv(kernel(19, 2, 3, 3), padding=1, channels_last=True), (4, 5, 2), (4, 5, 19), 0.0),
    "conv 2d channels last with all options": (Conv(kernel(6, 2, 2, 3), stride=(1, 2), padding=(1, 2), dilation=(2, 1), groups=2,
                                                    channels_last=True), (4, 5, 4), (4, 4, 6), 2.0),
    "conv 3d channels last": (Conv(kernel(3, 1, 2, 2, 2), channels_last=True), (3, 4, 4, 1), (2, 3, 3, 3), 1.0),
    "conv transposed": (ConvTranspose(kernel(2, 3, 2, 3), stride=2, padding=1, output_padding=1), (2, 4, 3), (3, 7, 6), 1.0),
    "conv transposed channels last": (ConvTranspose(kernel(4, 3, 3), stride=2, dilation=2, groups=2, channels_last=True), (5, 4),
                                      (13, 6), 0.0),
    "pool channels last": (Pool(2, stride=1, channels_last=True), (4, 4, 3), (3, 3, 3), 1.0),
    "along the last axis": (Along(kernel(9, 4)), (5, 4), (5, 9), 1.0),
    "along the first axis": (Along(kernel(3, 6) * (kernel(3, 6) > 0.0), 5), (6, 5), (3, 5), 0.0),
    "along the middle axis with gains": (Along(np.tile(np.eye(3), 2) / 2, 4, np.linspace(0.2, 1.5, 4)), (3, 6, 4), (3, 3, 4), 2.0),
    "dense without delay": (Dense(kernel(24, 40)), (2, 12), 40, 0.0),
}  # fmt: skip
for label, (rule, shape, target, delay) in STRUCTURED.items():
    case(label, dt=1.0, steps=40)(
        lambda rule=rule, shape=shape, target=target, delay=delay: imaged(
            rule, shape, target, delay=delay, weight=0.25 if isinstance(rule, Pool) else None))  # fmt: skip


def chain(*, feedback):
    """Four layers without delay, one skipped over by a second projection, and slow ways back."""
    net = Network()
    out = net.population("out", 10, IF())  # the order of description is not that of stepping
    second = net.population("second", 20, IF(reset="value"))
    first = net.population("first", (2, 10), IF())
    source = net.population("source", 15, Poisson(rate=300.0))
    net.project(source, first, FixedIndegree(3), weight=0.5, delay=0.0)
    net.project(first, second, Dense(kernel(20, 20)), delay=0.0)
    net.project(second, out, FixedProbability(0.3), weight=0.4, delay=0.0)
    net.project(source, out, FixedIndegree(2), weight=0.2, delay=0.0)
    if feedback:
        net.project(out, first, FixedProbability(0.3), weight=0.3, delay=27.0)
        net.project(second, second, FixedProbability(0.2, autapses=False), weight=-0.2, delay=1.0)
        net.project(source, out, AllToAll(), weight=Normal(0.0, 0.05), delay=Uniform(1.0, 33.0))
        net.project(first[::2], second[5:15], OneToOne(), weight=0.5, delay=3.0)
    return net


case("chain without delay", dt=1.0)(lambda: chain(feedback=False))
case("zero and long delays in one network", dt=1.0)(lambda: chain(feedback=True))


def coincident(threshold, weight=1e6, size=30):
    """Strong synapses of different sizes, so that the quantum is tiny, whose sources all fire in the same steps."""
    net = Network()
    source = net.population("source", size, SpikeTrains(np.repeat([1.0, 4.0], size), np.tile(np.arange(size), 2)))
    cells = net.population("cells", 40, LIF(v_threshold=threshold, receptors={"hit": Delta()}))
    net.project(source, cells, AllToAll(), weight=weight * (1.0 + np.linspace(0.0, 0.9, size * 40)), delay=1.0)
    net.project(source, cells[:size], OneToOne(), weight=1e-3, delay=1.0)
    return net


case("accumulators of int64")(lambda: coincident(np.where(np.arange(40) % 2, np.inf, 1e7)))


@case("more parts than neurons")
def _():
    net = Network()
    source = net.population("source", 3, Poisson(rate=500.0))
    one = net.population("one", 1, LIF(receptors={"hit": Delta(), "unused": ExponentialCurrent()}))
    two = net.population("two", 2, IF())
    net.project(source, one, AllToAll(), weight=10.0, delay=0.5, receptor="hit")
    net.project(one, two, AllToAll(), weight=0.75, delay=0.0)
    net.project(two, one, Dense([[1.0], [2.0]]), delay=1.5, receptor="hit")
    net.stimulate(one, PoissonDrive(rate=2000.0, weight=2.0, receptor="hit"))
    return net


@case("sources alone")
def _():
    net = Network()
    net.population("source", 30, Poisson(rate=100.0))
    net.population("trains", 2, SpikeTrains([1.0, 2.0], [0, 1]))
    return net


@case("many populations of many models", seed=2**64 - 1)
def _():
    net = Network()
    receptors = ({"exc": ExponentialCurrent(), "inh": ExponentialCurrent()}, {"hit": Delta()},
                 {"exc": ExponentialConductance(), "inh": ExponentialConductance(reversal=-80.0)})  # fmt: skip
    weights = ({"exc": 300.0, "inh": -200.0}, {"hit": 3.0}, {"exc": 5.0, "inh": 2.0})
    groups = [net.population(f"group{k}", 12 + k, LIF(receptors=receptors[k % 3], i_e=300.0), initial=V) for k in range(5)]
    for a, source in enumerate(groups):
        for b, target in enumerate(groups):
            for receptor, weight in weights[b % 3].items():
                net.project(source[a % 3 :: 2], target[b % 2 :], FixedProbability(0.3), weight=weight,
                            delay=Uniform(0.5, 3.0 + a), receptor=receptor)  # fmt: skip
    for k, group in enumerate(groups):
        net.stimulate(group[k:], NoiseCurrent(sd=400.0, interval=0.5 + 0.5 * (k % 2)))
    return net


@case("more input slots than a block holds", dt=1.0, steps=3)
def _():
    net = Network()
    size = BLOCK + 500
    source = net.population("source", 40, Poisson(rate=500.0))
    cells = net.population("cells", size, IF(receptors={"input": Delta()}))
    net.project(source, cells[size - 2000 :], FixedIndegree(3), weight=0.5, delay=1.0)
    net.project(source, cells[:: BLOCK // 30], Dense(np.full((40, len(cells[:: BLOCK // 30])), 0.25)), delay=0.0)
    return net


def changes(function, **options):
    return SigmaDelta(function=function, quantum=0.125, burst=3, **options)


@case("graded spikes of several functions", dt=1.0)
def _():
    """Through tables of every kind of weight and many delays, and taken with noise, currents and drives."""
    net = Network()
    noise = net.population("noise", 20, Poisson(rate=200.0))
    curves = [net.population("sigmoid", 40, changes("sigmoid", averaged=True, i_e=Normal(0.0, 0.5))),
              net.population("leaky", 30, changes("leaky_relu", parameters={"slope": np.linspace(0.1, 0.5, 30)}, least=-40.0)),
              net.population("gelu", (5, 4), changes("gelu", most=np.arange(20.0)), initial={"u": Uniform(-2.0, 2.0)})]  # fmt: skip
    spiking = net.population("spiking", 25, LIF(receptors={"hit": Delta()}), initial=V)
    weights = (0.5, Uniform(-0.3, 0.4), np.logspace(-6.0, 0.0, 100))
    for cells, weight in zip(curves, weights, strict=True):
        net.project(noise, cells, FixedIndegree(3), weight=0.25, delay=Uniform(1.0, 5.0))
        net.project(cells, spiking, FixedIndegree(4), weight=weight, delay=np.arange(1, 101) % 9 + 1.0)
        net.project(spiking, cells, FixedProbability(0.2), weight=-0.25, delay=2.0)
        net.project(cells, cells, OneToOne(), weight=-0.125, delay=1.0)
        net.stimulate(cells[1::2], NoiseCurrent(sd=0.5, interval=2.0))
        net.stimulate(cells, PoissonDrive(rate=100.0, weight=0.5, receptor="input"))
    net.stimulate(spiking, DirectCurrent(500.0))
    return net


@case("graded spikes without delay through structured projections", dt=1.0)
def _():
    net = Network()
    source = net.population("source", (2, 5, 6), changes("identity", i_e=Normal(0.2, 0.5)))
    features = net.population("features", (2, 3, 5), changes("softplus", parameters={"beta": 2.0}, averaged=True))
    again = net.population("again", 30, changes("tanh"))
    product = net.population("product", 30, Product(quantum=0.25, burst=5))
    largest = net.population("largest", 30, Maximum(inputs=3, quantum=0.5, most=20.0))
    net.project(source, features, Conv(kernel(2, 2, 3, 2)), delay=0.0)
    net.project(features, again, Dense(kernel(30, 30) * np.logspace(-6, 0, 30)), delay=0.0)
    for receptor, population in (("a", features), ("b", again)):
        net.project(population, product, OneToOne(), weight=0.125, delay=0.0, receptor=receptor)
    for k, population in enumerate((features, again, product)):
        net.project(population[::2], largest[15:], Dense(kernel(15, 15)), delay=0.0 if k else 3.0, receptor=f"x{k}")
        net.project(population, largest, OneToOne(), weight=0.25, delay=float(k), receptor=f"x{k}")
    net.stimulate(product, PoissonDrive(rate=50.0, weight=0.125, receptor="a"))
    return net


@case("blocks alone, without delay, one past a stage", dt=1.0, steps=43)
def _():
    """Each stage may go through several steps at once; the runs of weights are longer and shorter than vectors."""
    net = Network()
    out = net.population("out", 30, IF())
    source = net.population("source", (4, 5, 2), Poisson(rate=300.0))
    first, second = (net.population(name, (4, 5, 19), IF(), initial={"v": 0.5}) for name in ("first", "second"))
    net.project(source, first, Conv(kernel(19, 2, 3, 3), padding=1, channels_last=True), delay=0.0)
    net.project(first, second, Conv(0.3 * kernel(19, 19, 3, 3), padding=1, channels_last=True), delay=0.0)
    net.project(first, second, Along(np.diag(kernel(19))), delay=0.0)
    for layer in (first, second):
        net.project(layer, out, Dense(0.2 * kernel(380, 30)), delay=0.0)
    net.stimulate(second, DirectCurrent(0.3, start=3.0, stop=21.0))
    net.stimulate(out, PoissonDrive(rate=50.0, weight=0.25, receptor="input"))
    return net


@case("direct currents that start and stop")
def _():
    return stimulated((None, DirectCurrent(300.0, start=3.0, stop=12.5)), (slice(0, 40, 3), DirectCurrent(Uniform(0.0, 500.0), stop=9.0)),
                      (slice(1, 9), DirectCurrent(200.0, start=20.0)))  # fmt: skip


case("float32", precision="float32")(lambda: recurrent(LIF(), {"exc": 400.0, "inh": -90.0}, initial=V))

NAMES = [name for name, _ in CASES]
VARIANTS = [(engine, threads) for engine in ENGINES for threads in THREADS
            if threads <= engine_class(engine).most_parts and (engine, threads) != ("reference", 1)]  # fmt: skip


@pytest.mark.parametrize(("engine", "threads"), VARIANTS)
@pytest.mark.parametrize("name", NAMES)
def test_same_as_reference(name, engine, threads):
    """The same spikes, sampled variables, counts and rates, bit for bit, on every engine and number of threads."""
    if name in UNSUPPORTED.get(engine, {}):
        pytest.skip(UNSUPPORTED[engine][name])
    assert_identical(simulate(dict(CASES)[name], engine, threads), expected(name))


def graded(net) -> bool:
    return any(getattr(population.model, "GRADED", False) for population in net.populations.values())


def drawn_by_source(projection) -> bool:
    """Whether the synapses of one source can be drawn alone, one step at least before they are needed."""
    by_source = isinstance(projection.rule, OneToOne | AllToAll | FixedProbability | FixedOutdegree)
    by_source |= isinstance(projection.rule, FixedTotalNumber) and projection.rule.multapses
    return isinstance(projection.rule, Structured) or (by_source and support(projection.delay)[0] > 0.0)


@pytest.mark.parametrize(("engine", "threads"), [("reference", 1), *VARIANTS])
@pytest.mark.parametrize("name", NAMES)
def test_same_with_procedural_synapses(name, engine, threads):
    """The same again where synapses are not stored, or a refusal where they must be; engines that cannot draw them store them."""
    if name in UNSUPPORTED.get(engine, {}):
        pytest.skip(UNSUPPORTED[engine][name])
    case = dict(CASES)[name]
    net = case.build()
    if engine_class(engine).procedural and (graded(net) or not all(drawn_by_source(p) for p in net.projections.values())):
        with pytest.raises(UnsupportedError, match="procedural"):
            simulate(case, engine, threads, procedural=True)
    else:
        assert_identical(simulate(case, engine, threads, procedural=True), expected(name))


@pytest.mark.parametrize("name", NAMES)
def test_case_spikes(name):
    """Every population of every case fires and its potentials move, so that agreement means something."""
    for population, spikes in expected(name).spikes.items():
        assert len(spikes) > 0, population
    for (population, variable), trace in expected(name).traces.items():
        assert variable != "v" or len(np.unique(trace.values)) > 1, population


def test_each_case_once():
    """No case is listed twice, under one name or two."""
    assert len(set(NAMES)) == len(NAMES)
    built = [(entry.build(), entry[1:]) for _, entry in CASES]
    for at, mine in enumerate(built):
        assert mine not in built[:at], NAMES[at]


def test_nothing_listed_as_unsupported_without_need():
    """Every entry of UNSUPPORTED names an engine and a case, gives a reason, and is refused by that engine."""
    for engine, cases in UNSUPPORTED.items():
        for name, reason in cases.items():
            assert reason
            assert engine in ENGINES
            with pytest.raises(UnsupportedError):
                simulate(dict(CASES)[name], engine, 1)


def compiled(name: str):
    return Simulation(dict(CASES)[name].build(), dt=dict(CASES)[name].dt).program


def test_storage_types_are_those_the_cases_mean():
    """The cases of int16, int32 and int64 do use these types, and the sums do pass the range of int32."""
    assert {t.weights.dtype for t in compiled("weights of int16").tables} == {np.dtype(np.int16)}
    assert {t.weights.dtype for t in compiled("weights of int32").tables} == {np.dtype(np.int32)}
    assert {b.weights.dtype for b in compiled("conv of a large dynamic range").conv} == {np.dtype(np.int32)}
    narrow = compiled("weights of int32 in sums of int32")
    assert {t.weights.dtype for t in narrow.tables} == {np.dtype(np.int32)}
    assert narrow.accumulator is np.int32
    program = compiled("accumulators of int64")
    assert program.accumulator is np.int64
    assert 30 * 1e6 / program.cells[1].ports[0].quantum > 2**31


def test_large_sums_are_right():
    """A sum beyond int32 arrives whole, not wrapped around."""
    net = coincident(np.inf)
    net.record(net.populations["cells"], "v")
    made = Simulation(net, dt=0.5)
    jumps = made.run(2.0).trace("cells", "v").values[3] + 70.0
    weights = 1e6 * (1.0 + np.linspace(0.0, 0.9, 1200)).reshape(30, 40)
    assert made.program.accumulator is np.int64
    np.testing.assert_allclose(jumps, weights.sum(axis=0) + 1e-3 * (np.arange(40) < 30), rtol=1e-7)


def test_delay_that_rounds_to_nothing_is_refused():
    """A delay too short for the grid is an error; its spikes must not get lost on the way."""
    net = Network()
    cells = net.population("cells", 1, IF())
    net.project(net.population("source", 1, SpikeTrains([1.0], [0])), cells, OneToOne(), weight=1.0, delay=1e-9)
    with pytest.raises(DescriptionError, match="delay"):
        Simulation(net, dt=1.0)


def test_neuron_that_fires_twice_in_a_step_is_refused():
    """Two spikes of one neuron in one step are an error, also where their times differ in the last bit."""
    net = Network()
    net.population("source", 2, SpikeTrains([0.3, 0.3, 0.1 * 3], [0, 1, 0]))
    with pytest.raises(DescriptionError, match="twice"):
        Simulation(net, dt=0.1)


# ---- random networks -----------------------------------------------------------------------------------------------

MODELS = (
    (LIF(receptors={"hit": Delta()}, i_e=Uniform(300.0, 900.0)), {"hit": 4.0}),
    (LIF(i_e=Uniform(300.0, 900.0)), {"exc": 300.0, "inh": -100.0}),
    (
        LIF(i_e=Uniform(300.0, 900.0), receptors={"exc": ExponentialConductance(), "inh": ExponentialConductance(reversal=-80.0)}),
        {"exc": 5.0, "inh": 2.0},
    ),
    (IF(v_threshold=15.0, i_e=Uniform(0.5, 4.0)), {"input": 4.0}),
)


@st.composite
def views(draw, population):
    size = len(population)
    start = draw(st.integers(0, size - 1))
    return population[start : draw(st.integers(start + 1, size)) : draw(st.integers(1, 4))]


@st.composite
def rules(draw, source, target):
    n, m = len(source), len(target)
    flags = {"autapses": draw(st.booleans()), "multapses": draw(st.booleans())}
    pair = st.tuples(st.integers(0, n - 1), st.integers(0, m - 1))
    listed = draw(st.lists(pair, max_size=20))
    choices = [
        AllToAll(autapses=flags["autapses"]), FixedProbability(draw(st.floats(0.0, 1.0)), autapses=flags["autapses"]),
        FixedIndegree(draw(st.integers(0, max(n - 1, 0))), **flags), FixedOutdegree(draw(st.integers(0, max(m - 1, 0))), **flags),
        FixedTotalNumber(draw(st.integers(0, max(n * m - min(n, m), 0))), **flags),
        PairList([s for s, _ in listed], [t for _, t in listed]),
        Matrix(draw(st.integers(0, 9)) * np.eye(n, m) + 0.5), Dense(np.linspace(-1.0, 1.0, n * m).reshape(n, m)),
    ]  # fmt: skip
    return draw(st.sampled_from(choices + [OneToOne()] * (n == m)))


@st.composite
def synapses(draw, rule, source, target, scale, feed_forward):
    """(weight, delay) that the rule allows, arrays too where the number of synapses is fixed."""
    weight, delay = scale, draw(st.sampled_from([0.5, 1.0, 4.5])) if not feed_forward else 0.0
    if isinstance(rule, Matrix | Dense):
        return weight, delay
    shape = rule.array_shape(len(source), len(target), overlap(source, target))
    count = math.prod(shape) if shape is not None else None
    weights = [scale, Uniform(min(0.0, scale), max(0.0, scale)), Normal(scale, abs(scale) / 2)]
    delays = [delay] if feed_forward else [delay, Uniform(0.5, 9.0), ClippedNormal(2.0, 2.0, low=0.5, high=12.0)]
    if count:
        weights.append(scale * np.linspace(-1.0, 1.0, count))
        delays += [] if feed_forward else [0.5 + np.arange(count) % 11 * 0.5]
    return draw(st.sampled_from(weights)), draw(st.sampled_from(delays))


@st.composite
def networks(draw):
    net = Network()
    sources = [net.population("noise", draw(st.integers(1, 25)), Poisson(rate=draw(st.sampled_from([100.0, 600.0]))))]
    trains = sorted(draw(st.sets(st.tuples(st.integers(1, 40), st.integers(0, 9)), max_size=30)))
    sizes = draw(st.none() | st.lists(st.sampled_from([-2, -1, 1, 3]), min_size=len(trains), max_size=len(trains)))
    sources.append(net.population("trains", 10, SpikeTrains([0.5 * n for n, _ in trains], [i for _, i in trains], sizes)))
    cells = []
    for k in range(draw(st.integers(1, 3))):
        model, weights = draw(st.sampled_from(MODELS))
        cells.append((net.population(f"cells{k}", draw(st.integers(1, 30)), model), weights))
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(cells) - 1))
        before = [*sources, *(population for population, _ in cells[:at])]
        feed_forward = draw(st.booleans())
        source = draw(views(draw(st.sampled_from(before if feed_forward else [*before, *(p for p, _ in cells[at:])]))))
        target = draw(views(cells[at][0]))
        rule = draw(rules(source, target))
        receptor, scale = draw(st.sampled_from(sorted(cells[at][1].items())))
        weight, delay = draw(synapses(rule, source, target, scale, feed_forward))
        try:
            net.project(source, target, rule, weight=weight, delay=delay, receptor=receptor)
        except DescriptionError as error:  # a slice that is too small for the rule
            assert " needs " in str(error)  # noqa: PT017
    for _ in range(draw(st.integers(0, 3))):
        population, weights = draw(st.sampled_from(cells))
        view, (receptor, scale) = draw(views(population)), draw(st.sampled_from(sorted(weights.items())))
        rows = np.linspace(0.0, 500.0, 3 * len(view)).reshape(3, len(view))
        net.stimulate(view, draw(st.sampled_from([
            PoissonDrive(rate=1500.0, weight=scale, receptor=receptor), PoissonDrive(rate=10.0 * rows[1], weight=scale, receptor=receptor),
            DirectCurrent(Normal(200.0, 100.0)), StepCurrent([1.0, 7.0], rows[:2]), SampledCurrent(rows, 1.5),
            NoiseCurrent(sd=300.0, interval=draw(st.sampled_from([0.5, 2.0]))),
        ])))  # fmt: skip
    return net


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(networks(), st.integers(0, 2**64 - 1))
def test_random_networks(net, seed):
    """The same on two threads as on the reference engine, whatever is put together of neurons that would fire by themselves."""
    drawn = Case(net.copy, steps=40, seed=seed)
    assert_identical(simulate(drawn, "cpu", 2), simulate(drawn, "reference", 1))
