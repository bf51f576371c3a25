"""The emulator's kernels: tiles of 64 compartments are updated as vectors, spikes add their synapses to sums that fall due later.

A thread owns blocks of compartments, and their sums. It updates them, lists who fired, waits for all others, and then delivers the
spikes of all to its own compartments. So no two threads write to one place, and the sums are whole numbers: any number of threads
gives the same. Indices are unsigned, for with signed ones the compiler provides for those that count from the end.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from spikesim.barrier import wait_for_all
from spikesim.bits import lowest_bit
from spikesim.hardware.loihi.learning import keep, learn, note
from spikesim.kernel import kernel
from spikesim.prefetch import prefetch

TILE = 64  # compartments
SPAN = np.uint64(TILE)
# the fields of a tile, as places of the first compartment's number
U, V, KEEP_U, KEEP_V, BIAS, THRESHOLD, LOW, PERIOD, HELD, SOFT, INTERVAL, OFFSET = (np.uint64(TILE * k) for k in range(12))
PLAIN, ALL = 6 * TILE, 12 * TILE  # numbers of a tile without and with those for the neuron's variants
COUNT_BITS, LANE_BITS = 16, 8  # of the word that heads synapses: their number, lane and, in what is left, delay
EACH_BYTE = np.uint64(0x0101010101010101)
EARLY, SOON = 24, 10  # spikes ahead, for which the place of their row is asked, and the row itself
ROW_LINES = 6  # cache lines of a row to ask for; the processor reads on by itself
TWICE, HALF, MOST = np.int32(1 << 24), np.int32(1 << 23), np.int32((1 << 23) - 1)


class How(NamedTuple):
    """Whether `update_plain` will do, whether there are reset intervals, and how many numbers a tile has."""

    plain: bool
    intervals: bool
    size: int


@njit
def decayed(x, keep):
    """x keep / 4096, cut towards zero, in 32 bits: the upper and the lower part are multiplied apart."""
    size = np.int32(abs(x))
    high, low = np.int32(size >> 12), np.int32(size & 4095)
    size = np.int32(np.int32(high * keep) + np.int32(np.int32(low * keep) >> 12))
    return np.int32(-size) if x < 0 else size


@njit
def update_plain(cells, first, raw, fired, touched):
    """One step of a tile of neurons without variants, whose numbers all fit 32 bits."""
    for j in range(SPAN):
        i = first + j
        u = np.int32(decayed(cells[i + U], cells[i + KEEP_U]) + np.int32(raw[j] << 6))
        u = np.int32(u - TWICE) if u > HALF else np.int32(u + TWICE) if u <= -HALF else u
        v = np.int32(np.int32(decayed(cells[i + V], cells[i + KEEP_V]) + u) + cells[i + BIAS])
        v = np.int32(min(max(v, -MOST), MOST))
        spike = v > cells[i + THRESHOLD]
        cells[i + U] = u
        cells[i + V] = np.int32(0) if spike else v
        fired[j] = spike
        touched[j] = spike | (raw[j] != 0)


@njit
def update_any(cells, first, raw, fired, touched):
    """One step of a tile of any neurons: as Lava has it, products in 64 bits, what is kept in 32."""
    for j in range(SPAN):
        i = first + j
        u = np.int64(cells[i + U]) * cells[i + KEEP_U]
        u = np.int64(np.int32(((u + ((u >> 63) & 4095)) >> 12) + (np.int64(raw[j]) << 6)))  # Lava adds in 32 bits
        u = u - 16777216 if u > 8388608 else u + 16777216 if u <= -8388608 else u
        v = np.int64(cells[i + V]) * cells[i + KEEP_V]
        v = ((v + ((v >> 63) & 4095)) >> 12) + u + cells[i + BIAS]
        held = cells[i + HELD]
        v = np.int64(cells[i + V]) if held > 0 else min(max(v, -8388607), 8388607)
        up, down = v > cells[i + THRESHOLD], v < cells[i + LOW]
        left = v - cells[i + THRESHOLD] if cells[i + SOFT] else 0
        cells[i + U] = u
        cells[i + V] = left if up | down else v
        cells[i + HELD] = cells[i + PERIOD] if up | down else max(held - 1, 0)
        fired[j] = np.int8(up) - np.int8(down)
        touched[j] = up | down | (raw[j] != 0)


@njit
def reset_due(cells, first, t):
    """Set u and v of the neurons of a tile to 0 whose interval is over."""
    for j in range(SPAN):
        i = first + j
        if t % cells[i + INTERVAL] == cells[i + OFFSET]:
            cells[i + U] = 0
            cells[i + V] = 0


@njit
def take(sums, place, raw):
    """Move the sums of a tile into ``raw``."""
    for j in range(SPAN):
        raw[j] = sums[place + j]
        sums[place + j] = 0


@njit
def take_rounded(sums, place, shifts, at, raw):
    """Add the sums of another lane of a tile to ``raw``, each shifted right by ``shifts`` and so rounded down."""
    for j in range(SPAN):
        raw[j] += sums[place + j] >> shifts[at + j]
        sums[place + j] = 0


@njit
def count(flags):
    """How many bytes of ``flags``, uint64 (8,), are 1: the sums of eight each come together in the highest byte of a product."""
    total = np.uint64(0)
    for k in range(TILE // 8):
        total += flags[k]
    return np.int64((total * EACH_BYTE) >> np.uint64(56))


@njit
def update_tiles(first, last, t, how, tiles, sums, row, out, found, scratch):
    """One step of the tiles first..last, whose sums start at ``row``; returns the end of the spikes listed in ``out``.

    A spike below the lower threshold is listed as ~source.
    """
    cells, begins, shifts, active = tiles
    raw, fired, touched, fired_words, touched_words = scratch
    lanes, padded = len(shifts) // len(active) // TILE, np.uint64(len(active) * TILE)
    for tile in range(np.uint64(first), np.uint64(last)):
        place = tile * SPAN
        take(sums, row + place, raw)
        for lane in range(np.uint64(1), np.uint64(lanes)):
            take_rounded(sums, row + lane * padded + place, shifts, lane * padded + place, raw)
        start = tile * np.uint64(how.size)
        if how.plain:
            update_plain(cells, start, raw, fired, touched)
        else:
            if how.intervals:
                reset_due(cells, start, t)
            update_any(cells, start, raw, fired, touched)
        active[tile] += count(touched_words)
        for k in range(TILE // 8):
            word = fired_words[k]
            while word:
                j = 8 * k + (lowest_bit(word) >> 3)
                source = begins[tile] + j
                out[found] = source if fired[j] > 0 else ~source
                found += 1
                word &= ~(np.uint64(255) << np.uint64(8 * (j & 7)))
    return found


@njit
def look_ahead(out, k, last, offset, rows):
    """Ask for what the delivery of later spikes reads."""
    starts, _, starts_at, words_at = rows
    if k + EARLY < last:
        source = out[k + EARLY]
        prefetch(starts_at + 8 * (offset + max(source, ~source)))
    if k + SOON < last:
        source = out[k + SOON]
        at = np.uint64(offset + max(source, ~source))
        start, stop = starts[at], starts[at + np.uint64(1)]
        for line in range(min(ROW_LINES, (stop - start + 15) >> 4)):
            prefetch(words_at + 4 * start + 64 * line)


@njit
def deliver(out, sizes, first, last, t, ring, offset, rows, sums, base):
    """Add the synapses of the spikes out[first:last], sent in step ``t``, to the sums of a block, whose rows count from ``offset``.

    sizes: of the spikes, which multiply the weights, or None where their sign tells it.

    A row is a head, with count, lane and delay, and so many synapses with target and weight, and so on. rows: its starts and words,
    and their addresses; to take these here would count the arrays' users each time, in a place that threads compete for.
    """
    mask, depth, padded = ring
    starts, words, _, _ = rows
    for k in range(first, last):
        look_ahead(out, k, last, offset, rows)
        source = out[k]
        if sizes is None:
            size = np.int64(1) if source >= 0 else np.int64(-1)
        else:
            size = np.int64(sizes[k])
        at = np.uint64(offset + max(source, ~source))
        i, stop = np.uint64(starts[at]), np.uint64(starts[at + np.uint64(1)])
        while i < stop:
            head = np.int64(words[i])
            i += np.uint64(1)
            end = i + np.uint64(head & 0xFFFF)
            slot = (t + 1 + (head >> 24)) & mask
            place = np.uint64((slot * depth + (head >> 16 & 255)) * padded + base)
            while i < end:
                word = words[i]
                sums[place + np.uint64(word & 0xFFFF)] += size * (word >> 16)
                i += np.uint64(1)


@njit
def note_all(out, first, last, t, lesson):
    """Note the spikes out[first:last] of step ``t`` for what learns."""
    tables, memory, numbers, seed, _, _, before = lesson
    for k in range(first, last):
        note(max(out[k], ~out[k]), t, tables, memory, numbers[t - before - 1], seed)


@njit
def study(t, lesson, weights):
    """What learns does so at the end of step ``t``, and is sampled when it is time.

    lesson: tables, memory, numbers of each step, seed, steps between samples, samples, and the step before the first.
    """
    tables, memory, numbers, seed, every, samples, before = lesson
    learn(t, tables, memory, numbers[t - before - 1], seed, weights)
    if every > 0 and (t - before) % every == 0:
        keep(tables, weights, samples[(t - before) // every - 1])


@kernel
def run_blocks(first_block, last_block, threads, chunk, how, ring, blocks, tiles, rows, sums, lesson, out, ends, sent_steps,
               sent_sources, sent_sizes, traced, trace, barrier):  # fmt: skip
    """Run the blocks first..last, those of one of the ``threads``, through chunk[0] steps, the first of which is step chunk[1] + 1.

    blocks: int64 (blocks + 1,), their first tiles. out: int32 (blocks, room), spikes; ends: int64 (blocks, steps + 1), where those
    of each step end. lesson: what `study` takes. traced: int64 (n,), places in ``cells`` of what this thread traces, and trace: int32
    (steps, n).
    """
    steps, before = chunk
    mask, depth, padded = ring
    table = rows.starts, rows.words, rows.starts.ctypes.data, rows.words.ctypes.data
    raw, fired, touched = np.empty(TILE, np.int32), np.empty(TILE, np.int8), np.empty(TILE, np.uint8)
    scratch = raw, fired, touched, fired.view(np.uint64), touched.view(np.uint64)
    weights = rows.words.view(np.int16)  # each the upper half of a word
    cursor = np.searchsorted(sent_steps, before + 1)
    for n in range(steps):
        t = before + n + 1
        row = np.uint64((t & mask) * depth * padded)
        for block in range(first_block, last_block):
            found = ends[block, n]
            ends[block, n + 1] = update_tiles(blocks[block], blocks[block + 1], t, how, tiles, sums, row, out[block], found, scratch)
        if threads > 1:
            wait_for_all(barrier, threads, n)
        begin = cursor
        while cursor < len(sent_steps) and sent_steps[cursor] == t:
            cursor += 1
        for block in range(first_block, last_block):
            base, offset = blocks[block] * TILE, block * rows.sources
            for other in range(len(blocks) - 1):
                deliver(out[other], None, ends[other, n], ends[other, n + 1], t, ring, offset, table, sums, base)
            deliver(sent_sources, sent_sizes, begin, cursor, t, ring, offset, table, sums, base)
        if len(lesson[0].epoch):
            for block in range(len(blocks) - 1):
                note_all(out[block], ends[block, n], ends[block, n + 1], t, lesson)
            note_all(sent_sources, begin, cursor, t, lesson)
            study(t, lesson, weights)
        for k in range(len(traced)):
            trace[n, k] = tiles[0][traced[k]]


@kernel
def merge(out, ends):
    """(steps from 0 on, int64; sources, int32) of the spikes of all blocks, in the order of steps and sources."""
    total = 0
    for block in range(len(out)):
        total += ends[block, -1]
    steps, sources = np.empty(total, np.int64), np.empty(total, np.int64)
    at = 0
    for n in range(ends.shape[1] - 1):
        for block in range(len(out)):
            for k in range(ends[block, n], ends[block, n + 1]):
                steps[at], sources[at] = n, out[block, k]
                at += 1
    return steps, sources


@kernel
def fill_rows(rows, row, head, new, runs, run_starts, places, bases, shifts, targets, weights, learns, bounds, reach):
    """Starts and words of the rows of synapses, the most input of either sign that a compartment may get in a step, and where in
    the words, taken as int16, the weights are of the runs that learn.

    row, head, runs, places, bases, shifts: of each run its row, its head without the count, where its list and, in its block, its
    targets begin, the block's first compartment, and the shift of its weights; new: bool, whether row or head change; learns: bool;
    bounds: int64 (runs, 2), the least and the largest weight that a run may learn. reach: int64 (2, compartments of all tiles), zeros.
    """
    longest = (1 << COUNT_BITS) - 1
    total = 0
    for k in range(len(runs)):
        length = run_starts[runs[k] + 1] - run_starts[runs[k]]
        total += length + 2 + length // longest
    starts, words = np.zeros(rows + 1, np.int64), np.empty(total, np.int32)
    learned = [np.int64(0) for _ in range(0)]
    at, head_at, count, begun = 0, 0, 0, 0
    for k in range(len(runs)):
        while begun <= row[k]:
            starts[begun] = at
            begun += 1
        count = longest if new[k] else count
        low, high = bounds[k, 0] << shifts[k], bounds[k, 1] << shifts[k]
        for s in range(run_starts[runs[k]], run_starts[runs[k] + 1]):
            if count == longest:
                words[at], head_at, count = head[k], at, 0
                at += 1
            weight, target = np.int64(weights[s]) << shifts[k], places[k] + targets[s]
            words[at] = weight << COUNT_BITS | target
            words[head_at] += 1
            reach[0, bases[k] + target] += max(weight, high)
            reach[1, bases[k] + target] += max(-weight, -low)
            if learns[k]:
                learned.append(2 * at + 1)
            count += 1
            at += 1
    starts[begun:] = at
    return starts, words[:at].copy(), reach.max() if reach.size else 0, np.array(learned)
