"""Rows for activation functions."""

import math
from functools import partial
from typing import Any

import numpy as np

from spikesim.convert.builder import Builder, array
from spikesim.convert.graph import Node
from spikesim.convert.lowerings.table import Row
from spikesim.convert.qcfs import QCFS

SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805  # Klambauer et al. 2017


def plain(builder: Builder, input: Node, *, function: str) -> Node:
    """A function without parameters."""
    return builder.pointwise(input, function)


def clamp(builder: Builder, input: Node, min: Any = None, max: Any = None) -> Node:
    """Clamp, clip, hardtanh: limits may be numbers or constants for each value."""
    if isinstance(min, Node) or isinstance(max, Node):
        builder.refuse("has a limit that depends on the input; use maximum and minimum")
    low, high = (_limit(builder, input, value, without) for value, without in ((min, -np.inf), (max, np.inf)))
    shape = np.broadcast_shapes(input.shape, np.shape(low), np.shape(high))
    return builder.pointwise(builder.broadcast(input, shape), "clamp", low=low, high=high)


def _limit(builder: Builder, x: Node, value: Any, without: float) -> Any:
    if value is None:
        return without
    limit = builder.constant(value, len(x.shape))
    return float(limit) if limit.ndim == 0 else limit


def hardtanh(builder: Builder, input: Node, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Node:
    """Clamp to -1 ... 1, if not told otherwise."""
    return clamp(builder, input, min_val, max_val)


def threshold(builder: Builder, input: Node, threshold: float, value: float, inplace: bool = False) -> Node:
    """x, or ``value`` up to ``threshold``: without a step only if both are one."""
    if threshold != value:
        builder.refuse(f"with threshold {threshold} and value {value} has a step; they must be equal")
    return clamp(builder, input, threshold)


def relu6(builder: Builder, input: Node, inplace: bool = False) -> Node:
    """Clamp to 0 ... 6."""
    return clamp(builder, input, 0.0, 6.0)


def qcfs(builder: Builder, module: QCFS, input: Node) -> Node:
    """The quantised rectifier; its threshold is one number, or one a channel."""
    threshold = builder.constant(module.threshold, len(input.shape))
    return builder.pointwise(input, "qcfs", threshold=threshold, levels=float(module.levels))


def relu(builder: Builder, input: Node, inplace: bool = False) -> Node:
    """The larger of 0 and x."""
    return builder.pointwise(input, "relu")


def leaky_relu(builder: Builder, input: Node, negative_slope: float = 0.01, inplace: bool = False) -> Node:
    """x, or slope x below 0."""
    return builder.pointwise(input, "leaky_relu", slope=float(negative_slope))


def rrelu(builder: Builder, input: Node, lower: float = 1.0 / 8.0, upper: float = 1.0 / 3.0, training: bool = False,
          inplace: bool = False) -> Node:  # fmt: skip
    """In eval mode a leaky ReLU with the mean slope."""
    if training:
        builder.refuse("draws its slope at random with training=True")
    return leaky_relu(builder, input, (lower + upper) / 2.0)


def prelu(builder: Builder, input: Node, weight: Any) -> Node:
    """A leaky ReLU with a slope for each channel."""
    slopes = array(weight)
    if slopes.size == 1:
        return leaky_relu(builder, input, float(slopes.reshape(())))
    return builder.pointwise(input, "leaky_relu", slope=slopes.reshape(-1, *(1,) * (len(input.shape) - 1)))


def hard(builder: Builder, input: Node, inplace: bool = False, *, function: str) -> Node:
    """hardsigmoid, hardswish, SiLU: they take ``inplace``."""
    return builder.pointwise(input, function)


def gelu(builder: Builder, input: Node, approximate: str = "none") -> Node:
    """GELU, with erf or its tanh approximation."""
    return builder.pointwise(input, "gelu_tanh" if approximate == "tanh" else "gelu")


def softplus(builder: Builder, input: Node, beta: float = 1.0, threshold: float = 20.0) -> Node:
    """``log(1 + exp(beta x)) / beta``. Torch cuts it to x above ``threshold / beta``, exp(-threshold) / beta less: at 20, 2e-9."""
    if threshold < 15.0:
        builder.refuse(f"with threshold={threshold} has a step of {math.exp(-threshold):.1g}; use 15 or more (20 is usual)")
    return builder.pointwise(input, "softplus", beta=float(beta))


def log_sigmoid(builder: Builder, input: Node) -> Node:
    """``-softplus(-x)``."""
    return builder.sum([softplus(builder, builder.sum([input], [-1.0]))], [-1.0])


def elu(builder: Builder, input: Node, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0, inplace: bool = False) -> Node:
    """x, or alpha (exp(x) - 1) below 0."""
    if isinstance(scale, bool):  # functional.elu(input, alpha, inplace)
        scale = 1.0
    return builder.pointwise(input, "elu", scale=float(scale), alpha=float(alpha), rate=float(input_scale))


def celu(builder: Builder, input: Node, alpha: float = 1.0, inplace: bool = False) -> Node:
    """x, or alpha (exp(x / alpha) - 1) below 0."""
    return builder.pointwise(input, "elu", scale=1.0, alpha=float(alpha), rate=1.0 / alpha)


def selu(builder: Builder, input: Node, inplace: bool = False) -> Node:
    """The self-normalising ELU."""
    return builder.pointwise(input, "elu", scale=SELU_SCALE, alpha=SELU_ALPHA, rate=1.0)


def mish(builder: Builder, input: Node, inplace: bool = False) -> Node:
    """``x tanh(softplus(x))``."""
    return builder.product(input, builder.pointwise(softplus(builder, input), "tanh"))


def softsign(builder: Builder, input: Node) -> Node:
    """``x / (1 + |x|)``."""
    return builder.product(input, builder.pointwise(builder.offset(builder.pointwise(input, "abs"), 1.0), "reciprocal"))


def tanhshrink(builder: Builder, input: Node) -> Node:
    """``x - tanh x``."""
    return builder.sum([input, builder.pointwise(input, "tanh")], [1.0, -1.0])


def softshrink(builder: Builder, input: Node, lambd: float = 0.5) -> Node:
    """``x - clamp(x, -lambda, lambda)``."""
    return builder.sum([input, clamp(builder, input, -lambd, lambd)], [1.0, -1.0])


def glu(builder: Builder, input: Node, dim: int = -1) -> Node:
    """``a sigmoid(b)`` of the two halves of an axis."""
    first, second = builder.rearrange(input, lambda places: places.chunk(2, dim))
    return builder.product(first, builder.pointwise(second, "sigmoid"))


PLAIN = {"sigmoid": "sigmoid", "tanh": "tanh", "exp": "exp", "abs": "abs", "absolute": "abs", "expit": "sigmoid"}

ROWS: dict[str, Row] = {
    **{name: partial(plain, function=function) for name, function in PLAIN.items()},
    "relu": relu, "relu6": relu6, "hardtanh": hardtanh, "threshold": threshold, "clamp": clamp, "clip": clamp,
    "clamp_min": lambda builder, input, min: clamp(builder, input, min),
    "clamp_max": lambda builder, input, max: clamp(builder, input, None, max),
    "leaky_relu": leaky_relu, "rrelu": rrelu, "prelu": prelu,
    "hardsigmoid": partial(hard, function="hard_sigmoid"), "hardswish": partial(hard, function="hard_swish"),
    "silu": partial(hard, function="silu"), "gelu": gelu, "softplus": softplus, "logsigmoid": log_sigmoid, "log_sigmoid": log_sigmoid,
    "elu": elu, "celu": celu, "selu": selu, "mish": mish, "softsign": softsign, "tanhshrink": tanhshrink, "softshrink": softshrink,
    "glu": glu,
}  # fmt: skip
