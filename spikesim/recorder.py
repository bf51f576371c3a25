"""The recorder: turns the segments an engine gives back into a `Recording`, in memory or through a file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from spikesim.network import COUNTS, RATE, SPIKES, Network, Probe
from spikesim.recording import Counts, Rate, Recording, Spikes, Trace, recorded

if TYPE_CHECKING:
    from spikesim.engine.state import Segment
    from spikesim.program import Program


class Recorder:
    """Takes the segments of one run that starts at step ``first``.

    sink: told of every piece, ("spikes", population) with times and ids, or (variable, population) with times and
    values; without one the pieces are kept.
    """

    def __init__(self, network: Network, program: Program, first: int, *, sink: Callable[[tuple, dict], None] | None = None) -> None:
        self.program = program
        self.first = self.step = first
        self.spike_ids = _ids(network.probes, SPIKES)
        self.count_ids = _ids(network.probes, COUNTS)
        self.rate_probes = [p for p in network.probes if p.variable == RATE]
        self.trace_probes = [p for p in network.probes if p.variable not in (SPIKES, COUNTS, RATE)]
        self.counts = np.zeros(program.neurons, np.int64)
        self.bins = [np.zeros(0, np.int64) for _ in self.rate_probes]
        self.parts: list[tuple[tuple, dict[str, np.ndarray]]] = []
        self.sink = sink or (lambda key, arrays: self.parts.append((key, arrays)))

    def append(self, segment: Segment) -> None:
        """Take what happened in the next steps."""
        dt, steps = self.program.dt, len(segment.population_counts)
        for name, ids in self.spike_ids.items():
            cells = self.program.cells_named(name)
            mine = (segment.neurons >= cells.start) & (segment.neurons < cells.start + cells.size)
            if len(ids) < cells.size:
                mine &= np.isin(segment.neurons - cells.start, ids)
            self.sink((SPIKES, name), {"times": (segment.steps[mine] + 1) * dt, "ids": segment.neurons[mine] - cells.start})
        for probe, values in zip(self.trace_probes, segment.samples, strict=True):
            self.sink((probe.variable, probe.view.population), {"values": values, "times": self._sample_times(probe, steps)})
        self.counts += segment.neuron_counts
        self._add_rates(segment)
        self.step += steps

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
        made: defaultdict[tuple, list[dict[str, np.ndarray]]] = defaultdict(list)
        for key, arrays in self.parts:
            made[key].append(arrays)
        joined = {key: {name: np.concatenate([arrays[name] for arrays in parts]) for name in parts[0]} for key, parts in made.items()}
        empty = {"times": np.empty(0), "ids": np.empty(0, np.int64)}
        spikes = {name: Spikes(**joined.get((SPIKES, name), empty), recorded=ids) for name, ids in self.spike_ids.items()}
        traces = {}
        for probe in self.trace_probes:
            key, ids = (probe.variable, probe.view.population), np.asarray(probe.view.ids)
            found = joined.get(key, {"times": np.empty(0), "values": np.empty((0, len(ids)))})
            traces[probe.view.population, probe.variable] = Trace(found["times"], ids, found["values"])
        return Recording(self.first * dt, self.step * dt, dt, recorded("spikes", spikes), recorded("traces", traces),
                         recorded("rates", self._rates()), recorded("counts", self._counts()))  # fmt: skip

    def _rates(self) -> dict[str, Rate]:
        made = {}
        for probe, bins in zip(self.rate_probes, self.bins, strict=True):
            width = self._interval(probe) * self.program.dt
            whole = (self.step - self.first) // self._interval(probe)  # an unfinished last bin is left out
            size = self.program.cells_named(probe.view.population).size
            times = self.first * self.program.dt + width * np.arange(1, whole + 1)
            made[probe.view.population] = Rate(times, 1e3 * bins[:whole] / (size * width), width)
        return made

    def _counts(self) -> dict[str, Counts]:
        return {name: Counts(ids, self.counts[self.program.cells_named(name).start + ids]) for name, ids in self.count_ids.items()}


def _ids(probes: list[Probe], variable: str) -> dict[str, np.ndarray]:
    """For each population with a probe of ``variable`` the neurons it covers."""
    return {p.view.population: np.asarray(p.view.ids, np.int64) for p in probes if p.variable == variable}
