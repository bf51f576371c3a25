"""Bad input: whatever is described wrongly, the error is spikesim's own, names the object and says what was expected."""

import re
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytest
import scipy.sparse

import spikesim as sim
from spikesim import errors
from spikesim.errors import DescriptionError, KindError, MemoryNeededError, NameUnknownError, SpikesimError, UnitError, UnsupportedError
from spikesim.synapses import RunningSum

nan, inf = np.nan, np.inf
LIF, IF, Exp, Sigma = sim.LIF, sim.IF, sim.ExponentialCurrent, sim.SigmaDelta
SIZE = 4


class Row(NamedTuple):
    """``wrong()`` must raise ``error``; its message must name ``what`` and contain ``says``."""

    name: str
    wrong: Callable[[], Any]
    error: type[SpikesimError]
    what: str
    says: str


def network() -> sim.Network:
    net = sim.Network()
    net.population("input", SIZE, sim.Poisson(rate=10.0))
    net.population("exc", SIZE, LIF())
    net.population("inh", 3, LIF())
    net.population("one", 1, LIF())
    net.population("image", (2, 6, 6), IF())
    net.population("features", (3, 4, 4), IF())
    return net


def populate(model: Any = None, *, shape: Any = SIZE, name: Any = "exc", **options: Any) -> sim.Network:
    net = sim.Network()
    net.population(name, shape, LIF() if model is None else model, **options)
    return net


def connect(ends: str, rule: Any, **options: Any) -> sim.Network:
    """A network with one projection from the first to the second of ``ends``, with weight, delay and receptor unless said otherwise."""
    net = network()
    source, target = (net.populations[name] for name in ends.split("->"))
    receptor = "input" if isinstance(target.model, IF) else "exc"
    net.project(source, target, rule, **({"weight": 1.0, "delay": 1.0, "receptor": receptor} | options))
    return net


def loop(*names: str, delay: float = 0.0) -> sim.Network:
    net = network()
    for source, target in zip(names, (*names[1:], names[0]), strict=True):
        net.project(net.populations[source], net.populations[target], sim.AllToAll(), weight=1.0, delay=delay, receptor="exc")
    return net


def structured(rule: Any, source: str = "image", target: str = "features", **options: Any) -> sim.Network:
    return connect(f"{source}->{target}", rule, **({"weight": None, "delay": 0.0} | options))


def stimulate(target: str, stimulus: Any) -> sim.Network:
    net = network()
    net.stimulate(net.populations[target], stimulus)
    return net


def record(population: str, *probes: Any, **options: Any) -> sim.Network:
    net = network()
    for variable in probes:
        net.record(net.populations[population], variable, **options)
    return net


def simulate(net: Any = None, **options: Any) -> sim.Simulation:
    """A simulation on the reference engine unless said otherwise: it needs no compiled kernel."""
    return sim.Simulation(network() if net is None else net, **({"dt": 0.1, "engine": "reference", "progress": False} | options))


def exc() -> Any:
    return network().populations["exc"]


def larger() -> sim.Network:
    """Another network, with a larger population of a known name and one of an unknown name."""
    net = populate(shape=100)
    net.population("other", 5, LIF())
    return net


def procedural(rule: Any, **options: Any) -> sim.Simulation:
    return simulate(connect("input->exc", rule, **options), engine="cpu", procedural=True)


@cache
def driven() -> sim.Simulation:
    net = network()
    for name, currents in (("exc", 1), ("inh", 2)):
        for _ in range(currents):
            net.stimulate(net.populations[name], sim.DirectCurrent(np.zeros(len(net.populations[name]))))
    net.record(net.populations["exc"])
    net.record(net.populations["exc"], "v", every=0.5)
    net.record(net.populations["input"], "counts")
    return simulate(net)


@cache
def recording() -> sim.Recording:
    return simulate(driven().network).run(1.0, progress=False)


def trials(duration: Any = 1.0, **currents: Any) -> Any:
    return driven().trials(duration, currents=currents, progress=False)


def run(duration: Any) -> Any:
    return simulate(populate()).run(duration, progress=False)


def quantity(value: Any, unit: str) -> Any:
    return np.asarray(value) * getattr(pytest.importorskip("brian2"), unit)


PARAMETERS = [
    Row("unknown parameter", lambda: LIF(tau_n=10.0), NameUnknownError, "LIF", "unknown parameter 'tau_n'; did you mean 'tau_m'?"),
    Row("unknown parameter of IF", lambda: IF(v_treshold=1.0), NameUnknownError, "IF", "did you mean 'v_threshold'?"),
    Row("unknown parameter of a receptor", lambda: sim.AlphaCurrent(tua=1.0), NameUnknownError, "AlphaCurrent", "did you mean 'tau'?"),
    Row("unknown parameter of a rule", lambda: sim.FixedIndegree(k=2, autapse=False), NameUnknownError, "FixedIndegree", "'autapses'?"),
    Row("missing parameter", lambda: sim.Poisson(), KindError, "Poisson", "'rate'"),
    Row("missing second parameter", lambda: sim.Normal(1.0), KindError, "Normal", "'sd'"),
    Row("missing parameter of a stimulus", lambda: sim.NoiseCurrent(sd=1.0), KindError, "NoiseCurrent", "'interval'"),
    Row("too many parameters", lambda: Exp(1.0, 2.0), KindError, "ExponentialCurrent", "parameters: tau"),
    Row("parameter twice", lambda: Exp(1.0, tau=2.0), KindError, "ExponentialCurrent", "'tau'"),
    Row("tau = 0", lambda: LIF(tau_m=0.0), DescriptionError, "LIF.tau_m", "more than 0 ms, got 0"),
    Row("tau negative", lambda: LIF(tau_m=-20.0), DescriptionError, "LIF.tau_m", "more than 0 ms, got -20"),
    Row("tau of a receptor = 0", lambda: Exp(tau=0.0), DescriptionError, "ExponentialCurrent.tau", "more than 0 ms"),
    Row("capacity negative", lambda: LIF(c_m=-1.0), DescriptionError, "LIF.c_m", "more than 0 pF, got -1"),
    Row("capacity of IF zero", lambda: IF(c_m=0.0), DescriptionError, "IF.c_m", "more than 0 pF"),
    Row("refractory time negative", lambda: LIF(t_ref=-2.0), DescriptionError, "LIF.t_ref", "at least 0 ms, got -2"),
    Row("NaN capacity", lambda: LIF(c_m=nan), DescriptionError, "LIF.c_m", "expected a number"),
    Row("NaN threshold", lambda: LIF(v_threshold=nan), DescriptionError, "LIF.v_threshold", "expected a number"),
    Row("infinite resting potential", lambda: LIF(v_rest=-inf), DescriptionError, "LIF.v_rest", "a finite number mV, got -inf"),
    Row("infinite tau", lambda: LIF(tau_m=inf), DescriptionError, "LIF.tau_m", "a finite number"),
    Row("infinite reversal", lambda: sim.ExponentialConductance(reversal=inf), DescriptionError, "ExponentialConductance.reversal",
        "finite"),
    Row("text for a number", lambda: LIF(tau_m="20"), KindError, "LIF.tau_m", "expected a number, got '20'"),
    Row("None for a number", lambda: LIF(tau_m=None), KindError, "LIF.tau_m", "expected a number, got None"),
    Row("True for a number", lambda: LIF(tau_m=True), KindError, "LIF.tau_m", "expected a number, got True"),
    Row("list of bools for numbers", lambda: LIF(tau_m=[True, True]), KindError, "LIF.tau_m", "number"),
    Row("complex number", lambda: LIF(tau_m=20j), KindError, "LIF.tau_m", "complex"),
    Row("list with a text", lambda: LIF(tau_m=[10.0, "a"]), KindError, "LIF.tau_m", "an array of numbers"),
    Row("list with None", lambda: LIF(tau_m=[10.0, None]), KindError, "LIF.tau_m", "an array of numbers"),
    Row("ragged list", lambda: LIF(tau_m=[[1.0, 2.0], [3.0]]), KindError, "LIF.tau_m", "an array of numbers"),
    Row("a number beyond float", lambda: LIF(tau_m=10**400), KindError, "LIF.tau_m", "number"),
    Row("NaN in an array", lambda: LIF(tau_m=[10.0, nan]), DescriptionError, "LIF.tau_m", "at index 1"),
    Row("zero in an array", lambda: LIF(tau_m=[[10.0, 10.0], [0.0, 10.0]]), DescriptionError, "LIF.tau_m", "0 at index 1, 0"),
    Row("distribution beyond the bounds", lambda: LIF(tau_m=sim.Normal(10.0, 5.0)), DescriptionError, "LIF.tau_m", "reaches from"),
    Row("reset above threshold", lambda: LIF(v_reset=-40.0), DescriptionError, "LIF",
        "v_reset must lie below v_threshold, got v_reset=-40"),
    Row("reset at threshold", lambda: LIF(v_reset=-55.0), DescriptionError, "LIF", "v_reset must lie below v_threshold"),
    Row("one reset above threshold", lambda: LIF(v_reset=[-70.0, 0.0]), DescriptionError, "LIF", "v_reset must lie below v_threshold"),
    Row("reset and threshold of unequal shapes", lambda: LIF(v_reset=[-70.0] * 2, v_threshold=[-50.0] * 3), DescriptionError, "LIF",
        "(2,)"),
    Row("hard reset of IF above threshold", lambda: IF(reset="value", v_reset=2.0), DescriptionError, "IF", "v_reset must lie below"),
    Row("drawn reset above threshold", lambda: simulate(populate(LIF(v_reset=sim.Uniform(-60.0, -40.0)))), DescriptionError, "exc",
        "v_reset"),
    Row("drawn threshold of a soft reset", lambda: simulate(populate(IF(v_threshold=sim.Uniform(-1.0, 1.0)))), DescriptionError, "exc",
        "positive"),
    Row("threshold of a soft reset", lambda: IF(v_threshold=0.0), DescriptionError, "IF.v_threshold", "must be positive, got 0"),
    Row("unknown reset", lambda: IF(reset="soft"), DescriptionError, "IF.reset", "'subtract' or 'value', got 'soft'"),
    Row("unhashable reset", lambda: IF(reset=["value"]), SpikesimError, "IF.reset", "'subtract' or 'value'"),
    Row("receptors in a list", lambda: LIF(receptors=[Exp()]), KindError, "LIF.receptors", "mapping from name to receptor"),
    Row("number for a receptor", lambda: LIF(receptors={"exc": 5.0}), KindError, "LIF.receptors['exc']", "got 5.0"),
    Row("class for a receptor", lambda: LIF(receptors={"exc": Exp}), KindError, "LIF.receptors['exc']",
        "such as ExponentialCurrent(tau=5.0)"),
    Row("receptor named like the membrane", lambda: LIF(receptors={"v": Exp()}), DescriptionError, "'v'", "cannot name a receptor"),
    Row("receptor named like a recording", lambda: LIF(receptors={"spikes": Exp()}), DescriptionError, "'spikes'",
        "cannot name a receptor"),
    Row("receptor with a bad name", lambda: LIF(receptors={"exc-1": Exp()}), DescriptionError, "'exc-1'", "use an identifier"),
    Row("receptor named like another's variable", lambda: LIF(receptors={"a": sim.AlphaCurrent(), "a_slope": Exp()}), DescriptionError,
        "a_slope", "LIF.receptors"),
    Row("conductance on IF", lambda: IF(receptors={"g": sim.ExponentialConductance()}), DescriptionError, "IF.receptors['g']", "IF takes"),
    Row("more distributions than a population may have", lambda: simulate(populate(LIF(receptors={f"r{k}": Exp(sim.Uniform(1.0, 2.0))
        for k in range(300)}))), SpikesimError, "'exc'", "distributions"),
    Row("coefficient not a number", lambda: simulate(populate(LIF(tau_m=1e-320))), DescriptionError, "exc", "parameters make"),
    Row("coefficient overflows", lambda: simulate(populate(IF(c_m=1e-300, i_e=1e300))), DescriptionError, "exc", "parameters make"),
]  # fmt: skip

