"""The emulator's kernels: cores advance by ticks, in float32 that holds their whole numbers exactly.

All sums stay below 2**24, so float32 is exact, and a vector unit updates eight or sixteen neurons at once. Work follows events: only
the rows of active axons are read, 32 bytes each, and a core in which nothing moves is left out until a spike arrives. A thread owns
cores; what it sends it puts into scheduler bits of its own, which the owner of the target ORs together in the tick they are due.
"""

import numpy as np
from numba import njit

from spikesim.bits import lowest_bit
from spikesim.hardware.truenorth.neuron import LEAK_ROW, THRESHOLD_ROW, drawn, place, random_byte, random_half, step
from spikesim.kernel import kernel
from spikesim.prefetch import prefetch

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
def add_row(crossbar, weights, core, axon, kind, total):
    """Add a core's weights of type ``kind`` to ``total``, int32 (256,), where the bits of the axon's row are set."""
    for half in range(8):
        bits = np.uint32(crossbar[core, axon, half >> 1] >> np.uint64(32 * (half & 1)))
        for k in range(32):
            at = 32 * half + k
            total[at] = np.int32(total[at] + np.int32(weights[core, kind, at])) if bits & LONE[k] else total[at]


@njit
def add_even_row(crossbar, core, axon, weight, total):
    """As `add_row`, with one weight (int32) for all neurons, which need not be read."""
    for half in range(8):
        bits = np.uint32(crossbar[core, axon, half >> 1] >> np.uint64(32 * (half & 1)))
        for k in range(32):
            at = 32 * half + k
            total[at] = np.int32(total[at] + np.int32(weight)) if bits & LONE[k] else total[at]


@njit
def add_drawn_row(crossbar, weights, modes, core, axon, kind, first, seed, tick, total):
    """As `add_row`, where the stochastic synapses draw a byte each."""
    for j in range(256):
        if crossbar[core, axon, j >> 6] >> np.uint64(j & 63) & np.uint64(1):
            weight = np.int64(weights[core, kind, j])
            total[j] += drawn(weight, random_byte(seed, first, j, tick)) if modes[core, j] & (1 << (SYNAPSE_AT + kind)) else weight


@njit(error_model="numpy", fastmath=RELAXED)
def update_even(core, v, total, leak, limits, modes, flags):
    """All neurons of a core by one set of parameters and the default rules; flags: uint8 (3, 256), see `flagged`."""
    own_leak, own_alpha, own_beta, own_reset = leak[core, 0], limits[core, 0, 0], limits[core, 1, 0], limits[core, 2, 0]
    reversal, mode = np.float32(modes[core, 0] & REVERSAL), np.float32(modes[core, 0] >> RESET_AT & 3)
    saturates = ZERO if modes[core, 0] & FLOOR_RESETS else ONE
    for j in range(256):
        new, lost, spike = step(v[core, j], ZERO, ZERO, np.float32(total[j]), ZERO, ZERO, ZERO, own_leak, reversal, ZERO,
                                own_alpha, own_beta, own_reset, mode, saturates, LOW, HIGH, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO)  # fmt: skip
        flags[0, j], flags[1, j], flags[2, j] = spike, lost != ZERO, new != v[core, j]
        v[core, j] = new


@njit(error_model="numpy", fastmath=RELAXED)
def update_each(core, v, given, limits, modes, flags):
    """Each neuron by its own parameters and the default rules; flags: uint8 (3, 256), see `flagged`.

    given: float32 (3, 256), what arrives, the leak and the noise as drawn. Few arrays, for with more the compiler gives up
    proving that they lie apart, and does not vectorise.
    """
    for j in range(256):
        bits = np.int32(modes[core, j])
        reversal, mode = np.float32(np.int32(bits & REVERSAL)), np.float32(np.int32(bits >> RESET_AT & 3))
        saturates = ZERO if bits & FLOOR_RESETS else ONE
        new, lost, spike = step(v[core, j], ZERO, ZERO, given[0, j], ZERO, ZERO, ZERO, given[1, j], reversal, given[2, j],
                                limits[core, 0, j], limits[core, 1, j], limits[core, 2, j], mode, saturates,
                                LOW, HIGH, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO)  # fmt: skip
        flags[0, j], flags[1, j], flags[2, j] = spike, lost != ZERO, new != v[core, j]
        v[core, j] = new


