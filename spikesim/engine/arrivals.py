"""Arrivals: what the spikes of earlier steps, and of earlier stages of this one, bring to the input slots of a part."""

import numpy as np
from numba import carray, njit

from spikesim.connectivity.tables import BLOCK
from spikesim.engine.blocks import deliver_along, deliver_conv, deliver_dense
from spikesim.engine.delivery import DUE, FIELDS, deliver_graded, deliver_segments
from spikesim.engine.history import counts_of, fired_in, sizes_of, spikes_of
from spikesim.engine.native import pointer, pointer_like
from spikesim.engine.parts import slot_of, span
from spikesim.engine.plan import ALONG, CELLS, CONV, DENSE, FUTURE, ROWS, TABLE
from spikesim.engine.procedural import arrive, deliver_rows
from spikesim.kernel import kernel
from spikesim.prefetch import prefetch


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
def deliver_earlier(plan, one, part, step):
    """At the first step of a window, the tables for spikes of the steps before the last one.

    A visit to a spike's synapses delivers what is due until the end of the window. So at its first step all spikes are
    visited, later those alone that are new.
    """
    if step % plan.window == 0:
        _deliver_earlier(plan, one, part, step)


@njit
def _deliver_earlier(plan, one, part, step):
    tables = carray(pointer(plan.tables_at, TABLE), plan.tables)
    rows = 0
    for at in range(plan.tables):
        if tables[at].part == part:
            rows = _find_due(plan, one, at, part, step, 2, plan.ring, rows)
    deliver_segments(plan, part, rows, one)


@njit
def deliver_tables(plan, one, part, step, stage):
    """The tables for spikes of the last step, or of an earlier stage of this one; of sources whose spikes have no sizes."""
    tables = carray(pointer(plan.tables_at, TABLE), plan.tables)
    rows = 0
    for at in range(plan.tables):
        if tables[at].part != part:
            continue
        if stage == 0:
            rows = _find_due(plan, one, at, part, step, 1, min(2, plan.ring), rows)
        elif stage == carray(pointer(plan.cells_at, CELLS), plan.populations)[tables[at].source].stage + 1:
            rows = _find_due(plan, one, at, part, step, 0, 1, rows)
    deliver_segments(plan, part, rows, one)


@njit
def _find_due(plan, one, at, part, step, youngest, oldest, rows):
    """Add to the ``rows`` that are due what spikes sent [youngest, oldest) steps ago bring from now to the end of the window.

    Those of all tables are found before any is delivered, because the first ones to be delivered take long. Returns how many there are.
    """
    table = carray(pointer(plan.tables_at, TABLE), plan.tables)[at]
    due = carray(pointer(plan.due_at, np.int64), (plan.threads, DUE, FIELDS))[part]
    below = carray(pointer(table.below_at, np.int64), plan.ring + plan.window)
    now, left = step % plan.window, plan.window - step % plan.window
    for sender in range(plan.threads):
        counts = counts_of(plan, sender)
        for age in range(youngest, oldest):
            slot = (step - age) % plan.ring
            count = counts[slot, table.source]
            first, last = below[age], below[age + left if age else 1]
            if count == 0 or first == last:  # as most are
                continue
            inputs_at = plan.inputs_at + (now - age) * plan.input_stride + table.base * plan.input_size
            for spike in fired_in(plan, slot, table.source, sender, count):
                row = np.int64(spike) * table.width
                prefetch(table.segments_at + 4 * (row + first))
                due[rows, 0], due[rows, 1], due[rows, 2], due[rows, 3], due[rows, 4] = row, first, last, inputs_at, at
                rows += 1
                if rows == DUE:
                    deliver_segments(plan, part, rows, one)
                    rows = 0
    return rows


@njit
def deliver_graded_tables(plan, one, part, step, stage):
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
                spikes = spikes_of(plan, table.source, sender, step - delay)
                deliver_graded(spikes, sizes_of(plan, table.source, sender, step - delay), table, below[delay], inputs)


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


def _deliverer(kind, deliver):
    """What delivers the blocks of one kind, a record of the plan, by its kernel; numba caches no function that is given another."""

    @njit
    def deliver_kind(plan, one, part, step, stage, blocks_at, number):
        for at in range(number):
            b = carray(pointer(blocks_at, kind), number)[at]
            low, high, inputs_at = _slots_of(plan, part, step, b)
            for sender in range(plan.threads if _is_block_due(plan, b, step, stage) else 0):
                sent = step - b.delay
                deliver(spikes_of(plan, b.source, sender, sent), sizes_of(plan, b.source, sender, sent), b, low, high, inputs_at, one)

    return deliver_kind


_dense, _conv, _along = _deliverer(DENSE, deliver_dense), _deliverer(CONV, deliver_conv), _deliverer(ALONG, deliver_along)


@njit
def deliver_blocks(plan, one, part, step, stage):
    """Structured connectivity of every kind."""
    _dense(plan, one, part, step, stage, plan.dense_at, plan.dense)
    _conv(plan, one, part, step, stage, plan.conv_at, plan.conv)
    _along(plan, one, part, step, stage, plan.along_at, plan.along)


@njit
def deliver_drawn(plan, part, step):
    """Draw what the spikes of the last step bring, and deliver what is due now."""
    future = carray(pointer(plan.futures_at, FUTURE), plan.threads)[part]
    arrivals = carray(pointer(future.arrivals_at, np.int64), plan.ring)
    for delay in range(plan.ring):
        arrivals[delay] = (step - 1 + delay) % plan.ring * future.width
    for at in range(plan.rows):
        rows = carray(pointer(plan.rows_at, ROWS), plan.rows)[at]
        for sender in range(plan.threads if rows.part == part else 0):
            deliver_rows(spikes_of(plan, rows.source, sender, step - 1), rows, future, arrivals)
    arrive(future, step, plan.ring, _inputs(plan, step))


@kernel
def draw_again(plans, part, step):
    """Draw once more what the spikes of the steps before ``step`` have under way to a part."""
    plan = plans[0]
    for past in range(max(step - plan.ring + 2, 1), step):
        deliver_drawn(plan, part, past)


@kernel
def deliver_again(plans, one, part, step):
    """Deliver once more, through tables, what earlier steps of the window delivered for ``step`` and the rest of the window."""
    _deliver_earlier(plans[0], one, part, step)