GRADED = [
    Row("unknown function", lambda: Sigma(function="rellu"), NameUnknownError, "SigmaDelta.function", "'rellu'; did you mean 'relu'?"),
    Row("unhashable function", lambda: Sigma(function=["relu"]), NameUnknownError, "SigmaDelta.function", "unknown function"),
    Row("function itself", lambda: Sigma(function=abs), NameUnknownError, "SigmaDelta.function", "unknown function"),
    Row("function with levels", lambda: Sigma(function="qcfs"), NameUnknownError, "SigmaDelta.function", "'qcfs'"),
    Row("parameter missing", lambda: Sigma(function="clamp", parameters={"low": 0.0}), DescriptionError, "SigmaDelta.parameters",
        "clamp needs low, high, missing: high"),
    Row("parameter of another function", lambda: Sigma(function="tanh", parameters={"slope": 0.1}), NameUnknownError,
        "SigmaDelta.parameters", "unknown parameter of tanh 'slope'"),
    Row("parameter misspelt", lambda: Sigma(function="leaky_relu", parameters={"slop": 0.1}), NameUnknownError, "SigmaDelta.parameters",
        "did you mean 'slope'?"),
    Row("parameters a number", lambda: Sigma(function="leaky_relu", parameters=0.1), KindError, "SigmaDelta.parameters", "got 0.1"),
    Row("parameters None", lambda: Sigma(parameters=None), KindError, "SigmaDelta.parameters", "got None"),
    Row("parameter a text", lambda: Sigma(function="leaky_relu", parameters={"slope": "0.1"}), KindError,
        "SigmaDelta.parameters['slope']", "got '0.1'"),
    Row("parameter NaN", lambda: Sigma(function="clamp", parameters={"low": nan, "high": 1.0}), DescriptionError,
        "SigmaDelta.parameters['low']", "expected a number"),
    Row("slope infinite", lambda: Sigma(function="leaky_relu", parameters={"slope": inf}), DescriptionError, "['slope']", "finite"),
    Row("beta negative", lambda: Sigma(function="softplus", parameters={"beta": -1.0}), DescriptionError, "['beta']", "more than 0"),
    Row("function's array too short", lambda: populate(Sigma(function="leaky_relu", parameters={"slope": [0.1, 0.2]})), DescriptionError,
        "parameters 'slope'", "2 values for 4 neurons"),
    Row("parameter drawn out of bounds", lambda: Sigma(function="softplus", parameters={"beta": sim.Uniform(-1.0, 1.0)}),
        DescriptionError, "['beta']", "reaches from -1"),
    Row("quantum 0", lambda: Sigma(quantum=0.0), DescriptionError, "SigmaDelta.quantum", "more than 0, got 0"),
    Row("quantum of a product negative", lambda: sim.Product(quantum=-1.0), DescriptionError, "Product.quantum", "got -1"),
    Row("quantum array too long", lambda: populate(sim.Product(quantum=np.ones(5))), DescriptionError, "'exc'", "quantum has 5 values"),
    Row("least NaN", lambda: Sigma(least=nan), DescriptionError, "SigmaDelta.least", "expected a number"),
    Row("least between whole numbers", lambda: Sigma(least=-0.5), DescriptionError, "SigmaDelta.least", "whole number of quanta"),
    Row("most between whole numbers", lambda: sim.Maximum(most=[1.0, 2.5]), DescriptionError, "Maximum.most", "whole number of quanta"),
    Row("least above most", lambda: Sigma(least=2.0, most=1.0), DescriptionError, "SigmaDelta", "least must not lie above most"),
    Row("least and most of unequal shapes", lambda: Sigma(least=[0.0] * 2, most=[1.0] * 3), DescriptionError, "SigmaDelta", "(2,)"),
    Row("burst 0", lambda: Sigma(burst=0), DescriptionError, "SigmaDelta.burst", "at least 1, got 0"),
    Row("burst fractional", lambda: Sigma(burst=1.0), KindError, "SigmaDelta.burst", "whole number, got 1.0"),
    Row("burst too large", lambda: sim.Product(burst=2**31), DescriptionError, "Product.burst", "at most 1073741824, got 2147483648"),
    Row("averaged by number", lambda: Sigma(averaged=1), KindError, "SigmaDelta.averaged", "True or False, got 1"),
    Row("receptor that decays", lambda: Sigma(receptors={"exc": Exp()}), DescriptionError, "SigmaDelta.receptors['exc']", "takes jump"),
    Row("receptor named like the sum", lambda: Sigma(receptors={"u": sim.Delta()}), DescriptionError, "'u'", "cannot name a receptor"),
    Row("receptors of a product", lambda: sim.Product(receptors={}), NameUnknownError, "Product", "unknown parameter 'receptors'"),
    Row("current of a product", lambda: sim.Product(i_e=1.0), NameUnknownError, "Product", "unknown parameter 'i_e'"),
    Row("maximum of one", lambda: sim.Maximum(inputs=1), DescriptionError, "Maximum.inputs", "at least 2, got 1"),
    Row("maximum of very many", lambda: sim.Maximum(inputs=1000), DescriptionError, "Maximum.inputs", "at most 64, got 1000"),
    Row("current on a maximum", lambda: (net := populate(sim.Maximum())).stimulate(net.populations["exc"], sim.DirectCurrent(1.0)),
        DescriptionError, "exc", "Maximum takes no current"),
    Row("initial sum of no input", lambda: populate(sim.Maximum(), initial={"x2": 1.0}), NameUnknownError, "'exc'", "'x2'"),
    Row("running sum on IF", lambda: IF(receptors={"sum": RunningSum()}), DescriptionError, "IF.receptors['sum']", "sum receptor"),
    Row("direct current that ends first", lambda: sim.DirectCurrent(1.0, start=2.0, stop=1.0), DescriptionError, "DirectCurrent",
        "start must lie before stop, got start=2, stop=1"),
    Row("direct current from before 0", lambda: sim.DirectCurrent(1.0, start=-1.0), DescriptionError, "DirectCurrent.start", "at least 0"),
    Row("direct current off the grid", lambda: simulate(stimulate("exc", sim.DirectCurrent(1.0, stop=0.25))), DescriptionError,
        "DirectCurrent.start and stop", "0.25 ms is not a multiple"),
    Row("direct current from infinity", lambda: sim.DirectCurrent(1.0, start=inf), DescriptionError, "DirectCurrent.start", "finite"),
    Row("trials until a number", lambda: driven().trials(1.0, currents={"exc": np.ones((2, 4))}, until=3), KindError, "trials: until",
        "got 3"),
]  # fmt: skip

