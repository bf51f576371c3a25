"""Rows for +, -, x, /, powers, matmul, and the larger or smaller of two, between activations and constants."""

import math
from functools import partial
from typing import Any

import numpy as np
import torch

from spikesim.convert.builder import LARGEST_PRODUCT, Builder, array
from spikesim.convert.graph import Node
from spikesim.convert.lowerings.linear import linear, matrix_product
from spikesim.convert.lowerings.pooling import extreme
from spikesim.convert.lowerings.table import Row


def add(builder: Builder, x: Any, y: Any, *, alpha: float = 1.0) -> Node:
    """``x + alpha y``; a constant becomes a bias."""
    if isinstance(x, Node) and isinstance(y, Node):
        return builder.sum([x, y], [1.0, alpha])
    if isinstance(x, Node):
        return builder.offset(x, y, factor=alpha)
    return builder.offset(y if alpha == 1.0 else builder.sum([y], [alpha]), x)


def subtract(builder: Builder, x: Any, y: Any, *, alpha: float = 1.0) -> Node:
    """``x - alpha y``."""
    return add(builder, x, y, alpha=-alpha)


def subtract_from(builder: Builder, x: Any, y: Any, *, alpha: float = 1.0) -> Node:
    """``y - alpha x``, torch.rsub."""
    return add(builder, y, x, alpha=-alpha)


def multiply(builder: Builder, x: Any, y: Any) -> Node:
    """``x y``: a product of activations, or a scaling."""
    if isinstance(x, Node) and isinstance(y, Node):
        return builder.product(x, y)
    return builder.scale(x, y) if isinstance(x, Node) else builder.scale(y, x)


def divide(builder: Builder, x: Any, y: Any, *, rounding_mode: str | None = None) -> Node:
    """``x / y``."""
    if rounding_mode is not None:
        builder.refuse(f"rounds ({rounding_mode}), which has no row")
    if isinstance(y, Node):
        return multiply(builder, x, builder.pointwise(y, "reciprocal"))
    return builder.scale(x, 1.0 / array(y))


def negate(builder: Builder, x: Node) -> Node:
    """``-x``."""
    return builder.sum([x], [-1.0])


def power(builder: Builder, x: Any, exponent: Any) -> Node:
    """``x**n`` for n = 1, 2, 3, 4, -1, -2, -1/2."""
    if isinstance(exponent, torch.Tensor) and exponent.numel() == 1:
        exponent = float(exponent)
    if not isinstance(x, Node) or exponent not in (1, 2, 3, 4, -1, -2, -0.5):
        builder.refuse(f"has the exponent {exponent!r}; only 1, 2, 3, 4, -1, -2 and -0.5 of an activation")
    if exponent in (1, -1):
        return builder.reshape(x, x.shape) if exponent == 1 else builder.pointwise(x, "reciprocal")
    if exponent == -0.5:
        return builder.pointwise(x, "rsqrt")
    squared = builder.pointwise(x, "square")
    if exponent == 3:
        return builder.product(squared, x)
    return squared if exponent == 2 else builder.pointwise(squared, "square" if exponent == 4 else "reciprocal")


def matmul(builder: Builder, x: Any, y: Any) -> Node:
    """``x @ y``; of two activations as products of all pairs, added up."""
    if not (isinstance(x, Node) and isinstance(y, Node)):
        return matrix_product(builder, x, y)
    if len(x.shape) < 2 or len(y.shape) < 2:
        builder.refuse("multiplies activations of (batch, features), which mixes the batch; use * and sum")
    rows, inner, columns = x.shape[-2], x.shape[-1], y.shape[-1]
    outer = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    count = math.prod(outer) * rows * inner * columns
    if count > LARGEST_PRODUCT:
        builder.refuse(f"multiplies activations {x.shape} @ {y.shape}: {count:,} products, of at most {LARGEST_PRODUCT:,}; use "
                       "fewer or shorter tokens, or a pooled form")  # fmt: skip
    if len(x.shape) != len(y.shape):
        builder.align([x, y])
    left = builder.rearrange(x, lambda places: places[..., :, :, None].expand(-1, *x.shape[:-2], rows, inner, columns).clone())
    right = builder.rearrange(y, lambda places: places[..., None, :, :].expand(-1, *y.shape[:-2], rows, inner, columns).clone())
    pairs = builder.product(left, right)
    return builder.along(pairs, np.ones((1, inner)), len(pairs.shape) - 2, shape=(), part="sum")


