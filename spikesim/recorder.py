"""The recorder: turns the segments an engine gives back into a `Recording`, in memory or through a file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from spikesim.kernel import kernel
from spikesim.network import COUNTS, RATE, SPIKES, Network, Probe
from spikesim.recording import Counts, Rate, Recorded, Recording, Spikes, Trace, recorded

if TYPE_CHECKING:
    from spikesim.engine.state import Segment
    from spikesim.program import Program


class Recorder:
    """Takes the segments of one run that starts at step ``first``.

    sink: told of every piece, ("spikes", population) with times and ids (of a graded population sizes, too), or (variable,
    population) with times and values; without one the pieces are kept.
    """

    def __init__(self, network: Network, program: Program, first: int, *, sink: Callable[[tuple, dict], None] | None = None) -> None:
        self.program = program
        self.first = self.step = first
        self.spike_ids = _ids(network.probes, SPIKES)
        self.graded = {cells.name for cells in program.cells if cells.graded}
        self.count_ids = _ids(network.probes, COUNTS)
        self.rate_probes = [p for p in network.probes if p.variable == RATE]
        self.trace_probes = [p for p in network.probes if p.variable not in (SPIKES, COUNTS, RATE)]
        self.starts = np.array([cells.start for cells in program.cells] + [program.neurons])
        self.counts: np.ndarray | None = None
        self.bins = [np.zeros(0, np.int64) for _ in self.rate_probes]
        self.parts: list[tuple[tuple, dict[str, np.ndarray]]] = []
        self.unsorted: list[tuple[int, Segment]] = []  # segments whose spikes have not gone to the sink, and their first steps
        self.streams = sink is not None
        self.sink = sink or (lambda key, arrays: self.parts.append((key, arrays)))

    def append(self, segment: Segment) -> None:
        """Take what happened in the next steps."""
        steps = len(segment.population_counts)
        self.unsorted.append((self.step, segment))
        if self.streams:
            self._sort_spikes()
        for probe, values in zip(self.trace_probes, segment.samples, strict=True):
            self.sink((probe.variable, probe.view.population), {"values": values, "times": self._sample_times(probe, steps)})
        self.counts = segment.neuron_counts if self.counts is None else np.add(self.counts, segment.neuron_counts, dtype=np.int64)
        self._add_rates(segment)
        self.step += steps

    def _sort_spikes(self) -> None:
        """Give the spikes so far to the sink, by population."""
        if not self.spike_ids:
            self.unsorted.clear()
            return
        bounds, number = np.zeros(len(self.starts) + 1, np.int64), sum(len(segment.spikes) for _, segment in self.unsorted)
        for _, segment in self.unsorted:
            count_spikes(segment.spikes, self.starts, bounds)
        bounds = np.cumsum(bounds)
        times, numbers, sizes = np.empty(number), np.empty(number, np.int64), np.empty(number if self.graded else 0, np.int32)
        for first, segment in self.unsorted:
            sort_spikes(segment.spikes, segment.sizes, first, self.starts, self.program.dt, bounds, times, numbers, sizes)
        self.unsorted.clear()
        for name, ids in self.spike_ids.items():
            cells = self.program.cells_named(name)
            mine = slice(*bounds[cells.index : cells.index + 2])
            found = {"times": times[mine], "ids": numbers[mine]} | ({"sizes": sizes[mine]} if name in self.graded else {})
            if len(ids) < cells.size:
                found = {key: array[np.isin(numbers[mine], ids)] for key, array in found.items()}
            self.sink((SPIKES, name), found)

    def _interval(self, probe: Probe) -> int:
        return 1 if probe.every is None else round(probe.every / self.program.dt)

    def _sample_times(self, probe: Probe, steps: int) -> np.ndarray:
        interval = self._interval(probe)
        return np.arange(self.step // interval + 1, (self.step + steps) // interval + 1) * interval * self.program.dt

    def _add_rates(self, segment: Segment) -> None:
        """Add the steps' spikes to the bins they fall into; bins are counted from the start of the run."""
        for at, probe in enumerate(self.rate_probes):
            counts = segment.population_counts[:, self.program.cells_named(probe.view.population).index]
            bins = (np.arange(self.step, self.step + len(counts)) - self.first) // self._interval(probe)
            added = np.bincount(bins, counts, minlength=len(self.bins[at])).astype(np.int64)
            added[: len(self.bins[at])] += self.bins[at]
            self.bins[at] = added

    def finish(self) -> Recording:
        """The recording of the whole run."""
        dt = self.program.dt
        self._sort_spikes()
        made: defaultdict[tuple, list[dict[str, np.ndarray]]] = defaultdict(list)
        for key, arrays in self.parts:
            made[key].append(arrays)
        joined = {key: {name: _joined([arrays[name] for arrays in parts]) for name in parts[0]} for key, parts in made.items()}
        empty: dict[str, np.ndarray] = {"times": np.empty(0), "ids": np.empty(0, np.int64)}
        spikes = {name: Spikes(**joined.get((SPIKES, name), empty), recorded=ids) for name, ids in self.spike_ids.items()}
        traces = {}
        for probe in self.trace_probes:
            key, ids = (probe.variable, probe.view.population), probe.view.numbers
            found = joined.get(key, {"times": np.empty(0), "values": np.empty((0, len(ids)))})
            traces[probe.view.population, probe.variable] = Trace(found["times"], ids, found["values"])
        totals = np.zeros(self.program.neurons, np.int64) if self.counts is None else self.counts
        return Recording(self.first * dt, self.step * dt, dt, recorded("spikes", spikes), recorded("traces", traces),
                         recorded("rates", self._rates()), NeuronCounts(self.program, self.count_ids, totals))  # fmt: skip

    def _rates(self) -> dict[str, Rate]:
        made = {}
        for probe, bins in zip(self.rate_probes, self.bins, strict=True):
            width = self._interval(probe) * self.program.dt
            whole = (self.step - self.first) // self._interval(probe)  # an unfinished last bin is left out
            size = self.program.cells_named(probe.view.population).size
            times = self.first * self.program.dt + width * np.arange(1, whole + 1)
            made[probe.view.population] = Rate(times, 1e3 * bins[:whole] / (size * width), width)
        return made