POPULATIONS = [
    Row("empty name", lambda: populate(name=""), KindError, "population", "got ''"),
    Row("name with a slash", lambda: populate(name="a/b"), KindError, "'a/b'", "text without /"),
    Row("name with a space before", lambda: populate(name=" a"), KindError, "' a'", "spaces"),
    Row("number for a name", lambda: populate(name=3), KindError, "population", "got 3"),
    Row("None for a name", lambda: populate(name=None), KindError, "population", "got None"),
    Row("list for a name", lambda: populate(name=["exc"]), KindError, "population", "got ['exc']"),
    Row("name taken", lambda: network().population("exc", 2, LIF()), DescriptionError, "'exc'", "already"),
    Row("size 0", lambda: populate(shape=0), DescriptionError, "'exc'", "got 0"),
    Row("size negative", lambda: populate(shape=-1), DescriptionError, "'exc'", "got -1"),
    Row("size fractional", lambda: populate(shape=4.0), KindError, "'exc'", "whole numbers, got 4.0"),
    Row("size a text", lambda: populate(shape="10"), KindError, "'exc'", "got '10'"),
    Row("size None", lambda: populate(shape=None), KindError, "'exc'", "got None"),
    Row("size True", lambda: populate(shape=True), KindError, "'exc'", "got True"),
    Row("shape empty", lambda: populate(shape=()), KindError, "'exc'", "got ()"),
    Row("shape with 0", lambda: populate(shape=(2, 0)), DescriptionError, "'exc'", "got (2, 0)"),
    Row("size beyond 31 bits", lambda: populate(shape=2**31), DescriptionError, "'exc'", "2147483647"),
    Row("class for a model", lambda: populate(LIF), KindError, "'exc'", "expected a model such as LIF()"),
    Row("stimulus for a model", lambda: populate(sim.DirectCurrent(1.0)), KindError, "'exc'", "expected a model"),
    Row("parameter array too short", lambda: populate(LIF(tau_m=[10.0] * 3)), DescriptionError, "'exc'",
        "tau_m has 3 values for 4 neurons"),
    Row("parameter array of another shape", lambda: populate(LIF(tau_m=np.ones((3, 2))), shape=(2, 3)), DescriptionError, "'exc'", "tau_m"),
    Row("receptor array too long", lambda: populate(LIF(receptors={"a": Exp(np.ones(5))})), DescriptionError, "receptor 'a'", "tau has 5"),
    Row("rate array too short", lambda: populate(sim.Poisson([1.0, 2.0])), DescriptionError, "'exc'", "rate has 2 values for 4 neurons"),
    Row("initial value of an unknown variable", lambda: populate(initial={"exh": 1.0}), NameUnknownError, "'exc'", "did you mean 'exc'?"),
    Row("initial value of a source", lambda: populate(sim.Poisson(1.0), initial={"v": 1.0}), NameUnknownError, "'exc'", "variable 'v'"),
    Row("initial values not a mapping", lambda: populate(initial=-70.0), KindError, "'exc'", "initial must map variables to values"),
    Row("initial value NaN", lambda: populate(initial={"v": nan}), DescriptionError, "'exc': initial v", "expected a number"),
    Row("initial value a text", lambda: populate(initial={"v": "low"}), KindError, "'exc': initial v", "got 'low'"),
    Row("initial array too short", lambda: populate(initial={"v": [1.0, 2.0]}), DescriptionError, "'exc': initial v", "2 values for 4"),
    Row("initial array of another shape", lambda: populate(shape=(2, 3), initial={"v": np.ones((3, 2))}), DescriptionError, "'exc'", "v"),
    Row("one neuron by number", lambda: exc()[3], KindError, "'exc'", "take a slice such as [0:10]"),
    Row("neurons by list", lambda: exc()[[0, 1]], KindError, "'exc'", "take a slice"),
    Row("empty slice", lambda: exc()[2:2], DescriptionError, "'exc'", "holds none of its 4 neurons"),
    Row("slice beyond the end", lambda: exc()[10:20], DescriptionError, "'exc'", "holds none"),
    Row("backward slice", lambda: exc()[::-1], DescriptionError, "'exc'", "slice [None:None:-1]"),
    Row("slice of step 0", lambda: exc()[::0], SpikesimError, "'exc'", "slice"),
    Row("slice by a fraction", lambda: exc()[0:2.5], SpikesimError, "'exc'", "slice"),
    Row("slice by a text", lambda: exc()["a":"b"], SpikesimError, "'exc'", "slice"),
    Row("text for a population", lambda: network().record("exc"), KindError, "'exc'", "expected a population or a slice of one"),
    Row("population of another network", lambda: network().record(larger().populations["exc"]), NameUnknownError, "'exc'",
        "another network"),
    Row("unknown population", lambda: network().record(larger().populations["other"]), NameUnknownError, "'other'", "unknown population"),
    Row("view of an unknown population", lambda: network().record(larger().populations["other"][:2]), NameUnknownError, "'other'",
        "known:"),
    Row("view beyond the population", lambda: network().record(larger().populations["exc"][:50]), DescriptionError, "exc", "4"),
]  # fmt: skip

PROJECTIONS = [
    Row("number for a rule", lambda: connect("input->exc", 0.1), KindError, "'input->exc'", "a rule such as FixedProbability(0.1)"),
    Row("class for a rule", lambda: connect("input->exc", sim.AllToAll), KindError, "'input->exc'", "expected a rule"),
    Row("missing weight", lambda: connect("input->exc", sim.AllToAll(), weight=None), DescriptionError, "'input->exc'",
        "weight is missing"),
    Row("missing delay", lambda: connect("input->exc", sim.AllToAll(), delay=None), DescriptionError, "'input->exc'", "delay is missing"),
    Row("missing receptor", lambda: connect("input->exc", sim.AllToAll(), receptor=None), DescriptionError, "'exc'", "receptors exc, inh"),
    Row("unknown receptor", lambda: connect("input->exc", sim.AllToAll(), receptor="ecx"), NameUnknownError, "'input->exc'",
        "unknown receptor 'ecx'; did you mean 'exc'?"),
    Row("list for a receptor", lambda: connect("input->exc", sim.AllToAll(), receptor=["exc"]), SpikesimError, "'input->exc'", "receptor"),
    Row("onto a source", lambda: connect("exc->input", sim.AllToAll()), DescriptionError, "'input'", "Poisson source and receives nothing"),
    Row("text for a source", lambda: (net := network()).project("exc", net.populations["inh"], sim.AllToAll(), weight=1.0, delay=1.0),
        KindError, "'exc'", "expected a population or a slice of one"),
    Row("text for a target", lambda: (net := network()).project(net.populations["exc"], "inh", sim.AllToAll(), weight=1.0, delay=1.0),
        KindError, "'inh'", "expected a population or a slice of one"),
    Row("None for a target", lambda: (net := network()).project(net.populations["exc"], None, sim.AllToAll(), weight=1.0, delay=1.0),
        KindError, "None", "expected a population or a slice of one"),
    Row("source of another network", lambda: (net := network()).project(larger().populations["exc"], net.populations["inh"], sim.AllToAll(),
        weight=1.0, delay=1.0, receptor="exc"), NameUnknownError, "'exc'", "another network"),
    Row("one name for several projections", lambda: (net := network()).project(net.populations["input"], [net.populations["exc"],
        net.populations["inh"]], sim.AllToAll(), weight=1.0, delay=1.0, receptor="exc", name="feed"), DescriptionError, "feed", "name"),
    Row("empty projection name", lambda: connect("input->exc", sim.AllToAll(), name=""), KindError, "projection", "got ''"),
    Row("projection name with a slash", lambda: connect("input->exc", sim.AllToAll(), name="a/b"), KindError, "'a/b'", "without '/'"),
    Row("number for a projection name", lambda: connect("input->exc", sim.AllToAll(), name=7), KindError, "projection", "got 7"),
    Row("projection name taken", lambda: (net := connect("input->exc", sim.AllToAll())).project(net.populations["input"],
        net.populations["inh"], sim.AllToAll(), weight=1.0, delay=1.0, receptor="exc", name="input->exc"), DescriptionError, "'input->exc'",
        "already"),
    Row("NaN weight", lambda: connect("input->exc", sim.AllToAll(), weight=nan), DescriptionError, "'input->exc': weight",
        "expected a number"),
    Row("infinite weight", lambda: connect("input->exc", sim.AllToAll(), weight=inf), DescriptionError, "'input->exc': weight", "finite"),
    Row("weight a text", lambda: connect("input->exc", sim.AllToAll(), weight="1"), KindError, "'input->exc': weight", "got '1'"),
    Row("weight True", lambda: connect("input->exc", sim.AllToAll(), weight=True), KindError, "'input->exc': weight", "got True"),
    Row("NaN in weights", lambda: connect("input->exc", sim.OneToOne(), weight=[1, 1, nan, 1]), DescriptionError, "weight", "at index 2"),
    Row("weights too few", lambda: connect("input->exc", sim.AllToAll(), weight=[1.0] * 15), DescriptionError, "'input->exc': weight",
        "15 values for 16 synapses"),
    Row("weights of the allowed pairs only", lambda: connect("exc->exc", sim.AllToAll(autapses=False), weight=[1.0] * 12), DescriptionError,
        "'exc->exc'",
        "12 values for 16"),
    Row("weights transposed", lambda: connect("input->inh", sim.AllToAll(), weight=np.ones((3, 4))), DescriptionError, "'input->inh'",
        "weight"),
    Row("weights for random pairs", lambda: connect("input->exc", sim.FixedProbability(0.5), weight=[1.0] * 8), DescriptionError,
        "'input->exc': weight", "cannot be an array with FixedProbability"),
    Row("weights that scale beyond float", lambda: simulate(connect("one->one", sim.Matrix([[1e300]]), weight=1e300)), DescriptionError,
        "one->one", "weight"),
    Row("delay negative", lambda: connect("input->exc", sim.AllToAll(), delay=-1.0), DescriptionError, "'input->exc': delay",
        "at least 0 ms"),
    Row("delay NaN", lambda: connect("input->exc", sim.AllToAll(), delay=nan), DescriptionError, "'input->exc': delay",
        "expected a number"),
    Row("delay a text", lambda: connect("input->exc", sim.AllToAll(), delay="1 ms"), KindError, "'input->exc': delay", "got '1 ms'"),
    Row("negative in delays", lambda: connect("input->exc", sim.OneToOne(), delay=[1, 1, 1, -1]), DescriptionError, "delay", "at index 3"),
    Row("delays too few", lambda: connect("input->exc", sim.OneToOne(), delay=[1.0] * 3), DescriptionError, "'input->exc': delay",
        "3 values for 4 synapses"),
    Row("delays drawn below 0", lambda: connect("input->exc", sim.AllToAll(), delay=sim.Normal(1.5, 0.75)), DescriptionError,
        "'input->exc': delay", "at least 0 ms"),
    Row("delay off the grid", lambda: simulate(connect("input->exc", sim.AllToAll(), delay=0.15)), DescriptionError, "'input->exc': delay",
        "0.15 ms is not a multiple of the time step of 0.1 ms"),
    Row("one delay off the grid", lambda: simulate(connect("input->exc", sim.OneToOne(), delay=[1.0, 1.0, 1.25, 1.0])), DescriptionError,
        "'input->exc': delay", "1.25 ms is not a multiple"),
    Row("one delay of 0", lambda: simulate(connect("input->exc", sim.OneToOne(), delay=[1.0, 0.0, 1.0, 1.0])), DescriptionError,
        "'input->exc': delay", "0 ms in an array of delays"),
    Row("delays drawn below dt", lambda: simulate(connect("input->exc", sim.AllToAll(), delay=sim.Uniform(0.0, 1.0))), DescriptionError,
        "'input->exc': delay", "below one step of 0.1 ms"),
    Row("delay beyond counting", lambda: simulate(connect("input->exc", sim.AllToAll(), delay=1e300)), SpikesimError, "input->exc",
        "delay"),
    Row("delay beyond memory", lambda: simulate(connect("input->exc", sim.AllToAll(), delay=1e13), engine="cpu"), MemoryNeededError,
        "input->exc", "free"),
    Row("delays drawn beyond memory", lambda: simulate(connect("input->exc", sim.AllToAll(), delay=sim.Uniform(1.0, 1e13))),
        MemoryNeededError, "input->exc", "free"),
    Row("zero-delay self-loop", lambda: loop("exc"), DescriptionError, "exc -> exc", "without delay form a cycle"),
    Row("zero-delay cycle of two", lambda: loop("exc", "inh"), DescriptionError, "exc", "without delay form a cycle"),
    Row("zero-delay cycle of three", lambda: loop("exc", "inh", "one"), DescriptionError, "inh", "give one of them a delay"),
    Row("self-loop of next to no delay", lambda: simulate(loop("exc", delay=1e-9)), DescriptionError, "exc", "delay"),
]  # fmt: skip

