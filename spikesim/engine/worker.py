"""The time loop of the CPU engine: what one thread does for its part of every population.

In each step a thread delivers the spikes of earlier steps that are due now to its own input slots, updates its own
neurons, and writes down who fired. Threads meet once a step (and once more for each further stage of populations
that are connected without delay). A thread writes nothing that another one writes.
"""

import numpy as np
from numba import carray, njit

from spikesim.connectivity.tables import BLOCK
from spikesim.engine.delivery import deliver_conv, deliver_dense, deliver_table
from spikesim.engine.native import call_sweep, pointer, pointer_like, wait_for_all
from spikesim.engine.plan import CELLS, CONV, DENSE, DRIVE, HELD, NOISE, SAMPLER, SHAPES, TABLE
from spikesim.kernel import kernel
from spikesim.program import MEMBRANE, POISSON
from spikesim.random import standard_normal, word_of, words

DRAWN = 512  # random words drawn at a time, so that they stay in the cache
SWEPT = 1024  # neurons of one call of a sweep; their flags are searched only if one of them fired


@njit
def _span(plan, part, cells):
    """The neurons [low, high) of a population that belong to a part."""
    bounds = carray(pointer(plan.bounds_at, np.int64), (plan.threads + 1, plan.populations))
    return bounds[part, cells], bounds[part + 1, cells]


@njit
def _slot(plan, part, cells, port):
    slots = carray(pointer(plan.slots_at, np.int64), (plan.threads, plan.populations, plan.ports))
    return slots[part, cells, port]


