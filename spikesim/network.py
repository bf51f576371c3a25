"""The network: populations, projections, stimuli and probes, as validated plain data.

A `Network` says what is simulated and knows no engine. Units are ms, mV, pA, pF, nS, Hz; the weight of a
projection carries its receptor's unit: mV for delta receptors, pA for currents, nS for conductances.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np

from spikesim.connectivity.rules import Matrix, Rule
from spikesim.connectivity.structured import Structured
from spikesim.description import Description, checked_number, checked_shape, limits, same
from spikesim.errors import DescriptionError, FileFormatError, KindError, SpikesimError, UnsupportedError, unknown_name
from spikesim.neurons.model import Neuron
from spikesim.plasticity import Plasticity
from spikesim.population import Population, View, overlap
from spikesim.stimulus import DirectCurrent, PoissonDrive, SampledCurrent, Source, StepCurrent, Stimulus

SPIKES, RATE, COUNTS = "spikes", "rate", "counts"


class Projection(Description):
    """Synapses of one rule from one view to another; ``plasticity`` says how their weights change, None that they do not."""

    name: str
    source: View
    target: View
    rule: Rule
    weight: Any
    delay: Any
    receptor: str
    plasticity: Any = None


class Stimulation(Description):
    """A stimulus given to the neurons of a view."""

    target: View
    stimulus: Stimulus


class Probe(Description):
    """What is recorded: ``variable`` of the neurons of ``view``.

    "spikes": every spike; "counts": spikes of each neuron; "rate": the population rate in bins of ``every`` ms;
    else a state variable, sampled each ``every`` ms (each step if None).
    """

    view: View
    variable: str
    every: float | None = None


class Network:
    """Populations and what connects, drives and observes them."""

    def __init__(self) -> None:
        self.populations: dict[str, Population] = {}
        self.projections: dict[str, Projection] = {}
        self.stimulations: list[Stimulation] = []
        self.probes: list[Probe] = []

    def population(self, name: str, shape: int | tuple[int, ...], model: Neuron | Source, *,
                   initial: Mapping[str, Any] | None = None) -> Population:  # fmt: skip
        """Add neurons of ``model``; ``initial`` gives state variables at time 0 (numbers, arrays, distributions)."""
        added = Population(name, shape, model, {} if initial is None else initial)  # type: ignore[arg-type]
        if name in self.populations:
            raise DescriptionError(f"network: there is a population {name!r} already; choose another name")
        self.populations[name] = added
        return added

    def project(self, source: Population | View, target: Population | View | Iterable[Population | View], rule: Rule, *,
                weight: Any = None, delay: Any = None, receptor: str | None = None, plasticity: Plasticity | None = None,
                name: str | None = None) -> Projection | tuple[Projection, ...]:  # fmt: skip
        """Connect ``source`` with ``target`` (or with each of several targets, independently) by ``rule``.

        weight: number, distribution, or an array with one value a synapse where their number is fixed
        (all-to-all: one for each pair); in mV, pA or nS by the receptor. delay: likewise, in ms; 0 is allowed for
        feed-forward projections. receptor: needed if the target has more than one. plasticity: how the weights change, such as
        `LoihiSTDP`.
        """
        if not isinstance(target, Population | View | str) and isinstance(target, Iterable):
            if name is not None:
                raise DescriptionError(f"projection {name!r}: one name cannot be given to several projections; project to one target")
            before = self.projections.copy()
            try:
                return tuple(self.project(source, each, rule, weight=weight, delay=delay, receptor=receptor, plasticity=plasticity)
                             for each in target)  # type: ignore[misc]  # fmt: skip
            except SpikesimError:
                self.projections = before  # all or none
                raise
        made = self._projection(self.view(source), self.view(target), rule, weight, delay, receptor, plasticity, name)
        self.projections[made.name] = made
        if same(made.delay, 0.0):
            try:
                self.stages()
            except DescriptionError:
                del self.projections[made.name]
                raise
        return made

    def _projection(self, source: View, target: View, rule: Rule, weight: Any, delay: Any,
                    receptor: str | None, plasticity: Plasticity | None, name: str | None) -> Projection:  # fmt: skip
        name = self._projection_name(f"{source.population}->{target.population}", name)
        what = f"projection {name!r}"
        if not isinstance(rule, Rule):
            raise KindError(f"{what}: expected a rule such as FixedProbability(0.1), got {rule!r}")
        key = self._receptor(target, receptor, what)
        selves = overlap(source, target)
        rule.check_sizes(len(source), len(target), selves, what)
        if isinstance(rule, Structured):
            rule.check_shapes(self.shape(source), self.shape(target), what)
        if weight is None:
            if not isinstance(rule, Structured | Matrix):
                raise DescriptionError(f"{what}: weight is missing; give a number, an array or a distribution")
            weight = 1.0
        if delay is None:
            raise DescriptionError(f"{what}: delay is missing; give a delay in ms (0 is allowed for feed-forward projections)")
        unit = self.populations[target.population].model.receptors[key].UNIT  # type: ignore[union-attr]
        weight = checked_number(weight, f"{what}: weight", limits(unit))
        delay = checked_number(delay, f"{what}: delay", limits("ms", at_least=0.0))
        _check_structured(rule, weight, delay, what)
        for label, value in (("weight", weight), ("delay", delay)):
            _check_per_synapse(label, value, rule, (len(source), len(target), selves), what)
        self.populations[target.population].model.check_weights(rule, weight, what)  # type: ignore[union-attr]
        if not isinstance(plasticity, Plasticity | None):
            raise KindError(f"{what}: expected plasticity such as LoihiSTDP(...), or None, got {plasticity!r}")
        if plasticity is not None:
            plasticity.check_connection(rule, weight, what)
        return Projection(name, source, target, rule, weight, delay, key, plasticity)

    def _projection_name(self, ends: str, name: str | None) -> str:
        if name is not None:
            if not isinstance(name, str) or not name or "/" in name:
                raise KindError(f"network: a projection's name is a text without '/', got {name!r}")
            if name in self.projections:
                raise DescriptionError(f"network: there is a projection {name!r} already; choose another name")
            return name
        numbered = (f"{ends} #{number}" for number in count(2))
        return next(free for free in chain([ends], numbered) if free not in self.projections)

    def _receptor(self, target: View, receptor: str | None, what: str) -> str:
        model = self.populations[target.population].model
        if not isinstance(model, Neuron):
            raise DescriptionError(f"{what}: the target {target.population!r} is a {type(model).__name__} source and receives nothing")
        if receptor is None and len(model.receptors) == 1:
            return next(iter(model.receptors))
        if receptor is None:
            raise DescriptionError(f"{what}: {target.population!r} has the receptors {', '.join(model.receptors) or 'none'}; say which one")
        if not isinstance(receptor, str) or receptor not in model.receptors:
            raise unknown_name("receptor", receptor, model.receptors, where=what)
        return receptor

    def stimulate(self, target: Population | View, stimulus: Stimulus) -> Stimulation:
        """Give ``stimulus`` to the neurons of ``target``; several stimuli add up."""
        view = self.view(target)
        what = f"stimulus on {view}"
        model = self.populations[view.population].model
        if not isinstance(stimulus, Stimulus):
            raise KindError(f"{what}: expected a stimulus such as DirectCurrent(200.0), got {stimulus!r}")
        if not isinstance(model, Neuron):
            raise DescriptionError(f"{what}: {view.population!r} is a {type(model).__name__} source and takes no stimulus")
        if not isinstance(stimulus, PoissonDrive) and not model.INJECTED:
            raise DescriptionError(f"{what}: {type(model).__name__} takes no current; project onto one of its receptors instead")
        if isinstance(stimulus, PoissonDrive) and stimulus.receptor not in model.receptors:
            raise unknown_name("receptor", stimulus.receptor, model.receptors, where=what)
        model.check_stimulus(stimulus, what)
        for name, value in _per_neuron(stimulus).items():
            checked_shape(value, ((len(view),), self.shape(view)), f"{what}: {type(stimulus).__name__}.{name}", f"{len(view)} neurons")
        self.stimulations.append(Stimulation(view, stimulus))
        return self.stimulations[-1]

    def record(self, view: Population | View, variable: str = SPIKES, *, every: float | None = None) -> Probe:
        """Record "spikes", "counts", the population "rate", or a state variable such as "v" (see `Probe`)."""
        view = self.view(view)
        model = self.populations[view.population].model
        known = (SPIKES, COUNTS, RATE, *(model.variables() if isinstance(model, Neuron) else ()))
        what = f"probe on {view}"
        if not isinstance(variable, str) or variable not in known:
            raise unknown_name("variable", variable, known, where=what)
        if every is not None:
            every = checked_number(every, f"{what}: every", limits("ms", above=0.0, varies=False))
        if variable in (SPIKES, COUNTS) and every is not None:
            raise DescriptionError(f"{what}: {variable} take no interval `every`")
        if variable == RATE and every is None:
            raise DescriptionError(f"{what}: rate needs `every`, the width of its bins in ms")
        probe = Probe(view, variable, every)
        if variable == RATE and len(view) < len(self.populations[view.population]):
            raise DescriptionError(f"{what}: rate is that of a whole population; record the spikes of {view} instead")
        if any(p.variable == variable and p.view.population == view.population for p in self.probes):
            raise DescriptionError(f"{what}: {variable} of {view.population!r} is recorded already; record all of it in one probe")
        self.probes.append(probe)
        return probe

    def view(self, part: Population | View) -> View:
        """``part`` as a view of this network; raises if it is not one."""
        if not isinstance(part, Population | View):
            raise KindError(f"network: expected a population or a slice of one, got {part!r}")
        name = part.name if isinstance(part, Population) else part.population
        if name not in self.populations or (isinstance(part, Population) and self.populations[name] is not part):
            raise unknown_name("population", name, self.populations, where="network (a population of another network?)")
        if isinstance(part, View) and part.stop > len(self.populations[name]):
            raise DescriptionError(f"network: {part} reaches beyond the {len(self.populations[name])} neurons of {name!r}")
        return View(name, 0, len(part)) if isinstance(part, Population) else part

    def shape(self, view: View) -> tuple[int, ...]:
        """The shape of a view: its population's if it holds all of it, else its length."""
        population = self.populations[view.population]
        return population.shape if len(view) == len(population) else (len(view),)

    def stages(self) -> list[list[str]]:
        """The populations in the order of stepping: a stage receives from earlier ones without delay.

        Raises `DescriptionError` if projections without delay form a cycle.
        """
        sorter: TopologicalSorter[str] = TopologicalSorter({name: () for name in self.populations})
        for projection in self.projections.values():
            if same(projection.delay, 0.0):
                sorter.add(projection.target.population, projection.source.population)
        stages = []
        try:
            sorter.prepare()
        except CycleError as error:
            cycle = " -> ".join(reversed(error.args[1]))
            raise DescriptionError(f"network: projections without delay form a cycle: {cycle}; give one of them a delay") from None
        while sorter.is_active():
            ready = sorter.get_ready()
            stages.append([name for name in self.populations if name in ready])
            sorter.done(*ready)
        return stages

    def check_static(self, where: str) -> None:
        """Raise `UnsupportedError` for the first projection that learns, which ``where`` cannot."""
        for name, projection in self.projections.items():
            if projection.plasticity is not None:
                raise UnsupportedError(f"projection {name!r}: {where} has no {type(projection.plasticity).__name__}; run it on Loihi, "
                                       "map_to(net, 'loihi1').run(steps), or leave out plasticity=")  # fmt: skip

    def copy(self) -> Network:
        """A network of the same parts; later additions to one do not show in the other."""
        made = Network()
        for name, value in vars(self).items():
            setattr(made, name, value.copy())
        return made

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Network) and same(vars(self), vars(other))

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        from spikesim.summary import summary

        return summary(self)

    def __repr__(self) -> str:
        return f"<Network: {len(self.populations)} populations, {len(self.projections)} projections>"

    def save(self, path: str | Path) -> None:
        """Write the description to an HDF5 file."""
        from spikesim.storage import save

        save(path, "network", self.data())

    @classmethod
    def load(cls, path: str | Path) -> Network:
        """Read a description; raises `FileFormatError` if the file is not one."""
        from spikesim.storage import load

        return cls.from_data(load(path, "network"), str(path))

    def data(self) -> dict[str, Any]:
        """The whole description as plain data for `spikesim.storage`."""
        return {"populations": list(self.populations.values()), "projections": list(self.projections.values()),
                "stimulations": list(self.stimulations), "probes": list(self.probes)}  # fmt: skip

    @classmethod
    def from_data(cls, data: Any, origin: str) -> Network:
        """A network from `data`, built and checked anew."""
        network = cls()
        try:
            for p in data["populations"]:
                network.population(p.name, p.shape, p.model, initial=p.initial)
            for p in data["projections"]:
                network.project(p.source, p.target, p.rule, weight=p.weight, delay=p.delay, receptor=p.receptor, plasticity=p.plasticity,
                                name=p.name)  # fmt: skip
            for s in data["stimulations"]:
                network.stimulate(s.target, s.stimulus)
            for p in data["probes"]:
                network.record(p.view, p.variable, every=p.every)
        except (SpikesimError, AttributeError, TypeError, KeyError, ValueError) as error:
            raise FileFormatError(f"{origin}: does not hold a valid network: {error}") from error
        return network


