"""NEST's side of the comparisons: translates one of spikesim's benchmark networks, runs it and prints JSON.

    python nest_networks.py cuba [--scale 1] [--threads 1] [--time 1000]

Spikes are counted, not recorded, which costs NEST nothing.
"""

import sys
import time as clock
from collections.abc import Callable
from typing import Any

import typer
from figures import print_figures, size

import spikesim as sim
from spikesim.benchmarks import BENCHMARKS
from spikesim.distributions import support
from spikesim.network import Network, Projection
from spikesim.population import Population

MODELS = {sim.Delta: "iaf_psc_delta", sim.ExponentialCurrent: "iaf_psc_exp", sim.ExponentialConductance: "iaf_cond_exp"}
NAMES = {"c_m": "C_m", "v_rest": "E_L", "v_reset": "V_reset", "v_threshold": "V_th", "t_ref": "t_ref", "i_e": "I_e"}
RECEPTOR_NAMES = {"tau": "tau_syn", "reversal": "E"}
RULES: dict[type, Callable[[Any], dict[str, Any]]] = {
    sim.FixedProbability: lambda rule: {"rule": "pairwise_bernoulli", "p": rule.p, "allow_autapses": rule.autapses},
    sim.FixedIndegree: lambda rule: {"rule": "fixed_indegree", "indegree": rule.k, **_repeats(rule)},
    sim.FixedTotalNumber: lambda rule: {"rule": "fixed_total_number", "N": rule.n, **_repeats(rule)},
    sim.Dense: lambda rule: {"rule": "all_to_all"},
}


def main(name: str, scale: float = 1.0, threads: int = 1, time: float | None = None) -> None:
    benchmark = BENCHMARKS[name]
    duration = benchmark.duration if time is None else time
    network = benchmark.build(scale)
    started = clock.perf_counter()
    nest = fresh_nest(benchmark.dt, threads)
    build(nest, network)
    nest.Prepare()
    built = clock.perf_counter() - started
    nest.Run(benchmark.warm_up)
    started = clock.perf_counter()
    nest.Run(duration)
    wall, spikes = clock.perf_counter() - started, nest.local_spike_counter  # of the last run alone
    print_figures(neurons=size(network), spikes=spikes, seconds=1e-3 * duration, wall=wall, built=built)


def fresh_nest(dt: float, threads: int) -> Any:
    """NEST with two models of synapses, one for each sign: it takes 2**27 synapses of a model in a thread at most."""
    sys.argv = sys.argv[:1]  # NEST reads the arguments too
    import nest

    nest.verbosity = nest.VerbosityLevel.ERROR
    nest.set(resolution=dt, local_num_threads=threads, rng_seed=1)
    for sign in ("positive", "negative"):
        nest.CopyModel("static_synapse", sign)
    return nest


def build(nest: Any, network: Network) -> None:
    """Create and connect all of ``network`` but its probes."""
    nodes = {name: create(nest, population) for name, population in network.populations.items()}
    for projection in network.projections.values():
        connect(nest, projection, nodes[projection.source.population], nodes[projection.target.population])
    # a drive's delay changes nothing; with the least of all, NEST need not meet more often than the network asks for
    least = min(support(projection.delay)[0] for projection in network.projections.values())
    for stimulation in network.stimulations:
        generator = nest.Create("poisson_generator", params={"rate": stimulation.stimulus.rate})
        synapse = {"weight": stimulation.stimulus.weight, "delay": least}
        nest.Connect(generator, nodes[stimulation.target.population], syn_spec=synapse)


def create(nest: Any, population: Population) -> Any:
    """The population's neurons; a source is parrots that repeat a Poisson process each, which may have two spikes in a step."""
    if isinstance(population.model, sim.Poisson):
        parrots = nest.Create("parrot_neuron", len(population))
        nest.Connect(nest.Create("poisson_generator", params={"rate": population.model.rate}), parrots)
        return parrots
    (model,) = {MODELS[type(receptor)] for receptor in population.model.receptors.values()}
    start = {"V_m": value(nest, population.initial.get("v", population.model.v_rest))}
    return nest.Create(model, len(population), params=parameters(population.model) | start)


def parameters(model: sim.LIF) -> dict[str, float]:
    """By NEST's names. It has one receptor for each sign of the weight; a receptor that is alone takes both."""
    values = model.values()
    found = {name: values[ours] for ours, name in NAMES.items()}
    found |= {"g_L": model.c_m / model.tau_m} if model.conducts() else {"tau_m": model.tau_m}
    alone = next(iter(model.receptors.values()))
    for ours, sign in (("exc", "ex"), ("inh", "in")):
        receptor = model.receptors.get(ours, alone).values()
        found |= {f"{name}_{sign}": receptor[key] for key, name in RECEPTOR_NAMES.items() if key in receptor}
    return found


def connect(nest: Any, projection: Projection, source: Any, target: Any) -> None:
    """All synapses of one projection between whole populations; a negative weight is what tells NEST's inhibitory conductance."""
    rule = projection.rule
    weight = rule.weights.T * projection.weight if isinstance(rule, sim.Dense) else value(nest, projection.weight)
    inhibits = projection.receptor == "inh" or sum(support(projection.weight)) < 0.0
    if inhibits and "g_L" in target[0].get():
        weight = -weight
    synapse = {"synapse_model": "negative" if inhibits else "positive", "weight": weight, "delay": value(nest, projection.delay)}
    nest.Connect(source, target, RULES[type(rule)](rule), synapse)


def value(nest: Any, number: Any) -> Any:
    """A number, or NEST's form of a distribution."""
    forms = {
        sim.Uniform: lambda d: nest.random.uniform(d.low, d.high),
        sim.Normal: lambda d: nest.random.normal(d.mean, d.sd),
        sim.ClippedNormal: lambda d: nest.math.redraw(nest.random.normal(d.mean, d.sd), d.low, d.high),
    }
    return forms[type(number)](number) if type(number) in forms else number


def _repeats(rule: sim.FixedIndegree | sim.FixedTotalNumber) -> dict[str, bool]:
    return {"allow_autapses": rule.autapses, "allow_multapses": rule.multapses}


if __name__ == "__main__":
    typer.run(main)
