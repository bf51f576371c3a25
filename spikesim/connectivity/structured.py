"""Structured connectivity: weights that are shared or stored densely, never unrolled into a table.

Populations carry a shape; a convolution needs (channels, *space) on both sides, as torch lays them out, or
(*space, channels) with ``channels_last``, which is faster: what one source adds to a place then lies in one run.
"""

import math
from typing import Any

import numpy as np

from spikesim.connectivity.rules import Rule
from spikesim.description import flag, frozen_array
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

    def fan_out(self, source_shape: Shape) -> np.ndarray:
        """How many synapses each source has, int64 (sources,), without those that would lead beyond a border."""
        raise NotImplementedError

    def weight_values(self) -> np.ndarray:
        """All weights that occur, in whatever order and number."""
        return self.weights  # type: ignore[attr-defined]

    def stored_count(self) -> int:
        """The number of weights that are stored."""
        return self.weight_values().size

    def largest_weight(self) -> float:
        """The size of the largest weight."""
        return float(np.abs(self.weight_values()).max(initial=0.0))


class Dense(Structured):
    """All-to-all with a full matrix ``weights`` (sources, targets), stored row by row."""

    weights: Any

    def check(self) -> None:
        object.__setattr__(self, "weights", finite(self.weights, "Dense.weights"))
        if self.weights.ndim != 2:
            raise DescriptionError(f"Dense.weights: expected two dimensions (sources, targets), got shape {self.weights.shape}")

    def check_shapes(self, source_shape, target_shape, what):
        sizes = (math.prod(source_shape), math.prod(target_shape))
        if self.weights.shape != sizes:
            raise DescriptionError(f"{what}: Dense.weights has shape {self.weights.shape}, expected {sizes}")

    def target_shape(self, source_shape, what):
        return (self.weights.shape[1],)

    def fan_out(self, source_shape):
        return np.full(math.prod(source_shape), self.weights.shape[1], np.int64)

    def synapse_count(self, sources, targets, selves):
        return sources * targets


