"""The emulator: runs a `ChipImage` bit for bit as the chip (and Lava) would, driven by spikes, counting what each core does."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from spikesim.hardware.loihi.image import ChipImage, ranges
from spikesim.hardware.loihi.learning import DRAWS, LavaDraws, keep, lava_seed, learn, memory_of, note, tables_of
from spikesim.kernel import kernel


class Neurons(NamedTuple):
    """Parameters of the compartments, int32 (compartments,) each; bias and threshold as they act."""

    keep_u: np.ndarray
    keep_v: np.ndarray
    bias: np.ndarray
    threshold: np.ndarray
    low: np.ndarray
    period: np.ndarray
    interval: np.ndarray
    offset: np.ndarray
    soft: np.ndarray


class Synapses(NamedTuple):
    """All synapses by source, so that a spike reads one piece of memory; the segments of a source share delay and lane."""

    segment_starts: np.ndarray  # int64 (sources + 1,)
    delay: np.ndarray  # int64 (segments,), steps beyond one
    lane: np.ndarray  # int64 (segments,)
    synapse_starts: np.ndarray  # int64 (segments + 1,)
    targets: np.ndarray  # int32, compartments
    weights: np.ndarray  # int16, shifted left where the exponent says so


@dataclass(frozen=True)
class Activity:
    """What happened in ``steps`` steps.

    spikes: int64 (sources,); axon_events: int64 (axons,), spikes that came in by each input axon; active: int64 (cores,),
    updates of compartments that received input or fired; updates: int64 (cores,), of all; learned: int64 (cores,), updates of
    synapses that learn, of which one end or both fired in an epoch.
    """

    steps: int
    spikes: np.ndarray
    axon_events: np.ndarray
    active: np.ndarray
    updates: np.ndarray
    learned: np.ndarray

    def synaptic_operations(self, image: ChipImage) -> np.ndarray:
        """Synapses that took part, int64 (cores,)."""
        lengths = np.diff(image.run_starts[image.list_starts])
        return np.bincount(image.axon_core, self.axon_events * lengths[image.axon_list], minlength=image.cores).astype(np.int64)


class Emulator:
    """The state of an image: u, v of each compartment (int32), what is under way, what was learned, and the counts so far.

    bias: int64 (compartments,) in place of the image's; seed: of the rounding of traces and weights that learn.
    """

    def __init__(self, image: ChipImage, *, bias: np.ndarray | None = None, seed: int = 0) -> None:
        self.image = image
        self.parameters = _neurons(image, bias)
        self.synapses, learning = _synapses(image)
        self.tables = tables_of(image, *learning)
        self.memory = memory_of(self.tables)
        self.seed = np.uint64(seed)
        self.draws = [LavaDraws(lava_seed(seed, k), each.rule.epoch) for k, each in enumerate(image.plastic)]
        self.samples = np.empty((0, len(self.tables.place)), np.int16)
        lanes, compartments = image.lanes.shape
        self.slots = 1 << int(image.run_delay.max(initial=0) + 1).bit_length()
        self.sums = np.zeros(self.slots * lanes * compartments, np.int32)
        self.u, self.v = (image.cells[name].astype(np.int32) for name in "uv")
        self.held = np.zeros(compartments, np.int32)
        self.step = 0
        self.variants = bool(np.any(image.cells["refractory"]) or np.any(image.cells["interval"]) or np.any(image.cells["soft"])
                             or np.any(self.parameters.low > -(2**30)))  # fmt: skip
        self.spikes = np.zeros(len(image.route_starts) - 1, np.int64)
        self.active = np.zeros(compartments, np.int32)

    def advance(self, steps: int, sent_steps: np.ndarray, sent_sources: np.ndarray, traced: np.ndarray | None = None, *,
                weights_every: int = 0) -> Any:  # fmt: skip
        """Run on; returns (steps, compartments) of all spikes, int64, and u and v of the ``traced`` compartments, int32 (steps, traced).

        sent_steps, sent_sources: int64, what input neurons send, in time order, steps counted as `step`, from 1 on. weights_every:
        after so many steps each the weights that learn are kept in ``samples``, int16 (steps // weights_every, synapses).
        """
        traced = np.empty(0, np.int64) if traced is None else traced
        u, v = np.zeros((2, steps, len(traced)), np.int32)
        out_steps, out_sources = np.empty(1024, np.int64), np.empty(1024, np.int64)
        done = found = 0
        state = self.sums, self.u, self.v, self.held
        counts = self.spikes, self.active
        self.samples = np.empty((steps // weights_every if weights_every else 0, len(self.tables.place)), np.int16)
        numbers = np.stack([each.next(steps) for each in self.draws], axis=1) if self.draws else np.empty((steps, 0, DRAWS))
        learning = self.tables, self.memory, numbers, self.seed, weights_every, self.samples
        while done < steps:  # again with more room when the spikes do not fit
            chunk = done, steps, self.step, self.slots
            done, found = run_steps(chunk, self.parameters, self.synapses, self.image.lanes, state, counts, learning,
                                    self.variants, sent_steps, sent_sources, traced, u, v, out_steps, out_sources, found)  # fmt: skip
            if done < steps:
                out_steps, out_sources = (np.concatenate([array, np.empty_like(array)]) for array in (out_steps, out_sources))
                if len(out_steps) - found < len(self.u):
                    out_steps, out_sources = (
                        np.concatenate([array, np.empty(len(self.u), np.int64)]) for array in (out_steps, out_sources)
                    )
        self.step += steps
        return (out_steps[:found], out_sources[:found]), u, v

    @property
    def weights(self) -> np.ndarray:
        """The weights that learn as they are now, int16 (synapses,), by projection, source and target."""
        sample = np.empty(len(self.tables.place), np.int16)
        keep(self.tables, self.synapses.weights, sample)
        return sample

    @property
    def activity(self) -> Activity:
        """The counts so far."""
        updates = np.diff(self.image.core_starts) * self.step
        active = np.diff(np.concatenate([[0], np.cumsum(self.active)])[self.image.core_starts])
        events = np.empty(len(self.image.axon_list), np.int64)
        events[self.image.routes] = np.repeat(self.spikes, np.diff(self.image.route_starts))  # each axon has one source
        targets = np.flatnonzero(self.tables.side)
        home = np.searchsorted(self.image.core_starts, self.image.source_of_neuron[self.tables.neuron[targets]], side="right") - 1
        learned = np.bincount(home, self.memory.updates[targets], minlength=self.image.cores)
        return Activity(self.step, self.spikes.copy(), events, active, updates, learned.astype(np.int64))


def _neurons(image: ChipImage, bias: np.ndarray | None) -> Neurons:
    cells = image.cells
    interval = np.where(cells["interval"] > 0, cells["interval"], 1)
    offset = np.where(cells["interval"] > 0, cells["offset"] % interval, -1)
    columns = (4095 - cells["du"], 4096 - cells["dv"], cells["bias"] if bias is None else bias, 64 * cells["vth"],
               np.maximum(64 * cells["vth_low"], -(2**30)), cells["refractory"], interval, offset, cells["soft"])  # fmt: skip
    return Neurons(*(np.ascontiguousarray(column, np.int32) for column in columns))


def _synapses(image: ChipImage) -> tuple[Synapses, tuple[np.ndarray, ...]]:
    """The axons' lists, unrolled in the order of their sources; and place, source, target and port of all synapses that learn."""
    shift = np.maximum(image.port_exponent[image.run_port], 0)
    weights = image.weights << np.repeat(shift, np.diff(image.run_starts)).astype(np.int16)
    lists = image.axon_list[image.routes]
    number = np.diff(image.list_starts)[lists]
    runs = ranges(image.list_starts[lists], number)
    source = np.repeat(np.repeat(np.arange(len(image.route_starts) - 1), np.diff(image.route_starts)), number)
    place = np.repeat((image.core_starts[image.axon_core] + image.axon_base)[image.routes], number)
    delay, lane = image.run_delay[runs].astype(np.int64), image.port_lane[image.run_port[runs]]
    order = np.lexsort((lane, delay, source))
    runs, source, place, delay, lane = (array[order] for array in (runs, source, place, delay, lane))
    lengths = np.diff(image.run_starts)[runs]
    picked = ranges(image.run_starts[runs], lengths)
    targets = np.repeat(place, lengths) + image.targets[picked]
    changes = (np.diff(source, prepend=-1) != 0) | (np.diff(delay, prepend=-1) != 0) | (np.diff(lane, prepend=-1) != 0)
    first = np.flatnonzero(changes)
    ends = np.concatenate([[0], np.cumsum(lengths)])
    learning = np.flatnonzero(image.port_plastic[image.run_port[runs]] >= 0)
    places = ranges(ends[learning], lengths[learning])
    own = (
        places,
        np.repeat(source[learning], lengths[learning]),
        targets[places],
        np.repeat(image.run_port[runs[learning]], lengths[learning]),
    )
    return Synapses(np.searchsorted(source[first], np.arange(len(image.route_starts))), delay[first], lane[first],
                    ends[np.append(first, len(runs))], targets.astype(np.int32), weights[picked]), own  # fmt: skip


@njit
def _update(t, first, p, lanes, depth, sums, us, vs, held, raw, active, variants, out_steps, out_sources, found):
    """One step of all compartments, whose sums start at ``first``; returns the number of spikes found so far."""
    compartments = len(us)
    for i in range(compartments):
        raw[i] = sums[first + i]
        sums[first + i] = 0
    for lane in range(1, depth):
        start = first + lane * compartments
        for i in range(compartments):
            raw[i] += sums[start + i] >> lanes[lane, i]
            sums[start + i] = 0
    if variants:
        for i in range(compartments):
            if t % p.interval[i] == p.offset[i]:
                us[i] = 0
                vs[i] = 0
    for i in range(compartments):  # without branches, to be vectorised
        u = np.int64(us[i]) * p.keep_u[i]
        u = ((u + ((u >> 63) & 4095)) >> 12) + (np.int64(raw[i]) << 6)
        u = u - 16777216 if u > 8388608 else (u + 16777216 if u <= -8388608 else u)
        v = np.int64(vs[i]) * p.keep_v[i]
        v = ((v + ((v >> 63) & 4095)) >> 12) + u + p.bias[i]
        v = min(max(v, -8388607), 8388607)
        us[i] = u
        vs[i] = vs[i] if held[i] > 0 else v
        active[i] += raw[i] != 0
    for i in range(compartments):
        if vs[i] > p.threshold[i] or (variants and vs[i] < p.low[i]):
            vs[i] = vs[i] - p.threshold[i] if p.soft[i] else 0
            active[i] += raw[i] == 0
            held[i] = p.period[i]
            out_steps[found] = t
            out_sources[found] = i
            found += 1
        elif variants and held[i] > 0:
            held[i] -= 1
    return found


@kernel
def run_steps(chunk, p, s, lanes, state, counts, learning, variants, sent_steps, sent_sources, traced, trace_u, trace_v, out_steps,
              out_sources, found):  # fmt: skip
    """Run steps chunk[0] to chunk[1] of a run that began after step chunk[2]; returns the steps done and the spikes found."""
    first, last, before, slots = chunk
    sums, us, vs, held = state
    spikes, active = counts
    tables, memory, numbers, seed, every, samples = learning
    learns = len(tables.epoch) > 0
    compartments, depth = len(us), len(lanes)
    raw = np.empty(compartments, np.int32)
    cursor = np.searchsorted(sent_steps, before + first + 1)
    for n in range(first, last):
        if found + compartments > len(out_steps):
            return n, found
        t = before + n + 1
        begin = found
        row = (t & (slots - 1)) * depth * compartments
        found = _update(t, row, p, lanes, depth, sums, us, vs, held, raw, active, variants, out_steps, out_sources, found)
        for k in range(begin, found):
            spikes[out_sources[k]] += 1
            _send(out_sources[k], t, slots - 1, compartments, depth, s, sums)
            if learns:
                note(out_sources[k], t, tables, memory, numbers[n], seed)
        while cursor < len(sent_steps) and sent_steps[cursor] == t:
            spikes[sent_sources[cursor]] += 1
            _send(sent_sources[cursor], t, slots - 1, compartments, depth, s, sums)
            if learns:
                note(sent_sources[cursor], t, tables, memory, numbers[n], seed)
            cursor += 1
        if learns:
            learn(t, tables, memory, numbers[n], seed, s.weights)
        if every > 0 and (n + 1) % every == 0:
            keep(tables, s.weights, samples[(n + 1) // every - 1])
        for k in range(len(traced)):
            trace_u[n, k] = us[traced[k]]
            trace_v[n, k] = vs[traced[k]]
    return last, found


@njit
def _send(source, t, mask, compartments, depth, s, sums):
    """Deliver one spike: add its weights to the sums of the steps they are due in."""
    for segment in range(s.segment_starts[source], s.segment_starts[source + 1]):
        slot = (t + 1 + s.delay[segment]) & mask
        place = (slot * depth + s.lane[segment]) * compartments
        for k in range(s.synapse_starts[segment], s.synapse_starts[segment + 1]):
            sums[place + s.targets[k]] += s.weights[k]
