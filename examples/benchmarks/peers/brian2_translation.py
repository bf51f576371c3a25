"""A `spikesim.Network` as a network of Brian2, in the form that runs fastest there.

All neurons make one group. Projections that differ only in their targets make one object of synapses, and so do all whose
pairs are drawn here. Constants become part of the code, and a delay of one step needs no queue.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

import spikesim as sim
from spikesim.network import Network, Projection

UNITS = {"tau_m": "ms", "c_m": "pF", "v_rest": "mV", "v_reset": "mV", "v_threshold": "mV", "t_ref": "ms", "i_e": "pA",
         "tau": "ms", "reversal": "mV"}  # fmt: skip
DIMENSIONS = {"ms": "second", "pF": "farad", "mV": "volt", "pA": "amp", "nS": "siemens"}
RECEPTORS = {  # its own equation, and what it adds to the membrane's current
    sim.Delta: ("", ""),
    sim.ExponentialCurrent: ("dg_{0}/dt = -g_{0} / tau_{0} : amp", " + g_{0}"),
    sim.ExponentialConductance: ("dg_{0}/dt = -g_{0} / tau_{0} : siemens", " + g_{0} * (reversal_{0} - v)"),
}
# connected by the program with a probability; a fixed in-degree is met in the mean, for Brian2 would store its synapses by
# target, and then takes twice as long to deliver a spike
PROBABILITIES: dict[type, Callable[[Any, int], float]] = {
    sim.FixedProbability: lambda rule, n: rule.p,
    sim.FixedIndegree: lambda rule, n: rule.k / n,
}
PAIRS: dict[type, Callable[..., Any]] = {  # drawn here, between n sources and m targets
    sim.FixedTotalNumber: lambda rule, n, m, rng: (rng.integers(n, size=rule.n), rng.integers(m, size=rule.n)),
    sim.Dense: lambda rule, n, m, rng: np.indices((n, m)).reshape(2, -1),
}
DISTRIBUTIONS: dict[type, Callable[..., np.ndarray]] = {
    sim.Uniform: lambda d, size, rng: rng.uniform(d.low, d.high, size),
    sim.Normal: lambda d, size, rng: rng.normal(d.mean, d.sd, size),
    sim.ClippedNormal: lambda d, size, rng: clipped_normal(d, size, rng),
}
SOURCES = 10_000  # that stand for one Poisson process
# spikes arrive after the integration and before the threshold, one step after they were sent, as spikesim has it
SCHEDULE = ["start", "groups", "synapses", "thresholds", "resets", "end"]


class Part(NamedTuple):
    """A population within a group of Brian2."""

    group: Any
    start: int
    stop: int

    def slice(self, *, until: int | None = None) -> Any:
        """Its neurons and what follows them until neuron ``until`` of the group."""
        stop = self.stop if until is None else until
        return self.group if stop - self.start == len(self.group) else self.group[self.start : stop]


@dataclass(frozen=True)
class Setting:
    """What every part of the translation needs."""

    b2: Any
    network: Network
    dt: float
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(1))
    parts: dict[str, Part] = field(default_factory=dict)  # by population


def translated(b2: Any, network: Network, dt: float) -> tuple[Any, list[Any]]:
    """The network in Brian2, and monitors that count its spikes."""
    b2.defaultclock.dt = dt * b2.ms
    setting = Setting(b2, network, dt)
    groups = [neurons(setting), *sources(setting)]
    monitors = [b2.SpikeMonitor(group, record=False) for group in groups]
    made = b2.Network(groups, monitors, list(drives(setting)), list(synapses(setting)))
    made.schedule = SCHEDULE
    return made, monitors


def neurons(setting: Setting) -> Any:
    """One group of all neurons. Parameters in which populations differ are kept for each neuron."""
    b2, populations = setting.b2, [each for each in setting.network.populations.values() if isinstance(each.model, sim.LIF)]
    model, tables = populations[0].model, [constants(b2, each.model) for each in populations]
    own = [key for key, number in tables[0].items() if any(table[key] != number for table in tables)]
    shared = {key: number for key, number in tables[0].items() if key not in own}
    refractory = (model.t_ref + setting.dt) * b2.ms if model.t_ref else False  # from the start of the step on
    method = "exponential_euler" if model.conducts() else "exact"
    group = b2.NeuronGroup(sum(map(len, populations)), equations(model, own), threshold="v >= v_threshold", reset="v = v_reset",
                           refractory=refractory, namespace=shared, method=method)  # fmt: skip
    stops = np.cumsum([len(each) for each in populations]).tolist()
    for population, table, stop in zip(populations, tables, stops, strict=True):
        setting.parts[population.name] = Part(group, stop - len(population), stop)
        part = setting.parts[population.name].slice()
        part.v = drawn(population.initial.get("v", model.v_rest), len(population), setting.rng) * b2.mV
        for key in own:
            setattr(part, key, table[key])
    return group


def constants(b2: Any, model: sim.LIF) -> dict[str, Any]:
    """All parameters with their units, by the names that they have in the equations."""
    found = {key: number * getattr(b2, UNITS[key]) for key, number in model.values().items() if key != "receptors"}
    for name, receptor in model.receptors.items():
        found |= {f"{key}_{name}": number * getattr(b2, UNITS[key]) for key, number in receptor.values().items()}
    return found


def equations(model: sim.LIF, own: list[str]) -> str:
    """The neuron's equations, with ``own`` parameters for each neuron."""
    forms = {name: RECEPTORS[type(receptor)] for name, receptor in model.receptors.items()}
    current = "i_e" + "".join(term.format(name) for name, (_, term) in forms.items())
    lines = [f"dv/dt = (v_rest - v) / tau_m + ({current}) / c_m : volt {'(unless refractory)' if model.t_ref else ''}"]
    lines += [equation.format(name) for name, (equation, _) in forms.items()]
    return "\n".join(lines + [f"{key} : {DIMENSIONS[UNITS[key]]} (constant)" for key in own])


