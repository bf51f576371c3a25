"""The builder of a graph: what a row of the tables of operators calls to put its nodes down.

All shapes are without the batch dimension; all constants become float64.
"""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import numpy as np
import torch
from scipy import sparse

from spikesim.convert.graph import READ_OUT, Node
from spikesim.convert.operators import (
    Along,
    Convolution,
    Full,
    Input,
    Maximum,
    Operator,
    Pointwise,
    Product,
    Reshape,
    Shape,
    Sum,  # fmt: skip
)

SAMPLES = 3  # the batch that is traced; rearranging is done on as many, to see that none is mixed with another
LARGEST_PRODUCT = 1_000_000  # numbers of a product of two activations that matmul unfolds to

Constant = float | np.ndarray | torch.Tensor


@dataclass(frozen=True, eq=False)
class Moved:
    """A node whose batch torch holds in another dimension than the first: ``axis``, counted with the batch."""

    node: Node
    axis: int


class Refusal(Exception):
    """Why an operator cannot be converted; the tracer adds which one it is and where it stands."""


class Builder:
    """Puts down the nodes of one operator after the other; each method returns the node it made.

    shape: of the operator's result on the example, without batch; () where it is not one tensor.
    original: runs the operator itself, its first argument replaced by those given: on a tensor of positions, say.
    """

    def __init__(self, shape: Shape) -> None:
        self.nodes: dict[str, Node] = {}
        self.shape: Shape = ()
        self.original: Callable[..., Any] = lambda *tensors: None
        self._base, self._where = "input", "input"
        self.input = self.add(Input(), (), shape)

    def enter(self, base: str, where: str, shape: Shape, original: Callable[..., Any]) -> None:
        """Name the nodes to come after the user's operator ``base``, which stands at ``where``."""
        self._base, self._where, self.shape, self.original = base, where, shape, original

    def add(self, operator: Operator, inputs: Sequence[Node], shape: Iterable[int], *, bias: np.ndarray | None = None,
            part: str = "") -> Node:  # fmt: skip
        """Add any operator of `spikesim.convert.operators`; ``part`` is added to the name of the user's operator."""
        shape = tuple(int(size) for size in shape)
        if bias is not None:
            bias = np.array(np.broadcast_to(bias, shape), np.float64)
            self._finite(bias)
        where = f"{self._where}, {part}" if part else self._where
        node = Node(
            self._unique(f"{self._base}.{part}" if part else self._base), operator, tuple(x.name for x in inputs), shape, bias, where
        )
        self.nodes[node.name] = node
        return node

    def rename(self, node: Node, before: frozenset[str]) -> Node:
        """Give the last node of an operator the operator's own name; ``before``: the names that were there before it."""
        if node.name in before or node is not next(reversed(self.nodes.values())):
            return node
        del self.nodes[node.name]
        renamed = replace(node, name=self._unique(self._base), where=self._where)
        self.nodes[renamed.name] = renamed
        return renamed

    def refuse(self, why: str) -> NoReturn:
        """Refuse the operator: the reason follows its name in the message."""
        raise Refusal(why)

    def axis(self, x: Node, dim: int, *, more: int = 0) -> int:
        """The axis of ``x.shape`` for torch's ``dim``, which counts the batch too; ``more`` axes are to come."""
        rank = len(x.shape) + 1 + more
        dim = dim + rank if dim < 0 else dim
        if dim == 0:
            self.refuse("works along the batch dimension, where each sample must stay on its own")
        if not 0 < dim < rank:
            self.refuse(f"names dimension {dim} of {rank}")
        return dim - 1

    def constant(self, value: Constant, rank: int) -> np.ndarray:
        """A number or tensor that is to be broadcast against values of ``rank`` axes: float64, without the batch."""
        found = array(value)
        if found.ndim > rank + 1:
            self.refuse(f"has a constant of shape {found.shape}, which has more dimensions than the value it is applied to")
        if found.ndim == rank + 1:
            if len(found) != 1 and not (len(found) == SAMPLES and (found == found[:1]).all()):
                self.refuse(f"has a constant of shape {found.shape}, which differs over the batch")
            found = found[0]
        return found

    # linear operators

    def convolution(self, x: Node, weights: Constant, bias: Constant | None = None, *, stride: Shape, padding: Shape, dilation: Shape,
                    groups: int = 1, transposed: bool = False, output_padding: Shape = ()) -> Node:  # fmt: skip
        """`Convolution` with a bias of (channels out,)."""
        kernel = self._finite(array(weights))
        operator = Convolution(kernel, stride, padding, dilation, groups, transposed, output_padding)
        dims = len(stride)
        offsets = None if bias is None else array(bias).reshape(-1, *(1,) * dims)
        return self.add(operator, (x,), self.shape, bias=offsets, part="conv")

    def full(self, x: Node, weights: Constant, bias: Constant | None = None) -> Node:
        """`Full`: weights (outputs, inputs) on a value of shape (inputs,)."""
        matrix = self._finite(array(weights))
        return self.add(Full(matrix), (x,), matrix.shape[:1], bias=None if bias is None else array(bias), part="linear")

    def along(self, x: Node, matrix: Any, first: int, last: int | None = None, *, shape: Shape | None = None,
              bias: np.ndarray | None = None, part: str = "along") -> Node:  # fmt: skip
        """`Along` the axes ``first`` to ``last`` of x, which become those of ``shape``, or one axis of the matrix's outputs."""
        last = first if last is None else last
        matrix = sparse.csr_array(matrix, dtype=np.float64)
        self._finite(matrix.data)
        new = (matrix.shape[0],) if shape is None else shape
        inner = math.prod(x.shape[last + 1 :])
        return self.add(Along(matrix, inner), (x,), (*x.shape[:first], *new, *x.shape[last + 1 :]), bias=bias, part=part)

    def reshape(self, x: Node, shape: Iterable[int], *, bias: np.ndarray | None = None) -> Node:
        """The same numbers under another shape, plus ``bias``."""
        shape = tuple(shape)
        return x if shape == x.shape and bias is None else self.add(Reshape(), (x,), shape, bias=bias, part="reshape")

    def scale(self, x: Node, factors: Constant, offsets: Constant | None = None, *, part: str = "scale") -> Node:
        """``factors x + offsets``, both broadcast as torch does."""
        gains = self._finite(self.constant(factors, len(x.shape)))
        x = self.broadcast(x, np.broadcast_shapes(x.shape, gains.shape))
        bias = None if offsets is None else self.constant(offsets, len(x.shape))
        if gains.size == 1:
            return self.add(Sum((float(gains.reshape(())),)), (x,), x.shape, bias=bias, part=part)
        gains = gains.reshape((1,) * (len(x.shape) - gains.ndim) + gains.shape)
        varying = [axis for axis, size in enumerate(gains.shape) if size > 1]
        first, last = varying[0], varying[-1]
        section = x.shape[first : last + 1]
        diagonal = np.broadcast_to(gains.reshape(gains.shape[first : last + 1]), section).reshape(-1)
        return self.along(x, sparse.diags_array(diagonal), first, last, shape=section, bias=bias, part=part)

    def offset(self, x: Node, constant: Constant, *, factor: float = 1.0) -> Node:
        """``x + factor constant``, broadcast as torch does."""
        bias = factor * self.constant(constant, len(x.shape))
        x = self.broadcast(x, np.broadcast_shapes(x.shape, bias.shape))
        return self.reshape(x, x.shape, bias=bias)

    def sum(self, inputs: Sequence[Node], coefficients: Sequence[float] | None = None, *, bias: np.ndarray | None = None) -> Node:
        """``sum over k of coefficients[k] inputs[k] + bias``, all broadcast to one shape."""
        inputs = self.align(inputs)
        total: dict[str, float] = {}
        for x, coefficient in zip(inputs, coefficients or (1.0,) * len(inputs), strict=True):
            total[x.name] = total.get(x.name, 0.0) + coefficient
        return self.add(Sum(tuple(total.values())), [self.nodes[name] for name in total], inputs[0].shape, bias=bias, part="sum")

    def rearrange(self, x: Node | Moved, function: Callable[[torch.Tensor], Any], *, fill: float = 0.0) -> Any:
        """Any selection, order or repetition of the numbers of x: what ``function`` makes of (batch, *shape).

        It is run on a tensor of positions (from 1; 0 stands for ``fill``). A function that returns several tensors gives a
        tuple of nodes.
        """
        node, axis = (x.node, x.axis) if isinstance(x, Moved) else (x, 0)
        places = torch.arange(1, SAMPLES * node.size + 1, dtype=torch.float64).reshape(SAMPLES, *node.shape).movedim(0, axis)
        found = function(places)
        if isinstance(found, list | tuple):
            return tuple(self._select(node, part.numpy(), fill) for part in found)
        return self._select(node, found.numpy(), fill)

    def broadcast(self, x: Node, shape: Shape) -> Node:
        """Repeat x along its axes of size 1, and new ones in front, to ``shape``."""
        if x.shape == tuple(shape):
            return x
        own = (1,) * (len(shape) - len(x.shape)) + x.shape
        return self.rearrange(x, lambda places: places.reshape(-1, *own).expand(-1, *shape).clone())

    def align(self, inputs: Sequence[Node]) -> list[Node]:
        """Broadcast activations against each other. Their batches only meet if they have as many dimensions."""
        if len({len(x.shape) for x in inputs}) > 1:
            shapes = " and ".join(str(("batch", *x.shape)) for x in inputs)
            self.refuse(f"would broadcast {shapes}, so that a batch meets another dimension; unsqueeze the smaller one after its batch")
        shape = np.broadcast_shapes(*(x.shape for x in inputs))
        return [self.broadcast(x, shape) for x in inputs]

    # what neurons compute

    def pointwise(self, x: Node, function: str, **parameters: Any) -> Node:
        """One of `spikesim.convert.operators.POINTWISE`; parameters: numbers, or float64 broadcastable to the shape."""
        return self.add(Pointwise(function, parameters), (x,), x.shape, part=function)

    def product(self, x: Node, y: Node) -> Node:
        """``x y``, broadcast; the square where both are one."""
        if x is y:
            return self.pointwise(x, "square")
        x, y = self.align([x, y])
        return self.add(Product(), (x, y), x.shape, part="product")

    def maximum(self, inputs: Sequence[Node]) -> Node:
        """The largest of several, broadcast."""
        inputs = list({x.name: x for x in self.align(inputs)}.values())
        return inputs[0] if len(inputs) == 1 else self.add(Maximum(), inputs, inputs[0].shape, part="maximum")

    def _select(self, x: Node, found: np.ndarray, fill: float) -> Node | Moved:
        found = found.astype(np.int64)
        axis = next(
            (axis for axis, size in enumerate(found.shape) if size == SAMPLES and _apart(np.moveaxis(found, axis, 0), x.size)), None
        )
        if axis is None:
            self.refuse("mixes the batch dimension with others; each sample must stay on its own")
        places = np.moveaxis(found, axis, 0)[0]
        shape, index = places.shape, places.reshape(-1) - 1
        if np.array_equal(index, np.arange(x.size)):
            node = self.reshape(x, shape)
        else:
            bias = np.where(index < 0, fill, 0.0).reshape(shape) if fill and (index < 0).any() else None
            matrix, inner = selection(index, x.shape)
            node = self.add(Along(matrix, inner), (x,), shape, bias=bias, part="select")
        return Moved(node, axis) if axis else node

    def _finite(self, values: np.ndarray) -> np.ndarray:
        return values if np.isfinite(values).all() else self.refuse("has a constant that holds nan or infinity")

    def _unique(self, wanted: str) -> str:
        name = re.sub(r"[^\w.@+-]+", "_", wanted).strip("._ ") or "value"
        number, found = 1, name
        while found in self.nodes or found == READ_OUT:
            number += 1
            found = f"{name}_{number}"
        return found


