"""The time loop of the CPU engine: what one thread does for its part of every population.

In each step a thread delivers the spikes of earlier steps that are due now to its own input slots, updates its own
neurons, and writes down who fired. Where there are more parts than cores a thread works on several parts, for threads
that wait for each other must not wait for a core. Threads meet once a step (and once more for each further stage of
populations that are connected without delay). Where blocks without delay are all there is, each stage goes through several steps
before the next one begins, so that its neurons stay in the cache and threads meet less. A thread writes nothing that another one
writes.
"""

import numpy as np
from numba import carray, njit

from spikesim.barrier import wait_for_all
from spikesim.bits import lowest_bit, ones
from spikesim.connectivity.tables import BLOCK
from spikesim.draws import reached
from spikesim.engine.blocks import deliver_along, deliver_conv, deliver_dense
from spikesim.engine.delivery import DUE, deliver_graded, deliver_segments
from spikesim.engine.native import WORD, call_sweep, marks, pointer, pointer_like, ticks
from spikesim.engine.parts import share, slot_of, span
from spikesim.engine.plan import ALONG, CELLS, CONV, DELIVERY, DENSE, FUTURE, MEETING, ROWS, SAMPLER, STIMULI, TABLE, UPDATE, WORDS
from spikesim.engine.procedural import arrive, deliver_rows
from spikesim.engine.stimuli import DRAWN, SCRATCH, draw_words, drive_ports, inject
from spikesim.kernel import kernel
from spikesim.prefetch import prefetch
from spikesim.program import MEMBRANE, POISSON

SWEPT = 1024  # neurons of one call of a sweep; their flags are searched only if one of them fired


@njit
def _history(plan, slot, cells, part, count):
    """The numbers of the first ``count`` neurons that fired in the step of a slot of the ring."""
    what = carray(pointer(plan.cells_at, CELLS), plan.populations)[cells]
    first = what.start + span(plan, part, cells)[0]
    return carray(pointer(plan.history_at + 4 * (slot * plan.neurons + first), np.int32), count)


@njit
def _counts(plan, part):
    """How many neurons of a part fired, for each slot of the ring and each population; what a step writes is one cache line or few."""
    return carray(pointer(plan.history_counts_at, np.int32), (plan.threads, plan.ring, plan.history_width))[part]


@njit
def _spikes(plan, cells, part, step):
    slot = step % plan.ring
    return _history(plan, slot, cells, part, _counts(plan, part)[slot, cells])


@njit
def _history_sizes(plan, slot, cells, part, count):
    """The sizes of the first ``count`` spikes in a slot of the ring; none of a population that is not graded."""
    what = carray(pointer(plan.cells_at, CELLS), plan.populations)[cells]
    first = what.start + span(plan, part, cells)[0] if what.graded else 0
    return carray(pointer(plan.sizes_at + 4 * (slot * plan.neurons + first), np.int32), count if what.graded else 0)


@njit
def _sizes(plan, cells, part, step):
    slot = step % plan.ring
    return _history_sizes(plan, slot, cells, part, _counts(plan, part)[slot, cells])


@njit
def _is_due(plan, source, delay, step, stage):
    """Whether spikes with this delay are delivered at this stage of the step: at once after their source, or first."""
    if delay > step:
        return False
    after = carray(pointer(plan.cells_at, CELLS), plan.populations)[source].stage + 1
    return stage == (after if delay == 0 else 0)


@njit
def _inputs(plan, step):
    """The address of the input slots of a step."""
    return plan.inputs_at + step % plan.window * plan.input_stride


@njit
def _ages(plan, source, step, stage):
    """How many steps ago [first, last) the spikes were sent that a stage delivers through tables.

    A visit to a spike's synapses delivers what is due until the end of the window. So at its first step all spikes are
    visited, later those alone that are new.
    """
    first = 1 if stage == 0 else plan.ring
    last = plan.ring if step % plan.window == 0 else 2
    after = carray(pointer(plan.cells_at, CELLS), plan.populations)[source].stage + 1
    return (0, 1) if stage == after else (first, min(last, plan.ring))


@njit
def _deliver_tables(plan, one, part, step, stage):
    tables = carray(pointer(plan.tables_at, TABLE), plan.tables)
    for at in range(plan.tables):
        if tables[at].part == part:
            first, last = _ages(plan, tables[at].source, step, stage)
            _deliver_table(plan, one, tables[at], part, step, first, last)