RULES = [
    Row("probability above 1", lambda: sim.FixedProbability(1.5), DescriptionError, "FixedProbability.p", "at most 1, got 1.5"),
    Row("probability below 0", lambda: sim.FixedProbability(-0.1), DescriptionError, "FixedProbability.p", "at least 0, got -0.1"),
    Row("probability NaN", lambda: sim.FixedProbability(nan), DescriptionError, "FixedProbability.p", "expected a number"),
    Row("probability a distribution", lambda: sim.FixedProbability(sim.Uniform(0.0, 1.0)), KindError, "FixedProbability.p", "one number"),
    Row("probability an array", lambda: sim.FixedProbability([0.1, 0.2]), KindError, "FixedProbability.p", "one number"),
    Row("indegree negative", lambda: sim.FixedIndegree(-1), DescriptionError, "FixedIndegree.k", "at least 0, got -1"),
    Row("indegree fractional", lambda: sim.FixedIndegree(2.0), KindError, "FixedIndegree.k", "a whole number, got 2.0"),
    Row("indegree True", lambda: sim.FixedIndegree(True), KindError, "FixedIndegree.k", "a whole number, got True"),
    Row("autapses a number", lambda: sim.AllToAll(autapses=1), KindError, "AllToAll.autapses", "True or False, got 1"),
    Row("autapses a text", lambda: sim.FixedTotalNumber(3, autapses="no"), KindError, "FixedTotalNumber.autapses",
        "True or False, got 'no'"),
    Row("indegree above the sources", lambda: connect("input->exc", sim.FixedIndegree(5, multapses=False)), DescriptionError,
        "'input->exc'",
        "needs 5 sources for each target, but there are 4; allow multapses"),
    Row("indegree without oneself", lambda: connect("exc->exc", sim.FixedIndegree(4, autapses=False, multapses=False)), DescriptionError,
        "'exc->exc'", "there are 3"),
    Row("indegree of a single neuron without autapses", lambda: connect("one->one", sim.FixedIndegree(1, autapses=False)), DescriptionError,
        "'one->one'", "there are 0"),
    Row("outdegree above the targets", lambda: connect("exc->inh", sim.FixedOutdegree(4, multapses=False)), DescriptionError, "'exc->inh'",
        "needs 4 targets for each source, but there are 3"),
    Row("total number above the pairs", lambda: connect("exc->inh", sim.FixedTotalNumber(13, multapses=False)), DescriptionError,
        "'exc->inh'",
        "needs 13 pairs, but there are 12"),
    Row("total number of a single neuron", lambda: connect("one->one", sim.FixedTotalNumber(1, autapses=False)), DescriptionError,
        "'one->one'",
        "there are 0"),
    Row("one to one of unequal sizes", lambda: connect("exc->inh", sim.OneToOne()), DescriptionError, "'exc->inh'",
        "4 sources and 3 targets"),
    Row("pairs beyond the sources", lambda: connect("exc->inh", sim.PairList([4], [0])), DescriptionError, "'exc->inh'", "0..3, got 4"),
    Row("pairs beyond the targets", lambda: connect("exc->inh", sim.PairList([3], [3])), DescriptionError, "'exc->inh'", "0..2, got 3"),
    Row("pairs negative", lambda: connect("exc->inh", sim.PairList([-1], [0])), DescriptionError, "PairList.sources", "got -1"),
    Row("pairs of unequal length", lambda: sim.PairList([0, 1], [0]), DescriptionError, "PairList", "2 sources but 1 targets"),
    Row("pairs fractional", lambda: sim.PairList([0.5], [0]), KindError, "PairList.sources", "not whole"),
    Row("pairs NaN", lambda: sim.PairList([0], [nan]), KindError, "PairList.targets", "not whole"),
    Row("pairs beyond integers", lambda: sim.PairList([1e300], [0]), KindError, "PairList.sources", "not whole"),
    Row("pairs a mask", lambda: sim.PairList([True, False], [0, 1]), KindError, "PairList.sources", "bool"),
    Row("pairs texts", lambda: sim.PairList(["a"], [0]), KindError, "PairList.sources", "an array of numbers"),
    Row("pairs a matrix", lambda: sim.PairList([[0]], [[0]]), DescriptionError, "PairList.sources", "one dimension"),
    Row("matrix of another shape", lambda: connect("exc->inh", sim.Matrix(np.ones((3, 4)))), DescriptionError, "'exc->inh'",
        "shape (3, 4), expected (4, 3)"),
    Row("matrix a vector", lambda: sim.Matrix([1.0, 2.0]), DescriptionError, "Matrix.weights", "two dimensions"),
    Row("matrix NaN", lambda: sim.Matrix([[1.0, nan]]), DescriptionError, "Matrix.weights", "finite"),
    Row("sparse matrix NaN", lambda: sim.Matrix(scipy.sparse.csr_array([[1.0, nan]])), DescriptionError, "Matrix.weights", "finite"),
    Row("matrix None", lambda: sim.Matrix(None), KindError, "Matrix.weights", "an array of numbers"),
    Row("weights beside a matrix", lambda: connect("exc->exc", sim.Matrix(np.eye(4)), weight=[1.0] * 4), DescriptionError, "'exc->exc'",
        "Matrix holds the weights"),
    Row("dense of another shape", lambda: connect("exc->inh", sim.Dense(np.ones((3, 4)))), DescriptionError, "'exc->inh'",
        "expected (4, 3)"),
    Row("dense a vector", lambda: sim.Dense(np.ones(4)), DescriptionError, "Dense.weights", "two dimensions"),
    Row("dense NaN", lambda: sim.Dense([[nan]]), DescriptionError, "Dense.weights", "finite"),
    Row("dense text", lambda: sim.Dense("ones"), KindError, "Dense.weights", "an array of numbers"),
    Row("distribution beside dense", lambda: connect("exc->exc", sim.Dense(np.eye(4)), weight=sim.Uniform(0.0, 1.0)), DescriptionError,
        "'exc->exc'", "Dense holds the weights"),
    Row("delays of dense", lambda: connect("exc->exc", sim.Dense(np.eye(4)), delay=[1.0] * 16), DescriptionError, "'exc->exc'",
        "one delay"),
    Row("delay of conv drawn", lambda: structured(sim.Conv(np.ones((3, 2, 3, 3))), delay=sim.Uniform(1.0, 2.0)), DescriptionError,
        "'image->features'", "one delay"),
    Row("conv channels in", lambda: structured(sim.Conv(np.ones((3, 1, 3, 3)))), DescriptionError, "'image->features'", "(1, and 2 space"),
    Row("conv channels out", lambda: structured(sim.Conv(np.ones((4, 2, 3, 3)))), DescriptionError, "'image->features'", "(4, 4, 4)"),
    Row("conv stride does not fit", lambda: structured(sim.Conv(np.ones((3, 2, 3, 3)), stride=2)), DescriptionError, "'image->features'",
        "(3, 2, 2), but the target has shape (3, 4, 4)"),
    Row("conv kernel too large", lambda: structured(sim.Conv(np.ones((3, 2, 7, 7)))), DescriptionError, "'image->features'",
        "does not fit"),
    Row("conv of a flat population", lambda: structured(sim.Conv(np.ones((3, 2, 3, 3))), "exc"), DescriptionError, "'exc->features'",
        "give the population that shape"),
    Row("conv groups", lambda: sim.Conv(np.ones((3, 1, 3, 3)), groups=2), DescriptionError, "Conv", "3 output channels do not divide"),
    Row("conv groups 0", lambda: sim.Conv(np.ones((3, 1, 3, 3)), groups=0), DescriptionError, "Conv.groups", "got 0"),
    Row("conv groups a text", lambda: sim.Conv(np.ones((3, 1, 3, 3)), groups="2"), SpikesimError, "Conv.groups", "got '2'"),
    Row("conv weights flat", lambda: sim.Conv(np.ones((3, 2))), DescriptionError, "Conv.weights", "got shape (3, 2)"),
    Row("conv weights NaN", lambda: sim.Conv(np.full((1, 1, 3), nan)), DescriptionError, "Conv.weights", "finite"),
    Row("conv stride 0", lambda: sim.Conv(np.ones((1, 1, 3)), stride=0), DescriptionError, "Conv.stride", "from 1 on, got 0"),
    Row("conv stride fractional", lambda: sim.Conv(np.ones((1, 1, 3)), stride=1.5), KindError, "Conv.stride", "got 1.5"),
    Row("conv padding negative", lambda: sim.Conv(np.ones((1, 1, 3)), padding=-1), DescriptionError, "Conv.padding", "from 0 on, got -1"),
    Row("conv dilation of too many", lambda: sim.Conv(np.ones((1, 1, 3)), dilation=(1, 1)), DescriptionError, "Conv.dilation", "(1, 1)"),
    Row("conv channels last of channels first", lambda: structured(sim.Conv(np.ones((3, 2, 3, 3)), channels_last=True)), DescriptionError,
        "'image->features'", "(2 space dimensions, and 2), got (2, 6, 6)"),
    Row("conv channels last a text", lambda: sim.Conv(np.ones((1, 1, 3)), channels_last="no"), KindError, "Conv.channels_last", "got 'no'"),
    Row("transposed channels in", lambda: structured(sim.ConvTranspose(np.ones((3, 2, 3, 3)))), DescriptionError, "'image->features'",
        "ConvTranspose needs sources of shape (3, and 2 space dimensions)"),
    Row("transposed of another shape", lambda: structured(sim.ConvTranspose(np.ones((2, 3, 3, 3)))), DescriptionError, "'image->features'",
        "(3, 8, 8), but the target has shape (3, 4, 4)"),
    Row("transposed padding too large", lambda: structured(sim.ConvTranspose(np.ones((2, 3, 3, 3)), padding=4)), DescriptionError,
        "'image->features'", "use less padding"),
    Row("transposed groups", lambda: sim.ConvTranspose(np.ones((3, 1, 3)), groups=2), DescriptionError, "ConvTranspose",
        "3 input channels do not divide"),
    Row("transposed output padding", lambda: sim.ConvTranspose(np.ones((3, 1, 3)), stride=2, output_padding=2), DescriptionError,
        "ConvTranspose.output_padding", "less than the stride (2,) or the dilation (1,), got (2,)"),
    Row("transposed weights flat", lambda: sim.ConvTranspose(np.ones((3, 2))), DescriptionError, "ConvTranspose.weights",
        "got shape (3, 2)"),
    Row("along of other sources", lambda: structured(sim.Along(np.ones((4, 5)))), DescriptionError, "'image->features'",
        "a multiple of 5 sources"),
    Row("along of other targets", lambda: structured(sim.Along(np.ones((5, 6)))), DescriptionError, "'image->features'",
        "targets of shape (60,)"),
    Row("along a vector", lambda: sim.Along(np.ones(4)), DescriptionError, "Along.matrix", "two dimensions"),
    Row("along nothing", lambda: sim.Along(np.ones((0, 4))), DescriptionError, "Along.matrix", "got shape (0, 4)"),
    Row("along NaN", lambda: sim.Along(scipy.sparse.csr_array([[nan]])), DescriptionError, "Along.matrix", "finite"),
    Row("along a text", lambda: sim.Along("eye"), KindError, "Along.matrix", "an array of numbers"),
    Row("along inner 0", lambda: sim.Along(np.eye(2), 0), DescriptionError, "Along.inner", "got 0"),
    Row("along gains of another size", lambda: sim.Along(np.eye(2), 3, [1.0]), DescriptionError, "Along.gains", "(3,), one for each inner"),
    Row("along beyond floats", lambda: sim.Along(1e200 * np.eye(2), 1, [1e200]), DescriptionError, "Along", "beyond the largest float"),
    Row("along scaled beyond floats", lambda: structured(sim.Along(1e300 * np.ones((4, 6))), weight=1e300), DescriptionError,
        "'image->features'", "beyond the largest float"),
    Row("pool of another shape", lambda: structured(sim.Pool(2)), DescriptionError, "'image->features'",
        "this Pool gives targets of shape (2, 3, 3)"),
    Row("pool of a flat population", lambda: structured(sim.Pool(2), "exc"), DescriptionError, "'exc->features'", "Pool needs sources"),
    Row("pool kernel too large", lambda: structured(sim.Pool(7)), DescriptionError, "'image->features'", "does not fit"),
    Row("pool kernel 0", lambda: sim.Pool(0), DescriptionError, "Pool.kernel", "got 0"),
    Row("pool kernel fractional", lambda: sim.Pool(2.0), KindError, "Pool.kernel", "got 2.0"),
    Row("pool kernel None", lambda: sim.Pool(None), KindError, "Pool.kernel", "got None"),
    Row("pool stride negative", lambda: sim.Pool(2, stride=-1), DescriptionError, "Pool.stride", "got -1"),
    Row("pool of too many dimensions", lambda: structured(sim.Pool((2, 2, 2))), DescriptionError, "'image->features'", "Pool.kernel"),
]  # fmt: skip

