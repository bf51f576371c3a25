"""Partition: which neurons share a core, and through which axons their sources reach them.

Neurons are taken in turn; one joins the open core if the axons it still needs there, and its copies, find room, else a new core is
opened. Which of a neuron's four weights is which type is chosen for the fewest new axons (an assignment problem).
"""

from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from spikesim.errors import UnsupportedError
from spikesim.hardware.truenorth.axon_types import Basis, best_basis, is_direct, written
from spikesim.hardware.truenorth.limits import AXON_TYPES, AXONS, NEURONS


@dataclass(frozen=True)
class Wiring:
    """All connections by target: those of neuron n are rows starts[n] to starts[n + 1].

    keys: number of a source and a delay, an index into ``sources`` and ``delays``; weights: of the connection, not 0.
    names: what to call each neuron in an error.
    """

    starts: np.ndarray
    keys: np.ndarray
    weights: np.ndarray
    sources: np.ndarray
    delays: np.ndarray
    names: list[str]
    groups: np.ndarray  # of each neuron, the population
    tiles: np.ndarray  # of each neuron, the tile of its population's plane in which it lies, 0 where there is no plane

    @property
    def neurons(self) -> int:
        """How many there are."""
        return len(self.starts) - 1


@dataclass
class Core:
    """A core while it is filled: its neurons, their four weights, its axons, and its crossbar as (axon, neuron) pairs."""

    neurons: list[int] = field(default_factory=list)
    weights: list[np.ndarray] = field(default_factory=list)
    axons: list[tuple[int, int]] = field(default_factory=list)  # key and type
    bits: list[tuple[np.ndarray, int]] = field(default_factory=list)
    places: dict[tuple[int, int], list[int]] = field(default_factory=dict)  # the axons of each key and type
    room: int = NEURONS


