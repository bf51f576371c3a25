"""The emulator's kernels: cores advance by ticks, in float32 that holds their whole numbers exactly.

All sums stay below 2**24, so float32 is exact, and a vector unit updates eight or sixteen neurons at once. Work follows events: only
the rows of active axons are read, 32 bytes each, and a core in which nothing moves is left out until a spike arrives. A thread owns
cores; what it sends it puts into scheduler bits of its own, which the owner of the target ORs together in the tick they are due.
"""

import numpy as np
from numba import njit

from spikesim.hardware.truenorth.native import prefetch
from spikesim.hardware.truenorth.neuron import LEAK_ROW, THRESHOLD_ROW, drawn, place, random_byte, random_half, step
from spikesim.kernel import kernel

LONE = np.uint32(1) << np.arange(32, dtype=np.uint32)  # each bit by itself
RELAXED = {"nnan", "nsz"}  # as the engines have it: no rounding changes
ZERO, ONE = np.float32(0), np.float32(1)
LOW, HIGH = np.float32(-(2**19)), np.float32(2**19 - 1)
REVERSAL, STOCHASTIC_LEAK, FLOOR_RESETS, RESET_AT, SYNAPSE_AT = 1, 2, 4, 3, 5  # bits of a neuron's modes: reset takes two, synapses four
EVEN, DETERMINISTIC, STOCHASTIC = 0, 1, 2  # cores: all neurons alike; without random numbers; with
BLOCK = 32  # cores
SENDS, WATCHED = 1, 2  # a route in one word, for each spike looks one up at random: these bits, and fields from the bits
DELAY_AT, AXON_AT, CROSSINGS_AT, HOPS_AT, TARGET_AT = 2, 6, 14, 20, 30
SPIKES, EVENTS, HOPS, CROSSINGS, PACKETS, OVERFLOWS, ARRIVALS, AWAKE = range(8)  # what is counted


@njit
def add_row(row, weights, total):
    """total += weights where the bits of ``row`` are set; uint64 (4,), int16 (256,), int32 (256,)."""
    for half in range(8):
        bits = np.uint32(row[half >> 1] >> np.uint64(32 * (half & 1)))
        at = 32 * half
        for k in range(32):
            total[at + k] += np.int32(weights[at + k]) if bits & LONE[k] else np.int32(0)


@njit
def add_even_row(row, weight, total):
    """As `add_row`, with one weight for all neurons, which need not be read."""
    for half in range(8):
        bits = np.uint32(row[half >> 1] >> np.uint64(32 * (half & 1)))
        at = 32 * half
        for k in range(32):
            total[at + k] += weight if bits & LONE[k] else np.int32(0)


@njit
def add_drawn_row(row, weights, modes, type_bit, first, seed, tick, total):
    """As `add_row`, where the stochastic synapses draw a byte each."""
    for j in range(256):
        if row[j >> 6] >> np.uint64(j & 63) & np.uint64(1):
            weight = np.int64(weights[j])
            total[j] += drawn(weight, random_byte(seed, first, j, tick)) if modes[j] & type_bit else weight


@njit(error_model="numpy", fastmath=RELAXED)
def update_even(v, total, leak, alpha, beta, v_reset, modes, flags):
    """All neurons of a core by one set of parameters and the default rules; flags: uint8 (3, 256), see `flagged`."""
    own_leak, own_alpha, own_beta, own_reset = leak[0], alpha[0], beta[0], v_reset[0]
    reversal, mode = np.float32(modes[0] & REVERSAL), np.float32(modes[0] >> RESET_AT & 3)
    saturates = ZERO if modes[0] & FLOOR_RESETS else ONE
    for j in range(256):
        new, lost, spike = step(v[j], ZERO, ZERO, np.float32(total[j]), ZERO, ZERO, ZERO, own_leak, reversal, ZERO, own_alpha, own_beta,
                                own_reset, mode, saturates, LOW, HIGH, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO)  # fmt: skip
        flags[0, j], flags[1, j], flags[2, j] = spike, lost != ZERO, new != v[j]
        v[j] = new


