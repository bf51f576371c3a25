"""Axon types: how weights become the four that a neuron has, and how many axons of each type a source needs.

A source reaches a neuron through any number of its axons, whose types pick from the neuron's four weights; their sum is the weight
of the connection. A neuron with at most four different weights takes these. Otherwise its weights are written with four others,
such as 1, 8, -1 and -8, each as often as needed (decomposition over several axons).
"""

from functools import cache

import numpy as np

from spikesim.hardware.truenorth.limits import AXON_TYPES
from spikesim.neurons.truenorth import LARGEST_WEIGHT

Basis = tuple[int, int, int, int]


def is_direct(weights: np.ndarray) -> bool:
    """Whether the different ``weights`` can be a neuron's four."""
    return len(weights) <= AXON_TYPES and bool(np.abs(weights).max(initial=0) <= LARGEST_WEIGHT)


def written(basis: Basis, weights: np.ndarray) -> np.ndarray | None:
    """How often each of ``basis`` occurs in each weight, int64 (n, 4); None if they cannot be written so.

    Three forms: (1, q, -1, -q), digits of both signs; (1, b, b**2, -c), digits after adding c to what is negative; and
    (1, b, b**2, b**3), digits. A common factor of all four is allowed.
    """
    one, second, third, fourth = basis
    if (weights % one).any():
        return None
    values = weights // one
    q, c = abs(second // one), -fourth // one
    if third == -one:
        tens = np.sign(values) * ((np.abs(values) + q // 2) // q)
        rest = values - tens * q
        return np.stack([np.maximum(rest, 0), np.maximum(tens, 0), np.maximum(-rest, 0), np.maximum(-tens, 0)], axis=1)
    negative = values < 0
    if fourth > 0:
        return None if negative.any() else _digits(values, q, 4)
    lifted = values + c * negative
    if (lifted < 0).any():
        return None
    return np.concatenate([_digits(lifted, q, 3), negative[:, None]], axis=1).astype(np.int64)


def _digits(values: np.ndarray, base: int, places: int) -> np.ndarray:
    columns = [values // base**k % base for k in range(places - 1)]
    return np.stack([*columns, values // base ** (places - 1)], axis=1)


def best_basis(weights: np.ndarray, counts: np.ndarray) -> Basis:
    """The basis that writes ``weights``, which occur ``counts`` times, with the fewest axons."""
    factor = int(np.gcd.reduce(np.abs(weights)))
    sign = -1 if (weights < 0).all() else 1
    best, least = None, np.inf
    for basis in _candidates(int(np.abs(weights).max()) // factor, bool((weights < 0).any() and (weights > 0).any())):
        scaled: Basis = tuple(each * factor * sign for each in basis)  # type: ignore[assignment]
        needed = written(scaled, weights)
        if needed is not None and max(map(abs, scaled)) <= LARGEST_WEIGHT:
            cost = float((needed.sum(axis=1) * counts).sum())
            if cost < least:
                best, least = scaled, cost
    if best is None:  # a common factor beyond 9 bits: write the weights with plain numbers
        return best_basis(np.concatenate([weights, [1]]), np.concatenate([counts, [0]]))
    return best


@cache
def _candidates(largest: int, both: bool) -> tuple[Basis, ...]:
    """Bases for weights up to ``largest`` of one sign or both."""
    numbers = range(2, min(LARGEST_WEIGHT, max(2, largest)) + 1)
    made: list[Basis] = [(1, q, -1, -q) for q in numbers] if both else []
    for b in (n for n in numbers if n <= 15):
        if both:
            made += [(1, b, b * b, -c) for c in {largest, *(k * b for k in range(1, 17))} if c <= LARGEST_WEIGHT]
        if not both and b**3 <= LARGEST_WEIGHT:
            made.append((1, b, b * b, b**3))
    return tuple(made)