STIMULI = [
    Row("stimulus on a source", lambda: stimulate("input", sim.DirectCurrent(1.0)), DescriptionError, "'input'", "takes no stimulus"),
    Row("number for a stimulus", lambda: stimulate("exc", 200.0), KindError, "exc", "a stimulus such as DirectCurrent(200.0)"),
    Row("source for a stimulus", lambda: stimulate("exc", sim.Poisson(10.0)), KindError, "exc", "expected a stimulus"),
    Row("drive of an unknown receptor", lambda: stimulate("exc", sim.PoissonDrive(10.0, 1.0, "ihn")), NameUnknownError, "exc",
        "mean 'inh'?"),
    Row("drive of a receptor by number", lambda: sim.PoissonDrive(10.0, 1.0, 0), KindError, "PoissonDrive.receptor",
        "expected a name, got 0"),
    Row("drive rate negative", lambda: sim.PoissonDrive(-1.0, 1.0, "exc"), DescriptionError, "PoissonDrive.rate", "at least 0 Hz"),
    Row("drive weight drawn", lambda: sim.PoissonDrive(1.0, sim.Normal(1.0, 1.0), "exc"), KindError, "PoissonDrive.weight", "one number"),
    Row("drive weight NaN", lambda: sim.PoissonDrive(1.0, nan, "exc"), DescriptionError, "PoissonDrive.weight", "expected a number"),
    Row("drive rates too few", lambda: stimulate("exc", sim.PoissonDrive([1.0, 2.0], 1.0, "exc")), DescriptionError, "exc",
        "2 values for 4"),
    Row("drive rate too high", lambda: simulate(stimulate("exc", sim.PoissonDrive(1e9, 1.0, "exc"))), DescriptionError, "exc",
        "spikes a step"),
    Row("current NaN", lambda: sim.DirectCurrent(nan), DescriptionError, "DirectCurrent.amplitude", "expected a number"),
    Row("current a text", lambda: sim.DirectCurrent("big"), KindError, "DirectCurrent.amplitude", "got 'big'"),
    Row("currents too few", lambda: stimulate("exc", sim.DirectCurrent([1.0])), DescriptionError, "exc",
        "DirectCurrent.amplitude has 1 values for 4 neurons"),
    Row("current of another shape", lambda: stimulate("image", sim.DirectCurrent(np.ones((6, 6, 2)))), DescriptionError, "image",
        "(6, 6, 2)"),
    Row("steps descending", lambda: sim.StepCurrent([2.0, 1.0], [1.0, 2.0]), DescriptionError, "StepCurrent.times", "ascending"),
    Row("steps at one time", lambda: sim.StepCurrent([1.0, 1.0], [1.0, 2.0]), DescriptionError, "StepCurrent.times", "ascending"),
    Row("steps before 0", lambda: sim.StepCurrent([-1.0], [1.0]), DescriptionError, "StepCurrent.times", "from 0 ms on"),
    Row("steps of unequal length", lambda: sim.StepCurrent([1.0, 2.0], [1.0]), DescriptionError, "StepCurrent", "(2,) and (1,)"),
    Row("steps empty", lambda: sim.StepCurrent([], []), DescriptionError, "StepCurrent", "(0,)"),
    Row("steps NaN", lambda: sim.StepCurrent([1.0], [nan]), DescriptionError, "StepCurrent", "finite"),
    Row("steps text", lambda: sim.StepCurrent("now", [1.0]), KindError, "StepCurrent.times", "an array of numbers"),
    Row("steps of too few neurons", lambda: stimulate("exc", sim.StepCurrent([1.0], np.ones((1, 3)))), DescriptionError, "exc",
        "StepCurrent.amplitudes has 3 values for 4 neurons"),
    Row("steps off the grid", lambda: simulate(stimulate("exc", sim.StepCurrent([0.25], [1.0]))), DescriptionError, "StepCurrent.times",
        "0.25 ms"),
    Row("samples NaN", lambda: sim.SampledCurrent([1.0, nan], 1.0), DescriptionError, "SampledCurrent.samples", "finite"),
    Row("samples empty", lambda: sim.SampledCurrent([], 1.0), DescriptionError, "SampledCurrent.samples", "(0,)"),
    Row("samples of three dimensions", lambda: sim.SampledCurrent(np.ones((2, 2, 2)), 1.0), DescriptionError, "SampledCurrent.samples",
        "(2, 2, 2)"),
    Row("samples of too many neurons", lambda: stimulate("exc", sim.SampledCurrent(np.ones((2, 5)), 1.0)), DescriptionError, "exc",
        "SampledCurrent.samples has 5 values for 4 neurons"),
    Row("sample interval 0", lambda: sim.SampledCurrent([1.0], 0.0), DescriptionError, "SampledCurrent.interval", "more than 0 ms"),
    Row("sample interval off the grid", lambda: simulate(stimulate("exc", sim.SampledCurrent([1.0], 0.25))), DescriptionError,
        "SampledCurrent.interval", "0.25 ms is not a multiple"),
    Row("noise negative", lambda: sim.NoiseCurrent(-1.0, 1.0), DescriptionError, "NoiseCurrent.sd", "at least 0 pA, got -1"),
    Row("noise interval below dt", lambda: simulate(stimulate("exc", sim.NoiseCurrent(1.0, 0.05))), DescriptionError,
        "NoiseCurrent.interval",
        "0.05 ms"),
    Row("rate negative", lambda: sim.Poisson(-1.0), DescriptionError, "Poisson.rate", "at least 0 Hz, got -1"),
    Row("rate NaN", lambda: sim.Poisson(nan), DescriptionError, "Poisson.rate", "expected a number"),
    Row("rate too high", lambda: simulate(populate(sim.Poisson(10_001.0))), DescriptionError, "'exc'", "use a shorter dt"),
    Row("one rate too high", lambda: simulate(populate(sim.Poisson([1.0, 2.0, 3.0, 2e4]))), DescriptionError, "'exc'", "20000 Hz"),
    Row("spike at 0", lambda: sim.SpikeTrains([0.0], [0]), DescriptionError, "SpikeTrains.times", "after 0 ms, got 0"),
    Row("spike before 0", lambda: sim.SpikeTrains([1.0, -1.0], [0, 0]), DescriptionError, "SpikeTrains.times", "got -1"),
    Row("spike at NaN", lambda: sim.SpikeTrains([nan], [0]), DescriptionError, "SpikeTrains.times", "got nan"),
    Row("spike of a negative id", lambda: sim.SpikeTrains([1.0], [-1]), DescriptionError, "SpikeTrains.ids", "got -1"),
    Row("spike of half an id", lambda: sim.SpikeTrains([1.0], [0.5]), KindError, "SpikeTrains.ids", "not whole"),
    Row("spike of id NaN", lambda: sim.SpikeTrains([1.0], [nan]), KindError, "SpikeTrains.ids", "not whole"),
    Row("spikes of unequal length", lambda: sim.SpikeTrains([1.0, 2.0], [0]), DescriptionError, "SpikeTrains", "(2,) and (1,)"),
    Row("sizes of unequal length", lambda: sim.SpikeTrains([1.0, 2.0], [0, 1], [3]), DescriptionError, "SpikeTrains", "one size for each"),
    Row("one size for all", lambda: sim.SpikeTrains([1.0, 2.0], [0, 1], 3), DescriptionError, "SpikeTrains", "shapes () and (2,)"),
    Row("spike of size 0", lambda: sim.SpikeTrains([1.0, 2.0], [0, 1], [3, 0]), DescriptionError, "SpikeTrains.sizes", "got 0 at index 1"),
    Row("spike of half a size", lambda: sim.SpikeTrains([1.0], [0], [0.5]), KindError, "SpikeTrains.sizes", "not whole"),
    Row("spike of size NaN", lambda: sim.SpikeTrains([1.0], [0], [nan]), KindError, "SpikeTrains.sizes", "not whole"),
    Row("spike too large", lambda: sim.SpikeTrains([1.0], [0], [2**31]), KindError, "SpikeTrains.sizes", "too large"),
    Row("spike too small", lambda: sim.SpikeTrains([1.0], [0], [-(2.0**31) - 1]), KindError, "SpikeTrains.sizes", "too large"),
    Row("sizes text", lambda: sim.SpikeTrains([1.0], [0], "1"), KindError, "SpikeTrains.sizes", "an array of numbers"),
    Row("spikes text", lambda: sim.SpikeTrains("1 2", [0]), KindError, "SpikeTrains.times", "an array of numbers"),
    Row("spike beyond the population", lambda: populate(sim.SpikeTrains([1.0], [4])), DescriptionError, "'exc'", "0..3, got 4"),
    Row("spike off the grid", lambda: simulate(populate(sim.SpikeTrains([1.0, 1.05], [0, 1]))), DescriptionError, "'exc'", "1.05 ms"),
    Row("two spikes in a step", lambda: simulate(populate(sim.SpikeTrains([1.0, 2.0, 1.0], [2, 2, 2]))), DescriptionError, "'exc'",
        "neuron 2 fires twice at 1 ms"),
]  # fmt: skip

