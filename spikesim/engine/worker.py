"""The time loop of the CPU engine: what one thread does for its part of every population.

In each step a thread delivers the spikes of earlier steps that are due now to its own input slots, updates its own
neurons, and writes down who fired. Where there are more parts than cores a thread works on several parts, for threads
that wait for each other must not wait for a core. Threads meet once a step (and once more for each further stage of
populations that are connected without delay). Where blocks without delay are all there is, each stage goes through several steps
before the next one begins, so that its neurons stay in the cache and threads meet less. What needs no other thread is done between
the end of a step and the meeting: the Poisson drive, and the delivery of spikes that are known already. A thread writes nothing that
another one writes, but for the drive, see `spikesim.engine.ahead`.
"""

import numpy as np
from numba import carray, njit

from spikesim.barrier import arrive, have_come, wait
from spikesim.bits import lowest_bit, ones
from spikesim.draws import reached
from spikesim.engine.ahead import draw_ahead, have_drive
from spikesim.engine.arrivals import deliver_blocks, deliver_drawn, deliver_earlier, deliver_graded_tables, deliver_tables
from spikesim.engine.history import counts_of, fired_in, sizes_in
from spikesim.engine.native import COMPRESSES, WORD, append_marked, call_sweep, marks, pointer, pointer_like, ticks
from spikesim.engine.parts import share, span
from spikesim.engine.plan import CELLS, DELIVERY, MEETING, SAMPLER, STIMULI, SWEPT, UPDATE, WORDS
from spikesim.engine.stimuli import DRAWN, SCRATCH, draw_words, inject
from spikesim.kernel import kernel
from spikesim.program import MEMBRANE, POISSON


@njit
def _collect(fired_at, dtype, first, last, out, at):
    """Append the neurons of [first, last) whose flag of ``dtype`` is not 0 to ``out`` from ``at`` on; returns the new end."""
    size = carray(pointer(fired_at, dtype), 1).itemsize
    for start in range(first, last, WORD):
        word = marks(fired_at + size * start, dtype)
        if last - start < WORD:  # others may lie beyond
            word &= (1 << (last - start)) - 1
        end = at + ones(word)
        if COMPRESSES and at < end and at + WORD <= len(out):
            append_marked(out.ctypes.data + 4 * at, word, start)
            at = end
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
        rows_at = carray(pointer(what.rows_at, np.int64), (plan.sweeps, plan.threads))[step % plan.sweeps, part]
        for first in range(low, high, SWEPT):
            last = min(first + SWEPT, high)
            if call_sweep(what.sweep, first, last, rows_at, what.constants_at):  # else there are no flags to search
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
        out = fired_in(plan, step % plan.ring, cells, part, high - low)
        sizes = sizes_in(plan, step % plan.ring, cells, part, high - low)
        count = _update(plan, what, low, high, part, step, out, sizes)
        counts_of(plan, part)[step % plan.ring, cells] = count
        counts = carray(pointer(plan.population_counts_at, np.int64), (plan.threads, plan.chunk, plan.populations))
        counts[part, offset, cells] = count
        if what.recorded:
            _record(plan, part, offset, what.start, out, sizes, count)
        if what.counted:
            totals = carray(pointer(plan.neuron_counts_at + 2 * what.start, np.int16), high)
            for k in range(count):
                totals[np.uint64(out[k])] += 1


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
    last = first_step + steps
    clock = ticks()
    for turn in range(-(-steps // plan.together) * plan.stages):
        begin, stage = first_step + turn // plan.stages * plan.together, turn % plan.stages
        for step in range(begin, min(begin + plan.together, last)):
            for part in range(worker, plan.threads, plan.workers):
                inject(plan, zero, part, step, stage, first_step)
                if stage == 0:
                    have_drive(plan, zero, worker, part, step)
            clock = _lap(plan, worker, STIMULI, clock)
            for part in range(worker, plan.threads if stage == 0 else 0, plan.workers):
                deliver_earlier(plan, one, part, step)
            clock = _lap(plan, worker, DELIVERY, clock)
            if step == begin and turn > 0 and plan.workers > 1:
                while not have_come(plan.barrier_at, plan.workers, turn - 1) and draw_ahead(plan, zero, worker, step, last):
                    pass
                clock = _lap(plan, worker, STIMULI, clock)
                wait(plan.barrier_at, plan.workers, turn - 1)
                clock = _lap(plan, worker, MEETING, clock)
            for part in range(worker, plan.threads, plan.workers):
                if procedural is not None and stage == 0:
                    deliver_drawn(plan, part, step)
                deliver_tables(plan, one, part, step, stage)
                deliver_graded_tables(plan, one, part, step, stage)
                deliver_blocks(plan, one, part, step, stage)
            clock = _lap(plan, worker, DELIVERY, clock)
            for part in range(worker, plan.threads, plan.workers):
                _fire(plan, part, step, stage, step - first_step)
                _sample(plan, zero, part, step, stage, first_step)
            clock = _lap(plan, worker, UPDATE, clock)
        if plan.workers > 1:
            arrive(plan.barrier_at, plan.workers)
