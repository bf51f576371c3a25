"""Rows for pooling and resampling. Each space dimension is worked out on its own; their matrices multiply (Kronecker).

The matrix of an averaging operator along an axis of n positions is what torch's own one-dimensional operator makes of the n
unit vectors, which holds for all of its options.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial, reduce
from itertools import product
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch.nn import functional

from spikesim.convert.builder import Builder
from spikesim.convert.graph import Node
from spikesim.convert.lowerings.shape import neighbours
from spikesim.convert.lowerings.table import Row, spread

Windows = list[list[int]]  # for each output position of an axis the input positions it looks at


def _space(builder: Builder, x: Node, dims: int) -> tuple[int, ...]:
    if len(x.shape) != dims + 1:
        builder.refuse(f"needs (channels, {dims} space dimensions) after the batch dimension, got {x.shape}")
    return x.shape[1:]


def _separable(builder: Builder, x: Node, matrices: Sequence[Any], part: str) -> Node:
    """A matrix for each of the last axes."""
    whole = reduce(lambda left, right: sparse.kron(left, right, format="csr"), [sparse.csr_array(matrix) for matrix in matrices])
    shape = tuple(matrix.shape[0] for matrix in matrices)
    return builder.along(x, whole, len(x.shape) - len(shape), len(x.shape) - 1, shape=shape, part=part)


def _response(size: int, operator: Callable[[torch.Tensor], torch.Tensor]) -> np.ndarray:
    """The matrix of a linear operator on (batch, 1, size)."""
    return operator(torch.eye(size, dtype=torch.float64)[:, None, :])[:, 0, :].numpy().T


def average(builder: Builder, input: Node, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
            count_include_pad: bool = True, divisor_override: int | None = None, *, dims: int) -> Node:  # fmt: skip
    """Average pooling with all options."""
    space = _space(builder, input, dims)
    kernel = spread(kernel_size, dims)
    steps, pads = (kernel if stride in (None, [], ()) else spread(stride, dims)), spread(padding, dims)
    matrices = []
    for size, *options in zip(space, kernel, steps, pads, strict=True):
        given = dict(zip(("kernel_size", "stride", "padding"), options, strict=True))
        pool = partial(functional.avg_pool1d, ceil_mode=ceil_mode, count_include_pad=count_include_pad, **given)
        matrix = _response(size, pool)
        matrices.append((matrix > 0.0) if divisor_override else matrix)
    if divisor_override:
        matrices = [matrix.astype(np.float64) for matrix in matrices]
        matrices[0] = matrices[0] / divisor_override
    return _separable(builder, input, matrices, "mean")


def adaptive_average(builder: Builder, input: Node, output_size: Any, *, dims: int) -> Node:
    """Average pooling to a given size; None keeps the size of an axis."""
    space = _space(builder, input, dims)
    targets = _targets(space, output_size)
    matrices = [_response(size, partial(functional.adaptive_avg_pool1d, output_size=to)) for size, to in zip(space, targets, strict=True)]
    return _separable(builder, input, matrices, "mean")


def _targets(space: tuple[int, ...], output_size: Any) -> list[int]:
    wanted = output_size if isinstance(output_size, list | tuple) else (output_size,) * len(space)
    return [size if to is None else int(to) for size, to in zip(space, wanted, strict=True)]


def largest(builder: Builder, input: Node, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
            ceil_mode: bool = False, return_indices: bool = False, *, dims: int) -> Node:  # fmt: skip
    """Max pooling: the largest of one selection for each position of the window."""
    space = _space(builder, input, dims)
    kernel = spread(kernel_size, dims)
    steps = kernel if stride in (None, [], ()) else spread(stride, dims)
    options = zip(space, kernel, steps, spread(padding, dims), spread(dilation, dims), strict=True)
    return _windowed(builder, input, [_windows(*given, ceil_mode) for given in options])


def with_indices(builder: Builder, *args: Any, row: Row, **kwargs: Any) -> tuple[Node, None]:
    """Max pooling that also gives the places of the maxima, which are not converted."""
    kwargs.pop("return_indices", None)
    return row(builder, *args, **kwargs), None


def _windows(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> Windows:
    count = functional.max_pool1d(torch.zeros(1, 1, size), kernel, stride, padding, dilation, ceil_mode).shape[-1]
    places = [[step * stride - padding + tap * dilation for tap in range(kernel)] for step in range(count)]
    return [[place for place in window if 0 <= place < size] for window in places]


def adaptive_largest(builder: Builder, input: Node, output_size: Any, return_indices: bool = False, *, dims: int) -> Node:
    """Max pooling to a given size: output i looks at floor(i n / m) to ceil((i + 1) n / m)."""
    space = _space(builder, input, dims)
    targets = zip(space, _targets(space, output_size), strict=True)
    return _windowed(builder, input, [[list(range(i * n // m, -(-(i + 1) * n // m))) for i in range(m)] for n, m in targets])


def _windowed(builder: Builder, x: Node, axes: Sequence[Windows]) -> Node:
    """The maximum over windows of the last axes. Where a window is short, its last position stands for those that miss."""
    first = len(x.shape) - len(axes)
    shape = tuple(len(windows) for windows in axes)
    selections = []
    for taps in product(*(range(max(map(len, windows))) for windows in axes)):
        taken = [[window[min(tap, len(window) - 1)] for window in windows] for tap, windows in zip(taps, axes, strict=True)]
        matrices = [sparse.csr_array((np.ones(len(rows)), (np.arange(len(rows)), rows)), shape=(len(rows), size))
                    for rows, size in zip(taken, x.shape[first:], strict=True)]  # fmt: skip
        whole = reduce(lambda left, right: sparse.kron(left, right, format="csr"), matrices)
        selections.append(builder.along(x, whole, first, len(x.shape) - 1, shape=shape, part="window"))
    return builder.maximum(selections)


def extreme(builder: Builder, input: Node, dim: Any = None, keepdim: bool = False, *, sign: float = 1.0) -> Node:
    """The maximum over axes; the minimum with ``sign`` -1."""
    if dim is None or (isinstance(dim, list | tuple) and not dim):
        builder.refuse("works over all dimensions, the batch too; name the dimensions")
    axes = sorted({builder.axis(input, one) for one in (dim if isinstance(dim, list | tuple) else (dim,))})
    x = input if sign > 0.0 else builder.sum([input], [sign])
    for first, last in reversed(neighbours(axes)):
        size = math.prod(x.shape[first : last + 1])
        kept = (1,) * (last - first + 1) if keepdim else ()
        picks = [sparse.csr_array(([1.0], ([0], [place])), shape=(1, size)) for place in range(size)]
        x = builder.maximum([builder.along(x, pick, first, last, shape=kept, part="window") for pick in picks])
    return x if sign > 0.0 else builder.sum([x], [sign])


def interpolate(builder: Builder, input: Node, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
                align_corners: bool | None = None, recompute_scale_factor: bool | None = None,
                antialias: bool = False) -> Node:  # fmt: skip
    """Resampling to a size or by a factor; along each axis nearest neighbour or linear."""
    dims = len(input.shape) - 1
    _space(builder, input, dims)
    plain = {"bilinear": "linear", "trilinear": "linear"}.get(mode, mode)
    if plain not in ("nearest", "nearest-exact", "linear", "area") or antialias:
        builder.refuse(f"with mode {mode!r}{' and antialias' if antialias else ''} has no row; use nearest, linear, bilinear or trilinear")
    sizes = [None] * dims if size is None else spread(size, dims)
    factors = [None] * dims
    if scale_factor is not None:
        factors = (
            list(scale_factor) * (dims if len(scale_factor) == 1 else 1)
            if isinstance(scale_factor, list | tuple)
            else [scale_factor] * dims
        )
    matrices = []
    for length, to, factor in zip(input.shape[1:], sizes, factors, strict=True):
        options = {"size": to, "scale_factor": factor, "mode": plain, "align_corners": align_corners,
                   "recompute_scale_factor": recompute_scale_factor}  # fmt: skip
        matrices.append(_response(length, partial(functional.interpolate, **options)))
    return _separable(builder, input, matrices, "upsample")


def upsample(builder: Builder, input: Node, size: Any, *given: Any, mode: str) -> Node:
    """The forms of ATen: (size, [align_corners,] factors)."""
    corners = given[0] if given and isinstance(given[0], bool) else None
    factors = next((one for one in given if isinstance(one, list | tuple)), None)
    return interpolate(builder, input, None if factors else size, factors, mode, corners)


MAXIMA: dict[str, Row] = {
    **{f"max_pool{dims}d": partial(largest, dims=dims) for dims in (1, 2, 3)},
    **{f"adaptive_max_pool{dims}d": partial(adaptive_largest, dims=dims) for dims in (1, 2, 3)},
}

ROWS: dict[str, Row] = {
    **{f"avg_pool{dims}d": partial(average, dims=dims) for dims in (1, 2, 3)},
    **{f"adaptive_avg_pool{dims}d": partial(adaptive_average, dims=dims) for dims in (1, 2, 3)},
    **MAXIMA,
    **{f"{name}_with_indices": partial(with_indices, row=row) for name, row in MAXIMA.items()},
    **dict.fromkeys(("interpolate", "upsample"), interpolate),
    **{f"upsample_{name}": partial(upsample, mode=mode) for name, mode in (
        ("nearest1d", "nearest"), ("nearest2d", "nearest"), ("nearest3d", "nearest"), ("linear1d", "linear"), ("bilinear2d", "bilinear"),
        ("trilinear3d", "trilinear"))},
    "upsample_nearest": interpolate,
    "amax": extreme,
    "amin": partial(extreme, sign=-1.0),
}  # fmt: skip
