"""The tables of operators that can be converted: a row for each builds its nodes. `register_lowering` adds rows.

Functions, methods, Python's operators and the operators of ATen meet in one table by name: ``torch.relu``, ``x.relu_()``,
``functional.relu`` and ``aten.relu`` are all "relu". A module of torch.nn is seen through to the functions it calls.
"""

from collections.abc import Callable
from typing import Any

from torch import nn

from spikesim.convert.lowerings import arithmetic, groups, linear, pointwise, pooling, shape
from spikesim.convert.lowerings.groups import MODULES as MODULES
from spikesim.convert.lowerings.table import Row as Row
from spikesim.convert.qcfs import QCFS
from spikesim.errors import KindError

MODULES[QCFS] = pointwise.qcfs

ROWS: dict[str | Callable[..., Any], Row] = {
    **linear.ROWS, **shape.ROWS, **pooling.ROWS, **pointwise.ROWS, **arithmetic.ROWS, **groups.ROWS,
}  # fmt: skip

# With the batch in another dimension than the first: these move it; those work on each number, or along the last dimension.
FREE = frozenset({*shape.MOVES, *shape.SAME})
LOCAL = frozenset({*pointwise.ROWS, *shape.DROPOUTS, "add", "sub", "mul", "div", "neg", "linear", "layer_norm", "MultiheadAttention",
                   "TransformerEncoderLayer", "TransformerEncoder"} - {"glu", "prelu"})  # fmt: skip

# Names that are another operator's: Python's operators, and forms of ATen.
ALIASES = {
    "truediv": "div", "true_divide": "div", "itruediv": "div", "iadd": "add", "isub": "sub", "imul": "mul", "ipow": "pow",
    "imatmul": "matmul", "radd": "add", "rmul": "mul", "native_layer_norm": "layer_norm", "unsafe_view": "view",
    "convolution_mode": "conv2d", "boolean_dispatch": "max_pool2d", "hardswish_": "hardswish",
}  # fmt: skip


def _normalise(builder: Any, input: Any, weight: Any, bias: Any, mean: Any, var: Any, training: bool, momentum: float, eps: float,
               cudnn: bool = False) -> Any:  # fmt: skip
    """ATen's batch_norm, whose arguments stand in another order than functional's."""
    return linear.batch_norm(builder, input, mean, var, weight, bias, training, momentum, eps)


def _instance(builder: Any, input: Any, weight: Any, bias: Any, mean: Any, var: Any, own: bool, momentum: float, eps: float,
              cudnn: bool = False) -> Any:  # fmt: skip
    """ATen's instance_norm."""
    return groups.instance_norm(builder, input, mean, var, weight, bias, own, momentum, eps)


def _softmax(builder: Any, input: Any, dim: int, dtype: Any = None) -> Any:
    """ATen's softmax."""
    return groups.softmax(builder, input, dim)


# Where the operator of ATen (from torch.export) takes other arguments than the function of that name.
ATEN: dict[str, Row] = {"batch_norm": _normalise, "instance_norm": _instance, "softmax": _softmax, "_softmax": _softmax}


def register_lowering(target: type[nn.Module] | Callable[..., Any] | str, build: Row) -> None:
    """Let `trace` convert one more operator, or convert one in another way.

    target: a module class, a torch function, or the name of a function or method ("lgamma" also covers ``x.lgamma()``).
    build: for a module ``build(builder, module, *inputs)``, otherwise ``build(builder, *arguments)``. Activations arrive as
    `Node`, constants as tensors; it puts nodes down by the methods of `Builder` and returns the last::

        register_lowering("square_plus_one", lambda builder, x: builder.offset(builder.pointwise(x, "square"), 1.0))
    """
    if isinstance(target, type) and issubclass(target, nn.Module):
        MODULES[target] = build
    elif isinstance(target, str) or callable(target):
        ROWS[target] = build
    else:
        raise KindError(f"register_lowering: expected a module class, a function or a name, got {target!r}")


def find_row(target: Any, name: str, *, aten: bool = False) -> Row | None:
    """The row for a function or method by itself, or by its name without underscores around it."""
    names = spellings(name)
    found = next((ATEN[one] for one in names if aten and one in ATEN), None)
    keys = (target, *names) if callable(target) else names
    return found or next((ROWS[key] for key in keys if key in ROWS), None)


def spellings(name: str) -> tuple[str, ...]:
    """The names under which an operator may stand in a table: in-place forms end in "_", Python's operators have "__" around."""
    bare = name.strip("_")
    return name, ALIASES.get(name, name), bare, ALIASES.get(bare, bare)


def supported() -> str:
    """A short list of what is supported, for messages."""
    return (
        "convolutions (also transposed), linear layers, constant matrices, batch/layer/group/instance norm, pooling (average, "
        "max, adaptive), resampling, padding, cat, indexing, reshaping, sum/mean/max over dimensions, + - * / @ of activations and "
        "constants, relu, relu6, leaky_relu, prelu, elu, celu, selu, hardtanh, clamp, hardsigmoid, hardswish, sigmoid, tanh, silu, gelu, "
        "softplus, mish, exp, abs, square, rsqrt, softmax, attention"
    )
