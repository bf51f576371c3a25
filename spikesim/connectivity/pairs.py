"""The pairs of the sparse rules, drawn by counter in chunks.

Every kernel fills a chunk with (source, target, number) for targets in [first, last) and returns how many; 0 means
done. ``number`` names the synapse within its projection, whatever the chunk or the division of the targets, so
that its weight and delay are always the same. No rule ever holds all its pairs in memory.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from spikesim.connectivity import rules
from spikesim.kernel import kernel
from spikesim.random import MASK, below, unit52, words

LEAST_CHUNK = 1 << 14


class Request(NamedTuple):
    """What a kernel needs to know; ``own`` gives for each target (source, for outdegrees) its forbidden partner or -1."""

    sources: int
    targets: int
    first: int
    last: int
    own: np.ndarray  # int64
    number: int  # indegree, outdegree or total number
    p: float
    multapses: bool
    listed_sources: np.ndarray  # int64, explicit pairs
    listed_targets: np.ndarray
    seed: np.uint64
    stream: np.uint64


class Chunk(NamedTuple):
    """Buffers of one chunk, int64."""

    sources: np.ndarray
    targets: np.ndarray
    numbers: np.ndarray


@njit(inline="always")
def _put(chunk, at, source, target, number):
    chunk.sources[at] = source
    chunk.targets[at] = target
    chunk.numbers[at] = number
    return at + 1


@njit(inline="always")
def _uniform(request, row, k):
    """The k-th uniform number of a row: two from each block of four words."""
    w0, w1, w2, w3 = words(request.seed, request.stream, np.uint64(row), np.uint64(k >> 1))
    return unit52(w2, w3) if k & 1 else unit52(w0, w1)


@njit(inline="always")
def _pick(request, row, k, count):
    return min(np.int64(_uniform(request, row, k) * count), count - 1)


@kernel
def one_to_one(request, cursor, chunk):
    """Target i with source i."""
    at = 0
    while cursor[0] < request.last and at < len(chunk.sources):
        at = _put(chunk, at, cursor[0], cursor[0], cursor[0])
        cursor[0] += 1
    return at


@kernel
def all_to_all(request, cursor, chunk):
    """Each target with all sources."""
    at = 0
    while cursor[0] < request.last and at + request.sources <= len(chunk.sources):
        target = cursor[0]
        for source in range(request.sources):
            if source != request.own[target]:
                at = _put(chunk, at, source, target, source * request.targets + target)
        cursor[0] += 1
    return at


@kernel
def fixed_probability(request, cursor, chunk):
    """Each target skips over its sources by geometric distances: the work is per synapse, not per pair."""
    at = 0
    scale = 1.0 / math.log1p(-request.p) if 0.0 < request.p < 1.0 else 0.0
    while cursor[0] < request.last and at + request.sources <= len(chunk.sources):
        target = cursor[0]
        source = np.int64(-1)
        k = 0
        while request.p > 0.0:
            skip = math.log(_uniform(request, target, k)) * scale
            if skip >= request.sources - 1 - source:
                break
            source += 1 + np.int64(skip)
            k += 1
            if source != request.own[target]:
                at = _put(chunk, at, source, target, source * request.targets + target)
        cursor[0] += 1
    return at


@njit(inline="always")
def _choose(request, row, available, marks, out):
    """``request.number`` picks from [0, available): with repetition, or a random subset (Floyd)."""
    count = request.number
    for k in range(count):
        if request.multapses:
            out[k] = _pick(request, row, k, available)
        else:
            top = available - count + k
            pick = _pick(request, row, k, top + 1)
            out[k] = top if marks[pick] else pick
            marks[out[k]] = True
    if not request.multapses:
        for k in range(count):
            marks[out[k]] = False


@kernel
def fixed_indegree(request, cursor, chunk):
    """Each target draws its sources."""
    at = 0
    marks = np.zeros(1 if request.multapses else request.sources, np.bool_)
    picks = np.empty(request.number, np.int64)
    while cursor[0] < request.last and at + request.number <= len(chunk.sources):
        target = cursor[0]
        own = request.own[target]
        _choose(request, target, request.sources - (own >= 0), marks, picks)
        for k in range(request.number):
            source = picks[k] + (own >= 0 and picks[k] >= own)
            at = _put(chunk, at, source, target, target * request.number + k)
        cursor[0] += 1
    return at


@kernel
def fixed_outdegree(request, cursor, chunk):
    """Every source is drawn whole, whichever targets are asked for, so that the division changes nothing."""
    at = 0
    marks = np.zeros(1 if request.multapses else request.targets, np.bool_)
    picks = np.empty(request.number, np.int64)
    while cursor[0] < request.sources and at + request.number <= len(chunk.sources):
        source = cursor[0]
        own = request.own[source]
        _choose(request, source, request.targets - (own >= 0), marks, picks)
        for k in range(request.number):
            target = picks[k] + (own >= 0 and picks[k] >= own)
            if request.first <= target < request.last:
                at = _put(chunk, at, source, target, source * request.number + k)
        cursor[0] += 1
    return at


@kernel
def fixed_total_number(request, cursor, chunk):
    """Every synapse draws its source and its target."""
    at = 0
    while cursor[0] < request.number and at < len(chunk.sources):
        attempt = np.uint64(0)
        while True:
            w0, w1, w2, w3 = words(request.seed, request.stream, np.uint64(cursor[0]), attempt)
            source = below(request.sources, w0, w1)
            target = below(request.targets, w2, w3)
            if source != request.own[target]:
                break
            attempt += np.uint64(1)
        if request.first <= target < request.last:
            at = _put(chunk, at, source, target, cursor[0])
        cursor[0] += 1
    return at


@njit
def _permuted(cell, half_bits, request):
    """A random permutation of [0, 4**half_bits): six Feistel rounds (Luby & Rackoff 1988) of Philox."""
    mask = (np.uint64(1) << np.uint64(half_bits)) - np.uint64(1)
    left, right = np.uint64(cell) >> np.uint64(half_bits), np.uint64(cell) & mask
    for turn in range(6):
        w0, _, _, _ = words(request.seed, request.stream, right, np.uint64(turn))
        left, right = right, left ^ (w0 & MASK & mask)
    return np.int64((left << np.uint64(half_bits)) | right)


@kernel
def fixed_total_number_distinct(request, cursor, chunk):
    """Pair k is the k-th of a random permutation of all allowed pairs (walking on until it is one)."""
    at = 0
    allowed_before = np.empty(request.targets + 1, np.int64)
    allowed_before[0] = 0
    for target in range(request.targets):
        allowed_before[target + 1] = allowed_before[target] + request.sources - (request.own[target] >= 0)
    half_bits = 1
    while 4**half_bits < allowed_before[-1]:
        half_bits += 1
    while cursor[0] < request.number and at < len(chunk.sources):
        cell = _permuted(cursor[0], half_bits, request)
        while cell >= allowed_before[-1]:
            cell = _permuted(cell, half_bits, request)
        target = np.searchsorted(allowed_before, cell, side="right") - 1
        source = cell - allowed_before[target]
        own = request.own[target]
        source += own >= 0 and source >= own
        if request.first <= target < request.last:
            at = _put(chunk, at, source, target, cursor[0])
        cursor[0] += 1
    return at


@kernel
def listed(request, cursor, chunk):
    """The given pairs."""
    at = 0
    while cursor[0] < len(request.listed_sources) and at < len(chunk.sources):
        k = cursor[0]
        if request.first <= request.listed_targets[k] < request.last:
            at = _put(chunk, at, request.listed_sources[k], request.listed_targets[k], k)
        cursor[0] += 1
    return at


KERNELS = {
    rules.OneToOne: one_to_one,
    rules.AllToAll: all_to_all,
    rules.FixedProbability: fixed_probability,
    rules.FixedIndegree: fixed_indegree,
    rules.FixedOutdegree: fixed_outdegree,
    rules.FixedTotalNumber: fixed_total_number,
    rules.PairList: listed,
}
STARTS_AT_FIRST = {one_to_one, all_to_all, fixed_probability, fixed_indegree}


class PairSource:
    """The pairs of one rule between two views, to be drawn for any range of targets, again and again."""

    def __init__(self, rule: rules.Rule, sources: np.ndarray, targets: np.ndarray, *, same_population: bool,
                 seed: int, stream: np.uint64) -> None:  # fmt: skip
        if isinstance(rule, rules.Matrix):
            rule = rule.pairs()
        self.kernel = KERNELS[type(rule)]
        if isinstance(rule, rules.FixedTotalNumber) and not rule.multapses:
            self.kernel = fixed_total_number_distinct
        of_source = self.kernel is fixed_outdegree
        ends = (targets, sources) if of_source else (sources, targets)
        forbid = same_population and not getattr(rule, "autapses", True)
        nothing = np.empty(0, np.int64)
        self.request = Request(
            sources=len(sources), targets=len(targets), first=0, last=len(targets),
            own=_partners(*ends) if forbid else np.full(len(ends[1]), -1, np.int64),
            number=getattr(rule, "k", getattr(rule, "n", 0)), p=getattr(rule, "p", 0.0),
            multapses=getattr(rule, "multapses", True),
            listed_sources=getattr(rule, "sources", nothing), listed_targets=getattr(rule, "targets", nothing),
            seed=np.uint64(seed), stream=stream,
        )  # fmt: skip
        row = len(sources) if self.kernel in (all_to_all, fixed_probability) else getattr(rule, "k", 0)
        self.size = max(LEAST_CHUNK, row)

    def chunks(self, first: int, last: int):
        """Yield `Chunk` views (overwritten by the next one) with all pairs whose target lies in [first, last)."""
        request = self.request._replace(first=first, last=last)
        whole = Chunk(*(np.empty(self.size, np.int64) for _ in range(3)))
        cursor = np.array([first if self.kernel in STARTS_AT_FIRST else 0], np.int64)
        end = self._end(last)
        while cursor[0] < end:
            count = self.kernel(request, cursor, whole)
            yield Chunk(*(array[:count] for array in whole))

    def _end(self, last: int) -> int:
        request = self.request
        return {fixed_outdegree: request.sources, fixed_total_number: request.number,
                fixed_total_number_distinct: request.number, listed: len(request.listed_sources)}.get(self.kernel, last)  # fmt: skip


def _partners(others: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """For each of ``ids`` its place among ``others``, or -1; both ascending."""
    at = np.searchsorted(others, ids)
    found = others[np.minimum(at, len(others) - 1)] == ids
    return np.where(found, at, -1).astype(np.int64)
