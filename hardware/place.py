"""Placement: which core of the mesh each part goes to, so that messages travel few tiles.

Parts start along a curve through the mesh, those with most traffic between them side by side; then pairs of places swap
as long as that shortens the way (rates times Manhattan distances, steps between chips counted as `CROSSING` tiles each).
"""

import numpy as np

from spikesim.kernel import kernel

CROSSING = 8  # tiles that a way from chip to chip counts as
SWEEPS = 30
WORK = 40_000_000  # additions of a sweep; where all pairs would take more, each place is tried with some others only


def positions(count: int, mesh: tuple[int, int], per_tile: int, chip_cores: int) -> np.ndarray:
    """Chip, x, y of so many cores in the order of a boustrophedon through the tiles of chip after chip; int64 (count, 3)."""
    number = np.arange(count)
    chip, within = np.divmod(number, chip_cores)
    tile = within // per_tile
    x, y = np.divmod(tile, mesh[1])
    y = np.where(x % 2 == 1, mesh[1] - 1 - y, y)
    return np.stack([chip, x, y], axis=1).astype(np.int64)


def distances(places: np.ndarray) -> np.ndarray:
    """Tiles between each two places, int64 (places, places)."""
    chip, x, y = (places[:, k] for k in range(3))
    crossings = np.abs(chip[:, None] - chip[None, :])
    return np.abs(x[:, None] - x[None, :]) + np.abs(y[:, None] - y[None, :]) + CROSSING * crossings


def place(traffic: np.ndarray, places: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """The place (row of ``places``) of each part, int64; traffic: float64 (parts, parts), messages per step, from row to column."""
    both = traffic + traffic.T
    np.fill_diagonal(both, 0.0)
    distance = distances(places).astype(np.float64)
    rng = np.random.default_rng(seed)
    start = np.empty(len(both), np.int64)
    start[_chain(both)] = np.arange(len(both))
    tries = [swapped(both, distance, first, rng.permutation(len(places)), SWEEPS, WORK) for first in (start, np.arange(len(both)))]
    return min(tries, key=lambda found: travel(traffic, places, found))


def travel(traffic: np.ndarray, places: np.ndarray, found: np.ndarray) -> float:
    """Tiles that all messages of a step travel."""
    return float((traffic * distances(places)[np.ix_(found, found)]).sum())


def _chain(both: np.ndarray) -> np.ndarray:
    """An order of the parts in which each is the one with most traffic to those just before it."""
    left = np.ones(len(both), bool)
    order = np.empty(len(both), np.int64)
    pull = both.sum(axis=1) * 1e-9
    for k in range(len(both)):
        order[k] = at = int(np.argmax(np.where(left, pull, -1.0)))
        left[at] = False
        pull = 0.7 * pull + both[at]
    return order


@kernel
def swapped(both, distance, found, order, sweeps, work):
    """Swap parts, or move one to a free place, as long as that shortens the way; ``found``: the place of each part."""
    parts, places = len(both), len(distance)
    found = found.copy()
    holder = np.full(places, -1, np.int64)
    for part in range(parts):
        holder[found[part]] = part
    others = min(places, work // (places * parts) + 8)
    for sweep in range(sweeps):
        better = 0
        for at in range(places):
            i = order[at]
            a = holder[i]
            if a < 0:
                continue
            for k in range(others):
                j = k if others == places else order[(at + 1 + sweep * others + k) % places]
                b = holder[j]
                if i == j or holder[i] != a:
                    continue
                change = 0.0
                for c in range(parts):
                    if c != a and c != b:
                        shift = distance[j, found[c]] - distance[i, found[c]]
                        change += both[a, c] * shift - (both[b, c] * shift if b >= 0 else 0.0)
                if change < -1e-9:
                    holder[i], holder[j] = b, a
                    found[a] = j
                    if b >= 0:
                        found[b] = i
                    better += 1
        if better == 0:
            break
    return found
