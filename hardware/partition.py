"""Partition: which core each neuron goes to, so that few spike messages cross between cores and no core is overfull.

A spike costs one message and one input axon for each core that holds a target of it, however many: the hyperedge of a
source is its targets, and what counts is the rate-weighted number of further cores it reaches, the (lambda - 1) or KM1 metric
(Ronzani & Silvano 2026). Neurons are grown into one core after another, each next neuron the one that shares most traffic with the
core so far; then single neurons move while that helps (Fiduccia & Mattheyses 1982). All is decided by numbers, nothing by chance.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from spikesim.errors import BackendError, CapacityError, unknown_name
from spikesim.hardware.filling import cost, count_messages, fill, grow
from spikesim.hardware.refine import refine

TABLE_BYTES = 400_000_000  # beyond it the counts that refinement needs are not made
PASSES = 8


@dataclass(frozen=True)
class Hypergraph:
    """What sends to what. Edge e has the source vertex source[e] (-1 if it lies outside) and targets pins[starts[e]:starts[e + 1]].

    rate: float64 (edges,), messages per step and core; width: int64 (edges,), bits of a synapse; size: int64 (vertices,), the
    compartments a vertex takes; order: int64, the vertices as they lie in space, all channels of a place together. A vertex that is hit
    by several synapses of an edge stands among its pins as often.
    """

    starts: np.ndarray
    pins: np.ndarray
    source: np.ndarray
    rate: np.ndarray
    width: np.ndarray
    size: np.ndarray
    order: np.ndarray | None = None

    @property
    def vertices(self) -> int:
        return len(self.size)

    def incident(self) -> tuple[np.ndarray, np.ndarray]:
        """For each vertex the edges that hit it, edge by edge: int64 (vertices + 1,) starts, int32 edges."""
        edges = np.repeat(np.arange(len(self.rate), dtype=np.int32), np.diff(self.starts))
        order = np.argsort(self.pins, kind="stable")
        return np.searchsorted(self.pins[order], np.arange(self.vertices + 1)), edges[order]


@dataclass(frozen=True)
class Room:
    """What a core has: compartments, input axons, bits of synaptic memory; ``word``, ``block``, ``header``: how synapses fill it; own: bits
    of it that each compartment takes.
    """

    size: int
    axons: int
    bits: int
    word: int = 1
    block: int = 64
    header: int = 0
    own: int = 0


def messages(graph: Hypergraph, core: np.ndarray) -> float:
    """Messages per step between different cores, and from outside into cores."""
    return float(count_messages(graph.starts, graph.pins, graph.source, graph.rate, core, int(core.max(initial=0)) + 1))


def partition(graph: Hypergraph, room: Room, *, seed: int = 0, method: str = "best", name_of: Callable[[int], str] = str) -> np.ndarray:
    """A core for each vertex, int64, numbered from 0 on in the order of filling.

    method: "sequential" (in the order of the vertices), "spatial" (in the graph's ``order``), "random", "grown" (with refinement),
    "mtkahypar", or "best", the one of sequential and grown with fewest messages. Raises `CapacityError` that names by
    ``name_of`` a vertex that fits no core.
    """
    if method not in METHODS:
        raise unknown_name("method", method, METHODS, where="partition")
    incident = graph.incident()
    made = METHODS[method](graph, room, incident, seed)
    wrong = np.flatnonzero(made < 0)
    if len(wrong):
        _refuse(graph, room, incident, int(wrong[0]), name_of)
    return made


def _refuse(graph: Hypergraph, room: Room, incident: tuple[np.ndarray, np.ndarray], vertex: int, name_of: Callable[[int], str]) -> None:
    starts, edges = incident
    own = edges[starts[vertex] : starts[vertex + 1]]
    bits = int(room.own * graph.size[vertex])
    for e, number in zip(*np.unique(own, return_counts=True), strict=True):
        bits += int(cost(number, graph.width[e], room.word, room.block, room.header))
    needs = [("compartments", int(graph.size[vertex]), room.size), ("input axons", len(np.unique(own)), room.axons),
             ("synapse bits", bits, room.bits)]  # fmt: skip
    what, needed, has = next((each for each in needs if each[1] > each[2]), needs[-1])
    raise CapacityError(f"{name_of(vertex)} alone needs {needed:,} {what} of a core, which has {has:,}; give it fewer synapses, or "
                        "divide it into several neurons")  # fmt: skip


def _filled(graph: Hypergraph, room: Room, incident: tuple[np.ndarray, np.ndarray], order: np.ndarray) -> np.ndarray:
    return fill(order, *incident, graph.width, graph.size, tuple(vars(room).values()))


def _sequential(graph: Hypergraph, room: Room, incident: tuple[np.ndarray, np.ndarray], seed: int) -> np.ndarray:
    return _filled(graph, room, incident, np.arange(graph.vertices))


def _spatial(graph: Hypergraph, room: Room, incident: tuple[np.ndarray, np.ndarray], seed: int) -> np.ndarray:
    return _filled(graph, room, incident, np.arange(graph.vertices) if graph.order is None else graph.order)


def _random(graph: Hypergraph, room: Room, incident: tuple[np.ndarray, np.ndarray], seed: int) -> np.ndarray:
    return _filled(graph, room, incident, np.random.default_rng(seed).permutation(graph.vertices))


def _grown(graph: Hypergraph, room: Room, incident: tuple[np.ndarray, np.ndarray], seed: int) -> np.ndarray:
    order = np.arange(graph.vertices)
    out_edge = np.full(graph.vertices, -1, np.int64)
    inside = graph.source >= 0
    out_edge[graph.source[inside]] = np.flatnonzero(inside)
    limits = tuple(vars(room).values())
    made = grow(order, *incident, graph.starts, graph.pins, graph.source, graph.rate, graph.width, graph.size, out_edge, limits)
    return made if (made < 0).any() else _refined(graph, made, incident, out_edge, limits, seed)


def _refined(graph: Hypergraph, core: np.ndarray, incident: tuple[np.ndarray, np.ndarray], out_edge: np.ndarray, limits: tuple,
             seed: int) -> np.ndarray:  # fmt: skip
    cores = int(core.max(initial=0)) + 1
    if 2 * len(graph.rate) * cores > TABLE_BYTES or cores < 2:
        return core
    order = np.random.default_rng(seed).permutation(graph.vertices)
    counts = np.zeros((len(graph.rate), cores), np.uint16)
    return refine(order, *incident, graph.source, graph.rate, graph.width, graph.size, out_edge, limits, core.copy(), counts, PASSES)


def _best(graph: Hypergraph, room: Room, incident: tuple[np.ndarray, np.ndarray], seed: int) -> np.ndarray:
    made = [method(graph, room, incident, seed) for method in (_sequential, _grown)]
    return min(made, key=lambda core: (int((core < 0).sum()), messages(graph, np.maximum(core, 0))))


@cache
def _initialised(module: Any) -> Any:
    """Mt-KaHyPar with one thread; it can be initialised once only."""
    return module.initialize(1)


def _mtkahypar(graph: Hypergraph, room: Room, incident: tuple[np.ndarray, np.ndarray], seed: int) -> np.ndarray:
    """The parts that Mt-KaHyPar finds, as the order in which cores are filled."""
    try:
        import mtkahypar  # type: ignore[import-not-found]
    except ImportError:
        raise BackendError("Mt-KaHyPar is not installed; get it with\n  pip install mtkahypar==1.7.post1") from None
    parts = int(_sequential(graph, room, incident, seed).max()) + 1
    kahypar = _initialised(mtkahypar)
    context = kahypar.context_from_preset(mtkahypar.PresetType.DETERMINISTIC)
    context.set_partitioning_parameters(parts, 0.03, mtkahypar.Objective.KM1)
    mtkahypar.set_seed(seed)
    edges = [np.unique(np.append(graph.pins[a:b], graph.source[e] if graph.source[e] >= 0 else graph.pins[a:b])).tolist()
             for e, (a, b) in enumerate(zip(graph.starts[:-1], graph.starts[1:], strict=True)) if b > a]  # fmt: skip
    rates = np.maximum(1, np.rint(1000 * graph.rate[np.diff(graph.starts) > 0] / max(graph.rate.max(), 1e-300))).astype(int).tolist()
    made = kahypar.create_hypergraph(context, graph.vertices, len(edges), edges, graph.size.tolist(), rates).partition(context)
    found = np.array([made.block_id(v) for v in range(graph.vertices)])
    return _filled(graph, room, incident, np.argsort(found, kind="stable"))


METHODS: dict[str, Callable[[Hypergraph, Room, tuple[np.ndarray, np.ndarray], int], np.ndarray]] = {
    "sequential": _sequential, "spatial": _spatial, "random": _random, "grown": _grown, "best": _best, "mtkahypar": _mtkahypar,
}  # fmt: skip
