"""The emulator: runs a `ChipImage` bit for bit as the chip (and Lava) would, driven by spikes, counting what each core does."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from spikesim.hardware.loihi.image import ChipImage
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
    """Axons, runs and synapses as the kernel needs them; see `ChipImage`."""

    route_starts: np.ndarray
    routes: np.ndarray
    axon_place: np.ndarray  # first compartment that the axon's targets count from
    axon_list: np.ndarray
    list_starts: np.ndarray
    run_starts: np.ndarray
    run_delay: np.ndarray
    run_lane: np.ndarray
    targets: np.ndarray
    weights: np.ndarray  # int16, shifted left where the exponent says so


@dataclass(frozen=True)
class Activity:
    """What happened in ``steps`` steps.

    spikes: int64 (sources,); axon_events: int64 (axons,), spikes that came in by each input axon; active: int64 (cores,),
    updates of compartments that received input or fired; updates: int64 (cores,), of all.
    """

    steps: int
    spikes: np.ndarray
    axon_events: np.ndarray
    active: np.ndarray
    updates: np.ndarray

    def synaptic_operations(self, image: ChipImage) -> np.ndarray:
        """Synapses that took part, int64 (cores,)."""
        lengths = np.diff(image.run_starts[image.list_starts])
        return np.bincount(image.axon_core, self.axon_events * lengths[image.axon_list], minlength=image.cores).astype(np.int64)


class Emulator:
    """The state of an image: u, v of each compartment (int32), what is under way, and the counts so far."""

    def __init__(self, image: ChipImage, *, bias: np.ndarray | None = None) -> None:
        self.image = image
        self.parameters = _neurons(image, bias)
        self.synapses = _synapses(image)
        lanes, compartments = image.lanes.shape
        self.slots = 1 << int(image.run_delay.max(initial=0) + 1).bit_length()
        self.sums = np.zeros((self.slots, lanes, compartments), np.int32)
        self.u, self.v = (image.cells[name].astype(np.int32) for name in "uv")
        self.held = np.zeros(compartments, np.int32)
        self.step = 0
        self.variants = bool(np.any(image.cells["refractory"]) or np.any(image.cells["interval"]) or np.any(image.cells["soft"])
                             or np.any(self.parameters.low > -(2**30)))  # fmt: skip
        self.spikes = np.zeros(len(image.route_starts) - 1, np.int64)
        self.axon_events = np.zeros(len(image.axon_list), np.int64)
        self.active = np.zeros(image.cores, np.int64)

    def advance(self, steps: int, sent_steps: np.ndarray, sent_sources: np.ndarray, traced: np.ndarray | None = None) -> Any:
        """Run on; returns (steps, compartments) of all spikes, int64, and u and v of the ``traced`` compartments, int32 (steps, traced).

        sent_steps, sent_sources: int64, what input neurons send, in time order, steps counted as `step`, from 1 on.
        """
        traced = np.empty(0, np.int64) if traced is None else traced
        u, v = np.zeros((2, steps, len(traced)), np.int32)
        out_steps, out_sources = np.empty(1024, np.int64), np.empty(1024, np.int64)
        done = found = 0
        state = self.sums, self.u, self.v, self.held
        counts = self.spikes, self.axon_events, self.active
        while done < steps:  # again with more room when the spikes do not fit
            chunk = done, steps, self.step
            done, found = run_steps(chunk, self.parameters, self.synapses, self.image.lanes, self.image.core_starts, state, counts,
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
    def activity(self) -> Activity:
        """The counts so far."""
        updates = np.diff(self.image.core_starts) * self.step
        return Activity(self.step, self.spikes.copy(), self.axon_events.copy(), self.active.copy(), updates)


def _neurons(image: ChipImage, bias: np.ndarray | None) -> Neurons:
    cells = image.cells
    interval = np.where(cells["interval"] > 0, cells["interval"], 1)
    offset = np.where(cells["interval"] > 0, cells["offset"] % interval, -1)
    columns = (4095 - cells["du"], 4096 - cells["dv"], cells["bias"] if bias is None else bias, 64 * cells["vth"],
               np.maximum(64 * cells["vth_low"], -(2**30)), cells["refractory"], interval, offset, cells["soft"])  # fmt: skip
    return Neurons(*(np.ascontiguousarray(column, np.int32) for column in columns))


def _synapses(image: ChipImage) -> Synapses:
    exponent = image.port_exponent[image.run_port]
    of_synapse = np.repeat(np.maximum(exponent, 0), np.diff(image.run_starts)).astype(np.int16)
    place = np.repeat(image.core_starts[:-1], np.diff(image.axon_starts)) + image.axon_base
    delay, lane = image.run_delay.astype(np.int64), image.port_lane[image.run_port]
    return Synapses(image.route_starts, image.routes, place, image.axon_list, image.list_starts, image.run_starts, delay, lane,
                    image.targets, image.weights << of_synapse)  # fmt: skip


@njit
def _update(low, high, t, slot, p, lanes, sums, us, vs, held, raw, variants, out_steps, out_sources, found):
    """One step of a core's compartments; returns how many received input or fired, and the spikes found."""
    for i in range(low, high):
        raw[i] = sums[slot, 0, i]
        sums[slot, 0, i] = 0
    for lane in range(1, sums.shape[1]):
        for i in range(low, high):
            raw[i] += sums[slot, lane, i] >> lanes[lane, i]
            sums[slot, lane, i] = 0
    if variants:
        for i in range(low, high):
            if t % p.interval[i] == p.offset[i]:
                us[i] = 0
                vs[i] = 0
    busy = 0
    for i in range(low, high):  # without branches, to be vectorised
        u = np.int64(us[i]) * p.keep_u[i]
        u = ((u + ((u >> 63) & 4095)) >> 12) + (np.int64(raw[i]) << 6)
        u = u - 16777216 if u > 8388608 else (u + 16777216 if u <= -8388608 else u)
        v = np.int64(vs[i]) * p.keep_v[i]
        v = ((v + ((v >> 63) & 4095)) >> 12) + u + p.bias[i]
        v = min(max(v, -8388607), 8388607)
        us[i] = u
        vs[i] = vs[i] if held[i] > 0 else v
        busy += raw[i] != 0
    for i in range(low, high):
        if vs[i] > p.threshold[i] or (variants and vs[i] < p.low[i]):
            vs[i] = vs[i] - p.threshold[i] if p.soft[i] else 0
            busy += raw[i] == 0
            held[i] = p.period[i]
            out_steps[found] = t
            out_sources[found] = i
            found += 1
        elif variants and held[i] > 0:
            held[i] -= 1
    return busy, found