@njit(error_model="numpy", fastmath=RELAXED)
def update_each(v, total, leak, noise, alpha, beta, v_reset, modes, rules, flags):
    """Each neuron by its own parameters and any rules; flags: uint8 (3, 256), see `flagged`."""
    low, high, span, leak_first, stops, touches, shifts, forces = rules
    for j in range(256):
        reversal, mode = np.float32(modes[j] & REVERSAL), np.float32(modes[j] >> RESET_AT & 3)
        saturates = ZERO if modes[j] & FLOOR_RESETS else ONE
        new, lost, spike = step(v[j], ZERO, ZERO, np.float32(total[j]), ZERO, ZERO, ZERO, leak[j], reversal, noise[j], alpha[j], beta[j],
                                v_reset[j], mode, saturates, low, high, span, leak_first, stops, touches, shifts, forces)  # fmt: skip
        flags[0, j], flags[1, j], flags[2, j] = spike, lost != ZERO, new != v[j]
        v[j] = new


@njit
def flagged(flags):
    """How many neurons fired, overflowed, and moved; in a loop of its own, for the update is vectorised only without sums."""
    spikes, lost, moved = np.int64(0), np.int64(0), np.int64(0)
    for j in range(256):
        spikes += flags[0, j]
        lost += flags[1, j]
        moved += flags[2, j]
    return spikes, lost, moved


@njit
def draw_row(core, x, y, leak, mask, modes, seed, tick, drawn_leak, noise):
    """The leak and the noise of the threshold of a core's neurons in this tick."""
    leaks, thresholds = place(x, y, LEAK_ROW), place(x, y, THRESHOLD_ROW)
    for j in range(256):
        drawn_leak[j] = leak[j]
        noise[j] = ZERO
        if modes[j] & STOCHASTIC_LEAK:
            drawn_leak[j] = np.float32(drawn(np.int64(leak[j]), random_byte(seed, leaks, j, tick)))
        if mask[j]:
            noise[j] = np.float32(random_half(seed, thresholds, j, tick) & np.int64(mask[j]))


@njit
def arrivals(core, slot, rings, active, found):
    """Take the scheduler bits of a core out of all threads' rings and list the active axons in ``active`` from ``found`` on."""
    for w in range(4):
        word = np.uint64(0)
        for thread in range(len(rings)):
            word |= rings[thread, slot, core, w]
            rings[thread, slot, core, w] = np.uint64(0)
        bit = 64 * w
        while word:
            while not word & np.uint64(0xFF):
                word >>= np.uint64(8)
                bit += 8
            if word & np.uint64(1):
                active[found] = bit
                found += 1
            word >>= np.uint64(1)
            bit += 1
    return found


@njit
def look_ahead(core, chip, active):
    """Ask for the rows and types of a core's active axons."""
    rows, kinds = chip.crossbar[core].ctypes.data, chip.axon_types[core].ctypes.data
    for axon in active:
        prefetch(rows + 32 * axon)
        prefetch(kinds + 2 * axon)


@njit
def integrate(core, chip, active, seed, tick, total):
    """Add what the active axons bring to each neuron of a core; returns the synaptic events."""
    total[:] = 0
    events = 0
    for axon in active:
        kind = np.int64(chip.axon_types[core, axon] & 3)
        events += np.int64(chip.axon_types[core, axon] >> 2)
        if chip.kinds[core] == STOCHASTIC:
            first = place(chip.positions[core, 0], chip.positions[core, 1], axon)
            add_drawn_row(chip.crossbar[core, axon], chip.weights[core, kind], chip.modes[core], 1 << (SYNAPSE_AT + kind), first, seed,
                          tick, total)  # fmt: skip
        elif chip.kinds[core] == EVEN:
            add_even_row(chip.crossbar[core, axon], np.int32(chip.weights[core, kind, 0]), total)
        else:
            add_row(chip.crossbar[core, axon], chip.weights[core, kind], total)
    return events


@njit
def update(core, chip, v, total, leak, noise, still, seed, tick, rules, default, flags):
    """One tick of a core's neurons, by the loop that suits them."""
    if chip.kinds[core] == EVEN and default:
        update_even(v[core], total, chip.leak[core], chip.alpha[core], chip.beta[core], chip.v_reset[core], chip.modes[core], flags)
    elif chip.kinds[core] == STOCHASTIC:
        draw_row(core, chip.positions[core, 0], chip.positions[core, 1], chip.leak[core], chip.mask[core], chip.modes[core], seed, tick,
                 leak, noise)  # fmt: skip
        update_each(v[core], total, leak, noise, chip.alpha[core], chip.beta[core], chip.v_reset[core], chip.modes[core], rules, flags)
    else:
        update_each(v[core], total, chip.leak[core], still, chip.alpha[core], chip.beta[core], chip.v_reset[core], chip.modes[core], rules,
                    flags)  # fmt: skip