def array(value: Constant) -> np.ndarray:
    """A number, numpy array or torch tensor (dense or sparse, any dtype and device) as a float64 array of its own."""
    if isinstance(value, torch.Tensor):
        value = value.detach()
        dense = value if value.layout == torch.strided else value.to_dense()
        return np.array(dense.double().cpu().numpy())
    return np.array(value, np.float64)


def _apart(found: np.ndarray, size: int) -> bool:
    """Whether each sample (axis 0) holds the same positions of its own ``size`` numbers, from 1; 0 for none."""
    flat = found.reshape(len(found), -1)
    samples = np.where(flat[:1] > 0, flat[:1] + size * np.arange(len(found))[:, None], 0)
    return bool((flat[0] <= size).all() and (flat == samples).all())


def selection(index: np.ndarray, shape: Shape) -> tuple[sparse.csr_array, int]:
    """``y[j] = x[index[j]]``, 0 where it is negative, as the smallest matrix and its ``inner``; shape: of x.

    What lies in one piece behind is left to ``inner``, what repeats in front to the positions outside.
    """
    inner, starts = _inner(index, shape)
    inputs = math.prod(shape) // inner
    for outer in sorted({math.prod(shape[:axis]) for axis in range(len(shape) + 1)}, reverse=True):
        if outer == 0 or len(starts) % outer or inputs % outer:
            continue
        blocks, step = starts.reshape(outer, -1), inputs // outer
        shifted = np.where(blocks[0] >= 0, blocks[0] + step * np.arange(outer)[:, None], -1)
        if (blocks[0] < step).all() and np.array_equal(blocks, shifted):
            starts, inputs = blocks[0], step
            break
    rows = np.flatnonzero(starts >= 0)
    return sparse.csr_array((np.ones(len(rows)), (rows, starts[rows])), shape=(len(starts), inputs)), inner


def _inner(index: np.ndarray, shape: Shape) -> tuple[int, np.ndarray]:
    """The longest piece of trailing axes that is moved as a whole, and where each such piece starts, in pieces."""
    for inner in sorted({math.prod(shape[axis:]) for axis in range(len(shape) + 1)}, reverse=True):
        if inner == 0 or len(index) % inner:
            continue
        pieces = index.reshape(-1, inner)
        starts = pieces[:, 0]
        whole = np.where(starts[:, None] >= 0, starts[:, None] + np.arange(inner), -1)
        if np.array_equal(pieces, whole) and not (starts[starts >= 0] % inner).any():
            return inner, np.where(starts >= 0, starts // inner, -1)
    return 1, index