def make_wiring(targets: np.ndarray, sources: np.ndarray, delays: np.ndarray, weights: np.ndarray, neurons: int, names: list[str],
                groups: np.ndarray, tiles: np.ndarray) -> Wiring:  # fmt: skip
    """Connections in any order, those that agree in target, source and delay added up."""
    pair = sources * (int(delays.max(initial=0)) + 1) + delays
    pairs, keys = np.unique(pair, return_inverse=True)
    both, back = np.unique(targets * max(len(pairs), 1) + keys, return_inverse=True)
    total = np.bincount(back, weights, len(both)).astype(np.int64) if len(both) else np.zeros(0, np.int64)
    both, total = both[total != 0], total[total != 0]
    starts = np.searchsorted(both // max(len(pairs), 1), np.arange(neurons + 1))
    width = int(delays.max(initial=0)) + 1
    return Wiring(starts, both % max(len(pairs), 1), total, pairs // width, pairs % width, names, groups, tiles)


def bases(wiring: Wiring) -> dict[int, Basis]:
    """For each population with neurons of more than four weights, the basis these are written in."""
    found: dict[int, list[np.ndarray]] = {}
    for n in range(wiring.neurons):
        weights = wiring.weights[wiring.starts[n] : wiring.starts[n + 1]]
        if not is_direct(np.unique(weights)):
            found.setdefault(int(wiring.groups[n]), []).append(weights)
    return {group: best_basis(*np.unique(np.concatenate(parts), return_counts=True)) for group, parts in found.items()}


def partition(wiring: Wiring, copies: np.ndarray, chosen: dict[int, Basis]) -> list[Core]:
    """Cores that hold all neurons, each with room for ``copies`` of it. Of two orders of each population the better one is
    taken: as they are numbered, or by tiles if they lie in a plane, else by the middle of their sources."""
    made: list[Core] = []
    for group in np.unique(wiring.groups):
        members = np.flatnonzero(wiring.groups == group)
        place = wiring.tiles[members] if wiring.tiles[members].any() else _middles(wiring, members)
        orders = [members, members[np.argsort(place, kind="stable")]]
        tried = [_fill(wiring, order, copies, chosen) for order in orders[: 1 + (len(members) > 1)]]
        made += min(tried, key=len)
    return made


def _middles(wiring: Wiring, members: np.ndarray) -> np.ndarray:
    """The mean number of each neuron's sources, 0 without any."""
    rows = [wiring.keys[wiring.starts[n] : wiring.starts[n + 1]] for n in members]
    return np.array([keys.mean() if len(keys) else 0.0 for keys in rows])


def _fill(wiring: Wiring, order: np.ndarray, copies: np.ndarray, chosen: dict[int, Basis]) -> list[Core]:
    made: list[Core] = []
    has = np.zeros((len(wiring.sources), AXON_TYPES), np.int64)
    for n in order.tolist():
        if made and _join(made[-1], has, wiring, n, int(copies[n]), chosen):
            continue
        made.append(Core())
        has[:] = 0
        if not _join(made[-1], has, wiring, n, int(copies[n]), chosen):
            needed = int(_needs(has, wiring, n, chosen)[1].sum())
            raise UnsupportedError(f"{wiring.names[int(wiring.groups[n])]}: neuron {n} has {wiring.starts[n + 1] - wiring.starts[n]} "
                                   f"inputs and needs {needed} axons and {copies[n]} neurons of a core, which has {AXONS} and {NEURONS}; "
                                   "a sum over several cores would not be exact: group its inputs, or use fewer weights")  # fmt: skip
    return made


def _join(core: Core, has: np.ndarray, wiring: Wiring, n: int, copies: int, chosen: dict[int, Basis]) -> bool:
    """Put neuron n into ``core`` if there is room; ``has`` counts the axons of each key and type."""
    weights, needs = _needs(has, wiring, n, chosen)
    keys = wiring.keys[wiring.starts[n] : wiring.starts[n + 1]]
    new = np.maximum(needs - has[keys], 0)
    if core.room < copies or len(core.axons) + int(new.sum()) > AXONS:
        return False
    for row, kind in np.argwhere(new > 0).tolist():
        for _ in range(new[row, kind]):
            core.places.setdefault((int(keys[row]), kind), []).append(len(core.axons))
            core.axons.append((int(keys[row]), kind))
    has[keys] = np.maximum(has[keys], needs)
    axons = [axon for row, kind in np.argwhere(needs > 0).tolist() for axon in core.places[int(keys[row]), kind][: needs[row, kind]]]
    core.bits.append((np.array(axons, np.int64), len(core.neurons)))
    core.neurons.append(n)
    core.weights.append(weights)
    core.room -= copies
    return True


def _needs(has: np.ndarray, wiring: Wiring, n: int, chosen: dict[int, Basis]) -> tuple[np.ndarray, np.ndarray]:
    """The four weights of neuron n, and how many axons of each type each of its connections needs, int64 (connections, 4)."""
    rows = slice(wiring.starts[n], wiring.starts[n + 1])
    values, which = np.unique(wiring.weights[rows], return_inverse=True)
    if not is_direct(values):
        basis = chosen[int(wiring.groups[n])]
        needed = written(basis, wiring.weights[rows])
        assert needed is not None  # the basis was chosen for these weights
        return np.array(basis), needed
    missing = has[wiring.keys[rows]] == 0
    cost = np.stack([np.bincount(which, missing[:, kind], len(values)) for kind in range(AXON_TYPES)], axis=1)
    wish = (values < 0) * 2  # among equals: types 0 and 1 excite
    cost = cost + 1e-3 * ((np.arange(AXON_TYPES)[None, :] - wish[:, None]) % AXON_TYPES)
    value, kind = linear_sum_assignment(cost)
    weights = np.zeros(AXON_TYPES, np.int64)
    weights[kind] = values[value]
    needed = np.zeros((len(which), AXON_TYPES), np.int64)
    needed[np.arange(len(which)), kind[np.argsort(value)][which]] = 1
    return weights, needed