@njit(error_model="numpy", fastmath=RELAXED)
def update_by_rules(core, v, given, limits, modes, rules, flags):
    """Each neuron by its own parameters and any rules; flags: uint8 (3, 256), see `flagged`. Not vectorised, for the choices."""
    low, high, span, leak_first, stops, touches, shifts, forces = rules
    for j in range(256):
        bits = np.int32(modes[core, j])
        reversal, mode = np.float32(np.int32(bits & REVERSAL)), np.float32(np.int32(bits >> RESET_AT & 3))
        saturates = ZERO if bits & FLOOR_RESETS else ONE
        new, lost, spike = step(v[core, j], ZERO, ZERO, given[0, j], ZERO, ZERO, ZERO, given[1, j], reversal, given[2, j],
                                limits[core, 0, j], limits[core, 1, j], limits[core, 2, j], mode, saturates,
                                low, high, span, leak_first, stops, touches, shifts, forces)  # fmt: skip
        flags[0, j], flags[1, j], flags[2, j] = spike, lost != ZERO, new != v[core, j]
        v[core, j] = new


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
def give(core, total, leak, given):
    """Put together what `update_each` needs, without random numbers."""
    for j in range(256):
        given[0, j] = np.float32(total[j])
        given[1, j] = leak[core, j]


@njit
def draw(core, positions, leak, mask, modes, seed, tick, given):
    """Draw the leak and the noise of the threshold of a core's neurons in this tick."""
    x, y = positions[core, 0], positions[core, 1]
    leaks, thresholds = place(x, y, LEAK_ROW), place(x, y, THRESHOLD_ROW)
    for j in range(256):
        given[2, j] = ZERO
        if modes[core, j] & STOCHASTIC_LEAK:
            given[1, j] = np.float32(drawn(np.int64(leak[core, j]), random_byte(seed, leaks, j, tick)))
        if mask[core, j]:
            given[2, j] = np.float32(random_half(seed, thresholds, j, tick) & np.int64(mask[core, j]))


@njit
def arrivals(core, slot, rings, active, found):
    """Take the scheduler bits of a core out of all threads' rings and list the active axons in ``active`` from ``found`` on."""
    for w in range(4):
        word = np.uint64(0)
        for thread in range(len(rings)):
            word |= rings[thread, slot, core, w]
            rings[thread, slot, core, w] = np.uint64(0)
        while word:
            active[found] = 64 * w + lowest_bit(word)
            found += 1
            word &= word - np.uint64(1)
    return found


@njit
def look_ahead(core, crossbar, axon_types, active, start, stop):
    """Ask for the rows and types of a core's active axons."""
    rows, kinds = crossbar.ctypes.data + 8192 * core, axon_types.ctypes.data + 512 * core
    for k in range(start, stop):
        prefetch(rows + 32 * active[k])
        prefetch(kinds + 2 * active[k])


@njit
def integrate(core, how, crossbar, axon_types, weights, modes, positions, active, start, stop, seed, tick, total):
    """Add what the active axons bring to each neuron of a core; returns the synaptic events."""
    total[:] = 0
    events = 0
    for k in range(start, stop):
        axon = active[k]
        about = np.int64(axon_types[core, axon])
        kind = about & 3
        events += about >> 2
        if how == EVEN:
            add_even_row(crossbar, core, axon, np.int32(weights[core, kind, 0]), total)
        elif how == STOCHASTIC:
            first = place(positions[core, 0], positions[core, 1], axon)
            add_drawn_row(crossbar, weights, modes, core, axon, kind, first, seed, tick, total)
        else:
            add_row(crossbar, weights, core, axon, kind, total)
    return events


