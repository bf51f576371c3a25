"""Learning on the chip: traces and weights of the synapses that learn, in the order and the arithmetic of Lava's learning engine.

A trace belongs to a projection, a side of it (x1 of sources, y1 of targets) and a neuron. Between the ends of two epochs only the
step of a neuron's last spike is noted; at the end the trace is followed through the epoch, and the weights of all synapses with a
spike at either end change once.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from spikesim.hardware.loihi.image import ChipImage
from spikesim.plasticity import BOUNDS, FRACTION
from spikesim.random import LEARNING, stream, words

LARGEST_TRACE = 127  # 7 bits
POINT = 7  # bits of a weight after the point while it changes
LEAST, MOST = -(2**15) - 1, 2**15 - 1  # of that number; the least as in Lava
DRAWS = 6  # in a step: impulse of y1 within an epoch; decay and impulse of x1, of y1; weight
LAVA_WEIGHT_SEED = 2  # of the generator for weights in Lava, the same in each projection


class Tables(NamedTuple):
    """What does not change; x1 and y1 of a projection are sides 0 and 1."""

    epoch: np.ndarray  # int64 (projections,)
    own: np.ndarray  # bool (projections,), whether each trace and weight has random numbers of its own
    bounds: np.ndarray  # int64 (2, projections), least and largest weight
    gain: np.ndarray  # int64 (2, projections), a_minus and a_plus, with 7 bits after the point
    keep: np.ndarray  # float64 (2, projections), what is left of a trace after a step
    impulse: np.ndarray  # int64 (2, projections), whole part
    fraction: np.ndarray  # int64 (2, projections), its fraction in 1/256
    keys: np.ndarray  # uint64 (2, projections), streams of the random numbers of traces and weights
    first: np.ndarray  # int64 (2 projections + 1,), the first trace of each side of each projection
    projection: np.ndarray  # int64 (traces,)
    side: np.ndarray  # int64 (traces,)
    neuron: np.ndarray  # int64 (traces,), its number in the network
    of_starts: np.ndarray  # int64 (sources + 1,), into ``of``
    of: np.ndarray  # int64 (traces,), the traces of each source of spikes
    ends: np.ndarray  # int32 (2, synapses), their traces x1 and y1
    starts: np.ndarray  # int64 (traces + 1,), into the next three, which lie as they are read
    synapses: np.ndarray  # int32 (2 synapses,), those of each trace
    others: np.ndarray  # int32 (2 synapses,), the trace at their other end
    places: np.ndarray  # int64 (2 synapses,), where the emulator's table of all synapses has them
    place: np.ndarray  # int64 (synapses,), the same for each synapse
    shift: np.ndarray  # int64 (projections,), how far weights are shifted left there


class Memory(NamedTuple):
    """What changes, besides the weights, which lie in the emulator's table."""

    trace: np.ndarray  # uint8 (traces,)
    last: np.ndarray  # uint8 (traces,), the step within the epoch of the last spike, from 1 on; 0 for none
    history: np.ndarray  # uint8 (traces, longest epoch + 1), the trace before and after each step of the epoch
    updates: np.ndarray  # int64 (traces,), how many synapses of each y1 changed or might have


def tables_of(image: ChipImage, places: np.ndarray, sources: np.ndarray, targets: np.ndarray, port: np.ndarray) -> Tables:
    """The tables of an image whose synapses that learn lie at ``places``, with these sources, target compartments and ports."""
    number = len(image.plastic)
    neuron_of = np.argsort(image.source_of_neuron)
    plastic = image.port_plastic[port]
    order = np.lexsort((neuron_of[targets], neuron_of[sources], plastic))  # whatever the cores, the same numbers
    places, sources, targets, port, plastic = (array[order] for array in (places, sources, targets, port, plastic))
    columns = [np.stack([2 * plastic + side, neuron_of[source]]) for side, source in enumerate((sources, targets))]
    keys, found = np.unique(np.concatenate(columns, axis=1), axis=1, return_inverse=True)
    ends = found.reshape(2, -1).astype(np.int32)
    source = image.source_of_neuron[keys[1]]
    by_trace = np.argsort(ends.ravel(), kind="stable")
    synapses = (by_trace % max(1, len(places))).astype(np.int32)
    shift = np.zeros(number, np.int64)
    shift[plastic] = np.maximum(image.port_exponent[port], 0)
    return Tables(
        **_rules(image), first=np.searchsorted(keys[0], np.arange(2 * number + 1)), projection=keys[0] // 2, side=keys[0] % 2,
        neuron=keys[1], of_starts=np.searchsorted(np.sort(source), np.arange(len(image.route_starts))),
        of=np.argsort(source, kind="stable"), ends=ends, starts=np.searchsorted(ends.ravel()[by_trace], np.arange(len(source) + 1)),
        synapses=synapses, others=ends[::-1].ravel()[by_trace], places=places[synapses], place=places, shift=shift,
    )  # fmt: skip


