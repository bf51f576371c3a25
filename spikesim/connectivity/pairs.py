"""The pairs of the sparse rules, drawn by counter in chunks.

Every kernel fills a chunk with (source, target, number) for targets in [first, last) and returns how many; 0 means
done. ``number`` names the synapse within its projection, whatever the chunk or the division of the targets, so
that its weight and delay are always the same. No rule ever holds all its pairs in memory.

Rules by rows (`ROWS`) give the synapses source by source, which is the order of a table.
"""

import math
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from spikesim.connectivity import rules
from spikesim.kernel import kernel
from spikesim.random import MASK, below, unit52, words, words_in_loop

LEAST_CHUNK = 1 << 15
DRAWN = 512  # words drawn at a time, in loops that become vector instructions
TARGET = np.uint64(0xFFFFFFFF)  # the attempt that draws a target, beside those that draw sources


class Request(NamedTuple):
    """What a kernel needs to know; ``own`` gives for each source (by rows) or target its forbidden partner or -1."""

    sources: int
    targets: int
    first: int
    last: int
    own: np.ndarray  # int64
    number: int  # indegree, outdegree or total number
    p: float
    multapses: bool
    starts: np.ndarray  # int64, fixed total number: the first synapse of each source, and their number
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
    """Each source with all targets."""
    at = 0
    while cursor[0] < request.sources and at + request.targets <= len(chunk.sources):
        source = cursor[0]
        for target in range(request.first, request.last):
            if target != request.own[source]:
                at = _put(chunk, at, source, target, source * request.targets + target)
        cursor[0] += 1
    return at


@kernel
def fixed_probability(request, cursor, chunk):
    """Each source skips over its targets by geometric distances: the work is per synapse, not per pair."""
    at = 0
    scale = 1.0 / math.log1p(-request.p) if 0.0 < request.p < 1.0 else 0.0
    while cursor[0] < request.sources and at + request.targets <= len(chunk.sources):
        source = cursor[0]
        target = np.int64(-1)
        k = 0
        while request.p > 0.0:
            skip = math.log(_uniform(request, source, k)) * scale
            if skip >= request.last - 1 - target:
                break
            target += 1 + np.int64(skip)
            k += 1
            if target >= request.first and target != request.own[source]:
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


@njit
def _draw_below(request, first, attempt, count, picks):
    """``picks[k]`` for synapse first + k: uniform in [0, count)."""
    seed, stream = request.seed, request.stream
    for k in range(len(picks)):
        w0, w1, _, _ = words_in_loop(seed, stream, np.uint64(first + k), attempt)
        picks[k] = below(count, w0, w1)


@kernel
def count_rows(request, counts):
    """Fixed total number: every synapse draws its source, in proportion to the targets it may have."""
    picks = np.empty(DRAWN, np.int64)
    for first in range(0, request.number, DRAWN):
        some = picks[: min(DRAWN, request.number - first)]
        _draw_below(request, first, np.uint64(0), request.sources, some)
        for k in range(len(some)):
            source, attempt = some[k], np.uint64(0)
            while request.own[source] >= 0:
                w0, w1, w2, w3 = words(request.seed, request.stream, np.uint64(first + k), attempt)
                source = below(request.sources, w0, w1)
                if below(request.targets, w2, w3) != request.own[source]:
                    break
                attempt += np.uint64(1)
            counts[source] += 1


@kernel
def fixed_total_number(request, cursor, chunk):
    """The synapses of each source (see `count_rows`) draw their targets."""
    at = 0
    picks = np.empty(DRAWN, np.int64)
    while cursor[0] < request.sources:
        source = cursor[0]
        own, start, end = request.own[source], request.starts[source], request.starts[source + 1]
        if at + end - start > len(chunk.sources):
            break
        for first in range(start, end, DRAWN):
            some = picks[: min(DRAWN, end - first)]
            _draw_below(request, first, TARGET, request.targets - (own >= 0), some)
            for k in range(len(some)):
                target = some[k] + (own >= 0 and some[k] >= own)
                chunk.sources[at], chunk.targets[at], chunk.numbers[at] = source, target, first + k
                at += request.first <= target < request.last
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
    rules.Matrix: listed,
}
ROWS = {all_to_all, fixed_probability, fixed_outdegree, fixed_total_number}
STARTS_AT_FIRST = {one_to_one, fixed_indegree}