def _check_structured(rule: Rule, weight: Any, delay: Any, what: str) -> None:
    """Rules that bring their own weights are scaled by one number; structured ones have one delay."""
    if isinstance(rule, Structured | Matrix) and not isinstance(weight, float):
        raise DescriptionError(
            f"{what}: {type(rule).__name__} holds the weights and `weight` scales them: expected one number, got {weight!r}"
        )
    if isinstance(rule, Structured | Matrix) and not np.isfinite(rule.largest_weight() * weight):
        raise DescriptionError(f"{what}: weight {weight:g} scales the weights of {type(rule).__name__} beyond the largest float")
    if isinstance(rule, Structured) and not isinstance(delay, float):
        raise DescriptionError(f"{what}: {type(rule).__name__} has one delay for all synapses: expected one number, got {delay!r}")


def _check_per_synapse(label: str, value: Any, rule: Rule, sizes: tuple[int, int, int], what: str) -> None:
    if not isinstance(value, np.ndarray):
        return
    shape = rule.array_shape(*sizes)
    if shape is None:
        raise DescriptionError(f"{what}: {label} cannot be an array with {type(rule).__name__}; use a number or a distribution")
    checked_shape(value, (shape, (math.prod(shape),)), f"{what}: {label}", f"{math.prod(shape)} synapses")


def _per_neuron(stimulus: Stimulus) -> dict[str, Any]:
    """The values of a stimulus that stand for one neuron each, or one row of them."""
    if isinstance(stimulus, StepCurrent | SampledCurrent):
        name, array = ("amplitudes", stimulus.amplitudes) if isinstance(stimulus, StepCurrent) else ("samples", stimulus.samples)
        return {name: array[0]} if array.ndim == 2 else {}
    return {"amplitude": stimulus.amplitude} if isinstance(stimulus, DirectCurrent) else {"rate": getattr(stimulus, "rate", None)}