@kernel
def run_steps(chunk, p, s, lanes, core_starts, state, counts, variants, sent_steps, sent_sources, traced, trace_u, trace_v,
              out_steps, out_sources, found):  # fmt: skip
    """Run steps chunk[0] to chunk[1] of a run that began after step chunk[2]; returns the steps done and the spikes found."""
    first, last, before = chunk
    sums, us, vs, held = state
    spikes, axon_events, active = counts
    compartments = len(us)
    slots = sums.shape[0]
    raw = np.empty(compartments, np.int32)
    cursor = np.searchsorted(sent_steps, before + first + 1)
    for n in range(first, last):
        if found + compartments > len(out_steps):
            return n, found
        t = before + n + 1
        slot = t & (slots - 1)
        begin = found
        for core in range(len(core_starts) - 1):
            low, high = core_starts[core], core_starts[core + 1]
            busy, found = _update(low, high, t, slot, p, lanes, sums, us, vs, held, raw, variants, out_steps, out_sources, found)
            active[core] += busy
        for k in range(begin, found):
            _send(out_sources[k], t, s, sums, spikes, axon_events)
        while cursor < len(sent_steps) and sent_steps[cursor] == t:
            _send(sent_sources[cursor], t, s, sums, spikes, axon_events)
            cursor += 1
        for k in range(len(traced)):
            trace_u[n, k] = us[traced[k]]
            trace_v[n, k] = vs[traced[k]]
    return last, found


@njit
def _send(source, t, s, sums, spikes, axon_events):
    """Deliver one spike: each axon's list adds its weights to the sums of the steps they are due in."""
    spikes[source] += 1
    mask = sums.shape[0] - 1
    for route in range(s.route_starts[source], s.route_starts[source + 1]):
        axon = s.routes[route]
        axon_events[axon] += 1
        place = s.axon_place[axon]
        row = s.axon_list[axon]
        for run in range(s.list_starts[row], s.list_starts[row + 1]):
            due = sums[(t + 1 + s.run_delay[run]) & mask, s.run_lane[run]]
            for k in range(s.run_starts[run], s.run_starts[run + 1]):
                due[place + s.targets[k]] += s.weights[k]
