"""The quantum of each port: of what the integer weights are multiples.

Weights that are whole multiples of the least of them take that as quantum and are exact. Otherwise the quantum is
a power of two, so that weights that are dyadic numbers, and all sums of them, are exact.
"""

import math
from dataclasses import dataclass

import numpy as np

from spikesim.connectivity.rules import Matrix, Rule
from spikesim.connectivity.structured import Structured
from spikesim.description import Distribution

LARGEST = {16: 2**15 - 1, 32: 2**30}
TOLERATED = 1e-3  # relative error of a nonzero weight that widens the type to 32 bits


@dataclass(frozen=True)
class Quantum:
    """``value`` in the unit of the weights, the ``bits`` they are stored in, the largest relative rounding error."""

    value: float
    bits: int
    error: float


def rule_weights(rule: Rule, weight) -> np.ndarray | Distribution:
    """The weights of a projection as far as they are known beforehand: an array or a distribution."""
    if isinstance(rule, Structured):
        return rule.weight_values() * weight
    if isinstance(rule, Matrix):
        return rule.weights.weights * weight
    return weight if isinstance(weight, Distribution) else np.asarray(weight)


def choose(weights: list[np.ndarray | Distribution], *, bits: int | None = None) -> Quantum:
    """The quantum for all weights that arrive at one port, in so many bits, by default as few as keep each to 0.1 %."""
    known = [w for w in weights if not isinstance(w, Distribution)]
    values = np.abs(np.concatenate([np.ravel(w) for w in known])) if known else np.empty(0)
    values = values[values > 0.0]
    spans = [w.support() for w in weights if isinstance(w, Distribution)]
    largest = max([float(values.max(initial=0.0)), *(max(abs(low), abs(high)) for low, high in spans)])
    if largest == 0.0:
        return Quantum(1.0, 16, 0.0)
    smallest = [float(values.min())] if len(values) else []
    least = min([*smallest, *(_least_size(low, high) for low, high in spans)])
    if not spans:
        multiples = np.rint(values / least)
        if multiples.max() <= LARGEST[16] and np.allclose(values / least, multiples, rtol=1e-12, atol=0.0):
            return Quantum(least, 16, 0.0)
    widths = (16, 32) if bits is None else (bits,)
    for width in widths:
        quantum = 2.0 ** math.ceil(math.log2(largest / LARGEST[width]))
        worst = 0.5 * quantum / least if least > 0.0 else math.inf
        error = min(worst, 1.0) if spans else _error(values, quantum)
        if width == widths[-1] or error <= TOLERATED:
            return Quantum(quantum, width, error)
    raise AssertionError("the last width always returns")


def _least_size(low: float, high: float) -> float:
    return 0.0 if low <= 0.0 <= high else min(abs(low), abs(high))


def _error(values: np.ndarray, quantum: float) -> float:
    return float(np.max(np.abs(np.rint(values / quantum) * quantum - values) / values))
