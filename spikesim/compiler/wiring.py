"""Projections: synapse tables for the sparse rules, weight blocks for the structured ones."""

from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import numpy as np

from spikesim.compiler.grid import on_grid
from spikesim.compiler.quanta import Quantum, rule_weights
from spikesim.connectivity.along import Along
from spikesim.connectivity.pairs import PairSource
from spikesim.connectivity.procedural import Rows, drawn_by_source
from spikesim.connectivity.rules import FixedTotalNumber, Matrix, Rule
from spikesim.connectivity.structured import Conv, ConvTranspose, Dense, Pool, Structured, parted
from spikesim.connectivity.tables import BLOCK, NARROW, WIDE, Delays, Piece, Table, Weights, add_magnitudes, build
from spikesim.description import Distribution, same
from spikesim.draws import ARRAY, CONSTANT, LIMITS, encode, guide
from spikesim.errors import DescriptionError, UnsupportedError
from spikesim.machine import cores
from spikesim.network import Network, Projection
from spikesim.program import AlongBlock, Cells, ConvBlock, DenseBlock, Ends, Geometry, Layout
from spikesim.random import DELAY, PAIRS, WEIGHT, stream

MOST_INPUT = 2**62  # half of what int64 holds, for the bound is computed in floats
Quanta = dict[tuple[str, str], Quantum]


def delay_steps(projection: Projection, dt: float) -> np.ndarray:
    """The delays (steps, ascending) that may occur in ``projection``; raises where dt cannot hold them."""
    what = f"projection {projection.name!r}: delay"
    if not isinstance(projection.delay, Distribution):
        steps = np.unique(on_grid(projection.delay, dt, what))
        if len(steps) and steps[0] < 1 and np.ndim(projection.delay):
            raise DescriptionError(f"{what}: 0 ms in an array of delays; without delay must be all of a projection or none")
        if len(steps) and steps[0] < 1 and not same(projection.delay, 0.0):
            raise DescriptionError(f"{what}: {projection.delay:g} ms is less than a step of {dt:g} ms; use 0 or one step")
        return steps
    low, high = (int(np.floor(d / dt + 0.5)) for d in projection.delay.support())
    if low < 1:
        raise DescriptionError(f"{what}: {projection.delay!r} reaches below one step of {dt:g} ms; use ClippedNormal(..., low={dt:g})")
    return np.arange(low, high + 1, dtype=np.int64)


def build_tables(network: Network, cells: dict[str, Cells], layout: Layout, quanta: Quanta, *, dt: float, seed: int,
                 tick: Callable[[int], None]) -> tuple[Table, ...]:  # fmt: skip
    """The tables of all sparse projections, built side by side on all cores."""
    groups: dict[tuple[int, int], list[tuple[Projection, Piece]]] = defaultdict(list)
    for index, projection in _sparse(network):
        for _, block, piece in _pieces(projection, index, cells, layout, quanta, dt=dt, seed=seed):
            groups[cells[projection.source.population].index, block].append((projection, piece))

    def one(key: tuple[int, int]) -> Table:
        source, block = key
        members = [projection for projection, _ in groups[key]]
        wide = any(quanta[p.target.population, p.receptor].bits == 32 for p in members)
        return build(source, block * BLOCK, next(c.size for c in cells.values() if c.index == source), [piece for _, piece in groups[key]],
                     np.unique(np.concatenate([delay_steps(p, dt) for p in members])), seed=seed,
                     dtype=WIDE if wide else NARROW, single=_single_weight(groups[key]), tick=unless_stopped)  # fmt: skip

    stopped = Event()

    def unless_stopped(done: int) -> None:
        if stopped.is_set():
            raise InterruptedError
        tick(done)

    with ThreadPoolExecutor(cores()) as pool:
        try:
            return tuple(table for table in pool.map(one, sorted(groups)) if len(table.targets))
        finally:
            stopped.set()  # after Ctrl-C the pool would otherwise finish all tables first


def build_rows(network: Network, cells: dict[str, Cells], layout: Layout, quanta: Quanta, *, dt: float,
               seed: int) -> tuple[Rows, ...]:  # fmt: skip
    """All sparse projections as what their synapses are drawn from; the projections have passed `check_procedural`."""
    made = []
    for index, projection in _sparse(network):
        source = cells[projection.source.population]
        for part, _, piece in _pieces(projection, index, cells, layout, quanta, dt=dt, seed=seed, block_size=layout.total + 1):
            made.append(Rows(source.index, source.size, part, piece))
    return tuple(made)


def _sparse(network: Network) -> list[tuple[int, Projection]]:
    """The projections whose synapses are drawn, with their numbers."""
    return [(index, p) for index, p in enumerate(network.projections.values()) if not isinstance(p.rule, Structured)]


