"""What stimuli give to the neurons of a part in one step: injected currents and Poisson drive."""

import numpy as np
from numba import carray, njit

from spikesim.engine.native import pointer, pointer_like
from spikesim.engine.parts import below, clip, span
from spikesim.engine.plan import CELLS, DRIVE, HELD, NOISE
from spikesim.random import standard_normal, word_of, words

DRAWN = 512  # random words drawn at a time, so that they stay in the cache


@njit
def inject(plan, zero, part, step, first_step):
    """Bring the injected currents up to date; they are summed anew in steps in which one of them changes."""
    for cells in range(plan.populations):
        what = carray(pointer(plan.cells_at, CELLS), plan.populations)[cells]
        if what.injected_at == 0 or not (step == first_step or _current_changes(plan, cells, step)):
            continue
        low, high = span(plan, part, cells)
        current = carray(pointer_like(what.injected_at, zero), high)
        for i in range(low, high):
            current[i] = zero
        _add_held(plan, cells, step, low, high, current)
        _add_noise(plan, cells, step, low, high, current)


@njit
def _add_held(plan, cells, step, low, high, current):
    for at in range(plan.held):
        held = carray(pointer(plan.held_at, HELD), plan.held)[at]
        change = below(carray(pointer(held.changes_at, np.int64), held.changes), step + 1) - 1
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
        place = below(changes, step)
        if held.cells == cells and place < held.changes and changes[place] == step:
            return True
    for at in range(plan.noise):
        noise = carray(pointer(plan.noise_at, NOISE), plan.noise)[at]
        if noise.cells == cells and step % noise.interval == 0:
            return True
    return False


@njit
def drive_ports(plan, zero, part, step):
    """Draw the numbers of Poisson spikes and write weight x number for each driven port."""
    drives = carray(pointer(plan.drives_at, DRIVE), plan.drives)
    for at in range(plan.drives):
        low, high = span(plan, part, drives[at].cells)
        row = carray(pointer_like(drives[at].row_at, zero), high)
        for i in range(low, high):
            row[i] = zero
    for at in range(plan.drives):
        drive = drives[at]
        low, high = span(plan, part, drive.cells)
        first, last = clip(drive.start, drive.step, drive.count, low, high)
        row = carray(pointer_like(drive.row_at, zero), high)
        if drive.rows == 1 and drive.step == 1:
            _drive_alike(plan, drive, part, step, drive.start + first, drive.start + last, row)
            continue
        limits = carray(pointer(drive.limits_at, np.uint64), (drive.rows, drive.limits))
        for k in range(first, last):
            i = drive.start + drive.step * k
            word = word_of(plan.seed, np.uint64(drive.stream), i, step)
            count = 0
            for reached in range(drive.limits):
                count += limits[k if drive.rows > 1 else 0, reached] <= word
            row[i] += drive.weight * count


@njit
def _drive_alike(plan, drive, part, step, low, high, row):
    """The same for neurons [low, high) of one rate, in loops that become vector instructions."""
    scratch = carray(pointer(plan.scratch_at, np.uint32), (plan.threads, 2, DRAWN))
    drawn, counts = scratch[part, 0], scratch[part, 1]
    limits = carray(pointer(drive.limits_at, np.uint64), drive.limits)
    weight = drive.weight
    for first in range(low // 4 * 4, high, DRAWN):
        blocks = min(DRAWN, high - first + 3) // 4
        _draw_words(plan.seed, np.uint64(drive.stream), np.uint64(first // 4), blocks, np.uint64(step), drawn)
        _count_reached(limits, drawn[: 4 * blocks], counts)
        for i in range(max(first, low), min(first + DRAWN, high)):
            row[i] += weight * np.int64(counts[i - first])


@njit
def _draw_words(seed, stream, first, blocks, step, drawn):
    """The words of so many blocks of four neurons."""
    for block in range(blocks):
        w0, w1, w2, w3 = words(seed, stream, first + np.uint64(block), step)
        drawn[4 * block], drawn[4 * block + 1] = np.uint32(w0), np.uint32(w1)
        drawn[4 * block + 2], drawn[4 * block + 3] = np.uint32(w2), np.uint32(w3)


@njit
def _count_reached(limits, drawn, counts):
    """How many of the limits each word has reached; four limits at a time, to load each word less often."""
    for k in range(len(drawn)):
        counts[k] = 0
    fours = len(limits) // 4 * 4
    for at in range(0, fours, 4):
        a, b, c, d = np.uint32(limits[at]), np.uint32(limits[at + 1]), np.uint32(limits[at + 2]), np.uint32(limits[at + 3])
        for k in range(len(drawn)):
            word = drawn[k]
            counts[k] += np.uint32(a <= word) + np.uint32(b <= word) + np.uint32(c <= word) + np.uint32(d <= word)
    for at in range(fours, len(limits)):
        limit = np.uint32(limits[at])
        for k in range(len(drawn)):
            counts[k] += np.uint32(limit <= drawn[k])
