"""Placement: where on the mesh each core stands, so that spikes take few hops.

Cores are set down one by one where the hops to those already there are fewest, the most connected first; then pairs are
swapped while that helps. Hops are |dx| + |dy|, as the routers go: first along x, then along y.
"""

import numpy as np

from spikesim.errors import UnsupportedError
from spikesim.hardware.truenorth.limits import CHIP_HEIGHT, CHIP_WIDTH

SWAPS = 200_000  # pairs of cores looked at, at most


def place(traffic: np.ndarray, chips: tuple[int, int]) -> np.ndarray:
    """Positions int64 (cores, 2) for ``traffic`` (cores, cores), the destinations from core to core; the last column is the border."""
    width, height = chips[0] * CHIP_WIDTH, chips[1] * CHIP_HEIGHT
    cores = len(traffic)
    if cores > width * height:
        raise UnsupportedError(
            f"map_to: the network needs {cores} cores, {chips[0]} x {chips[1]} chips have {width * height}; use more chips"
        )
    both = traffic[:, :cores] + traffic[:, :cores].T
    side = min(max(width, 1), int(np.ceil(np.sqrt(cores))) + 2)
    side = max(side, -(-cores // height))
    sites = np.argwhere(np.ones((min(side, width), min(-(-cores // side) + 2, height)), bool))
    positions = _set_down(both, traffic[:, cores], sites)
    return _swapped(both, traffic[:, cores], positions)


def hops(traffic: np.ndarray, positions: np.ndarray) -> int:
    """The hops that one spike on every destination takes."""
    cores = len(positions)
    way = np.abs(positions[:, None] - positions[None]).sum(axis=2)
    return int((traffic[:, :cores] * way).sum() + (traffic[:, cores] * (positions.min(axis=1) + 1)).sum())


def _set_down(both: np.ndarray, border: np.ndarray, sites: np.ndarray) -> np.ndarray:
    cores = len(both)
    positions, done = np.zeros((cores, 2), np.int64), np.zeros(cores, bool)
    free = np.ones(len(sites), bool)
    edge = sites.min(axis=1) + 1.0
    pull = both.sum(axis=1) + border
    for _ in range(cores):
        attached = np.where(done, -1.0, both[:, done].sum(axis=1) + 1e-6 * pull)
        core = int(np.argmax(attached))
        partners = np.flatnonzero(done & (both[core] > 0))
        way = np.abs(sites[:, None] - positions[partners][None]).sum(axis=2) @ both[core, partners] + border[core] * edge
        site = int(np.argmin(np.where(free, way + 1e-9 * np.arange(len(sites)), np.inf)))
        positions[core], done[core], free[site] = sites[site], True, False
    return positions


def _swapped(both: np.ndarray, border: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Swap each core with the one that saves most, again and again, until nothing saves or `SWAPS` pairs were looked at."""
    both = both - np.diag(np.diag(both))
    looked, better = 0, True
    while better and looked < SWAPS:
        better = False
        for a in range(len(both)):
            saved = _savings(a, both, border, positions)
            b = int(np.argmax(saved))
            looked += len(both)
            if saved[b] > 0:
                positions[[a, b]] = positions[[b, a]]
                better = True
    return positions


def _savings(a: int, both: np.ndarray, border: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """The hops saved by swapping core ``a`` with each other core; ``both`` is symmetric, without diagonal."""
    way = np.abs(positions[:, None] - positions[None]).sum(axis=2)
    edge = positions.min(axis=1) + 1
    cost = (both * way).sum(axis=1)
    after = way @ both[a] + both @ way[a] + 2 * both[a] * way[a]  # a at the others' places, they at its own
    saved = cost[a] + cost - after + (border[a] - border) * (edge[a] - edge)
    saved[a] = 0
    return saved