def check_procedural(network: Network, dt: float) -> None:
    """Raise `UnsupportedError` for a sparse projection whose synapses cannot be drawn again for each spike."""
    for _, projection in _sparse(network):
        what = f"projection {projection.name!r}: procedural=True"
        if network.populations[projection.source.population].model.GRADED:
            raise UnsupportedError(f"{what} cannot deliver graded spikes, which {projection.source.population!r} sends; "
                                   "store the synapses (procedural=False)")  # fmt: skip
        if not drawn_by_source(projection.rule):
            raise UnsupportedError(f"{what} cannot draw the synapses of one source by {_brief(projection.rule)}; use FixedProbability, "
                                   "FixedOutdegree, FixedTotalNumber with multapses, AllToAll or OneToOne, "
                                   "or store the synapses (procedural=False)")  # fmt: skip
        if np.size(projection.delay) and delay_steps(projection, dt)[0] < 1:
            raise UnsupportedError(f"{what} needs a delay of at least one step, got 0 ms; use {dt:g} ms, "
                                   "or store the synapses (procedural=False)")  # fmt: skip


def _brief(rule: Rule) -> str:
    """The rule by name, with its flags if they are what matters."""
    return "FixedTotalNumber without multapses" if isinstance(rule, FixedTotalNumber) else type(rule).__name__