def kernel_of(rule: rules.Rule) -> Any:
    """The kernel that draws the pairs of ``rule``."""
    distinct = isinstance(rule, rules.FixedTotalNumber) and not rule.multapses
    return fixed_total_number_distinct if distinct else KERNELS[type(rule)]


class PairSource:
    """The pairs of one rule between two views, to be drawn for any range of targets, again and again."""

    def __init__(self, rule: rules.Rule, sources: np.ndarray, targets: np.ndarray, *, same_population: bool,
                 seed: int, stream: np.uint64) -> None:  # fmt: skip
        if isinstance(rule, rules.Matrix):
            rule = rule.pairs()
        self.kernel = kernel_of(rule)
        ends = (targets, sources) if self.kernel in ROWS else (sources, targets)
        forbid = same_population and not getattr(rule, "autapses", True)
        nothing = np.empty(0, np.int64)
        self.drawn = Request(
            sources=len(sources), targets=len(targets), first=0, last=len(targets),
            own=_partners(*ends) if forbid else np.full(len(ends[1]), -1, np.int64),
            number=getattr(rule, "k", getattr(rule, "n", 0)), p=getattr(rule, "p", 0.0),
            multapses=getattr(rule, "multapses", True), starts=nothing,
            listed_sources=getattr(rule, "sources", nothing), listed_targets=getattr(rule, "targets", nothing),
            seed=np.uint64(seed), stream=stream,
        )  # fmt: skip
        self.lock = Lock()

    @property
    def request(self) -> Request:
        """The request for all targets, the numbers of synapses of the sources drawn."""
        with self.lock:  # pieces of a projection are built side by side
            if self.kernel is fixed_total_number and not len(self.drawn.starts):
                counts = np.zeros(self.drawn.sources, np.int64)
                count_rows(self.drawn, counts)
                self.drawn = self.drawn._replace(starts=np.concatenate([[0], np.cumsum(counts)]))
            return self.drawn

    @property
    def longest(self) -> int:
        """A chunk holds at least the pairs that a kernel draws at a time."""
        request = self.request
        whole = {all_to_all: request.targets, fixed_probability: request.targets, fixed_indegree: request.number,
                 fixed_outdegree: request.number, fixed_total_number: int(np.diff(request.starts).max(initial=0))}  # fmt: skip
        return whole.get(self.kernel, 1)

    def chunks(self, first: int, last: int):
        """Yield `Chunk` views (overwritten by the next one) with all pairs whose target lies in [first, last)."""
        request = self.request._replace(first=first, last=last)
        whole = Chunk(*(np.empty(max(LEAST_CHUNK, self.longest), np.int64) for _ in range(3)))
        cursor = np.array([first if self.kernel in STARTS_AT_FIRST else 0], np.int64)
        end = self._end(last)
        while cursor[0] < end:
            count = self.kernel(request, cursor, whole)
            yield Chunk(*(array[:count] for array in whole))

    def _end(self, last: int) -> int:
        request = self.drawn
        if self.kernel in ROWS:
            return request.sources
        return {fixed_total_number_distinct: request.number, listed: len(request.listed_sources)}.get(self.kernel, last)


def _partners(others: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """For each of ``ids`` its place among ``others``, or -1; both ascending."""
    at = np.searchsorted(others, ids)
    found = others[np.minimum(at, len(others) - 1)] == ids
    return np.where(found, at, -1).astype(np.int64)
