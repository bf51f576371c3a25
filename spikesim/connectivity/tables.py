"""Synapse tables: what a spike of each source adds to a block of input slots, ordered by source and delay.

A table holds all synapses from one population to one block of at most 65,536 input slots. The synapses of
source s that are due d = delays[j] steps after its spike are synapses[a:b], where a and b are segments[s * len(delays) + j]
and the next entry. Targets are counted from the block's first slot, weights in the quantum of their receptor. A table
is built in two passes over the drawn pairs, a count and a fill.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit

from spikesim.connectivity.pairs import PairSource
from spikesim.draws import ARRAY, CONSTANT, draw_many, guided
from spikesim.errors import MemoryNeededError
from spikesim.kernel import kernel
from spikesim.random import words_in_loop

BLOCK = 1 << 16
MOST = 2**32 - 1  # synapses of one table
NARROW = np.dtype([("target", "u2"), ("weight", "i2")])
WIDE = np.dtype([("target", "u2"), ("weight", "i4")])


class Weights(NamedTuple):
    """The weights of a projection, in the form `spikesim.draws.draw_many` takes."""

    kind: int
    numbers: np.ndarray  # float64
    stream: np.uint64


class Delays(NamedTuple):
    """The delays of a projection in steps: one, an array, or ``least`` + the number of limits that a word reaches."""

    kind: int
    steps: np.ndarray  # int64, one or an array
    least: int
    limits: np.ndarray  # uint64
    guide: np.ndarray  # see `spikesim.draws.guide`
    stream: np.uint64


@dataclass(frozen=True)
class Piece:
    """The part of a projection that falls into one block."""

    pairs: PairSource
    weights: Weights
    scale: float  # weights are stored in multiples of it
    delays: Delays
    first: int  # targets of the projection
    last: int
    source_start: int  # source k is neuron source_start + k * source_step
    source_step: int
    slot_start: int  # target k is slot slot_start + k * slot_step of the block
    slot_step: int


@dataclass(frozen=True)
class Table:
    """The synapses from population ``source`` to the slots from ``base`` on (see the module)."""

    source: int
    base: int
    delays: np.ndarray  # int64 (D,), ascending, in steps
    segments: np.ndarray  # uint32 (neurons * D + 1,)
    synapses: np.ndarray  # NARROW or WIDE (synapses,), or the targets alone, uint16
    single: int | None  # the weight of all synapses, if they have but one

    @property
    def targets(self) -> np.ndarray:
        return self.synapses["target"] if self.single is None else self.synapses

    @property
    def weights(self) -> np.ndarray:
        """The weight of each synapse, or the one weight of all."""
        return self.synapses["weight"] if self.single is None else np.array([self.single])

    @property
    def out_degrees(self) -> np.ndarray:
        """How many synapses each source neuron has."""
        return np.diff(self.segments[:: len(self.delays)])

    @property
    def nbytes(self) -> int:
        return self.delays.nbytes + self.segments.nbytes + self.synapses.nbytes


@njit
def draw_columns(d, numbers, seed, column, out):
    """For each synapse what ``column`` says of its delay, such as its place among a table's segments."""
    least, stream = d.least, d.stream
    if d.kind == CONSTANT:
        out[:] = column[d.steps[0]]
    elif d.kind == ARRAY:
        for k in range(len(out)):
            out[k] = column[d.steps[numbers[k]]]
    else:
        for k in range(len(out)):
            w0, _, _, _ = words_in_loop(seed, stream, np.uint64(numbers[k]), np.uint64(0))
            out[k] = w0
        for k in range(len(out)):
            out[k] = column[least + guided(d.limits, d.guide, np.uint64(out[k]))]


@njit
def draw_weights(weights, numbers, seed, scale, out):
    """For each synapse its weight as a whole number of ``scale``, in float64."""
    draw_many(weights.kind, weights.numbers, seed, weights.stream, numbers, out)
    for k in range(len(out)):
        out[k] = np.rint(out[k] / scale)