@njit
def list_spikes(core, fired, routes, spikes, found):
    """Put the neurons of a core that fired into ``spikes`` from ``found`` on and ask for their routes.

    fired: uint64 (3, 32), the flags, eight neurons a word.
    """
    address = routes.ctypes.data + 2048 * core
    for block in range(32):
        word = fired[0, block]
        while word:
            j = 8 * block + (lowest_bit(word) >> 3)
            spikes[found] = core * 256 + j
            prefetch(address + 8 * j)
            found += 1
            word &= word - np.uint64(1)
    return found


@njit
def send(spikes, number, routes, tick, ring, out, found, counts):
    """Put the first ``number`` spikes into the scheduler bits of their targets, and list those that are watched."""
    address, size = ring.ctypes.data, ring.shape[1]
    for k in range(number):
        route = routes[spikes[k] >> 8, spikes[k] & 255]
        slot = (tick + (route >> DELAY_AT & 15)) & 15
        prefetch(address + 32 * (slot * size + (route >> TARGET_AT)))
    for k in range(number):
        spike = spikes[k]
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

    chip: a `Chip`. v: float32 (cores, 256). asleep: uint8 (cores,). rings: uint64
    (threads, 16, cores, 4). events: int64 (n, 3) of tick, core and axon from outside, by tick, none before ``tick``. rules: of
    `step`; default: whether they are the default ones. out: int64 (m, 2); the kernel stops early when a tick might not fit. counts:
    int64 (8,). Cores are taken in blocks, so that what a block needs from memory is under way while other work is done. Functions
    get whole arrays: a view of a shared array would count its users in a place for which the threads compete.
    """
    positions, crossbar, axon_types, weights, kinds, modes, routes = (chip.positions, chip.crossbar, chip.axon_types, chip.weights,
                                                                      chip.kinds, chip.modes, chip.routes)  # fmt: skip
    leak, limits, mask = chip.leak, chip.limits, chip.mask
    active, starts = np.empty(256 * BLOCK, np.int64), np.zeros(BLOCK + 1, np.int64)
    total, flags, spikes = np.empty(256, np.int32), np.zeros((3, 256), np.uint8), np.empty(256 * BLOCK, np.int64)
    given, ring, fired = np.zeros((3, 256), np.float32), rings[thread], flags.view(np.uint64)
    listed, event, done = 0, 0, 0
    while done < ticks and listed + chip.most_watched <= len(out):
        now = tick + done
        event = inject(events, event, now, first, last, ring)
        for base in range(first, last, BLOCK):
            size, found = min(BLOCK, last - base), 0
            for k in range(size):
                starts[k + 1] = arrivals(base + k, now & 15, rings, active, starts[k])
                look_ahead(base + k, crossbar, axon_types, active, starts[k], starts[k + 1])
            for k in range(size):
                core, how, start, stop = base + k, kinds[base + k], starts[k], starts[k + 1]
                if start == stop and asleep[core]:
                    continue
                counts[AWAKE] += 1
                counts[ARRIVALS] += stop - start
                counts[EVENTS] += integrate(core, how, crossbar, axon_types, weights, modes, positions, active, start, stop, seed, now,
                                            total)  # fmt: skip
                if how == EVEN and default:
                    update_even(core, v, total, leak, limits, modes, flags)
                else:
                    give(core, total, leak, given)
                    if how == STOCHASTIC:
                        draw(core, positions, leak, mask, modes, seed, now, given)
                    if default:
                        update_each(core, v, given, limits, modes, flags)
                    else:
                        update_by_rules(core, v, given, limits, modes, rules, flags)
                    given[2, :] = ZERO
                number, lost, moved = flagged(flags)
                asleep[core] = start == stop and number == 0 and moved == 0 and how != STOCHASTIC
                counts[OVERFLOWS] += lost
                counts[SPIKES] += number
                if number:
                    found = list_spikes(core, fired, routes, spikes, found)
            listed = send(spikes, found, routes, now, ring, out, listed, counts)
        done += 1
    return done, listed
