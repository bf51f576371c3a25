"""The operators that may stay analog: those before the first neuron, and those after the last."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn

from spikesim.convert.tracer import in_float64

Apply = Callable[[torch.Tensor], torch.Tensor]
CALLS = ("call_function", "call_method", "call_module")


@dataclass(frozen=True, eq=False)
class Regions:
    """Two parts of a traced module that are computed as they are.

    head: operators that read only the input or each other; cut: the one of them that all others read, None if there are several.
    tail: operators that lead to the output only through each other; source: the one value they read.
    """

    head: frozenset[fx.Node]
    cut: fx.Node | None
    tail: frozenset[fx.Node]
    source: fx.Node | None

    @property
    def left_out(self) -> frozenset[fx.Node]:
        """What is not converted."""
        return self.head | self.tail

    def callables(self, root: nn.Module, traced: fx.Graph) -> tuple[Apply | None, Apply | None]:
        """Functions of a batch that compute the head and the tail."""
        start = next(node for node in traced.nodes if node.op == "placeholder")
        end = next(node for node in traced.nodes if node.op == "output").args[0]
        before = _function(root, traced, self.head, start, self.cut) if self.cut else None
        after = _function(root, traced, self.tail, self.source, end) if self.source else None
        return before, after


def find_regions(nodes: Sequence[fx.Node], allowed: Callable[[fx.Node], bool]) -> Regions:
    """The largest head and tail of operators that are all ``allowed``."""
    marked = {node for node in nodes if node.op in CALLS and allowed(node)}
    start = next(node for node in nodes if node.op == "placeholder")
    tail: set[fx.Node] = set()
    for node in reversed(nodes):
        if node in marked and node.users and all(user in tail or user.op == "output" for user in node.users):
            tail.add(node)
    sources = {one for node in tail for one in node.all_input_nodes if one not in tail and one.op != "get_attr"}
    tail = tail if len(sources) == 1 and sources != {start} else set()
    head: set[fx.Node] = set()
    for node in nodes:
        inputs = [one for one in node.all_input_nodes if one.op != "get_attr"]
        if node in marked and node not in tail and inputs and all(one is start or one in head for one in inputs):
            head.add(node)
    cuts = {one for one in (start, *head) if any(user not in head for user in one.users)}
    cut = next(iter(cuts)) if head and len(cuts) == 1 else None
    return Regions(frozenset(head), cut, frozenset(tail), next(iter(sources)) if tail else None)


def _function(root: nn.Module, traced: fx.Graph, part: frozenset[fx.Node], start: Any, end: Any) -> Apply:
    graph = fx.Graph()
    copies = {start: graph.placeholder("x")}
    for node in traced.nodes:
        if node in part or (node.op == "get_attr" and any(user in part for user in node.users)):
            copies[node] = graph.node_copy(node, lambda one: copies[one])
    graph.output(copies[end])
    module = fx.GraphModule(root, graph)

    def apply(values: torch.Tensor) -> torch.Tensor:
        with in_float64():
            return module(values.double())

    return apply
