"""Placement: linear operators as connectivity between populations that are stored with the channels last.

A value of shape (channels, *space), flat as torch lays it out, has number c places + r for channel c at place r; in a
population it is neuron r channels + c.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import sparse

from spikesim.connectivity import Along as AlongRule
from spikesim.connectivity import Conv, ConvTranspose, Dense
from spikesim.connectivity.structured import Structured
from spikesim.convert.operators import Along, Convolution, Full, Operator, Shape, channel_matrix
from spikesim.population import Population


@dataclass(frozen=True, eq=False)
class Place:
    """Where a node's value lives: neuron k holds value ``order[k]`` of the flat value, and a spike of it is worth ``worth[k]``.

    shape: (channels, *space) under which the value is stored.
    """

    population: Population
    shape: Shape
    worth: np.ndarray

    @property
    def order(self) -> np.ndarray:
        return channels_last(self.shape)

    def stored(self, values: np.ndarray) -> np.ndarray:
        """Values in torch's order (n, *shape) in that of the neurons (n, size): faster than by ``order``."""
        by_place = torch.from_numpy(values).reshape(len(values), self.channels, self.places).transpose(1, 2)
        return by_place.contiguous().reshape(len(values), -1).numpy()

    @property
    def channels(self) -> int:
        return self.shape[0]

    @property
    def places(self) -> int:
        return math.prod(self.shape[1:])


def channels_last(shape: Shape) -> np.ndarray:
    """For each neuron the number of its value in torch's order, int64 (size,)."""
    return np.arange(math.prod(shape)).reshape(shape[0], -1).T.reshape(-1)


def stored(shape: Shape) -> Shape:
    """The shape of the population that holds a value of (channels, *space)."""
    return *shape[1:], shape[0]


def rule_of(operator: Operator, source: Place, target: Place, coefficient: float) -> Structured:
    """The connectivity that adds ``coefficient`` x operator(value of source) to the input of target."""
    return RULES[type(operator)](operator, source, target, coefficient)


def fits(operator: Operator, place: Place, shape: Shape) -> bool:
    """Whether a convolution can read a place: stored under its own shape, all spikes of a channel worth the same."""
    return not isinstance(operator, Convolution) or (
        place.shape == shape and not np.ptp(place.worth.reshape(-1, place.channels), axis=0).any())  # fmt: skip


def _full(operator: Full, source: Place, target: Place, coefficient: float) -> Dense:
    weights = operator.weights.T[source.order][:, target.order]
    return Dense(weights * (coefficient * source.worth)[:, None])


def _convolution(operator: Convolution, source: Place, target: Place, coefficient: float) -> Conv | ConvTranspose:
    worth = coefficient * source.worth[: source.channels]
    space = (1,) * len(operator.stride)
    common = {"stride": operator.stride, "padding": operator.padding, "dilation": operator.dilation, "groups": operator.groups,
              "channels_last": True}  # fmt: skip
    if operator.transposed:
        weights = operator.weights * worth.reshape(-1, 1, *space)
        return ConvTranspose(weights, output_padding=operator.output_padding or 0, **common)
    outputs = len(operator.weights) // operator.groups
    of_group = np.repeat(worth.reshape(operator.groups, -1), outputs, axis=0)
    return Conv(operator.weights * of_group.reshape(*of_group.shape, *space), **common)


def _along(operator: Along, source: Place, target: Place, coefficient: float) -> AlongRule:
    """Structured where the operator acts on channels alone or on places alone, else entry by entry."""
    small = _as_stored(operator, source, target)
    if small is not None:
        matrix, inner = small
        worth = source.worth.reshape(-1, matrix.shape[1], inner)
        one = worth[0]  # (inputs, inner)
        if not np.ptp(worth, axis=0).any() and not np.ptp(one, axis=0).any():
            return AlongRule(matrix * coefficient, inner=inner, gains=one[0])
        if not np.ptp(worth, axis=0).any() and not np.ptp(one, axis=1).any():
            return AlongRule(sparse.csr_array(matrix * (coefficient * one[:, 0])[None, :]), inner=inner)
    outer = len(source.order) // (operator.matrix.shape[1] * operator.inner)
    spread = sparse.kron(
        sparse.kron(sparse.eye_array(outer), operator.matrix, format="csr"), sparse.eye_array(operator.inner), format="csr"
    )
    entries = sparse.csr_array(spread)[target.order][:, source.order]
    return AlongRule(sparse.csr_array(entries * (coefficient * source.worth)[None, :]))


def _as_stored(operator: Along, source: Place, target: Place) -> tuple[Any, int] | None:
    """Matrix and inner for values with the channels last, where it mixes only channels, or only places; else None."""
    outputs, inputs = operator.matrix.shape
    mixing = channel_matrix(operator, source.shape) if source.places == target.places else None
    if mixing is not None:
        return mixing, 1
    blocks, rest = divmod(source.places, inputs * operator.inner)
    if rest or source.channels != target.channels or blocks * outputs * operator.inner != target.places:
        return None
    return operator.matrix, operator.inner * source.channels


def identity(source: Place, target: Place, coefficient: float) -> AlongRule:
    """Each neuron to the one that holds the same value."""
    return _along(Along(sparse.csr_array(np.ones((1, 1))), len(source.order)), source, target, coefficient)


RULES: dict[type[Operator], Callable[..., Structured]] = {Full: _full, Convolution: _convolution, Along: _along}