@njit
def _deliver_table(plan, one, table, part, step, youngest, oldest):
    """Deliver what spikes sent [youngest, oldest) steps ago bring from now to the end of the window."""
    due = carray(pointer(plan.due_at, np.int64), (plan.threads, DUE, 4))[part]
    below = carray(pointer(table.below_at, np.int64), plan.ring + plan.window)
    now, left = step % plan.window, plan.window - step % plan.window
    rows = 0
    for sender in range(plan.threads):
        counts = _counts(plan, sender)
        for age in range(youngest, oldest):
            slot = (step - age) % plan.ring
            count = counts[slot, table.source]
            first, last = below[age], below[age + left if age else 1]
            if count == 0 or first == last:  # as most are
                continue
            inputs_at = plan.inputs_at + (now - age) * plan.input_stride + table.base * plan.input_size
            for spike in _history(plan, slot, table.source, sender, count):
                row = np.int64(spike) * table.width
                prefetch(table.segments_at + 4 * (row + first))
                due[rows, 0], due[rows, 1], due[rows, 2], due[rows, 3] = row, first, last, inputs_at
                rows += 1
                if rows == DUE:
                    deliver_segments(rows, table, due, plan.input_stride, one)
                    rows = 0
    deliver_segments(rows, table, due, plan.input_stride, one)


@njit
def _deliver_graded(plan, one, part, step, stage):
    """The tables of graded sources."""
    tables = carray(pointer(plan.graded_at, TABLE), plan.graded)
    for at in range(plan.graded):
        table = tables[at]
        if table.part != part:
            continue
        inputs = carray(pointer_like(_inputs(plan, step) + table.base * plan.input_size, one), BLOCK)
        below = carray(pointer(table.below_at, np.int64), plan.ring + plan.window)
        for delay in range(plan.ring):
            if below[delay] == below[delay + 1] or not _is_due(plan, table.source, delay, step, stage):
                continue
            for sender in range(plan.threads):
                spikes = _spikes(plan, table.source, sender, step - delay)
                deliver_graded(spikes, _sizes(plan, table.source, sender, step - delay), table, below[delay], inputs)


@njit
def _is_block_due(plan, b, step, stage):
    """Whether a block is delivered at this stage of the step: just before its target, if it has no delay, or first."""
    if b.delay > step:
        return False
    target = carray(pointer(plan.cells_at, CELLS), plan.populations)[b.target]
    return stage == (target.stage if b.delay == 0 else 0)


@njit
def _slots_of(plan, part, step, b):
    """The neurons [low, high) of a part to which a block leads, and the address of their input slots."""
    low, high = span(plan, part, b.target)
    return low, high, _inputs(plan, step) + slot_of(plan, part, b.target, b.port) * plan.input_size


@njit
def _deliver_dense(plan, one, part, step, stage):
    for at in range(plan.dense):
        b = carray(pointer(plan.dense_at, DENSE), plan.dense)[at]
        low, high, inputs_at = _slots_of(plan, part, step, b)
        for sender in range(plan.threads if _is_block_due(plan, b, step, stage) else 0):
            sent = step - b.delay
            deliver_dense(_spikes(plan, b.source, sender, sent), _sizes(plan, b.source, sender, sent), b, low, high, inputs_at, one)


@njit
def _deliver_conv(plan, one, part, step, stage):
    for at in range(plan.conv):
        b = carray(pointer(plan.conv_at, CONV), plan.conv)[at]
        low, high, inputs_at = _slots_of(plan, part, step, b)
        for sender in range(plan.threads if _is_block_due(plan, b, step, stage) else 0):
            sent = step - b.delay
            deliver_conv(_spikes(plan, b.source, sender, sent), _sizes(plan, b.source, sender, sent), b, low, high, inputs_at, one)


@njit
def _deliver_along(plan, one, part, step, stage):
    for at in range(plan.along):
        b = carray(pointer(plan.along_at, ALONG), plan.along)[at]
        low, high, inputs_at = _slots_of(plan, part, step, b)
        for sender in range(plan.threads if _is_block_due(plan, b, step, stage) else 0):
            sent = step - b.delay
            deliver_along(_spikes(plan, b.source, sender, sent), _sizes(plan, b.source, sender, sent), b, low, high, inputs_at, one)