@njit
def list_spikes(core, fired, routes, spikes, found):
    """Put the neurons of a core that fired into ``spikes`` from ``found`` on and ask for their routes."""
    words, address = fired.view(np.uint64), routes[core].ctypes.data
    for block in range(32):
        if words[block]:
            for j in range(8 * block, 8 * block + 8):
                if fired[j]:
                    spikes[found] = core * 256 + j
                    prefetch(address + 8 * j)
                    found += 1
    return found


@njit
def send(spikes, routes, tick, ring, out, found, counts):
    """Put spikes into the scheduler bits of their targets, and list those that are watched."""
    address, size = ring.ctypes.data, ring.shape[1]
    for spike in spikes:
        route = routes[spike >> 8, spike & 255]
        slot = (tick + (route >> DELAY_AT & 15)) & 15
        prefetch(address + 32 * (slot * size + (route >> TARGET_AT)))
    for spike in spikes:
        route = routes[spike >> 8, spike & 255]
        counts[HOPS] += route >> HOPS_AT & 1023
        counts[CROSSINGS] += route >> CROSSINGS_AT & 63
        if route & SENDS:
            axon = route >> AXON_AT & 255
            counts[PACKETS] += 1
            ring[(tick + (route >> DELAY_AT & 15)) & 15, route >> TARGET_AT, axon >> 6] |= np.uint64(1) << np.uint64(axon & 63)
        if route & WATCHED:
            out[found, 0], out[found, 1] = tick, spike
            found += 1
    return found


@njit
def inject(events, event, now, first, last, ring):
    """Set the scheduler bits of what comes from outside in tick ``now`` to the cores first..last; returns the first later event."""
    while event < len(events) and events[event, 0] <= now:
        core, axon = events[event, 1], events[event, 2]
        if first <= core < last:
            ring[now & 15, core, axon >> 6] |= np.uint64(1) << np.uint64(axon & 63)
        event += 1
    return event


@kernel
def advance(chip, v, asleep, rings, thread, first, last, tick, ticks, events, seed, rules, default, out, counts):
    """Advance the cores first..last by up to ``ticks`` ticks; returns (ticks done, spikes listed in ``out``).

    chip: a `Chip`. v: float32 (cores, 256). asleep: uint8 (cores,). rings: uint64 (threads, 16, cores, 4). events: int64 (n, 3) of
    tick, core and axon from outside, by tick, none before ``tick``. rules: of `step`; default: whether they are the default ones.
    out: int64 (m, 2); the kernel stops early when a tick might not fit. counts: int64 (8,). Cores are taken in blocks, so that
    what a block needs from memory is under way while other work is done.
    """
    active, starts = np.empty(256 * BLOCK, np.int64), np.zeros(BLOCK + 1, np.int64)
    total, flags, spikes = np.empty(256, np.int32), np.zeros((3, 256), np.uint8), np.empty(256 * BLOCK, np.int64)
    leak, noise, still = np.zeros(256, np.float32), np.zeros(256, np.float32), np.zeros(256, np.float32)
    listed, event, done = 0, 0, 0
    while done < ticks and listed + chip.most_watched <= len(out):
        now = tick + done
        event = inject(events, event, now, first, last, rings[thread])
        for base in range(first, last, BLOCK):
            size, found = min(BLOCK, last - base), 0
            for k in range(size):
                starts[k + 1] = arrivals(base + k, now & 15, rings, active, starts[k])
                look_ahead(base + k, chip, active[starts[k] : starts[k + 1]])
            for k in range(size):
                core, axons = base + k, active[starts[k] : starts[k + 1]]
                if len(axons) == 0 and asleep[core]:
                    continue
                counts[AWAKE] += 1
                counts[ARRIVALS] += len(axons)
                counts[EVENTS] += integrate(core, chip, axons, seed, now, total)
                update(core, chip, v, total, leak, noise, still, seed, now, rules, default, flags)
                fired, lost, moved = flagged(flags)
                asleep[core] = len(axons) == 0 and fired == 0 and moved == 0 and chip.kinds[core] != STOCHASTIC
                counts[OVERFLOWS] += lost
                counts[SPIKES] += fired
                if fired:
                    found = list_spikes(core, flags[0], chip.routes, spikes, found)
            listed = send(spikes[:found], chip.routes, now, rings[thread], out, listed, counts)
        done += 1
    return done, listed
