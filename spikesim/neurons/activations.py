"""The functions that neurons of converted networks compute, as scalar functions of one number and their parameters.

Each is a pure function of plain arithmetic and math, run as it is by the reference engine and compiled by the others. Where
a function has no finite value it gives infinity or not a number, never an error.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from spikesim.description import limits


def identity(x):
    """x"""
    return x


def relu(x):
    """max(x, 0)"""
    return max(x, 0.0)


def clamp(x, low, high):
    """x, but at least low and at most high"""
    return min(max(x, low), high)


def leaky_relu(x, slope):
    """x where it is positive, else slope x"""
    return x if x > 0.0 else slope * x


def hard_sigmoid(x):
    """x / 6 + 1/2 within [0, 1]"""
    return min(max(x / 6.0 + 0.5, 0.0), 1.0)


def hard_swish(x):
    """x hard_sigmoid(x)"""
    return x * min(max(x / 6.0 + 0.5, 0.0), 1.0)


def sigmoid(x):
    """1 / (1 + exp(-x)), without an exponential that overflows."""
    small = math.exp(-abs(x))
    return (1.0 if x >= 0.0 else small) / (1.0 + small)


def tanh(x):
    """The hyperbolic tangent of x."""
    return math.tanh(x)


def silu(x):
    """x sigmoid(x)"""
    small = math.exp(-abs(x))
    return x * (1.0 if x >= 0.0 else small) / (1.0 + small)


def gelu(x):
    """x times the probability that a standard normal number is at most x."""
    return 0.5 * x * (1.0 + math.erf(x / math.sqrt(2.0)))


def gelu_tanh(x):
    """The approximation of gelu by a hyperbolic tangent."""
    return 0.5 * x * (1.0 + math.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x * x * x)))


def softplus(x, beta):
    """log(1 + exp(beta x)) / beta"""
    return max(x, 0.0) + math.log1p(math.exp(-abs(beta * x))) / beta


def elu(x, scale, alpha, rate):
    """scale x where x is positive, else scale alpha (exp(rate x) - 1)"""
    return scale * (x if x > 0.0 else alpha * math.expm1(min(x, 0.0) * rate))


def exp(x):
    """exp(x), infinite where it is no float."""
    return math.exp(x) if x < 709.0 else math.inf


def reciprocal(x):
    """1 / x, infinite at 0."""
    return 1.0 / x if x != 0.0 else math.inf


def rsqrt(x):
    """1 / sqrt(x), infinite where x is not positive."""
    return 1.0 / math.sqrt(x) if x > 0.0 else math.inf


def square(x):
    """x x"""
    return x * x


def absolute(x):
    """The size of x."""
    return abs(x)


@dataclass(frozen=True)
class Activation:
    """A scalar function, and the bounds of its further parameters by name, in their order."""

    function: Callable
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


ANY, POSITIVE, INFINITE = limits(None), limits(None, above=0.0), limits(None) | {"infinite": True}

ACTIVATIONS = {
    "identity": Activation(identity),
    "relu": Activation(relu),
    "clamp": Activation(clamp, {"low": INFINITE, "high": INFINITE}),
    "leaky_relu": Activation(leaky_relu, {"slope": ANY}),
    "hard_sigmoid": Activation(hard_sigmoid),
    "hard_swish": Activation(hard_swish),
    "sigmoid": Activation(sigmoid),
    "tanh": Activation(tanh),
    "silu": Activation(silu),
    "gelu": Activation(gelu),
    "gelu_tanh": Activation(gelu_tanh),
    "softplus": Activation(softplus, {"beta": POSITIVE}),
    "elu": Activation(elu, {"scale": ANY, "alpha": ANY, "rate": POSITIVE}),
    "exp": Activation(exp),
    "reciprocal": Activation(reciprocal),
    "rsqrt": Activation(rsqrt),
    "square": Activation(square),
    "abs": Activation(absolute),
}