@njit
def _deliver_rows(plan, part, step):
    """Draw what the spikes of the last step bring, and deliver what is due now."""
    future = carray(pointer(plan.futures_at, FUTURE), plan.threads)[part]
    arrivals = carray(pointer(future.arrivals_at, np.int64), plan.ring)
    for delay in range(plan.ring):
        arrivals[delay] = (step - 1 + delay) % plan.ring * future.width
    for at in range(plan.rows):
        rows = carray(pointer(plan.rows_at, ROWS), plan.rows)[at]
        for sender in range(plan.threads if rows.part == part else 0):
            deliver_rows(_spikes(plan, rows.source, sender, step - 1), rows, future, arrivals)
    arrive(future, step, plan.ring, _inputs(plan, step))


@kernel
def draw_again(plans, part, step):
    """Draw once more what the spikes of the steps before ``step`` have under way to a part."""
    plan = plans[0]
    for past in range(max(step - plan.ring + 2, 1), step):
        _deliver_rows(plan, part, past)


@kernel
def deliver_again(plans, one, part, step):
    """Deliver once more, through tables, what earlier steps of the window delivered for ``step`` and the rest of the window."""
    plan = plans[0]
    tables = carray(pointer(plan.tables_at, TABLE), plan.tables)
    for at in range(plan.tables):
        if tables[at].part == part:
            _deliver_table(plan, one, tables[at], part, step, 2, plan.ring)


@njit
def _collect(fired_at, dtype, first, last, out, at):
    """Append the neurons of [first, last) whose flag of ``dtype`` is not 0 to ``out`` from ``at`` on; returns the new end."""
    size = carray(pointer(fired_at, dtype), 1).itemsize
    for start in range(first, last, WORD):
        word = marks(fired_at + size * start, dtype)
        if last - start < WORD:  # others may lie beyond
            word &= (1 << (last - start)) - 1
        end = at + ones(word)
        while at < end:  # eight at once, for the end of each word's loop is hard to foresee; what is too much is overwritten
            if at + 8 <= len(out):
                for k in range(8):
                    out[at + k] = start + lowest_bit(word)
                    word &= word - 1
                at = min(at + 8, end)
            else:
                out[at] = start + lowest_bit(word)
                word &= word - 1
                at += 1
    return at