@kernel
def _count(chunk, start, step, delays, seed, column, width, counts):
    columns = np.empty(len(chunk.numbers), np.int64)
    draw_columns(delays, chunk.numbers, seed, column, columns)
    for k in range(len(columns)):
        counts[(start + step * chunk.sources[k]) * width + columns[k]] += np.uint32(1)


@kernel
def _fill(chunk, source_start, source_step, slot_start, slot_step, delays, seed, column, width, ends, out_targets,
          weights, scale, out_weights):  # fmt: skip
    """Put each synapse at the end of its segment."""
    columns = np.empty(len(chunk.numbers), np.int64)
    draw_columns(delays, chunk.numbers, seed, column, columns)
    drawn = np.empty(len(chunk.numbers) if len(out_weights) else 0)
    draw_weights(weights, chunk.numbers, seed, scale, drawn)
    for k in range(len(columns)):
        row = (source_start + source_step * chunk.sources[k]) * width + columns[k] + 1
        place = np.int64(ends[row])
        ends[row] += np.uint32(1)
        out_targets[place] = slot_start + slot_step * chunk.targets[k]
        if len(drawn):
            out_weights[place] = np.int64(drawn[k])


@kernel
def add_magnitudes(targets, weights, sums):
    """Add to each slot of a block the sizes of the weights that end there."""
    one = len(weights) == 1
    for k in range(len(targets)):
        sums[targets[k]] += abs(np.int64(weights[0 if one else k]))


def build(source: int, base: int, neurons: int, pieces: list[Piece], delays: np.ndarray, *, seed: int,
          dtype: np.dtype, single: int | None, tick: Callable[[int], None]) -> Table:  # fmt: skip
    """Draw the synapses of ``pieces`` into a table.

    delays: every number of steps that may occur; dtype: NARROW or WIDE; single: the one weight (in quanta) that all
    synapses share, or None; tick is called with the number of synapses done now and then, twice for each synapse.
    """
    most = int(delays[-1]) + 1
    column = columns_of(delays, most)
    counts = np.zeros((neurons, len(delays)), np.uint32)
    for piece in pieces:
        for chunk in piece.pairs.chunks(piece.first, piece.last):
            _count(chunk, piece.source_start, piece.source_step, piece.delays, np.uint64(seed), column, len(delays),
                   counts.reshape(-1))  # fmt: skip
            tick(len(chunk.sources))
    occurring = counts.any(axis=0)
    delays, ends = delays[occurring], _starts(counts[:, occurring])
    column = columns_of(delays, most)
    synapses = np.empty(int(ends[-1]), dtype if single is None else np.uint16)
    table = Table(source, base, delays, ends[:-1], synapses, single)
    weights = table.weights if single is None else np.empty(0, np.int16)
    for piece in pieces:
        for chunk in piece.pairs.chunks(piece.first, piece.last):
            _fill(chunk, piece.source_start, piece.source_step, piece.slot_start, piece.slot_step, piece.delays, np.uint64(seed),
                  column, len(delays), ends, table.targets, piece.weights, piece.scale, weights)  # fmt: skip
            tick(len(chunk.sources))
    return table


def columns_of(delays: np.ndarray, count: int) -> np.ndarray:
    """For each number of steps in [0, count) its place among ``delays``, or -1."""
    column = np.full(count, -1, np.int64)
    column[delays] = np.arange(len(delays))
    return column


def _starts(counts: np.ndarray) -> np.ndarray:
    """Where each segment starts, shifted by one place: while it is filled, an entry is the end of its segment so far."""
    total = int(counts.sum(dtype=np.int64))
    if total > MOST:
        raise MemoryNeededError(f"network: {total:,} synapses lead from one population to {BLOCK:,} neurons, at most {MOST:,} can")
    ends = np.zeros(counts.size + 2, np.uint32)
    np.cumsum(counts.reshape(-1), out=ends[2:])
    return ends
