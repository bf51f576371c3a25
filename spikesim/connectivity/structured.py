"""Structured connectivity: weights that are shared or stored densely, never unrolled into a table.

Populations carry a shape; a convolution needs (channels, *space) on both sides, as torch lays them out.
"""

import math
from typing import Any

import numpy as np

from spikesim.connectivity.rules import Rule
from spikesim.description import frozen_array
from spikesim.errors import DescriptionError, KindError

Shape = tuple[int, ...]


class Structured(Rule):
    """Base of the structured rules. The projection's ``weight`` scales all weights (1 by default)."""

    def target_shape(self, source_shape: Shape, what: str) -> Shape:
        """The shape the target side must have, given the shape of the source side."""
        raise NotImplementedError

    def check_shapes(self, source_shape: Shape, target_shape: Shape, what: str) -> None:
        """Raise `DescriptionError` unless the target side has the shape that follows from the source side."""
        wanted = self.target_shape(source_shape, what)
        if wanted != target_shape:
            raise DescriptionError(f"{what}: from sources of shape {source_shape} this {type(self).__name__} gives targets of "
                                   f"shape {wanted}, but the target has shape {target_shape}")  # fmt: skip

    def stored_count(self) -> int:
        """The number of weights that are stored."""
        return self.weights.size  # type: ignore[attr-defined]

    def largest_weight(self) -> float:
        """The size of the largest weight."""
        return float(np.abs(self.weights).max(initial=0.0))  # type: ignore[attr-defined]


class Dense(Structured):
    """All-to-all with a full matrix ``weights`` (sources, targets), stored row by row."""

    weights: Any

    def check(self) -> None:
        object.__setattr__(self, "weights", _finite(self.weights, "Dense.weights"))
        if self.weights.ndim != 2:
            raise DescriptionError(f"Dense.weights: expected two dimensions (sources, targets), got shape {self.weights.shape}")

    def check_shapes(self, source_shape, target_shape, what):
        sizes = (math.prod(source_shape), math.prod(target_shape))
        if self.weights.shape != sizes:
            raise DescriptionError(f"{what}: Dense.weights has shape {self.weights.shape}, expected {sizes}")

    def synapse_count(self, sources, targets, selves):
        return sources * targets


class Conv(Structured):
    """Convolution in one to three dimensions, as torch defines it (a cross-correlation).

    weights: (channels_out, channels_in / groups, *kernel); stride, padding, dilation: one number, or one for
    each dimension; groups: the channels are divided into so many separate convolutions.
    """

    weights: Any
    stride: Any = 1
    padding: Any = 0
    dilation: Any = 1
    groups: int = 1

    def check(self) -> None:
        object.__setattr__(self, "weights", _finite(self.weights, "Conv.weights"))
        dims = self.weights.ndim - 2
        if dims not in (1, 2, 3) or 0 in self.weights.shape:
            raise DescriptionError("Conv.weights: expected (channels_out, channels_in, *kernel) with one to three "
                                   f"kernel dimensions, got shape {self.weights.shape}")  # fmt: skip
        for name, least in (("stride", 1), ("padding", 0), ("dilation", 1)):
            object.__setattr__(self, name, per_dimension(getattr(self, name), dims, least, f"Conv.{name}"))
        if isinstance(self.groups, bool) or not isinstance(self.groups, int | np.integer) or self.groups < 1:
            raise DescriptionError(f"Conv.groups: expected a whole number from 1 on, got {self.groups!r}")
        object.__setattr__(self, "groups", int(self.groups))
        if self.weights.shape[0] % self.groups:
            raise DescriptionError(f"Conv: {self.weights.shape[0]} output channels do not divide into {self.groups} groups")

    def target_shape(self, source_shape, what):
        channels = self.weights.shape[1] * self.groups
        if len(source_shape) != self.weights.ndim - 1 or source_shape[0] != channels:
            raise DescriptionError(f"{what}: Conv needs sources of shape ({channels}, and {self.weights.ndim - 2} space dimensions), "
                                   f"got {source_shape}; give the population that shape")  # fmt: skip
        space = window_output(source_shape[1:], self.weights.shape[2:], self.stride, self.padding, self.dilation, f"{what}: Conv")
        return (self.weights.shape[0], *space)

    def synapse_count(self, sources, targets, selves):
        return targets * math.prod(self.weights.shape[1:])  # the border, where the kernel sticks out, counted in