@njit
def _update(plan, what, low, high, part, step, out, sizes):
    """Advance the neurons [low, high) of one population; write who fired into ``out``, how strongly into ``sizes``; return how many."""
    count = 0
    if what.kind == MEMBRANE:
        rows_at = carray(pointer(what.rows_at, np.int64), (plan.window, plan.threads))[step % plan.window, part]
        for first in range(low, high, SWEPT):
            last = min(first + SWEPT, high)
            if call_sweep(what.sweep, first, last, rows_at, what.constants_at):
                fired_at = share(plan, what.fired_at, part)
                if what.graded:
                    count, known = _collect(fired_at, np.int32, first, last, out, count), count
                    fired = carray(pointer(fired_at, np.int32), last)
                    for k in range(known, count):
                        sizes[k] = fired[out[k]]
                else:
                    count = _collect(fired_at, np.uint8, first, last, out, count)
    elif what.kind == POISSON:
        limits = carray(pointer(what.limits_at, np.uint64), high)
        drawn = carray(pointer(plan.scratch_at + part * SCRATCH, np.uint32), DRAWN)
        for first in range(low // 4 * 4, high, DRAWN):
            start, stop = max(first, low), min(first + DRAWN, high)
            draw_words(plan.seed, np.uint64(what.stream), np.uint64(first // 4), np.uint64(step), drawn[: (stop - first + 3) // 4 * 4])
            for i in range(start, stop):
                out[count] = i
                count += np.uint64(drawn[i - first]) < limits[i]
    else:
        steps = carray(pointer(what.train_steps_at, np.int64), what.train_length)
        ids = carray(pointer(what.train_ids_at, np.int64), what.train_length)
        given = carray(pointer(what.train_sizes_at, np.int32), what.train_length if what.graded else 0)
        for k in range(reached(steps, step - 1), reached(steps, step)):
            if low <= ids[k] < high:
                out[count] = ids[k]
                if what.graded:
                    sizes[count] = given[k]
                count += 1
    return count


@njit
def _fire(plan, part, step, stage, offset):
    """Update all populations of a stage and write down their spikes."""
    for cells in range(plan.populations):
        what = carray(pointer(plan.cells_at, CELLS), plan.populations)[cells]
        if what.stage != stage:
            continue
        low, high = span(plan, part, cells)
        out = _history(plan, step % plan.ring, cells, part, high - low)
        sizes = _history_sizes(plan, step % plan.ring, cells, part, high - low)
        count = _update(plan, what, low, high, part, step, out, sizes)
        _counts(plan, part)[step % plan.ring, cells] = count
        counts = carray(pointer(plan.population_counts_at, np.int64), (plan.threads, plan.chunk, plan.populations))
        counts[part, offset, cells] = count
        if what.recorded:
            _record(plan, part, offset, what.start, out, sizes, count)
        if what.counted:
            totals = carray(pointer(plan.neuron_counts_at + 4 * what.start, np.int32), high)
            for k in range(count):
                totals[out[k]] += 1


@njit
def _record(plan, part, offset, start, out, sizes, count):
    recorded = carray(pointer(plan.recorded_at, np.int64), (plan.threads, WORDS))
    record = carray(pointer(share(plan, plan.records_at, part) + 8 * recorded[part, 0], np.int64), count)
    for k in range(count):
        record[k] = offset << 32 | start + out[k]
    if plan.sizes_at:
        strengths = carray(pointer(share(plan, plan.record_sizes_at, part) + 4 * recorded[part, 0], np.int32), count)
        for k in range(count):
            strengths[k] = sizes[k] if len(sizes) else 1
    recorded[part, 0] += count


@njit
def _sample(plan, zero, part, step, stage, first_step):
    for at in range(plan.samplers):
        sampler = carray(pointer(plan.samplers_at, SAMPLER), plan.samplers)[at]
        what = carray(pointer(plan.cells_at, CELLS), plan.populations)[sampler.cells]
        if what.stage != stage or (step + 1) % sampler.interval:
            continue
        low, high = span(plan, part, sampler.cells)
        ids = carray(pointer(sampler.ids_at, np.int64), sampler.count)
        row = carray(pointer_like(share(plan, sampler.row_at, part), zero), high)
        line = (step + 1) // sampler.interval - 1 - first_step // sampler.interval
        out = carray(pointer(sampler.out_at + line * sampler.count * 8, np.float64), sampler.count)
        for k in range(reached(ids, low - 1), reached(ids, high - 1)):
            out[k] = row[ids[k]]


@njit
def _lap(plan, worker, phase, since):
    """Count the ticks since then for a phase, where phases are timed; returns the time stamp now."""
    if not plan.timed:
        return since
    now = ticks()
    carray(pointer(plan.ticks_at, np.int64), (plan.workers, WORDS))[worker, phase] += now - since
    return now


@kernel
def work(plans, one, zero, procedural, worker, first_step, steps):
    """Run a worker's parts from step ``first_step`` for ``steps`` steps, together with the other workers.

    plans: one record of type PLAN; one, zero: a number of the type of the input slots and of the state; procedural: None if
    no rows are drawn, so that what draws them is not compiled.
    """
    plan = plans[0]
    turn = 0
    clock = ticks()
    for begin in range(first_step, first_step + steps, plan.together):
        end = min(begin + plan.together, first_step + steps)
        for stage in range(plan.stages):
            for step in range(begin, end):
                for part in range(worker, plan.threads, plan.workers):
                    inject(plan, zero, part, step, stage, first_step)
                    drive_ports(plan, zero, part, step, stage)
                clock = _lap(plan, worker, STIMULI, clock)
                for part in range(worker, plan.threads, plan.workers):
                    if procedural is not None and stage == 0:
                        _deliver_rows(plan, part, step)
                    _deliver_tables(plan, one, part, step, stage)
                    _deliver_graded(plan, one, part, step, stage)
                    _deliver_dense(plan, one, part, step, stage)
                    _deliver_conv(plan, one, part, step, stage)
                    _deliver_along(plan, one, part, step, stage)
                clock = _lap(plan, worker, DELIVERY, clock)
                for part in range(worker, plan.threads, plan.workers):
                    _fire(plan, part, step, stage, step - first_step)
                    _sample(plan, zero, part, step, stage, first_step)
                clock = _lap(plan, worker, UPDATE, clock)
            if plan.workers > 1:
                wait_for_all(plan.barrier_at, plan.workers, turn)
                turn += 1
                clock = _lap(plan, worker, MEETING, clock)