def _rules(image: ChipImage) -> dict[str, np.ndarray]:
    rules = [each.rule for each in image.plastic]
    impulses = np.array([[rule.x_impulse for rule in rules], [rule.y_impulse for rule in rules]], np.float64).reshape(2, -1)
    taus = np.array([[rule.tau_plus for rule in rules], [rule.tau_minus for rule in rules]], np.float64).reshape(2, -1)
    scalings = np.array([rule.scalings for rule in rules], np.int64).reshape(-1, 2, 2)
    with np.errstate(divide="ignore"):
        keep = np.exp(-1.0 / taus)
    return {
        "epoch": np.array([rule.epoch for rule in rules], np.int64), "own": np.array([rule.rounding == "own" for rule in rules], bool),
        "bounds": np.array([BOUNDS[rule.sign] for rule in rules], np.int64).reshape(-1, 2).T.copy(),
        "gain": (scalings[..., 0] << scalings[..., 1] + POINT).T.copy(), "keep": keep, "impulse": np.floor(impulses).astype(np.int64),
        "fraction": np.rint(impulses % 1 * FRACTION).astype(np.int64),
        "keys": np.array([[stream(LEARNING, 3 * k + j) for k in range(len(rules))] for j in (1, 2)], np.uint64).reshape(2, -1),
    }  # fmt: skip


def memory_of(tables: Tables) -> Memory:
    """The state at the start."""
    traces, longest = len(tables.side), int(tables.epoch.max(initial=0))
    return Memory(np.zeros(traces, np.uint8), np.zeros(traces, np.uint8), np.zeros((traces, longest + 1), np.uint8),
                  np.zeros(traces, np.int64))  # fmt: skip


def lava_seed(seed: int, number: int) -> int:
    """The seed that Lava's generators get for a projection's traces in a run with ``seed``."""
    return int(words(np.uint64(seed), stream(LEARNING, 3 * number), np.uint64(0), np.uint64(0))[0]) >> 1


class LavaDraws:
    """The numbers that Lava draws for one projection: two for each trace generator a step, one for all weights an epoch.

    Its generators are numpy's, seeded with s to s + 3 for decay and impulse of x1, then of y1, s being `lava_seed`.
    """

    def __init__(self, seed: int, epoch: int) -> None:
        self.traces = [np.random.default_rng(seed + k) for k in range(4)]
        self.weights = np.random.default_rng(LAVA_WEIGHT_SEED)
        self.epoch, self.step = epoch, 0
        self._trace_numbers(1)  # each is drawn from once before the first step
        self.weights.random()

    def _trace_numbers(self, count: int) -> list[np.ndarray]:
        return [rng.integers(0, LARGEST_TRACE + 1, count) if k % 2 else rng.random(count) for k, rng in enumerate(self.traces)]

    def next(self, steps: int) -> np.ndarray:
        """float64 (steps, `DRAWS`), those of the next steps."""
        drawn = self._trace_numbers(2 * steps)
        made = np.zeros((steps, DRAWS))
        made[:, 0] = drawn[3][::2]  # a step's first number rounds impulses within an epoch, its second what its end does
        made[:, 1:5] = np.stack([numbers[1::2] for numbers in drawn], axis=1)
        ends = np.flatnonzero((self.step + 1 + np.arange(steps)) % self.epoch == 0)
        made[ends, 5] = self.weights.random(len(ends))
        self.step += steps
        return made


@njit
def raised(trace, impulse, fraction, number):
    """A trace after an impulse."""
    return min(trace + impulse + (number < fraction), LARGEST_TRACE)