PROBES = [
    Row("unknown variable", lambda: record("exc", "spike"), NameUnknownError, "exc", "unknown variable 'spike'; did you mean 'spikes'?"),
    Row("variable of a source", lambda: record("input", "v"), NameUnknownError, "input", "known: counts, rate, spikes"),
    Row("number for a variable", lambda: record("exc", 0), NameUnknownError, "exc", "unknown variable 0"),
    Row("rate without bins", lambda: record("exc", "rate"), DescriptionError, "exc", "rate needs `every`"),
    Row("rate of a slice", lambda: (net := network()).record(net.populations["exc"][:2], "rate", every=1.0), DescriptionError, "exc",
        "whole population"),
    Row("spikes with an interval", lambda: record("exc", "spikes", every=1.0), DescriptionError, "exc", "take no interval"),
    Row("counts with an interval", lambda: record("exc", "counts", every=1.0), DescriptionError, "exc", "take no interval"),
    Row("every 0", lambda: record("exc", "v", every=0.0), DescriptionError, "exc", "every: expected more than 0 ms, got 0"),
    Row("every negative", lambda: record("exc", "v", every=-1.0), DescriptionError, "exc", "got -1"),
    Row("every NaN", lambda: record("exc", "v", every=nan), DescriptionError, "exc", "expected a number"),
    Row("every a text", lambda: record("exc", "v", every="1"), KindError, "exc", "got '1'"),
    Row("every True", lambda: record("exc", "v", every=True), KindError, "exc", "got True"),
    Row("every an array", lambda: record("exc", "v", every=[1.0, 2.0]), KindError, "exc", "expected one number"),
    Row("every off the grid", lambda: simulate(record("exc", "v", every=0.25)), DescriptionError, "exc", "0.25 ms is not a multiple"),
    Row("every below dt", lambda: simulate(record("exc", "v", every=0.1), dt=1.0), DescriptionError, "exc", "0.1 ms"),
    Row("every next to nothing", lambda: simulate(record("exc", "v", every=1e-9)), DescriptionError, "exc", "shorter than the time step"),
    Row("every beyond counting", lambda: simulate(record("exc", "v", every=1e300)), DescriptionError, "exc", "every"),
    Row("recorded twice", lambda: record("exc", "spikes", "spikes"), DescriptionError, "'exc'", "recorded already"),
    Row("trace recorded twice", lambda: record("exc", "v", "v"), DescriptionError, "'exc'", "v of 'exc' is recorded already"),
]  # fmt: skip

