"""Rows for layers with weights: convolution, linear layers, products with a constant matrix, batch normalisation."""

from typing import Any

import numpy as np
import torch
from scipy import sparse

from spikesim.convert.builder import Builder, array
from spikesim.convert.graph import Node
from spikesim.convert.lowerings.table import Row, spread


def _checked(builder: Builder, x: Node, dims: int) -> None:
    if len(x.shape) != dims + 1:
        builder.refuse(f"needs (channels, {dims} space dimensions) after the batch dimension, got {x.shape}")


def _numbers(value: Any, dims: int) -> tuple[int, ...]:
    return spread(value, dims)


def convolution(builder: Builder, input: Node, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
                groups: int = 1) -> Node:  # fmt: skip
    """Convolution; "same" padding that is not as long on both sides is put before it."""
    if not isinstance(input, Node) or isinstance(weight, Node):
        builder.refuse("has weights that depend on the input; a kernel must be constant")
    dims = weight.ndim - 2
    _checked(builder, input, dims)
    dilation = _numbers(dilation, dims)
    if padding == "valid":
        padding = 0
    if padding == "same":
        total = [step * (size - 1) for step, size in zip(dilation, weight.shape[2:], strict=True)]
        if any(length % 2 for length in total):
            sides = [side for length in reversed(total) for side in (length // 2, length - length // 2)]
            input = builder.rearrange(input, lambda places: torch.nn.functional.pad(places, sides))
            total = [0] * dims
        padding = [length // 2 for length in total]
    return builder.convolution(input, weight, bias, stride=_numbers(stride, dims), padding=_numbers(padding, dims), dilation=dilation,
                               groups=groups)  # fmt: skip


def transposed_convolution(builder: Builder, input: Node, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
                           output_padding: Any = 0, groups: int = 1, dilation: Any = 1) -> Node:  # fmt: skip
    """The transpose of a convolution."""
    if not isinstance(input, Node) or isinstance(weight, Node):
        builder.refuse("has weights that depend on the input; a kernel must be constant")
    dims = weight.ndim - 2
    _checked(builder, input, dims)
    stride, padding, dilation, more = (_numbers(value, dims) for value in (stride, padding, dilation, output_padding))
    return builder.convolution(input, weight, bias, stride=stride, padding=padding, dilation=dilation, groups=groups, transposed=True,
                               output_padding=more)  # fmt: skip


def linear(builder: Builder, input: Node, weight: Any, bias: Any = None) -> Node:
    """``x W^T + b`` over the last axis."""
    if isinstance(weight, Node) or not isinstance(input, Node):
        builder.refuse("has weights that depend on the input; use matmul for a product of two activations")
    if not input.shape:
        builder.refuse("reads values without a feature dimension")
    if len(input.shape) == 1:
        return builder.full(input, weight, bias)
    return builder.along(input, array(weight), len(input.shape) - 1, bias=None if bias is None else array(bias), part="linear")


def matrix_product(builder: Builder, x: Any, y: Any) -> Node:
    """``x @ y`` with one of them constant."""
    if isinstance(x, Node):
        matrix = _matrix(builder, y)
        if matrix.ndim == 1:
            return builder.along(x, matrix[None, :], len(x.shape) - 1, shape=(), part="linear")
        return linear(builder, x, matrix.T)
    matrix = _matrix(builder, x)
    if len(y.shape) < 2:
        builder.refuse("multiplies a constant from the left to (batch, features), which mixes the batch; write x @ A.T")
    if matrix.ndim == 1:
        return builder.along(y, matrix[None, :], len(y.shape) - 2, shape=(), part="linear")
    return builder.along(y, matrix, len(y.shape) - 2, part="linear")


def _matrix(builder: Builder, value: Any) -> np.ndarray:
    matrix = array(value)
    while matrix.ndim > 2 and len(matrix) == 1:
        matrix = matrix[0]
    if matrix.ndim not in (1, 2):
        builder.refuse(f"multiplies with a constant of shape {matrix.shape}; only one matrix for all, "
                       "or use a grouped convolution for one matrix a group")  # fmt: skip
    return matrix


def addmm(builder: Builder, bias: Any, x: Any, y: Any, *, beta: float = 1.0, alpha: float = 1.0) -> Node:
    """``beta bias + alpha x @ y`` with a constant y."""
    if isinstance(bias, Node) or isinstance(y, Node):
        builder.refuse("adds a product of two activations; write it as matmul and +")
    return linear(builder, x, alpha * _matrix(builder, y).T, beta * builder.constant(bias, 1))


def batch_norm(builder: Builder, input: Node, running_mean: Any, running_var: Any, weight: Any = None, bias: Any = None,
               training: bool = False, momentum: float = 0.1, eps: float = 1e-5) -> Node:  # fmt: skip
    """Batch normalisation with running statistics, y = (x - mean) / sqrt(var + eps) weight + bias (Ioffe & Szegedy 2015)."""
    if training or running_mean is None:
        builder.refuse("without running statistics depends on the batch; use track_running_stats=True")
    gain = (array(running_var) + eps) ** -0.5 * (1.0 if weight is None else array(weight))
    offset = (0.0 if bias is None else array(bias)) - array(running_mean) * gain
    column = (-1, *(1,) * (len(input.shape) - 1))
    diagonal = sparse.diags_array(gain)
    return builder.along(input, diagonal, 0, bias=np.broadcast_to(offset.reshape(column), input.shape), part="scale")


def embedding(builder: Builder, *given: Any, **options: Any) -> Node:
    """Refused: indices are not activations."""
    builder.refuse("looks up rows by number; feed the network with the vectors instead, or with one-hot vectors and a Linear")


ROWS: dict[str, Row] = {
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), convolution),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), transposed_convolution),
    "linear": linear,
    "addmm": addmm,
    "batch_norm": batch_norm,
    "embedding": embedding,
}
