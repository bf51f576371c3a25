"""The operators of a graph: linear ones with their weights, and the functions that spiking neurons compute.

Shapes are without the batch dimension; arrays lie as torch lays them out. Each operator is plain data; what it
computes is written once, in torch, by its row of `LINEAR` or `POINTWISE`.
"""

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch.nn import functional

Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Operator:
    """Base of all operators."""


@dataclass(frozen=True, eq=False)
class Input(Operator):
    """What the network is shown."""


@dataclass(frozen=True, eq=False)
class Convolution(Operator):
    """Convolution over one to three space dimensions of (channels, *space), or its transpose, as torch defines them.

    weights: float64 (channels out, channels in / groups, *kernel), transposed: (channels in, channels out / groups,
    *kernel). Zeros are padded, as many on both sides.
    """

    weights: np.ndarray
    stride: Shape
    padding: Shape
    dilation: Shape
    groups: int = 1
    transposed: bool = False
    output_padding: Shape = ()


@dataclass(frozen=True, eq=False)
class Full(Operator):
    """``y = W x`` of a flat input; weights: float64 (outputs, inputs)."""

    weights: np.ndarray


@dataclass(frozen=True, eq=False)
class Along(Operator):
    """A sparse matrix along one axis, or several neighbouring ones, shared by all others.

        y[o, j, i] = sum over k of matrix[j, k] x[o, k, i]

    matrix: float64 (outputs, inputs); ``inner``: the number of positions i, so an input of n numbers has n / (inputs x
    inner) positions o. Pooling, scaling, padding, slices, permutations, upsampling and propagation over a graph are this.
    """

    matrix: Any  # scipy.sparse.csr_array, whose shape type checkers take for None
    inner: int = 1


@dataclass(frozen=True, eq=False)
class Reshape(Operator):
    """The same numbers in the same order under another shape."""


@dataclass(frozen=True, eq=False)
class Sum(Operator):
    """``y = sum over k of coefficients[k] x_k`` of inputs of one shape."""

    coefficients: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Pointwise(Operator):
    """One of the functions `POINTWISE`, applied to each number.

    parameters: by name a number, or float64 broadcastable to the shape.
    """

    function: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Product(Operator):
    """``y = x_0 x_1`` of two inputs of one shape."""


@dataclass(frozen=True, eq=False)
class Maximum(Operator):
    """``y = max over k of x_k`` of inputs of one shape."""


def _convolution(operator: Convolution, x: torch.Tensor) -> torch.Tensor:
    dims = len(operator.stride)
    weights = torch.as_tensor(operator.weights)
    if operator.transposed:
        transposed = (functional.conv_transpose1d, functional.conv_transpose2d, functional.conv_transpose3d)[dims - 1]
        ragged = operator.output_padding or 0
        return transposed(x, weights, None, operator.stride, operator.padding, ragged, operator.groups, operator.dilation)
    convolve = (functional.conv1d, functional.conv2d, functional.conv3d)[dims - 1]
    return convolve(x, weights, None, operator.stride, operator.padding, operator.dilation, operator.groups)


def _full(operator: Full, x: torch.Tensor) -> torch.Tensor:
    return x.reshape(len(x), -1) @ torch.as_tensor(operator.weights).T


def _along(operator: Along, x: torch.Tensor) -> torch.Tensor:
    outputs, inputs = operator.matrix.shape
    columns = x.reshape(-1, inputs, operator.inner).transpose(0, 1).reshape(inputs, -1)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support")  # it is in beta, says torch
        matrix = _csr(operator)
    return (matrix @ columns).reshape(outputs, -1, operator.inner).transpose(0, 1)


def _csr(operator: Along) -> torch.Tensor:
    return torch.sparse_csr_tensor(torch.from_numpy(operator.matrix.indptr.astype(np.int64)),
                                     torch.from_numpy(operator.matrix.indices.astype(np.int64)),
                                     torch.from_numpy(operator.matrix.data), operator.matrix.shape, check_invariants=False)  # fmt: skip


