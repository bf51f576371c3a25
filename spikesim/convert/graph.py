"""The graph of a network to be converted: the form between torch and spikes.

Each node is a linear operator, or a non-linear one that a population of spiking neurons will compute. Nothing else
exists: what cannot be written in these terms is not converted.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from spikesim.convert.operators import LINEAR, Convolution, Input, Operator, Reshape, Shape, compute

READ_OUT = "read-out"  # the population that sums the output; no node is called so


@dataclass(frozen=True, eq=False)
class Node:
    """``y = operator(inputs) + bias``.

    name: unique, fit for a population; inputs: names of nodes; shape: of the value, without batch; bias: float64 of that
    shape, or None; where: "module path: operator (file:line)" in the user's module; macs: multiply-accumulates that the module
    spends on it for one input, padding included.
    """

    name: str
    operator: Operator
    inputs: tuple[str, ...]
    shape: Shape
    bias: np.ndarray | None = None
    where: str = ""
    macs: int = 0

    @property
    def size(self) -> int:
        """The number of values."""
        return math.prod(self.shape)

    @property
    def linear(self) -> bool:
        """Whether the node only adds what its inputs bring, so that spikes pass through it as they are."""
        return type(self.operator) in LINEAR

    @property
    def shown(self) -> bool:
        """Whether the node is the input."""
        return isinstance(self.operator, Input)


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes in an order in which each comes after its inputs; one is the `Input`, ``output`` names the result.

    outside: "softmax" or "log_softmax" where the module ends with one, which is applied to the read-out; None otherwise.
    analog: labels of operators that the caller allowed to stay analog; before: computes those that stand before the first
    neuron, (n, *module's input) to (n, *input shape); after: those after the last, from (n, *output shape) on.
    """

    nodes: Mapping[str, Node]
    output: str
    outside: str | None = None
    analog: tuple[str, ...] = ()
    before: Callable[[torch.Tensor], torch.Tensor] | None = None
    after: Callable[[torch.Tensor], torch.Tensor] | None = None

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes.values())

    @property
    def input(self) -> Node:
        return next(node for node in self if node.shown)

    def consumers(self) -> dict[str, list[Node]]:
        """For each node the nodes that read it."""
        found: dict[str, list[Node]] = {name: [] for name in self.nodes}
        for node in self:
            for name in dict.fromkeys(node.inputs):
                found[name].append(node)
        return found


def channel_shape(graph: Graph, node: Node, consumers: dict[str, list[Node]]) -> Shape:
    """The shape (channels, *space) under which a node's value is convolved, else its own; (n,) has n channels and no space."""
    ahead = [node]
    while ahead:
        here = ahead.pop()
        for reader in consumers[here.name]:
            if isinstance(reader.operator, Convolution):
                return here.shape
            if isinstance(reader.operator, Reshape):
                ahead.append(reader)
    return node.shape


def reached(graph: Graph, *, spiking_input: bool = False) -> tuple[dict[str, bool], dict[str, bool]]:
    """For each node whether the image reaches it without passing a neuron, and whether spikes do; the input may be spikes."""
    from_image: dict[str, bool] = {}
    from_spikes: dict[str, bool] = {}
    for node in graph:
        from_image[node.name] = (node.shown and not spiking_input) or (node.linear and any(from_image[name] for name in node.inputs))
        fires = spiking_input if node.shown else not node.linear
        from_spikes[node.name] = fires or any(from_spikes[name] for name in node.inputs)
    return from_image, from_spikes


Values = dict[str, torch.Tensor]


def evaluate(graph: Graph, images: np.ndarray | torch.Tensor, *,
             neuron: Callable[[Node, torch.Tensor], torch.Tensor] | None = None) -> Values:  # fmt: skip
    """The value of each node for a batch of images (n, *input shape), float64 (n, *shape) by name.

    ``neuron(node, value)`` replaces the value of a non-linear node, to put quantisation in its place.
    """
    values: Values = {}
    for node in graph:
        if node.shown:
            values[node.name] = torch.as_tensor(np.array(images) if isinstance(images, np.ndarray) else images, dtype=torch.float64)
            continue
        value = node_value(node, [values[name] for name in node.inputs])
        values[node.name] = value if neuron is None or node.linear else neuron(node, value)
    return values


def node_value(node: Node, inputs: list[torch.Tensor]) -> torch.Tensor:
    """What a node computes from its inputs (n, *shape)."""
    value = compute(node.operator, inputs).reshape(-1, *node.shape)
    return value if node.bias is None else value + torch.from_numpy(node.bias)


OUTSIDE: dict[str | None, Callable[[torch.Tensor], torch.Tensor]] = {
    None: lambda x: x,
    "softmax": lambda x: x.softmax(-1),
    "log_softmax": lambda x: x.log_softmax(-1),
}


def inside(graph: Graph, images: Any) -> torch.Tensor:
    """What the first node of the graph is shown for the module's images (n, *module's input), float64."""
    shown = torch.as_tensor(np.array(images) if isinstance(images, np.ndarray) else images, dtype=torch.float64)
    return graph.before(shown) if graph.before else shown


def outside(graph: Graph, outputs: torch.Tensor) -> torch.Tensor:
    """What the module makes of the read-out (n, *output shape)."""
    return OUTSIDE[graph.outside](graph.after(outputs) if graph.after else outputs)