def sources(setting: Setting) -> Iterator[Any]:
    """A group for each population that only sends."""
    for name, population in setting.network.populations.items():
        if isinstance(population.model, sim.Poisson):
            setting.parts[name] = Part(setting.b2.PoissonGroup(len(population), population.model.rate * setting.b2.Hz), 0, len(population))
            yield setting.parts[name].group


def drives(setting: Setting) -> Iterator[Any]:
    """One object for all neighbours among the Poisson drives that are alike."""
    for _, alike in groupby(setting.network.stimulations, lambda stimulation: repr(stimulation.stimulus)):
        members = list(alike)
        drive, first, last = members[0].stimulus, members[0].target.population, members[-1].target.population
        variable, unit = port(setting, first, drive.receptor)
        target = setting.parts[first].slice(until=setting.parts[last].stop)
        yield setting.b2.PoissonInput(
            target, variable, SOURCES, drive.rate / SOURCES * setting.b2.Hz, drive.weight * getattr(setting.b2, unit)
        )


def port(setting: Setting, population: str, receptor: str) -> tuple[str, str]:
    """The variable that jumps when a spike arrives at a receptor, and the unit of the weight."""
    found = setting.network.populations[population].model.receptors[receptor]
    return f"g_{receptor}" if found.STATE else "v", found.UNIT


def synapses(setting: Setting) -> Iterator[Any]:
    """One object for all neighbours among the projections that can share it."""

    def shared(projection: Projection) -> tuple[str, ...]:
        source = projection.source.population
        if type(projection.rule) in PROBABILITIES:
            return source, projection.receptor, repr((projection.rule, projection.weight, projection.delay))
        return setting.parts[source].group.name, projection.receptor

    for _, alike in groupby(setting.network.projections.values(), shared):
        members = list(alike)
        yield (generated if type(members[0].rule) in PROBABILITIES else given)(setting, members)


def generated(setting: Setting, members: list[Projection]) -> Any:
    """Synapses of one weight and one delay that the program connects, onto neighbouring populations."""
    first, until = members[0], setting.parts[members[-1].target.population].stop
    variable, unit = port(setting, first.target.population, first.receptor)
    source, target = (setting.parts[view.population] for view in (first.source, first.target))
    made = setting.b2.Synapses(source.slice(), target.slice(until=until), on_pre=f"{variable} += {first.weight} * {unit}",
                               delay=(first.delay - setting.dt) * setting.b2.ms)  # fmt: skip
    made.connect(p=PROBABILITIES[type(first.rule)](first.rule, source.stop - source.start))
    return made


def given(setting: Setting, members: list[Projection]) -> Any:
    """Synapses that are drawn here, each with a weight and a delay of its own, in the order of their sources."""
    variable, unit = port(setting, members[0].target.population, members[0].receptor)
    tables = [table(setting, projection) for projection in members]
    pre, post, weight, delay = (np.concatenate(column) for column in zip(*tables, strict=True))
    order = np.argsort(pre, kind="stable")
    source, target = (setting.parts[view.population].group for view in (members[0].source, members[0].target))
    made = setting.b2.Synapses(source, target, f"weight : {DIMENSIONS[unit]} (constant)", on_pre=f"{variable} += weight")
    made.connect(i=pre[order], j=post[order])
    made.weight = weight[order] * getattr(setting.b2, unit)
    if delay.any():
        made.delay = delay[order] * setting.b2.ms
    return made


def table(setting: Setting, projection: Projection) -> tuple[np.ndarray, ...]:
    """Sources and targets as numbers in their groups, weights, and what delays exceed one step (ms)."""
    source, target = (setting.parts[view.population] for view in (projection.source, projection.target))
    rule = projection.rule
    pre, post = PAIRS[type(rule)](rule, source.stop - source.start, target.stop - target.start, setting.rng)
    weight = drawn(projection.weight, len(pre), setting.rng)
    if isinstance(rule, sim.Dense):
        weight = weight * rule.weights.ravel()
    delay = drawn(projection.delay, len(pre), setting.rng) - setting.dt
    return source.start + pre, target.start + post, weight, delay


def drawn(value: Any, size: int, rng: np.random.Generator) -> np.ndarray:
    """So many numbers of a distribution, or of a constant."""
    return DISTRIBUTIONS[type(value)](value, size, rng) if type(value) in DISTRIBUTIONS else np.full(size, value)


def clipped_normal(d: sim.ClippedNormal, size: int, rng: np.random.Generator) -> np.ndarray:
    """Normal numbers, drawn anew until they fall between the bounds."""
    found = rng.normal(d.mean, d.sd, size)
    while len(outside := np.flatnonzero((found < d.low) | (found > d.high))):
        found[outside] = rng.normal(d.mean, d.sd, len(outside))
    return found