class Pool(Structured):
    """Sum over windows of each channel; average pooling is ``weight=1 / (size of the window)``.

    kernel, stride (the kernel by default), padding: one number, or one for each space dimension.
    """

    kernel: Any
    stride: Any = None
    padding: Any = 0

    def check(self) -> None:
        for name, least in (("kernel", 1), ("stride", 1), ("padding", 0)):
            value = getattr(self, name)
            if isinstance(value, tuple | list):
                object.__setattr__(self, name, per_dimension(value, len(value), least, f"Pool.{name}"))
            elif value is not None or name == "kernel":
                per_dimension(value, 1, least, f"Pool.{name}")

    def stored_count(self):
        return 1

    def window(self, dims: int, what: str) -> tuple[Shape, Shape, Shape]:
        """(kernel, stride, padding) spelled out for ``dims`` space dimensions."""
        kernel = per_dimension(self.kernel, dims, 1, f"{what}: Pool.kernel")
        stride = per_dimension(self.kernel if self.stride is None else self.stride, dims, 1, f"{what}: Pool.stride")
        return kernel, stride, per_dimension(self.padding, dims, 0, f"{what}: Pool.padding")

    def as_conv(self, source_shape: Shape, what: str) -> Conv:
        """The same sums as a convolution with one group for each channel."""
        if len(source_shape) not in (2, 3, 4):
            raise DescriptionError(f"{what}: Pool needs sources of shape (channels, one to three space dimensions), got {source_shape}")
        kernel, stride, padding = self.window(len(source_shape) - 1, what)
        return Conv(np.ones((source_shape[0], 1, *kernel)), stride, padding, groups=source_shape[0])

    def target_shape(self, source_shape, what):
        return self.as_conv(source_shape, what).target_shape(source_shape, what)

    def synapse_count(self, sources, targets, selves):
        kernel = self.kernel if isinstance(self.kernel, tuple | list) else (self.kernel,)
        return targets * math.prod(kernel)


def per_dimension(value: Any, dims: int, least: int, what: str) -> Shape:
    """``value`` as a tuple of ``dims`` whole numbers, each at least ``least``."""
    values = tuple(value) if isinstance(value, tuple | list | np.ndarray) else (value,) * dims
    if any(isinstance(v, bool) or not isinstance(v, int | np.integer) for v in values):
        raise KindError(f"{what}: expected whole numbers, got {value!r}")
    if len(values) != dims or any(v < least for v in values):
        raise DescriptionError(f"{what}: expected {dims} whole numbers from {least} on, got {value!r}")
    return tuple(int(v) for v in values)


def window_output(space: Shape, kernel: Shape, stride: Shape, padding: Shape, dilation: Shape, what: str) -> Shape:
    """The shape of all positions of a window: floor((size + 2 padding - dilation (kernel - 1) - 1) / stride) + 1."""
    out = tuple((n + 2 * p - d * (k - 1) - 1) // s + 1
                for n, k, s, p, d in zip(space, kernel, stride, padding, dilation, strict=True))  # fmt: skip
    if any(n < 1 for n in out):
        raise DescriptionError(f"{what}: a kernel of {kernel} with dilation {dilation} does not fit into {space} with padding {padding}")
    return out


def _finite(value: Any, what: str) -> np.ndarray:
    array = frozen_array(value, what)
    if not np.isfinite(array).all():
        raise DescriptionError(f"{what}: expected finite numbers, found nan or infinity")
    return array