RUNS = [
    Row("no network", lambda: simulate("net.h5"), KindError, "Simulation", "expected a Network, got 'net.h5'"),
    Row("empty network", lambda: simulate(sim.Network()), DescriptionError, "network", "there is no population"),
    Row("dt 0", lambda: simulate(dt=0.0), DescriptionError, "dt", "more than 0 ms, got 0"),
    Row("dt negative", lambda: simulate(dt=-0.1), DescriptionError, "dt", "got -0.1"),
    Row("dt NaN", lambda: simulate(dt=nan), DescriptionError, "dt", "expected a number"),
    Row("dt infinite", lambda: simulate(dt=inf), DescriptionError, "dt", "finite"),
    Row("dt a text", lambda: simulate(dt="0.1"), KindError, "dt", "got '0.1'"),
    Row("dt None", lambda: simulate(dt=None), KindError, "dt", "got None"),
    Row("dt an array", lambda: simulate(dt=[0.1]), KindError, "dt", "expected one number"),
    Row("dt next to nothing", lambda: simulate(dt=1e-300), DescriptionError, "t_ref", "dt"),
    Row("seed negative", lambda: simulate(seed=-1), DescriptionError, "seed", "got -1"),
    Row("seed fractional", lambda: simulate(seed=1.5), KindError, "seed", "got 1.5"),
    Row("seed too large", lambda: simulate(seed=2**64), DescriptionError, "seed", "2**64 - 1"),
    Row("seed a text", lambda: simulate(seed="42"), KindError, "seed", "got '42'"),
    Row("seed None", lambda: simulate(seed=None), KindError, "seed", "got None"),
    Row("threads 0", lambda: simulate(threads=0, engine="cpu"), DescriptionError, "thread", "at least 1 thread, got 0"),
    Row("threads fractional", lambda: simulate(threads=2.0, engine="cpu"), KindError, "threads", "got 2.0"),
    Row("threads True", lambda: simulate(threads=True, engine="cpu"), KindError, "threads", "got True"),
    Row("threads of the reference engine", lambda: simulate(engine="reference", threads=2), UnsupportedError, "'reference'",
        "1 thread at most"),
    Row("threads beyond reason", lambda: simulate(threads=10**9, engine="cpu"), UnsupportedError, "'cpu'", "1024 threads at most"),
    Row("unknown engine", lambda: simulate(engine="referense"), NameUnknownError, "Simulation", "did you mean 'reference'?"),
    Row("engine None", lambda: simulate(engine=None), NameUnknownError, "Simulation", "unknown engine None"),
    Row("engine a list", lambda: simulate(engine=["cpu"]), SpikesimError, "Simulation", "engine"),
    Row("float32 on the reference engine", lambda: simulate(engine="reference", precision="float32"), UnsupportedError, "'reference'",
        "float32"),
    Row("unknown precision", lambda: simulate(precision="float16", engine="cpu"), UnsupportedError, "'cpu'",
        "float32 or float64, not in 'float16'"),
    Row("procedural a number", lambda: simulate(procedural=1), KindError, "procedural", "True or False, got 1"),
    Row("procedural by target", lambda: procedural(sim.FixedIndegree(2)), UnsupportedError, "'input->exc'", "by FixedIndegree; use Fixed"),
    Row("procedural list", lambda: procedural(sim.PairList([0], [1])), UnsupportedError, "'input->exc'", "PairList"),
    Row("procedural matrix", lambda: procedural(sim.Matrix(np.eye(SIZE))), UnsupportedError, "'input->exc'", "Matrix"),
    Row("procedural total number without multapses", lambda: procedural(sim.FixedTotalNumber(3, multapses=False)), UnsupportedError,
        "'input->exc'", "FixedTotalNumber without multapses"),
    Row("procedural without delay", lambda: procedural(sim.AllToAll(), delay=0.0), UnsupportedError, "'input->exc'", "use 0.1 ms"),
    Row("refractory time off the grid", lambda: simulate(populate(LIF(t_ref=2.05))), DescriptionError, "'exc': t_ref", "2.05 ms"),
    Row("one refractory time off the grid", lambda: simulate(populate(LIF(t_ref=[1, 2, 2.5, 3])), dt=1.0), DescriptionError, "'exc'",
        "2.5 ms"),
    Row("too many synapses for memory", lambda: simulate(too_large()), MemoryNeededError, "a->b", "8 TB"),
    Row("too many neurons for memory", lambda: simulate(populate(shape=2**31 - 1)), MemoryNeededError, "neurons", "are free"),
    Row("duration negative", lambda: run(-1.0), DescriptionError, "duration", "at least 0 ms, got -1"),
    Row("duration NaN", lambda: run(nan), DescriptionError, "duration", "expected a number"),
    Row("duration infinite", lambda: run(inf), DescriptionError, "duration", "finite"),
    Row("duration off the grid", lambda: run(1.05), DescriptionError, "duration", "1.05 ms is not a multiple"),
    Row("duration a text", lambda: run("1 s"), KindError, "duration", "got '1 s'"),
    Row("duration None", lambda: run(None), KindError, "duration", "got None"),
    Row("duration drawn", lambda: run(sim.Uniform(1.0, 2.0)), KindError, "duration", "one number"),
    Row("duration beyond the random numbers", lambda: run(1e9), DescriptionError, "1e+09 ms", "use a longer dt"),
    Row("duration beyond counting", lambda: run(1e300), DescriptionError, "duration", "1e+300 ms"),
]  # fmt: skip

RESULTS = [
    Row("trials of an unknown population", lambda: trials(ecx=np.ones((2, 4))), NameUnknownError, "'ecx'", "did you mean 'exc'?"),
    Row("trials without a current", lambda: trials(one=np.ones((2, 1))), DescriptionError, "'one'", "needs one DirectCurrent"),
    Row("trials with two currents", lambda: trials(inh=np.ones((2, 3))), DescriptionError, "'inh'", "found 2"),
    Row("trials of too few neurons", lambda: trials(exc=np.ones((2, 3))), DescriptionError, "'exc'", "(trials, 4), got (2, 3)"),
    Row("trials in a vector", lambda: trials(exc=np.ones(4)), DescriptionError, "'exc'", "(trials, 4), got (4,)"),
    Row("trials a number", lambda: trials(exc=1.0), DescriptionError, "'exc'", "(trials, 4), got ()"),
    Row("trials NaN", lambda: trials(exc=np.full((2, 4), nan)), DescriptionError, "'exc'", "expected a number"),
    Row("trials text", lambda: trials(exc="ones"), KindError, "'exc'", "got 'ones'"),
    Row("trials drawn", lambda: trials(exc=sim.Uniform(0.0, 1.0)), SpikesimError, "'exc'", "trials"),
    Row("trials none", lambda: trials(), DescriptionError, "trials", "currents"),
    Row("trials of no rows", lambda: trials(exc=np.ones((0, 4))), DescriptionError, "'exc'", "(0, 4)"),
    Row("trials in a list", lambda: driven().trials(1.0, currents=[1.0]), KindError, "trials: currents", "[1.0]"),
    Row("trials of a negative duration", lambda: trials(-1.0, exc=np.ones((2, 4))), DescriptionError, "trials: duration", "got -1"),
    Row("spikes not recorded", lambda: recording().spikes["inh"], NameUnknownError, "'inh'", "is there a net.record(...) for it?"),
    Row("spikes misspelt", lambda: recording().spikes["ecx"], NameUnknownError, "'ecx'", "did you mean 'exc'?"),
    Row("trace not recorded", lambda: recording().trace("exc", "inh"), NameUnknownError, "'exc.inh'", "known: exc.v"),
    Row("trace without a variable", lambda: recording().traces["exc"], NameUnknownError, "'exc'", "did you mean 'exc.v'?"),
    Row("counts not recorded", lambda: recording().counts["exc"], NameUnknownError, "'exc'", "known: input"),
    Row("rates not recorded", lambda: recording().rates["exc"], NameUnknownError, "'exc'", "known: none"),
    Row("rate of nothing recorded", lambda: recording().rate("inh"), NameUnknownError, "'inh'", "known: exc, input"),
    Row("intervals not recorded", lambda: recording().cv_isi("inh"), NameUnknownError, "'inh'", "known: exc"),
    Row("histogram of bins of 0", lambda: recording().psth("exc", bin=0.0), DescriptionError, "psth", "more than 0 ms, got 0"),
    Row("histogram of bins of NaN", lambda: recording().psth("exc", bin=nan), DescriptionError, "psth", "got nan"),
    Row("correlation not recorded", lambda: recording().correlation("inh"), NameUnknownError, "'inh'", "known: exc"),
    Row("correlation in bins of 0", lambda: recording().correlation("exc", bin=0.0), DescriptionError, "correlations: bin", "got 0"),
    Row("correlation of one neuron", lambda: recording().correlation("exc", neurons=1), DescriptionError, "neurons", "from 2 on, got 1"),
    Row("histogram of bins by text", lambda: recording().psth("exc", bin="1"), KindError, "psth", "'1'"),
]  # fmt: skip