class Conv(Structured):
    """Convolution in one to three dimensions, as torch defines it (a cross-correlation).

    weights: (channels_out, channels_in / groups, *kernel); stride, padding, dilation: one number, or one for
    each dimension; groups: the channels are divided into so many separate convolutions; channels_last: the
    populations are shaped (*space, channels).
    """

    weights: Any
    stride: Any = 1
    padding: Any = 0
    dilation: Any = 1
    groups: int = 1
    channels_last: bool = flag(default=False)

    def check(self) -> None:
        _check_kernel(self, "(channels_out, channels_in, *kernel)")
        if self.weights.shape[0] % self.groups:
            raise DescriptionError(f"Conv: {self.weights.shape[0]} output channels do not divide into {self.groups} groups")

    def target_shape(self, source_shape, what):
        space = _space(self, self.weights.shape[1] * self.groups, source_shape, what)
        out = window_output(space, self.weights.shape[2:], self.stride, self.padding, self.dilation, f"{what}: Conv")
        return joined(self.weights.shape[0], out, self.channels_last)

    def fan_out(self, source_shape):
        return _fan_out(self, source_shape, self.weights.shape[0] // self.groups)

    def synapse_count(self, sources, targets, selves):
        return targets * math.prod(self.weights.shape[1:])  # the border, where the kernel sticks out, counted in


class ConvTranspose(Structured):
    """Transposed convolution in one to three dimensions, as torch defines it: each source spreads the kernel over the targets.

    weights: (channels_in, channels_out / groups, *kernel); along each dimension there are
    (n - 1) stride - 2 padding + dilation (kernel - 1) + output_padding + 1 places for n of the source. output_padding
    is less than stride or dilation; the rest as for `Conv`.
    """

    weights: Any
    stride: Any = 1
    padding: Any = 0
    dilation: Any = 1
    groups: int = 1
    output_padding: Any = 0
    channels_last: bool = flag(default=False)

    def check(self) -> None:
        _check_kernel(self, "(channels_in, channels_out, *kernel)")
        extra = per_dimension(self.output_padding, len(self.stride), 0, "ConvTranspose.output_padding")
        object.__setattr__(self, "output_padding", extra)
        if self.weights.shape[0] % self.groups:
            raise DescriptionError(f"ConvTranspose: {self.weights.shape[0]} input channels do not divide into {self.groups} groups")
        if any(e >= max(s, d) for e, s, d in zip(extra, self.stride, self.dilation, strict=True)):
            raise DescriptionError(f"ConvTranspose.output_padding: expected less than the stride {self.stride} or the dilation "
                                   f"{self.dilation}, got {extra}")  # fmt: skip

    def target_shape(self, source_shape, what):
        space = _space(self, self.weights.shape[0], source_shape, what)
        options = (self.weights.shape[2:], self.stride, self.padding, self.dilation, self.output_padding)
        out = tuple((n - 1) * s - 2 * p + d * (k - 1) + e + 1 for n, k, s, p, d, e in zip(space, *options, strict=True))
        if any(n < 1 for n in out):
            raise DescriptionError(f"{what}: ConvTranspose with padding {self.padding} leaves nothing of {space}; use less padding")
        return joined(self.weights.shape[1] * self.groups, out, self.channels_last)

    def fan_out(self, source_shape):
        return _fan_out(self, source_shape, self.weights.shape[1])

    def synapse_count(self, sources, targets, selves):
        return sources * math.prod(self.weights.shape[1:])  # the border counted in


class Pool(Structured):
    """Sum over windows of each channel; average pooling is ``weight=1 / (size of the window)``.

    kernel, stride (the kernel by default), padding: one number, or one for each space dimension; channels_last: the
    populations are shaped (*space, channels).
    """

    kernel: Any
    stride: Any = None
    padding: Any = 0
    channels_last: bool = flag(default=False)

    def check(self) -> None:
        for name, least in (("kernel", 1), ("stride", 1), ("padding", 0)):
            value = getattr(self, name)
            if isinstance(value, tuple | list):
                object.__setattr__(self, name, per_dimension(value, len(value), least, f"Pool.{name}"))
            elif value is not None or name == "kernel":
                per_dimension(value, 1, least, f"Pool.{name}")

    def weight_values(self):
        return np.ones(1)

    def fan_out(self, source_shape):
        return self.as_conv(source_shape, "Pool").fan_out(source_shape)

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
        channels, _ = parted(source_shape, self.channels_last)
        return Conv(np.ones((channels, 1, *kernel)), stride, padding, groups=channels, channels_last=self.channels_last)

    def target_shape(self, source_shape, what):
        return self.as_conv(source_shape, what).target_shape(source_shape, what)

    def synapse_count(self, sources, targets, selves):
        kernel = self.kernel if isinstance(self.kernel, tuple | list) else (self.kernel,)
        return targets * math.prod(kernel)


def parted(shape: Shape, channels_last: bool) -> tuple[int, Shape]:
    """(channels, space) of a population's shape."""
    return (shape[-1], shape[:-1]) if channels_last else (shape[0], shape[1:])


def joined(channels: int, space: Shape, channels_last: bool) -> Shape:
    """A population's shape, made of what `parted` parts."""
    return (*space, channels) if channels_last else (channels, *space)


def meetings(places: int, meets: int, kernel: int, stride: int, padding: int, dilation: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All (place, offset, other) along one axis with other = place stride - padding + offset dilation inside 0..meets - 1.

    For a convolution the places are those of the targets and the others those of the sources, for a transposed one the reverse.
    """
    place, offset = (grid.ravel() for grid in np.indices((places, kernel)))
    other = place * stride - padding + offset * dilation
    inside = (other >= 0) & (other < meets)
    return place[inside], offset[inside], other[inside]


def axis_meetings(rule: Conv | ConvTranspose, axis: int, sources: int, targets: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All (source place, offset in the kernel, target place) along one axis of a convolution of either kind."""
    options = rule.weights.shape[2 + axis], rule.stride[axis], rule.padding[axis], rule.dilation[axis]
    if isinstance(rule, ConvTranspose):
        return meetings(sources, targets, *options)
    target, offset, source = meetings(targets, sources, *options)
    return source, offset, target


def per_dimension(value: Any, dims: int, least: int, what: str) -> Shape:
    """``value`` as a tuple of ``dims`` whole numbers, each at least ``least``."""
    values = tuple(value) if isinstance(value, tuple | list | np.ndarray) else (value,) * dims
    if any(isinstance(v, bool) or not isinstance(v, int | np.integer) for v in values):
        raise KindError(f"{what}: expected whole numbers, got {value!r}")
    if len(values) != dims or any(v < least for v in values):
        raise DescriptionError(f"{what}: expected {dims} whole numbers from {least} on, got {value!r}")
    return tuple(int(v) for v in values)


def _check_kernel(rule: Any, order: str) -> None:
    """Check what both kinds of convolution share, and spell it out for each dimension; ``order`` is that of the weights."""
    what = type(rule).__name__
    object.__setattr__(rule, "weights", finite(rule.weights, f"{what}.weights"))
    dims = rule.weights.ndim - 2
    if dims not in (1, 2, 3) or 0 in rule.weights.shape:
        raise DescriptionError(f"{what}.weights: expected {order} with one to three kernel dimensions, got shape {rule.weights.shape}")
    for name, least in (("stride", 1), ("padding", 0), ("dilation", 1)):
        object.__setattr__(rule, name, per_dimension(getattr(rule, name), dims, least, f"{what}.{name}"))
    if isinstance(rule.groups, bool) or not isinstance(rule.groups, int | np.integer) or rule.groups < 1:
        raise DescriptionError(f"{what}.groups: expected a whole number from 1 on, got {rule.groups!r}")
    object.__setattr__(rule, "groups", int(rule.groups))


def _space(rule: Conv | ConvTranspose, channels: int, source_shape: Shape, what: str) -> Shape:
    """The space dimensions of the sources, which must have so many channels."""
    dims = rule.weights.ndim - 2
    if len(source_shape) != dims + 1 or parted(source_shape, rule.channels_last)[0] != channels:
        order = f"{dims} space dimensions, and {channels}" if rule.channels_last else f"{channels}, and {dims} space dimensions"
        raise DescriptionError(f"{what}: {type(rule).__name__} needs sources of shape ({order}), "
                               f"got {source_shape}; give the population that shape")  # fmt: skip
    return parted(source_shape, rule.channels_last)[1]


def _fan_out(rule: Conv | ConvTranspose, source_shape: Shape, channels_out: int) -> np.ndarray:
    """The product of how many places each source meets along each axis, times the output channels of its group."""
    channels, space = parted(source_shape, rule.channels_last)
    _, target_space = parted(rule.target_shape(source_shape, type(rule).__name__), rule.channels_last)
    found = np.full((1,) * len(space), channels_out, np.int64)
    for axis, (sources, targets) in enumerate(zip(space, target_space, strict=True)):
        met = np.bincount(axis_meetings(rule, axis, sources, targets)[0], minlength=sources)
        found = found * met.reshape(-1, *(1,) * (len(space) - axis - 1))
    return np.repeat(found.ravel(), channels) if rule.channels_last else np.tile(found.ravel(), channels)


def window_output(space: Shape, kernel: Shape, stride: Shape, padding: Shape, dilation: Shape, what: str) -> Shape:
    """The shape of all positions of a window: floor((size + 2 padding - dilation (kernel - 1) - 1) / stride) + 1."""
    out = tuple((n + 2 * p - d * (k - 1) - 1) // s + 1
                for n, k, s, p, d in zip(space, kernel, stride, padding, dilation, strict=True))  # fmt: skip
    if any(n < 1 for n in out):
        raise DescriptionError(f"{what}: a kernel of {kernel} with dilation {dilation} does not fit into {space} with padding {padding}")
    return out


def finite(value: Any, what: str) -> np.ndarray:
    """``value`` as a frozen array of finite numbers."""
    array = frozen_array(value, what)
    if not np.isfinite(array).all():
        raise DescriptionError(f"{what}: expected finite numbers, found nan or infinity")
    return array