def _sum(operator: Sum, *inputs: torch.Tensor) -> torch.Tensor:
    total = inputs[0] * operator.coefficients[0]
    for x, coefficient in zip(inputs[1:], operator.coefficients[1:], strict=True):
        total = total + coefficient * x
    return total


LINEAR: dict[type[Operator], Callable[..., torch.Tensor]] = {
    Convolution: _convolution,
    Full: _full,
    Along: _along,
    Reshape: lambda operator, x: x,
    Sum: _sum,
}

POINTWISE: dict[str, Callable[..., torch.Tensor]] = {
    "identity": lambda x: x,
    "relu": lambda x: x.clamp(min=0.0),
    "clamp": lambda x, low, high: torch.minimum(torch.maximum(x, low), high),
    "leaky_relu": lambda x, slope: torch.where(x > 0.0, x, slope * x),
    "hard_sigmoid": lambda x: (x / 6.0 + 0.5).clamp(0.0, 1.0),
    "hard_swish": lambda x: x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "silu": functional.silu,
    "gelu": lambda x: 0.5 * x * (1.0 + torch.erf(x / math.sqrt(2.0))),
    "gelu_tanh": lambda x: 0.5 * x * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3))),
    "softplus": lambda x, beta: torch.clamp(x, min=0.0) + torch.log1p(torch.exp(-torch.abs(beta * x))) / beta,
    "elu": lambda x, scale, alpha, rate: scale * torch.where(x > 0.0, x, alpha * torch.expm1(torch.clamp(x, max=0.0) * rate)),
    "qcfs": lambda x, threshold, levels: torch.clamp(torch.floor(x * levels / threshold + 0.5) / levels, 0.0, 1.0) * threshold,
    "exp": torch.exp,
    "reciprocal": torch.reciprocal,
    "rsqrt": torch.rsqrt,
    "square": torch.square,
    "abs": torch.abs,
}


def compute(operator: Operator, inputs: list[torch.Tensor]) -> torch.Tensor:
    """The operator's value for inputs (batch, *shape), up to the shape: float64 with batch in front."""
    if isinstance(operator, Pointwise):
        given = {name: torch.as_tensor(value, dtype=torch.float64) for name, value in operator.parameters.items()}
        return POINTWISE[operator.function](inputs[0], **given)
    if isinstance(operator, Product):
        return inputs[0] * inputs[1]
    if isinstance(operator, Maximum):
        return torch.stack(inputs).amax(dim=0)
    return LINEAR[type(operator)](operator, *inputs)


def channel_matrix(operator: Along, shape: Shape) -> Any:
    """The matrix (channels out, channels in) that an operator is for values of ``shape``, or None if it mixes places."""
    places = math.prod(shape[1:])
    if operator.inner % places:
        return None
    outer = math.prod(shape) // (operator.matrix.shape[1] * operator.inner)
    blocks = sparse.kron(sparse.eye_array(outer), operator.matrix, format="csr")  # other formats hold zeros
    return sparse.csr_array(sparse.kron(blocks, sparse.eye_array(operator.inner // places), format="csr"))


def multiply_accumulates(operator: Operator, inputs: int, outputs: int) -> int:
    """Those that an operator costs for so many input and output values; sums and selections with one weight cost none."""
    if isinstance(operator, Full):
        return operator.weights.size
    if isinstance(operator, Convolution):
        return (inputs if operator.transposed else outputs) * math.prod(operator.weights.shape[1:])
    if not isinstance(operator, Along) or len(np.unique(operator.matrix.data)) < 2 or _scales(operator.matrix):
        return 0
    return operator.matrix.nnz * (inputs // operator.matrix.shape[1])


def _scales(matrix: Any) -> bool:
    entries = matrix.tocoo()
    return bool((entries.row == entries.col).all())