@njit
def decayed(trace, keep, number):
    """A trace a step later."""
    left = keep * trace
    return np.int64(left) + (number < left - np.floor(left))


@njit
def note(source, t, p, m, numbers, seed):
    """A spike: its step is noted; where there was one before in this epoch, that one's impulse is added now."""
    for k in range(p.of_starts[source], p.of_starts[source + 1]):
        i = p.of[k]
        rule, side = p.projection[i], p.side[i]
        if m.last[i] > 0:
            number = numbers[rule, 0] if side else 0.0
            if p.own[rule]:
                number = words(seed, p.keys[0, rule], np.uint64(2 * p.neuron[i] + side), np.uint64(t))[2] & np.uint64(FRACTION - 1)
            m.trace[i] = raised(np.int64(m.trace[i]), p.impulse[side, rule], p.fraction[side, rule], np.float64(number))
        m.last[i] = (t - 1) % p.epoch[rule] + 1


@njit
def follow(i, t, p, m, numbers, seed):
    """A trace through the epoch that ends with step t."""
    rule, side = p.projection[i], p.side[i]
    epoch = p.epoch[rule]
    trace = np.int64(m.trace[i])
    m.history[i, 0] = trace
    decay, impulse = numbers[rule, 1 + 2 * side], numbers[rule, 2 + 2 * side]
    for k in range(1, epoch + 1):
        spike = m.last[i] == k
        if p.own[rule] and (trace > 0 or spike):
            drawn = words(seed, p.keys[0, rule], np.uint64(2 * p.neuron[i] + side), np.uint64(t - epoch + k))
            decay, impulse = np.float64(drawn[0]) * 2.0**-32, np.float64(drawn[1] & np.uint64(FRACTION - 1))
        trace = decayed(trace, p.keep[side, rule], decay)
        if spike:
            trace = raised(trace, p.impulse[side, rule], p.fraction[side, rule], impulse)
        m.history[i, k] = trace
    m.trace[i] = trace


@njit
def added(total, gain, trace):
    """A weight with 7 bits after the point after one product of the rule."""
    return min(max(total + min(max(gain * trace, LEAST), MOST), LEAST), MOST)


@njit
def change(i, t, p, m, numbers, seed, weights):
    """The weights of the synapses of a trace whose neuron fired; those with a source that fired change with that."""
    rule, side = p.projection[i], p.side[i]
    minus, plus, low, high = p.gain[0, rule], p.gain[1, rule], p.bounds[0, rule], p.bounds[1, rule]
    others, places, last, history = p.others, p.places, m.last, m.history
    own, shift, number, here = p.own[rule], p.shift[rule], numbers[rule, 5], last[i]
    for n in range(p.starts[i], p.starts[i + 1]):
        other = others[n]
        there = last[other]
        if side == 1 and there > 0:
            continue
        if own:
            number = np.float64(words(seed, p.keys[1, rule], np.uint64(p.synapses[n]), np.uint64(t))[0]) * 2.0**-32
        total = np.int64(weights[places[n]] >> shift) << POINT
        if side == 0:
            total = added(total, minus, np.int64(history[other, here]))
            total = added(total, plus, np.int64(history[i, there])) if there > 0 else total
        else:
            total = added(total, plus, np.int64(history[other, here]))
        up = number * (1 << POINT) < total & ((1 << POINT) - 1)
        weights[places[n]] = min(max((total >> POINT) + up, low), high) << shift
        m.updates[i if side == 1 else other] += 1


@njit
def learn(t, p, m, numbers, seed, weights):
    """What happens at the end of step t: the projections whose epoch ends learn; weights: those that spikes are sent with."""
    for rule in range(len(p.epoch)):
        if t % p.epoch[rule] != 0:
            continue
        first, last = p.first[2 * rule], p.first[2 * rule + 2]
        for i in range(first, last):
            follow(i, t, p, m, numbers, seed)
        for i in range(first, last):
            if m.last[i] > 0:
                change(i, t, p, m, numbers, seed, weights)
        m.last[first:last] = 0


@njit
def keep(p, weights, sample):
    """Write the weights of all synapses that learn to ``sample``."""
    for k in range(len(p.place)):
        sample[k] = weights[p.place[k]] >> p.shift[p.projection[p.ends[0, k]]]
