"""Synapse tables: what a spike of each source adds to a block of input slots, ordered by source and delay.

A table holds all synapses from one population to one block of at most 65,536 input slots. The synapses of
source s that are due d = delays[j] steps after its spike are targets[a:b], weights[a:b], where a and b are
segments[s * len(delays) + j] and the next entry. Targets are counted from the block's first slot, weights in
the quantum of their receptor. A table is built in two passes over the drawn pairs, a count and a fill.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit

from spikesim.connectivity.pairs import PairSource
from spikesim.kernel import kernel
from spikesim.random import draw

BLOCK = 1 << 16


@dataclass(frozen=True)
class Drawn:
    """A number for each synapse, in the form `spikesim.random.draw` takes."""

    kind: int
    numbers: np.ndarray  # float64
    stream: np.uint64


@dataclass(frozen=True)
class Piece:
    """The part of a projection that falls into one block."""

    pairs: PairSource
    weight: Drawn
    scale: float  # weights are stored in multiples of it
    delay: Drawn
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
    segments: np.ndarray  # int64 (neurons * D + 1,)
    targets: np.ndarray  # uint16 (synapses,)
    weights: np.ndarray  # int16 or int32 (synapses,), or (1,) if all are equal

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for array in (self.delays, self.segments, self.targets, self.weights))


@njit(inline="always")
def _steps(kind, numbers, seed, stream, number, dt):
    return np.int64(np.floor(draw(kind, numbers, seed, stream, number) / dt + 0.5))


@kernel
def _count(sources, numbers, start, step, kind, values, seed, stream, dt, column, segments, width):
    for k in range(len(sources)):
        at = column[_steps(kind, values, seed, stream, numbers[k], dt)]
        segments[(start + step * sources[k]) * width + at + 2] += 1


@kernel
def _fill(chunk, source_start, source_step, slot_start, slot_step, delay_kind, delays, delay_stream,
          weight_kind, weights, weight_stream, scale, seed, dt, column, segments, width, shared, out_targets, out_weights):  # fmt: skip
    for k in range(len(chunk.sources)):
        number = chunk.numbers[k]
        at = column[_steps(delay_kind, delays, seed, delay_stream, number, dt)]
        row = (source_start + source_step * chunk.sources[k]) * width + at + 1
        place = segments[row]
        segments[row] += 1
        out_targets[place] = slot_start + slot_step * chunk.targets[k]
        if not shared:
            out_weights[place] = np.int64(np.rint(draw(weight_kind, weights, seed, weight_stream, number) / scale))


@kernel
def add_magnitudes(targets, weights, sums):
    """Add to each slot of a block the sizes of the weights that end there."""
    one = len(weights) == 1
    for k in range(len(targets)):
        sums[targets[k]] += abs(np.int64(weights[0 if one else k]))


def build(source: int, base: int, neurons: int, pieces: list[Piece], delays: np.ndarray, *, dt: float, seed: int,
          dtype: type, single: int | None, tick: Callable[[int], None]) -> Table:  # fmt: skip
    """Draw the synapses of ``pieces`` into a table.

    delays: every number of steps that may occur; dtype: int16 or int32; single: the one weight (in quanta) that all
    synapses share, or None; tick is called with the number of synapses done now and then, twice for each synapse.
    """
    width = len(delays)
    column = np.full(int(delays.max()) + 1, -1, np.int64)
    column[delays] = np.arange(width)
    segments = np.zeros(neurons * width + 2, np.int64)
    for piece in pieces:
        d = piece.delay
        for chunk in piece.pairs.chunks(piece.first, piece.last):
            _count(chunk.sources, chunk.numbers, piece.source_start, piece.source_step, d.kind, d.numbers, np.uint64(seed),
                   d.stream, dt, column, segments, width)  # fmt: skip
            tick(len(chunk.sources))
    np.cumsum(segments, out=segments)
    targets = np.empty(segments[-1], np.uint16)
    weights = np.empty(len(targets), dtype) if single is None else np.array([single], dtype)
    for piece in pieces:
        d, w = piece.delay, piece.weight
        for chunk in piece.pairs.chunks(piece.first, piece.last):
            _fill(chunk, piece.source_start, piece.source_step, piece.slot_start, piece.slot_step, d.kind, d.numbers, d.stream,
                  w.kind, w.numbers, w.stream, piece.scale, np.uint64(seed), dt, column, segments, width, single is not None,
                  targets, weights)  # fmt: skip
            tick(len(chunk.sources))
    return Table(source, base, delays, segments[:-1], targets, weights)