@njit
def _clip(start, step, count, low, high):
    """The range of k in [0, count) for which low <= start + step * k < high."""
    return min(max((low - start + step - 1) // step, 0), count), min(max((high - start + step - 1) // step, 0), count)


@njit
def _below(values, bound):
    """How many of the ascending ``values`` lie below ``bound`` (numpy's searchsorted takes seconds to compile)."""
    low, high = 0, len(values)
    while low < high:
        middle = (low + high) // 2
        if values[middle] < bound:
            low = middle + 1
        else:
            high = middle
    return low


@njit
def _fired_at(plan, slot, cells, part):
    """The address of the numbers (int32) of who fired in the step of a ring slot, and where their count stands."""
    what = carray(pointer(plan.cells_at, CELLS), plan.populations)[cells]
    first = what.start + _span(plan, part, cells)[0]
    return plan.history_at + 4 * (slot * plan.neurons + first), (slot * plan.populations + cells) * plan.threads + part


@njit
def _spikes(plan, cells, part, step):
    address, at = _fired_at(plan, step % plan.ring, cells, part)
    count = carray(pointer(plan.history_counts_at, np.int64), at + 1)[at]
    return carray(pointer(address, np.int32), count)


@njit
def _is_due(plan, source, delay, step, stage):
    """Whether spikes with this delay are delivered at this stage of the step: at once after their source, or first."""
    if delay > step:
        return False
    after = carray(pointer(plan.cells_at, CELLS), plan.populations)[source].stage + 1
    return stage == (after if delay == 0 else 0)


@njit
def _deliver_tables(plan, one, part, step, stage):
    tables = carray(pointer(plan.tables_at, TABLE), plan.tables)
    for at in range(plan.tables):
        table = tables[at]
        if table.part != part:
            continue
        inputs = carray(pointer_like(plan.inputs_at + table.base * plan.input_size, one), BLOCK)
        delays = carray(pointer(table.delays_at, np.int64), table.width)
        segments = carray(pointer(table.segments_at, np.int64), table.rows)
        targets = carray(pointer(table.targets_at, np.uint16), table.length)
        for column in range(table.width):
            if not _is_due(plan, table.source, delays[column], step, stage):
                continue
            for sender in range(plan.threads):
                spikes = _spikes(plan, table.source, sender, step - delays[column])
                if table.bits == 16:
                    weights = carray(pointer(table.weights_at, np.int16), 1 if table.shared else table.length)
                    deliver_table(spikes, column, table.width, segments, targets, weights, table.shared, inputs)
                else:
                    wide = carray(pointer(table.weights_at, np.int32), 1 if table.shared else table.length)
                    deliver_table(spikes, column, table.width, segments, targets, wide, table.shared, inputs)


@njit
def _deliver_dense(plan, one, part, step, stage):
    blocks = carray(pointer(plan.dense_at, DENSE), plan.dense)
    for at in range(plan.dense):
        b = blocks[at]
        if not _is_due(plan, b.source, b.delay, step, stage):
            continue
        low, high = _span(plan, part, b.target)
        first, last = _clip(b.target_start, b.target_step, b.targets, low, high)
        start = _slot(plan, part, b.target, b.port) + b.target_start + first * b.target_step - low
        inputs = carray(pointer_like(plan.inputs_at + start * plan.input_size, one), max((last - first) * b.target_step, 0))
        for sender in range(plan.threads):
            spikes = _spikes(plan, b.source, sender, step - b.delay)
            if b.bits == 16:
                weights = carray(pointer(b.weights_at, np.int16), (b.sources, b.targets))
                deliver_dense(spikes, b.source_start, b.source_step, weights, first, last, inputs, b.target_step)
            else:
                wide = carray(pointer(b.weights_at, np.int32), (b.sources, b.targets))
                deliver_dense(spikes, b.source_start, b.source_step, wide, first, last, inputs, b.target_step)


@njit
def _deliver_conv(plan, one, part, step, stage):
    blocks = carray(pointer(plan.conv_at, CONV), plan.conv)
    for at in range(plan.conv):
        b = blocks[at]
        if not _is_due(plan, b.source, b.delay, step, stage):
            continue
        low, high = _span(plan, part, b.target)
        inputs = carray(pointer_like(plan.inputs_at + _slot(plan, part, b.target, b.port) * plan.input_size, one), high - low)
        shapes = carray(pointer(b.shapes_at, np.int64), (SHAPES, 4))
        for sender in range(plan.threads):
            spikes = _spikes(plan, b.source, sender, step - b.delay)
            deliver_conv(spikes, b.source_start, b.source_step, b.weights_at, b.bits, shapes, low, high, b.target_start,
                         b.target_step, inputs)  # fmt: skip


@njit
def _inject(plan, zero, part, step, first_step):
    """Bring the injected currents up to date; they are summed anew in steps in which one of them changes."""
    for cells in range(plan.populations):
        what = carray(pointer(plan.cells_at, CELLS), plan.populations)[cells]
        if what.injected_at == 0 or not (step == first_step or _current_changes(plan, cells, step)):
            continue
        low, high = _span(plan, part, cells)
        current = carray(pointer_like(what.injected_at, zero), high)
        for i in range(low, high):
            current[i] = zero
        _add_held(plan, cells, step, low, high, current)
        _add_noise(plan, cells, step, low, high, current)


@njit
def _add_held(plan, cells, step, low, high, current):
    for at in range(plan.held):
        held = carray(pointer(plan.held_at, HELD), plan.held)[at]
        change = _below(carray(pointer(held.changes_at, np.int64), held.changes), step + 1) - 1
        if held.cells != cells or change < 0:
            continue
        values = carray(pointer(held.values_at, np.float64), (held.changes, held.width))
        first, last = _clip(held.start, held.step, held.count, low, high)
        for k in range(first, last):
            current[held.start + held.step * k] += values[change, k if held.width > 1 else 0]


@njit
def _add_noise(plan, cells, step, low, high, current):
    for at in range(plan.noise):
        noise = carray(pointer(plan.noise_at, NOISE), plan.noise)[at]
        if noise.cells != cells:
            continue
        first, last = _clip(noise.start, noise.step, noise.count, low, high)
        for k in range(first, last):
            i = noise.start + noise.step * k
            w0, w1, _, _ = words(plan.seed, np.uint64(noise.stream), np.uint64(i), np.uint64(step // noise.interval))
            current[i] += noise.mean + noise.sd * standard_normal(w0, w1)


@njit
def _current_changes(plan, cells, step):
    for at in range(plan.held):
        held = carray(pointer(plan.held_at, HELD), plan.held)[at]
        changes = carray(pointer(held.changes_at, np.int64), held.changes)
        place = _below(changes, step)
        if held.cells == cells and place < held.changes and changes[place] == step:
            return True
    for at in range(plan.noise):
        noise = carray(pointer(plan.noise_at, NOISE), plan.noise)[at]
        if noise.cells == cells and step % noise.interval == 0:
            return True
    return False


@njit
def _drive(plan, zero, part, step):
    """Draw the numbers of Poisson spikes and write weight x number for each driven port."""
    drives = carray(pointer(plan.drives_at, DRIVE), plan.drives)
    for at in range(plan.drives):
        low, high = _span(plan, part, drives[at].cells)
        row = carray(pointer_like(drives[at].row_at, zero), high)
        for i in range(low, high):
            row[i] = zero
    for at in range(plan.drives):
        drive = drives[at]
        low, high = _span(plan, part, drive.cells)
        first, last = _clip(drive.start, drive.step, drive.count, low, high)
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


@njit
def _collect(fired_at, first, last, out, at):
    """Append the neurons of [first, last) whose flag is set to ``out`` from ``at`` on; returns the new end."""
    fired = carray(pointer(fired_at, np.uint8), last)
    eights = carray(pointer(fired_at + first, np.uint64), (last - first) // 8)
    for k in range(len(eights)):
        if eights[k]:
            for i in range(first + 8 * k, first + 8 * k + 8):
                if fired[i]:
                    out[at] = i
                    at += 1
    for i in range(first + 8 * len(eights), last):
        if fired[i]:
            out[at] = i
            at += 1
    return at


@njit
def _update(plan, what, low, high, part, step, out):
    """Advance the neurons [low, high) of one population; write who fired into ``out`` and return how many."""
    count = 0
    if what.kind == MEMBRANE:
        rows_at = carray(pointer(what.rows_at, np.int64), plan.threads)[part]
        for first in range(low, high, SWEPT):
            last = min(first + SWEPT, high)
            if call_sweep(what.sweep, first, last, rows_at, what.constants_at):
                count = _collect(plan.fired_at + what.start, first, last, out, count)
    elif what.kind == POISSON:
        limits = carray(pointer(what.limits_at, np.uint64), high)
        for i in range(low, high):
            if word_of(plan.seed, np.uint64(what.stream), i, step) < limits[i]:
                out[count] = i
                count += 1
    else:
        steps = carray(pointer(what.train_steps_at, np.int64), what.train_length)
        ids = carray(pointer(what.train_ids_at, np.int64), what.train_length)
        for k in range(_below(steps, step), _below(steps, step + 1)):
            if low <= ids[k] < high:
                out[count] = ids[k]
                count += 1
    return count


@njit
def _fire(plan, part, step, stage, offset):
    """Update all populations of a stage and write down their spikes."""
    for cells in range(plan.populations):
        what = carray(pointer(plan.cells_at, CELLS), plan.populations)[cells]
        if what.stage != stage:
            continue
        low, high = _span(plan, part, cells)
        address, at = _fired_at(plan, step % plan.ring, cells, part)
        out = carray(pointer(address, np.int32), high - low)
        count = _update(plan, what, low, high, part, step, out)
        carray(pointer(plan.history_counts_at, np.int64), at + 1)[at] = count
        counts = carray(pointer(plan.population_counts_at, np.int64), (plan.threads, plan.chunk, plan.populations))
        counts[part, offset, cells] = count
        if what.recorded:
            _record(plan, part, offset, what.start, out, count)
        if what.counted:
            totals = carray(pointer(plan.neuron_counts_at + 8 * what.start, np.int64), high)
            for k in range(count):
                totals[out[k]] += 1


@njit
def _record(plan, part, offset, start, out, count):
    recorded = carray(pointer(plan.recorded_at, np.int64), plan.threads)
    steps = carray(pointer(plan.record_steps_at, np.int32), (plan.threads, plan.capacity))
    neurons = carray(pointer(plan.record_neurons_at, np.int32), (plan.threads, plan.capacity))
    for k in range(count):
        steps[part, recorded[part] + k] = offset
        neurons[part, recorded[part] + k] = start + out[k]
    recorded[part] += count


@njit
def _sample(plan, zero, part, step, first_step):
    for at in range(plan.samplers):
        sampler = carray(pointer(plan.samplers_at, SAMPLER), plan.samplers)[at]
        if (step + 1) % sampler.interval:
            continue
        low, high = _span(plan, part, sampler.cells)
        ids = carray(pointer(sampler.ids_at, np.int64), sampler.count)
        row = carray(pointer_like(sampler.row_at, zero), high)
        line = (step + 1) // sampler.interval - 1 - first_step // sampler.interval
        out = carray(pointer(sampler.out_at + line * sampler.count * 8, np.float64), sampler.count)
        for k in range(_below(ids, low), _below(ids, high)):
            out[k] = row[ids[k]]


@kernel
def work(plans, one, zero, part, first_step, steps):
    """Run a part from step ``first_step`` for ``steps`` steps, together with the threads of the other parts.

    plans: one record of type PLAN; one, zero: a number of the type of the input slots and of the state.
    """
    plan = plans[0]
    turn = 0
    for step in range(first_step, first_step + steps):
        _inject(plan, zero, part, step, first_step)
        _drive(plan, zero, part, step)
        for stage in range(plan.stages):
            _deliver_tables(plan, one, part, step, stage)
            _deliver_dense(plan, one, part, step, stage)
            _deliver_conv(plan, one, part, step, stage)
            _fire(plan, part, step, stage, step - first_step)
            if plan.threads > 1:
                wait_for_all(plan.barrier_at, plan.threads, turn)
                turn += 1
        _sample(plan, zero, part, step, first_step)
