"""Sparse connectivity rules: plain data, built into tables by `spikesim.connectivity.tables`.

Sources and targets are counted within the two sides of the projection (slices of populations). An autapse
connects a neuron with itself; multapses are several synapses between the same pair.
"""

from typing import Any

import numpy as np

from spikesim.description import Description, flag, frozen_array, real, whole
from spikesim.errors import DescriptionError


class Rule(Description):
    """Base of all connectivity rules."""

    def check_sizes(self, sources: int, targets: int, selves: int, what: str) -> None:
        """Raise `DescriptionError` if the rule cannot hold between ``sources`` and ``targets`` neurons.

        ``selves`` is the number of neurons that lie on both sides.
        """

    def synapse_count(self, sources: int, targets: int, selves: int) -> int | None:
        """The exact number of synapses, or None where it is random."""
        raise NotImplementedError

    def array_shape(self, sources: int, targets: int, selves: int) -> tuple[int, ...] | None:
        """The shape of an array of weights or delays, which may also be flat; None if there cannot be one."""
        count = self.synapse_count(sources, targets, selves)
        return None if count is None else (count,)

    def expected_count(self, sources: int, targets: int, selves: int) -> float:
        """The expected number of synapses."""
        return float(self.synapse_count(sources, targets, selves) or 0)


class OneToOne(Rule):
    """Source i with target i; both sides have the same size."""

    def check_sizes(self, sources, targets, selves, what):
        if sources != targets:
            raise DescriptionError(f"{what}: OneToOne needs equal sizes, got {sources} sources and {targets} targets")

    def synapse_count(self, sources, targets, selves):
        return sources


class AllToAll(Rule):
    """Every source with every target. Arrays of weights or delays hold a value for each pair, forbidden ones too."""

    autapses: bool = flag(default=True)

    def array_shape(self, sources, targets, selves):
        return sources, targets

    def synapse_count(self, sources, targets, selves):
        return sources * targets - (0 if self.autapses else selves)


class FixedProbability(Rule):
    """Every pair is connected with probability ``p``, independently (pairwise Bernoulli)."""

    p: float = real(at_least=0.0, at_most=1.0)
    autapses: bool = flag(default=True)

    def synapse_count(self, sources, targets, selves):
        return None

    def expected_count(self, sources, targets, selves):
        return self.p * (sources * targets - (0 if self.autapses else selves))


class FixedIndegree(Rule):
    """Every target draws ``k`` sources uniformly."""

    k: int = whole()
    autapses: bool = flag(default=True)
    multapses: bool = flag(default=True)

    def check_sizes(self, sources, targets, selves, what):
        _room(self, self.k, sources - (0 if self.autapses or not selves else 1), "sources for each target", what)

    def array_shape(self, sources, targets, selves):
        return targets, self.k

    def synapse_count(self, sources, targets, selves):
        return self.k * targets


class FixedOutdegree(Rule):
    """Every source draws ``k`` targets uniformly."""

    k: int = whole()
    autapses: bool = flag(default=True)
    multapses: bool = flag(default=True)

    def check_sizes(self, sources, targets, selves, what):
        _room(self, self.k, targets - (0 if self.autapses or not selves else 1), "targets for each source", what)

    def array_shape(self, sources, targets, selves):
        return sources, self.k

    def synapse_count(self, sources, targets, selves):
        return self.k * sources


class FixedTotalNumber(Rule):
    """``n`` synapses, each between a uniformly drawn source and target."""

    n: int = whole()
    autapses: bool = flag(default=True)
    multapses: bool = flag(default=True)

    def check_sizes(self, sources, targets, selves, what):
        _room(self, self.n, sources * targets - (0 if self.autapses else selves), "pairs", what)

    def synapse_count(self, sources, targets, selves):
        return self.n


class PairList(Rule):
    """Explicit pairs: synapse k leads from ``sources[k]`` to ``targets[k]``; both int64 (n,)."""

    sources: Any
    targets: Any

    def check(self) -> None:
        for name in ("sources", "targets"):
            array = frozen_array(getattr(self, name), f"PairList.{name}", dtype=np.int64)
            if array.ndim != 1:
                raise DescriptionError(f"PairList.{name}: expected one dimension, got shape {array.shape}")
            object.__setattr__(self, name, array)
        if len(self.sources) != len(self.targets):
            raise DescriptionError(f"PairList: {len(self.sources)} sources but {len(self.targets)} targets")

    def check_sizes(self, sources, targets, selves, what):
        for name, ids, size in (("sources", self.sources, sources), ("targets", self.targets, targets)):
            bad = ids[(ids < 0) | (ids >= size)]
            if len(bad):
                raise DescriptionError(f"{what}: PairList.{name} must lie in 0..{size - 1}, got {bad[0]}")

    def synapse_count(self, sources, targets, selves):
        return len(self.sources)


class Entries(Description):
    """The nonzero entries of a matrix of ``shape``: ``weights[k]`` at (``sources[k]``, ``targets[k]``)."""

    sources: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    shape: tuple[int, ...]

    def check(self) -> None:
        for name, dtype in (("sources", np.int64), ("targets", np.int64), ("weights", np.float64)):
            object.__setattr__(self, name, frozen_array(getattr(self, name), f"Matrix.{name}", dtype=dtype))
        if not self.sources.shape == self.targets.shape == self.weights.shape == (self.weights.size,):
            raise DescriptionError("Matrix: sources, targets and weights must be vectors of one length")
        if not np.isfinite(self.weights).all():
            raise DescriptionError("Matrix.weights: expected finite numbers, found nan or infinity")


class Matrix(Rule):
    """One synapse for each nonzero entry of ``weights`` (sources, targets): an array or a scipy sparse matrix.

    The projection's ``weight`` scales all of them (1 by default).
    """

    weights: Any

    def check(self) -> None:
        if not isinstance(self.weights, Entries):
            object.__setattr__(self, "weights", _entries(self.weights))

    def check_sizes(self, sources, targets, selves, what):
        if tuple(self.weights.shape) != (sources, targets):
            raise DescriptionError(f"{what}: Matrix.weights has shape {self.weights.shape}, expected ({sources}, {targets})")
        self.pairs().check_sizes(sources, targets, selves, what)

    def largest_weight(self) -> float:
        """The size of the largest weight."""
        return float(np.abs(self.weights.weights).max(initial=0.0))

    def pairs(self) -> PairList:
        """The pairs of the nonzero entries."""
        return PairList(self.weights.sources, self.weights.targets)

    def synapse_count(self, sources, targets, selves):
        return len(self.weights.weights)


def _entries(weights: Any) -> Entries:
    if hasattr(weights, "tocoo"):
        found = weights.tocoo()
        return Entries(found.row, found.col, found.data, found.shape)
    array = frozen_array(weights, "Matrix.weights")
    if array.ndim != 2:
        raise DescriptionError(f"Matrix.weights: expected two dimensions (sources, targets), got shape {array.shape}")
    sources, targets = np.nonzero(array)
    return Entries(sources, targets, array[sources, targets], array.shape)


def _room(rule: Any, wanted: int, available: int, of_what: str, what: str) -> None:
    if wanted and (available <= 0 or (not rule.multapses and wanted > available)):
        hint = "" if rule.multapses else "; allow multapses or ask for fewer"
        raise DescriptionError(f"{what}: {rule!r} needs {wanted} {of_what}, but there are {max(available, 0)}{hint}")