class NeuronCounts(Recorded[Counts]):
    """The spike counts of one run: ``totals``, whole numbers, of all neurons of a program in a row, read population by population."""

    def __init__(self, program: Program, recorded: Mapping[str, np.ndarray], totals: np.ndarray) -> None:
        cells = {c.name: c for c in program.cells}
        spans = {name: (cells[name].start, cells[name].start + cells[name].size) for name in recorded}
        super().__init__("counts", {name: partial(_counts, totals[slice(*spans[name])], ids) for name, ids in recorded.items()})
        self.totals = totals


def _counts(totals: np.ndarray, ids: np.ndarray) -> Counts:
    return Counts(ids, (totals if len(ids) == len(totals) else totals[ids]).astype(np.int64))


def _ids(probes: list[Probe], variable: str) -> dict[str, np.ndarray]:
    """For each population with a probe of ``variable`` the neurons it covers."""
    return {p.view.population: p.view.numbers for p in probes if p.variable == variable}


def _joined(arrays: list[np.ndarray]) -> np.ndarray:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


@kernel
def count_spikes(spikes, starts, bounds):
    """Count the spikes (see `Segment`) of population p in ``bounds[p + 2]``, so that their running sum is what `sort_spikes` takes.

    starts: the first neuron of each population, and the number of neurons.
    """
    population = 0
    for spike in spikes:
        population = _population(spike & 0xFFFFFFFF, starts, population)
        bounds[population + 2] += 1


@kernel
def sort_spikes(spikes, sizes, first, starts, dt, bounds, times, ids, sorted_sizes):
    """Put ``times`` (ms) and ``ids`` of the spikes of population p, from step ``first`` on, where ``bounds[p + 1]`` says; it moves on.

    sizes: of the spikes, or none; they go to ``sorted_sizes``.
    """
    population = 0
    for k in range(len(spikes)):
        spike = spikes[k]
        neuron = spike & 0xFFFFFFFF
        population = _population(neuron, starts, population)
        place = bounds[population + 1]
        bounds[population + 1] += 1
        times[place] = (first + (spike >> 32) + 1) * dt
        ids[place] = neuron - starts[population]
        if len(sizes):
            sorted_sizes[place] = sizes[k]


@njit
def _population(neuron, starts, last):
    """Which population a neuron belongs to, mostly the same as the ``last`` one's, or the next that is not empty."""
    if neuron < starts[last]:
        last = 0
    while neuron >= starts[last + 1]:
        last += 1
    return last
