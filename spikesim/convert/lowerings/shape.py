"""Rows that move numbers without changing them, sums and means over axes, and joins."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from spikesim.convert.builder import SAMPLES, Builder, Moved
from spikesim.convert.graph import Node
from spikesim.convert.lowerings.table import Row

# These run as they are on a tensor of positions; what they did to it is the node.
MOVES = (
    "view", "reshape", "_unsafe_view", "flatten", "ravel", "unflatten", "squeeze", "unsqueeze", "permute",
    "transpose", "swapaxes", "swapdims", "movedim", "moveaxis", "t", "T", "mT", "getitem", "slice", "select", "narrow", "index_select",
    "take_along_dim", "chunk", "split", "split_with_sizes", "tensor_split", "unbind", "expand", "broadcast_to", "repeat",
    "repeat_interleave", "tile", "flip", "fliplr", "flipud", "roll", "rot90", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle",
    "native_channel_shuffle", "unfold", "im2col", "diagonal", "tril", "triu", "reflection_pad1d", "reflection_pad2d", "reflection_pad3d",
    "replication_pad1d", "replication_pad2d", "replication_pad3d",
)  # fmt: skip
SAME = ("contiguous", "clone", "detach", "alias", "float", "double", "half", "bfloat16", "to", "type", "type_as", "cpu", "cuda", "identity",
        "positive", "data", "real", "requires_grad", "lift_fresh_copy", "feature_dropout", "_to_copy")  # fmt: skip
DROPOUTS = ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout", "native_dropout")


def move(builder: Builder, x: Any, *args: Any, **kwargs: Any) -> Any:
    """Whatever torch does with the numbers of a tensor, done to their positions."""
    if not isinstance(x, Node | Moved) or any(isinstance(value, Node) for value in (*args, *kwargs.values())):
        builder.refuse("chooses numbers by an activation; positions must be constant")
    return builder.rearrange(x, builder.original)


def like(builder: Builder, x: Any, other: Any) -> Any:
    """A new shape, that of another activation."""
    return builder.rearrange(x, builder.original)


def item(builder: Builder, x: Any, index: Any) -> Any:
    """``x[index]``, of a tensor or of several results."""
    if isinstance(x, tuple):
        found = x[index]
        return builder.refuse("reads a result that is not converted, as the indices of a maximum") if found is None else found
    if not isinstance(x, Node | Moved):
        builder.refuse("chooses numbers by an activation; positions must be constant")
    return builder.rearrange(x, builder.original)


def same(builder: Builder, x: Any, *args: Any, **kwargs: Any) -> Any:
    """The value itself; all is computed in float64."""
    return x


def dropout(builder: Builder, input: Node, p: float = 0.5, training: bool | None = None, inplace: bool = False, *rest: Any) -> Node:
    """Dropout is off in eval mode; `functional.dropout` has ``training=True`` unless told."""
    if p > 0.0 and training is not False:
        builder.refuse("drops at random also in eval mode; write functional.dropout(x, training=self.training)")
    return input


def pad(builder: Builder, input: Node, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Node:
    """Padding with a number (a bias), or with numbers of the input."""
    pad = [int(side) for side in pad]
    if mode == "constant":
        return builder.rearrange(input, lambda places: torch.nn.functional.pad(places, pad), fill=float(value or 0.0))
    return builder.rearrange(input, lambda places: torch.nn.functional.pad(places, pad, mode))


def join(builder: Builder, tensors: Sequence[Any], *args: Any, **kwargs: Any) -> Node:
    """cat and stack."""
    return placed(builder, tensors, builder.original)


def scatter(builder: Builder, x: Any, source: Any, *args: Any, name: str, **kwargs: Any) -> Node:
    """``x`` with ``source`` in the place of a slice."""
    return placed(builder, (x, source), lambda both: getattr(torch, name)(*both, *args, **kwargs))


def placed(builder: Builder, tensors: Sequence[Any], function: Callable[[list[torch.Tensor]], torch.Tensor]) -> Node:
    """The sum of all inputs, each put in the place that ``function`` gives it; constants become the bias."""
    known = [torch.zeros(SAMPLES, *x.shape).double() if isinstance(x, Node) else torch.as_tensor(x).double() for x in tensors]
    bias = function(known)
    constants = builder.constant(bias, bias.ndim - 1) if bias.count_nonzero() else None
    zeros = [torch.zeros_like(x) for x in known]
    parts = [builder.rearrange(x, lambda places, at=place: function([*zeros[:at], places, *zeros[at + 1 :]]))
             for place, x in enumerate(tensors) if isinstance(x, Node)]  # fmt: skip
    return builder.sum(parts, bias=constants)


def filled(builder: Builder, x: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
    """A constant of the shape of x."""
    if any(isinstance(value, Node) for value in (*args, *kwargs.values())):
        builder.refuse("fills in an activation; use expand")
    return builder.original(torch.zeros(SAMPLES, *x.shape).double())


def total(builder: Builder, input: Node, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, mean: bool = False) -> Node:
    """Sum or mean over one or several axes."""
    if dim is None or (isinstance(dim, list | tuple) and not dim):
        builder.refuse("works over all dimensions, the batch too; name the dimensions")
    axes = sorted({builder.axis(input, one) for one in (dim if isinstance(dim, list | tuple) else (dim,))})
    for first, last in reversed(neighbours(axes)):
        size = int(np.prod(input.shape[first : last + 1]))
        kept = (1,) * (last - first + 1) if keepdim else ()
        input = builder.along(input, np.full((1, size), 1.0 / size if mean else 1.0), first, last, shape=kept,
                              part="mean" if mean else "sum")  # fmt: skip
    return input


def mean(builder: Builder, input: Node, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Node:
    """Mean over one or several axes."""
    return total(builder, input, dim, keepdim, mean=True)


def cumulative_sum(builder: Builder, input: Node, dim: int, *, dtype: Any = None) -> Node:
    """The running sum along an axis: a triangle of ones."""
    axis = builder.axis(input, dim)
    return builder.along(input, np.tril(np.ones((input.shape[axis],) * 2)), axis)


def neighbours(axes: Sequence[int]) -> list[tuple[int, int]]:
    """Sorted axes as runs (first, last) of neighbouring ones."""
    runs: list[tuple[int, int]] = []
    for axis in axes:
        if runs and runs[-1][1] == axis - 1:
            runs[-1] = (runs[-1][0], axis)
        else:
            runs.append((axis, axis))
    return runs


ROWS: dict[str, Row] = {
    **dict.fromkeys(MOVES, move),
    **dict.fromkeys(SAME, same),
    **dict.fromkeys(("view_as", "reshape_as", "expand_as"), like),
    **dict.fromkeys(DROPOUTS, dropout),
    **dict.fromkeys(("cat", "concat", "concatenate", "stack", "hstack", "vstack", "dstack"), join),
    **dict.fromkeys(("zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full", "fill", "zero"), filled),
    **{name: partial(scatter, name=name) for name in ("slice_scatter", "select_scatter")},
    "getitem": item,
    "pad": pad,
    "constant_pad_nd": lambda builder, input, pad_, value=0.0: pad(builder, input, pad_, "constant", value),
    "sum": total,
    "mean": mean,
    "cumsum": cumulative_sum,
}