def _pieces(projection: Projection, index: int, cells: dict[str, Cells], layout: Layout, quanta: Quanta, *, dt: float, seed: int,
            block_size: int = BLOCK):  # fmt: skip
    """Yield (part, block, piece) for every block of input slots that the projection reaches."""
    source, target = projection.source, projection.target
    pairs = PairSource(projection.rule, source.numbers, target.numbers,
                       same_population=source.population == target.population, seed=seed, stream=stream(PAIRS, index))  # fmt: skip
    weight = projection.weight
    if isinstance(projection.rule, Matrix):
        weight = projection.rule.weights.weights * weight
    weights = Weights(*encode(weight), stream(WEIGHT, index))
    delays = _delays(projection, dt, stream(DELAY, index))
    to = cells[target.population]
    port = [p.name for p in to.ports].index(projection.receptor)
    for part in range(layout.parts):
        first_slot = int(layout.slots[part, to.index, port])
        low, high = (int(b) for b in layout.bounds[part : part + 2, to.index])
        for block in range(first_slot // block_size, (first_slot + high - low - 1) // block_size + 1):
            bottom = max(low, low + block * block_size - first_slot)
            top = min(high, low + (block + 1) * block_size - first_slot)
            first, last = (min(max(-(-(b - target.start) // target.step), 0), len(target)) for b in (bottom, top))
            if first < last:
                slot_start = first_slot - block * block_size + target.start - low
                yield part, block, Piece(pairs, weights, quanta[target.population, projection.receptor].value, delays, first, last,
                                         source.start, source.step, slot_start, target.step)  # fmt: skip


def _delays(projection: Projection, dt: float, stream: np.uint64) -> Delays:
    """The delays in steps; those of a distribution with the probability that rounding gives each number."""
    if not isinstance(projection.delay, Distribution):
        steps = on_grid(projection.delay, dt, f"projection {projection.name!r}: delay")
        kind = ARRAY if np.ndim(steps) else CONSTANT
        return Delays(kind, np.atleast_1d(steps).reshape(-1), 0, np.empty(0, np.uint64), np.empty(0, np.uint8), stream)
    possible = delay_steps(projection, dt)
    limits = np.floor(projection.delay.cdf((possible[:-1] + 0.5) * dt) * 2.0**32).astype(np.uint64)
    return Delays(LIMITS, possible, int(possible[0]), limits, guide(limits), stream)


def _single_weight(members: list[tuple[Projection, Piece]]) -> int | None:
    """The one weight (in quanta) of all pieces, if they have just one."""
    found = {round(float(piece.weights.numbers[0]) / piece.scale) if piece.weights.kind == CONSTANT else None for _, piece in members}
    return found.pop() if len(found) == 1 else None


def build_blocks(network: Network, cells: dict[str, Cells], quanta: Quanta, *, dt: float) -> dict[str, tuple]:
    """The structured projections as the fields ``dense``, ``conv`` and ``along`` of a program."""
    made: dict[str, list] = {"dense": [], "conv": [], "along": []}
    for projection in network.projections.values():
        rule = projection.rule
        if not isinstance(rule, Structured):
            continue
        ends = _ends(projection, cells, dt)
        quantum = quanta[projection.target.population, projection.receptor]
        if isinstance(rule, Dense):
            made["dense"].append(DenseBlock(ends, _integers(rule_weights(rule, projection.weight), quantum)))
            continue
        shape = network.shape(projection.source)
        if isinstance(rule, Along):
            made["along"].append(_along(rule, ends, rule.outer(shape, projection.name), projection.weight, quantum))
            continue
        conv: Any = rule.as_conv(shape, projection.name) if isinstance(rule, Pool) else rule
        made["conv"].append(_conv(conv, ends, shape, network.shape(projection.target), projection.weight, quantum))
    return {field: tuple(blocks) for field, blocks in made.items()}


def _ends(projection: Projection, cells: dict[str, Cells], dt: float) -> Ends:
    source, target = projection.source, projection.target
    port = [port.name for port in cells[target.population].ports].index(projection.receptor)
    return Ends(projection.name, cells[source.population].index, source.start, source.step, cells[target.population].index, target.start,
                target.step, port, int(delay_steps(projection, dt)[0]))  # fmt: skip


def _integers(weights: Any, quantum: Quantum) -> np.ndarray:
    return np.ascontiguousarray(np.rint(weights / quantum.value), np.int16 if quantum.bits == 16 else np.int32)


def _conv(conv: Conv | ConvTranspose, ends: Ends, source: tuple[int, ...], target: tuple[int, ...], weight: float,
          quantum: Quantum) -> ConvBlock:  # fmt: skip
    """Lift to three space dimensions and order weights as (channels in, kernel, channels out of the group)."""
    transposed, last = isinstance(conv, ConvTranspose), conv.channels_last
    missing = 3 - (len(source) - 1)
    (channels_in, source_space), (channels_out, target_space) = parted(source, last), parted(target, last)
    kernel, out_of_group = conv.weights.shape[2:], channels_out // conv.groups
    if transposed:
        ordered = np.moveaxis(conv.weights, 1, -1)
    else:
        grouped = conv.weights.reshape(conv.groups, out_of_group, -1, *kernel)
        ordered = np.moveaxis(grouped, 1, -1)
    ordered = ordered.reshape(channels_in, *(1,) * missing, *kernel, out_of_group)
    return ConvBlock(ends, _integers(ordered * weight, quantum), Geometry(
        (channels_in, *(1,) * missing, *source_space), (channels_out, *(1,) * missing, *target_space), ordered.shape[1:-1],
        (*(1,) * missing, *conv.stride), (*(0,) * missing, *conv.padding), (*(1,) * missing, *conv.dilation), conv.groups, transposed, last,
    ))  # fmt: skip


def _along(rule: Along, ends: Ends, outer: int, weight: float, quantum: Quantum) -> AlongBlock:
    return AlongBlock(ends, _integers(rule.table() * weight, quantum), rule.matrix.starts, rule.matrix.outputs.astype(np.int32),
                      rule.rows().astype(np.int32), rule.matrix.shape, rule.inner, outer)  # fmt: skip


def largest_input(tables: tuple[Table, ...], dense: tuple[DenseBlock, ...], conv: tuple[ConvBlock, ...],
                  along: tuple[AlongBlock, ...], cells: dict[str, Cells]) -> int:  # fmt: skip
    """A bound on the size of one slot's input in one step, should every neuron send its largest spike."""
    largest = {c.index: float(c.largest_spike) for c in cells.values()}
    sums: dict[int, np.ndarray] = defaultdict(lambda: np.zeros(BLOCK))
    for table in tables:
        magnitudes = np.zeros(BLOCK, np.int64)
        add_magnitudes(table.targets, table.weights, magnitudes)
        sums[table.base] += largest[table.source] * magnitudes
    bound = max((float(block.max()) for block in sums.values()), default=0.0)
    for block in dense:
        bound += largest[block.ends.source] * int(np.abs(block.weights.astype(np.int64)).sum(axis=0).max())
    for block in conv:
        magnitude = np.abs(block.weights.astype(np.int64))
        bound += largest[block.ends.source] * int(magnitude.reshape(block.geometry.groups, -1, magnitude.shape[-1]).sum(axis=1).max())
    for block in along:
        inputs = np.zeros(block.shape[0], np.int64)
        np.add.at(inputs, block.outputs, np.abs(block.weights.astype(np.int64)).max(axis=1)[block.rows])
        bound += largest[block.ends.source] * int(inputs.max())
    return int(bound)


def check_largest_input(bound: int, cells: dict[str, Cells]) -> None:
    """Raise `DescriptionError` if int64 could overflow."""
    if bound >= MOST_INPUT:
        graded = ", ".join(f"{c.name} ({c.largest_spike})" for c in cells.values() if c.graded)
        raise DescriptionError(f"network: the input of a neuron in one step could reach {bound:.3g} times the quantum of its weights, at "
                               f"most {MOST_INPUT:.3g} can be counted; the largest spikes are those of {graded or 'no graded population'}: "
                               "lower their burst or sizes, or the range between the largest and least weights")  # fmt: skip
