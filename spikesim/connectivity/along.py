"""A sparse matrix along one axis of the populations, shared by all others: pooling, scaling, slices, upsampling, a layer for each token."""

import math
from typing import Any

import numpy as np

from spikesim.connectivity.structured import Shape, Structured, finite
from spikesim.description import Description, frozen_array, whole
from spikesim.errors import DescriptionError


class Columns(Description):
    """The entries of a matrix of ``shape`` (outputs, inputs) by columns: weights[k] at (outputs[k], j) for starts[j] <= k < starts[j + 1].

    starts: int64 (inputs + 1,); outputs: int64, ascending within a column; weights: float64.
    """

    starts: np.ndarray
    outputs: np.ndarray
    weights: np.ndarray
    shape: tuple[int, ...]

    def check(self) -> None:
        for name in ("starts", "outputs"):
            object.__setattr__(self, name, frozen_array(getattr(self, name), f"Along.matrix.{name}", dtype=np.int64))
        object.__setattr__(self, "weights", finite(self.weights, "Along.matrix"))
        object.__setattr__(self, "shape", tuple(frozen_array(self.shape, "Along.matrix.shape", dtype=np.int64).ravel().tolist()))
        if len(self.shape) != 2 or min(self.shape) < 1:
            raise DescriptionError(f"Along.matrix: expected two dimensions (outputs, inputs) of at least 1, got shape {self.shape}")
        starts, outputs = self.starts, self.outputs
        if starts.shape != (self.shape[1] + 1,) or not outputs.shape == self.weights.shape == (outputs.size,):
            raise DescriptionError(f"Along.matrix: expected vectors of {self.shape[1] + 1} starts and as many outputs as weights, "
                                   f"got shapes {starts.shape}, {outputs.shape} and {self.weights.shape}")  # fmt: skip
        if starts[0] != 0 or starts[-1] != len(outputs) or (np.diff(starts) < 0).any():
            raise DescriptionError(f"Along.matrix.starts: expected numbers that ascend from 0 to {len(outputs)}")
        if len(outputs) and not 0 <= outputs.min() <= outputs.max() < self.shape[0]:
            raise DescriptionError(f"Along.matrix.outputs: expected numbers in 0..{self.shape[0] - 1}")
        if (np.diff(self.cells()) <= 0).any():
            raise DescriptionError("Along.matrix.outputs: expected numbers that ascend within each column")

    def cells(self) -> np.ndarray:
        """The place of each entry if the matrix were written column by column."""
        return np.repeat(np.arange(self.shape[1]), np.diff(self.starts)) * self.shape[0] + self.outputs


class Along(Structured):
    """A matrix along one axis of the populations, or several neighbouring ones, shared by all others.

        y[o, j, i] = sum over k of matrix[j, k] gains[i] x[o, k, i]

    matrix: (outputs, inputs), an array or a scipy sparse one, of which only the entries that are not zero are synapses;
    inner: the number of positions i after the axis; gains: None (all 1) or (inner,). Sources have o x inputs x inner neurons
    and targets o x outputs x inner, in whatever shape.
    """

    matrix: Any
    inner: int = whole(default=1, at_least=1)
    gains: Any = None

    def check(self) -> None:
        if not isinstance(self.matrix, Columns):
            object.__setattr__(self, "matrix", _columns(self.matrix))
        if self.gains is not None:
            object.__setattr__(self, "gains", finite(self.gains, "Along.gains"))
            if self.gains.shape != (self.inner,):
                raise DescriptionError(f"Along.gains: expected shape ({self.inner},), one for each inner position, got {self.gains.shape}")
        with np.errstate(over="ignore"):
            if not np.isfinite(self.largest_weight()):
                raise DescriptionError("Along: matrix times gains is beyond the largest float; scale one of them down")

    def outer(self, source_shape: Shape, what: str) -> int:
        """How many times the matrix is used for each inner position."""
        block = self.matrix.shape[1] * self.inner
        if math.prod(source_shape) % block:
            raise DescriptionError(f"{what}: Along needs a multiple of {block} sources ({self.matrix.shape[1]} columns x {self.inner} "
                                   f"inner positions), got shape {source_shape}")  # fmt: skip
        return math.prod(source_shape) // block

    def target_shape(self, source_shape, what):
        return (self.outer(source_shape, what) * self.matrix.shape[0] * self.inner,)

    def check_shapes(self, source_shape, target_shape, what):
        super().check_shapes(source_shape, (math.prod(target_shape),), what)

    def weight_values(self):
        return self.table().ravel()

    def largest_weight(self):
        largest = np.abs(self.matrix.weights).max(initial=0.0)
        return float(largest if self.gains is None else largest * np.abs(self.gains).max())

    def table(self) -> np.ndarray:
        """The weights: (entries, 1), or with several gains (different entries of the matrix, inner)."""
        if self.gains is None or self.inner == 1:
            return self.matrix.weights[:, None] * (1.0 if self.gains is None else self.gains)
        return np.unique(self.matrix.weights)[:, None] * self.gains

    def rows(self) -> np.ndarray:
        """The row of `table` for each entry of the matrix, int64."""
        if self.gains is None or self.inner == 1:
            return np.arange(len(self.matrix.weights))
        return np.unique(self.matrix.weights, return_inverse=True)[1].reshape(-1)

    def stored_count(self):
        return self.table().size

    def fan_out(self, source_shape):
        column = np.repeat(np.diff(self.matrix.starts), self.inner)
        return np.tile(column, self.outer(source_shape, "Along"))

    def synapse_count(self, sources, targets, selves):
        return sources // self.matrix.shape[1] * len(self.matrix.weights)


def _columns(matrix: Any) -> Columns:
    """An array or scipy sparse matrix by columns, entries at the same place summed, zeros left out."""
    if hasattr(matrix, "tocoo"):
        found = matrix.tocoo()
        shape, outputs, inputs = found.shape, found.row.astype(np.int64), found.col.astype(np.int64)
        weights = finite(found.data, "Along.matrix")
    else:
        array = finite(matrix, "Along.matrix")
        if array.ndim != 2:
            raise DescriptionError(f"Along.matrix: expected two dimensions (outputs, inputs), got shape {array.shape}")
        shape, (outputs, inputs) = array.shape, np.nonzero(array)
        weights = array[outputs, inputs]
    places, which = np.unique(inputs * shape[0] + outputs, return_inverse=True)
    sums = np.bincount(which.reshape(-1), weights, len(places))
    places, sums = places[sums != 0.0], sums[sums != 0.0]
    starts = np.searchsorted(places, np.arange(shape[1] + 1) * shape[0])
    return Columns(starts, places % max(shape[0], 1), sums, shape)
