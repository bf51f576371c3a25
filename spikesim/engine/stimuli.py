"""What stimuli give to the neurons of a part in one step: injected currents and Poisson drive."""

import numpy as np
from numba import carray, njit

from spikesim.bits import lowest_bit
from spikesim.draws import reached, reached_in_halves
from spikesim.engine.native import WORD, count_reached, pointer, pointer_like
from spikesim.engine.parts import clip, share, span
from spikesim.engine.plan import CELLS, DRIVE, HELD, NOISE
from spikesim.random import half_of, standard_normal, words, words_in_loop

DRAWN = 512  # random words drawn at a time
SCRATCH = 8 * DRAWN  # bytes: the words, and as many counts as they have halves


@njit
def inject(plan, zero, part, step, stage, first_step):
    """Bring the injected currents of a stage up to date; they are summed anew in steps in which one of them changes."""
    for cells in range(plan.populations):
        what = carray(pointer(plan.cells_at, CELLS), plan.populations)[cells]
        if what.stage != stage or what.injected_at == 0 or not (step == first_step or _current_changes(plan, cells, step)):
            continue
        low, high = span(plan, part, cells)
        current = carray(pointer_like(share(plan, what.injected_at, part), zero), high)
        for i in range(low, high):
            current[i] = zero
        _add_held(plan, cells, step, low, high, current)
        _add_noise(plan, cells, step, low, high, current)


@njit
def _add_held(plan, cells, step, low, high, current):
    for at in range(plan.held):
        held = carray(pointer(plan.held_at, HELD), plan.held)[at]
        change = reached(carray(pointer(held.changes_at, np.int64), held.changes), step) - 1
        if held.cells != cells or change < 0:
            continue
        values = carray(pointer(held.values_at, np.float64), (held.changes, held.width))
        first, last = clip(held.start, held.step, held.count, low, high)
        for k in range(first, last):
            current[held.start + held.step * k] += values[change, k if held.width > 1 else 0]


@njit
def _add_noise(plan, cells, step, low, high, current):
    for at in range(plan.noise):
        noise = carray(pointer(plan.noise_at, NOISE), plan.noise)[at]
        if noise.cells != cells:
            continue
        first, last = clip(noise.start, noise.step, noise.count, low, high)
        for k in range(first, last):
            i = noise.start + noise.step * k
            w0, w1, _, _ = words(plan.seed, np.uint64(noise.stream), np.uint64(i), np.uint64(step // noise.interval))
            current[i] += noise.mean + noise.sd * standard_normal(w0, w1)


@njit
def _current_changes(plan, cells, step):
    for at in range(plan.held):
        held = carray(pointer(plan.held_at, HELD), plan.held)[at]
        changes = carray(pointer(held.changes_at, np.int64), held.changes)
        place = reached(changes, step - 1)
        if held.cells == cells and place < held.changes and changes[place] == step:
            return True
    for at in range(plan.noise):
        noise = carray(pointer(plan.noise_at, NOISE), plan.noise)[at]
        if noise.cells == cells and step % noise.interval == 0:
            return True
    return False


@njit
def drive_ports(plan, zero, worker, part, step):
    """Draw the numbers of Poisson spikes of a step for each driven port of a part, whoever works on it.

    Those of a port's only drive are written down, those of several are summed, each times its weight. They depend on nothing but the
    seed, so a step may be drawn as soon as its row is free, that of ``plan.lead`` steps before.
    """
    drives = carray(pointer(plan.drives_at, DRIVE), plan.drives)
    for at in range(plan.drives):
        low, high = span(plan, part, drives[at].cells)
        if not drives[at].counted:
            _row(plan, zero, drives[at], part, step)[low:high] = zero
    for at in range(plan.drives):
        drive = drives[at]
        low, high = span(plan, part, drive.cells)
        first, last = clip(drive.start, drive.step, drive.count, low, high)
        if drive.sets == 1 and drive.step == 1:
            _drive_alike(plan, zero, drive, worker, part, step, drive.start + first, drive.start + last)
            continue
        row = _row(plan, zero, drive, part, step)
        for k in range(first, last):
            i = drive.start + drive.step * k
            half = half_of(plan.seed, np.uint64(drive.stream), i, step)
            row[i] += drive.weight * _reached(plan, drive, k if drive.sets > 1 else 0, half, i, step)


@njit
def _row(plan, one, drive, part, step):
    rows = carray(pointer(drive.rows_at, np.int64), (plan.lead, plan.threads))
    return carray(pointer_like(rows[step % plan.lead, part], one), span(plan, part, drive.cells)[1])


@njit
def _drive_alike(plan, zero, drive, worker, part, step, low, high):
    """The same for neurons [low, high) of one rate, many at once."""
    at = plan.scratch_at + worker * SCRATCH
    drawn, counts = carray(pointer(at, np.uint32), DRAWN), carray(pointer(at + 4 * DRAWN, np.uint16), 2 * DRAWN)
    halves = carray(pointer(at, np.uint16), 2 * DRAWN)
    last = carray(pointer(drive.halves_at, np.uint64), drive.limits)[drive.limits - 1]
    for first in range(low // 8 * 8, high, 2 * DRAWN):
        start, stop = max(first, low), min(first + 2 * DRAWN, high)
        draw_words(plan.seed, np.uint64(drive.stream), np.uint64(first // 8), np.uint64(step), drawn[: (stop - first + 7) // 8 * 4])
        for k in range(0, stop - start, WORD):
            undecided = count_reached(at + 2 * (start - first + k), drive.compared_at, drive.compared, drive.least, np.int64(last),
                                      counts.ctypes.data + 2 * k)  # fmt: skip
            while undecided:
                i = start + k + lowest_bit(undecided)
                undecided &= undecided - 1
                if i < stop:
                    counts[i - start] = _reached(plan, drive, 0, np.uint64(halves[i - first]), i, step)
        if drive.counted:
            _copy(counts, _row(plan, np.uint8(0), drive, part, step)[start:stop])
        else:
            _add(drive.weight, counts, _row(plan, zero, drive, part, step)[start:stop])


@njit
def _copy(counts, row):
    for k in range(len(row)):
        row[k] = counts[k]


@njit
def _add(weight, counts, row):
    real = row.dtype.type  # a float32 times an integer would be a float64
    weight = real(weight)
    for k in range(len(row)):
        row[k] += weight * real(counts[k])


@njit
def _reached(plan, drive, row, half, i, step):
    """The number of spikes that a half word means for neuron i."""
    halves = carray(pointer(drive.halves_at, np.uint64), (drive.sets, drive.limits))[row]
    rests = carray(pointer(drive.rests_at, np.uint64), (drive.sets, drive.limits))[row]
    decides = half < halves[drive.limits - 1]
    rest = np.uint64(0) if decides else half_of(plan.seed, np.uint64(drive.rest), i, step)
    return reached_in_halves(halves, rests, half, rest)


@njit
def draw_words(seed, stream, first, step, drawn):
    """Fill ``drawn`` with the words of the blocks from ``first`` on, four to each."""
    for block in range(len(drawn) // 4):
        w0, w1, w2, w3 = words_in_loop(seed, stream, first + np.uint64(block), step)
        drawn[4 * block], drawn[4 * block + 1] = np.uint32(w0), np.uint32(w1)
        drawn[4 * block + 2], drawn[4 * block + 3] = np.uint32(w2), np.uint32(w3)