DISTRIBUTIONS = [
    Row("uniform upside down", lambda: sim.Uniform(2.0, 1.0), DescriptionError, "Uniform", "low <= high, got low=2, high=1"),
    Row("uniform NaN", lambda: sim.Uniform(nan, 1.0), DescriptionError, "Uniform.low", "expected a number"),
    Row("uniform infinite", lambda: sim.Uniform(0.0, inf), DescriptionError, "Uniform.high", "finite"),
    Row("uniform wider than float", lambda: sim.Uniform(-1.7e308, 1.7e308), DescriptionError, "Uniform", "float"),
    Row("uniform of arrays", lambda: sim.Uniform([0.0, 1.0], 2.0), KindError, "Uniform.low", "one number, got an array"),
    Row("uniform of a distribution", lambda: sim.Uniform(sim.Uniform(0.0, 1.0), 2.0), KindError, "Uniform.low", "expected one number"),
    Row("uniform of text", lambda: sim.Uniform("0", 1.0), KindError, "Uniform.low", "got '0'"),
    Row("normal of negative sd", lambda: sim.Normal(0.0, -1.0), DescriptionError, "Normal.sd", "at least 0, got -1"),
    Row("normal of None", lambda: sim.Normal(None, 1.0), KindError, "Normal.mean", "got None"),
    Row("clipped normal of an empty interval", lambda: sim.ClippedNormal(0.0, 1.0, low=1.0, high=1.0), DescriptionError, "ClippedNormal",
        "widen"),
    Row("clipped normal upside down", lambda: sim.ClippedNormal(0.0, 1.0, low=1.0, high=-1.0), DescriptionError, "ClippedNormal",
        "[1, -1]"),
    Row("clipped normal far out", lambda: sim.ClippedNormal(0.0, 1.0, low=5.0), DescriptionError, "ClippedNormal", "widen the interval"),
    Row("clipped constant outside", lambda: sim.ClippedNormal(0.0, 0.0, low=1.0), DescriptionError, "ClippedNormal", "only 0 of"),
    Row("log-normal beyond float", lambda: sim.LogNormal(800.0, 0.0), DescriptionError, "LogNormal", "beyond the largest float"),
    Row("log-normal tail beyond float", lambda: sim.LogNormal(0.0, 120.0), DescriptionError, "LogNormal", "beyond the largest float"),
    Row("log-normal of negative sigma", lambda: sim.LogNormal(0.0, -1.0), DescriptionError, "LogNormal.sigma", "at least 0"),
    Row("distribution misspelt", lambda: sim.ClippedNormal(0.0, 1.0, min=0.0), NameUnknownError, "ClippedNormal", "'min'"),
]  # fmt: skip

QUANTITIES = [
    Row("tau in mV", lambda: LIF(tau_m=quantity(20.0, "mV")), UnitError, "LIF.tau_m", "expected a quantity in ms"),
    Row("threshold in ms", lambda: LIF(v_threshold=quantity(20.0, "ms")), UnitError, "LIF.v_threshold", "expected a quantity in mV"),
    Row("array in another unit", lambda: LIF(c_m=quantity([1.0, 2.0], "pA")), UnitError, "LIF.c_m", "expected a quantity in pF"),
    Row("tau of a receptor in Hz", lambda: Exp(tau=quantity(5.0, "Hz")), UnitError, "ExponentialCurrent.tau", "quantity in ms"),
    Row("rate in ms", lambda: sim.Poisson(quantity(5.0, "ms")), UnitError, "Poisson.rate", "quantity in Hz"),
    Row("probability in ms", lambda: sim.FixedProbability(quantity(0.1, "ms")), UnitError, "FixedProbability.p", "no unit"),
    Row("weight of a current in mV", lambda: connect("input->exc", sim.AllToAll(), weight=quantity(1.0, "mV")), UnitError,
        "'input->exc': weight", "quantity in pA"),
    Row("weight of a jump in pA", lambda: connect("image->features", sim.AllToAll(), weight=quantity(1.0, "pA")), UnitError,
        "'image->features': weight", "quantity in mV"),
    Row("delay in mV", lambda: connect("input->exc", sim.AllToAll(), delay=quantity(1.0, "mV")), UnitError, "'input->exc': delay", "in ms"),
    Row("initial V in ms", lambda: populate(initial={"v": quantity(1.0, "ms")}), UnitError, "'exc': initial v", "quantity in mV"),
    Row("every in mV", lambda: record("exc", "v", every=quantity(1.0, "mV")), UnitError, "every", "quantity in ms"),
    Row("dt in mV", lambda: simulate(dt=quantity(0.1, "mV")), UnitError, "dt", "quantity in ms"),
    Row("duration in mV", lambda: run(quantity(1.0, "mV")), UnitError, "duration", "quantity in ms"),
    Row("currents of trials in mV", lambda: trials(exc=quantity(np.ones((2, 4)), "mV")), UnitError, "'exc'", "quantity in pA"),
    Row("step times in mV", lambda: sim.StepCurrent(quantity([0.0, 1.0], "mV"), [1.0, 2.0]), UnitError, "StepCurrent.times", "in ms"),
    Row("step amplitudes in mV", lambda: sim.StepCurrent([0.0], quantity([1.0], "mV")), UnitError, "StepCurrent.amplitudes", "in pA"),
    Row("samples in ms", lambda: sim.SampledCurrent(quantity([1.0], "ms"), 1.0), UnitError, "SampledCurrent.samples", "in pA"),
    Row("spike times in mV", lambda: sim.SpikeTrains(quantity([1.0], "mV"), [0]), UnitError, "SpikeTrains.times", "in ms"),
]  # fmt: skip


def too_large() -> sim.Network:
    net = sim.Network()
    a, b = (net.population(name, 2_000_000, LIF()) for name in "ab")
    net.project(a, b, sim.AllToAll(), weight=1.0, delay=1.0, receptor="exc")
    return net


TABLE = PARAMETERS + GRADED + POPULATIONS + PROJECTIONS + RULES + STIMULI + PROBES + RUNS + RESULTS + DISTRIBUTIONS + QUANTITIES


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_bad_input_is_refused_in_words(row: Row) -> None:
    with pytest.raises(Exception) as caught:  # the class is checked below, so that a bare error shows as such
        row.wrong()
    error = caught.value
    assert type(error).__module__ == errors.__name__, f"a bare {type(error).__name__}: {error}"
    assert isinstance(error, SpikesimError)
    assert isinstance(error, row.error), f"{type(error).__name__} instead of {row.error.__name__}: {error}"
    assert row.what in str(error)
    assert row.says in str(error)
    assert error.__context__ is None or error.__suppress_context__, "shows an inner traceback"


def test_the_table_is_long_and_its_names_differ() -> None:
    assert len(TABLE) >= 90
    assert len({row.name for row in TABLE}) == len(TABLE)


def test_every_error_is_also_a_standard_exception() -> None:
    own = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, SpikesimError) and e is not SpikesimError]
    assert len(own) >= 8
    assert all(any(base.__module__ == "builtins" for base in e.__bases__) for e in own)


def test_the_memory_error_says_how_much_is_needed_and_how_much_there_is() -> None:
    with pytest.raises(MemoryNeededError) as caught:
        simulate(too_large())
    assert re.search(r"needs about 8 TB of memory, [\d.]+ [kMG]B are free; .*a->b with 8 TB; scale it down", str(caught.value))


def test_name_errors_print_without_quotes_around() -> None:
    with pytest.raises(NameUnknownError) as caught:
        LIF(tau_n=10.0)
    assert not str(caught.value).startswith(("'", '"'))


def test_right_quantities_are_accepted() -> None:
    ms, mV, pA = (quantity(1.0, unit) for unit in ("ms", "mV", "pA"))
    assert LIF(tau_m=20 * ms) == LIF(tau_m=20.0)
    assert LIF(tau_m=[10.0, 20.0] * ms) == LIF(tau_m=[10.0, 20.0])
    assert connect("input->exc", sim.AllToAll(), weight=2 * pA, delay=1 * ms) == connect("input->exc", sim.AllToAll(), weight=2.0)
    assert populate(initial={"v": -60 * mV}) == populate(initial={"v": -60.0})
    assert simulate(dt=0.5 * ms).program.dt == 0.5


def test_the_networks_of_the_table_are_good_themselves() -> None:
    """What the rows start from builds, so that they fail for the reason that they state."""
    simulate()
    simulate(connect("input->exc", sim.AllToAll()))
    simulate(structured(sim.Conv(np.ones((3, 2, 3, 3)))))
    simulate(loop("exc", "inh", delay=0.1))
    assert run(1.0).stop == 1.0
    assert len(trials(exc=np.ones((2, 4)))) == 2