def baddbmm(builder: Builder, bias: Any, x: Any, y: Any, *, beta: float = 1.0, alpha: float = 1.0) -> Node:
    """``beta bias + alpha x @ y`` for each sample."""
    return add(builder, matmul(builder, x, y), multiply(builder, bias, beta) if isinstance(bias, Node) else beta * bias)


def larger(builder: Builder, x: Any, y: Any = None, keepdim: bool = False, *, dim: Any = None, sign: float = 1.0) -> Any:
    """torch.maximum(x, y), torch.max(x, y) or torch.max(x, dim), whose indices are not converted."""
    if dim is not None or isinstance(y, int | None):
        return extreme(builder, x, y if dim is None else dim, keepdim, sign=sign), None
    if isinstance(x, Node) and isinstance(y, Node):
        if sign > 0.0:
            return builder.maximum([x, y])
        return negate(builder, builder.maximum([negate(builder, x), negate(builder, y)]))
    x, bound = (x, y) if isinstance(x, Node) else (y, x)
    limit = builder.constant(bound, len(x.shape))
    x = builder.broadcast(x, np.broadcast_shapes(x.shape, limit.shape))
    low, high = (limit, np.inf) if sign > 0.0 else (-np.inf, limit)
    return builder.pointwise(x, "clamp", low=low, high=high)


def where(builder: Builder, condition: Any, x: Any, y: Any) -> Node:
    """One of two, chosen by a constant mask."""
    if isinstance(condition, Node):
        builder.refuse("chooses by an activation; use maximum, clamp or relu, or a constant mask")
    return add(builder, multiply(builder, x, condition), multiply(builder, y, ~condition.bool())) if isinstance(x, Node) and isinstance(
        y, Node) else _masked(builder, condition.bool(), x, y)  # fmt: skip


def _masked(builder: Builder, condition: torch.Tensor, x: Any, y: Any) -> Node:
    kept, other, mask = (x, y, condition) if isinstance(x, Node) else (y, x, ~condition)
    values = np.where(array(mask) > 0.0, 0.0, array(other))
    return builder.offset(builder.scale(kept, mask), values)


def masked_fill(builder: Builder, x: Node, mask: Any, value: Any) -> Node:
    """A constant put where a constant mask is set."""
    if isinstance(mask, Node):
        builder.refuse("chooses by an activation; the mask must be constant")
    if not np.isfinite(array(value)).all():
        builder.refuse("fills in infinity; before a softmax -30 does the same, or use scaled_dot_product_attention with its mask")
    return _masked(builder, ~mask, x, value)


def addcmul(builder: Builder, x: Any, y: Any, z: Any, *, value: float = 1.0) -> Node:
    """``x + value y z``."""
    return add(builder, x, multiply(builder, y, z), alpha=value)


def interpolate_between(builder: Builder, x: Any, y: Any, weight: Any) -> Node:
    """torch.lerp, ``x + weight (y - x)``."""
    return add(builder, x, multiply(builder, subtract(builder, y, x), weight))


ROWS: dict[str, Row] = {
    "add": add,
    **dict.fromkeys(("sub", "subtract"), subtract),
    "rsub": subtract_from,
    **dict.fromkeys(("mul", "multiply"), multiply),
    **dict.fromkeys(("div", "divide"), divide),
    **dict.fromkeys(("neg", "negative"), negate),
    "pow": power,
    "square": partial(power, exponent=2),
    "reciprocal": partial(power, exponent=-1),
    "rsqrt": partial(power, exponent=-0.5),
    **dict.fromkeys(("matmul", "bmm", "mm", "mv"), matmul),
    "baddbmm": baddbmm,
    **dict.fromkeys(("max", "maximum", "fmax"), larger),
    **dict.fromkeys(("min", "minimum", "fmin"), partial(larger, sign=-1.0)),
    "where": where,
    "masked_fill": masked_fill,
    "addcmul": addcmul,
    "lerp": interpolate_between,
    "linear": linear,
}
