"""Refinement of a partition: single vertices move to the core where they save most messages, as long as any does."""

import numpy as np
from numba import njit

from spikesim.hardware.filling import cost
from spikesim.kernel import kernel


@kernel
def refine(order, v_starts, v_edges, source, rate, width, size, out_edge, limits, core, counts, passes):
    """Move vertices, in ``order``, as long as that saves messages and fits; ``counts`` (edges, cores) is all 0, and is filled here."""
    cores = counts.shape[1]
    used, axons, bits = np.zeros(cores, np.int64), np.zeros(cores, np.int64), np.zeros(cores, np.int64)
    for v in range(len(core)):
        used[core[v]] += size[v]
        for k in range(v_starts[v], v_starts[v + 1]):
            counts[v_edges[k], core[v]] += np.uint16(1)
    for e in range(len(rate)):
        for b in range(cores):
            axons[b] += counts[e, b] > 0
            bits[b] += cost(np.int64(counts[e, b]), width[e], limits[3], limits[4], limits[5])
    score = np.empty(cores)
    for _ in range(passes):
        moved = 0
        for v in order:
            own = core[v]
            kept = _scores(v, own, v_starts, v_edges, source, rate, out_edge, core, counts, score)
            best, most = own, kept + 1e-9
            for b in range(cores):
                if b != own and score[b] > most and _fits(v, b, v_starts, v_edges, width, size, limits, counts, used, axons, bits):
                    best, most = b, score[b]
            if best != own:
                _move(v, own, -1, v_starts, v_edges, width, size, limits, counts, used, axons, bits)
                _move(v, best, 1, v_starts, v_edges, width, size, limits, counts, used, axons, bits)
                core[v] = best
                moved += 1
        if moved * 1000 < len(core):
            break
    return core


@njit
def _scores(v, own, v_starts, v_edges, source, rate, out_edge, core, counts, score):
    """For each core the rate of v's edges that touch it anyway; returned for the core v is in, as if v were not there."""
    score[:] = 0.0
    kept = 0.0
    k = v_starts[v]
    while k < v_starts[v + 1]:
        e, first = v_edges[k], k
        while k < v_starts[v + 1] and v_edges[k] == e:
            k += 1
        home = core[source[e]] if source[e] >= 0 else -1
        weight = rate[e]
        for b in range(len(score)):
            score[b] += weight if counts[e, b] > 0 else 0.0
        if home >= 0 and counts[e, home] == 0:
            score[home] += weight
        kept += weight if counts[e, own] > k - first or (home == own and source[e] != v) else 0.0
    e = out_edge[v]
    if e >= 0:
        for b in range(len(score)):
            score[b] += rate[e] if counts[e, b] > 0 else 0.0
        kept += rate[e] if counts[e, own] > 0 else 0.0
    return kept


@njit
def _fits(v, to, v_starts, v_edges, width, size, limits, counts, used, axons, bits):
    """Whether core ``to`` has room for v."""
    if used[to] + size[v] > limits[0]:
        return False
    more_axons, more_bits = 0, 0
    k = v_starts[v]
    while k < v_starts[v + 1]:
        e, first = v_edges[k], k
        while k < v_starts[v + 1] and v_edges[k] == e:
            k += 1
        there = np.int64(counts[e, to])
        more_axons += there == 0
        more_bits += cost(there + k - first, width[e], limits[3], limits[4], limits[5])
        more_bits -= cost(there, width[e], limits[3], limits[4], limits[5])
    return axons[to] + more_axons <= limits[1] and bits[to] + more_bits + limits[6] * (used[to] + size[v]) <= limits[2]


@njit
def _move(v, core, sign, v_starts, v_edges, width, size, limits, counts, used, axons, bits):
    """Add v to a core's counts (sign 1), or take it out (-1)."""
    used[core] += sign * size[v]
    for k in range(v_starts[v], v_starts[v + 1]):
        e = v_edges[k]
        before = np.int64(counts[e, core])
        counts[e, core] = np.uint16(before + sign)
        axons[core] += (before + sign > 0) - (before > 0)
        bits[core] += cost(before + sign, width[e], limits[3], limits[4], limits[5])
        bits[core] -= cost(before, width[e], limits[3], limits[4], limits[5])
