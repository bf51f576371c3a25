"""Rewriting: linear operators that follow each other are merged where that is exact and no larger.

Batch normalisation goes into the convolution before or after it (Rueckauer et al. 2017, Front. Neurosci. 11:682), average
pooling into what follows, a concatenation is divided among the operators that read it. What cannot be merged stays: the
sum of spikes there is passed on by a relay (see `spikesim.convert.lower`).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from scipy import sparse

from spikesim.convert.graph import Graph, Node, node_value
from spikesim.convert.operators import Along, Convolution, Full, Reshape, Shape, Sum, channel_matrix

LARGEST = 1 << 22  # weights of a merged operator, above which pooling is not merged into a full matrix


def rewrite(graph: Graph) -> Graph:
    """A graph that computes the same with fewer operators behind each other; it has the multiply-accumulates of the old one."""
    before: list[Node] = []
    while [id(node) for node in graph] != [id(node) for node in before]:
        before = list(graph)
        graph = _divide_sums(graph)
        for rule in RULES:
            graph = _apply(rule, graph)
    return graph


Rule = Callable[[Node, Node, bool, Shape], "Node | None"]  # node, what it reads, whether alone, the shape of what that reads


def _apply(rule: Rule, graph: Graph) -> Graph:
    """Replace each node by what the rule makes of it and the node it reads, as long as it makes something."""
    nodes = dict(graph.nodes)
    readers = {name: len(found) + (name == graph.output) for name, found in graph.consumers().items()}
    for name in graph.nodes:
        while len(nodes[name].inputs) == 1:
            source = nodes[nodes[name].inputs[0]]
            read = nodes[source.inputs[0]].shape if source.inputs else ()
            share = source.macs // readers[source.name]  # of what the module computes once for all readers
            merged = rule(nodes[name], replace(source, macs=share), readers[source.name] == 1, read)
            if merged is None:
                break
            nodes[name] = merged
            if source.name not in merged.inputs:
                nodes[source.name] = replace(source, macs=source.macs - share)
            for name_read in merged.inputs:
                readers[name_read] += 1
            readers[source.name] -= 1
            if not readers[source.name]:
                readers.update({name_read: readers[name_read] - 1 for name_read in source.inputs})
    return _needed(replace(graph, nodes=nodes))


def _needed(graph: Graph) -> Graph:
    """The graph without nodes that the output does not depend on."""
    wanted = {graph.output, graph.input.name}
    for node in reversed(list(graph)):
        if node.name in wanted:
            wanted.update(node.inputs)
    return replace(graph, nodes={name: node for name, node in graph.nodes.items() if name in wanted})


def _read_through_reshape(node: Node, source: Node, alone: bool, read: Shape) -> Node | None:
    """Operators on flat arrays do not care for the shape."""
    if not isinstance(source.operator, Reshape) or source.bias is not None or not isinstance(node.operator, Reshape | Along | Full):
        return None
    return replace(node, inputs=source.inputs, macs=node.macs + source.macs)


def _along_along(node: Node, source: Node, alone: bool, read: Shape) -> Node | None:
    first, second = source.operator, node.operator
    if not (isinstance(first, Along) and isinstance(second, Along) and first.inner == second.inner):
        return None
    if first.matrix.shape[0] != second.matrix.shape[1]:
        return None
    product = sparse.csr_array(second.matrix @ first.matrix)
    if product.nnz > max(first.matrix.nnz, second.matrix.nnz):
        return None
    return _merged(node, source, Along(product, second.inner))


def _convolution_then_channels(node: Node, source: Node, alone: bool, read: Shape) -> Node | None:
    """A factor for each output channel, as batch normalisation has one."""
    conv, gains = source.operator, _gains(node, source.shape)
    if not (alone and isinstance(conv, Convolution)) or gains is None:
        return None
    space = (1,) * len(conv.stride)
    if conv.transposed:
        of_input = gains.reshape(conv.groups, 1, -1).repeat(len(conv.weights) // conv.groups, 1)
        weights = conv.weights * of_input.reshape(*conv.weights.shape[:2], *space)
    else:
        weights = conv.weights * gains.reshape(-1, 1, *space)
    return _merged(node, source, replace(conv, weights=weights))


def _channels_then_convolution(node: Node, source: Node, alone: bool, read: Shape) -> Node | None:
    """A factor for each channel, read by any convolution; what mixes channels without mixing places, by one of one group."""
    conv, before = node.operator, source.operator
    if not isinstance(conv, Convolution) or not isinstance(before, Along) or read[1:] != source.shape[1:]:
        return None
    gains, space = _gains(source, read), (1,) * len(conv.stride)
    if gains is not None and conv.transposed:
        return _merged(node, source, replace(conv, weights=conv.weights * gains.reshape(-1, 1, *space)))
    if gains is not None:
        of_output = gains.reshape(conv.groups, 1, -1).repeat(len(conv.weights) // conv.groups, 1)
        return _merged(node, source, replace(conv, weights=conv.weights * of_output.reshape(*conv.weights.shape[:2], *space)))
    mixing = channel_matrix(before, read)
    if mixing is None or conv.groups > 1 or read[0] > source.shape[0] or (read[0] == source.shape[0] and not alone):
        return None
    weights = np.einsum("co...,ci->io..." if conv.transposed else "oc...,ci->oi...", conv.weights, mixing.toarray())
    return _merged(node, source, replace(conv, weights=weights))


def _pooling_then_convolution(node: Node, source: Node, alone: bool, read: Shape) -> Node | None:
    """Pooling over windows side by side: the kernel's entries are spread over them, the stride grows as much."""
    conv, pool = node.operator, source.operator
    if not (isinstance(conv, Convolution) and isinstance(pool, Along)) or conv.transposed or any(d > 1 for d in conv.dilation):
        return None
    if len(read) != len(source.shape) or read[0] != source.shape[0] or any(n % m for n, m in zip(read, source.shape, strict=True)):
        return None
    window = tuple(n // m for n, m in zip(read[1:], source.shape[1:], strict=True))
    if not _averages(pool, source.shape[1:], window):
        return None
    weights = conv.weights * pool.matrix.data[0]
    for axis, times in enumerate(window, start=2):
        weights = np.repeat(weights, times, axis)
    stride, padding = (tuple(a * b for a, b in zip(value, window, strict=True)) for value in (conv.stride, conv.padding))
    return _merged(node, source, replace(conv, weights=weights, stride=stride, padding=padding))


def _averages(pool: Along, space: Shape, window: Shape) -> bool:
    """Whether the operator is a pooling with one weight whose windows tile a space into ``space``."""
    if pool.inner != 1 or len(set(pool.matrix.data)) != 1:
        return False
    tiles: Any = sparse.csr_array(np.ones((1, 1)))
    for size, times in zip(space, window, strict=True):
        tiles = sparse.kron(tiles, sparse.kron(sparse.eye_array(size), np.ones((1, times))), format="csr")
    return tiles.shape == pool.matrix.shape and _same(tiles, pool.matrix != 0)


def _full_then_along(node: Node, source: Node, alone: bool, read: Shape) -> Node | None:
    after, full = node.operator, source.operator
    if not (alone and isinstance(after, Along) and isinstance(full, Full)) or after.inner != 1 or after.matrix.shape[0] > len(full.weights):
        return None
    if after.matrix.shape[1] != len(full.weights):
        return None
    return _merged(node, source, Full(np.asarray(after.matrix @ full.weights)))


def _along_then_full(node: Node, source: Node, alone: bool, read: Shape) -> Node | None:
    full, before = node.operator, source.operator
    if not (isinstance(full, Full) and isinstance(before, Along)):
        return None
    outputs, inputs = before.matrix.shape
    rows, columns = full.weights.shape
    if inputs > outputs and rows * (columns // outputs) * inputs > LARGEST:
        return None
    blocks = full.weights.reshape(rows, -1, outputs, before.inner).swapaxes(2, 3)
    mixed = (blocks.reshape(-1, outputs) @ before.matrix).reshape(*blocks.shape[:3], inputs).swapaxes(2, 3)
    return _merged(node, source, Full(np.ascontiguousarray(mixed.reshape(rows, -1))))


def _identity(node: Node, source: Node, alone: bool, read: Shape) -> Node | None:
    """Take what passes everything on out of the way of its reader."""
    trivial = source.bias is None and len(source.inputs) == 1 and (
        (isinstance(source.operator, Sum) and source.operator.coefficients == (1.0,)) or _is_identity(source))  # fmt: skip
    if not trivial or not isinstance(node.operator, Along | Full | Reshape):
        return None
    return replace(node, inputs=source.inputs, macs=node.macs + source.macs)


def _is_identity(node: Node) -> bool:
    matrix = node.operator.matrix if isinstance(node.operator, Along) else None
    return matrix is not None and matrix.shape[0] == matrix.shape[1] and _same(matrix, sparse.eye_array(matrix.shape[0]))


def _same(a: Any, b: Any) -> bool:
    return (a != b).nnz == 0


def _along_identity(node: Node, source: Node, alone: bool, read: Shape) -> Node | None:
    return replace(node, operator=Reshape()) if _is_identity(node) else None


def _gains(node: Node, read: Shape) -> np.ndarray | None:
    """The number by which a node multiplies each channel of the value of shape ``read``, None if it does anything else."""
    matrix = channel_matrix(node.operator, read) if isinstance(node.operator, Along) and node.shape == read else None
    entries = None if matrix is None else matrix.tocoo()
    return None if matrix is None or entries is None or (entries.row != entries.col).any() else matrix.diagonal()


def _merged(node: Node, source: Node, operator) -> Node:
    """The node with the operators of both, reading what ``source`` reads; the bias of ``source`` goes through the node."""
    bias = node.bias
    if source.bias is not None:
        with torch.no_grad():
            through = node_value(replace(node, bias=None), [torch.from_numpy(source.bias)[None]])[0].numpy()
        bias = through if bias is None else bias + through
    return replace(node, operator=operator, inputs=source.inputs, bias=bias, macs=node.macs + source.macs)


RULES: tuple[Rule, ...] = (
    _along_identity,
    _identity,
    _read_through_reshape,
    _along_along,
    _convolution_then_channels,
    _channels_then_convolution,
    _pooling_then_convolution,
    _full_then_along,
    _along_then_full,
)


def _divide_sums(graph: Graph) -> Graph:
    """Convolutions and full matrices that read a concatenation, a sum of placements, read each part for themselves.

    Only those that the placements will be merged into: otherwise there would be a relay for each part instead of one.
    """
    nodes: dict[str, Node] = {}
    for node in graph:
        source = nodes[node.inputs[0]] if len(node.inputs) == 1 else None
        if source is None or not _concatenation(source, nodes) or not _takes_placements(node, source, nodes):
            nodes[node.name] = node
            continue
        shares = [nodes[nodes[name].inputs[0]].size for name in source.inputs]
        parts = [Node(f"{node.name}.part{at + 1}", node.operator, (name,), node.shape, where=node.where,
                      macs=node.macs * shares[at] // sum(shares)) for at, name in enumerate(source.inputs)]  # fmt: skip
        nodes |= {part.name: part for part in parts}
        total = Sum(source.operator.coefficients)  # type: ignore[attr-defined]
        left = node.macs - sum(part.macs for part in parts)
        nodes[node.name] = replace(_merged(node, source, total), inputs=tuple(part.name for part in parts), macs=left)
    return _needed(replace(graph, nodes=nodes))


def _concatenation(node: Node, nodes: dict[str, Node]) -> bool:
    placed = [nodes[name].operator for name in node.inputs]
    return isinstance(node.operator, Sum) and len(placed) > 1 and all(
        isinstance(along, Along) and along.matrix.shape[0] > along.matrix.shape[1] for along in placed)  # fmt: skip


def _takes_placements(node: Node, source: Node, nodes: dict[str, Node]) -> bool:
    """Whether the node is a full matrix, or a convolution of one group and the placements are of channels."""
    if not isinstance(node.operator, Convolution):
        return isinstance(node.operator, Full)
    parts = [nodes[name] for name in source.inputs]
    return node.operator.groups == 1 and all(_of_channels(part, nodes[part.inputs[0]].shape) for part in parts)


def _of_channels(node: Node, read: Shape) -> bool:
    return read[1:] == node.shape[1:] and isinstance(node.operator, Along) and channel_matrix(node.operator, read) is not None
