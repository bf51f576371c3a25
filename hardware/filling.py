"""Filling cores with the vertices of a hypergraph: in a given order, or grown along the traffic (see `spikesim.hardware.partition`)."""

import numpy as np
from numba import njit

from spikesim.kernel import kernel

WIDEST = 4096  # edges with more targets say nothing of who belongs together


@njit(inline="always")
def cost(count, width, word, block, header):
    """The bits that ``count`` synapses of one axon take: blocks with a header, in whole words."""
    full = count // block
    rest = count - full * block
    bits = full * (-(-(block * width + header) // word) * word)
    return bits + (-(-(rest * width + header) // word) * word if rest > 0 else 0)


@kernel
def count_messages(starts, pins, source, rate, core, cores):
    """The sum over edges of rate times the number of cores, beside the source's own, that hold targets."""
    seen = np.full(cores, -1, np.int64)
    total = 0.0
    for e in range(len(rate)):
        if source[e] >= 0:
            seen[core[source[e]]] = e
        for k in range(starts[e], starts[e + 1]):
            if seen[core[pins[k]]] != e:
                seen[core[pins[k]]] = e
                total += rate[e]
    return total


@njit
def _needed(v, v_starts, v_edges, width, counts, stamp, core, limits):
    """(axons, bits) that vertex v adds to the core whose synapses per edge are ``counts`` where ``stamp`` says so."""
    axons, bits = 0, 0
    k = v_starts[v]
    while k < v_starts[v + 1]:
        e, stop = v_edges[k], k
        while stop < v_starts[v + 1] and v_edges[stop] == e:
            stop += 1
        there = counts[e] if stamp[e] == core else 0
        axons += there == 0
        bits += cost(there + stop - k, width[e], limits[3], limits[4], limits[5])
        bits -= cost(there, width[e], limits[3], limits[4], limits[5])
        k = stop
    return axons, bits


@njit
def _join(v, v_starts, v_edges, counts, stamp, core):
    for k in range(v_starts[v], v_starts[v + 1]):
        e = v_edges[k]
        if stamp[e] != core:
            stamp[e], counts[e] = core, 0
        counts[e] += 1


@kernel
def fill(order, v_starts, v_edges, width, size, limits):
    """Fill core after core with the vertices in ``order``; -1 for one that fits no core."""
    made = np.full(len(size), -1, np.int64)
    counts, stamp = np.zeros(len(width), np.int64), np.full(len(width), -1, np.int64)
    core, used, axons, bits = 0, 0, 0, 0
    for v in order:
        for _ in range(2):
            more_axons, more_bits = _needed(v, v_starts, v_edges, width, counts, stamp, core, limits)
            if (
                used + size[v] <= limits[0]
                and axons + more_axons <= limits[1]
                and bits + more_bits + limits[6] * (used + size[v]) <= limits[2]
            ):
                made[v] = core
                used, axons, bits = used + size[v], axons + more_axons, bits + more_bits
                _join(v, v_starts, v_edges, counts, stamp, core)
                break
            if used == 0:
                break  # it does not even fit an empty core
            core, used, axons, bits = core + 1, 0, 0, 0
    return made


@njit
def _attract(v, v_starts, v_edges, starts, pins, source, rate, out_edge, reached, core, gain, found, number):
    """All that share an edge with v gain by joining its core; returns the number of vertices ``found`` so far."""
    for k in range(v_starts[v], v_starts[v + 1] + 1):
        e = v_edges[k] if k < v_starts[v + 1] else out_edge[v]
        if e < 0 or reached[e] == core or starts[e + 1] - starts[e] > WIDEST:
            continue
        reached[e] = core
        for j in range(starts[e], starts[e + 1] + 1):
            w = pins[j] if j < starts[e + 1] else source[e]
            if w >= 0:
                if gain[w] == 0.0:
                    found[number] = w
                    number += 1
                gain[w] += rate[e] + 1e-12
    return number


@kernel
def grow(order, v_starts, v_edges, starts, pins, source, rate, width, size, out_edge, limits):
    """Fill core after core, each next vertex among those that share most traffic with the core; -1 for one that fits no core."""
    vertices = len(size)
    made = np.full(vertices, -1, np.int64)
    counts, stamp = np.zeros(len(width), np.int64), np.full(len(width), -1, np.int64)
    reached = np.full(len(width), -1, np.int64)
    gain, found = np.zeros(vertices), np.empty(vertices, np.int64)
    waiting, first = np.ones(vertices, np.bool_), 0
    batch = np.empty(8, np.int64)
    core, left = 0, vertices
    while left > 0:
        used, axons, bits, number, joined, refused = 0, 0, 0, 0, 0, 0
        while refused < 24 and used < limits[0] and left > 0:
            picked = _strongest(gain, found, number, made, waiting, batch)
            if picked == 0:
                while first < vertices and made[order[first]] != -1:
                    first += 1
                if first == vertices or not waiting[order[first]]:
                    break
                batch[0], picked = order[first], 1
            for n in range(picked):
                v = batch[n]
                more_axons, more_bits = _needed(v, v_starts, v_edges, width, counts, stamp, core, limits)
                if (
                    used + size[v] > limits[0]
                    or axons + more_axons > limits[1]
                    or bits + more_bits + limits[6] * (used + size[v]) > limits[2]
                ):
                    if used == 0:
                        return made  # it does not even fit an empty core
                    waiting[v] = False  # for this core
                    refused += 1
                    continue
                made[v] = core
                used, axons, bits, joined, left = used + size[v], axons + more_axons, bits + more_bits, joined + 1, left - 1
                _join(v, v_starts, v_edges, counts, stamp, core)
                number = _attract(v, v_starts, v_edges, starts, pins, source, rate, out_edge, reached, core, gain, found, number)
        for n in range(number):
            gain[found[n]] = 0.0
        waiting[:] = True
        core += 1
    return made


@njit
def _strongest(gain, found, number, made, waiting, batch):
    """Put the free vertices of largest gain into ``batch``, the largest first, ties by number; returns how many."""
    picked = 0
    for n in range(number):
        v = found[n]
        if made[v] != -1 or not waiting[v]:
            continue
        if picked == len(batch) and gain[v] <= gain[batch[picked - 1]]:
            continue
        at = picked if picked < len(batch) else picked - 1
        picked = min(picked + 1, len(batch))
        while at > 0 and gain[batch[at - 1]] < gain[v]:
            batch[at] = batch[at - 1]
            at -= 1
        batch[at] = v
    return picked
